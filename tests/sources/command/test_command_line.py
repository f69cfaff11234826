"""The command line of `swarmtask run`. A wrong call is refused before the command runs."""

from __future__ import annotations

import sys

import pytest

from pytest_swarmtask.core.event import MASK
from tests.watched import Watched

WRONG: list[tuple[list[str], str]] = [
    ([], "found no command"),
    (["--"], "found no command"),
    (["--kind", "task"], "found no command"),
    (["--kind", "task", "--"], "found no command"),
    (
        ["--knid", "task", "--", "touch", "ran"],
        "--knid, expected one of --kind, --id, --metadata, --tail (did you mean --kind?)",
    ),
    (["-k", "--", "touch", "ran"], "unknown option -k"),
    (["-", "touch", "ran"], "unknown option -"),
    (["--kind", "job", "--", "touch", "ran"], "--kind: found 'job', expected one of task, build, deployment, test"),
    (["--kind"], "--kind: found nothing after it"),
    (["--id"], "--id: found nothing after it"),
    (["--id", "", "--", "touch", "ran"], "--id: found nothing, expected a task id"),
    (["--id=", "--", "touch", "ran"], "--id: found nothing, expected a task id"),
    (["--tail", "many", "--", "touch", "ran"], "--tail: found 'many', expected a number"),
    (["--tail=-1", "--", "touch", "ran"], "--tail: found '-1', expected a number"),
    (["--tail=", "--", "touch", "ran"], "--tail: found '', expected a number"),
    (["--tail=\u0663", "--", "touch", "ran"], "expected a number"),
    (["--metadata", "{", "--", "touch", "ran"], "--metadata: found '{', expected a JSON object: "),
    (["--metadata", "", "--", "touch", "ran"], "--metadata: found '', expected a JSON object"),
    (["--metadata", "[1]", "--", "touch", "ran"], "--metadata: found '[1]', expected a JSON object"),
    (["--metadata", "[" * 9999, "--", "touch", "ran"], "expected a JSON object"),
    (["--metadata={'a': 1}", "--", "touch", "ran"], "expected a JSON object"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments)[:40] for arguments, _ in WRONG])
def test_a_wrong_call(watched: Watched, arguments: list[str], message: str) -> None:
    """A wrong call prints the found and the expected value, gives exit code 2, and runs and records nothing."""
    done = watched.run(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    said = done.stderr.decode()
    assert said.startswith("swarmtask: run: ")
    assert message in said
    assert "usage: swarmtask run" in said
    assert "Traceback" not in said
    assert not (watched.root / "ran").exists()
    assert not list(watched.root.rglob("*.jsonl"))


def test_a_wrong_call_tells_no_secret(watched: Watched) -> None:
    """The message about invalid metadata hides secrets."""
    done = watched.run("--metadata", "{token: correct-horse-battery}", "--", "true", MY_TOKEN="correct-horse-battery")
    assert MASK.encode() in done.stderr
    assert b"correct-horse" not in done.stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(watched: Watched, option: str) -> None:
    """The help lists every option and the exit codes, and runs nothing."""
    done = watched.run(option, "--", "touch", "ran")
    assert (done.returncode, done.stderr) == (0, b"")
    for word in (b"--kind", b"--id", b"--metadata", b"--tail", b"127", b"TRACEPARENT"):
        assert word in done.stdout
    assert not (watched.root / "ran").exists()


def test_the_help_of_all_names_it(watched: Watched) -> None:
    """`swarmtask --help` lists the command."""
    done = watched.plain(sys.executable, "-m", "pytest_swarmtask", "--help")
    assert b"run a command and record its start and end" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kind", "build", "--id", "a b", "--metadata", '{"x": 1}', "--tail", "3", "--"],
        ["--kind=build", "--id=a b", '--metadata={"x": 1}', "--tail=3", "--"],
        ["--tail=3", '--metadata={"x": 1}', "--id", "lost", "--id", "a b", "--kind=build"],
    ],
    ids=["apart", "with equals signs", "in any order, the last one holds"],
)
def test_options(watched: Watched, arguments: list[str]) -> None:
    """An option and its value may be two arguments or joined by an equals sign. Options may have any order."""
    assert watched.run(*arguments, "sh", "-c", "exit 3").returncode == 3
    start, end = watched.pair("a b")
    assert (start["event_type"], end["event_type"]) == ("BUILD_STARTED", "BUILD_FAILED")
    assert start["metadata"]["x"] == end["metadata"]["x"] == 1


def test_what_follows_the_command_is_its_own(watched: Watched) -> None:
    """Options after the name of the command belong to the command, with or without `--` before it."""
    for before in (["--"], []):
        done = watched.run(*before, "echo", "--help", "--", "--kind", "-h")
        assert done.stdout == b"--help -- --kind -h\n"
    assert watched.run("--", "--", "x").returncode == 127


def test_arguments_arrive_as_they_are(watched: Watched) -> None:
    """The command gets its arguments unchanged: spaces, quotes, empty text, newlines, Unicode and invalid UTF-8."""
    arguments = [b"a b", b"", b"'", b'"', b"$HOME `x` \\", b"*", b"one\ntwo", "žluťoučký 🐎".encode(), b"caf\xe9", b"-"]
    done = watched.run("--", "printf", "%s\\0", *arguments)
    assert done.returncode == 0
    assert done.stdout.split(b"\0")[:-1] == arguments
    assert watched.end()["metadata"]["command"][2:5] == ["a b", "", "'"]


@pytest.mark.parametrize(
    ("command", "task_id"),
    [
        (["./tools/build all.sh", "x"], "build all.sh"),
        (["true"], "true"),
        (["/bin/../bin/true"], "true"),
        ([""], "command"),
        (["/"], "command"),
    ],
    ids=str,
)
def test_the_task_is_named_after_the_command(watched: Watched, command: list[str], task_id: str) -> None:
    """Without `--id` the task id is the base name of the command."""
    watched.file("tools/build all.sh", "#!/bin/sh\n", 0o755)
    watched.run("--", *command)
    watched.pair(task_id)
