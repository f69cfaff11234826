"""`@pytest.mark.task("5.2")` records the tests of a task as events of that task."""

from __future__ import annotations

import pytest

from tests.shop import swarmtask
from tests.suite import ENDINGS, WITH_WORKER, Event, Session, Suite, words

SUITE = """
    import pytest

    @pytest.mark.task("1")
    def test_one_a():
        pass

    def test_without():
        pass

    @pytest.mark.task("1")
    @pytest.mark.skip(reason="later")
    def test_one_b():
        pass

    @pytest.mark.task("2.1")
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_two(number):
        assert number != 2

    @pytest.mark.task("3")
    @pytest.mark.task("4", "5")
    def test_several():
        pass

    @pytest.mark.task("4")
    class TestClass:
        def test_in_class(self):
            pass

        @pytest.mark.task(6)
        def test_with_its_own(self):
            pass

    @pytest.mark.task("7")
    @pytest.mark.task("7")
    def test_twice():
        pass

    @pytest.mark.task
    def test_no_id():
        pass
"""
MODULE = """
    import pytest

    pytestmark = pytest.mark.task("8")

    def test_in_module():
        pass
"""


@pytest.fixture(scope="module", params=["plain", "xdist"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The session of the suite, without xdist or with two workers."""
    project = Suite(tmp_path_factory.mktemp("marker")).write(test_suite=SUITE, test_module=MODULE)
    return project.pytest("--strict-markers", *(["-n2"] if request.param == "xdist" else []))


def ending(session: Session, task_id: str) -> Event:
    """Return the end event of a task."""
    (event,) = [event for event in session.of("TASK_COMPLETED", "TASK_FAILED") if event["task_id"] == task_id]
    return event


@pytest.mark.parametrize(
    ("task_id", "event_type", "counts"),
    [
        ("1", "TASK_COMPLETED", {"passed": 1, "skipped": 1}),
        ("2.1", "TASK_FAILED", {"passed": 2, "failed": 1}),
        ("3", "TASK_COMPLETED", {"passed": 1}),
        ("4", "TASK_COMPLETED", {"passed": 3}),
        ("5", "TASK_COMPLETED", {"passed": 1}),
        ("6", "TASK_COMPLETED", {"passed": 1}),
        ("7", "TASK_COMPLETED", {"passed": 1}),
        ("8", "TASK_COMPLETED", {"passed": 1}),
    ],
)
def test_task_begins_and_ends_once(session: Session, task_id: str, event_type: str, counts: dict[str, int]) -> None:
    """A task starts and ends once, and fails if one of its tests fails, with any combination of marks."""
    assert session.about(task_id) == ["TASK_STARTED", event_type]
    metadata = ending(session, task_id)["metadata"]
    assert metadata["counts"] == counts
    assert metadata["tests"] == sum(counts.values())
    assert metadata["success"] is (event_type == "TASK_COMPLETED")


def test_task_spans_its_tests(session: Session) -> None:
    """A task ends right after its last test. Its start and end share a span below the session's span."""
    types = [(event["event_type"], event["task_id"]) for event in session.events]
    tests = [f"test_suite.py::test_two[{number}]" for number in (1, 2, 3)]
    first = min(types.index(("TEST_FAILED" if test.endswith("[2]") else "TEST_PASSED", test)) for test in tests)
    last = max(types.index(("TEST_FAILED" if test.endswith("[2]") else "TEST_PASSED", test)) for test in tests)
    assert types.index(("TASK_STARTED", "2.1")) < first
    assert types.index(("TASK_FAILED", "2.1")) == last + 1
    started, failed = [event for event in session.events if event["task_id"] == "2.1"]
    assert started["span_id"] == failed["span_id"]
    assert started["parent_span_id"] == failed["parent_span_id"] == session.start["span_id"]


def test_the_end_of_a_test_names_its_tasks(session: Session) -> None:
    named = {end["metadata"]["specific_test"]: end["metadata"].get("tasks") for end in session.of(*ENDINGS)}
    assert named["test_suite.py::test_one_b"] == ["1"]
    assert named["test_suite.py::test_several"] == ["4", "5", "3"]
    assert named["test_suite.py::TestClass::test_with_its_own"] == ["6", "4"]
    assert named["test_module.py::test_in_module"] == ["8"]
    assert named["test_suite.py::test_without"] is None


def test_failed_task_says_why(session: Session) -> None:
    """The end event of a failed task names the tests that failed."""
    assert ending(session, "2.1")["metadata"]["error"] == "1 of 3 tests failed: test_suite.py::test_two[2]"


def test_partial(session: Session) -> None:
    """A task is partial if one of its tests was skipped, and not if all passed."""
    assert ending(session, "1")["metadata"]["partial"] is True
    assert "partial" not in ending(session, "4")["metadata"]


def test_skipped(project: Suite) -> None:
    """A task of which no test passed is not completed. Since none failed, its status is not that of a failure."""
    project.write(
        test_it="""
        import pytest

        @pytest.mark.task("1")
        class TestOne:
            @pytest.mark.skip
            def test_a(self): pass
            def test_b(self): pytest.skip("not here")

        @pytest.mark.task("2")
        @pytest.mark.xfail
        def test_c(): assert 0
        """
    )
    session = project.pytest()
    assert session.exit_code == 0
    ends = {task: ending(session, task) for task in "12"}
    assert [(end["event_type"], end["status"]) for end in ends.values()] == [("TASK_FAILED", "skipped")] * 2
    assert ends["1"]["metadata"]["error"] == "none of its tests passed: 2 skipped"
    assert ends["2"]["metadata"]["error"] == "none of its tests passed: 1 xfailed"
    shown = swarmtask(project.root, "report").stdout
    assert "pytest_run  completed" in shown
    assert "Failure" not in shown


@pytest.mark.parametrize("xdist", [(), WITH_WORKER], ids=words)
def test_deselected(project: Suite, xdist: tuple[str, ...]) -> None:
    """A task with deselected tests is partial. A task without any selected test has no events."""
    session = project.write(test_suite=SUITE).pytest("-k", "two and not 2] or one_a", *xdist)
    assert ending(session, "2.1")["metadata"]["partial"] is True
    assert ending(session, "2.1")["event_type"] == "TASK_COMPLETED"
    assert session.about("3") == []
    assert session.exit_code == 0


def test_stopped_before_its_last_test(project: Suite) -> None:
    """If a session stops before all tests of a task have run, the task fails."""
    project.write(
        test_it="""
        import pytest

        pytestmark = pytest.mark.task("9")

        def test_a():
            pass

        def test_b():
            pytest.exit("enough")

        def test_c():
            pass
        """
    )
    session = project.pytest()
    assert session.about("9") == ["TASK_STARTED", "TASK_FAILED"]
    assert session.events[-1] == session.end


def test_dead_worker(project: Suite) -> None:
    """If a test crashes its worker, the task of the test fails."""
    project.write(
        test_it="""
        import os

        import pytest

        pytestmark = pytest.mark.task("9")

        def test_a():
            pass

        def test_b():
            os._exit(1)

        def test_c():
            pass
        """
    )
    session = project.pytest("-n1")
    assert session.about("9") == ["TASK_STARTED", "TASK_FAILED"]
    assert ending(session, "9")["metadata"]["counts"] == {"crashed": 1, "passed": 2}


def test_reruns(project: Suite) -> None:
    """A test of a task that passes on its second attempt counts once, as passed."""
    project.write(
        test_it="""
        import pytest

        tries = []

        @pytest.mark.task("9")
        def test_a():
            tries.append(1)
            assert len(tries) == 2
        """
    )
    session = project.pytest("--reruns=1")
    assert session.about("9") == ["TASK_STARTED", "TASK_COMPLETED"]
    assert ending(session, "9")["metadata"]["counts"] == {"passed": 1}


def test_listed(project: Suite) -> None:
    """`pytest --markers` lists the marker."""
    assert "@pytest.mark.task(id)" in project.pytest("--markers").output


def test_a_failure_after_the_task_has_ended(project: Suite) -> None:
    """Where a protocol runs each test several times, a task that has ended well is started again by a failure."""
    project.write(
        conftest="""
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
                runtestprotocol(item, nextitem=nextitem)
                item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True
        """,
        test_it="""
        import pytest

        tries = []

        @pytest.mark.task("9")
        def test_a():
            tries.append(1)
            assert len(tries) < 2
        """,
    )
    session = project.pytest()
    assert session.exit_code == 1
    assert session.about("9")[-1] == "TASK_FAILED"


def test_a_test_that_a_plugin_replaces(project: Suite) -> None:
    """A test that a plugin removes is missed, though another one takes its place."""
    project.write(
        conftest="""
        import pytest

        def pytest_collection_modifyitems(items):
            old = items.pop()
            items.append(pytest.Function.from_parent(old.parent, name="test_new", callobj=lambda: None))
        """,
        test_it="""
        import pytest

        @pytest.mark.task("9")
        def test_a():
            pass

        @pytest.mark.task("9")
        def test_b():
            assert False
        """,
    )
    session = project.pytest()
    assert session.exit_code == 0
    assert ending(session, "9")["metadata"]["partial"] is True


USUAL = '-m "not network" --tb=short -p no:cov --ignore=ex/integration'
NARROWED = [
    # (addopts, testpaths, arguments of the user, whether the session is a part of the suite)
    (USUAL, "", "", False),
    (USUAL, "", "-k network", True),
    (USUAL, "", "-k short", True),
    (USUAL, "", "-k cov", True),
    (USUAL, "", "-m network", True),
    (USUAL, "", "--ignore=integration", True),
    (USUAL, "", "--ignore=ex/integration", False),
    ("-mslow", "", "", False),
    ("-m=slow", "", "", False),
    ("-k slow", "", "-k slow", False),
    ("tests/u", "", "", False),
    ("tests/u", "", "tests/test_a.py", False),
    ("tests/u", "", "tests/u", True),
    ("", "tests/u", "", False),
    ("", "tests/u/test_u.py", "", False),
    ("", "tests/*/test_*.py", "", False),
    ("", "tests/u/test_u.py", "tests/u/test_u.py", True),
    ("", "", "tests tests/u", False),
    ("", "", "tests/u", True),
    ("", "", "-k network", True),
]


@pytest.mark.parametrize(("addopts", "testpaths", "given", "narrowed"), NARROWED)
def test_what_narrows_a_session(project: Suite, addopts: str, testpaths: str, given: str, narrowed: bool) -> None:
    """What the suite's own settings choose is the whole suite; a user who chooses fewer tests narrows the session."""
    project.file(
        "pytest.ini", f"[pytest]\naddopts = {addopts}\ntestpaths = {testpaths}\nmarkers =\n  network: x\n  slow: x"
    )
    test = """
    import pytest

    @pytest.mark.network
    @pytest.mark.slow
    def test_{0}_network_short_cov_slow():
        pass

    def test_{0}():
        pass
    """
    for path in ("tests/test_a.py", "tests/u/test_u.py", "ex/integration/test_e.py"):
        project.file(path, test.format(path[-4]))
    session = project.pytest(*given.split())
    assert session.end["metadata"].get("partial", False) is narrowed
    assert "warning: " not in session.output


def test_steps(project: Suite) -> None:
    """A session that begins where the last one stopped is a part of the suite."""
    project.write(test_it="def test_a(): pass\n\ndef test_b(): assert False\n\ndef test_c(): pass")
    project.pytest("--stepwise")
    session = project.pytest("--stepwise", "--stepwise-skip")
    assert session.end["metadata"]["deselected"] == 1
    assert session.end["metadata"]["partial"] is True
