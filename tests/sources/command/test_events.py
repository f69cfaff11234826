"""The events of `swarmtask run`: start and end, the facts about the command, and the surrounding run."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest

from pytest_swarmtask.core.event import MASK
from tests.watched import Event, Watched

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
RUN = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("options", "types"),
    [
        ([], ("TASK_STARTED", "TASK_COMPLETED", "TASK_FAILED")),
        (["--kind", "task"], ("TASK_STARTED", "TASK_COMPLETED", "TASK_FAILED")),
        (["--kind", "build"], ("BUILD_STARTED", "BUILD_COMPLETED", "BUILD_FAILED")),
        (["--kind", "deployment"], ("DEPLOYMENT_STARTED", "DEPLOYMENT_COMPLETED", "DEPLOYMENT_FAILED")),
        (["--kind", "test"], ("TEST_STARTED", "TEST_PASSED", "TEST_FAILED")),
    ],
    ids=["default", "task", "build", "deployment", "test"],
)
def test_kinds(watched: Watched, options: list[str], types: tuple[str, str, str]) -> None:
    """Each kind has its own three event types."""
    watched.run(*options, "--", "true")
    watched.run(*options, "--", "false")
    assert [event["event_type"] for event in watched.events()] == [types[0], types[1], types[0], types[2]]
    assert [event["status"] for event in watched.events()] == ["started", "completed", "started", "failed"]


def test_the_start(watched: Watched) -> None:
    """The start event has the standard metadata, the command and the user's metadata."""
    watched.run("--kind", "build", "--metadata", '{"version": "1.4", "nested": {"a": [1]}}', "--", "printf", "a b")
    start, _ = watched.pair("printf")
    assert {**start["metadata"], "timestamp": ""} == {
        "timestamp": "",
        "workflow": "project",
        "action": "build",
        "command": ["printf", "a b"],
        "version": "1.4",
        "nested": {"a": [1]},
    }


def test_the_end(watched: Watched) -> None:
    """The end event has duration, CPU time and peak memory, including the command's children."""
    burn = "import time; a = bytearray(80_000_000)\nwhile time.process_time() < 0.2: pass"
    watched.run("--", "sh", "-c", f"sleep 0.2; {sys.executable} -c '{burn}'; :")
    start, end = watched.pair("sh")
    metadata = end["metadata"]
    assert 0.4 < metadata["duration"] < 30
    assert 0.2 <= metadata["cpu_seconds"] < 30
    assert 80_000_000 < metadata["peak_memory"] < 1_000_000_000
    assert (
        metadata.items()
        >= {**start["metadata"], "timestamp": end["timestamp"], "success": True, "exit_code": 0}.items()
    )
    assert not {"error", "signal", "stderr_tail"} & metadata.keys()


def test_a_test(watched: Watched) -> None:
    """An event of the kind `test` has the metadata of a test."""
    watched.run("--kind", "test", "--id", "smoke", "--", "false")
    start, end = watched.pair("smoke")
    assert start["metadata"].items() >= {"action": "test", "test_type": "command", "specific_test": "smoke"}.items()
    assert end["metadata"].items() >= {"test_passed": False, "outcome": "failed", "success": False}.items()


def test_the_user_s_metadata_holds(watched: Watched) -> None:
    """The user's metadata overrides ours."""
    watched.run(
        "--metadata", '{"action": "deploy", "error": "mine", "stderr_tail": ""}', "--", "sh", "-c", "echo x >&2; exit 1"
    )
    assert (
        watched.end()["metadata"].items()
        >= {"action": "deploy", "error": "mine", "stderr_tail": "", "exit_code": 1}.items()
    )


def test_no_secret_of_the_command_line(watched: Watched) -> None:
    """Secrets in the command line are hidden in the events, but the command gets them."""
    arguments = [
        "--password=hunter2",
        "--api-token",
        "abc123",
        "TOKEN=xyz",
        "https://me:hunter22@example.com/",
        "correct-horse-battery",
    ]
    done = watched.run(
        "--metadata", '{"db_password": "hunter33"}', "--", "echo", *arguments, MY_SECRET="correct-horse-battery"
    )
    assert done.stdout.decode().split() == arguments
    start, end = watched.pair("echo")
    expected = [
        "echo",
        f"--password={MASK}",
        "--api-token",
        MASK,
        f"TOKEN={MASK}",
        f"https://{MASK}@example.com/",
        MASK,
    ]
    assert start["metadata"]["command"] == end["metadata"]["command"] == expected
    assert start["metadata"]["db_password"] == MASK
    text = json.dumps(watched.events())
    for secret in ("hunter", "abc123", "xyz", "correct-horse"):
        assert secret not in text


