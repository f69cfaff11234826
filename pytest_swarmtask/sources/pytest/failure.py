"""What can be told of an exception from pytest's representation of it: its type, where it was raised, a fingerprint.

Reports carry no exceptions, only texts: with xdist nothing else would get through to the process that records.
"""

from __future__ import annotations

import os
import re

from pytest_swarmtask.sources.pytest.outcome import message

try:
    from _blake2 import blake2b  # `hashlib` loads OpenSSL, which would cost each session two milliseconds
except ImportError:  # another Python than CPython
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pytest_swarmtask.redaction.redactor import Redactor

_FOREIGN = frozenset(
    ("site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox", ".eggs", "__pypackages__", "node_modules")
)
"""Folders below a project's root whose files are not the project's own."""
_LONGEST_MESSAGE = 1000
"""Characters of a message that are looked at: what distinguishes failures stands at its beginning."""
_MOST_LINES = 12
"""Lines of a message in which its exception is looked for: that of a SyntaxError stands below the line of code."""

# Patterns, compiled by the first failure of a session: most sessions have none.
_TYPE = r"([A-Za-z_]\w*(?:\.(?:<locals>|\w+))*)(?::(?:\s|$)|$)"
_IN_SHORT_STYLE = r"^(\S.*?):\d+: in (\S+)"
_IN_NATIVE_STYLE = r'^[\s|+-]*File "(.+?)", line \d+, in (\S+)'
_DEFINITION = r"^[>\s]*(?:async\s+)?def\s+(\w+)"
_LAST_LINE = r"^\S.*:\d+: ([A-Za-z_][\w.]*)$"
_VARYING = (
    (r"""(?<![\w/\\])(?:~|\.{1,2}|[A-Za-z]:)?[/\\][^\s'"()<>,;:\[\]]+""", "/"),  # paths
    (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "#"),  # UUIDs
    (r"\b0x[0-9a-fA-F]+\b", "#"),  # addresses
    (r"\b(?=[a-f]*\d)[0-9a-f]{8,}\b", "#"),  # digests
    (r"""(?<!\w)(['"])(?=[^'"\n]*\d)[^'"\n]{1,200}\1(?!\w)""", "'#'"),  # ids in quotes
    (r"[-+]?\d+(?:[.,:_]?\d+)*(?:e[-+]?\d+)?", "#"),  # numbers, times, versions
    (r"#(?:[\s,;/-]+#)+", "#"),  # lists of them
    (r"\s+", " "),
)
_QUOTED = r"""(?<!\w)(b?)(['"])(?:\\.|(?!\2)[^\\\n])*\2"""


class FailureReader:
    """Reads representations of failures.

    Args:
        redactor: hides secrets.
        root: the project's folder; files below it are named relative to it.
        folder: the working directory of the session, which short paths are relative to.
    """

    def __init__(self, redactor: Redactor, root: str, folder: str) -> None:
        self._redactor = redactor
        self._root = root.rstrip(os.sep) + os.sep
        self._folder = folder

    def describe(self, report: Any, nodeid: str) -> dict[str, str]:
        """Return ``exception`` and ``fingerprint`` of a report, as far as it tells them.

        Args:
            report: of a failure, also of one that was expected.
            nodeid: the test, which stands for the place where the report tells none.
        """
        text = message(report)
        if text is None:
            return {}
        if _is_of_exception(report.longrepr):
            exception, first_line = _type_and_message(text)
            file, function = self._place(report.longrepr)
        else:
            exception, first_line = _type_at_the_end(str(report.longrepr)), text.partition("\n")[0]
            file, _, function = nodeid.partition("[")[0].partition("::")
        described = {} if exception is None else {"exception": self._redactor.short(exception)}
        described["fingerprint"] = self._fingerprint(exception or "", first_line, file, function)
        return described

    def _fingerprint(self, exception: str, text: str, file: str, function: str) -> str:
        text = normalized(self._redactor.text(text), is_assertion=text.startswith("assert"))
        parts = "\n".join((exception, text, file.replace(os.sep, "/"), function))
        return blake2b(parts.encode("utf-8", "replace"), digest_size=8).hexdigest()

    def _place(self, longrepr: Any) -> tuple[str, str]:
        """Return file and function of the innermost frame that is the project's own; empty texts if there is none."""
        for path, function in _frames(longrepr):
            file = self._own_file(path)
            if file:
                return file, function
        crash = getattr(longrepr, "reprcrash", None)
        return ("" if crash is None else self._own_file(str(crash.path))), ""

    def _own_file(self, path: str) -> str:
        """Return a path relative to the root, or an empty text if it is not one of the project's own files."""
        if path.startswith("<"):
            return ""  # code without a file, such as `<string>`
        full = os.path.normpath(os.path.join(self._folder, path))
        file = full.removeprefix(self._root)
        return "" if file == full or not _FOREIGN.isdisjoint(file.split(os.sep)) else file


