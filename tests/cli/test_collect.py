"""`swarmtask collect`: the shards of a CI run become one run with each event once, in whatever state they arrive."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from pytest_swarmtask.core.timestamps import parse_timestamp
from tests.history.made import BASE, Process, rows, run
from tests.lab import GITHUB_JOB, UNRELATED, Lab, bound_by_modes, clean_environ, closed_port, read_events
from tests.shop import swarmtask
from tests.suite import Suite

SHARDS = 12
KILLED, SKEWED = 3, 5
SUITE = """
import os, pytest

@pytest.mark.parametrize("n", range(10))
def test_all(n): assert n != 7

def test_skipped(): pytest.skip("not here")

@pytest.fixture
def broken(): raise OSError("no database")

def test_error(broken): pass
"""
DEADLY = "\ndef test_last():\n    os.kill(os.getpid(), 9)\n"


def shard(root: Path, number: int) -> Suite:
    """Run one shard of the suite as a job of GitHub, whose machine has an endpoint that cannot be reached."""
    suite = Suite(root / f"machine-{number}").write(**{f"test_{number}": SUITE + DEADLY * (number == KILLED)})
    environ = clean_environ(
        **GITHUB_JOB,
        GITHUB_REF_NAME="main",
        SWARMTASK_VARIANT=f"test ({number})",
        TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{closed_port()}/",
    )
    command = [sys.executable, "-m", "pytest", *UNRELATED, "-q", "-p", "no:cacheprovider", "--junit-xml=junit.xml"]
    done = subprocess.run(
        [*command, "--swarmtask-drain-timeout=0"], cwd=suite.root, env=environ, capture_output=True, check=False
    )
    assert done.returncode == (-signal.SIGKILL if number == KILLED else 1)
    Lab(suite.root).kill()  # the relay, which goes on trying
    return suite


def skew(segment: Path, days: int) -> None:
    """Rewrite a segment as if the clock of its machine had been wrong."""
    events = [json.loads(line) for line in segment.read_text().splitlines()]
    for event in events:
        at = parse_timestamp(event["timestamp"]) + timedelta(days=days)
        event["timestamp"] = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"
    segment.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events))


def keep(segment: Path, number: int, into: Path) -> None:
    """Keep a segment as the artifact of a shard, in one of the forms that services use."""
    kind = number % 3
    if kind == 0:  # as actions/upload-artifact does
        with zipfile.ZipFile(into / f"journal-{number}.zip", "w", zipfile.ZIP_DEFLATED) as zip_file:
            zip_file.write(segment, segment.name)
    elif kind == 1:
        with tarfile.open(into / f"journal-{number}.tar.gz", "w:gz") as tar_file:
            tar_file.add(segment, f".taskmaster/events/{segment.name}")
    else:
        (into / f"journal-{number}").mkdir()
        shutil.copy(segment, into / f"journal-{number}")


def shards(tmp_path: Path, artifacts: Path) -> tuple[Counter[str], list[str]]:
    """Keep the journals of the shards, and return the counts of their JUnit XML and the ids of their events."""
    counts: Counter[str] = Counter()
    ids: list[str] = []
    for number in range(SHARDS):
        suite = shard(tmp_path, number)
        (segment,) = suite.segments()
        if number == SKEWED:
            skew(segment, 1)
        ids += [event["id"] for event in suite.events()]
        if number == KILLED:
            counts += Counter(passed=9, failure=1, skipped=1, error=1)
            counts["crashed"] += 1
        else:
            counts += session_counts(suite)
        keep(segment, number, artifacts)
    return counts, ids


@pytest.mark.long
def test_twelve_shards(tmp_path: Path) -> None:
    """One was killed, the clock of one is a day ahead, and one archive was cut off before it was uploaded as a whole.

    They are one run, the counts are those of JUnit, each event is there once, and nothing is delivered from here.
    """
    artifacts, first_upload = tmp_path / "artifacts", tmp_path / "first"
    artifacts.mkdir()
    first_upload.mkdir()
    counts, ids = shards(tmp_path, artifacts)
    cut = artifacts / "journal-4.tar.gz"
    (first_upload / cut.name).write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])

    project = tmp_path / "project"
    (project / ".taskmaster").mkdir(parents=True)
    for path, code, words in (
        (first_upload, 1, "journal-4.tar.gz: "),
        (artifacts, 0, "collected 12 segments from 8 archives: "),
        (artifacts, 0, " of them known already"),
    ):
        done = collected(project, path)
        assert done.returncode == code, done.stderr
        assert words in done.stdout + done.stderr
    found = json.loads(swarmtask(project, "report", "--json").stdout)["run"]
    assert Counter({name: count for name, count in found["counts"].items() if count}) == Counter(
        passed=counts["passed"],
        failed=counts["failure"],
        errors=counts["error"],
        skipped=counts["skipped"],
        crashed=counts["crashed"],
    )
    assert rows(project / ".taskmaster" / "events", "SELECT count(*) FROM runs") == [(1,)]
    exported = [json.loads(line)["id"] for line in swarmtask(project, "export", "--jsonl").stdout.splitlines()]
    assert len(exported) == len(set(exported))
    assert Counter(one for one in exported if not one.endswith("-end")) == Counter(ids)
    ends = [one for one in exported if one.endswith("-end")]
    assert len(ends) >= 2  # of the test that was killed, and of its session
    durations = rows(project / ".taskmaster" / "events", "SELECT max(duration) FROM spans")
    assert durations[0][0] < 600
    assert json.loads(swarmtask(project, "status", "--json").stdout)["endpoints"] == {}


def session_counts(suite: Suite) -> Counter[str]:
    """Return the number of test cases in the JUnit XML of a session for each result."""
    from tests.suite import Session

    return Session(0, "", "", [], suite.root / "junit.xml").junit_counts()


def collected(project: Path, *paths: Path, prefix: Iterable[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "pytest_swarmtask", "collect", *map(str, paths)]
    return subprocess.run(command, cwd=project, env=clean_environ(), capture_output=True, text=True, check=False)


# -- what it says ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without a journal."""
    root = tmp_path / "project"
    (root / ".taskmaster").mkdir(parents=True)
    return root


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """A segment of another machine."""
    return run(tmp_path / "elsewhere", 1, {"test_a": "passed", "test_b": "failed"}).path


