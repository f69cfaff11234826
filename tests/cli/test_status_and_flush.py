"""`swarmtask status` and `swarmtask flush` report the truth in their output and their exit codes."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from contextlib import suppress

import pytest

from tests.history.made import Process
from tests.lab import Lab, Receiver, closed_port, wait_until
from tests.relay.tasks.board import Board, subtask, task


def nobody() -> str:
    """Return the URL of a webhook without a server."""
    return f"http://127.0.0.1:{closed_port()}/"


def leave(lab: Lab, count: int) -> None:
    """Record events that stay pending, and stop their relay."""
    lab.record(count, TASKMASTER_WEBHOOK_URL=nobody())
    lab.kill()


# -- status --------------------------------------------------------------------------------------------------------


def test_status_of_nothing(lab: Lab) -> None:
    """In a project without events, `status` says so kindly and exits with 0."""
    done = lab.run("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing has been recorded here yet" in done.stdout
    assert str(lab.journal) in done.stdout
    assert not lab.journal.exists(), "looking has left something behind"


def test_status_without_a_webhook(lab: Lab) -> None:
    """Events without an endpoint are counted and are not a problem."""
    lab.record(3, TASKMASTER_WEBHOOK_URL="")
    lab.emit("TASK_STARTED", TASKMASTER_WEBHOOK_URL="")
    done = lab.run("status")
    assert done.returncode == 0
    assert "4 events in 2 runs" in done.stdout
    assert "none was configured" in done.stdout


def test_status_of_what_was_delivered(lab: Lab, receiver: Receiver) -> None:
    """If every event was delivered, `status` counts the events and exits with 0."""
    lab.record(5)
    receiver.wait(5)
    lab.wait_for_end()
    done = lab.run("status")
    assert done.returncode == 0
    assert "default: 5 delivered, 0 waiting, 0 dead letters" in done.stdout
    assert "relay" not in done.stdout.replace(str(lab.journal), "")


def test_status_of_what_waits(lab: Lab) -> None:
    """If events are pending, `status` exits with 1 and says how many, why, and how to send them."""
    lab.record(2, TASKMASTER_WEBHOOK_URL=nobody())
    wait_until(lambda: lab.status()["endpoints"]["default"]["state"]["reason"])
    done = lab.run("status")
    assert done.returncode == 1
    assert "default: 0 delivered, 2 waiting" in done.stdout
    assert "retrying: " in done.stdout
    assert "swarmtask flush" in done.stdout
    assert "relay      1 running" in done.stdout


def test_status_of_dead_letters(lab: Lab, receiver: Receiver) -> None:
    """Dead letters make `status` exit with 1, even if nothing is pending."""
    receiver.answer = lambda _: 422
    lab.record(2)
    lab.wait_for_end()
    done = lab.run("status")
    assert done.returncode == 1
    assert "default: 0 delivered, 0 waiting, 2 dead letters" in done.stdout


def test_status_as_json(lab: Lab, receiver: Receiver) -> None:
    """`--json` prints one object with every fact of the text, so that other programs can use it."""
    lab.record(3)
    receiver.wait(3)
    lab.wait_for_end()
    done = lab.run("status", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found.pop("last_run")["spans"], "the tree has tests of its own, in tests/trace"
    assert found == {
        "journal": str(lab.journal),
        "runs": 1,
        "relays": [],
        "segments": 1,
        "events": 3,
        "foreign": 0,
        "torn": 0,
        "damaged": [],
        "triggers": {},
        "alerts_firing": [],
        "notifications_failed": {},
        "config_problems": [],
        "tasks": {},
        "unknown_tasks": [],
        "endpoints": {
            "default": {
                "delivered": 3,
                "waiting": 0,
                "dead": 0,
                "purged": 0,
                "expired": 0,
                "rejected": 0,
                "state": {"state": "ok", "reason": "", "failures": 0, "next_attempt": 0.0},
            }
        },
    }


def test_status_names_a_configuration_that_is_not_valid(lab: Lab) -> None:
    """Where it is wrong, and what that means: else one wonders why nothing is sent."""
    lab.record(1, TASKMASTER_WEBHOOK_URL="")
    lab.file(".taskmaster/config/workflow.yaml", "task_integration: {drain_timeuot: 5, webhook: []}")
    done = lab.run("status")
    assert done.stdout.startswith("config     not valid: ")
    assert "drain_timeuot" in done.stdout.splitlines()[0]
    assert "nothing is sent; swarmtask doctor shows 1 more" in done.stdout.splitlines()[1]
    assert len(json.loads(lab.run("status", "--json").stdout)["config_problems"]) == 2
    assert "events are only recorded with the defaults" in done.stdout
    lab.file(".taskmaster/config/workflow.yaml", "task_integration: {drain_timeuot: 5, enabled: false}")
    for command in ("status", "doctor"):
        shown = lab.run(command).stdout
        assert "until you fix it, nothing is recorded and nothing is sent" in shown
        assert "the defaults" not in shown


def test_status_names_marks_of_tasks_that_do_not_exist(lab: Lab) -> None:
    Board(lab.root).write(task(5, subtasks=[subtask(2)]))
    lab.file(".taskmaster/config/workflow.yaml", "task_integration: {task_manager: {enabled: true}}")
    marks = "".join(f"@pytest.mark.task('{name}')\ndef test_{n}(): pass\n" for n, name in enumerate(["5.2", "9.9"]))
    lab.file("test_it.py", f"import pytest\n{marks}")
    assert lab.pytest().returncode == 0
    assert lab.run("flush").returncode == 0
    shown = lab.run("status").stdout
    assert "tasks      of the last run: 5.2 is done\n" in shown
    assert "tasks      not known to the task manager: 9.9\n" in shown
    assert "tasks of the last run: 5.2 is done\n" in lab.run("doctor", "--no-ping").stdout
    found = json.loads(lab.run("status", "--json").stdout)
    assert found["unknown_tasks"] == ["9.9"]
    assert found["tasks"]["9.9"] is None
    lab.file(".taskmaster/tasks/tasks.json", "not JSON")
    done = lab.run("status")
    assert "tasks.json" in done.stderr
    assert "not known" not in done.stdout


def test_status_counts_what_is_no_event(lab: Lab) -> None:
    """`status` counts lines that are not events, among them the torn last lines of dead processes."""
    lab.record(2, TASKMASTER_WEBHOOK_URL="")
    (segment,) = lab.segments()
    segment.write_bytes(b"garbage\n" + segment.read_bytes()[:-5])
    done = lab.run("status")
    assert "2 lines skipped (not events), 0 torn ends" in done.stdout
    assert "1 event in 1 run" in done.stdout


def test_status_shows_a_part_of_a_huge_run(lab: Lab) -> None:
    """Of a run with very many tasks, `status` shows the failed ones and the first others, and counts the rest."""
    process = Process(lab.journal, "ab" * 16)
    events = []
    for number in range(250):
        span = process.ids.span()
        end = "TASK_FAILED" if number == 240 else "TASK_COMPLETED"
        events += [process.event("TASK_STARTED", f"t{number}", span), process.event(end, f"t{number}", span)]
    process.write(events)
    done = lab.run("status")
    assert "task t0  " in done.stdout
    assert "task t240  failed" in done.stdout
    assert "and 49 more tasks: swarmtask report --run abababab" in done.stdout
    last = lab.status()["last_run"]
    assert (len(last["spans"]), last["left_out"]) == (201, 49)


def test_status_counts_only_what_is_new(lab: Lab) -> None:
    """`status` only reads the lines that are new since the history counted a file, and all lines of a replaced file."""
    lab.record(2, TASKMASTER_WEBHOOK_URL="")
    (segment,) = lab.segments()
    first, second = segment.read_bytes().splitlines(keepends=True)

    def counts() -> tuple[int, int]:
        found = lab.status()
        segment.chmod(0o600)
        return found["events"], found["foreign"]

    assert counts() == (2, 0)
    segment.write_bytes(b"x" * (len(first + second) - 1) + b"\n")
    assert counts() == (2, 0), "it has read all of it again"
    segment.write_bytes(first + second + b"garbage\n" + second)
    assert counts() == (3, 1)
    segment.write_bytes(first)
    assert counts() == (1, 0)
    segment.write_bytes(b"garbage\n" + first + second)
    (lab.journal / "history.sqlite").unlink()
    assert counts() == (2, 1)


# -- flush ---------------------------------------------------------------------------------------------------------


def test_flush_of_nothing(lab: Lab) -> None:
    """If nothing was recorded, or nothing is pending, `flush` says so and exits."""
    done = lab.run("flush")
    assert (done.returncode, done.stdout) == (0, "nothing has been recorded here yet\n")
    lab.emit("TASK_STARTED", TASKMASTER_WEBHOOK_URL="")
    done = lab.run("flush")
    assert (done.returncode, done.stdout) == (0, "nothing to send\n")


def test_flush_says_what_it_did(lab: Lab, receiver: Receiver) -> None:
    """`flush` reports for each webhook how many events it sent, and zero if all were sent before."""
    leave(lab, 4)
    done = lab.run("flush")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "default: 4 delivered now, 0 waiting, 0 dead letters\n"
    assert receiver.ids == lab.ids()
    assert lab.run("flush").stdout == "default: 0 delivered now, 0 waiting, 0 dead letters\n"


def test_flush_that_does_not_succeed(lab: Lab) -> None:
    """If events could not be sent, `flush` exits with 1 and says how many, and why."""
    leave(lab, 2)
    done = lab.run("flush", "--timeout", "5", TASKMASTER_WEBHOOK_URL=nobody())
    assert done.returncode == 1
    assert "default: 0 delivered now, 2 waiting" in done.stdout
    assert "cannot connect" in done.stdout


@pytest.mark.parametrize("timeout", ["0", "0.5"])
def test_flush_in_its_time(lab: Lab, timeout: str) -> None:
    """`flush` stops after `--timeout` seconds."""
    leave(lab, 1)
    begun = time.monotonic()
    assert lab.run("flush", "--timeout", timeout, TASKMASTER_WEBHOOK_URL=nobody()).returncode == 1
    assert time.monotonic() - begun < 20


def test_flush_shows_progress_on_a_terminal(lab: Lab, receiver: Receiver) -> None:
    """On a terminal, a slow `flush` shows a progress bar on stderr; the result goes to stdout."""

    def slowly(_: object) -> int:
        time.sleep(0.05)
        return 200

    receiver.answer = slowly
    leave(lab, 40)
    primary, secondary = pty.openpty()
    flush = subprocess.Popen(
        lab.command("flush"),
        cwd=lab.root,
        env={**lab.environ, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=secondary,
        text=True,
    )
    os.close(secondary)
    shown = b""
    with suppress(OSError):  # the other end is closed
        while select.select([primary], [], [], 60)[0]:
            shown += os.read(primary, 65536)
    out, _ = flush.communicate(timeout=60)
    os.close(primary)
    assert flush.returncode == 0
    assert out == "default: 40 delivered now, 0 waiting, 0 dead letters\n"
    assert b"sending" in shown
