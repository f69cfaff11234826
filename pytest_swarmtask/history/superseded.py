"""Which results of a run a later run of the same CI job has superseded.

A CI service can run a job again within one run. Then the last result of each test counts, and the earlier ones are kept
as superseded. Jobs are known by name, shard and variant: two legs of a matrix never supersede each other.
"""

from __future__ import annotations

from itertools import combinations, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database


class _Unit(NamedTuple):
    """A span that names its CI job: a pytest session, or an outermost task, build or deployment."""

    job: str
    task: int
    span_id: str
    job_run: str | None
    command: str | None
    started: str
    ended: str | None
    failed: int

    @property
    def number(self) -> int | None:
        """The number of the run of the job, if the service counts them, as GitHub and GitLab do."""
        known = self.job_run or ""
        return int(known) if known.isascii() and known.isdecimal() and len(known) < 20 else None

    def is_superseded_by(self, later: _Unit) -> bool:
        """Whether a unit of the same job and task that comes later is another attempt at the same work.

        Units that overlap are never taken for attempts, unless the service has numbered them: the clocks of two
        machines may differ by more than the time between the attempts. Where the service does not tell one run of a job
        from another, as Jenkins with ``retry(2)``, another attempt is the same command after it has failed.
        """
        if self.number is not None and later.number is not None and self.number != later.number:
            return True
        if self.ended is not None and self.ended > later.started:
            return False
        if self.job_run != later.job_run:
            return True
        return self.job_run is None and bool(self.failed) and self.command == later.command


_UNITS = """
SELECT job, task, span_id, job_run, command, started, ended, failed FROM span
WHERE run = ? AND job IS NOT NULL ORDER BY job, task, started, id
"""
_FORGET = "UPDATE span SET superseded = 0 WHERE run = ? AND superseded = 1"
_MARK_UNIT = "UPDATE span SET superseded = 1 WHERE run = ? AND span_id = ?"
# Tests, and the tasks that they belong to, are looked for by identity: the later session may have run only some of
# them, as with `--last-failed`.
_MARK_TESTS = """
UPDATE span SET superseded = 1 WHERE run = ?1 AND parent = ?2 AND task IN (
    SELECT task FROM span WHERE run = ?1 AND parent = ?3 AND ended IS NOT NULL)
"""
# What else ran below a superseded span, such as the steps of a make, has no result of its own that could still count.
_MARK_BELOW = """
WITH RECURSIVE below (span_id) AS (
    SELECT span_id FROM span WHERE run = ?1 AND superseded = 1 AND tests IS NULL
    UNION
    SELECT span.span_id FROM below JOIN span ON span.parent = below.span_id
    WHERE span.run = ?1 AND span.kind <> 'TEST' AND span.job IS NULL
)
UPDATE span SET superseded = 1 WHERE run = ?1 AND span_id IN (SELECT span_id FROM below)
"""


def refresh_superseded(db: Database, run: int) -> int:
    """Mark the superseded spans of a run, and return how many of its tests are superseded."""
    units = [_Unit(*row) for row in db.execute(_UNITS, (run,))]
    pairs = _superseded_pairs(units)
    db.execute(_FORGET, (run,))
    if not pairs:
        return 0
    for earlier, later in pairs:
        db.execute(_MARK_UNIT, (run, earlier.span_id))
        db.execute(_MARK_TESTS, (run, earlier.span_id, later.span_id))
    db.execute(_MARK_BELOW, (run,))
    count = "SELECT count(*) FROM span WHERE run = ? AND superseded = 1 AND kind = 'TEST'"
    return int(db.execute(count, (run,)).fetchone()[0])


def _superseded_pairs(units: list[_Unit]) -> list[tuple[_Unit, _Unit]]:
    pairs = []
    for _, group in groupby(units, attrgetter("job", "task")):
        same = sorted(group, key=lambda unit: unit.number or 0)
        pairs += [(earlier, later) for earlier, later in combinations(same, 2) if earlier.is_superseded_by(later)]
    return pairs
