"""What a value looks like whose name says that it is, or may be, a secret."""

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
_PROSE = (*_PLAIN, "can", "cannot", "may", "please", "are", "were", "have", "does", "do", "use", "when", "if")
_ARTIFICIAL = "!@#$%^&*?~+="
_LONG, _SHORT, _LONGEST_NAME = 16, 6, 200
_SHORTEST = {PASSWORD: 3, YES: 4}
_REFERENCES = (
    "env:",
    "file:",
    "vault:",
    "ssm:",
    "op://",
    "env.",
    "secrets.",
    "vars.",
    "id=",
    "env=",
    "src=",
    "name=",
    "arn:",
)
"""How a value begins that says where the secret is kept."""
_BLANKS = re.compile(r"(?i)(?:your|insert|replace)[-_ ][a-z_ -]+|[a-z_ -]+[-_ ]here")
_FILLED_IN = re.compile(r"\$?\{[A-Za-z_][\w.\[\]()]{0,60}\}|\{\{")
"""A part that is put in later, as in an f-string: `share-{number}`."""
_ALGORITHM = re.compile(r"(?i)(?:ed|x|curve|rsa|ecdsa|dsa|aes|[hrep]s|sha|md|secp|p|hmac-?sha)[-_]?\d{1,5}(?:[krv]1)?")
_HEADER = re.compile(r"Authorization|Cookie|[A-Z][a-z]{0,14}(?:-[A-Z][a-z]{0,14}){1,4}")
_WORDS = re.compile(r"[a-z]{1,16}(?:[-_/][a-z]{1,16}){1,6}")
_NUMBERS = re.compile(
    r"[v^~<>=#]{0,3}\d{1,5}(?:[.:/-]\d{1,5}){2,9}(?:[-+.]?[a-z]{1,8}[.-]?\d{0,4}){0,2}|\d{1,4}\.\d{1,4}|(?:#|0x)[0-9A-Fa-f]{1,8}"
)
"""A version or a range of them, an address, a date, a time, a colour, a short code."""
_PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]+")
_CONSONANTS = re.compile(r"(?i)[^aeiouy]{5}|^[^aeiouy]{4}")
_VOWEL = re.compile(r"(?i)[aeiouy]")
_JOINTS = frozenset("-_.:/$#@")
_WORD_LETTERS, _NUMBER_DIGITS = 3, 4
"""How long the words of a name are at least on average, since what a machine makes changes its case sooner, and how
long its numbers are at most."""
_FILE = re.compile(r"[\w.-]{1,64}(?:/[\w.-]{1,64}){1,16}\.[a-z]{1,5}")


def looks_secret(value: str, level: int) -> bool:
    """Tell whether a value under a name of this level is one to hide, where nothing else tells."""
    if level == NO or is_placeholder(value) or is_place(value):
        return False
    if level in (KEY, MAYBE):
        return is_made(value, _LONG if level == KEY else _SHORT) and not is_wordy(value)
    return level == PASSWORD or not (
        _NUMBERS.fullmatch(value) or _ALGORITHM.fullmatch(value) or _HEADER.fullmatch(value)
    )


def is_placeholder(value: str) -> bool:
    """Tell whether a value only stands for one: `***`, `${TOKEN}`, `<your token>`, `{{ token }}`, `%s`."""
    if (
        "****" in value
        or value.startswith("***")
        or not value.strip("*•…\"' ")
        or (len(value) > 2 and not value.strip("*.xX-_?#"))
    ):
        return True
    if value.startswith(_REFERENCES) or _FILLED_IN.search(value):
        return True
    first, rest = value[0], value[1:]
    if first == "$":
        return (
            rest[:1] in ("{", "(")
            or rest.replace("_", "").isalpha()
            or (len(rest) == 1 and rest.isdigit())
            or (rest.isupper() and rest.isidentifier())
        )
    if first == "%":
        return rest[:1] in ("(", "s", "r", "d", "{") or (rest.endswith("%") and rest[:-1].isidentifier())
    return (
        _BLANKS.fullmatch(value) is not None
        or (first == "<" and (">" in rest or rest[:1] == "%"))
        or (first in "@_%" and value[-1] == first and value.replace("_", "").strip(first).isalpha() and value.isupper())
        or (first == "(" and rest.rstrip(")").isalpha())
        or (first == "{" and ("}" in rest or rest[:1] == "{"))
        or (first == "[" and value.endswith("]"))
    )


def is_plain(value: str) -> bool:
    """Tell whether a value is a word that nobody means as a secret: `None`, `required`, `str`."""
    lowered = value.lower()
    name, sign, said = lowered.partition("=")
    return lowered in _PLAIN or lowered.strip(".,:;!'\"") in _PLAIN or bool(sign and name.isalpha() and said in _STATES)


