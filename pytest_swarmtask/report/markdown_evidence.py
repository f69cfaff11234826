"""The evidence of failures in Markdown: one folded part for each failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.core.markdown import block, code, text
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.report.evidence import contents, earlier_attempts, sections
from pytest_swarmtask.report.phrases import same_error_of, test_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_swarmtask.report.content import Report
    from pytest_swarmtask.report.evidence import Section
    from pytest_swarmtask.report.failures import ReportedFailure

_MOST_BYTES = 800_000
"""Bytes of all parts. GitHub refuses the summary of a step that has more than a megabyte."""


def folded_evidence(report: Report, root: str) -> Iterator[str]:
    """Yield a folded part for each failure that has evidence, until there are too many bytes, and how many are left."""
    told = [failure for failure in report.failures if contents(failure.evidence)]
    left = _MOST_BYTES
    for number, failure in enumerate(told):
        part = "\n\n".join(_parts(failure, test_name(failure.task_id, failure.variant, report.run), root))
        left -= len(part.encode())
        if left < 0:
            yield f"{len(told) - number} more have a traceback or output: `swarmtask report --full` shows them"
            return
        yield part


def _parts(failure: ReportedFailure, name: str, root: str) -> Iterator[str]:
    yield f"<details><summary>{code(name)}: {text(', '.join(contents(failure.evidence)))}</summary>"
    same = same_error_of(failure)
    if same:
        yield text(same)
    if failure.error:
        yield block(failure.error)
    yield from _sections(sections(failure.evidence))
    for attempt in earlier_attempts(failure.evidence):
        place = f", {code(relative(attempt.place, root))}" if attempt.place else ""
        yield f"**{text(attempt.title)}**{place}"
        if attempt.error:
            yield block(attempt.error)
        yield from _sections(attempt.sections)
    yield "</details>"


def _sections(texts: Sequence[Section]) -> Iterator[str]:
    for section in texts:
        yield f"{section.title}:"
        yield block(section.text)
