"""`swarmtask status` and `swarmtask flush` tell the truth, and their exit codes too."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from contextlib import suppress

import pytest

from tests.lab import Lab, Receiver, free_port, wait_until


def nobody() -> str:
    """Return a webhook where nobody listens."""
    return f"http://127.0.0.1:{free_port()}/"


def leave(lab: Lab, count: int) -> None:
    """Record events that are not delivered, and leave no relay behind."""
    lab.record(count, TASKMASTER_WEBHOOK_URL=nobody())
    lab.kill()


# -- status --------------------------------------------------------------------------------------------------------


def test_status_of_nothing(lab: Lab) -> None:
    """Where nothing was recorded that is what it says, kindly, and all is well."""
    done = lab.run("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing has been recorded here yet" in done.stdout
    assert str(lab.journal) in done.stdout
    assert not lab.journal.exists(), "looking has left something behind"


def test_status_without_a_webhook(lab: Lab) -> None:
    """Events that are owed to nobody are counted, and nothing is wrong."""
    lab.record(3, TASKMASTER_WEBHOOK_URL="")
    lab.emit("TASK_STARTED", TASKMASTER_WEBHOOK_URL="")
    done = lab.run("status")
    assert done.returncode == 0
    assert "4 events in 2 runs" in done.stdout
    assert "none was configured" in done.stdout


def test_status_of_what_was_delivered(lab: Lab, receiver: Receiver) -> None:
    """Everything delivered: exit code 0 and the count."""
    lab.record(5)
    receiver.wait(5)
    lab.wait_for_end()
    done = lab.run("status")
    assert done.returncode == 0
    assert "default: 5 delivered, 0 waiting, 0 dead letters" in done.stdout
    assert "relay" not in done.stdout.replace(str(lab.journal), "")


def test_status_of_what_waits(lab: Lab) -> None:
    """Events that wait: exit code 1, how many, why, and how to send them."""
    lab.record(2, TASKMASTER_WEBHOOK_URL=nobody())
    wait_until(lambda: lab.status()["endpoints"]["default"]["state"]["reason"])
    done = lab.run("status")
    assert done.returncode == 1
    assert "default: 0 delivered, 2 waiting" in done.stdout
    assert "retrying: " in done.stdout
    assert "swarmtask flush" in done.stdout
    assert "relay      1 running" in done.stdout


def test_status_of_dead_letters(lab: Lab, receiver: Receiver) -> None:
    """Dead letters: exit code 1, also when nothing waits."""
    receiver.answer = lambda _: 404
    lab.record(2)
    lab.wait_for_end()
    done = lab.run("status")
    assert done.returncode == 1
    assert "default: 0 delivered, 0 waiting, 2 dead letters" in done.stdout


def test_status_as_json(lab: Lab, receiver: Receiver) -> None:
    """`--json` gives one object with everything that the text tells, for other programs to go by."""
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
        "triggers": {},
        "alerts_firing": [],
        "notifications_failed": {},
        "endpoints": {
            "default": {
                "delivered": 3,
                "waiting": 0,
                "dead": 0,
                "purged": 0,
                "expired": 0,
                "state": {"state": "ok", "reason": "", "failures": 0, "next_attempt": 0.0},
            }
        },
    }


def test_status_counts_what_is_no_event(lab: Lab) -> None:
    """Foreign lines and torn ends are told."""
    lab.record(2, TASKMASTER_WEBHOOK_URL="")
    (segment,) = lab.segments()
    segment.write_bytes(b"garbage\n" + segment.read_bytes()[:-5])
    done = lab.run("status")
    assert "1 line skipped (not events), 1 torn end" in done.stdout
    assert "1 event in 1 run" in done.stdout


def test_status_counts_only_what_is_new(lab: Lab) -> None:
    """What the history has counted is not read again; what was added is, and all of a file that is another one."""
    lab.record(2, TASKMASTER_WEBHOOK_URL="")
    (segment,) = lab.segments()
    first, second = segment.read_bytes().splitlines(keepends=True)

    def counts() -> tuple[int, int]:
        found = lab.status()
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
    """If nothing was recorded, or there is nothing to send, it says so and ends."""
    done = lab.run("flush")
    assert (done.returncode, done.stdout) == (0, "nothing has been recorded here yet\n")
    lab.emit("TASK_STARTED", TASKMASTER_WEBHOOK_URL="")
    done = lab.run("flush")
    assert (done.returncode, done.stdout) == (0, "nothing to send\n")


def test_flush_says_what_it_did(lab: Lab, receiver: Receiver) -> None:
    """It tells for each webhook how many events it has sent; when everything was sent before, none."""
    leave(lab, 4)
    done = lab.run("flush")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "default: 4 delivered now, 0 waiting, 0 dead letters\n"
    assert receiver.ids == lab.ids()
    assert lab.run("flush").stdout == "default: 0 delivered now, 0 waiting, 0 dead letters\n"


def test_flush_that_does_not_succeed(lab: Lab) -> None:
    """What could not be sent: exit code 1, how many, and why."""
    leave(lab, 2)
    done = lab.run("flush", "--timeout", "5", TASKMASTER_WEBHOOK_URL=nobody())
    assert done.returncode == 1
    assert "default: 0 delivered now, 2 waiting" in done.stdout
    assert "cannot connect" in done.stdout


@pytest.mark.parametrize("timeout", ["0", "0.5"])
def test_flush_in_its_time(lab: Lab, timeout: str) -> None:
    """`--timeout` bounds it."""
    leave(lab, 1)
    begun = time.monotonic()
    assert lab.run("flush", "--timeout", timeout, TASKMASTER_WEBHOOK_URL=nobody()).returncode == 1
    assert time.monotonic() - begun < 20


def test_flush_shows_progress_on_a_terminal(lab: Lab, receiver: Receiver) -> None:
    """On a terminal, and only when it takes longer, there is a progress bar, on stderr; the result is on stdout."""

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
