"""The evidence of failures for the HTML page: what is folded below each, within a bound for the whole page.

The failed attempts of tests that passed when they were repeated are folded in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.report.evidence import contents, contents_of_attempts, earlier_attempts, sections, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_swarmtask.history.repeated import Repeated
    from pytest_swarmtask.report.content import Report
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
        left_out: whether the texts are left out, because the texts of the failures before it fill the page.
    """

    summary: str
    messages: list[tuple[str, str]]
    sections: list[Section]
    attempts: list[EarlierAttempt]
    left_out: bool

    @property
    def size(self) -> int:
        """The number of characters of its texts."""
        return sum(len(text) for _, text in self.messages) + size(self.sections, self.attempts)


class FoldedParts(NamedTuple):
    """What is folded below each failure, and below each test that was repeated; None if there is nothing to fold."""

    failures: list[FoldedPart | None]
    repeated: list[FoldedPart | None]


def folded_parts(report: Report, longest_message: int) -> FoldedParts:
    """Return what is folded on the page.

    Args:
        report: the report that the page shows.
        longest_message: characters of a message above the folded part, where a longer one is cut.
    """
    parts = [_failure(failure, longest_message) for failure in report.failures]
    bounded = list(_bounded([*parts, *map(_repeated, report.repeated)]))
    return FoldedParts(bounded[: len(parts)], bounded[len(parts) :])


def folded_failures(failures: Sequence[ReportedFailure], longest_message: int) -> list[FoldedPart | None]:
    """Return what is folded below some failures, as `folded_parts` does."""
    return list(_bounded(_failure(failure, longest_message) for failure in failures))


def _failure(failure: ReportedFailure, longest_message: int) -> FoldedPart | None:
    messages = (("whole message", failure.error), ("whole message of the teardown", failure.teardown_error))
    cut = [(title, text) for title, text in messages if text is not None and len(text) > longest_message]
    words = [*(title for title, _ in cut), *contents(failure.evidence)]
    attempts = earlier_attempts(failure.evidence.attempts)
    return FoldedPart(", ".join(words), cut, sections(failure.evidence), attempts, left_out=False) if words else None


def _repeated(test: Repeated) -> FoldedPart | None:
    attempts = earlier_attempts(test.attempts)
    summary = ", ".join(contents_of_attempts(attempts)) or "failed attempts"
    return FoldedPart(summary, [], [], attempts, left_out=False) if attempts else None


def _bounded(parts: Iterable[FoldedPart | None]) -> Iterator[FoldedPart | None]:
    """Yield the parts. Once their texts fill the page, the other parts have none."""
    left = _MOST_CHARACTERS
    for part in parts:
        needed = 0 if part is None else part.size
        if part is not None and needed > left:
            yield FoldedPart(part.summary, [], [], [], left_out=True)
        else:
            left -= needed
            yield part
