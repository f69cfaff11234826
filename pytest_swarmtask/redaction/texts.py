"""Secrets that a text names: `password=…`, `"apiKey": "…"`, `--token …`, `Authorization: …`, in whatever language.

A name is found first and judged by itself (`secret_names`); what follows is a value, judged by how it looks, since
texts are also prose (`Password: must be longer`), code (`password=password`) and settings (`token=${TOKEN}`).
"""

from __future__ import annotations

import re

from pytest_swarmtask.redaction.code import closes_text, is_code
from pytest_swarmtask.redaction.headers import header_secret
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
    from collections.abc import Callable, Iterator

# A name, perhaps with its type as in `password: str = "x"`, and a sign; a line may end between it and the value in YAML
# and before quotes.
_NAMED = re.compile(
    r"""
    (?<![\w.-])
    (?P<name>
        (?:(?i:api|access|secret|unseal|private|auth|signing|encryption|connection|account|shared|mot[ ]de)[ ])?
        [\w.-]{2,100}
    )
    (?![\w.-])(?:[ ]\d(?=:))?
    (?:
        [\]"'`\\]{0,8}[ \t\u00a0]{0,40}(?::[ ]?(?:str|bytes|SecretStr)[ ]?(?:\|[ ]?None[ ]?)?(?==[^=]))?
            (?P<sign>=>|->|:=|[+?]=|[=!]={1,2}|=|:(?!:|//)|(?:%22)?%3[AaDd](?:%22)?|>)
            (?:[ \t]{0,40}[|>][-+]?[ \t]{0,4}\r?\n\s{1,40}|\s{0,40}(?=["'\\])|[ \t\u00a0]{0,40})
        | (?P<verb>[ ](?:(?:is|was)(?:[ ]now)?:?|provided:)[ ])  # the password is x
        | (?P<flag>["']?,[ ]?(?=[bru]?["'])|[ \t]{1,4}(?=[^\s-]))  # --password x, '--password', 'x'
    )
    """,
    re.VERBOSE,
)
_PAIR = re.compile(
    r"""
    \b(?i:name|key|header|variable)["'\\]{0,4}\s{0,4}[=:]\s{0,4}["'\\]{0,4}
    (?P<name>[\w.-]{2,100})
    ["'\\]{0,4},?\s{0,40}["'\\]{0,4}(?i:value)["'\\]{0,4}\s{0,4}[=:]\s{0,4}
    """,
    re.VERBOSE,
)
_ELEMENT = re.compile(r"<(?:[\w-]{1,40}:)?(?P<name>[\w.-]{2,100})\s[^<>]{1,200}>(?=[^<>]{1,4096}</)")
_ATTRIBUTE = re.compile(r"""\b(?:key|name)=["'](?P<name>[\w.-]{2,100})["'][^<>]{0,200}>(?=[^<>]{1,4096}</)""")
_COMPARED = re.compile(
    r"""
    (?P<quote>["'])(?P<value>[^\s"']{6,200})(?P=quote)[ ][!=]?=[ ]
    (?:[^\s=]{0,80}[.])?(?P<name>[A-Za-z_]\w{1,60})(?=[\s;,]|$)
    """,
    re.VERBOSE,
)
"""As in ``assert 'x' == config.password``, and as pytest explains it: ``where 'x' = Config(...).password``."""
_LOGIN = re.compile(
    r"""
    (?:(?i:basic|digest|proxy)_?[Aa]uth\w{0,10}\(|\b(?i:auth)["']?\s?[=:]\s?\()\s?
    ["'][^"'\s]{1,100}["'],\s?["'](?P<value>[^"'\s]{1,200})["']
    """,
    re.VERBOSE,
)
"""A user and the password: ``auth=('ann', 'x')``."""
_WRAPPED = re.compile(r"\w{0,20}(?:Str|String|Secret|Bytes|Password|Token)\((?=['\"])")
"""What a value is wrapped in as programs show it: ``SecretStr('x')``."""
_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}[(\[]")
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")
_BARE = re.compile(r"""[^\s"'<>`,;&|(){}\[\]\\]{1,4096}""")
_WORD = re.compile(r"""[^\s"'`\\]{1,4096}""")
_LINE = re.compile(r"""[^\r\n"'\\]{1,1000}""")
_DEFINES = re.compile(r"(?:^|\n|\\n)[ \t]*(?:[-+][ \t])?(?:(?:export|set|setx|ENV|ARG|declare -x|env)[ \t]+)?$")
_COMMANDS = re.compile(r"(?:^|\s)(?:ENV|ARG|setx|setenv|SecretString|config(?:ure)? set)[ \t]+$")
_LONGEST = 8192
_WORD_LENGTH, _SENTENCE_LENGTH = 8, 20
"""From how many letters on a plain word is taken for a token: tightly bound to its name, and not."""
_BEFORE, _FIELDS = 40, 1000
_VERDICTS = ("PASS", "Pass", "pass")
"""More often a result or a verb than a name: `PASS: test_x`, `pass name=value`, `pass: 12`."""
_ASSIGNMENTS = ("=", "=>", ":=")
_COMPARISONS = ("==", "!=", "===", "!==")


def without_named(text: str, mask: str, meaning: Callable[[str], int]) -> str:
    """Return the text with the values masked that it names as secrets.

    Args:
        text: any text.
        mask: what stands there instead.
        meaning: tells what a name says of its value.
    """
    pieces: list[str] = []
    done = 0
    for start, end in _spans(text, meaning):
        if start >= done:
            pieces += (text[done:start], mask)
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def without_colours(text: str) -> str:
    """Return the text without what sets colours on a terminal."""
    return _COLOUR.sub("", text)


def _spans(text: str, meaning: Callable[[str], int]) -> Iterator[tuple[int, int]]:
    found = [(m.start(), m.span("value")) for m in _COMPARED.finditer(text) if _is_compared(m, meaning)]
    found += [(m.start(), m.span("value")) for m in _LOGIN.finditer(text) if not is_placeholder(m["value"])]
    matches = (m for pattern in (_PAIR, _ELEMENT, _ATTRIBUTE) for m in pattern.finditer(text))
    found += [(m.end(), span) for m in matches if (span := _paired(text, m, meaning))]
    position = 0
    while m := _NAMED.search(text, position):
        level = meaning(m["name"])
        span = _value(text, m, level) if level != NO else None
        position = m.end() if span is None else max(m.end(), span[1])
        if span is not None:
            found.append((m.end(), span))
        elif m["flag"] is not None or m["verb"] is not None:
            position = m.end("name")  # what follows is a name of its own
    return (span for _, span in sorted(found))


def _is_compared(m: re.Match[str], meaning: Callable[[str], int]) -> bool:
    """Tell whether what is compared with a name is its secret, as in ``assert 'x' == config.password``."""
    return is_written_secret(m["value"], meaning(m["name"]), quoted=True, loose=True) and is_mixed(m["value"])


def _paired(text: str, m: re.Match[str], meaning: Callable[[str], int]) -> tuple[int, int] | None:
    start, end, quoted = _extent(text, m.end(), _BARE)
    value = text[start:end]
    level = meaning(m["name"])
    return (start, end) if value and is_written_secret(value, level, quoted=quoted, loose=True) else None


def _value(text: str, m: re.Match[str], level: int) -> tuple[int, int] | None:
    """Return where the secret is that this name names, if there is one."""
    name, sign = m["name"], m["sign"]
    head = name.lower().rpartition("-")[2].rpartition("_")[2]
    if head in ("authorization", "cookie") and sign is not None:
        start, end, _ = _extent(text, m.end(), _LINE)
        if text.endswith("=", start, end):  # Digest username="ann", response="…"
            end += len(text[end : end + _FIELDS].partition("\n")[0])
        if sign == "=" and text[start - 1] == " " and _CALL.match(text, start):
            return None
        found = header_secret(text[start:end], cookie=head == "cookie")
        return (start + found[0], start + found[1]) if found else None
    if _is_apart(text, m, level):
        return None
    defines = sign == "=" and bool(_DEFINES.search(text, max(0, m.start() - _BEFORE), m.start()))
    start, end, quoted = _extent(text, m.end(), _WORD if defines else _BARE)
    value = text[start:end]
    if (
        not value
        or name.lower().endswith(value.rstrip(",;").lower())
        or _is_no_value(text, m, value, end, quoted=quoted)
    ):
        return None
    if quoted and sign in _ASSIGNMENTS and level == PASSWORD:  # also a whole sentence
        return None if is_placeholder(value) or is_plain(value) else (start, end)
    loose = _is_bound(text, m, end, quoted=quoted) if sign else _is_announced(text, m, level, quoted=quoted)
    compound = len(name.replace("-", "_").strip("_").split("_")) > 1
    least = _WORD_LENGTH if (sign and text[m.end() - 1] != " ") or (compound and sign == ":") else _SENTENCE_LENGTH
    secret = (
        _is_said(text, m, value, level, quoted=quoted)
        and is_written_secret(value, level, quoted=quoted, loose=loose, least=least)
        and (quoted or defines or level != YES or not is_name(value))
    )
    return (start, end) if secret else None


def _said(name: str) -> tuple[str, str]:
    return name, name.rpartition(".")[2].lstrip("_")  # `self._password = password`


def _is_said(text: str, m: re.Match[str], value: str, level: int, *, quoted: bool) -> bool:
    """Tell whether a value that only follows a name, or is compared with it, stands out from prose and code."""
    if m["sign"] in _COMPARISONS:
        return level == PASSWORD or is_made(value, _WORD_LENGTH)
    return bool(m["sign"] or m["verb"] or quoted or _is_option(text, m) or _stands_out(value, level))


def _is_apart(text: str, m: re.Match[str], level: int) -> bool:
    """Tell whether what follows a name has nothing to do with it: it ends a path, a tag or an argument."""
    sign, before = m["sign"], text[max(0, m.start() - 1) : m.start()]
    if m["name"] in _VERDICTS and sign in (None, ":"):
        return True
    if level == YES and text[max(0, m.start() - 2) : m.start()] == "::":
        return True  # a class: `Amazon::AccessToken`
    if sign is None:
        return before == "/" or ((m["flag"] or "")[:1] == "," and before != ":")
    return (sign == ">" and before not in ("<", ":")) or (sign == ":" == before == text[m.end() - 1])


def _is_no_value(text: str, m: re.Match[str], value: str, end: int, *, quoted: bool) -> bool:
    """Tell whether a value is code, or none at all since the quote before it ended something."""
    if quoted:
        closed = end < len(text)
        return closes_text(text, m.start(), m.end("name"), m.end()) or (
            value[0].isspace() or (value[0] in ")]}," and not closed) or (text[end : end + 1] == "`" and " " in value)
        )  # a command
    apart = m["sign"] in ("=", ">") and text[m.end() - 1] == " " != text[m.end("name")]
    if apart and (m["sign"] == ">" or "=" in value or not is_mixed(value)):
        return True  # `--password= is new`, `password= size=3`, `<password> size=3`
    if value[0] == "<" and ">" in text[end : end + _BEFORE]:
        return True  # `<set by vault>`
    if (value[0] == "?" and text.endswith("${", 0, m.start())) or (m["sign"] == ">" and value[0] == "@"):
        return True
    return is_code(text, value, end, m["sign"], spaced=text[m.end() - 1] == " ")


def _is_bound(text: str, m: re.Match[str], end: int, *, quoted: bool) -> bool:
    """Tell whether the sign between name and value says that the one is of the other, as in ``password=x``."""
    if m["sign"] in _COMPARISONS:
        return quoted
    return quoted or m["sign"] != ":" or _ends(text, end)


def _is_announced(text: str, m: re.Match[str], level: int, *, quoted: bool) -> bool:
    """Tell the same where there is no sign between them, as in ``--password x`` and ``PASSWORD 'x'``."""
    if m["verb"] is not None:
        return quoted
    if _is_option(text, m):
        return True
    return quoted and level == PASSWORD and "," not in m["flag"]


def _is_option(text: str, m: re.Match[str]) -> bool:
    """Tell whether a name is an option of a command, or is set by one: what follows is its value."""
    return m["name"].startswith("-") or bool(_COMMANDS.search(text, max(0, m.start() - _BEFORE), m.start()))


def _stands_out(value: str, level: int) -> bool:
    """Tell whether a word that only follows a name, as in prose, cannot be just the next word of a sentence."""
    word = value.strip("*_.,;:!?")
    return is_made(word, 6 if level == PASSWORD else _WORD_LENGTH) and not (
        is_wordy(word) and (level != PASSWORD or not word.islower())
    )


def _ends(text: str, end: int) -> bool:
    """Tell whether a line, or an item of it, ends here."""
    rest = text[end : end + 200].partition("\n")[0].strip()
    return not rest or rest[0] in ",}])#"


def _extent(text: str, at: int, bare: re.Pattern[str]) -> tuple[int, int, bool]:
    """Return where the value begins and ends that stands here, and whether it is quoted."""
    wrapped = _WRAPPED.match(text, at)
    quoted = _quoted(text, wrapped.end() if wrapped else at)
    if quoted:
        return (*quoted, True)
    m = bare.match(text, at)
    return (m.start(), m.end(), False) if m else (at, at, False)


def _quoted(text: str, at: int) -> tuple[int, int] | None:
    while text[at : at + 1] in ("b", "B", "r", "R", "u", "U", "f", "F", "&", "@") and text[at + 1 : at + 2] in (
        "'",
        '"',
    ):
        at += 1
    slashes = at
    while text[at : at + 1] == "\\":
        at += 1
    quote = text[at : at + 1]
    if not quote or quote not in "\"'`":
        return None
    closing = text[slashes:at] + (quote * 3 if text.startswith(quote * 3, at) else quote)
    start = at + len(closing) - (at - slashes)
    end = text.find(closing, start, start + _LONGEST)
    while end > 0 and closing == quote and (end - len(text[start:end].rstrip("\\")) - start) % 2:
        end = text.find(closing, end + 1, start + _LONGEST)  # that one was escaped
    return start, end if end >= 0 else min(len(text), start + _LONGEST)
