"""How a value looks whose name says that it is, or may be, a secret.

The questions here go by the value alone. `texts` asks further ones about what stands around a value in a text.
"""

from __future__ import annotations

import re
from itertools import pairwise

from pytest_swarmtask.redaction.hints import KEY, MAYBE, NO, PASSWORD, YES

_STATES = (
    "none", "null", "nil", "undefined", "true", "false", "yes", "no", "on", "off", "empty", "unset", "set",
    "missing", "required", "optional", "invalid", "valid", "expired", "wrong", "incorrect", "changed",
    "unchanged", "disabled", "enabled", "ok", "n/a", "na", "unknown", "hidden", "masked", "redacted",
    "omitted", "passed", "failed", "skipped", "xfailed", "xpassed", "error", "erforderlich", "requis",
    "obligatorio", "ungültig", "falsch",
)  # fmt: skip
"""Values that say whether there is a secret, or how a test or a check of it ended."""
_PLAIN = (
    *_STATES, "default", "str", "string", "int", "integer", "float", "bool", "boolean", "bytes", "any", "object",
    "dict", "list", "tuple", "secretstr", "secretstring", "secretbytes", "text", "password", "prompt", "stdin", "env",
    "file", "to", "and", "or", "option", "flag", "for", "with", "from", "the", "a", "an", "is", "in", "of", "not",
    "must", "should", "will", "was", "has", "your", "this", "that", "it", "by", "as", "at", "be", "field", "here",
    "either", "requires", "needs", "takes", "expects", "accepts", "given", "include", "same-origin", "inherit",
    "omit", "value", "values", "setting", "arg", "options", "credentials", "which", "but", "incomplete", "await",
    "new", "lambda", "yield", "typeof", "function", "return", "if", "else", "then", "!vault", "!secret", "!env",
    "!env_var", "!ref", "!sub", "!reference", "!getatt",
)  # fmt: skip
"""Words that follow a secret's name in prose, code and settings: `Password: must be longer`, `token: str`."""
_PROSE = (*_PLAIN, "can", "cannot", "may", "please", "are", "were", "have", "does", "do", "use", "when", "if")
"""One of these makes a value of several words a sentence."""
_ARTIFICIAL = "!@#$%^&*?~+="
"""Signs that a made-up password has and a word of prose or a name does not."""
_LONG = 16
"""From this length on a value under a name that may mean anything (`stripe_key`) can be a secret: most keys are longer,
and most ids and codes are shorter. The corpora hold with any length from 12 to 20."""
_SHORT = 6
"""A random value can be this short. With 8, `x-api-key: S3cr3t!` would be shown."""
_SHORTEST = {PASSWORD: 3, YES: 4}
"""Shorter values in texts are flags and units. With 5 and 6, `MYSQL_ROOT_PASSWORD=r00t` would be shown."""
_SHORTEST_PIN = 4
"""A number under a password's name is a PIN or a password from four digits on; fewer count something."""
_LONGEST_NAME = 200
"""Nobody writes a longer name; it also bounds the time that splitting it into words takes."""
_SHORT_PATH, _PART_LENGTH = 16, 12
"""Base64 can begin with `/` too. Below the first length a value is too short for a secret in Base64, so it is a path; a
longer one is a path if its parts have on average fewer characters than the second: Base64 has few more slashes."""
_CASE_CHANGES = 2
"""A value of letters alone looks random only if more capitals than this follow small letters: not `getUserName`."""
_WORD_LETTERS = 3
"""The words of a name have on average at least this many letters. Random text changes its case sooner: with 2,
`rip8eomeGUZNYar7eq` would be a name; with 4, `scram-sha-256` would be none."""
_NUMBER_DIGITS = 4
"""The numbers in a name have at most this many digits: a year, as in `nightly/2024-05-01`, or a version."""
_REFERENCES = (
    "env:", "file:", "vault:", "ssm:", "op://", "env.", "secrets.", "vars.", "id=", "env=", "src=", "name=", "arn:",
)  # fmt: skip
"""How a value begins that says where the secret is kept."""
_HARMLESS_BEGINNINGS = ("sha1", "sha2", "sha3", "sha5", "md5", "ssh-", "arn:")
"""How a digest, a public key and the address of an AWS resource begin: long and random, and no secrets."""
_DIGEST_LENGTHS = (32, 40, 64, 96, 128)
"""How many hexadecimal digits MD5 (and a UUID), SHA-1, SHA-256, SHA-384 and SHA-512 have."""