def test_what_was_collected_is_said(project: Path, segment: Path) -> None:
    segment.write_bytes(segment.read_bytes() + b"{}\n")
    done = collected(project, segment)
    expected = "collected 1 segment: 6 events\n1 line skipped (not events)\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
    done = collected(project, segment.parent)
    assert done.stdout == expected.replace("6 events", "6 events, 6 of them known already")


def test_a_broken_file_does_not_stop_the_others(project: Path, segment: Path) -> None:
    """Each file that cannot be read is named with the reason, and the exit code is 1."""
    for name in ("a.zip", "b.tar", "c.tar.xz"):
        (segment.parent / name).write_bytes(os.urandom(2000))
    done = collected(project, segment.parent)
    assert (done.returncode, done.stdout) == (1, "collected 1 segment: 6 events\n")
    assert done.stderr.splitlines() == [
        f"swarmtask: {segment.parent}/{name}: neither a segment nor an archive, or damaged"
        for name in ("a.zip", "b.tar", "c.tar.xz")
    ]


def test_nothing_was_found(project: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = collected(project, tmp_path / "empty")
    expected = "nothing was collected: no segment of a journal was found\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, expected, "")


def test_a_path_that_is_not_there(project: Path, segment: Path) -> None:
    """It is a wrong use, and nothing is collected."""
    done = collected(project, segment, project / "artefacts")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"swarmtask: {project}/artefacts: there is no such file or folder\n"
    assert not (project / ".taskmaster" / "events").exists()


def test_files_that_may_not_be_read(project: Path, segment: Path, tmp_path: Path) -> None:
    closed = tmp_path / "elsewhere" / "closed"
    closed.mkdir()
    (tmp_path / "elsewhere" / "a.zip").touch(0)
    closed.chmod(0)
    done = collected(project, segment.parent, prefix=bound_by_modes())
    closed.chmod(0o700)
    assert (done.returncode, done.stdout) == (1, "collected 1 segment: 6 events\n")
    assert done.stderr.count("Permission denied") == 2


def test_a_name_that_would_move_the_cursor(project: Path, segment: Path) -> None:
    (segment.parent / "\x1b[2J.zip").write_bytes(b"PK")
    done = collected(project, segment.parent)
    assert "\\x1b[2J.zip: damaged" in done.stderr
    assert "\x1b" not in done.stderr


# -- the questions afterwards ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["--jsonl", "--csv"])
def test_every_event_is_exported(project: Path, segment: Path, form: str) -> None:
    """The whole events of collected segments are in the segments, and those recorded here in the history."""
    run(project / ".taskmaster" / "events", 2, {"here": "passed"})
    swarmtask(project, "report")
    collected(project, segment)
    done = swarmtask(project, "export", form)
    assert (done.returncode, done.stderr) == (0, "")
    exported = done.stdout.splitlines()
    assert len(exported) == 10 + (form == "--csv")
    for event in read_events(project):
        (line,) = [line for line in exported if event["id"] in line]
        assert event["event_type"] in line
        assert event["trace_id"] in line


CI_RUN = "github:https://github.com/o/r/7"
FACTS = {"ci_run": CI_RUN, "ci_job": "test"}
ASK: dict[str, Callable[[str], str]] = {
    "report": lambda text: json.loads(text)["run"]["run"],
    "status": lambda text: json.loads(text)["last_run"]["trace_id"],
}


@pytest.mark.parametrize("command", ASK)
def test_a_ci_run_sees_itself(project: Path, command: str) -> None:
    """A run whose clock was ahead, and that came with the cached history, does not take its place."""
    journal = project / ".taskmaster" / "events"
    ours = Process(journal, f"{1:032x}", BASE)
    ours.write(ours.session({"test_a": "passed"}, **FACTS))
    other = Process(journal, f"{2:032x}", BASE + 5000)
    other.write(other.session({"test_a": "passed"}))
    asked = [sys.executable, "-m", "pytest_swarmtask", command, "--json"]
    for environ, trace_id in ((clean_environ(**GITHUB_JOB), ours.trace_id), (clean_environ(), other.trace_id)):
        done = subprocess.run(asked, cwd=project, env=environ, capture_output=True, text=True, check=False)
        assert ASK[command](done.stdout) == trace_id


@pytest.mark.parametrize("form", [(), ("--markdown",), ("--json",)], ids=" ".join)
def test_a_ci_run_that_is_not_there(project: Path, form: tuple[str, ...]) -> None:
    """Nobody takes another run for the one on whose page it is shown."""
    run(project / ".taskmaster" / "events", 1, {"test_a": "passed"})
    asked = [sys.executable, "-m", "pytest_swarmtask", "report", *form]
    environ = clean_environ(**GITHUB_JOB)
    done = subprocess.run(asked, cwd=project, env=environ, capture_output=True, text=True, check=False)
    note = "This CI run is not in the history. Another run follows.\n"
    if form == ("--json",):
        assert done.stderr == f"swarmtask: {note}"
    else:
        assert done.stdout.startswith(f"{note}\n")


def test_a_run_from_the_future_is_not_the_last_one(project: Path) -> None:
    journal = project / ".taskmaster" / "events"
    run(journal, 1, {"test_a": "passed"})
    later = Process(journal, f"{2:032x}", BASE + 86_400 * 400)
    later.write(later.session({"test_a": "passed"}))
    for command, trace_id_of in ASK.items():
        assert trace_id_of(swarmtask(project, command, "--json").stdout) == f"{1:032x}"


def test_attempts_on_machines_with_different_clocks(project: Path) -> None:
    """The second attempt counts although its clock is an hour behind: the service has numbered the attempts."""
    journal = project / ".taskmaster" / "events"
    for attempt, outcome in ((1, "failed"), (2, "passed")):
        process = Process(journal, f"{attempt:032x}", BASE - 3600 * attempt)
        process.write(process.session({"test_a": outcome}, **FACTS, ci_job_run=str(attempt)))
    found = json.loads(swarmtask(project, "report", "--json").stdout)["run"]
    assert (found["outcome"], found["counts"], found["superseded"]) == ("completed", {"passed": 1}, 1)


def test_the_previous_run_is_that_of_the_branch(project: Path) -> None:
    """`--compare previous` takes the run before on the same branch, else on any, and says nothing if there is none."""
    journal = project / ".taskmaster" / "events"
    for number, (branch, outcome) in enumerate((("main", "failed"), ("new", "passed"), ("main", "passed")), 1):
        run(journal, number, {"test_a": outcome}, branch=branch)
    others = []
    for number in (1, 2, 3):
        done = swarmtask(project, "report", "--json", "--run", f"{number:032x}", "--compare", "previous")
        comparison = json.loads(done.stdout)["comparison"]
        others.append(comparison and (comparison["other"]["run"], comparison["fixed"]))
    assert others == [None, (f"{1:032x}", ["test_a"]), (f"{1:032x}", ["test_a"])]
