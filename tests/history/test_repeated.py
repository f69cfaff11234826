"""Which tests of a run passed only when they were repeated, how they failed before, and which traces a run has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.core.trace import run_context
from pytest_swarmtask.history import query
from pytest_swarmtask.history.repeated import LastRepeated, Repeated, last_repeated, repeated
from tests.history.made import BASE, Process, asked, rows
from tests.history.test_ci_runs import Job, github, gitlab

RERUN = {"outcome": "failed", "phase": "call", "error": "TimeoutError: slow", "location": "t.py:7", "duration": 0.5}
WHY = {"phase": "call", "error": "OSError: gone", "location": "t.py:9", "exception": "OSError", "fingerprint": "f00d",
       "traceback": "E  gone", "stdout": "out", "duration": 0.25}  # fmt: skip

Outcomes = dict[str, dict[str, Any]]

pytestmark = pytest.mark.usefixtures("engine")


class Writer:
    """Writes sessions one after the other. A test has the metadata of its end event, by which it failed or passed."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self._now = BASE

    def session(self, tests: Outcomes, trace_id: str = "1" * 32, **facts: Any) -> None:
        """Write one session."""
        process = Process(self.journal, trace_id, self._now)
        ends = {test: "failed" if "error" in more else more.get("ends", "passed") for test, more in tests.items()}
        events = process.session(ends, **facts)
        for event in events[2:-1:2]:
            event.metadata.update(tests[event.task_id or ""])
        process.write(events)
        self._now = process.now + 1

    def job(self, tests: Outcomes, attempt: int = 1, **facts: Any) -> None:
        """Write the session of an attempt at a job of GitLab, whose attempts share one trace."""
        self.session(tests, ci_run="pipeline 1", ci_job="test", ci_job_run=str(attempt), **facts)

    def repeated(self, limit: int = 10) -> tuple[list[Repeated], int]:
        """Return the repeated tests of the newest run."""
        (run,) = asked(self.journal, query.last_runs, 1)
        found: tuple[list[Repeated], int] = asked(self.journal, repeated, run, limit)
        return found


@pytest.fixture
def writer(journal: Path) -> Writer:
    return Writer(journal)


def test_reruns_in_a_session(writer: Writer) -> None:
    """Only tests that passed at last are listed; of some plug-ins only the number of attempts is known."""
    writer.session(
        {
            "test_a": {"attempt": 3, "attempts": [RERUN, {**RERUN, "outcome": "error"}]},
            "test_b": {"attempt": 1},
            "test_c": {"attempt": 2, "attempts": [RERUN], **WHY},
            "test_d": {"attempt": 2, "outcome": "xpassed"},
            "test_e": {"attempt": 2, "outcome": "skipped", "ends": "skipped"},
        },
        variant="py",
    )
    assert writer.repeated() == (
        [
            Repeated("test_a", "py", "passed", 3, [RERUN, {**RERUN, "outcome": "error"}]),
            Repeated("test_d", "py", "xpassed", 2, []),
        ],
        2,
    )
    assert [test.test for test in writer.repeated(1)[0]] == ["test_a"]
    assert writer.repeated(1)[1] == 2


def test_attempts_of_a_job(writer: Writer) -> None:
    """The superseded failure is the attempt, with its evidence, after the reruns of its own session."""
    writer.job({"test_a": {**WHY, "attempt": 2, "attempts": [RERUN]}, "test_b": WHY, "test_c": {}, "test_d": WHY}, 1)
    writer.job({"test_a": WHY, "test_b": {}, "test_c": {}, "test_d": WHY}, 2)
    writer.job({"test_a": {"attempt": 2, "attempts": [RERUN]}, "test_d": WHY}, 3)
    told = {"outcome": "failed", **WHY}
    assert writer.repeated() == (
        [Repeated("test_b", "", "passed", 2, [told]), Repeated("test_a", "", "passed", 5, [RERUN, told, told, RERUN])],
        2,
    )


