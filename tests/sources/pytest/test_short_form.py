"""The short form: events of tests that pass are written without a dictionary, and have the same bytes as with one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.core.event import MAX_FACTS, Event
from pytest_swarmtask.core.fastjson import compact
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.trace import CAUSES
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.settings import read_settings
from pytest_swarmtask.redaction.redactor import Redactor
from pytest_swarmtask.sources.pytest.evidence import EvidenceReader
from pytest_swarmtask.sources.pytest.outcome import Attempt, TestRun
from pytest_swarmtask.sources.pytest.testcase_metadata import (
    EndMetadata,
    encoded_pass,
    encoded_start,
    start_metadata,
)
from tests.suite import Session, Suite

PLAIN = "tests/unit/test_it.py::TestIt::test_a[1-x]"
NODE_IDS = [
    PLAIN,
    'test_it.py::test["quoted" \\ and\ttab\x01]',
    "test_it.py::tëst[日本 🎉]",
    "x.py::t[" + "long " * 300 + "]",
]
SPAN, PARENT = "1f3e6c3b1d2a4f57", "1f3e6c3b1d2a4f58"
NOW = "2026-01-31T10:15:00.123Z"
ENCODED_PARENT = f'"{PARENT}"'


class Reported:
    """The last report of a test."""

    user_properties: tuple[object, ...] = ()


def passed(nodeid: str = PLAIN, **changed: Any) -> TestRun:
    """Return a test that has passed."""
    run = TestRun(nodeid, nodeid, SPAN)
    run.outcome, run.phase, run.duration, run.last_report = "passed", "call", 0.0123, Reported()
    for name, value in changed.items():
        setattr(run, name, value)
    return run


def in_full(run: TestRun) -> str:
    """Return the metadata of the end of a test, made as a dictionary, as JSON with the timestamp before it."""
    redactor = Redactor({})
    problems: list[BaseException] = []
    settings = {"traceback": True, "output": True, "bytes": 2000}
    evidence = EvidenceReader(settings, redactor, "/project", "/project", lambda _: [], problems.append)
    return compact({"timestamp": NOW, **EndMetadata(redactor, "/project", evidence).of(run, "passed")})


def recorder_of(root: Path, **environ: str) -> Recorder:
    """Return a recorder whose events all have one time and one id, so that their lines can be compared."""
    (root / ".taskmaster").mkdir(exist_ok=True)
    recorder = Recorder(read_settings(Project(str(root)), environ), environ)

    class OneMoment:
        def timestamp(self, now: float | None = None) -> str:
            del now
            return NOW

    class OneId:
        def event(self) -> str:
            return "6f3e6c3b1d2a4f57-1"

    recorder.clock = OneMoment()  # type: ignore[assignment]
    recorder._journal._clock, recorder._journal._ids = Recorder(recorder.settings, {}).clock, recorder._ids
    recorder._ids = OneId()  # type: ignore[assignment]
    return recorder


def lines(root: Path) -> list[bytes]:
    """Return the lines of the only segment of a project."""
    (segment,) = (root / ".taskmaster" / "events").glob("*.jsonl")
    return segment.read_bytes().splitlines()


@pytest.mark.parametrize("nodeid", NODE_IDS)
def test_both_forms_of_the_metadata(nodeid: str) -> None:
    """The metadata of a start and of an end are the same bytes in both forms, whatever characters the node id has."""
    run = passed(nodeid)
    assert run.encoded_id
    assert encoded_start(run, NOW) == compact({"timestamp": NOW, **start_metadata(run)})
    assert encoded_pass(run, NOW) == in_full(run)


@pytest.mark.parametrize(
    ("duration", "written"),
    [
        (0, "0.0"),
        (1, "1.0"),
        (4e-7, "0.0"),
        (6e-7, "1e-06"),
        (9.9e-5, "9.9e-05"),
        (0.1 + 0.2, "0.3"),
        (12.3456789, "12.345679"),
        (86399.9999996, "86400.0"),
        (9e8, "900000000.0"),
        (-0.1, "0.0"),
        (math.nan, "0.0"),
        (math.inf, "0.0"),
    ],
)
@pytest.mark.parametrize("changed", [{}, {"attempt": 3}, {"worker": "gw12"}])
def test_durations_attempts_and_workers(duration: float, written: str, changed: dict[str, Any]) -> None:
    """So are the numbers, also those that Python writes with an exponent or that no test can take, and the worker."""
    run = passed(duration=duration, **changed)
    assert encoded_pass(run, NOW) == in_full(run)
    assert f'"duration":{written},' in in_full(run)


@pytest.mark.parametrize(
    "changed",
    [
        {"error": "skipped before"},
        {"tasks": ("5.2",)},
        {"attempts": (Attempt(None, "failed", "call", 0.1),)},
    ],
)
def test_what_the_short_form_does_not_say(changed: dict[str, Any]) -> None:
    """A test of which there is more to say has no short form."""
    run = passed(**changed)
    assert encoded_pass(run, NOW) == ""


def test_properties_have_no_short_form() -> None:
    """Nor has a test with properties of its own."""
    run = passed()
    run.last_report.user_properties = (("size", 1),)
    assert encoded_pass(run, NOW) == ""


@pytest.mark.parametrize(("nodeid", "task_id"), [("t.py::t[hunter2]", "t.py::t[[REDACTED]]"), ("t[[REDACTED]]",) * 2])
def test_redacted_node_ids_have_no_short_form(nodeid: str, task_id: str) -> None:
    """Nor a node id in which something is redacted, since the event must list it."""
    assert TestRun(nodeid, task_id, SPAN).encoded_id == ""


@pytest.mark.parametrize("nodeid", [*NODE_IDS, "x.py::t[" + "\x01" * 1400 + "]"])
def test_both_ways_of_recording(tmp_path: Path, nodeid: str) -> None:
    """The recorder writes the same line from both forms, also where it has to cut the line."""
    run = passed(nodeid)
    recorder = recorder_of(tmp_path)
    assert recorder.record_encoded("TEST_PASSED", run.encoded_id, NOW, in_full(run), SPAN, ENCODED_PARENT)
    metadata = json.loads(in_full(run))
    assert recorder.record("TEST_PASSED", nodeid, metadata, span_id=SPAN, parent_span_id=PARENT, cleaned=True)
    short, full = lines(tmp_path)
    assert short == full
    assert len(short) <= MAX_FACTS
    assert Event.decode(short).task_id == nodeid
    assert recorder.count == 2


def listen(recorder: Recorder) -> None:
    recorder.listeners.append(lambda _: None)


@pytest.mark.parametrize("prepare", [listen, Recorder.forked])
def test_who_needs_the_full_form(tmp_path: Path, prepare: Callable[[Recorder], None]) -> None:
    """Handlers see events as objects, and a forked child must find out that it is one: neither gets the short form."""
    recorder = Recorder(read_settings(Project(str(tmp_path)), {}), {})
    prepare(recorder)
    assert not recorder.record_encoded("TEST_PASSED", '"t"', NOW, "{}", SPAN, ENCODED_PARENT)
    assert recorder.count == 0


def test_metadata_is_added_to_the_full_form(tmp_path: Path) -> None:
    """Where plug-ins or triggers add metadata to each event, there is no short form."""
    assert not recorder_of(tmp_path, **{CAUSES: "a"}).record_encoded(
        "TEST_PASSED", '"t"', NOW, "{}", SPAN, ENCODED_PARENT
    )


def test_a_full_disk(tmp_path: Path) -> None:
    """An event that cannot be written is counted, and not tried a second time in the other form."""
    recorder = recorder_of(tmp_path)

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    recorder._journal._write = fail
    assert recorder.record_encoded("TEST_PASSED", '"t"', NOW, "{}", SPAN, ENCODED_PARENT)
    assert (recorder.count, recorder.lost, recorder.failing) == (0, 1, True)
    assert "No space left" in str(recorder.problem)


HANDLER = """
    from pytest_swarmtask import AutomationIntegrator

    AutomationIntegrator().register_handler("TEST_PASSED", lambda event: None)
"""
SUITE = """
    import pytest

    @pytest.mark.parametrize("text", ["plain", "a b", "ünï", "password=hunter2hunter2"])
    def test_text(text):
        pass

    class TestIt:
        def test_method(self):
            pass

    def test_fails():
        assert 1 == 2
"""


def test_a_session_in_both_forms(project: Suite) -> None:
    """A session with a handler, which has all events made in full, writes the same events as one without."""
    short = project.write(test_it=SUITE).pytest()
    full = project.write(test_it=SUITE, conftest=HANDLER).pytest()
    assert len(events(short)) == len(events(full)) == 12
    assert events(short) == events(full)


def events(session: Session) -> list[str]:
    """Return the events of the tests without what differs between two sessions, with their keys in their order."""
    found = [event for event in session.events if event["event_type"].startswith("TEST_")]
    for event in found:
        for name in ("id", "timestamp", "trace_id", "span_id", "parent_span_id"):
            event[name] = type(event[name]).__name__
        for name in ("timestamp", "duration", "started"):
            if name in event["metadata"]:
                event["metadata"][name] = type(event["metadata"][name]).__name__
    return [json.dumps(event) for event in found]
