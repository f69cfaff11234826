"""Rules for tests, and a command that notes how it was called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pytest_swarmtask.relay.survey import survey
from pytest_swarmtask.relay.triggers.firing_log import summaries
from tests.lab import Json, Lab, wait_until

NOTE = """
import json, os, sys
with open(sys.argv[1], "a") as file:
    file.write(json.dumps({"argv": sys.argv[2:], "cwd": os.getcwd(), "environ": dict(os.environ)}) + "\\n")
"""
LOG = [{"name": "log", "kind": "log"}]


def rule(*do: Json, on: str = "TASK_COMPLETED", name: str = "rule", **more: Any) -> Json:
    """Return a rule."""
    return {"name": name, "on": [on], "do": list(do), **more}


def python(program: str, *arguments: str, **more: Any) -> Json:
    """Return an action that runs a Python program."""
    return {"action": "run", "command": [sys.executable, "-c", program, *arguments], **more}


def configure(lab: Lab, *rules: Json, **sections: Any) -> None:
    """Write the rules of a project. Its webhook still comes from the environment."""
    content = {"automation_triggers": {"rules": list(rules)}, "monitoring": {"notifiers": LOG}, **sections}
    path = lab.root / ".taskmaster" / "config" / "workflow.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


class Notes:
    """The notes that commands have written."""

    def __init__(self, lab: Lab) -> None:
        self.path: Path = lab.root / "notes.jsonl"

    def action(self, *arguments: str, **more: Any) -> Json:
        """Return an action that notes how it was called."""
        return python(NOTE, str(self.path), *arguments, **more)

    def read(self) -> list[Json]:
        """Return the notes so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def wait(self, count: int = 1) -> list[Json]:
        """Wait for `count` notes, and return all notes so far."""
        wait_until(lambda: len(self.read()) >= count, f"{count} notes")
        return self.read()


def summary(lab: Lab, name: str = "rule") -> Json:
    """Return the data of `status` about a rule, or an empty object if the rule has never fired."""
    found = summaries(lab.project).get(name)
    return found._asdict() if found else {}


def wait_for_failure(lab: Lab, name: str = "rule") -> str:
    """Wait until an action of a rule has failed, and return the reason."""
    wait_until(lambda: summary(lab, name).get("failed"), f"a failure\n{lab.log()}")
    return str(summary(lab, name)["reason"])


def wait_for_triggers(lab: Lab) -> None:
    """Wait until the triggers have processed all events in the journal."""

    def through() -> bool:
        endpoints = survey(lab.project, lab.environ).endpoints
        return not any(one.waiting for name, one in endpoints.items() if name.startswith("trigger:run"))

    wait_until(through, f"the triggers\n{lab.log()}")


def cause_of(lab: Lab) -> Json:
    """Return the last event that no trigger has caused. A fast relay may have added its own events after it."""
    return next(event for event in reversed(lab.events()) if "caused_by" not in event["metadata"])
