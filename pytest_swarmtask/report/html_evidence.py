"""The evidence of failures for the HTML page: what is folded below each failure, within a bound for the whole page."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.report.evidence import contents, earlier_attempts, sections, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_swarmtask.report.evidence import EarlierAttempt, Section
    from pytest_swarmtask.report.failures import ReportedFailure

_MOST_CHARACTERS = 8_000_000
"""Characters of evidence on the page, which browsers still open at once. 200 failures with 32 KiB each have fewer."""


class FoldedPart(NamedTuple):
    """What is folded below a failure.

    Attributes:
        summary: what there is, in words.
        messages: messages that are too long to be shown above, with their titles.
        sections: its texts.
        attempts: the earlier attempts.
        left_out: whether the texts are left out, because those of the failures before it fill the page.
    """

    summary: str
    messages: list[tuple[str, str]]
    sections: list[Section]
    attempts: list[EarlierAttempt]
    left_out: bool


def folded_parts(failures: Iterable[ReportedFailure], longest_message: int) -> list[FoldedPart | None]:
    """Return the folded part of each failure, None if there is nothing to fold.

    Args:
        failures: the failures of the page.
        longest_message: characters of a message above the folded part, where a longer one is cut.
    """
    parts: list[FoldedPart | None] = []
    left = _MOST_CHARACTERS
    for failure in failures:
        messages = (("whole message", failure.error), ("whole message of the teardown", failure.teardown_error))
        cut = [(title, text) for title, text in messages if text is not None and len(text) > longest_message]
        words = [*(title for title, _ in cut), *contents(failure.evidence)]
        if not words:
            parts.append(None)
            continue
        needed = size(failure.evidence) + sum(len(text) for _, text in cut)
        fits = needed <= left
        left -= needed if fits else 0
        parts.append(_part(failure, words, cut) if fits else FoldedPart(", ".join(words), [], [], [], left_out=True))
    return parts


def _part(failure: ReportedFailure, words: list[str], cut: list[tuple[str, str]]) -> FoldedPart:
    evidence = failure.evidence
    return FoldedPart(", ".join(words), cut, sections(evidence), earlier_attempts(evidence), left_out=False)
