"""`swarmtask doctor` finds problems and says how to fix them."""

from __future__ import annotations

import sqlite3

import pytest

from tests.lab import Lab, Receiver, closed_port, wait_until


def findings(lab: Lab, *arguments: str, code: int, **environ: str) -> dict[str, str]:
    """Return the findings and their advice by mark, after checking the exit code."""
    done = lab.run("doctor", *arguments, **environ)
    assert done.returncode == code, done.stdout
    assert done.stderr == ""
    found = {"ok": "", "note": "", "BAD": ""}
    mark = ""
    for line in done.stdout.splitlines():
        if not line.startswith("     → "):
            mark = line[:4].strip()
        found[mark] += line + "\n"
    return found


def test_all_is_well(lab: Lab, receiver: Receiver) -> None:
    """If everything works, `doctor` checks each part, gets a signed ping accepted, and exits with 0."""
    found = findings(lab, code=0)
    assert found["BAD"] == found["note"] == ""
    for words in ("pytest-swarmtask", "configuration", "webhook default: accepted a test event", "journal"):
        assert words in found["ok"]
    (ping,) = receiver.arrivals
    assert ping.headers["content-type"] == "application/cloudevents+json"
    assert ping.webhook_id.startswith("ping_")
    assert receiver.refused == 0
    assert not lab.journal.exists(), "looking has left something behind"


def test_without_a_ping(lab: Lab, receiver: Receiver) -> None:
    """`--no-ping` sends no request to a webhook."""
    assert "webhook default: configured" in findings(lab, "--no-ping", code=0)["ok"]
    assert receiver.arrivals == []


def test_no_webhook(lab: Lab) -> None:
    """A missing webhook is a note, not a failure, and the note says how to add a webhook."""
    found = findings(lab, code=0, TASKMASTER_WEBHOOK_URL="")
    assert "TASKMASTER_WEBHOOK_URL" in found["note"]


def test_an_inactive_webhook(lab: Lab) -> None:
    """A webhook whose variables are not set is a note that names the variables."""
    lab.webhooks({"name": "chat", "url": "https://chat.example/${CHAT_ID}"})
    found = findings(lab, code=0, TASKMASTER_WEBHOOK_URL="")
    assert "chat" in found["note"]
    assert "CHAT_ID" in found["note"]


