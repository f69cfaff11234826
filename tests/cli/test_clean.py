"""`swarmtask clean` says what is there, and removes nothing that is in use, undelivered or not ours."""

from __future__ import annotations

import os
import re
import subprocess
import time

import pytest

from tests.lab import Lab, Receiver, wait_until
from tests.shop import on_terminal

_DAY = 86400.0


def make_older(lab: Lab, days: float) -> None:
    """Pretend that everything in the journal was last written days ago."""
    then = time.time() - days * _DAY
    for path in lab.journal.rglob("*"):
        os.utime(path, (then, then))


@pytest.fixture
def quiet(lone: Lab) -> Lab:
    """A project without a webhook, in which one event was recorded."""
    lone.emit("TASK_COMPLETED", "1")
    assert lone.run("report").returncode == 0
    return lone


def test_it_says_what_is_there(quiet: Lab) -> None:
    before = sorted(quiet.journal.rglob("*"))
    done = quiet.run("clean")
    assert (done.returncode, done.stderr) == (0, "")
    first, *parts, between, older, everything = done.stdout.splitlines()
    assert re.fullmatch(rf"{re.escape(str(quiet.journal))}: \d+\.\d [kM]B", first)
    assert [line.split()[0] for line in parts][:2] == ["journal", "history"]
    assert between == ""
    assert older == "  swarmtask clean --older-than 30 --yes  removes what is older than 30 days"
    assert everything == "  swarmtask clean --all --yes            removes everything"
    for request in (["--all"], ["--older-than", "0"]):
        assert quiet.run("clean", *request).stdout.endswith("nothing was removed: add --yes\n")
    assert sorted(quiet.journal.rglob("*")) == before


def test_it_fits_a_narrow_terminal(quiet: Lab) -> None:
    """No line is wider than the terminal. Each command stays in one line, so that it can be copied."""
    lines = on_terminal(quiet.root, 60, "clean", NO_COLOR="1").splitlines()
    assert max(map(len, lines)) <= 60
    assert [line[:40] for line in lines if line.startswith("  swarmtask")] == [
        "  swarmtask clean --older-than 30 --yes ",
        "  swarmtask clean --all --yes           ",
    ]
    words = " ".join(" ".join(lines).split())
    assert "results of tests and runs" in words
    assert words.endswith("removes everything")


def test_wholly(quiet: Lab) -> None:
    quiet.file(".taskmaster/quarantine.yaml", "[]\n")
    done = quiet.run("clean", "--all", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" freed, 0.0 kB left\n")
    assert os.listdir(quiet.root / ".taskmaster") == ["quarantine.yaml"]
    assert quiet.run("clean").stdout == "nothing has been recorded here yet\n"
    quiet.emit("TASK_COMPLETED", "2")
    assert [event["task_id"] for event in quiet.events()] == ["2"]


def test_no_empty_folder_stays(quiet: Lab) -> None:
    assert quiet.run("clean", "--all", "--yes").returncode == 0
    assert not (quiet.root / ".taskmaster").exists()


def test_by_age(quiet: Lab) -> None:
    """Old runs go from the journal and from the history. The newest run stays in the history."""
    make_older(quiet, 3)
    quiet.emit("TASK_COMPLETED", "2")
    done = quiet.run("clean", "--older-than", "2", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert " freed, " in done.stdout
    assert [event["task_id"] for event in quiet.events()] == ["2"]


def test_what_waits_for_a_webhook_stays(lab: Lab, receiver: Receiver) -> None:
    receiver.answer = lambda _: 503
    lab.record_unsent("TASK_COMPLETED", ["1"])
    make_older(lab, 3)
    assert lab.run("clean", "--older-than", "2", "--yes").returncode == 0
    assert len(lab.events()) == 1
    lab.kill()
    done = lab.run("clean", "--all", "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "swarmtask: not delivered yet: 1 event for default; send them with swarmtask flush, or add --undelivered\n"
    )
    assert lab.run("clean", "--all", "--undelivered", "--yes").returncode == 0
    assert not lab.journal.exists()


def test_a_process_that_records(quiet: Lab) -> None:
    """Nothing is removed while a process writes."""
    program = (
        "import sys; from pytest_swarmtask import AutomationIntegrator as A\n"
        "A().trigger_event('TASK_STARTED', '2'); print('ready', flush=True); sys.stdin.read()"
    )
    command = [quiet.command("status")[0], "-c", program]
    with subprocess.Popen(
        command, cwd=quiet.root, env=quiet.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        done = quiet.run("clean", "--all", "--yes")
        assert done.returncode == 2
        assert done.stderr == ("swarmtask: a process records or delivers here: try again when that is done\n")
        process.communicate("")
    assert len(quiet.events()) == 2
    wait_until(lambda: quiet.run("clean", "--all", "--yes").returncode == 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--yes"], "--yes needs --older-than DAYS or --all, which say what to remove"),
        (["--older-than", "soon"], "'soon' is not a number of days"),
        (["--all", "--older-than", "1"], "not allowed with argument"),
    ],
)
def test_mistakes(quiet: Lab, arguments: list[str], message: str) -> None:
    done = quiet.run("clean", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(quiet.events()) == 1
