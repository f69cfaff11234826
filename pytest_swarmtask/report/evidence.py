"""The evidence of a failure, as reports show it: texts with titles, and the earlier attempts with their own texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.core.text import plural
from pytest_swarmtask.report.phrases import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_swarmtask.history.query import Evidence

_TITLES = {
    "traceback": "traceback",
    "stdout": "captured stdout",
    "stderr": "captured stderr",
    "log": "captured log",
    "teardown_traceback": "traceback of the teardown",
}
_OUTPUTS = ("stdout", "stderr", "log")
_LINE_KINDS = {">": "raised", "E": "message"}
"""Kinds of lines in a traceback of pytest, by their first character."""


_CODE = ("def ", "async def ", "@")
"""How the code of a function begins in a traceback in pytest's usual style."""


class Section(NamedTuple):
    """One text, such as a traceback or what was written to stdout."""

    title: str
    text: str
    is_traceback: bool


class EarlierAttempt(NamedTuple):
    """An attempt at a test that was followed by another one.

    Attributes:
        title: how it ended, in words.
        error: its message, or an empty text.
        place: file and line, or an empty text.
        sections: its texts.
    """

    title: str
    error: str
    place: str
    sections: list[Section]


def sections(evidence: Evidence) -> list[Section]:
    """Return the texts of a failure, without the texts of earlier attempts."""
    return list(_sections(vars(evidence)))


def earlier_attempts(attempts: Sequence[Any]) -> list[EarlierAttempt]:
    """Return earlier attempts at a test, in their order.

    Args:
        attempts: the `attempts` of its evidence, which are whatever a program has written into its journal.
    """
    return [_attempt(attempt) for attempt in attempts if isinstance(attempt, dict)]


def contents(evidence: Evidence) -> list[str]:
    """Return the kinds of evidence in words, such as ``traceback``, ``captured log`` and ``2 earlier attempts``."""
    attempts = len(earlier_attempts(evidence.attempts))
    words = [section.title for section in sections(evidence)]
    return [*words, plural(attempts, "earlier attempt")] if attempts else words


def parts_of_traceback(text: str) -> Iterator[tuple[str, str]]:
    """Yield a traceback in parts of whole lines, each with its kind: ``raised``, ``message`` or an empty text.

    pytest marks the line of code that has raised with ``>``, and the lines of its message with ``E``.
    """
    part: list[str] = []
    last = ""
    for line in text.splitlines(keepends=True):
        kind = _LINE_KINDS.get(line[:1], "") if line[1:2] in (" ", "\n", "") else ""
        if kind != last and part:
            yield last, "".join(part)
            part = []
        part.append(line)
        last = kind
    if part:
        yield last, "".join(part)


def contents_of_attempts(attempts: Iterable[EarlierAttempt]) -> list[str]:
    """Return which texts attempts have in a few words, such as ``traceback`` and ``captured log``."""
    return [*dict.fromkeys(section.title for attempt in attempts for section in attempt.sections)]


def size(texts: Iterable[Section], attempts: Iterable[EarlierAttempt]) -> int:
    """Return the number of characters of texts, and of the texts of attempts."""
    everything = [*texts, *(section for attempt in attempts for section in attempt.sections)]
    return sum(len(section.text) for section in everything)


def output(evidence: Evidence) -> dict[str, str]:
    """Return what pytest captured as stdout, stderr and log; empty if it is not known whether it captured anything."""
    known = {name: getattr(evidence, name) for name in _OUTPUTS}
    return {name: text or "" for name, text in known.items()} if any(known.values()) else {}


def _sections(texts: Mapping[str, Any]) -> Iterator[Section]:
    for key, title in _TITLES.items():
        text = texts.get(key)
        if isinstance(text, str) and text.strip():
            is_traceback = key.endswith("traceback")
            text = _indented(text) if is_traceback else text
            # Tabs would be written out as control characters, and source code may be indented with them.
            yield Section(title, text.strip("\n").expandtabs(), is_traceback)


def _indented(traceback: str) -> str:
    """Return a traceback with the indentation of its first line, if that is code: pytest strips it off the whole."""
    return f"    {traceback}" if traceback.startswith(_CODE) else traceback


def _attempt(facts: Mapping[str, Any]) -> EarlierAttempt:
    outcome, phase = _text(facts, "outcome") or "failed", _text(facts, "phase")
    title = f"earlier attempt: {outcome}"
    if phase not in ("", "call"):
        title += f" in {phase}"
    duration = facts.get("duration")
    if isinstance(duration, (int, float)):
        title += f", {format_duration(duration)}"
    return EarlierAttempt(title, _text(facts, "error"), _text(facts, "location"), list(_sections(facts)))


def _text(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else ""
