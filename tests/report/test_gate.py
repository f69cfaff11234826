"""Whether a run may pass: `swarmtask gate`."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import BASE, Process
from tests.lab import GITHUB_JOB
from tests.shop import swarmtask
from tests.suite import Suite

A, B, C = (f"tests/t.py::test_{name}" for name in "abc")
COMMITS = [f"{number:x}" * 40 for number in range(16)]


def write(
    journal: Path,
    number: int,
    tests: dict[str, str],
    branch: str = "main",
    end: dict[str, Any] | None = None,
    **facts: Any,
) -> None:
    """Write the session of one run as pytest ends it; a higher number is a later run."""
    process = Process(journal, f"{number:032x}", BASE + number * 1000)
    events = process.session(tests, **{"python": "3.13.1", "commit": COMMITS[number], "branch": branch, **facts})
    exit_code = int("failed" in tests.values())
    events[-1].metadata.update({"exit_code": exit_code, "tests": len(tests), **(end or {})})
    process.write(events)


def write_quarantined(journal: Path, number: int, branch: str = "feature") -> None:
    """Write the session of a run in which test a failed, and did not count."""
    process = Process(journal, f"{number:032x}", BASE + number * 1000)
    events = process.session({A: "skipped"}, python="3.13.1", commit=COMMITS[number], branch=branch)
    why = {"reason": "it races", "until": "2026-01-31", "issue": "#12", "owner": "@ada"}
    events[2].metadata.update(outcome="quarantined", quarantine=why, error="it is wrong", location="t.py:1")
    events[-1].metadata.update(exit_code=0, tests=1)
    process.write(events)


def gate(root: Path, *arguments: str) -> tuple[int, list[str], list[str]]:
    """Return the exit code, what kept the run from passing, and what was let pass."""
    done = swarmtask(root, "gate", "--json", *arguments)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["passed"] == (not found["against"]) == (done.returncode == 0)
    against, let_pass = (
        [f"{line['policy']}: {line['text']}" for line in found[key]] for key in ("against", "let_pass")
    )
    return done.returncode, against, let_pass


def configure(root: Path, policy: str) -> None:
    """Write the section `gate` of the configuration."""
    folder = root / ".taskmaster" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workflow.yaml").write_text(f"gate: {policy}\n")


@pytest.fixture
def root(journal: Path) -> Path:
    """The root of a project whose tests a, b and c are in its code."""
    root = journal.parents[1]
    (root / "tests").mkdir()
    (root / "tests" / "t.py").write_text(
        "def test_a(): pass\n\nclass TestX:\n    async  def test_b(self): pass\n\ndef test_c(n): 0\n"
    )
    return root


class TestNewFailures:
    def test_a_run_passes(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        write(journal, 2, {A: "passed"}, "feature")
        assert gate(root) == (0, [], [])

    def test_only_new_failures_count(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed", B: "failed"})
        write(journal, 2, {A: "failed", B: "failed"}, "feature")
        on_main = f"new_failures: {B}: not yours: fails on main since {COMMITS[1][:10]}"
        assert gate(root) == (1, [f"new_failures: {A}: yours: new here"], [on_main])
        write(journal, 3, {A: "passed", B: "failed"}, "feature")
        assert gate(root) == (0, [], [on_main])
        assert gate(root, "--run", f"{2:032x}")[0] == 1

    def test_without_main_every_failure_counts(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "failed"}, "feature")
        write(journal, 2, {A: "failed"}, "feature")
        code, against, let_pass = gate(root)
        assert (code, against) == (1, [f"new_failures: {A}: unknown: no earlier run of main is known"])
        assert let_pass == ["lost_tests: no earlier complete run of main is known, so no test is looked for"]

    def test_the_policy_can_let_them_pass(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        write(journal, 2, {A: "failed"}, "feature")
        configure(root, "{new_failures: false}")
        assert gate(root) == (0, [], [f"new_failures: {A}: yours: new here"])


class TestShards:
    def shard(self, journal: Path, shard: str, test: str) -> None:
        """Write the session of one shard of a suite of two tests."""
        number = int(shard[0])
        process = Process(journal, f"{7:032x}", BASE + 2000 + number)
        events = process.session({test: "passed"}, python="3.13.1", commit=COMMITS[2], branch="feature")
        split = {"shard": shard, "by": "test", "tests": 2, "selected": 1, "digest": "d"}
        events[-1].metadata.update({"exit_code": 0, "tests": 1, "split": split})
        process.write(events)

    def test_a_missing_shard_closes_the_gate(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed", B: "passed"})
        self.shard(journal, "1/2", A)
        code, against, _ = gate(root)
        assert (code, against) == (1, ["run: shard 2 of 2 is missing, 1 test of 2 ran in no shard"])
        self.shard(journal, "2/2", B)
        assert gate(root) == (0, [], [])


class TestQuarantine:
    def quarantine(self, root: Path, until: str, test: str = A, more: str = "") -> None:
        """Write a file with one entry."""
        entry = f"{{test: '{test}', reason: it races, until: {until}{more}}}"
        (root / ".taskmaster" / "quarantine.yaml").write_text(f"tests:\n  - {entry}\n")

    def test_a_quarantined_test_is_let_pass(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        write_quarantined(journal, 2)
        assert gate(root) == (0, [], [f"new_failures: {A}: quarantined: it races (until 2026-01-31, @ada, #12)"])

    def test_it_counts_when_that_has_ended(self, root: Path, journal: Path) -> None:
        """Although it has failed on main all the time."""
        write_quarantined(journal, 1, branch="main")
        write(journal, 2, {A: "failed"}, "feature")
        on_main = f"new_failures: {A}: not yours: fails on main since {COMMITS[1][:10]}"
        assert gate(root) == (0, [], [on_main])
        self.quarantine(root, "2026-01-31", "tests/*")
        ended = f"expired_quarantine: {A}: counts again since its quarantine ended on 2026-01-31 (it races)"
        assert gate(root) == (1, [ended], [])
        configure(root, "{expired_quarantine: false}")
        assert gate(root) == (0, [], [on_main])

    def test_entries_that_hold_and_those_for_other_variants(self, root: Path, journal: Path) -> None:
        write_quarantined(journal, 1, branch="main")
        write(journal, 2, {A: "failed"}, "feature")
        today = datetime.now(timezone.utc).date()
        self.quarantine(root, str(today + timedelta(days=1)))
        assert gate(root)[0] == 0
        self.quarantine(root, str(today - timedelta(days=1)), more=", variant: other")
        assert gate(root)[0] == 0
        self.quarantine(root, str(today - timedelta(days=1)))
        assert gate(root)[0] == 1

    def test_nothing_counts_that_has_passed(self, root: Path, journal: Path) -> None:
        self.quarantine(root, "2026-01-31")
        write(journal, 1, {A: "passed"})
        assert gate(root)[0] == 0


class TestRun:
    """What no policy lets pass: the run itself says that it is not whole."""

    @pytest.mark.parametrize(
        ("exit_code", "error"), [(2, "interrupted"), (3, "internal error"), (4, "usage error"), (None, "it was killed")]
    )
    def test_a_session_that_broke_off(self, root: Path, journal: Path, exit_code: int | None, error: str) -> None:
        write(journal, 1, {A: "passed", B: "failed"})
        write(
            journal, 2, {A: "passed", B: "failed"}, "feature", {"exit_code": exit_code, "error": error, "partial": True}
        )
        code, against, _ = gate(root)
        assert (code, against) == (1, [f"run: pytest_run: {error}"])

    def test_a_session_and_a_test_that_have_not_ended(self, root: Path, journal: Path) -> None:
        process = Process(journal, f"{1:032x}", BASE)
        events = process.session({A: "passed", B: "passed"}, branch="main", python="3.13.1")
        process.write(events[:-2])
        (root / "tests" / "t.py").unlink()
        code, against, _ = gate(root, "--run", f"{1:032x}")
        assert code == 1
        assert against  # a local history closes the spans of the dead process; a server still waits for their ends

    def test_no_test(self, root: Path, journal: Path) -> None:
        write(journal, 1, {}, end={"exit_code": 5})
        assert gate(root)[:2] == (1, ["run: no test ran"])


class TestLostTests:
    def test_a_test_that_did_not_run_and_is_still_there(self, root: Path, journal: Path) -> None:
        write(
            journal,
            1,
            {A: "passed", "tests/t.py::TestX::test_b": "passed", C: "passed", "tests/t.py::test_d": "passed"},
        )
        write(journal, 2, {A: "passed"}, "feature")
        ran = "ran in run 000000000000 of main, did not run here, and is still in the code"
        lost = [f"lost_tests: {test}: {ran}" for test in ("tests/t.py::TestX::test_b", C)]
        removed = "lost_tests: 1 test no longer in the code: tests/t.py::test_d"
        assert gate(root) == (1, lost, [removed])
        configure(root, "{lost_tests: false}")
        assert gate(root) == (0, [], [])

    def test_a_removed_file(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed", "tests/gone.py::test_a": "passed"})
        write(journal, 2, {A: "passed"}, "feature")
        assert gate(root) == (0, [], ["lost_tests: 1 test no longer in the code: tests/gone.py::test_a"])

    def test_a_parameter_less_is_no_loss_and_all_of_them_are_one(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed", f"{C}[1]": "passed", f"{C}[2]": "passed"})
        write(journal, 2, {A: "passed", f"{C}[1]": "passed"}, "feature")
        assert gate(root) == (0, [], [])
        write(journal, 3, {A: "passed"}, "feature")
        code, against, _ = gate(root)
        assert (code, len(against)) == (1, 2)

    def test_a_skipped_test_is_there_and_one_that_main_skips_is_not_missed(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed", B: "skipped"})
        write(journal, 2, {A: "skipped"}, "feature")
        assert gate(root) == (0, [], [])

    def test_a_part_of_the_suite_lacks_tests(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed", C: "passed"})
        write(journal, 2, {A: "passed"}, "feature", {"partial": True})
        assert gate(root) == (0, [], ["lost_tests: only a part of the suite ran, so no test is looked for"])

    def test_a_partial_run_of_main_is_not_compared(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed", C: "passed"})
        write(journal, 2, {A: "passed"}, end={"partial": True})
        write(journal, 3, {A: "passed"}, "feature")
        assert gate(root)[0] == 1

    def test_variants_that_the_run_has_are_compared(self, root: Path, journal: Path) -> None:
        """Main may run under more variants than a pull request."""

        def jobs(number: int, branch: str, tests: dict[str, list[str]]) -> None:
            process = Process(journal, f"{number:032x}", BASE + number * 1000)
            for variant, names in tests.items():
                facts = {"variant": variant, "branch": branch, "ci_run": str(number), "python": "3.13.1"}
                events = process.session(dict.fromkeys(names, "passed"), **facts)
                events[-1].metadata.update(exit_code=0, tests=len(names))
                process.write(events)

        jobs(1, "main", {"py312": [A, C], "py313": [A, C], "py314": [A]})
        jobs(2, "feature", {"py312": [A, C], "py313": [A]})
        code, against, _ = gate(root)
        assert (code, len(against)) == (1, 1)
        assert against[0].startswith(f"lost_tests: {C} (py313): ")


class TestCoverage:
    @pytest.mark.parametrize(("now", "code"), [(91.0, 0), (89.5, 0), (88.9, 1), (None, 1)])
    def test_a_drop(self, root: Path, journal: Path, now: float | None, code: int) -> None:
        configure(root, "{coverage_drop: 1}")
        write(journal, 1, {A: "passed"}, end={"coverage_percent": 90.0})
        write(journal, 2, {A: "passed"}, "feature", {} if now is None else {"coverage_percent": now})
        line = f"coverage {now:.1f} %, 90.0 % on main" if now else "coverage was not measured; it is 90.0 % on main"
        lines = [f"coverage_drop: {line}"]
        assert gate(root) == (code, lines if code else [], [] if code else lines)

    def test_nothing_to_compare_with(self, root: Path, journal: Path) -> None:
        configure(root, "{coverage_drop: 1}")
        write(journal, 1, {A: "passed"})
        write(journal, 2, {A: "passed"}, "feature", {"coverage_percent": 1.0})
        assert gate(root) == (0, [], ["coverage_drop: no coverage of the same tests on main is known"])


class TestCommand:
    def test_in_the_terminal(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed", B: "failed"})
        write(journal, 2, {A: "failed", B: "failed"}, "feature")
        done = swarmtask(root, "gate")
        assert (done.returncode, done.stderr) == (1, "")
        assert done.stdout.splitlines() == [
            "gate closed: run 000000000000 on feature, compared with main (run 000000000000)",
            f"  new_failures: {A}: yours: new here",
            "let pass:",
            f"  new_failures: {B}: not yours: fails on main since {COMMITS[1][:10]}",
        ]

    def test_no_run(self, root: Path) -> None:
        (root / ".taskmaster" / "events").mkdir(parents=True, exist_ok=True)
        done = swarmtask(root, "gate", "--run", "ab")
        assert (done.returncode, done.stdout) == (2, "")
        assert "no run begins with 'ab'" in done.stderr

    @pytest.mark.local
    def test_another_run_is_not_judged_instead_of_the_ci_run(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        done = swarmtask(root, "gate", **GITHUB_JOB)
        assert (done.returncode, done.stdout) == (2, "")
        wrong = "this CI run (github:https://github.com/o/r/7) is not in the history, so there is nothing to judge"
        assert done.stderr == f"swarmtask: {wrong}\n"

    @pytest.mark.local
    def test_a_policy_that_is_not_valid(self, root: Path, journal: Path) -> None:
        write(journal, 1, {A: "passed"})
        configure(root, "{new_failures: sometimes}")
        done = swarmtask(root, "gate")
        assert (done.returncode, done.stdout) == (2, "")
        assert "gate.new_failures" in done.stderr

    @pytest.mark.local
    def test_annotations_on_github(self, root: Path, journal: Path) -> None:
        ci_run = "github:https://github.com/o/r/7"
        write(journal, 1, {A: "passed", B: "failed"})
        write(journal, 2, {A: "failed", B: "failed"}, "feature", ci_run=ci_run)
        done = swarmtask(root, "gate", **GITHUB_JOB, GITHUB_WORKSPACE=str(root.parent))
        place = f"file={root.name}/t.py,line=1,title=swarmtask gate%3A new_failures"
        assert [line for line in done.stdout.splitlines() if line.startswith("::")] == [
            f"::error {place}::{A}: yours: new here",
            f"::notice {place}::{B}: not yours: fails on main since {COMMITS[1][:10]}",
        ]


@pytest.mark.local
def test_a_module_that_skips_itself_is_noticed(project: Suite) -> None:
    """Its tests vanish from a green run, because a package is no longer there."""
    project.write(
        test_a="def test_a(): pass", test_b="import pytest\npytest.importorskip('json')\n\ndef test_b(): pass"
    )
    (project.root / ".git").mkdir()
    head = project.root / ".git" / "HEAD"
    head.write_text("ref: refs/heads/main\n")
    assert project.pytest().exit_code == 0
    head.write_text("ref: refs/heads/feature\n")
    assert (project.pytest().exit_code, gate(project.root)[0]) == (0, 0)
    project.write(test_b="import pytest\npytest.importorskip('no_such_package')\n\ndef test_b(): pass")
    assert project.pytest().exit_code == 0
    code, against, _ = gate(project.root)
    assert (code, [line.partition(": ran")[0] for line in against]) == (1, ["lost_tests: test_b.py::test_b"])
