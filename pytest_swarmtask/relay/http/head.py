"""The head of an answer, as far as it can be understood.

The status line is the result of a request. A receiver that sends a header which HTTP forbids has still answered, and
most clients overlook such a line. So it is left out here, before h11 would refuse the whole answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HEAD = 64 * 1024
"""Bytes that a head may have. The head of a common answer has less than one KiB."""

_END = re.compile(rb"\r?\n\r?\n")
# RFC 9112, section 4. The reason may be missing, and the version is that of the oldest receivers at least.
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\r\n]*)?")
# RFC 9110, section 5: a name is a token, and a value has no control characters but the tab.
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_SHOWN = 60
"""Characters of a line that a message quotes."""


class NoAnswerError(Exception):
    """There is no answer to a request. The message says why, without the URL and without headers of the request."""


class Head(NamedTuple):
    """The head of an answer.

    Attributes:
        status: the status code.
        status_line: status code and reason, for messages.
        headers: the valid headers, with names in lower case.
        valid: the head in a form that h11 accepts.
        rest: the bytes after the head that were read with it.
    """

    status: int
    status_line: str
    headers: list[tuple[str, str]]
    valid: bytes
    rest: bytes


def read_head(read: Callable[[], bytes]) -> Head:
    """Read the head of an answer. Those of interim answers (1xx) are passed over.

    Args:
        read: returns the next bytes; none when the connection has ended.

    Raises:
        NoAnswerError: what arrives is not HTTP, or the connection ended before the end of the head.
    """
    data = b""
    while True:
        end = _END.search(data)
        if end is None:
            more = read() if len(data) <= MAX_HEAD else b""
            if not more:
                raise NoAnswerError(_problem(data))
            data += more
            continue
        head = _parsed(data[: end.start()], data[end.end() :])
        if head.status >= 200 or head.status == 101:
            return head
        data = head.rest


def _problem(data: bytes) -> str:
    if not data:
        return "closed the connection without an answer"
    first = data.split(b"\n", 1)[0].rstrip(b"\r")
    if not _STATUS_LINE.fullmatch(first):
        return f"the answer is not valid HTTP: its first line is {_shown(first)}"
    return "closed the connection within the head of its answer" if len(data) <= MAX_HEAD else "the head is too long"


def _parsed(head: bytes, rest: bytes) -> Head:
    first, *lines = re.split(rb"\r?\n", head)
    found = _STATUS_LINE.fullmatch(first)
    if found is None:
        raise NoAnswerError(f"the answer is not valid HTTP: its first line is {_shown(first)}")
    status = int(found[1])
    headers = [(match[1].lower(), match[2]) for line in lines if (match := _HEADER.fullmatch(line))]
    framed = _with_framing(headers)
    valid = b"".join([first, b"\r\n", *(b"%b: %b\r\n" % header for header in framed), b"\r\n"])
    texts = [(name.decode("ascii"), value.decode("latin-1")) for name, value in headers]
    return Head(status, _words(first[9:]), texts, valid, rest)


def _with_framing(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers; where they do not tell how long the body is, it lasts until the connection ends."""
    codings = {value.lower() for name, value in headers if name == b"transfer-encoding"}
    lengths = {one.strip() for name, value in headers if name == b"content-length" for one in value.split(b",")}
    if codings <= {b"chunked"} and (not lengths or (len(lengths) == 1 and min(lengths).isdigit())):
        return headers
    unframed = [(name, value) for name, value in headers if name not in (b"transfer-encoding", b"content-length")]
    return [*unframed, (b"connection", b"close")]


def _shown(line: bytes) -> str:
    return repr(_words(line))


def _words(line: bytes) -> str:
    text = line[:_SHOWN].decode("latin-1")
    return "".join(character if character.isprintable() else "?" for character in text).strip()