_FILL_IN_PHRASE = re.compile(r"(?i)(?:your|insert|replace)[-_ ][a-z_ -]+|[a-z_ -]+[-_ ]here")
_FILLED_IN_LATER = re.compile(r"\$?\{[A-Za-z_][\w.\[\]()]{0,60}\}|\{\{")
"""A part that is put in later, as in an f-string: `share-{number}`."""
_NUMBERS = re.compile(
    r"[v^~<>=#]{0,3}\d{1,5}(?:[.:/-]\d{1,5}){2,9}(?:[-+.]?[a-z]{1,8}[.-]?\d{0,4}){0,2}|\d{1,4}\.\d{1,4}|(?:#|0x)[0-9A-Fa-f]{1,8}"
)
"""A version or a range of them, an address, a date, a time, a colour, a short code."""
_ALGORITHM = re.compile(r"(?i)(?:ed|x|curve|rsa|ecdsa|dsa|aes|[hrep]s|sha|md|secp|p|hmac-?sha)[-_]?\d{1,5}(?:[krv]1)?")
_HEADER_NAME = re.compile(r"Authorization|Cookie|[A-Z][a-z]{0,14}(?:-[A-Z][a-z]{0,14}){1,4}")
_HARMLESS_FORMS = (_NUMBERS, _ALGORITHM, _HEADER_NAME)
"""What is shown under `token`, `secret` or `api_key`, whose values a machine makes. Under `password` a person may have
chosen even this."""
_WORDS = re.compile(r"[a-z]{1,16}(?:[-_/][a-z]{1,16}){1,6}")
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]+")
_CONSONANTS = re.compile(r"(?i)[^aeiouy]{5}|^[^aeiouy]{4}")
"""No word that programs are named with has so many consonants in a row; random letters soon do."""
_VOWEL = re.compile(r"(?i)[aeiouy]")
_JOINTS = frozenset("-_.:/$#@")
"""What joins the words of a name, a place or a reference."""
_FILE = re.compile(r"[\w.-]{1,64}(?:/[\w.-]{1,64}){1,16}\.[a-z]{1,5}")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


def is_likely_secret(value: str, level: int) -> bool:
    """Whether a value is one to hide, going only by what its name says and by how the value looks.

    Args:
        value: any text.
        level: what the name says: one of the levels of `hints`.
    """
    if level == NO or is_placeholder(value) or is_place(value):
        return False
    if level in (KEY, MAYBE):
        return is_made(value, _LONG if level == KEY else _SHORT) and not is_wordy(value)
    return level == PASSWORD or not any(form.fullmatch(value) for form in _HARMLESS_FORMS)


def is_written_secret(value: str, level: int, *, quoted: bool, bound: bool, shortest_word: int = 8) -> bool:
    """Whether a value that stands in a text is one to hide: texts are also prose and code, so it has to look like one.

    Args:
        value: not empty.
        level: what its name says: one of the levels of `hints`.
        quoted: the value stands in quotes.
        bound: what stands between name and value, and after it, leaves no doubt that the value is the name's.
        shortest_word: from how many letters on a plain word is taken for a token.
    """
    if not is_likely_secret(value, level) or is_plain(value) or not any(map(str.isalnum, value)):
        return False
    if level in (KEY, MAYBE):
        return True  # it looks random, or it would not be likely: more is not asked
    if _is_ordinary(value, level, quoted=quoted):
        return False
    if value.isdigit():
        return True
    if quoted and bound:
        return not is_prose(value) or is_mixed(value.split(maxsplit=1)[0])  # `"a1b2c3 is set"` begins with the secret
    mixed = is_mixed(value)
    return (mixed or bound) and (level == PASSWORD or len(value) >= (_SHORT if mixed else shortest_word))


