"""Texts from events, endpoints and other machines cannot control the user's terminal."""

from __future__ import annotations

import json

import pytest

from tests.lab import Lab, Receiver, closed_port

EVIL = "evil\x1b[2J\x1b]0;title\x07\u202e"


def owe(name: str) -> str:
    """Return code that makes events pending for an endpoint of any name.

    `register_webhook` of an integrator would refuse most of these names.
    """
    webhook = {"name": name, "url": f"http://127.0.0.1:{closed_port()}/"}
    return f"AutomationIntegrator()._pipeline.recorder.register_webhook({webhook!r}, [])"


@pytest.fixture
def owing(lab: Lab) -> Lab:
    """A project with an event pending for an endpoint whose name would clear the screen."""
    done = lab.python(
        "from pytest_swarmtask import AutomationIntegrator\n"
        f"{owe(EVIL)}\n"
        f"AutomationIntegrator().trigger_event('TASK_FAILED', {EVIL!r}, metadata={{'error': {EVIL!r}}})\n",
        TASKMASTER_WEBHOOK_URL="",
    )
    assert done.returncode == 0, done.stderr
    return lab


@pytest.mark.parametrize("command", [["status"], ["flush", "--timeout", "0.5"], ["doctor", "--no-ping"]])
def test_commands(owing: Lab, command: list[str]) -> None:
    """`status`, `flush` and `doctor` escape control characters."""
    shown = owing.run(*command, TASKMASTER_WEBHOOK_URL="")
    assert "evil\\x1b[2J" in shown.stdout
    assert harmless(shown.stdout + shown.stderr)


@pytest.mark.long
def test_dead_letters(lab: Lab, receiver: Receiver) -> None:
    """`replay` and `purge` escape control characters in dead letters and their reasons."""
    receiver.answer = lambda _: 404
    lab.emit("TASK_FAILED", EVIL, json.dumps({"error": EVIL}))
    lab.wait_for_end()
    for arguments in (["replay"], ["purge"], ["replay", "--all"], ["replay", "--id", EVIL]):
        done = lab.run(*arguments)
        assert done.stdout + done.stderr
        assert harmless(done.stdout + done.stderr), arguments


def test_errors(lab: Lab) -> None:
    """Messages about the user's arguments, and those of `run`, escape control characters."""
    for arguments in (["status", "--root", EVIL], ["run", "--", EVIL], ["config", "show", "--root", EVIL]):
        done = lab.run(*arguments)
        assert done.returncode != 0
        assert "evil\\x1b" in done.stderr, arguments
        assert harmless(done.stderr)


def test_the_closing_line_of_pytest(lab: Lab) -> None:
    """The plugin's own lines in pytest's output are harmless, whatever the name of an endpoint is."""
    (lab.root / "test_one.py").write_text(
        f"from pytest_swarmtask import AutomationIntegrator\ndef test_one():\n    {owe(EVIL)}\n"
    )
    done = lab.pytest("--swarmtask-drain-timeout=0.2", TASKMASTER_WEBHOOK_URL="")
    assert "swarmtask: 4 events" in done.stdout
    assert harmless(done.stdout)


def harmless(text: str) -> bool:
    """Whether a terminal would only display this text."""
    return all(character.isprintable() for line in text.split("\n") for character in line)
