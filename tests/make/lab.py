"""A project with tasks.mk for the real make, in a folder whose name shells and make would split."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_swarmtask.cli import tasksmk
from tests.lab import ProjectFolder, clean_environ

Done = subprocess.CompletedProcess[str]
Event = dict[str, Any]

PYTHON = shlex.quote(sys.executable)
"""The Python that has the package installed, quoted for the shell."""


NEWEST_MAKE = str(Path(sys.executable).with_name("make"))
"""GNU make 4.4.1, from PyPI. The make of the system may be older."""


class MakeProject(ProjectFolder):
    """A project with tasks.mk, and make in it. The real package records the events unless a test replaces it.

    Attributes:
        program: the make that runs.
    """

    def __init__(self, root: Path, program: str = "make") -> None:
        super().__init__(root)
        self.program = program
        (root / "tasks.mk").write_bytes(tasksmk.installed().read_bytes())

    def write(self, text: str, where: str = "Makefile") -> None:
        """Write a makefile without any change to the text."""
        path = self.root / where
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def environ(self, **more: str | None) -> dict[str, str]:
        """Return the environment of make: `TASKS_PYTHON` and `more`, without the variables that are None in `more`."""
        wanted = {"TASKS_PYTHON": PYTHON, **more}
        return clean_environ(**{name: value for name, value in wanted.items() if value is not None})

    def make(self, *arguments: str, stdin: str = "", **environ: str | None) -> Done:
        """Run make to its end."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.root,
            env=self.environ(**environ),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def events(self) -> list[Event]:
        """Return all events in the journal, sorted by time."""
        return sorted(super().events(), key=lambda event: event["timestamp"])

    def told(self) -> list[tuple[str, str]]:
        """Return the type and the task id of each event. Events of one process are in the order written."""
        return [(event["event_type"], event["task_id"]) for event in super().events()]

    def end(self, task_id: str) -> Event:
        """Return the metadata of the end event of a task, and check that its start event has the same span."""
        start, end = sorted(
            (event for event in super().events() if event["task_id"] == task_id),
            key=lambda event: not event["event_type"].endswith("_STARTED"),
        )
        assert start["event_type"].endswith("_STARTED")
        assert start["span_id"] == end["span_id"]
        return {**end["metadata"], "event_type": end["event_type"]}

    def forget(self) -> None:
        """Delete the recorded events."""
        for path in self.segments():
            path.unlink()


def ended(task_id: str, kind: str = "TASK", verb: str = "COMPLETED") -> list[tuple[str, str]]:
    """Return the events that a wrapped command reports."""
    return [(f"{kind}_STARTED", task_id), (f"{kind}_{verb}", task_id)]


def paths(events: list[Event]) -> list[list[str]]:
    """Return the path of task ids from the root to each span, sorted, using only span ids and parent ids."""
    spans = {event["span_id"]: event for event in events}

    def path(event: Event | None) -> list[str]:
        return [*path(spans.get(event["parent_span_id"])), event["task_id"]] if event else []

    return sorted(path(event) for event in spans.values())
