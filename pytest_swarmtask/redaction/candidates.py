"""Whether what follows the name of a secret is a secret, going by its look and by what stands around it.

Texts are also prose (`Password: must be longer`), code (`password=password`, see `code`) and settings
(`token=${TOKEN}`).
"""

from __future__ import annotations

import re

from pytest_swarmtask.redaction.code import is_closing_quote, is_code
from pytest_swarmtask.redaction.extents import BARE, WORD, extent
from pytest_swarmtask.redaction.hints import NO, PASSWORD, YES
from pytest_swarmtask.redaction.values import (
    is_made,
    is_mixed,
    is_name,
    is_placeholder,
    is_plain,
    is_wordy,
    is_written_secret,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    _Span = tuple[int, int]

_ANCHOR = re.compile(r"&[\w-]{1,40}")
_AND = re.compile(r"&(?!\w{1,8};)")
_SETS = re.compile(r"(?:^|\n|\\n)[ \t]*(?:[-+][ \t])?(?:(?:export|set|setx|ENV|ARG|declare -x|env)[ \t]+)?$")
"""What stands before the name of a setting: the beginning of a line (in a diff, too), or a shell's or Docker's word."""
_COMMANDS = re.compile(
    r"(?:^|\s)(?:ENV|ARG|setx|setenv|SetEnv|fastcgi_param|uwsgi_param|passenger_env_var|set[ ]-\w{1,3}|SecretString"
    r"|config(?:ure)? set)[ \t]+$"
)
"""What stands before a name whose value follows without a sign: `setx TOKEN x`."""
_NEARBY = 40
"""How far around a name the words above are looked for, and the end of `<set by vault>`: a few words."""

_WORD_LENGTH, _SENTENCE_LENGTH = 8, 20
"""From how many letters on a plain word is taken for a token: tightly bound to its name, and not. With 6 instead of 8,
`path=%s` in `checking cookie path=%s` would be hidden; with 10, `api_key != "admin123"` would be shown; with 12 instead
of 20, `response.json()` in `token = response.json()["a"]` would be hidden."""
_SHORT_WORD = 6
"""A random word that only follows a password's name may be shorter than one that follows a token's."""
_LONG_WORD = 16
"""From this length on a random word in quotes is a secret though its name may mean something else: `tokens: ["x"]`."""
_CHOSEN = re.compile(r"[A-Z][a-z]{3,16}[-_.#@+]?\d{2,4}[!#?$*x]?")
"""A word and a number, as people choose passwords: `Summer-24!`."""
_REST_OF_ITEM = 200
"""How far the end of a line is looked for after a value."""

_VERDICTS = ("PASS", "Pass", "pass")
"""More often a result or a verb than a name: `PASS: test_x`, `pass name=value`, `pass: 12`."""
_ASSIGNMENTS = ("=", "=>", ":=")
_COMPARISONS = ("==", "!=", "===", "!==")


def secret_after(text: str, m: re.Match[str], level: int) -> _Span | None:
    """Return where the secret is that this name names, if there is one."""
    found = _Candidate(text, m, level)
    return (found.start, found.end) if _has_value(found) and _is_secret(found) else None


def is_chosen_or_made(value: str, level: int) -> bool:
    """Whether a value is of letters and something else, and no name if its own name is that of a machine's secret."""
    if level < YES:
        return level != NO and value.isalnum() and is_made(value, _LONG_WORD) and not is_wordy(value)
    return is_mixed(value) and (level == PASSWORD or not is_wordy(value) or _CHOSEN.fullmatch(value) is not None)


# -- whether there is a value --------------------------------------------------------------------------------------


class _Candidate:
    """The name of a secret in a text, and what follows it and may be the secret.

    Attributes:
        text: the whole text.
        match: the match of the pattern that found the name.
        name: the name.
        sign: the sign between name and value, if there is one.
        level: what the name says of its value.
        before: the character before the name, if there is one.
        is_setting: a line begins with the name, as in `DB_PASSWORD=…`: any sign can be a part of the value.
        is_spaced: there is a space before the value.
        start: where the value begins, behind the quote if there is one.
        end: where the value ends.
        is_quoted: the value stands in quotes.
        value: the value; may be empty.
    """

    __slots__ = (
        "before", "end", "is_quoted", "is_setting", "is_spaced", "level", "match", "name", "sign", "start", "text",
        "value",
    )  # fmt: skip

    def __init__(self, text: str, match: re.Match[str], level: int) -> None:
        self.text = text
        self.match = match
        self.name: str = match["name"]
        self.sign: str | None = match["sign"]
        self.level = level
        self.before = text[max(0, match.start() - 1) : match.start()]
        self.is_setting = self.sign == "=" and self.stands_after(_SETS)
        self.is_spaced = text[match.end() - 1] == " "
        self.start, self.end, self.is_quoted = extent(text, match.end(), WORD if self.is_setting else BARE)
        if self.sign == ":" and self.is_spaced and not self.is_quoted and _AND.match(text, self.end):
            self.end = extent(text, self.start, WORD)[1]  # in YAML, not in a query or in HTML
        self.value = text[self.start : self.end]

    def stands_after(self, pattern: re.Pattern[str]) -> bool:
        """Whether this pattern matches directly before the name."""
        start = self.match.start()
        return pattern.search(self.text, max(0, start - _NEARBY), start) is not None


def _has_value(found: _Candidate) -> bool:
    if any(is_such(found) for is_such in _APART) or not found.value:
        return False
    return not any(is_such(found) for is_such in (_QUOTED_NO_VALUES if found.is_quoted else _BARE_NO_VALUES))


def _is_result(found: _Candidate) -> bool:
    return found.name in _VERDICTS and found.sign in (None, ":")


def _is_class(found: _Candidate) -> bool:
    return found.level == YES and found.text.endswith("::", 0, found.match.start())  # `Amazon::AccessToken`


def _is_end_of_path(found: _Candidate) -> bool:
    return found.sign is None and found.before == "/"  # `cat /run/secrets/token file`


def _is_argument(found: _Candidate) -> bool:
    # `set(token, "x")`; but in `['--token', 'x']` and `:token, 'x'` the next item is the value.
    return (found.match["flag"] or "").startswith(",") and found.before != ":"


def _is_greater_sign(found: _Candidate) -> bool:
    return found.sign == ">" and found.before not in ("<", ":")  # not `<password>x`, `<ns:password>x`


def _is_between_colons(found: _Candidate) -> bool:
    return found.sign == ":" == found.before == found.text[found.match.end() - 1]  # `a:token:b`


_APART = (
    _is_result,
    _is_class,
    _is_end_of_path,
    _is_argument,
    _is_greater_sign,
    _is_between_colons,
)
"""Where the text that follows a name has nothing to do with it."""


def _is_name_again(found: _Candidate) -> bool:
    return found.name.lower().endswith(found.value.rstrip(",;").lower())  # `db_password=password`


def _has_closing_quote(found: _Candidate) -> bool:
    start, name_end = found.match.span("name")
    return is_closing_quote(found.text, start, name_end, found.match.end())


def _has_leading_space(found: _Candidate) -> bool:
    return found.value[0].isspace()  # `"the token=" + x + " is wrong"`: the quote ends a text, too


def _is_rest_of_code(found: _Candidate) -> bool:
    return found.value[0] in ")]}," and found.end == len(found.text)  # the quote is never closed: it ends a text


def _is_command(found: _Candidate) -> bool:
    return found.text[found.end : found.end + 1] == "`" and " " in found.value  # "token: `cat token.txt`"


_QUOTED_NO_VALUES = (
    _is_name_again,
    _has_closing_quote,
    _has_leading_space,
    _is_rest_of_code,
    _is_command,
)
"""Text in quotes after the name of a secret that is not its value."""


def _is_after_nothing(found: _Candidate) -> bool:
    # With a space after the sign but none before it nothing was assigned: `--password= is new`, `password= size=3`; or
    # a tag is explained: `<password> size=3`. Only in `password= a1b2c3` the space is more likely a slip.
    if found.sign not in ("=", ">") or not found.is_spaced or found.text[found.match.end("name")] == " ":
        return False
    return found.sign == ">" or "=" in found.value or not is_mixed(found.value)


def _is_described(found: _Candidate) -> bool:
    return found.value[0] == "<" and ">" in found.text[found.end : found.end + _NEARBY]  # `<set by vault>`


def _is_shell_error(found: _Candidate) -> bool:
    return found.value[0] == "?" and found.text.endswith("${", 0, found.match.start())  # `${TOKEN:?is not set}`


def _is_host(found: _Candidate) -> bool:
    return found.sign == ">" and found.value[0] == "@"  # `https://<token>@example.com`


def _is_anchor(found: _Candidate) -> bool:
    return found.sign == ":" and _ANCHOR.fullmatch(found.value) is not None  # of YAML: `auth: &auth`


def _is_number_of_bytes(found: _Candidate) -> bool:
    return found.value.isdigit() and found.name.lower().endswith("bytes")  # `LONGEST_SECRET_BYTES = 1048576`


def _is_code(found: _Candidate) -> bool:
    return is_code(found.text, found.value, found.end, found.sign, spaced=found.is_spaced)


_BARE_NO_VALUES = (
    _is_name_again,
    _is_after_nothing,
    _is_described,
    _is_shell_error,
    _is_host,
    _is_anchor,
    _is_number_of_bytes,
    _is_code,
)
"""Text without quotes after the name of a secret that is not its value."""


# -- whether the value is a secret ---------------------------------------------------------------------------------


def _is_secret(found: _Candidate) -> bool:
    if found.match["list"] and not is_chosen_or_made(found.value, found.level):
        return False  # `secrets: ["db_password"]` lists names
    if found.is_quoted and found.sign in _ASSIGNMENTS and found.level == PASSWORD:
        return not (is_placeholder(found.value) or is_plain(found.value))  # a whole sentence can be a passphrase
    return (
        _is_told_from_prose(found)
        and is_written_secret(
            found.value,
            found.level,
            quoted=found.is_quoted,
            bound=_is_bound(found) if found.sign else _is_announced(found),
            shortest_word=_shortest_word(found),
        )
        and not _is_stored_name(found)
    )


def _is_told_from_prose(found: _Candidate) -> bool:
    """Whether a value that only follows a name, or is compared with it, cannot be prose or code."""
    if found.sign in _COMPARISONS:
        return found.level == PASSWORD or is_made(found.value, _WORD_LENGTH)
    return bool(found.sign or found.match["verb"] or found.is_quoted or _is_option(found) or _is_striking(found))


def _is_striking(found: _Candidate) -> bool:
    """Whether a word that only follows a name cannot be just the next word of a sentence."""
    word = found.value.strip("*_.,;:!?")
    if not is_made(word, _SHORT_WORD if found.level == PASSWORD else _WORD_LENGTH):
        return False
    # A person may choose a word and a number, `summer24`, in small letters.
    return not is_wordy(word) or (
        found.level == PASSWORD and (word.islower() or _CHOSEN.fullmatch(found.value) is not None)
    )


def _is_bound(found: _Candidate) -> bool:
    """Whether the sign between name and value leaves no doubt that they belong together, as in ``password=x``."""
    if found.sign in _COMPARISONS:
        return found.is_quoted
    return found.is_quoted or found.sign != ":" or _is_end_of_item(found.text, found.end)


def _is_announced(found: _Candidate) -> bool:
    """Whether a value without a sign surely belongs to the name, as in ``--password x`` and ``PASSWORD 'x'``."""
    if found.match["verb"] is not None:
        return found.is_quoted
    if _is_option(found):
        return True
    return found.is_quoted and found.level == PASSWORD and "," not in found.match["flag"]


def _is_option(found: _Candidate) -> bool:
    """Whether a name is an option of a command, or is set by a command: what follows is its value."""
    return found.name.startswith("-") or found.stands_after(_COMMANDS)


def _is_end_of_item(text: str, end: int) -> bool:
    """Whether a line, or an item of it, ends here."""
    rest = text[end : end + _REST_OF_ITEM].partition("\n")[0].strip()
    return not rest or rest[0] in ",}])#"


def _is_stored_name(found: _Candidate) -> bool:
    # `--secret db-password` names what is kept elsewhere; in quotes and in settings it is a value like any other.
    return found.level == YES and not found.is_quoted and not found.is_setting and is_name(found.value)


def _shortest_word(found: _Candidate) -> int:
    """Return from how many letters on a plain word is taken for a token."""
    is_tight = bool(found.sign) and not found.is_spaced  # `token=x`
    is_field = found.sign == ":" and len(found.name.replace("-", "_").strip("_").split("_")) > 1  # `api_key: x`
    # `--token OMTNwncxvj`, `Secret: oHUDyFwrkE`, but not `--token required` and `Token: Unterminated`
    is_random = (_is_option(found) or _is_of_mixed_case(found.value)) and not is_wordy(found.value)
    return _WORD_LENGTH if is_tight or is_field or is_random else _SENTENCE_LENGTH


def _is_of_mixed_case(word: str) -> bool:
    return not (word[1:].islower() or word.isupper())