def normalized(text: str, *, is_assertion: bool) -> str:
    """Return a message without what differs between runs and parameters: numbers, paths, ids, and such like.

    Args:
        text: one line of a message.
        is_assertion: the line is an expression with its values filled in, so all texts in quotes are values.
    """
    if is_assertion:
        text = re.sub(_QUOTED, "'#'", text)
    for pattern, replacement in _VARYING:
        text = re.sub(pattern, replacement, text)
    return text.strip()


def _type_and_message(text: str) -> tuple[str | None, str]:
    """Return the type of the exception, or None if the text does not begin with one, and its first line of text."""
    lines = [line.strip() for line in text[:_LONGEST_MESSAGE].split("\n", _MOST_LINES)]
    if lines[0].startswith(("assert ", "assert(")) or lines[0] == "assert":
        return "AssertionError", lines[0]  # pytest leaves the name out
    if lines[0].startswith("File "):
        lines = [line for line in lines if re.match(_TYPE, line)][-1:] or lines
    found = re.match(_TYPE, lines[0])
    if found is None:
        return None, lines[0]
    rest = (lines[0][found.end() :], *lines[1:])
    return found[1], next(filter(None, rest), "")


def _is_of_exception(longrepr: Any) -> bool:
    """Whether a representation is that of an exception, and no text that xdist or a plug-in has written."""
    has_place = getattr(longrepr, "reprcrash", None) is not None
    return has_place or any(line.startswith("E ") for line in str(longrepr).splitlines())


def _type_at_the_end(text: str) -> str | None:
    """Return the type at the end of a text, where pytest writes that of a doctest, or None if there is none."""
    found = re.match(_LAST_LINE, text[-_LONGEST_MESSAGE:].rpartition("\n")[2])
    return found[1] if found else None


def _frames(longrepr: Any) -> Iterator[tuple[str, str]]:
    """Yield file and function of each frame, innermost first. Where a function is not known, it is an empty text."""
    traceback = getattr(longrepr, "reprtraceback", None)
    if traceback is None:
        yield from _frames_in_text(str(longrepr))
        return
    for entry in reversed(traceback.reprentries):
        location = getattr(entry, "reprfileloc", None)
        if location is None:
            yield from _frames_in_text("\n".join(map(str, entry.lines)))
        else:
            yield str(location.path), _function(entry, str(location.message))


def _function(entry: Any, text: str) -> str:
    """Return the function of a frame: the short style names it, and the long style shows its code."""
    if text.startswith("in "):
        return text[3:]
    found = (re.match(_DEFINITION, line) for line in entry.lines)
    return next((match[1] for match in found if match), "<module>" if text == "<module>" else "")


def _frames_in_text(text: str) -> Iterator[tuple[str, str]]:
    for line in reversed(text.splitlines()):
        found = re.match(_IN_SHORT_STYLE, line) or re.match(_IN_NATIVE_STYLE, line)
        if found:
            yield found[1], found[2]