def is_state(value: str) -> bool:
    """Tell whether a value only says how it stands with a secret, or a test of that name: `missing`, `passed`."""
    return value.lower() in _STATES


def is_name(value: str) -> bool:
    """Tell whether a value is of words, as the name of a secret is: `db-password`, `default/app-tls`."""
    return _WORDS.fullmatch(value) is not None


def is_wordy(value: str, *, least: int = 1) -> bool:
    """Tell whether a value is put together from this many words and small numbers: a name, a version, a place."""
    if len(value) > _LONGEST_NAME:
        return False
    if _NUMBERS.fullmatch(value):
        return True
    pieces = _PIECE.findall(value.replace("OAuth", "Oauth"))
    words = [piece for piece in pieces if piece.isalpha()]
    rest = [piece for piece in pieces if not piece.isalpha()]
    amid = [a for a, b in pairwise(pieces) if a.isdigit() and b.isalpha()]
    letters = sum(map(len, words))
    return (
        len(words) >= max(least, len(amid) * 2)
        and letters >= _WORD_LETTERS * len(words)
        and sum(len(word) < _WORD_LETTERS for word in words) * 3 <= len(words)
        and (not amid or all(len(word) >= _WORD_LETTERS and _VOWEL.search(word) for word in words))
        and all(len(part) <= _NUMBER_DIGITS if part.isdigit() else _JOINTS.issuperset(part) for part in rest)
        and not any(map(_CONSONANTS.search, words))
    )


def is_identifier(value: str, *, quoted: bool) -> bool:
    """Tell whether a value is a name of several words as programs have: `nextToken`, `config.API_KEY`."""
    chosen = "-" in value or (quoted and (value.islower() or any(map(str.isdigit, value))))
    return not chosen and is_wordy(value, least=2)


def is_prose(value: str) -> bool:
    """Tell whether a value of several words is a sentence."""
    found = value.lower().replace(",", " ").replace(".", " ").split()
    return len(found) > 1 and any(word in _PROSE for word in found)


def is_place(value: str) -> bool:
    """Tell whether a value is a path, or a URL: what is secret in that is found by itself."""
    if "://" in value or ("/" in value and _FILE.fullmatch(value)):
        return True
    if value[:1] == "/" or value[:2] in ("./", "~/", "..") or value[1:3] == ":\\":
        return value.islower() or "." in value or len(value) < _LONG or value.count("/") * 12 > len(value)
    return False


def is_mixed(value: str) -> bool:
    """Tell whether a value is of letters and something else, as most secrets are and few words."""
    letters = any(map(str.isalpha, value))
    if letters and any(map(str.isdigit, value)):
        return True
    inner = value.strip("*_`!")[:-1]
    if letters and any(sign in inner for sign in _ARTIFICIAL):
        return True
    changes = sum(a.islower() and b.isupper() for a, b in zip(value, inner[1:], strict=False))
    return changes > 2 and value.replace("-", "").replace("_", "").isalnum() and not is_wordy(value)


def is_made(value: str, least: int) -> bool:
    """Tell whether a value has this many characters, looks made by a machine, and is no date, digest, version or id."""
    if len(value) < least or not is_mixed(value) or any(map(str.isspace, value)):
        return False
    digits = value.replace("-", "").replace(":", "").replace("T", "").replace("Z", "").replace(".", "")
    if digits.isdigit() or is_place(value) or value.startswith(("sha1", "sha2", "sha3", "sha5", "md5", "ssh-", "arn:")):
        return False
    return not (len(digits) in (32, 40, 64, 96, 128) and all(c in "0123456789abcdefABCDEF" for c in digits))


def is_written_secret(value: str, level: int, *, quoted: bool, loose: bool, least: int = 8) -> bool:
    """Tell whether a value that stands in a text is one to hide.

    Args:
        value: not empty.
        level: what its name says.
        quoted: it stands in quotes.
        loose: what stands between name and value, and after it, says that it is a value and not prose.
        least: how long a plain word must be to be taken for what a machine made.
    """
    if not looks_secret(value, level) or is_plain(value) or not any(map(str.isalnum, value)):
        return False
    if level in (KEY, MAYBE):
        return True
    a_name = level == YES and is_identifier(value, quoted=quoted)
    if a_name or len(value) < _SHORTEST[level] or _NUMBERS.fullmatch(value):
        return False
    if value.isdigit():
        return len(value) >= (4 if level == PASSWORD else _SHORT)
    if quoted and loose:
        return not is_prose(value) or is_mixed(value.split(maxsplit=1)[0])
    mixed = is_mixed(value)
    return (mixed or loose) and (level == PASSWORD or len(value) >= (_SHORT if mixed else least))
