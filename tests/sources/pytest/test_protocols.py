"""Each test has one start and one end with pytest's own outcome, however plugins run, repeat, report and name it."""

from __future__ import annotations

import subprocess
import textwrap

import pytest

from tests.lab import clean_environ
from tests.suite import WITH_WORKERS, Session, Suite, words

XDIST = pytest.mark.parametrize("xdist", [(), WITH_WORKERS], ids=words)

PROTOCOLS = {
    "no start and no finish": "report(run())",
    "three starts, and no finish": "start(); run(); start(); run(); start(); report(run())",
    "reruns that start and do not finish": """
        for last in (False, False, True):
            start()
            report(rerun(run(), last))
    """,
    "reruns with one start and one finish": """
        start()
        for last in (False, False, True):
            report(rerun(run(), last))
        finish()
    """,
    "attempts of which nobody hears": "start(); run(); run(); report(run()); finish()",
    "attempts that only start and finish": """
        start(); run(); finish()
        start(); run(); finish()
        start(); report(run()); finish()
    """,
    "only the call": "start(); report(run()[1:2]); finish()",
    "only the call, without start and finish": "report(run()[1:2])",
    "reports after the finish": "start(); reports = run(); finish(); report(reports)",
    "a call that is reported three times": """
        start()
        setup, call, teardown = run()
        report([setup, call, call, call, teardown])
        finish()
    """,
    "a call that is reported as retried, and then again": """
        start()
        setup, call, teardown = run()
        outcome, call.outcome = call.outcome, "retried"
        report([setup, call])
        call.outcome = outcome
        report([call, teardown])
        finish()
    """,
}
"""Protocols of plugins. Each one is called with a test; `run` returns its reports without logging them."""

CONFTEST = """
from _pytest.runner import runtestprotocol


def pytest_runtest_protocol(item, nextitem):
    place = {{"nodeid": item.nodeid, "location": item.location}}
    hook = item.ihook

    def start():
        hook.pytest_runtest_logstart(**place)

    def finish():
        hook.pytest_runtest_logfinish(**place)

    def run():
        return runtestprotocol(item, nextitem=nextitem, log=False)

    def report(reports):
        for one in reports:
            hook.pytest_runtest_logreport(report=one)

    def rerun(reports, last):
        if not last:
            reports[1].outcome = "rerun"
        return reports

{body}
    return True
"""

SUITE = """
import pytest


def test_good():
    pass


def test_bad():
    assert 1 == 2


@pytest.mark.task("5.2")
def test_of_a_task():
    assert 3 == 4


def test_skipped():
    pytest.skip("not today")
"""


def protocol(body: str) -> str:
    """Return a conftest whose protocol does this with each test."""
    return CONFTEST.format(body=textwrap.indent(textwrap.dedent(body), "    "))


@XDIST
@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocols_of_plugins(project: Suite, name: str, xdist: tuple[str, ...]) -> None:
    """A test ends once, with the outcome of its call, even if a plugin omits, repeats or reorders what pytest does."""
    session = project.write(conftest=protocol(PROTOCOLS[name]), test_it=SUITE).pytest(*xdist)
    assert len(session.of("TEST_STARTED")) == 4
    outcomes = {name.rpartition("_")[2]: outcome for name, outcome in session.outcomes().items()}
    assert outcomes == {"good": "passed", "bad": "failed", "task": "failed", "skipped": "skipped"}
    assert session.ending("test_bad")["metadata"]["error"].startswith("assert 1 == 2")
    assert session.about("5.2") == ["TASK_STARTED", "TASK_FAILED"]
    assert session.exit_code == 1


@pytest.mark.parametrize(
    ("name", "attempt"),
    [
        ("reruns that start and do not finish", 3),
        ("reruns with one start and one finish", 3),
        ("attempts that only start and finish", 3),
        ("a call that is reported as retried, and then again", 2),
        ("a call that is reported three times", 1),
    ],
)
def test_attempts(project: Suite, name: str, attempt: int) -> None:
    """Each attempt that a plugin announces or reports counts, whatever word it has for a failed attempt."""
    session = project.write(conftest=protocol(PROTOCOLS[name]), test_it=SUITE).pytest()
    assert session.ending("test_good")["metadata"]["attempt"] == attempt
    assert session.ending("test_bad")["metadata"]["attempt"] == attempt


@XDIST
def test_what_nobody_reports(project: Suite, xdist: tuple[str, ...]) -> None:
    """A test that a plugin starts and never reports is no crash, and neither passed nor failed."""
    session = project.write(conftest=protocol("start(); run(); finish()"), test_it=SUITE).pytest(*xdist)
    assert set(session.outcomes().values()) == {"skipped"}
    assert session.ending("test_bad")["metadata"]["error"] == "pytest got no report of it"
    assert session.exit_code == 0


