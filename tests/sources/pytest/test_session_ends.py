"""A session can end in different ways, and its running tests always get an end event."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.lab import clean_environ, read_events
from tests.suite import WITH_WORKER, WITH_WORKERS, Session, Suite, words

XDIST = pytest.mark.parametrize("xdist", [(), WITH_WORKER], ids=words)
TWO_WORKERS = pytest.mark.parametrize("xdist", [(), WITH_WORKERS], ids=words)
THREE = """
    def test_a():
        pass

    def test_b():
        assert False, "b broke"

    def test_c():
        pass
"""


def reason_of(session: Session) -> str:
    """Return the reason in the session's end event, and check that it fits the exit code."""
    end = session.end
    assert end["event_type"] == ("TASK_FAILED" if session.exit_code else "TASK_COMPLETED")
    assert end["metadata"]["exit_code"] == session.exit_code
    assert end["metadata"]["success"] is (session.exit_code == 0)
    return str(end["metadata"].get("reason"))


def test_passed(project: Suite) -> None:
    """A session whose tests pass ends with TASK_COMPLETED and no reason."""
    session = project.write(test_it="def test_a(): pass").pytest()
    assert session.exit_code == 0
    assert session.types() == ["TASK_STARTED", "TEST_STARTED", "TEST_PASSED", "TASK_COMPLETED"]
    assert reason_of(session) == "None"


@TWO_WORKERS
def test_collection_error(project: Suite, xdist: tuple[str, ...]) -> None:
    """A module that cannot be imported gives one TEST_FAILED in the phase collect, and the session fails.
    Without xdist no test runs. Under xdist the other tests run, and each worker reports the error in different words.
    """
    broken = "import os\nraise ImportError(f'no_such_module in {os.getpid()}')"
    project.write(test_broken=broken, test_fine="def test_a(): pass")
    session = project.pytest(*xdist)
    (failed,) = session.of("TEST_FAILED")
    assert failed["task_id"] == "test_broken.py"
    assert failed["metadata"]["phase"] == "collect"
    assert failed["metadata"]["outcome"] == "error"
    assert "no_such_module" in failed["metadata"]["error"]
    assert session.exit_code == (1 if xdist else 2)
    assert reason_of(session) == ("tests failed" if xdist else "interrupted")
    assert session.about("test_fine.py::test_a") == (["TEST_STARTED", "TEST_PASSED"] if xdist else [])


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [(("-x",), 2), (("--maxfail=1",), 2), (("--maxfail=2",), 3), (("--stepwise",), 2)],
    ids=words,
)
def test_stopped_early(project: Suite, arguments: tuple[str, ...], ran: int) -> None:
    """With -x, --maxfail and --stepwise only the tests that ran have events, with their own outcomes."""
    session = project.write(test_it=THREE).pytest(*arguments)
    assert len(session.of("TEST_STARTED")) == len(session.outcomes()) == ran
    assert session.outcomes()["test_it.py::test_b"] == "failed"
    assert session.exit_code == (2 if "--stepwise" in arguments else 1)
    assert reason_of(session) == ("interrupted" if "--stepwise" in arguments else "tests failed")


def test_stopped_early_under_xdist(project: Suite) -> None:
    """With -x under xdist, every started test has one end event, and the session was interrupted."""
    tests = "\n".join(f"def test_{n}(): assert {n} != 3" for n in range(40))
    session = project.write(test_it=tests).pytest("-n2", "-x")
    assert session.exit_code == 2
    assert reason_of(session) == "interrupted"
    assert len(session.of("TEST_STARTED")) == len(session.outcomes())
    assert "stopping after 1 failures" in session.end["metadata"]["error"]


def test_last_failed(project: Suite) -> None:
    """With --lf only the tests that failed in the last session are started."""
    project.write(test_it=THREE).pytest()
    session = project.pytest("--lf")
    assert session.outcomes() == {"test_it.py::test_b": "failed"}
    assert reason_of(session) == "tests failed"


@pytest.mark.parametrize("code", ["", ", returncode=7", ", returncode=0"])
def test_pytest_exit(project: Suite, code: str) -> None:
    """`pytest.exit` in a test ends the test as crashed, and the session's end event has reason and exit code."""
    project.write(test_it=f"import pytest\ndef test_a(): pass\ndef test_b(): pytest.exit('enough of this'{code})")
    session = project.pytest()
    assert session.exit_code == int(code[-1:] or 2)
    assert session.outcomes() == {"test_it.py::test_a": "passed", "test_it.py::test_b": "crashed"}
    assert "enough of this" in session.ending("test_b")["metadata"]["error"]
    assert reason_of(session) == {7: "exit code 7", 2: "interrupted", 0: "None"}[session.exit_code]


