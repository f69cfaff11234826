"""The evidence of failures in Markdown: one folded part for each failure, and for each test that was repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.markdown import block, code, text
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.report.evidence import contents, contents_of_attempts, earlier_attempts, sections
from pytest_swarmtask.report.phrases import same_error_of, test_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_swarmtask.history.query import Run
    from pytest_swarmtask.history.repeated import Repeated
    from pytest_swarmtask.report.content import Report
    from pytest_swarmtask.report.evidence import EarlierAttempt, Section
    from pytest_swarmtask.report.failures import ReportedFailure

_MOST_BYTES = 800_000
"""Bytes of all parts. GitHub refuses the summary of a step that has more than a megabyte."""


def folded_evidence(report: Report, root: str) -> Iterator[str]:
    """Yield a folded part for each failure that has evidence, and for each test that passed when it was repeated.

    When there are too many bytes, the last text says how many parts are left.
    """
    failures = [failure for failure in report.failures if contents(failure.evidence)]
    repeated = [test for test in report.repeated if contents_of_attempts(earlier_attempts(test.attempts))]
    parts = [_failure(failure, report.run, root) for failure in failures]
    parts += [_repeated(test, report.run, root) for test in repeated]
    left = _MOST_BYTES
    for number, part in enumerate(parts):
        left -= len(part.encode())
        if left < 0:
            yield f"{len(parts) - number} more have a traceback or output: `swarmtask report --full` shows them"
            return
        yield part


def _failure(failure: ReportedFailure, run: Run, root: str) -> str:
    return _folded(test_name(failure.task_id, failure.variant, run), contents(failure.evidence), _why(failure, root))


def _repeated(test: Repeated, run: Run, root: str) -> str:
    attempts = earlier_attempts(test.attempts)
    words = [f"passed in attempt {test.attempts_total}", *contents_of_attempts(attempts)]
    return _folded(test_name(test.test, test.variant, run), words, _attempts(attempts, root))


def _folded(name: str, words: list[str], content: Iterable[str]) -> str:
    summary = f"<details><summary>{code(name)}: {text(', '.join(words))}</summary>"
    return "\n\n".join([summary, *content, "</details>"])


def _why(failure: ReportedFailure, root: str) -> Iterator[str]:
    same = same_error_of(failure)
    if same:
        yield text(same)
    if failure.error:
        yield block(failure.error)
    yield from _sections(sections(failure.evidence))
    yield from _attempts(earlier_attempts(failure.evidence.attempts), root)


def _attempts(attempts: Iterable[EarlierAttempt], root: str) -> Iterator[str]:
    for attempt in attempts:
        place = f", {code(relative(attempt.place, root))}" if attempt.place else ""
        yield f"**{text(attempt.title)}**{place}"
        if attempt.error:
            yield block(attempt.error)
        yield from _sections(attempt.sections)


def _sections(texts: Iterable[Section]) -> Iterator[str]:
    for section in texts:
        yield f"{section.title}:"
        yield block(section.text)
