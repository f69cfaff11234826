"""The emitter, as recipes and scripts call it: a short-lived process that never breaks a build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.core.event import EVENT_TYPES, MASK
from tests.lab import clean_environ, read_events, run_process

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
RUN = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".taskmaster").mkdir()
    return tmp_path


def emit(root: Path, *arguments: str | bytes, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest_swarmtask.emit", *arguments]
    return run_process(command, root, clean_environ(**environ))


def emitted(root: Path, *arguments: str | bytes, **environ: str) -> dict[str, Any]:
    """Emit an event, check that there was no error, and return the event."""
    done = emit(root, *arguments, **environ)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return read_events(root)[-1]


def test_a_type_is_enough(root: Path) -> None:
    """An event type alone is enough for an event. Its task id is None."""
    event = emitted(root, "TASK_STARTED")
    assert (event["event_type"], event["task_id"], event["status"]) == ("TASK_STARTED", None, "started")
    assert event["metadata"]["workflow"] == root.name


def test_all_three(root: Path) -> None:
    """An event carries the given type, task id and metadata."""
    event = emitted(root, "BUILD_FAILED", "make_build", '{"action":"build","exit_code":2,"nested":{"a":[1,null]}}')
    assert event["task_id"] == "make_build"
    assert (
        event["metadata"].items()
        >= {"action": "build", "exit_code": 2, "nested": {"a": [1, None]}, "success": False}.items()
    )


@pytest.mark.parametrize("empty", ["", " "])
def test_empty_arguments(root: Path, empty: str) -> None:
    """Empty metadata counts as no metadata, and an empty task id as none."""
    assert emitted(root, "TASK_STARTED", "", empty)["task_id"] is None


@pytest.mark.parametrize(
    "text",
    ["{", "{'action': 'test'}", "[1]", "5", "null", '"text"', "not json", "[" * 5000, '{"a":' * 3000, "9" * 5000],
    ids=lambda text: text[:8],
)
def test_metadata_that_is_no_json_object(root: Path, text: str) -> None:
    """Metadata that is no JSON object is kept as text in the event. One warning is printed, and the exit code is 0."""
    done = emit(root, "TASK_STARTED", "a", text)
    assert done.returncode == 0
    assert done.stderr.count("swarmtask: ") == 1
    assert "JSON" in done.stderr
    (event,) = read_events(root)
    assert event["metadata"]["metadata_text"].startswith(text[:100])


@pytest.mark.parametrize("text", ["{", "[1]", "not json"])
def test_metadata_of_a_person(root: Path, text: str) -> None:
    """A person who writes no JSON object gets an error, and can try again: nothing is recorded."""
    command = [sys.executable, "-m", "pytest_swarmtask", "emit", "TASK_STARTED", "a", text]
    done = subprocess.run(command, cwd=root, env=clean_environ(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("swarmtask: the metadata is not ")
    assert read_events(root) == []


def test_what_json_here_may_hold(root: Path) -> None:
    """NaN, which Python's JSON reader accepts, and lone surrogates are written as text."""
    event = emitted(root, "TASK_STARTED", "a", '{"a": NaN, "b": "\\ud800"}')
    assert (event["metadata"]["a"], event["metadata"]["b"]) == ("nan", "\\ud800")


def test_arguments_that_are_no_text(root: Path) -> None:
    """A task id that is not UTF-8 is escaped in the event."""
    assert emitted(root, "TASK_STARTED", b"caf\xe9")["task_id"] == "caf\\udce9"