def in_flight(project: Suite, name: str) -> bool:
    """Whether the reporting process has recorded the start of a test."""
    return any(event["task_id"].endswith(name) for event in project.events())


@XDIST
def test_ctrl_c(project: Suite, xdist: tuple[str, ...]) -> None:
    """Ctrl-C ends the running test as crashed and the session as interrupted, with exit code 2."""
    project.write(
        test_it="""
        import pathlib, time

        def test_a():
            pass

        def test_b():
            pathlib.Path("started").touch()
            time.sleep(60)

        def test_c():
            pass
        """
    )
    started = project.root / "started"
    with subprocess.Popen(
        project.command(*xdist),
        cwd=project.root,
        env=clean_environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not (started.exists() and in_flight(project, "test_b")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, _ = process.communicate(timeout=60)
    session = Session(process.returncode, output, "", project.events(), project.root / "junit.xml")
    assert session.exit_code == 2, output
    assert session.outcomes()["test_it.py::test_b"] == "crashed"
    interrupted = session.ending("test_b")["metadata"]
    assert interrupted["phase"] == "call"
    assert "KeyboardInterrupt" in interrupted["error"]
    assert len(session.of("TEST_STARTED")) == len(session.outcomes())
    assert reason_of(session) == "interrupted"


@XDIST
def test_internal_error(project: Suite, xdist: tuple[str, ...]) -> None:
    """A hook that raises an error ends the session as an internal error, and every started test ends."""
    hook = "def pytest_runtest_logreport(report):\n    raise RuntimeError('the hook broke')"
    project.write(conftest=hook, test_it=THREE)
    session = project.pytest(*xdist)
    assert session.exit_code == 3
    assert reason_of(session) == "internal error"
    assert "the hook broke" in session.end["metadata"]["error"]
    assert len(session.of("TEST_STARTED")) == len(session.outcomes())


def test_usage_error(project: Suite) -> None:
    """A path that does not exist ends the session as a usage error with exit code 4 and without tests."""
    session = project.pytest("no_such_file.py")
    assert session.exit_code == 4
    assert session.types() == ["TASK_STARTED", "TASK_FAILED"]
    assert reason_of(session) == "usage error"


def test_bad_option(project: Suite) -> None:
    """If pytest refuses its command line, there is no session and no event."""
    session = project.pytest("--no-such-option")
    assert session.exit_code == 4
    assert session.events == []


def test_nothing_collected(project: Suite) -> None:
    """A session without tests keeps exit code 5, and its end event gives the reason."""
    session = project.pytest()
    assert session.exit_code == 5
    assert session.types() == ["TASK_STARTED", "TASK_FAILED"]
    assert reason_of(session) == "no tests were collected"


@pytest.mark.parametrize(
    "option",
    [
        "--collect-only",
        "--fixtures",
        "--fixtures-per-test",
        "--markers",
        "--setup-only",
        "--setup-plan",
        "--cache-show",
    ],
)
def test_nothing_runs(project: Suite, option: str) -> None:
    """A session that is not to run tests is no run: it records nothing and keeps its exit code and output."""
    session = project.write(test_it=THREE).pytest(option)
    assert session.exit_code == 0
    assert session.events == []
    assert "swarmtask: " not in session.output.replace("swarmtask: warning", "?")


def test_setup_show(project: Suite) -> None:
    """`--setup-show` runs the tests, and shows their fixtures besides."""
    session = project.write(test_it="def test_a(tmp_path): pass").pytest("--setup-show")
    assert session.outcomes() == {"test_it.py::test_a": "passed"}


@pytest.mark.skipif(pytest.version_tuple < (9, 1), reason="--max-warnings is younger")
def test_too_many_warnings(project: Suite) -> None:
    """With more warnings than allowed, the session fails with pytest's exit code, and the test still passes."""
    session = project.write(test_it="import warnings\ndef test_a(): warnings.warn('old')").pytest("--max-warnings=0")
    assert session.exit_code == 6
    assert session.outcomes() == {"test_it.py::test_a": "passed"}
    assert reason_of(session) == "more warnings than allowed"


def test_exit_code_of_another_plugin(project: Suite) -> None:
    """The end event has the final exit code, even if another plugin changes it."""
    hook = "def pytest_sessionfinish(session): session.exitstatus = 9"
    session = project.write(conftest=hook, test_it="def test_a(): pass").pytest()
    assert session.exit_code == 9
    assert reason_of(session) == "exit code 9"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("raise RuntimeError('it broke')", 1),
        ("pytest.exit('it broke')", 0),
        ("session.exitstatus = 9; pytest.exit('it broke')", 9),
        ("pytest.exit('it broke', returncode=8)", 8),
        ("session.exitstatus = None", 0),
    ],
)
def test_broken_finish(project: Suite, statement: str, code: int) -> None:
    """If another plugin aborts the end of the session, the end event is still recorded, with the right exit code."""
    hook = f"import pytest\ndef pytest_sessionfinish(session): {statement}"
    session = project.write(conftest=hook, test_it="def test_a(): pass").pytest()
    assert session.exit_code == code
    assert reason_of(session) == ("None" if code == 0 else {1: "tests failed"}.get(code, f"exit code {code}"))