@pytest.mark.parametrize("options", [["-xc"], ["-e", "-x", "-c"]], ids=" ".join)
def test_the_trace_of_a_shell_is_no_error_output(watched: Watched, options: list[str]) -> None:
    """A shell that prints each command fills standard error with it; what the commands say is kept."""
    done = watched.run("--tail", "2", "--", "sh", *options, "echo why >&2; echo + 1 >/dev/null; (false)")
    assert done.stderr.count(b"+ ") >= 3
    assert watched.end()["metadata"]["stderr_tail"] == "why"


def test_a_long_command_line(watched: Watched) -> None:
    """A long command line is shortened in the event, so that other metadata fits."""
    watched.run("--", "sh", "-c", "echo why >&2; exit 1", "x" * 5000, *["argument"] * 2000)
    metadata = watched.end()["metadata"]
    assert metadata["command"][0] == "sh"
    assert metadata["command"][3].startswith("x" * 500)
    assert metadata["command"][-1].endswith(" more)")
    assert metadata["stderr_tail"] == "why"
    assert len(json.dumps(metadata)) < 8000


# -- the run -------------------------------------------------------------------------------------------------------


def spans(events: list[Event]) -> dict[str, Event]:
    """Return the start event of each span by its id, and check that each span has one start and one end."""
    starts = {event["span_id"]: event for event in events if event["status"] == "started"}
    assert len(starts) * 2 == len(events)
    assert sorted(event["span_id"] for event in events if event["status"] != "started") == sorted(starts)
    return starts


def tree(events: list[Event]) -> dict[str, list[str]]:
    """Return the path of task ids to each span, using only parent ids, and check that there is only one run."""
    assert len({event["trace_id"] for event in events}) == 1
    starts = spans(events)
    paths: dict[str, list[str]] = {}
    for span_id, event in starts.items():
        path: list[str] = []
        at: Event | None = event
        while at is not None:
            path.insert(0, at["task_id"])
            at = starts.get(at["parent_span_id"]) if at["parent_span_id"] else None
        paths[span_id] = path
    return paths


def test_alone_it_is_a_run(watched: Watched) -> None:
    """Without a surrounding run, each call is its own run."""
    watched.run("--", "true")
    watched.run("--", "true")
    first, _, second, _ = watched.events()
    assert first["parent_span_id"] is second["parent_span_id"] is None
    assert first["trace_id"] != second["trace_id"]


def test_part_of_the_run_around(watched: Watched) -> None:
    """`TRACEPARENT` sets the run and the parent, and the command gets a `TRACEPARENT` with its own span."""
    done = watched.run("--", "printenv", "TRACEPARENT", TRACEPARENT=RUN)
    start, _ = watched.pair()
    assert (start["trace_id"], start["parent_span_id"]) == (TRACE, SPAN)
    assert done.stdout.decode() == f"00-{TRACE}-{start['span_id']}-01\n"


def test_what_else_a_trace_hands_down(watched: Watched) -> None:
    """The command gets the flags of the parent, here of a trace that is not sampled, its `TRACESTATE` and `BAGGAGE`."""
    around = {"TRACEPARENT": f"00-{TRACE}-{SPAN}-00", "TRACESTATE": "vendor=a1,other=b", "BAGGAGE": "team=core"}
    done = watched.run("--", "sh", "-c", "echo $TRACEPARENT $TRACESTATE $BAGGAGE", **around)
    start, _ = watched.pair()
    assert done.stdout.decode() == f"00-{TRACE}-{start['span_id']}-00 vendor=a1,other=b team=core\n"


@pytest.mark.parametrize("value", ["", "nonsense", f"00-{'0' * 32}-{SPAN}-01"])
def test_a_traceparent_that_is_none(watched: Watched, value: str) -> None:
    """An invalid `TRACEPARENT` begins a new run, and the command gets a valid one."""
    done = watched.run("--", "printenv", "TRACEPARENT", TRACEPARENT=value)
    start, _ = watched.pair()
    assert start["parent_span_id"] is None
    assert done.stdout.decode() == f"00-{start['trace_id']}-{start['span_id']}-01\n"


