"""`--swarmtask-report` writes the report when all is over, and whatever becomes of it the session is as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.suite import Session, Suite

SUITE = "def test_a(): pass\ndef test_b(): assert 0"


def said(session: Session) -> list[str]:
    """Return what is said of the report."""
    return [line for line in session.output.splitlines() if "report" in line and line.startswith("swarmtask: ")]


@pytest.mark.parametrize("arguments", [(), ("-n2",)], ids=["alone", "xdist"])
def test_the_report_of_this_session(project: Suite, arguments: tuple[str, ...]) -> None:
    """It tells of the whole session, its end included; one line says where it is."""
    session = project.write(test_it=SUITE).pytest("--swarmtask-report=out/r.html", *arguments)
    assert session.exit_code == 1
    target = project.root / "out" / "r.html"
    assert said(session) == [f"swarmtask: report: {target}"]
    text = target.read_text("utf-8")
    assert session.start["trace_id"] in text
    assert "<title>failed: pytest_run, " in text
    assert "Still running" not in text


def test_the_ini_key(project: Suite) -> None:
    """It is below the root folder, wherever pytest is started."""
    project.file("pytest.ini", "[pytest]\nswarmtask_report = r.html\n")
    project.file("sub/test_it.py", "def test_a(): pass")
    session = project.pytest("sub")
    assert (session.exit_code, said(session)) == (0, [f"swarmtask: report: {project.root / 'r.html'}"])
    assert (project.root / "r.html").is_file()


def test_where_it_cannot_be_written(project: Suite) -> None:
    """One warning says why, and the exit code is pytest's own."""
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
    """Neither the template engine nor what reads the history, though the report is written."""
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
    """What a suite does to `subprocess` concerns only itself."""
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
