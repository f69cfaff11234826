"""Tests that are rerun after a failure, as with pytest-rerunfailures."""

from __future__ import annotations

import pytest

from tests.suite import Session, Suite

SUITE = """
    import itertools
    import pathlib

    import pytest

    def tries(name):
        count = pathlib.Path(f"tries-{name}")
        count.write_text(count.read_text() + "x" if count.exists() else "x")
        return len(count.read_text())

    def test_third_time():
        assert tries("third") == 3, "not yet"

    def test_never():
        raise ValueError(f"try {tries('never')}")

    def test_at_once():
        pass

    @pytest.fixture
    def shaky():
        assert tries("setup") == 2, "setup broke"

    def test_setup(shaky):
        pass

    @pytest.fixture
    def shaky_end():
        yield
        assert tries("teardown") == 2, "teardown broke"

    def test_teardown(shaky_end):
        pass
"""


@pytest.fixture(scope="module", params=["plain", "xdist"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The session of the suite with two reruns, without xdist or with a worker."""
    project = Suite(tmp_path_factory.mktemp("reruns")).write(test_suite=SUITE)
    return project.pytest("--reruns=2", *(["-n1"] if request.param == "xdist" else []))


@pytest.mark.parametrize(
    ("name", "outcome", "attempt"),
    [
        ("test_third_time", "passed", 3),
        ("test_never", "failed", 3),
        ("test_at_once", "passed", 1),
        ("test_setup", "passed", 2),
        ("test_teardown", "passed", 2),
    ],
)
def test_one_start_and_one_ending(session: Session, name: str, outcome: str, attempt: int) -> None:
    """A test with reruns has one start and one end event, which shows the last outcome and the number of attempts."""
    event = session.ending(f"::{name}")
    assert session.about(event["task_id"]) == ["TEST_STARTED", event["event_type"]]
    assert (event["metadata"]["outcome"], event["metadata"]["attempt"]) == (outcome, attempt)


def test_reason_of_the_last_attempt(session: Session) -> None:
    """The end event has only the error of the last attempt."""
    assert session.ending("test_never")["metadata"]["error"] == "ValueError: try 3"
    assert "error" not in session.ending("test_third_time")["metadata"]


def test_counts(session: Session) -> None:
    """Reruns are not counted as tests."""
    assert session.end["metadata"]["counts"] == {"failed": 1, "passed": 4}
    assert session.exit_code == 1


def test_failures_that_a_plugin_keeps_to_itself(project: Suite) -> None:
    """A test has one start and one end even if a plugin (such as flaky) hides the failed calls of earlier attempts."""
    project.write(
        conftest="""
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for last in (False, False, True):
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
                withheld = not last and reports[1].failed
                for report in reports:
                    if report.when != "call" or not withheld:
                        item.ihook.pytest_runtest_logreport(report=report)
                item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
                if not withheld:
                    return True
        """,
        test_it="""
        tries = []

        def test_second_time():
            tries.append(1)
            assert len(tries) == 2

        def test_never():
            assert 0
        """,
    )
    session = project.pytest()
    assert session.about("test_it.py::test_second_time") == ["TEST_STARTED", "TEST_PASSED"]
    assert session.about("test_it.py::test_never") == ["TEST_STARTED", "TEST_FAILED"]
    assert [event["metadata"]["attempt"] for event in session.of("TEST_PASSED", "TEST_FAILED")] == [2, 3]


def test_bodies_that_nobody_reports(project: Suite) -> None:
    """A test whose call is never reported ends as skipped, at the latest at the end of the session."""
    hook = """
        from _pytest.runner import call_and_report

        def pytest_runtest_protocol(item, nextitem):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            call_and_report(item, "setup")
            call_and_report(item, "teardown", nextitem=nextitem)
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True
    """
    session = project.write(conftest=hook, test_it="def test_a(): pass").pytest()
    assert session.outcomes() == {"test_it.py::test_a": "skipped"}