def test_cycles_within_one_protocol(project: Suite) -> None:
    """A plugin that starts, reports and finishes a test three times has run three tests, as pytest counts them."""
    body = "for _ in range(3):\n    start(); report(run()); finish()"
    session = project.write(conftest=protocol(body), test_it="def test_a(): pass").pytest()
    assert session.about("test_it.py::test_a") == ["TEST_STARTED", "TEST_PASSED"] * 3
    assert "3 passed" in session.output


NAMES = {
    "docstrings": "report.nodeid = item.function.__doc__ or report.nodeid",
    "suffixes": "report.nodeid += ' [rank=0]'",
    "unescaped": "report.nodeid = report.nodeid.encode().decode('unicode_escape')",
    "places": "report.location = ('made.feature', 7, 'a scenario')",
}
"""How plugins change reports."""


@pytest.mark.parametrize("name", NAMES)
def test_reports_of_another_name(project: Suite, name: str) -> None:
    """A report whose node id or place a plugin has changed is about the test that is running, and so are its tasks."""
    project.write(
        conftest=f"""
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            {NAMES[name]}
            return report
        """,
        test_it="""
        import pytest

        @pytest.mark.parametrize("word", ["\\u00fc", "b"])
        def test_good(word):
            '''it is good'''

        @pytest.mark.task("5.2")
        def test_bad():
            '''refuses a bad password'''
            assert 0

        @pytest.mark.skip
        def test_skipped():
            '''comes later'''
        """,
    )
    session = project.pytest()
    assert len(session.of("TEST_STARTED")) == 4
    assert sorted(session.outcomes().values()) == ["failed", "passed", "passed", "skipped"]
    assert session.ending("test_bad")["metadata"]["outcome"] == "failed"
    assert session.about("5.2") == ["TASK_STARTED", "TASK_FAILED"]


@pytest.mark.parametrize(
    "hook",
    [
        "pytest_runtest_logreport(report): if report.when == 'call'",
        "pytest_runtest_logfinish(nodeid): if True",
        "pytest_report_teststatus(report): if report.when == 'call'",
    ],
)
def test_a_hook_that_raises(project: Suite, hook: str) -> None:
    """If a plugin breaks while pytest reports a test, the outcome that was reported stands."""
    name, condition = hook.split(": ")
    conftest = f"def {name}:\n    {condition}: raise RuntimeError('this plugin is broken')"
    session = project.write(conftest=conftest, test_it="def test_a(): pass").pytest()
    assert session.exit_code == 3
    assert session.outcomes() == {"test_it.py::test_a": "passed"}
    assert "this plugin is broken" in session.end["metadata"]["error"]


def test_ctrl_c_in_a_teardown(project: Suite) -> None:
    """Ctrl-C while a fixture is torn down keeps the outcomes that pytest has counted, with their messages."""
    project.write(
        test_it="""
        import os, signal
        import pytest

        @pytest.fixture
        def slow():
            yield
            os.kill(os.getpid(), signal.SIGINT)

        @pytest.mark.task("5.2")
        def test_good(): pass

        @pytest.mark.task("5.3")
        def test_bad(slow): assert 1 == 2
        """
    )
    session = project.pytest()
    assert session.exit_code == 2
    assert session.outcomes() == {"test_it.py::test_good": "passed", "test_it.py::test_bad": "failed"}
    assert session.ending("test_bad")["metadata"]["error"].startswith("assert 1 == 2")
    assert session.about("5.2") == ["TASK_STARTED", "TASK_COMPLETED"]
    assert session.about("5.3") == ["TASK_STARTED", "TASK_FAILED"]


def test_quitting_the_debugger(project: Suite) -> None:
    """`q` in the debugger that ``--pdb`` opens ends the session; the failure that it showed stays one."""
    project.write(test_it=SUITE)
    done = subprocess.run(
        project.command("--pdb"),
        cwd=project.root,
        env=clean_environ(),
        input="q\n",
        capture_output=True,
        text=True,
        check=False,
    )
    session = Session(done.returncode, done.stdout, done.stderr, project.events(), project.root / "junit.xml")
    assert session.exit_code == 2, done.stdout
    assert session.outcomes() == {"test_it.py::test_good": "passed", "test_it.py::test_bad": "failed"}
    assert session.ending("test_bad")["metadata"]["error"].startswith("assert 1 == 2")
