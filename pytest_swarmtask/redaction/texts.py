"""Secrets that a text names: `password=…`, `"apiKey": "…"`, `--token …`, `Authorization: …`, in whatever language.

A pattern finds a name, and `names` says whether it is the name of a secret. The value that follows is then judged by
how it looks (`values`) and by what stands around it, since texts are also prose (`Password: must be longer`), code
(`password=password`, see `code`) and settings (`token=${TOKEN}`).
"""

from __future__ import annotations

import re

from pytest_swarmtask.redaction.code import is_closing_quote, is_code
from pytest_swarmtask.redaction.hints import NO, PASSWORD, YES
from pytest_swarmtask.redaction.values import (
    is_made,
    is_mixed,
    is_name,
    is_place,
    is_placeholder,
    is_plain,
    is_wordy,
    is_written_secret,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    _Span = tuple[int, int]

# A name, perhaps with its type as in `password: str = "x"`, and a sign; a line may end between it and the value in YAML
# and before quotes.
_NAMED = re.compile(
    r"""
    (?<![\w.-])
    (?P<name>
        (?:(?i:api|access|secret|unseal|private|auth|signing|encryption|connection|account|shared|mot[ ]de)[ ](?=\w))?
        [\w.-]{2,100}
    )
    (?![\w.-])(?:[ ]\d(?=:))?
    (?:
        (?:[\]"'`\\]{0,8}|\[\]|&quot;)[ \t\u00a0]{0,40}
            (?:
                (?::[ ]?|[ ](?=string\b)|[ ]As[ ](?=String\b))  # a type, in the ways of many languages
                (?:&(?:'static[ ])?str|[sS]tring|str|bytes|SecretStr)[ ]?(?:\|[ ]?None[ ]?)?(?==[^=])
                | :[ ]?(?:Final|Optional|Annotated|ClassVar)(?:\[[^=\n"']{1,80}\])?[ ]?(?==[ ]?["'])
            )?
            (?P<sign>&gt;|\|\|=?(?=[ ]?["'])|\?\?=?(?=[ ]?["'])|<-(?=[ ]?["'])
                |=>|->|:=|[+?]=|[=!]={1,2}|=|:(?!:|//)|(?:%22)?%3[AaDd](?:%22)?|>)
            (?:
                [ \t]{0,40}(?:!!(?:str|binary)|&[\w-]{1,40})[ ]
                | [ \t]{0,40}\r?\n\s{0,40}-[ ](?=[^\s:]{4,200}[ \t]{0,40}(?:\n|$))  # an item of a YAML list
                | [ \t]{0,40}[|>][-+]?[ \t]{0,4}\r?\n\s{1,40}
                | \s{0,40}(?=["'\\]|string\(\d)
                | <!\[CDATA\[
                | [ \t]{0,40}(?P<list>\[)\s{0,40}(?=["'])
                | [ ]?&quot;
                | [ \t\u00a0]{0,40}
            )
        | (?P<verb>[ ](?:(?:is|was)(?:[ ]now)?:?|(?:(?:re)?set|changed|updated)[ ]to:?|provided:)[ ])
        | (?P<flag>["']?,[ ]{0,4}(?=[bru]?["'])|[ \t]{1,4}(?=[^\s-]))  # --password x, '--password', 'x'
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
_ATTRIBUTE = re.compile(
    r"""\b(?:key|name)=["'](?P<name>[\w.-]{2,100})["'][^<>]{0,200}>(?:\s{0,40}<value>)?(?=[^<>]{1,4096}</)"""
)
_ELEMENTS = re.compile(
    r"""<(?:name|key)>(?P<name>[\w.-]{2,100})</(?:name|key)>\s{0,40}<(?:value|string)>(?=[^<>]{1,4096}</)"""
)
"""As in Hadoop's settings and Apple's property lists."""
_TAG = re.compile(
    r"""<(?:input|meta)\s[^<>]{0,100}?\bname=["'](?P<name>[\w.-]{2,100})["'][^<>]{0,200}?\s(?:value|content)=(?=["'])"""
)
_PART = re.compile(r"""form-data; name=\\?"(?P<name>[\w.-]{2,100})\\?"(?:\r?\n|\\r\\n|\\n){2}""")
"""A part of a form."""
_OPTION = re.compile(
    r"""
    (?:\s/v[ ]|\s-(?i:name)[ ]|\s--name[ =])["']?(?:[\w./-]{0,100}/)?(?P<name>[\w.-]{2,60})["']?
    (?:[ ]/t[ ]\w{1,20})?\s{1,4}(?:/d|-(?i:value)|--value)[ =]
    """,
    re.VERBOSE,
)
"""As in `reg add … /v NAME /d x`, in PowerShell and in the command lines of clouds."""
_VALUE = re.compile(r"""<(?:[\w-]{1,40}:)?(?P<name>[\w.-]{2,100})\s(?:[^<>]{0,200}\s)?[vV]alue=(?=["'])""")
_DEFAULT = re.compile(
    r"""\b(?:variable|output)\s{1,4}"(?P<name>[\w-]{2,100})"\s{0,4}\{[^{}]{0,400}\b(?:default|value)\s{0,40}=\s{0,4}(?=")"""
)
_COMPARED = re.compile(
    r"""
    (?P<quote>["'])(?P<value>[^\s"']{6,200})(?P=quote)[ ][!=]?=[ ]
    (?:[^\s=]{0,80}[.])?(?P<name>[A-Za-z_]\w{1,60})(?=[\s;,]|$)
    """,
    re.VERBOSE,
)
"""As in ``assert 'x' == config.password``, and as pytest explains it: ``where 'x' = Config(...).password``."""
_ASSERTED = re.compile(
    r"""
    (?:assert_?[eE]qual\w{0,10}|assertSame)[( ](?P<quote>["'])(?P<value>[^\s"']{6,200})(?P=quote),[ ]
    (?:[^\s,()]{0,80}[.])?(?P<name>[A-Za-z_]\w{1,60})
    """,
    re.VERBOSE,
)
"""As in ``assertEquals("x", user.getPassword())``."""
_EQUALS = re.compile(
    r"""(?P<quote>["'])(?P<value>[^\s"']{6,200})(?P=quote)\.equals\((?:[^\s,()]{0,80}[.])?(?P<name>[A-Za-z_]\w{1,60})"""
)
_SAID = (
    # what stands between a name and its value in quotes, in code
    (
        r"""(?:assert\w{0,20}|strcmp|compare\w{0,10})\(\s?(?:[^\s,()]{0,80}[.])?(?P<name>[A-Za-z_]\w{1,60})(?:\(\))?,\s?"""
        r"""(?=["'])"""
    ),
    (
        r"""\b(?P<name>[A-Za-z_]\w{1,60})(?:\(\))?\)?\.(?:equals|toBe|toEqual|toStrictEqual|isEqualTo|to[ ]eq)[( ]\s?"""
        r"""(?=["'])"""
    ),
    (
        r"""["'](?:--)?(?P<name>[A-Za-z_][\w-]{1,60})["'],\s{0,4}(?:[\w ]{1,40}=[\w.]{1,40},\s?){0,3}default\s?=\s?"""
        r"""(?=["'])"""
    ),
    r"""\b(?:put|[sS]et\w{0,12}|add\w{0,12})\((?:[A-Za-z]\w{0,40}\.){1,3}(?P<name>[A-Z][A-Z_]{1,60}),\s?(?=["'])""",
    r"""\bparametrize\(\s{0,20}["'](?P<name>\w{2,60})["'],\s{0,20}[\[(]\s{0,20}(?=["'])""",
    r"""\b(?P<name>\w{2,60})(?:["']|\(\))(?:\s?->\s?\w{1,20})?\s?[:{]\s{0,40}return\s(?=["'])""",
    r"""\b(?P<name>[A-Za-z_]\w{1,60})\{(?=["'])""",
    r"""["'](?P<name>[A-Za-z_][\w-]{1,60})["']\)\s?(?:\{|do)\s?(?=["'])""",
    r"""\bdefine\(\s?["'](?P<name>\w{2,60})["'],\s{0,40}(?=["'])""",
    r"""\blet!?\(:(?P<name>\w{2,60})\)\s?\{\s?(?=["'])""",
    r"""\b(?P<name>\w{2,60})\s?=\s?[\w.\[\]]{1,60}(?:\(["'][\w.-]{1,60}["']\))?\s(?:or|\|\||\?\?|\?:)\s(?=["'])""",
)
_NAMED_IN_CODE = tuple(re.compile(pattern) for pattern in _SAID)
_LOGIN = re.compile(
    r"""
    (?:(?:(?i:basic|digest|proxy)_?[Aa]uth\w{0,10}|NetworkCredential(?:\]::new)?|PSCredential)\(|\b(?i:auth)["']?\s?[=:]\s?\()\s?
    ["'][^"'\s]{1,100}["'],\s?["'](?P<value>[^"'\s]{1,200})["']
    """,
    re.VERBOSE,
)
"""A user and the password: ``auth=('ann', 'x')``."""
_INSERTED = re.compile(
    r"""(?i:\binsert\s{1,4}into)\s{1,4}[^\s(]{1,100}\s{0,4}\((?P<names>[^()]{1,1000})\)\s{1,4}(?i:values)\s{0,4}\("""
)
_ITEM = re.compile(
    r"""\s{0,40}(?:[NE]?'(?P<value>(?:[^'\n]|''){0,400})'|"(?P<quoted>[^"\n]{0,400})"|[^,()'"\s]{0,200})\s{0,40}(?:,|\)|$)"""
)
"""SQL's columns and values."""
# A Secret of Kubernetes: everything in its data is secret, whatever it is called. The data is a block of YAML, or an
# object of JSON, Python or YAML in braces.
_IS_SECRET = re.compile(r"""\bkind["'\\]{0,4}\s{0,4}:\s{0,4}["'\\]{0,4}Secret\b""")
_BLOCK = re.compile(
    r"(?:^|\n)(?P<indent>[ \t]{0,40})(?:stringD|d)ata:[ \t]*\n(?P<lines>(?:(?P=indent)[ \t][^\n]{0,4096}(?:\n|$))+)"
)
_OBJECT = re.compile(r"""\b(?:stringD|d)ata["'\\]{0,4}\s{0,40}:\s{0,40}\{(?P<lines>[^{}]{1,8192})\}""")
_ENTRY = re.compile(
    r"""
    [\w.-](?:["'\\]{0,4}\s{0,4}:\s{1,4}["'\\]{0,4}|["'\\]{1,4}:["'\\]{1,4})
    (?:[|>][-+]?\s{1,40})?
    (?P<value>[^\s"'\\,]{4,8192})
    """,
    re.VERBOSE,
)
_WRAPPED = re.compile(
    r"(?:\w{0,20}(?:Str|String|Secret(?:Box|Value)?|Bytes|Password|Token|Some)|\[\]byte|(?:\w{1,12}\.){1,3}GetBytes|\w{0,12}(?:String|Secret)::(?:from|new)|Buffer\.from)"
    r"\((?:value=|\s{0,40})(?=['\"])|string\(\d{1,5}\) (?=\")"
)
"""What a value is wrapped in as programs show it: ``SecretStr('x')``."""
_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}[(\[]")
"""A call, as in `authorization = headers.get("x")`."""
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")

# How far a value without quotes goes: in general, in a setting, and in a header. Few secrets are longer than the
# bounds; without them the time that a text of many names takes would grow with the square of its length.
_BARE = re.compile(r"""[^\s"'<>`,;&|(){}\[\]\\]{1,4096}""")
_WORD = re.compile(r"""[^\s"'`\\]{1,4096}""")
_LINE = re.compile(r"""[^\r\n"'\\]{1,1000}""")
_ANCHOR = re.compile(r"&[\w-]{1,40}")
_AND = re.compile(r"&(?!\w{1,8};)")
_LONGEST_QUOTED = 8192
"""A quote that is not closed within this many characters is taken to be one that never is."""
_PREFIXES = ("b", "B", "r", "R", "u", "U", "f", "F", "N", "&", "@")
"""What stands before the quote of a text: in Python, SQL's `N`, after a YAML anchor's `&`, in C# and PowerShell `@`."""

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

_SCHEMES = (
    "basic", "bearer", "token", "digest", "negotiate", "ntlm", "apikey", "api-key", "key", "ssws", "hmac", "mac",
    "hawk", "oauth", "jwt", "splunk", "sso-key", "geniekey", "bot", "aws4-hmac-sha256", "sharedkey",
    "sharedaccesssignature", "dpop", "gitlab", "x",
)  # fmt: skip
"""What an `Authorization` header begins with before the credentials, in lower case."""
_ATTRIBUTES = ("path", "domain", "expires", "max-age", "samesite", "priority")
"""What a `Set-Cookie` header says of a cookie: where and how long it is valid."""
_FIELDS_LENGTH = 1000
"""How far the fields of a digest go on behind a quote: some 10 fields, one of them a digest of 64 digits."""
_SCHEME_LENGTH = 5
"""A header's only word is the credentials if it is longer than this: `h2c` and `utf8` are not."""
_CREDENTIALS_LENGTH = 20
"""A word of letters alone is credentials, or a cookie, from this length on: shorter ones may be words of prose."""
_COOKIE_LENGTH = 8
"""A cookie's value from this length on may let somebody in: not `theme=dark`, nor `fig=newton` in Python's library."""


def without_named(text: str, mask: str, meaning: Callable[[str], int]) -> str:
    """Return the text with the values masked that it names as secrets.

    Args:
        text: any text.
        mask: the text to put in the place of each secret.
        meaning: returns the level of `hints` that a name has.
    """
    pieces: list[str] = []
    done = 0
    for start, end in _spans(text, meaning):
        if start >= done:  # two patterns can find the same value
            pieces += (text[done:start], mask)
            done = end
    return "".join([*pieces, text[done:]]) if pieces else text


def without_colours(text: str) -> str:
    """Return the text without the sequences that set colours on a terminal."""
    return _COLOUR.sub("", text)


# -- where names and values are ------------------------------------------------------------------------------------


def _spans(text: str, meaning: Callable[[str], int]) -> Iterator[_Span]:
    """Give where the secrets are, in the order in which the text names them."""
    found = [
        *_compared(text, meaning),
        *_logins(text),
        *_inserted(text, meaning),
        *_kept(text),
        *_named_apart(text, meaning),
        *_named(text, meaning),
    ]
    return (span for _, span in sorted(found))


def _compared(text: str, meaning: Callable[[str], int]) -> Iterator[tuple[int, _Span]]:
    for pattern in (_COMPARED, _ASSERTED, _EQUALS):
        for m in pattern.finditer(text):
            value = m["value"]
            if is_written_secret(value, meaning(m["name"]), quoted=True, bound=True) and is_mixed(value):
                yield m.start(), m.span("value")
    for pattern in _NAMED_IN_CODE:
        for m in pattern.finditer(text):
            start, end, _ = _extent(text, m.end(), _BARE)
            value = text[start:end]
            level = meaning(m["name"])
            if value and is_written_secret(value, level, quoted=True, bound=True) and _is_chosen_or_made(value, level):
                yield m.end(), (start, end)


def _is_chosen_or_made(value: str, level: int) -> bool:
    """Whether a value is of letters and something else, and no name if its own name is that of a machine's secret."""
    if level < YES:
        return level != NO and value.isalnum() and is_made(value, _LONG_WORD) and not is_wordy(value)
    return is_mixed(value) and (level == PASSWORD or not is_wordy(value) or _CHOSEN.fullmatch(value) is not None)


def _logins(text: str) -> Iterator[tuple[int, _Span]]:
    for m in _LOGIN.finditer(text):
        if not is_placeholder(m["value"]):
            yield m.start(), m.span("value")


def _inserted(text: str, meaning: Callable[[str], int]) -> Iterator[tuple[int, _Span]]:
    """Give the values that SQL inserts into the columns with the names of secrets."""
    for m in _INSERTED.finditer(text):
        at = m.end()
        for name in m["names"].split(","):
            item = _ITEM.match(text, at)
            if item is None:
                break
            at = item.end()
            group = "value" if item["value"] else "quoted"
            if item[group] and is_written_secret(item[group], meaning(name.strip("\"'`[] ")), quoted=True, bound=True):
                yield m.start(), item.span(group)


def _kept(text: str) -> Iterator[tuple[int, _Span]]:
    """Give the values that a Secret of Kubernetes keeps, in YAML, JSON and Python."""
    if not _IS_SECRET.search(text):
        return
    for pattern in (_BLOCK, _OBJECT):
        for block in pattern.finditer(text):
            for m in _ENTRY.finditer(text, *block.span("lines")):
                if not is_placeholder(m["value"]):
                    yield m.start(), m.span("value")


def _named_apart(text: str, meaning: Callable[[str], int]) -> Iterator[tuple[int, _Span]]:
    """Give the values whose name is itself a value, or an attribute: `name: DB_PASSWORD, value: …`."""
    for pattern in (_PAIR, _ELEMENT, _ELEMENTS, _ATTRIBUTE, _PART, _OPTION, _TAG, _VALUE, _DEFAULT):
        for m in pattern.finditer(text):
            start, end, quoted = _extent(text, m.end(), _BARE)
            value = text[start:end]
            level = meaning(m["name"])
            if value and is_written_secret(value, level, quoted=quoted, bound=True):
                yield m.end(), (start, end)


def _named(text: str, meaning: Callable[[str], int]) -> Iterator[tuple[int, _Span]]:
    """Give the values that directly follow their name."""
    position = clean = 0  # up to `clean`, all cookies were looked at, and none is a secret
    while m := _NAMED.search(text, position):
        level = meaning(m["name"])
        span = None
        if level != NO and m["sign"] is not None and (header := _header(m["name"])):
            is_cookie = header == "cookie"
            if not is_cookie or m.end() >= clean:
                value = _header_value(text, m)
                span = _header_secret_after(text, m, value, is_cookie=is_cookie)
                clean = value[1] if is_cookie else clean
        elif level != NO:
            span = _secret_after(text, m, level)
        position = m.end() if span is None else max(m.end(), span[1])
        if span is not None:
            yield m.end(), span
        elif m["sign"] is None:
            position = m.end("name")  # the word that follows may be a name of its own


def _secret_after(text: str, m: re.Match[str], level: int) -> _Span | None:
    """Return where the secret is that this name names, if there is one."""
    found = _Candidate(text, m, level)
    return (found.start, found.end) if _has_value(found) and _is_secret(found) else None


def _extent(text: str, at: int, bare: re.Pattern[str]) -> tuple[int, int, bool]:
    """Return where the value begins and ends that stands here, and whether it is quoted."""
    wrapped = _WRAPPED.match(text, at)
    quoted = _quoted(text, wrapped.end() if wrapped else at)
    if quoted:
        return (*quoted, True)
    m = bare.match(text, at)
    return (m.start(), m.end(), False) if m else (at, at, False)


def _quoted(text: str, at: int) -> _Span | None:
    """Return where the text in quotes begins and ends that stands here, also in escaped or triple quotes."""
    if text[at : at + 1] in _PREFIXES and text[at + 1 : at + 2] in ("'", '"'):
        at += 1
    slashes = at
    while text[at : at + 1] == "\\":
        at += 1
    quote = text[at : at + 1]
    if not quote or quote not in "\"'`":
        return None
    closing = text[slashes:at] + (quote * 3 if text.startswith(quote * 3, at) else quote)
    start = at + len(closing) - (at - slashes)
    end = text.find(closing, start, start + _LONGEST_QUOTED)
    while end > 0 and closing == quote and _is_escaped(text, start, end):
        end = text.find(closing, end + 1, start + _LONGEST_QUOTED)
    return start, end if end >= 0 else min(len(text), start + _LONGEST_QUOTED)


def _is_escaped(text: str, start: int, quote: int) -> bool:
    slashes = quote - start - len(text[start:quote].rstrip("\\"))
    return slashes % 2 == 1


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
        self.start, self.end, self.is_quoted = _extent(text, match.end(), _WORD if self.is_setting else _BARE)
        if self.sign == ":" and self.is_spaced and not self.is_quoted and _AND.match(text, self.end):
            self.end = _extent(text, self.start, _WORD)[1]  # in YAML, not in a query or in HTML
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
    if found.match["list"] and not _is_chosen_or_made(found.value, found.level):
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


# -- headers -------------------------------------------------------------------------------------------------------


def _header(name: str) -> str:
    """Return the kind of header that a name is of, ``authorization`` or ``cookie``, or an empty text."""
    head = name.lower().rpartition("-")[2].rpartition("_")[2]
    return head if head in ("authorization", "cookie") else ""


def _header_value(text: str, m: re.Match[str]) -> _Span:
    start, end, _ = _extent(text, m.end(), _LINE)
    if text.endswith("=", start, end):  # Digest username="ann", response="…": the quotes belong to the value
        end += len(text[end : end + _FIELDS_LENGTH].partition("\n")[0])
    return start, end


def _header_secret_after(text: str, m: re.Match[str], value: _Span, *, is_cookie: bool) -> _Span | None:
    start, end = value
    if m["sign"] == "=" and text[start - 1] == " " and _CALL.match(text, start):
        return None
    found = header_secret(text[start:end], is_cookie=is_cookie)
    return (start + found[0], start + found[1]) if found else None


def header_secret(value: str, *, is_cookie: bool) -> _Span | None:
    """Return where in a header's value the credentials stand.

    Args:
        value: the value of an `Authorization`, `Cookie` or `Set-Cookie` header; may be empty.
        is_cookie: the value is that of a header with cookies; they are hidden together.
    """
    if is_placeholder(value) or is_place(value):
        return None
    if is_cookie:
        return (0, len(value)) if any(map(_is_key_to_something, value.split(";"))) else None
    scheme, _, rest = value.strip().partition(" ")
    credentials = rest.strip()
    if not credentials:
        return (0, len(value)) if is_mixed(scheme) and len(scheme) > _SCHEME_LENGTH else None
    word = credentials.split(None, 1)[0]
    is_known = scheme.lower() in _SCHEMES
    if is_placeholder(credentials) or not _is_credentials(word, is_known=is_known):
        return None
    has_fields = is_known and ("," in credentials or "=" in word[:-2])  # Base64 ends with up to two `=`
    return 0, len(value) if has_fields else value.index(word) + len(word)


def _is_credentials(word: str, *, is_known: bool) -> bool:
    return not is_plain(word) and (is_mixed(word) or (is_known and len(word) >= _CREDENTIALS_LENGTH))


def _is_key_to_something(cookie: str) -> bool:
    """Whether a cookie may let somebody in: not `theme=dark`, nor where and how long a cookie is valid."""
    name, sign, value = cookie.strip().rpartition("=")
    if not sign:
        return is_made(value, _CREDENTIALS_LENGTH)
    return name.lower() not in _ATTRIBUTES and (len(value) >= _COOKIE_LENGTH or is_mixed(value) or value.isdigit())