def _is_ordinary(value: str, level: int, *, quoted: bool) -> bool:
    """Whether a value is a name, a version or so short that texts are full of the like."""
    return (
        (level == YES and is_identifier(value, quoted=quoted))  # a person may choose that, a machine does not make it
        or len(value) < _SHORTEST[level]
        or _NUMBERS.fullmatch(value) is not None
        or (value.isdigit() and len(value) < (_SHORTEST_PIN if level == PASSWORD else _SHORT))
    )


# -- placeholders --------------------------------------------------------------------------------------------------


def is_placeholder(value: str) -> bool:
    """Whether a value only stands for a secret: `***`, `${TOKEN}`, `<your token>`, `{{ token }}`, `%s`, or nothing."""
    return (  # not a loop over a table: this is asked of every value, and most are none
        _is_masked(value)  # first: the others cannot be asked about an empty value
        or value.startswith(_REFERENCES)
        or _FILLED_IN_LATER.search(value) is not None
        or _FILL_IN_PHRASE.fullmatch(value) is not None
        or _is_marked(value)
    )


def _is_masked(value: str) -> bool:
    return (
        "****" in value  # also `ab****yz`, which shows both ends
        or value.startswith("***")
        or not value.strip("*•…\"' ")
        or (len(value) > 2 and not value.strip("*.xX-_?#"))  # `xxx`, `...`: two such characters say nothing
    )


def _is_marked(value: str) -> bool:
    is_such = _MARKS.get(value[0])
    return is_such is not None and is_such(value[1:])


def _is_shell_variable(rest: str) -> bool:
    return (
        rest[:1] in ("{", "(")  # `${TOKEN}`, `$(cat token)`
        or rest.replace("_", "").isalpha()
        or (len(rest) == 1 and rest.isdigit())  # `$1`; `$12` can be the beginning of a password
        or (rest.isupper() and rest.isidentifier())  # `$TOKEN_2`; but `$ecret1` is a password
    )


def _is_percent_format(rest: str) -> bool:
    return rest[:1] in ("(", "s", "r", "d", "{") or (rest.endswith("%") and rest[:-1].isidentifier())  # `%s`, `%TOKEN%`


def _is_in_angle_brackets(rest: str) -> bool:
    return ">" in rest or rest[:1] == "%"  # `<token>`, `<%= token %>`


def _is_between_at_signs(rest: str) -> bool:
    return _is_upper_between("@", rest)


def _is_between_underscores(rest: str) -> bool:
    return _is_upper_between("_", rest)


def _is_upper_between(mark: str, rest: str) -> bool:
    return rest.endswith(mark) and rest.replace("_", "").strip(mark).isalpha() and rest.isupper()  # `@TOKEN@`


def _is_word_in_parentheses(rest: str) -> bool:
    return rest.rstrip(")").isalpha()  # `(none)`, `(hidden)`


def _is_in_braces(rest: str) -> bool:
    return "}" in rest or rest[:1] == "{"  # `{token}`, `{{ token`


def _is_in_brackets(rest: str) -> bool:
    return rest.endswith("]")  # `[REDACTED]`


_MARKS = {
    "$": _is_shell_variable,
    "%": _is_percent_format,
    "<": _is_in_angle_brackets,
    "@": _is_between_at_signs,
    "_": _is_between_underscores,
    "(": _is_word_in_parentheses,
    "{": _is_in_braces,
    "[": _is_in_brackets,
}
"""The signs that a placeholder can begin with, and how it goes on after each."""


# -- words ---------------------------------------------------------------------------------------------------------


def is_plain(value: str) -> bool:
    """Whether a value is a word that nobody means as a secret: `None`, `required`, `str`, `enabled=true`."""
    lowered = value.lower()
    name, sign, said = lowered.partition("=")
    return lowered in _PLAIN or lowered.strip(".,:;!'\"") in _PLAIN or bool(sign and name.isalpha() and said in _STATES)


def is_state(value: str) -> bool:
    """Whether a value is the state of a secret, or the result of a test of that name: `missing`, `passed`."""
    return value.lower() in _STATES


def is_name(value: str) -> bool:
    """Whether a value is of small words, as the name is that a secret is stored under: `default/app-tls`."""
    return _WORDS.fullmatch(value) is not None