def test_a_test_that_failed_elsewhere_in_the_run(writer: Writer) -> None:
    """It is a failure of the run. Under another variant it is another test."""
    writer.session({"test_a": WHY, "test_b": WHY}, variant="one")
    writer.session({"test_a": {"attempt": 2, "attempts": [RERUN]}}, variant="one")
    writer.session({"test_b": {"attempt": 2, "attempts": [RERUN]}}, variant="two")
    assert writer.repeated() == ([Repeated("test_b", "two", "passed", 2, [RERUN])], 1)


def test_a_superseded_pass(writer: Writer) -> None:
    """A test that passed on a rerun, and at once when its job was run again, has been repeated."""
    writer.job({"test_a": {"attempt": 2, "attempts": [RERUN]}, "test_b": WHY}, 1)
    writer.job({"test_a": {}}, 2)
    assert writer.repeated() == ([Repeated("test_a", "", "passed", 3, [RERUN])], 1)


def test_other_runs_do_not_count(writer: Writer) -> None:
    """A failure of one run and a pass of the next are no repetition."""
    writer.session({"test_a": WHY}, "1" * 32)
    writer.session({"test_a": {}}, "2" * 32)
    assert writer.repeated() == ([], 0)


def test_the_last_time(writer: Writer) -> None:
    """For each variant it is the newest run on the branch in which the test was repeated."""
    once = {"test_a": {"attempt": 2, "attempts": [RERUN]}}
    for number, branch in ((1, "main"), (2, "main"), (3, "side")):
        writer.session(once, f"{number:032x}", branch=branch, variant="py")
    writer.session({"test_a": {}}, f"{4:032x}", branch="main", variant="py")
    writer.session(once, f"{5:032x}", branch="main", variant="other")
    found: list[LastRepeated] = asked(writer.journal, last_repeated, "test_a", "main")
    assert [(last.test.variant, last.run) for last in found] == [("other", f"{5:032x}"), ("py", f"{2:032x}")]
    assert found[1].test == Repeated("test_a", "py", "passed", 2, [RERUN])
    assert asked(writer.journal, last_repeated, "test_b", "main") == []


def test_attempts_with_traces_of_their_own(writer: Writer) -> None:
    """All traces of a run are known in the order of their attempts, in whichever order they were imported."""
    traces = {attempt: run_context(github(Job(attempt=attempt)), under_ci=True)[0] for attempt in (1, 2, 3)}
    job = {"ci_run": "github run 7", "ci_job": "test"}
    writer.session({"test_a": WHY}, traces[1], ci_job_run="1", **job)
    first = next(writer.journal.glob("*.jsonl"))
    lines = first.read_bytes()
    first.unlink()  # as if the journal of the first attempt arrived last
    for attempt in (2, 3):
        writer.session({"test_a": WHY if attempt == 2 else {}}, traces[attempt], ci_job_run=str(attempt), **job)
    (run,) = asked(writer.journal, query.last_runs, 10)
    assert run.traces == [traces[2], traces[3]]
    first.write_bytes(lines)
    (run,) = asked(writer.journal, query.last_runs, 10)
    assert run.traces == [traces[1], traces[2], traces[3]]
    for trace_id in traces.values():
        assert asked(writer.journal, query.find_runs, trace_id[:12]) == [run]
    assert writer.repeated()[0][0].attempts_total == 3
    began = [at for (at,) in rows(writer.journal, "SELECT started FROM trace ORDER BY started")]
    assert began == sorted(set(began))
    assert began[0] == run.started


def test_attempts_in_one_trace(writer: Writer) -> None:
    """On GitLab all attempts have one trace."""
    (trace_id,) = {run_context(gitlab(Job(attempt=attempt)), under_ci=True)[0] for attempt in (1, 2)}
    for attempt in (1, 2):
        writer.session({"test_a": {}}, trace_id, ci_run="pipeline", ci_job="test", ci_job_run=str(attempt))
    (run,) = asked(writer.journal, query.last_runs, 10)
    assert run.traces == [trace_id]