@pytest.mark.parametrize("where", ["pytest_sessionfinish", "pytest_terminal_summary"])
@pytest.mark.parametrize("code", [0, 5])
def test_another_plugin_ends_the_process(project: Suite, where: str, code: int) -> None:
    """If a late hook ends the process at once, the end event is recorded, with the exit code of the process."""
    hook = f"import os\ndef {where}(): os._exit({code})"
    session = project.write(conftest=hook, test_it="def test_a(): pass\ndef test_b(): assert 0").pytest()
    assert session.exit_code == code
    assert session.types()[-1] == ("TASK_FAILED" if code else "TASK_COMPLETED")
    assert session.end["metadata"]["exit_code"] == code
    assert session.end["metadata"]["counts"] == {"failed": 1, "passed": 1}


def test_a_process_that_a_test_ends_is_a_crash(project: Suite) -> None:
    """If a test ends the process, the session has no end: its tests were not over."""
    session = project.write(test_it="import os\ndef test_a(): os._exit(0)").pytest()
    assert session.types() == ["TASK_STARTED", "TEST_STARTED"]


def test_a_forked_child_that_ends_with_the_session(project: Suite) -> None:
    """A child that the end of a session forks does not end the session of its parent."""
    hook = """
        import os

        def pytest_sessionfinish():
            pid = os.fork()
            if not pid:
                os._exit(7)
            os.waitpid(pid, 0)
    """
    session = project.write(conftest=hook, test_it="def test_a(): pass").pytest()
    assert session.exit_code == 0
    assert session.types() == ["TASK_STARTED", "TEST_STARTED", "TEST_PASSED", "TASK_COMPLETED"]


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("raise RuntimeError('it broke')", 3),
        ("raise pytest.UsageError('it broke')", 4),
        ("pytest.exit('it broke')", 2),
        ("pytest.exit('it broke', returncode=8)", 8),
    ],
)
def test_broken_start(project: Suite, statement: str, code: int) -> None:
    """If another plugin aborts the start of the session, the end event is recorded, with the right exit code."""
    hook = f"import pytest\ndef pytest_sessionstart(session): {statement}"
    session = project.write(conftest=hook, test_it="def test_a(): pass").pytest()
    assert session.exit_code == code
    assert session.types() == ["TASK_STARTED", "TASK_FAILED"]
    assert session.end["metadata"]["exit_code"] == code


def test_two_roots_in_one_process(project: Suite) -> None:
    """Sessions that one process runs in two projects are recorded in their own journals, and so are their events."""
    program = """
        import os, pytest
        for name in ("one", "two"):
            os.chdir(name)
            assert pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]) == 0
            os.chdir("..")
    """
    (project.root / ".taskmaster").rmdir()
    for name in ("one", "two"):
        body = f"trigger_task_event('TASK_STARTED', '{name}')"
        test = f"from pytest_swarmtask import trigger_task_event\ndef test_{name}(): {body}"
        (project.root / name / ".taskmaster").mkdir(parents=True)
        project.file(f"{name}/test_{name}.py", test)
    project.file("run.py", program)
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=project.root, env=clean_environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("one", "two"):
        events = read_events(project.root / name)
        assert [event["event_type"] for event in events] == [
            "TASK_STARTED", "TEST_STARTED", "TASK_STARTED", "TEST_PASSED", "TASK_COMPLETED"
        ]  # fmt: skip
        assert {event["task_id"] for event in events} == {"pytest_run", f"test_{name}.py::test_{name}", name}
    assert not (project.root / ".taskmaster").exists()


@pytest.mark.parametrize("traceparent", ["", f"00-{'a' * 32}-{'b' * 16}-01"])
def test_several_sessions_in_one_process(project: Suite, traceparent: str) -> None:
    """Each `pytest.main` of a notebook is a run of its own, unless all belong to a run that something else began."""
    project.write(test_it="def test_a(): assert 0")
    program = "import pytest\nfor _ in range(3): pytest.main(['-q', '-p', 'no:cacheprovider'])"
    session = project.session([sys.executable, "-c", program], clean_environ(TRACEPARENT=traceparent))
    ends = session.of("TASK_FAILED")
    assert [end["metadata"]["tests"] for end in ends] == [1, 1, 1]
    assert len({end["trace_id"] for end in ends}) == (1 if traceparent else 3)
    assert {end["parent_span_id"] for end in ends} == {"b" * 16 if traceparent else None}
    assert session.output.count("swarmtask: 4 events") == 3