@pytest.mark.parametrize(
    "arguments", [[], ["TASK_STARTED", "a", "{}", "more"], ["TASK_START"], ["--what"], [""]], ids=str
)
def test_a_wrong_call(root: Path, arguments: list[str]) -> None:
    """Too few or too many arguments, or an unknown event type, give exit code 2, a message, and no event."""
    done = emit(root, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("swarmtask: ")
    assert "Traceback" not in done.stderr
    assert not list(root.rglob("*.jsonl"))


def test_the_nearest_type_is_named(root: Path) -> None:
    """The message for a mistyped event type names the nearest type."""
    assert "did you mean TASK_STARTED?" in emit(root, "TASK_START").stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(root: Path, option: str) -> None:
    """`-h` and `--help` print the usage and all types."""
    done = emit(root, option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
    assert [name for name in EVENT_TYPES if f"\n  {name}\n" not in done.stdout] == []


def test_both_ways_to_call_it(root: Path) -> None:
    """`swarmtask emit` behaves the same as `python -m pytest_swarmtask.emit`."""
    for arguments, code in ((["TASK_STARTED", "a"], 0), (["TASK_START"], 2), ([], 2)):
        command = [sys.executable, "-m", "pytest_swarmtask", "emit", *arguments]
        assert (
            subprocess.run(command, cwd=root, env=clean_environ(), capture_output=True, check=False).returncode == code
        )
    assert [event["task_id"] for event in read_events(root)] == ["a"]


# -- the run -------------------------------------------------------------------------------------------------------


def test_part_of_the_run_around(root: Path) -> None:
    """With `TRACEPARENT`, the event belongs to that run and its parent is that span."""
    event = emitted(root, "TASK_STARTED", "a", TRACEPARENT=RUN)
    assert (event["trace_id"], event["parent_span_id"]) == (TRACE, SPAN)


def test_duration_across_processes(root: Path) -> None:
    """Start and end from two processes of a run share a span, and the end has the duration between them."""
    start = emitted(root, "TASK_STARTED", "make test", TRACEPARENT=RUN)
    time.sleep(0.05)
    end = emitted(root, "TASK_COMPLETED", "make test", '{"success":true}', TRACEPARENT=RUN)
    assert start["span_id"] == end["span_id"]
    assert 0.05 <= end["metadata"]["duration"] < 30
    assert not list((root / ".taskmaster" / "events" / "spans").glob("[0-9a-f]*")), (
        "the note of the start is left behind"
    )


def test_a_task_twice(root: Path) -> None:
    """If a task is started again in the same run, it gets another span with its own duration."""
    spans = []
    for _ in range(2):
        start = emitted(root, "BUILD_STARTED", "a", TRACEPARENT=RUN)
        end = emitted(root, "BUILD_COMPLETED", "a", TRACEPARENT=RUN)
        assert start["span_id"] == end["span_id"]
        assert "duration" in end["metadata"]
        spans.append(start["span_id"])
    assert len(set(spans)) == 2


def test_begun_by_python_code(root: Path) -> None:
    """The integrator and the emitter use the same span for a task, whichever of them starts it."""
    program = "from pytest_swarmtask import trigger_task_event as t; t('TASK_STARTED', 'a'); t('TASK_FAILED', 'b')"
    emitted(root, "TASK_STARTED", "b", TRACEPARENT=RUN)
    subprocess.run([sys.executable, "-c", program], cwd=root, env=clean_environ(TRACEPARENT=RUN), check=True)
    emitted(root, "TASK_COMPLETED", "a", TRACEPARENT=RUN)
    spans = [(event["task_id"], event["span_id"]) for event in read_events(root)]
    assert len(spans) == 4
    assert len(set(spans)) == 2


def test_a_given_duration_stays(root: Path) -> None:
    """A duration from the caller is not replaced."""
    emitted(root, "TASK_STARTED", "a", TRACEPARENT=RUN)
    assert emitted(root, "TASK_FAILED", "a", '{"duration": 7}', TRACEPARENT=RUN)["metadata"]["duration"] == 7


@pytest.mark.parametrize(
    ("environ", "other"),
    [({}, {}), ({"TRACEPARENT": RUN}, {"TRACEPARENT": RUN.replace("4b", "4c")})],
    ids=["no run", "another run"],
)
def test_no_made_up_duration(root: Path, environ: dict[str, str], other: dict[str, str]) -> None:
    """An end event without a start event in the same run has no duration."""
    emitted(root, "TASK_STARTED", "a", **environ)
    assert "duration" not in emitted(root, "TASK_COMPLETED", "a", **other)["metadata"]
    assert "duration" not in emitted(root, "BUILD_COMPLETED", "a", **environ)["metadata"]


def test_a_damaged_note_of_the_start(root: Path) -> None:
    """If the note of the start cannot be read, the end event is recorded without a duration."""
    emitted(root, "TASK_STARTED", "a", TRACEPARENT=RUN)
    (note,) = (root / ".taskmaster" / "events" / "spans").glob("[0-9a-f]*")
    note.write_bytes(b"\xff")
    assert "duration" not in emitted(root, "TASK_COMPLETED", "a", TRACEPARENT=RUN)["metadata"]


# -- surroundings --------------------------------------------------------------------------------------------------


def test_switched_off(root: Path) -> None:
    """With `SWARMTASK_DISABLED=1` nothing is written, also for wrong metadata."""
    for arguments in (["TASK_STARTED", "a"], ["TASK_COMPLETED", "a", "{"]):
        assert emit(root, *arguments, SWARMTASK_DISABLED="1", TRACEPARENT=RUN).returncode == 0
    assert not (root / ".taskmaster" / "events").exists()


def test_no_folder_to_stand_in(tmp_path: Path) -> None:
    """In a deleted working directory, the emitter prints an error and returns 0, so that the build does not fail."""
    gone = tmp_path / "gone"
    program = (
        f"import os, sys; gone = {str(gone)!r}; os.mkdir(gone); os.chdir(gone); os.rmdir(gone)\n"
        "from pytest_swarmtask.emit import main; sys.exit(main(['TASK_STARTED']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=clean_environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr.startswith("swarmtask: FileNotFoundError")


def test_nowhere_to_write(tmp_path: Path) -> None:
    """If the journal cannot be written, the emitter prints the reason and returns 0."""
    (tmp_path / ".taskmaster").write_text("in the way")
    done = emit(tmp_path, "TASK_STARTED", "a", TRACEPARENT=RUN, TMPDIR=str(tmp_path))
    assert done.returncode == 0
    assert done.stderr.startswith("swarmtask: events could not be written")


def test_said_once_in_a_run(tmp_path: Path) -> None:
    """Of several emitters in one run, only the first prints a problem, also if nothing can be written."""
    environ = {"TRACEPARENT": RUN, "TMPDIR": str(tmp_path)}
    for name, content in (("unwritable", None), ("misconfigured", "task_integration: 7\n")):
        root = tmp_path / name
        root.mkdir()
        if content is None:
            (root / ".taskmaster").write_text("in the way")
        else:
            (root / ".taskmaster" / "config").mkdir(parents=True)
            (root / ".taskmaster" / "config" / "workflow.yaml").write_text(content)
        said = [emit(root, "TASK_STARTED", task, **environ).stderr for task in "abc"]
        assert said[0].startswith("swarmtask: ")
        assert said[1:] == ["", ""]
    assert emit(root, "TASK_STARTED", "a").stderr  # without a surrounding run, each emitter prints the problem


def test_nobody_to_tell(root: Path) -> None:
    """The exit code is the same if standard error is closed or its device is full."""
    for redirect in ("2>&-", "2>/dev/full"):
        done = subprocess.run(
            ["/bin/sh", "-c", f'"$0" -m pytest_swarmtask.emit TASK_STARTED a "{{" {redirect}', sys.executable],
            cwd=root,
            env=clean_environ(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0
    assert len(read_events(root)) == 2


def test_an_invalid_configuration(root: Path) -> None:
    """With an invalid configuration, the emitter prints the reason and records the event."""
    (root / ".taskmaster" / "config").mkdir()
    (root / ".taskmaster" / "config" / "workflow.yaml").write_text("nonsense: 1\n")
    done = emit(root, "TASK_STARTED", "a")
    assert done.returncode == 0
    assert "nonsense" in done.stderr
    assert len(read_events(root)) == 1


def test_no_secret_is_said(root: Path) -> None:
    """A secret in metadata that is no JSON is neither recorded nor printed."""
    done = emit(root, "TASK_STARTED", "a", "{key: correct-horse-battery}", MY_TOKEN="correct-horse-battery")
    assert MASK in done.stderr
    assert "correct-horse" not in done.stderr
    assert "correct-horse" not in json.dumps(read_events(root))


WORKFLOW = "task_integration:\n  source: mine\n  webhooks: [{name: chat, url: '${CHAT_URL}'}]\n"


@pytest.mark.parametrize("configured", [False, True])
def test_nothing_heavy_is_loaded(root: Path, configured: bool) -> None:
    """The emitter loads no heavy module, without a configuration or with a cached configuration."""
    if configured:
        (root / ".taskmaster" / "config").mkdir()
        (root / ".taskmaster" / "config" / "workflow.yaml").write_text(WORKFLOW)
        emitted(root, "TASK_STARTED", "warm up")
    program = (
        "import sys; from pytest_swarmtask.emit import main\n"
        "main(['TASK_STARTED', 'a', '{\"x\": 1}']); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env=clean_environ(COVERAGE_PROCESS_CONFIG=""),
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {
        "asyncio",
        "httpx",
        "msgspec",
        "pytest",
        "rich",
        "sqlite3",
        "yaml",
        "argparse",
        "logging",
        "socket",
        "subprocess",
        "threading",
        "typing",
        "collections",
        "dataclasses",
        "enum",
        "pathlib",
        "re",
        "difflib",
        "zlib",
    }
    assert not heavy & set(done.stdout.split())
    assert read_events(root)[-1]["source"] == ("mine" if configured else root.name)


def test_from_a_folder_below(root: Path) -> None:
    """In a subfolder, the emitter writes to the journal of the project."""
    below = root / "a" / "b"
    below.mkdir(parents=True)
    emit(below, "TASK_STARTED", "a")
    assert [event["task_id"] for event in read_events(root)] == ["a"]
    assert os.listdir(below) == []


def test_at_once(root: Path) -> None:
    """Forty emitters at the same time each record their event."""
    command = [sys.executable, "-m", "pytest_swarmtask.emit", "TASK_STARTED"]
    emitters = [subprocess.Popen([*command, f"{n}"], cwd=root, env=clean_environ(TRACEPARENT=RUN)) for n in range(40)]
    assert [emitter.wait(60) for emitter in emitters] == [0] * 40
    assert sorted(event["task_id"] for event in read_events(root)) == sorted(f"{n}" for n in range(40))
