"""Secrets that a text names: `password=…`, `"apiKey": "…"`, `--token …`, `Authorization: …`, in whatever language.

A pattern finds a name, and `names` says whether it is the name of a secret. What follows is then judged: by
`candidates`, or by `headers` if the name is that of a header.
"""

from __future__ import annotations

import re

from pytest_swarmtask.redaction import headers
from pytest_swarmtask.redaction.candidates import is_chosen_or_made, secret_after
from pytest_swarmtask.redaction.extents import BARE, extent
from pytest_swarmtask.redaction.hints import NO
from pytest_swarmtask.redaction.values import is_mixed, is_placeholder, is_written_secret

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
    r"(?:^|\n)(?P<indent>[ \t]{0,40})(?:stringD|d)ata:[ \t]*\n"
    r"(?P<lines>(?:(?:(?P=indent)|[-+])[ \t][^\n]{0,4096}(?:\n|$))+)"
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
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")


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
            start, end, _ = extent(text, m.end(), BARE)
            value = text[start:end]
            level = meaning(m["name"])
            if value and is_written_secret(value, level, quoted=True, bound=True) and is_chosen_or_made(value, level):
                yield m.end(), (start, end)


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
            start, end, quoted = extent(text, m.end(), BARE)
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
        if level != NO and m["sign"] is not None and (header := headers.header(m["name"])):
            is_cookie = header == "cookie"
            if not is_cookie or m.end() >= clean:
                value = headers.header_value(text, m)
                span = headers.secret_after(text, m, value, is_cookie=is_cookie)
                clean = value[1] if is_cookie else clean
        elif level != NO:
            span = secret_after(text, m, level)
        position = m.end() if span is None else max(m.end(), span[1])
        if span is not None:
            yield m.end(), span
        elif m["sign"] is None:
            position = m.end("name")  # the word that follows may be a name of its own
