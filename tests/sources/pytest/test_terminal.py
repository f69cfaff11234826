"""The plugin prints only its own lines, and changes nothing else in a session."""

from __future__ import annotations

import re

import pytest

from tests.suite import Session, Suite, words

SUITE = """
    import logging
    import os
    import subprocess
    import sys
    import warnings

    import pytest

    def test_prints():
        print("to stdout")
        print("to stderr", file=sys.stderr)
        subprocess.run(["echo", "from a child"], check=True)

    def test_prints_and_fails(capsys):
        print("seen by capsys")
        assert capsys.readouterr().out == "seen by capsys\\n"
        print("shown with the failure")
        logging.getLogger("app").warning("logged")
        assert [1, 2] == [1, 3]

    def test_file_descriptors(capfd):
        os.write(1, b"seen by capfd")
        assert capfd.readouterr() == ("seen by capfd", "")

    def test_logs(caplog):
        logging.getLogger("app").error("caught")
        assert [record.name for record in caplog.records] == ["app"]

    def test_warns():
        warnings.warn("old", DeprecationWarning)

    @pytest.mark.xfail(reason="known")
    def test_xfail():
        assert 0

    def test_skip():
        pytest.skip("later")

    def test_environment():
        ours = [name for name in os.environ if name.startswith(("SWARMTASK", "TRACE", "TASKMASTER"))]
        assert ours == []

    def test_threads():
        import threading
        assert threading.active_count() == 1

    def test_warning_in_record(recwarn):
        assert len(recwarn) == 0
"""


@pytest.mark.parametrize(
    ("arguments", "header", "closing"),
    [
        ((), True, True),
        (("-v",), True, True),
        (("-q",), False, True),
        (("-q", "-q"), False, False),
        (("--no-header",), False, True),
    ],
    ids=words,
)
def test_two_lines(project: Suite, arguments: tuple[str, ...], header: bool, closing: bool) -> None:
    """The header shows the run, and the closing line shows the number of events and a command, within 80 columns.
    -q hides the header, -q -q hides both lines.
    """
    session = project.write(test_it="def test_a(): pass").pytest(*arguments)
    run = session.start["trace_id"]
    assert (f"swarmtask: run {run}\n" in session.output) is header
    line = rf"^(?=.{{80}}$)-+ swarmtask: 4 events; swarmtask report --run {run[:8]} -+$"
    assert bool(re.search(line, session.output, re.MULTILINE)) is closing
    assert session.output.count("swarmtask:") == header + closing


def test_closing_line_counts_the_journal(project: Suite) -> None:
    """The closing line shows the number of events in the journal, including the end of the session."""
    session = project.write(
        test_it="import pytest\n@pytest.mark.parametrize('n', range(5))\ndef test_a(n): pass"
    ).pytest("-n1")
    assert len(session.events) == 12
    assert " swarmtask: 12 events;" in session.output


def plain(session: Session) -> str:
    """Return the output without our lines and without the parts that differ in each run."""
    lines = [line for line in session.output.splitlines() if "swarmtask:" not in line]
    return re.sub(r"\b\d+\.\d+s|=+|0x[0-9a-f]+|swarmtask-[\d.]+, ", "", "\n".join(lines))


def details(session: Session) -> str:
    """Return the JUnit XML without the parts that differ in each run."""
    return re.sub(r'(time|timestamp|hostname)="[^"]*"|0x[0-9a-f]+', "", session.junit.read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("-v", "-rA", "--durations=3", "--durations-min=60"),
        ("-s",),
        ("--capture=sys", "-q"),
        ("-W", "error", "--import-mode=importlib", "-p", "no:cacheprovider"),
        ("-p", "no:terminal"),
        ("-x",),
        pytest.param(
            ("--max-warnings=0",),
            marks=pytest.mark.skipif(pytest.version_tuple < (9, 1), reason="the option is younger"),
        ),
    ],
    ids=words,
)
def test_no_effect(project: Suite, arguments: tuple[str, ...]) -> None:
    """The plugin changes neither outcomes, captured output, exit code, order nor terminal output, apart from two lines.
    This also applies with options that turn small problems into errors.
    """
    project.write(test_suite=SUITE)
    off = project.pytest("-pno:swarmtask", *arguments)
    off_details = details(off)
    on = project.pytest("-pno:unused", *arguments)
    assert off.events == []
    assert on.end["metadata"]["exit_code"] == on.exit_code == off.exit_code
    assert plain(on) == plain(off)
    assert on.errors == off.errors
    assert details(on) == off_details


@pytest.mark.slow
def test_no_effect_under_xdist(project: Suite) -> None:
    """Under xdist, the plugin changes neither outcomes nor the exit code."""
    project.write(test_suite=SUITE.replace("test_threads", "threads"))
    off = project.pytest("-pno:swarmtask", "-n2")
    off_cases = off.cases
    on = project.pytest("-n2")
    assert on.cases == off_cases
    assert on.exit_code == off.exit_code
    assert on.errors == off.errors


def test_nothing_is_left_in_the_project(project: Suite) -> None:
    """A session leaves only the journal behind, which version control ignores."""
    project.write(test_it="def test_a(): pass").pytest("-pno:cacheprovider", PYTHONDONTWRITEBYTECODE="1")
    assert sorted(path.name for path in project.root.iterdir()) == [".taskmaster", "junit.xml", "test_it.py"]
    assert [path.name for path in (project.root / ".taskmaster").iterdir()] == ["events"]
    assert (project.root / ".taskmaster" / "events" / ".gitignore").read_text() == "*\n"


def test_private(project: Suite) -> None:
    """Only the owner can read the journal."""
    project.write(test_it="def test_a(): pass").pytest()
    folder = project.root / ".taskmaster" / "events"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
