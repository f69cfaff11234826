"""Suites that freeze time, patch the operating system, close files, fork, or have unusual ids."""

from __future__ import annotations

import os
import re
import socket
from datetime import datetime, timedelta, timezone
from importlib.util import find_spec

import pytest

from tests.lab import clean_environ
from tests.suite import ENDINGS, WITH_WORKER, Event, Suite, words

FREEZE = {
    "freezegun": "import freezegun; frozen = freezegun.freeze_time('1999-01-01')",
    "time_machine": "import time_machine; frozen = time_machine.travel('1999-01-01T12:00+00:00', tick=False)",
}
PER_TEST = """
def test_before():
    assert time.localtime().tm_year > 2020

@frozen
def test_frozen():
    assert time.localtime().tm_year == 1999

@frozen
def test_frozen_again():
    assert time.localtime().tm_year == 1999

def test_after():
    assert time.localtime().tm_year > 2020
"""


def moment(event: Event) -> datetime:
    """Return the time of an event."""
    return datetime.strptime(event["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("how", "scope", "xdist"),
    [
        ("freezegun", "test", ()),
        ("freezegun", "session", ()),
        pytest.param("freezegun", "session", ("-n1",), marks=pytest.mark.slow),
        ("time_machine", "test", ()),
        ("time_machine", "session", ()),
    ],
    ids=words,
)
def test_frozen_clock(project: Suite, how: str, scope: str, xdist: tuple[str, ...]) -> None:
    """A frozen clock, in single tests or for the whole session, changes no timestamps, order, durations or ids."""
    if find_spec(how) is None:
        pytest.skip(f"{how} is not installed")
    start = FREEZE[how]
    if scope == "session":
        project.write(conftest=f"{start}\nfrozen.start()")
        project.write(test_it="import time\ndef test_a(): assert time.localtime().tm_year == 1999\ndef test_b(): pass")
    else:
        project.write(test_it=f"{start}\nimport time\n{PER_TEST}")
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    session = project.pytest(*xdist)
    assert session.exit_code == 0, session.output
    times = [moment(event) for event in session.events]
    assert times == sorted(times)
    assert before < times[0] <= times[-1] < datetime.now(timezone.utc) + timedelta(seconds=1)
    assert 0 <= session.end["metadata"]["duration"] < 60
    assert all(0 <= event["metadata"]["duration"] < 60 for event in session.of(*ENDINGS))
    assert len({event["id"] for event in session.events}) == len(session.events)


@pytest.mark.parametrize("relay", [True, False])
def test_frozen_clock_and_hung_webhook(project: Suite, relay: bool) -> None:
    """With a frozen clock, a session still stops waiting for a hung webhook, also if no process can be started."""
    if find_spec("freezegun") is None:
        pytest.skip("freezegun is not installed")
    hook = f"{FREEZE['freezegun']}\nfrozen.start()\n"
    if not relay:
        hook += "import os\ndef refuse(*args, **kwargs): raise OSError('no process')\nos.posix_spawn = refuse"
    project.write(conftest=hook, test_it="def test_a(): pass")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        environ = {"TASKMASTER_WEBHOOK_URL": url, "AUTOMATION_SECRET_KEY": "whsec_" + "c2VjcmV0" * 4}
        session = project.pytest("--swarmtask-drain-timeout=0.2", **environ)
    assert session.exit_code == 0
    assert "4 not delivered yet" in session.output


PATCHING = """
    import builtins
    import os
    import random
    import socket
    import threading
    import time

    import pytest

    def refuse(*args, **kwargs):
        raise AssertionError("the suite forbids this")

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            (os, "write"), (os, "open"), (os, "close"), (os, "replace"), (os, "rename"), (os, "urandom"),
            (os, "getpid"), (os, "mkdir"), (os, "stat"), (os, "listdir"), (builtins, "open"), (socket, "socket"),
            (time, "time"), (time, "sleep"), (time, "perf_counter"), (random, "random"), (threading.Thread, "start"),
        ],
    )
    def test_patched(monkeypatch, module, name):
        monkeypatch.setattr(module, name, refuse)

    def test_environment(monkeypatch):
        for variable in list(os.environ):
            monkeypatch.delenv(variable)

    def test_directory(monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
"""


def test_patched_system(project: Suite) -> None:
    """All events are recorded if tests patch system functions, empty the environment or change the directory."""
    project.write(test_it=PATCHING)
    session = project.pytest()
    assert session.exit_code == 0, session.output
    assert set(session.outcomes().values()) == {"passed"}
    assert len(session.outcomes()) == len(session.of("TEST_STARTED")) == 19
    assert "lost" not in session.output


def test_patched_for_good(project: Suite) -> None:
    """No event is lost if a test leaves `os.write`, `os.open`, `os.urandom` and `json.dumps` patched."""
    project.write(
        test_it="""
        import builtins, json, os

        def refuse(*args, **kwargs):
            raise AssertionError("the suite forbids this")

        def test_a():
            os.write = os.open = os.urandom = json.dumps = refuse

        def test_b():
            pass
        """
    )
    session = project.pytest("-pno:cacheprovider", "-s")
    assert session.outcomes() == {"test_it.py::test_a": "passed", "test_it.py::test_b": "passed"}
    assert session.end["event_type"] == "TASK_COMPLETED"


CLOSING = """
    import os

    def test_closes():
        os.closerange({first}, {last})

    def test_opens():
        files = [os.open("opened", os.O_WRONLY | os.O_CREAT) for _ in range(5)]
        for fd in files:
            os.write(fd, b"mine")
            os.close(fd)

    def test_after():
        assert open("opened").read() == "mine"
"""


@pytest.mark.parametrize(("first", "last"), [(3, 256), (900, 1024), (3, 4096)])
def test_closed_files(project: Suite, first: int, last: int) -> None:
    """If a test closes all files, no event is lost, and no event is written to a file that the suite opens later."""
    session = project.write(test_it=CLOSING.format(first=first, last=last)).pytest(
        "-s", "-pno:faulthandler", "-pno:logging"
    )
    assert session.exit_code == 0, session.output
    assert session.outcomes() == {f"test_it.py::test_{name}": "passed" for name in ("closes", "opens", "after")}
    assert session.end["event_type"] == "TASK_COMPLETED"
    assert len(session.events) == 8


FORKING = """
    import os
    import sys

    import pytest

    def test_child_exits():
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)

    def test_child_runs_on():
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)

    def test_after():
        pass

    def test_child_leaves():
        pid = os.fork()
        if not pid:
            sys.exit(0)
        os.waitpid(pid, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forks(project: Suite) -> None:
    """If a test forks, the test and the session still end once, and the child damages no line of the parent."""
    session = project.write(test_it=FORKING).pytest("-pno:warnings")
    names = ("child_exits", "child_runs_on", "after", "child_leaves")
    assert session.outcomes() == {f"test_it.py::test_{name}": "passed" for name in names}
    assert len(session.of("TEST_STARTED")) == 4
    assert session.start["span_id"] == session.end["span_id"]
    assert len({event["id"] for event in session.events}) == len(session.events)


def test_journal_that_cannot_be_written(project: Suite) -> None:
    """If the journal cannot be created, results are unchanged, and the closing line shows the loss and the reason."""
    project.write(test_it="def test_a(): pass\ndef test_b(): assert 0")
    project.file(".taskmaster/events", "a file, where a folder should be")
    session = project.pytest()
    assert session.exit_code == 1
    assert session.cases == [("test_it::test_a", "passed"), ("test_it::test_b", "failure")]
    assert re.search(r"swarmtask: 0 events, 6 lost", session.output)
    assert "swarmtask: warning: events could not be written to" in session.output
    assert "Traceback" not in session.output + session.errors


def test_journal_that_is_removed(project: Suite) -> None:
    """If a suite removes the journal, its results are unchanged and a message reports the removal."""
    project.write(test_it="import shutil\ndef test_a(): shutil.rmtree('.taskmaster')\ndef test_b(): pass")
    session = project.pytest()
    assert session.exit_code == 0
    assert "was removed while events were written to it" in session.output


HOSTILE = """
    import pytest

    SECRET = "ghp_" + "a1B2" * 9

    @pytest.mark.parametrize(
        "value",
        ["x" * 10_000, "a\\nb\\tc\\x1b[31m", "snow\\u2603", "nel\\x85ls\\u2028", "quote\\"s\\\\and:[b]r", SECRET, ""],
        ids=lambda value: value,
    )
    def test_ids(value):
        pass

    def test_controls_in_error():
        raise ValueError("\\x00 and \\x1b[31m")

    def test_secret_in_error():
        raise ValueError(f"login failed with {SECRET}")

    def test_long_error():
        raise ValueError("y" * 1_000_000)

    class Awful(Exception):
        def __str__(self):
            raise RuntimeError("no text")
        __repr__ = __str__

    def test_awful_error():
        raise Awful

    def test_secret_in_skip():
        pytest.skip(SECRET)
"""


@pytest.mark.parametrize("xdist", [(), WITH_WORKER], ids=words)
def test_hostile_names_and_errors(project: Suite, xdist: tuple[str, ...]) -> None:
    """Extremely long ids and errors, control characters and secrets give events below 16 KiB without the secret."""
    unescaped = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support"
    project.file("pytest.ini", f"[pytest]\n{unescaped} = true\n")
    session = project.write(test_it=HOSTILE).pytest(*xdist)
    assert len(session.of("TEST_STARTED")) == len(session.of(*ENDINGS)) == 12
    assert session.end["metadata"]["counts"] == {"passed": 7, "failed": 4, "skipped": 1}
    journal = b"".join(path.read_bytes() for path in project.root.glob(".taskmaster/events/*.jsonl"))
    assert b"ghp_" not in journal
    assert journal.count(b"[REDACTED]") >= 3
    assert max(map(len, journal.split(b"\n"))) <= 16 * 1024
    assert journal.count(b"\n") == len(session.events) == 26


def test_surrogates(project: Suite) -> None:
    """Text that UTF-8 cannot encode gives an event. Under xdist such a suite fails even without the plugin."""
    project.write(
        test_it="""
        import pytest

        @pytest.mark.parametrize("value", ["\\ud800\\udfff"])
        def test_a(value):
            raise ValueError("lone " + value)

        def test_b():
            pytest.skip("lone \\udfff")
        """
    )
    session = project.pytest(PYTHONIOENCODING="utf-8:backslashreplace")
    assert list(session.outcomes().values()) == ["failed", "skipped"]
    assert session.ending("test_b")["metadata"]["error"] == "lone \\udfff"


def test_secrets_of_the_environment(project: Suite) -> None:
    """The value of a variable with a secret-like name is in no event: neither in ids, nor errors, nor arguments."""
    secret = "correct-horse-battery"
    test = f"@pytest.mark.parametrize('value', ['{secret}'])\ndef test_a(value): raise ValueError(f'bad {{value}}')"
    project.write(test_it=f"import pytest\n{test}")
    session = project.pytest("-k", f"not {secret}x", DATABASE_PASSWORD=secret)
    assert len(session.outcomes()) == 1
    assert secret not in str(session.events)


def test_secrets_of_the_command_line(project: Suite) -> None:
    """The value of an option or setting with a secret-like name is in no event."""
    project.write(
        conftest="""
        def pytest_addoption(parser):
            parser.addoption("--api-token")
            parser.addini("db_password", "a password")
        """,
        test_it="def test_a(): pass",
    )
    options = ("--api-token=hunter2a", "--api-token", "hunter2b", "-o", "db_password=hunter2c==")
    session = project.pytest(*options, "test_it.py")
    assert session.exit_code == 0
    arguments = session.start["metadata"]["arguments"]
    assert "hunter2" not in str(session.events)
    assert arguments[-6:-1] == ["--api-token=[REDACTED]", "--api-token", "[REDACTED]", "-o", "db_password=[REDACTED]"]


def test_reports_with_a_node_of_their_own(project: Suite) -> None:
    """A conftest that adds attributes to its reports, even with names that xdist uses, changes no outcome."""
    hook = """
        import pytest

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_makereport(item, call):
            outcome = yield
            report = outcome.get_result()
            report.node = item
            report.worker_id = item
            report.swarmtask_tasks = 7
    """
    session = project.write(conftest=hook, test_it="def test_a(): pass\ndef test_b(): assert 0").pytest()
    assert session.outcomes() == {"test_it.py::test_a": "passed", "test_it.py::test_b": "failed"}
    assert "warning" not in session.output


@pytest.mark.parametrize("xdist", [(), WITH_WORKER], ids=words)
def test_foreign_marker_of_our_name(project: Suite, xdist: tuple[str, ...]) -> None:
    """The `task` marker of another tool, with other kinds of arguments, creates no task and breaks nothing."""
    project.write(
        test_it="""
        import pytest

        class Odd:
            def __str__(self):
                raise RuntimeError("no text")

        def function():
            pass

        @pytest.mark.task(Odd(), None, name="other")
        def test_a():
            pass

        @pytest.mark.task.with_args(function)
        def test_b():
            pass
        """
    )
    session = project.pytest(*xdist)
    assert session.exit_code == 0
    assert session.outcomes() == {"test_it.py::test_a": "passed", "test_it.py::test_b": "passed"}
    assert session.of("TASK_STARTED") == [session.start]


def test_a_working_directory_that_is_gone(project: Suite) -> None:
    """A session whose conftest has removed its working directory is recorded for the project that it began in."""
    hook = """
        import os, tempfile

        def pytest_configure():
            os.chdir(tempfile.mkdtemp())
            os.rmdir(os.getcwd())
    """
    report = project.root / "junit.xml"
    session = project.write(conftest=hook, test_it="def test_a(): pass").pytest(f"--junit-xml={report}")
    assert session.types() == ["TASK_STARTED", "TEST_STARTED", "TEST_PASSED", "TASK_COMPLETED"], session.output


def test_recording_that_cannot_begin(project: Suite) -> None:
    """If the plugin cannot start because of a conftest, the session runs normally and the header shows the reason."""
    hook = "import os\ndef refuse(count): raise AssertionError('the suite forbids this')\nos.urandom = refuse"
    session = project.write(conftest=hook, test_it="def test_a(): pass").pytest("-W", "error")
    assert session.exit_code == 0
    assert session.events == []
    assert "swarmtask: warning: nothing is recorded: AssertionError: the suite forbids this" in session.output


BROKEN = """
    from pytest_swarmtask.sources.pytest.{module} import {name}

    def fail(*arguments, **named):
        raise LookupError("our own mistake")

    {name}.{method} = fail
"""


@pytest.mark.parametrize(
    ("module", "name", "method"),
    [
        ("task_marks", "TaskIndex", "collect"),
        ("task_marks", "TaskIndex", "select"),
        ("running_tests", "RunningTests", "is_new"),
        ("running_tests", "RunningTests", "add"),
        ("outcome", "TestRun", "add"),
        ("running_tests", "RunningTests", "enter_protocol"),
        ("running_tests", "RunningTests", "leave_protocol"),
        ("session_facts", "Tally", "add"),
    ],
)
def test_a_hook_of_ours_that_fails(project: Suite, module: str, name: str, method: str) -> None:
    """An error in one of our hooks changes no outcome and prints one warning, and the end event is recorded."""
    project.write(conftest=BROKEN.format(module=module, name=name, method=method), test_it="def test_a(): pass")
    session = project.pytest("-W", "error")
    assert session.exit_code == 0
    assert "1 passed" in session.output
    assert session.output.count("swarmtask: warning: LookupError: our own mistake") == 1
    assert session.end["event_type"] == "TASK_COMPLETED"


def test_a_module_of_the_project_with_the_name_of_ours(project: Suite) -> None:
    """A project may have modules with names of the standard library: they are not run, and the end is recorded."""
    project.file("resource.py", "raise RuntimeError('this is about forests')")
    project.file("importlib_metadata.py", "raise RuntimeError")
    session = project.write(test_it="def test_a(): pass").pytest("--swarmtask-report=report.html")
    assert session.exit_code == 0
    assert session.end["event_type"] == "TASK_COMPLETED"
    assert session.end["metadata"]["peak_memory"] > 1_000_000
    assert (project.root / "report.html").exists()
    assert "warning" not in session.output


SABOTAGE = {
    "path": "sys.path[:] = []",
    "meta path": "sys.meta_path[:] = []",
    "import": "builtins.__import__ = refuse",
    "path hooks": "sys.path_hooks[:] = []; sys.path_importer_cache.clear()",
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_imports_that_a_test_breaks(project: Suite, name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A test that leaves the import system broken loses nothing: all that the end needs was bound at the start.

    `__import__` is broken for our modules only, since pytest itself needs it at its end.
    """
    summary = tmp_path_factory.mktemp("summary") / "summary.md"
    project.write(
        test_it=f"""
        import builtins, sys

        imports = builtins.__import__

        def refuse(name, globals=None, *rest):
            if (globals or {{}}).get("__name__", "").startswith("pytest_swarmtask"):
                raise ImportError(name)
            return imports(name, globals, *rest)

        def test_a():
            {SABOTAGE[name]}

        def test_b():
            assert 1 == 2, "the end needs more than this"
        """
    )
    session = project.pytest("--swarmtask-report=report.html", GITHUB_STEP_SUMMARY=str(summary))
    assert session.exit_code == 1
    assert session.end["metadata"]["peak_memory"] > 1_000_000
    assert session.end["metadata"]["counts"] == {"failed": 1, "passed": 1}
    assert session.ending("test_b")["metadata"]["outcome"] == "failed"
    assert (project.root / "report.html").exists()
    assert "test_b" in summary.read_text()
    assert "warning" not in session.output


@pytest.mark.parametrize(
    ("module", "name", "method"),
    [
        ("session_facts", "Tally", "metadata"),
        ("coverage", "CoverageMeasurement", "result"),
        ("session_facts", "SessionFacts", "collect_end"),
    ],
)
def test_an_end_that_fails(project: Suite, module: str, name: str, method: str) -> None:
    """What fails at the very end, after the closing line, is told below it, and what can be recorded is."""
    project.write(conftest=BROKEN.format(module=module, name=name, method=method), test_it="def test_a(): pass")
    command = project.command("--swarmtask-report=report.html")
    if module == "coverage":
        command[1:1] = ["-m", "coverage", "run"]
    session = project.session(command, clean_environ())
    assert session.exit_code == 0
    assert session.output.count("swarmtask: warning: LookupError: our own mistake") == 1
    assert (project.root / "report.html").exists()
    if method != "collect_end":
        assert session.end["event_type"] == "TASK_COMPLETED"


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("", 0), ("11", 11), ("'no'", 1)])
def test_sys_exit_at_the_end(project: Suite, code: str, expected: int) -> None:
    """`sys.exit` in a hook at the end decides the exit code of the process, and that of the session's end event."""
    conftest = f"import sys\ndef pytest_sessionfinish(): sys.exit({code})"
    session = project.write(conftest=conftest, test_it="def test_a(): assert 0").pytest()
    assert session.exit_code == expected
    assert session.end["metadata"]["exit_code"] == expected
    assert session.end["event_type"] == ("TASK_FAILED" if expected else "TASK_COMPLETED")
