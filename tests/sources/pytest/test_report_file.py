"""`--swarmtask-report` writes the report after the session, and never changes the result of the session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab import closed_port
from tests.suite import WITH_WORKERS, Session, Suite

SUITE = "def test_a(): pass\ndef test_b(): assert 0"


def said(session: Session) -> list[str]:
    """Return the lines about the report."""
    return [line for line in session.output.splitlines() if "report" in line and line.startswith("swarmtask: ")]


@pytest.mark.parametrize("arguments", [(), WITH_WORKERS], ids=["alone", "xdist"])
def test_the_report_of_this_session(project: Suite, arguments: tuple[str, ...]) -> None:
    """The report covers the whole session including its end, and one line shows its path."""
    session = project.write(test_it=SUITE).pytest("--swarmtask-report=out/r.html", *arguments)
    assert session.exit_code == 1
    target = project.root / "out" / "r.html"
    assert said(session) == [f"swarmtask: report: {target}"]
    text = target.read_text("utf-8")
    assert session.start["trace_id"] in text
    assert "<title>failed: pytest_run, " in text
    assert "Still running" not in text


def test_the_ini_key(project: Suite) -> None:
    """The ini key is a path relative to the root folder, also if pytest is started for a subfolder."""
    project.file("pytest.ini", "[pytest]\nswarmtask_report = r.html\n")
    project.file("sub/test_it.py", "def test_a(): pass")
    session = project.pytest("sub")
    assert (session.exit_code, said(session)) == (0, [f"swarmtask: report: {project.root / 'r.html'}"])
    assert (project.root / "r.html").is_file()


def test_it_is_the_local_history_that_is_asked(project: Suite) -> None:
    """A server does not have the run yet."""
    address = f"http://127.0.0.1:{closed_port()}"
    session = project.write(test_it=SUITE).pytest("--swarmtask-report=r.html", SWARMTASK_SERVER=address)
    assert said(session) == [f"swarmtask: report: {project.root / 'r.html'}"]


def test_where_it_cannot_be_written(project: Suite) -> None:
    """If the report cannot be written, one warning shows the reason, and the exit code is unchanged."""
    project.file("file", "")
    session = project.write(test_it="def test_a(): pass").pytest("--swarmtask-report=file/r.html")
    (line,) = said(session)
    assert line.startswith(f"swarmtask: warning: no report was written to {project.root}{os.sep}file/r.html: ")
    assert "cannot be written" in line
    assert session.exit_code == 0


def test_none_where_nothing_runs(project: Suite) -> None:
    session = project.write(test_it=SUITE).pytest("--swarmtask-report=r.html", "--collect-only")
    assert (said(session), (project.root / "r.html").exists()) == ([], False)


def test_the_watched_process_loads_nothing_for_it(project: Suite) -> None:
    """Writing the report loads neither the template engine nor the history in the pytest process."""
    project.write(
        conftest="""
            import atexit, sys
            def tell():
                with open("loaded", "w") as file:
                    ours = {"pytest_swarmtask." + name for name in ("cli", "history", "report.page", "relay")}
                    print(*({"jinja2", *ours} & set(sys.modules)), file=file)
            atexit.register(tell)
        """,
        test_it="def test_a(): pass",
    )
    project.pytest("--swarmtask-report=r.html", "-pno:xdist", "-pno:flaky")
    assert (project.root / "r.html").is_file()
    assert Path(project.root, "loaded").read_text("utf-8") == "\n"


def test_a_suite_that_forbids_processes(project: Suite) -> None:
    """The report is written even if the suite patches `subprocess`."""
    project.write(
        test_it="""
            import subprocess
            def test_a():
                def no(*args, **kwargs): raise RuntimeError("no processes here")
                subprocess.Popen = subprocess.run = no
        """
    )
    session = project.pytest("--swarmtask-report=r.html")
    assert (session.exit_code, said(session)) == (0, [f"swarmtask: report: {project.root / 'r.html'}"])