def test_nested(watched: Watched) -> None:
    """The span of a nested `swarmtask run` is a child of the outer span, also with the same id or from a script."""
    inner = """
        swarmtask run --id deep -- true
        swarmtask run --id mid -- true
        python3 -m pytest_swarmtask run --id outer -- sh -c "exit 5"
    """
    watched.tool("python3", f'exec "{sys.executable}" "$@"')
    assert watched.run("--id", "outer", "--", *watched.command, "--id", "mid", "--", "sh", "-c", inner).returncode == 5
    paths = sorted(tree(watched.events()).values())
    assert paths == [
        ["outer"],
        ["outer", "mid"],
        ["outer", "mid", "deep"],
        ["outer", "mid", "mid"],
        ["outer", "mid", "outer"],
    ]


def test_the_same_command_again_and_at_once(watched: Watched) -> None:
    """If the same command runs several times in one run, also in parallel, each has its own span."""
    script = (
        "for n in 1 2 3; do swarmtask run -- sleep 0.1 & done; wait; swarmtask run -- sleep 0; swarmtask run -- sleep 0"
    )
    watched.run("--id", "all", "--", "sh", "-c", script)
    paths = list(tree(watched.events()).values())
    assert sorted(paths) == [["all"], *[["all", "sleep"]] * 5]


def test_what_the_command_emits(watched: Watched) -> None:
    """Events that the command emits are children of the command's span, also with the same id."""
    script = "swarmtask emit BUILD_STARTED app; swarmtask emit BUILD_COMPLETED app"
    watched.run("--kind", "build", "--id", "app", "--", "sh", "-c", script)
    assert sorted(tree(watched.events()).values()) == [["app"], ["app", "app"]]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_inside_make(watched: Watched) -> None:
    """Inside recipes, in parallel, and around make, there is one run with the right exit codes and all events."""
    watched.file(
        "Makefile",
        "all: a b c\na b c:\n\t@swarmtask run --kind build --id $@ -- sh -c 'echo $@'\n"
        "bad:\n\t@swarmtask run -- sh -c 'exit 42'\n",
    )
    done = watched.run("--id", "ci", "--", "make", "-j3", "all")
    assert (done.returncode, sorted(done.stdout.split())) == (0, [b"a", b"b", b"c"])
    assert sorted(tree(watched.events()).values()) == [["ci"], ["ci", "a"], ["ci", "b"], ["ci", "c"]]
    assert b"Error 42" in watched.plain("make", "bad").stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_s_job_server(watched: Watched) -> None:
    """A sub-make under `swarmtask run` still shares the job slots of its parent."""
    watched.file("Makefile", "all:\n\t+@swarmtask run -- $(MAKE) -f sub.mk\n")
    watched.file("sub.mk", "all: a b\na b: ; @sleep 0.2\n")
    done = watched.plain("make", "-j2", "all")
    assert (done.returncode, b"jobserver" in done.stderr) == (0, False)


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["in one process", "xdist"])
def test_around_pytest(watched: Watched, workers: list[str]) -> None:
    """A pytest session under `swarmtask run` belongs to the same run, and its span is a child of the command's span."""
    watched.file("test_it.py", "def test_a(): pass\ndef test_b(): assert 0\n")
    unrelated = [f"-pno:{name}" for name in ("hypothesispytest", "anyio")]
    done = watched.run("--kind", "task", "--id", "checks", "--", sys.executable, "-m", "pytest", *unrelated, *workers)
    assert done.returncode == 1
    paths = sorted(tree(watched.events()).values())
    assert paths == [
        ["checks"],
        ["checks", "pytest_run"],
        ["checks", "pytest_run", "test_it.py::test_a"],
        ["checks", "pytest_run", "test_it.py::test_b"],
    ]


def test_many_at_once(watched: Watched) -> None:
    """Forty commands at the same time record eighty events without a loss or a mix-up."""
    watched.run("--id", "all", "--", "sh", "-c", "for n in $(seq 40); do swarmtask run --id $n -- true & done; wait")
    paths = tree(watched.events())
    assert sorted(path[-1] for path in paths.values()) == sorted(["all", *map(str, range(1, 41))])


def test_the_command_line_names_no_folder_of_this_machine(watched: Watched) -> None:
    watched.run("--id", "look", "--", "ls", "-d", str(watched.root / ".taskmaster"))
    start, _ = watched.pair("look")
    assert start["metadata"]["command"] == ["ls", "-d", ".taskmaster"]


def test_from_a_folder_below(watched: Watched) -> None:
    """In a subfolder, `swarmtask run` writes to the project's journal, and the command stays in its folder."""
    watched.file("a/b/here", "")
    done = watched.shell("cd a/b && swarmtask run -- ls")
    assert done.stdout == b"here\n"
    watched.pair("ls")
    assert os.listdir(watched.root / "a" / "b") == ["here"]
