"""A project in its own folder, real pytest sessions in it, and the results of those sessions."""

from __future__ import annotations

import functools
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.lab import UNRELATED, ProjectFolder, clean_environ

Event = dict[str, Any]

WITH_WORKER = pytest.param(("-n1",), marks=pytest.mark.slow)
WITH_WORKERS = pytest.param(("-n2",), marks=pytest.mark.slow)
"""The variants of a test under xdist. They are slow tests, because they start two or three more processes each."""

ENDINGS = ("TEST_PASSED", "TEST_FAILED", "TEST_SKIPPED")


def words(value: object) -> str | None:
    """Return the id of a parameter that is a tuple of command-line arguments."""
    return (" ".join(value) or "plain") if isinstance(value, tuple) else None


class Session:
    """One pytest session that has ended.
    Attributes:
        exit_code: the exit code of pytest.
        output: the text that pytest wrote to stdout.
        errors: the text that pytest wrote to stderr.
        events: the events that the session added to the journal, in the order written.
        junit: the path of the JUnit XML file, if the session wrote one.
    """

    def __init__(self, exit_code: int, output: str, errors: str, events: list[Event], junit: Path) -> None:
        self.exit_code = exit_code
        self.output = output
        self.errors = errors
        self.events = events
        self.junit = junit

    def of(self, *event_types: str) -> list[Event]:
        """Return the events of these types."""
        return [event for event in self.events if event["event_type"] in event_types]

    def types(self) -> list[str]:
        """Return the type of each event, in order."""
        return [event["event_type"] for event in self.events]

    def about(self, task_id: str) -> list[str]:
        """Return the types of the events of one task or test, in order."""
        return [event["event_type"] for event in self.events if event["task_id"] == task_id]

    def ending(self, name: str) -> Event:
        """Return the single end event of the test whose node id ends with `name`."""
        (event,) = [event for event in self.of(*ENDINGS) if event["task_id"].endswith(name)]
        return event

    def outcomes(self) -> dict[str, str]:
        """Return the outcome of each test, by node id."""
        endings = self.of(*ENDINGS)
        outcomes: dict[str, str] = {event["task_id"]: event["metadata"]["outcome"] for event in endings}
        assert len(outcomes) == len(endings), "a test has ended more than once"
        return outcomes

    @property
    def start(self) -> Event:
        """The start event of the session."""
        (event,) = [event for event in self.of("TASK_STARTED") if event["metadata"]["action"] == "session"]
        return event

    @property
    def end(self) -> Event:
        """The end event of the session."""
        ends = self.of("TASK_COMPLETED", "TASK_FAILED")
        (event,) = [event for event in ends if event["metadata"]["action"] == "session"]
        return event

    @functools.cached_property
    def cases(self) -> list[tuple[str, str]]:
        """Name and result of each test case in the JUnit XML, sorted. A result is passed, failure, error or skipped."""
        cases = ET.parse(self.junit).getroot().iter("testcase")
        return sorted((f"{case.get('classname')}::{case.get('name')}", _result(case)) for case in cases)

    def junit_counts(self) -> Counter[str]:
        """Return the number of test cases in the JUnit XML for each result."""
        return Counter(result for _, result in self.cases)


def _result(case: ET.Element) -> str:
    found = {child.tag for child in case}
    return next((tag for tag in ("failure", "error", "skipped") if tag in found), "passed")


class Suite(ProjectFolder):
    """A project for pytest sessions, with methods to write its test modules."""

    def write(self, **files: str) -> Suite:
        """Write modules. Each name is given without `.py`, and the text may be indented."""
        for name, text in files.items():
            self.file(f"{name}.py", text)
        return self

    def command(self, *arguments: str) -> list[str]:
        """Return the command of a pytest session."""
        return [sys.executable, "-m", "pytest", *UNRELATED, "--junit-xml=junit.xml", *arguments]

    def pytest(self, *arguments: str, **environ: str) -> Session:
        """Run a pytest session to its end."""
        return self.session(self.command(*arguments), clean_environ(**environ))

    def session(self, command: list[str], environ: dict[str, str]) -> Session:
        """Run the command of a pytest session to its end."""
        known = {event["id"] for event in self.events()}
        (self.root / "junit.xml").unlink(missing_ok=True)
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=120,
            check=False,
        )
        events = [event for event in self.events() if event["id"] not in known]
        return Session(done.returncode, done.stdout, done.stderr, events, self.root / "junit.xml")
