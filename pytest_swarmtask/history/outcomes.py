"""How tests ended the last times, as the page on a run shows it beside each failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database

# The index on the tests of a span has all these columns, so that no other row is read.
_LAST = """
SELECT coalesce(past.status, 'unfinished'), past.started FROM span
JOIN span AS past ON past.task = span.task AND past.started <= span.started AND past.superseded = 0
WHERE span.id = ? ORDER BY past.started DESC LIMIT ?
"""


class PastOutcome(NamedTuple):
    """How a test ended once, and when it had started."""

    outcome: str
    started: str


def last_outcomes(db: Database, span: int, limit: int) -> list[PastOutcome]:
    """Return how the test of a span ended, oldest first: in this span, and the last times before it."""
    return [PastOutcome(*row) for row in db.execute(_LAST, (span, limit))][::-1]