def is_wordy(value: str, *, least_words: int = 1) -> bool:
    """Whether a value consists of words and small numbers, as names, versions and places do.

    Args:
        value: any text.
        least_words: a value of fewer words is none.
    """
    if len(value) > _LONGEST_NAME:
        return False
    if _NUMBERS.fullmatch(value):
        return True
    pieces = _PIECE.findall(value.replace("OAuth", "Oauth"))  # or it would be the words `OA` and `uth`
    words = [piece for piece in pieces if piece.isalpha()]
    numbers_amid = sum(a.isdigit() and b.isalpha() for a, b in pairwise(pieces))  # as in `oauth2client`
    return (
        len(words) >= max(least_words, numbers_amid * 2)  # random text has a number after nearly every letter: `a1b2`
        and _have_length_of_words(words)
        and (not numbers_amid or all(map(_is_clearly_word, words)))
        and all(piece.isalpha() or _is_joint(piece) for piece in pieces)
        and not any(map(_CONSONANTS.search, words))
    )


def _have_length_of_words(words: list[str]) -> bool:
    few_short = sum(len(word) < _WORD_LETTERS for word in words) * 3 <= len(words)
    return few_short and sum(map(len, words)) >= _WORD_LETTERS * len(words)


def _is_clearly_word(word: str) -> bool:
    return len(word) >= _WORD_LETTERS and _VOWEL.search(word) is not None


def _is_joint(piece: str) -> bool:
    return len(piece) <= _NUMBER_DIGITS if piece.isdigit() else _JOINTS.issuperset(piece)


def is_identifier(value: str, *, quoted: bool) -> bool:
    """Whether a value is a name of several words as programs have: `nextToken`, `config.API_KEY`.

    Args:
        value: any text.
        quoted: the value stands in quotes, where a name is rarer: `"my_secret_2"` is more likely a chosen secret.
    """
    chosen = "-" in value or (quoted and (value.islower() or any(map(str.isdigit, value))))
    return not chosen and is_wordy(value, least_words=2)


def is_prose(value: str) -> bool:
    """Whether a value of several words is a sentence."""
    found = value.lower().replace(",", " ").replace(".", " ").split()
    return len(found) > 1 and any(word in _PROSE for word in found)


def is_place(value: str) -> bool:
    """Whether a value is a path or a URL. `formats` finds the secrets inside a URL."""
    return "://" in value or ("/" in value and _FILE.fullmatch(value) is not None) or _is_rooted_path(value)


def _is_rooted_path(value: str) -> bool:
    if value[:1] != "/" and value[:2] not in ("./", "~/", "..") and value[1:3] != ":\\":
        return False
    # Base64 is neither in lower case throughout nor has it dots.
    return value.islower() or "." in value or len(value) < _SHORT_PATH or value.count("/") * _PART_LENGTH > len(value)


# -- what people and machines make up ------------------------------------------------------------------------------


def is_mixed(value: str) -> bool:
    """Whether a value is of letters and something else, as most secrets are and few words."""
    letters = any(map(str.isalpha, value))
    if letters and any(map(str.isdigit, value)):
        return True
    inner = value.strip("*_`!")[:-1]  # marks around a word, and `?` or `!` after it, are those of prose
    if letters and any(sign in inner for sign in _ARTIFICIAL):
        return True
    changes = sum(a.islower() and b.isupper() for a, b in zip(value, inner[1:], strict=False))
    return changes > _CASE_CHANGES and value.replace("-", "").replace("_", "").isalnum() and not is_wordy(value)


def is_made(value: str, least: int) -> bool:
    """Whether a value looks random, and is no date, digest, version or id.

    Args:
        value: any text.
        least: how many characters it has at least.
    """
    if len(value) < least or not is_mixed(value) or any(map(str.isspace, value)):
        return False
    # Without what joins the parts of dates, times (2024-01-15T10:30:00.000Z), versions and UUIDs.
    joined = value.replace("-", "").replace(":", "").replace("T", "").replace("Z", "").replace(".", "")
    if joined.isdigit() or is_place(value) or value.startswith(_HARMLESS_BEGINNINGS):
        return False
    return not (len(joined) in _DIGEST_LENGTHS and _HEXADECIMAL.issuperset(joined))