def test_unsigned(lab: Lab) -> None:
    """A webhook that accepts unsigned events is a note that says how to sign."""
    import subprocess

    listener = subprocess.Popen(
        lab.command("listen", "--port", "0"),
        cwd=lab.root,
        env={**lab.environ, "AUTOMATION_SECRET_KEY": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert listener.stdout is not None
    try:
        url = listener.stdout.readline().strip()
        found = findings(lab, code=0, TASKMASTER_WEBHOOK_URL=url, AUTOMATION_SECRET_KEY="")
    finally:
        listener.terminate()
        listener.communicate(timeout=60)
    assert "webhook default: accepted a test event" in found["note"]
    assert "swarmtask secret" in found["note"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task_integration: {drain_timeuot: 5}", "drain_timeout"),
        ("task_integration: {webhooks: [{name: a}]}", "url"),
        ("task_integration: [", "workflow.yaml"),
    ],
)
def test_a_bad_configuration(lab: Lab, text: str, words: str) -> None:
    """An invalid configuration is a failure that names the position, the error, and the defaults used meanwhile."""
    (lab.root / ".taskmaster" / "config").mkdir()
    (lab.root / ".taskmaster" / "config" / "workflow.yaml").write_text(text)
    found = findings(lab, code=1)
    assert words in found["BAD"]
    assert "defaults" in found["BAD"]


@pytest.mark.parametrize(
    ("status", "words"), [(401, "401"), (404, "404"), (410, "410"), (500, "500"), (302, "redirect")]
)
def test_a_webhook_that_refuses(lab: Lab, receiver: Receiver, status: int, words: str) -> None:
    """A webhook that rejects the ping is a failure that shows the webhook's answer."""
    receiver.answer = lambda _: status
    found = findings(lab, code=1)
    assert "webhook default: " in found["BAD"]
    assert words in found["BAD"]


def test_a_webhook_that_is_down(lab: Lab) -> None:
    """An unreachable webhook is a failure, and events wait meanwhile."""
    found = findings(lab, code=1, TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{closed_port()}/secret-path")
    assert "cannot connect" in found["BAD"]
    assert "events wait" in found["BAD"]
    assert "secret-path" not in "".join(found.values())


def test_a_secret_that_is_malformed(lab: Lab) -> None:
    """A malformed signing secret is a failure, and the message does not quote the secret."""
    found = findings(lab, code=1, AUTOMATION_SECRET_KEY="whsec_%%%not-base64%%%")
    assert "AUTOMATION_SECRET_KEY" in found["BAD"]
    assert "%%%" not in "".join(found.values())


def test_what_waits(lab: Lab) -> None:
    """Pending events are a failure that names the command to send them and the log."""
    nowhere = f"http://127.0.0.1:{closed_port()}/"
    lab.record(2, TASKMASTER_WEBHOOK_URL=nowhere)
    lab.kill()
    found = findings(lab, code=1)
    assert "default: 0 delivered, 2 waiting" in found["BAD"]
    assert "swarmtask flush" in found["BAD"]
    assert "relay.log" in found["BAD"]


class TestAdvice:
    """Who follows the advice has no problem any more."""

    def test_what_waits(self, lab: Lab, receiver: Receiver) -> None:
        receiver.answer = lambda _: 503
        lab.record(2)
        lab.kill()
        assert "waiting events with: swarmtask flush" in findings(lab, "--no-ping", code=1)["BAD"]
        receiver.answer = lambda _: 200
        lab.run("flush")
        assert "2 delivered, 0 waiting, 0 refused" in findings(lab, code=0)["ok"]

    def test_what_was_refused(self, lab: Lab, receiver: Receiver) -> None:
        receiver.answer = lambda _: 422
        lab.record(2)
        lab.wait_for_end()
        found = findings(lab, code=1)["BAD"]
        assert "if it refuses real events, too, they become dead letters" in found
        assert "flush" not in found
        receiver.answer = lambda _: 200
        assert "send them again with: swarmtask replay --all" in found
        lab.run("replay", "--all")
        assert "2 delivered, 0 waiting, 0 refused" in findings(lab, code=0)["ok"]

    def test_a_wrong_address(self, lab: Lab, receiver: Receiver) -> None:
        """Nothing is buried: the events wait until the address is right."""
        receiver.answer = lambda _: 404
        lab.record(2)
        wait_until(lambda: lab.status()["endpoints"]["default"]["state"]["state"] == "stopped")
        found = findings(lab, code=1)["BAD"]
        assert "nobody takes events at this address; correct its url" in found
        assert "its events wait until you fix it; then send them with: swarmtask flush" in found
        assert "0 delivered, 2 waiting, 0 refused" in found
        receiver.answer = lambda _: 200
        lab.run("flush")
        assert "2 delivered, 0 waiting, 0 refused" in findings(lab, code=0)["ok"]

    def test_a_secret_that_is_not_set(self, lab: Lab, receiver: Receiver) -> None:
        found = findings(lab, code=1, AUTOMATION_SECRET_KEY="")["BAD"]
        assert "no secret is set: set the variable that secret_env names" in found
        assert "accepted" in findings(lab, code=0)["ok"]


def test_what_is_no_event(lab: Lab) -> None:
    """Lines of the journal that are not events are a note."""
    lab.record(1, TASKMASTER_WEBHOOK_URL="")
    (segment,) = lab.segments()
    segment.write_bytes(b"garbage\n" + segment.read_bytes())
    assert "1 line" in findings(lab, code=0)["note"]


def test_a_journal_that_cannot_be_written(lab: Lab) -> None:
    """A file in the place of the journal's folder is a failure."""
    lab.journal.write_text("in the way")
    assert "journal" in findings(lab, code=1)["BAD"]


@pytest.mark.parametrize("target", ["nowhere", "events"], ids=["dangling", "loop"])
def test_a_journal_that_is_a_link_to_nothing(lab: Lab, target: str) -> None:
    lab.journal.symlink_to(target)
    assert f"journal: {lab.journal} is a link that leads nowhere" in findings(lab, "--no-ping", code=1)["BAD"]
    assert lab.run("emit", "TASK_STARTED", "x").returncode == 0


def test_a_database_that_cannot_be_read(lab: Lab, receiver: Receiver) -> None:
    """A history database of a newer version is a failure, and `doctor` still checks everything else."""
    lab.emit("TASK_STARTED")
    receiver.wait(1)
    lab.wait_for_end()
    db = sqlite3.connect(lab.journal / "relay" / "relay.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    found = findings(lab, code=1)
    assert "newer version" in found["BAD"]
    assert "accepted a test event" in found["ok"]
