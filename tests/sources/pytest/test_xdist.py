"""The controller records a session with several workers once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.suite import ENDINGS, Session, Suite, words

SUITE = """
    import os
    import time

    import pytest

    @pytest.mark.parametrize("number", range(12))
    def test_many(number):
        time.sleep(0.01)  # so that both workers get some
"""
DYING = """
    import os

    def test_before():
        pass

    def test_dies():
        os._exit(3)

    def test_after():
        pass
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A session with twelve tests on two workers."""
    return Suite(tmp_path_factory.mktemp("xdist")).write(test_suite=SUITE).pytest("-n2")


def test_each_event_once(session: Session) -> None:
    """The session and each test start and end once, although the controller and the workers load the plugin."""
    assert Counter(session.types()) == {"TASK_STARTED": 1, "TEST_STARTED": 12, "TEST_PASSED": 12, "TASK_COMPLETED": 1}
    assert len(session.outcomes()) == 12


def test_one_writer_and_one_run(session: Session) -> None:
    """All events have the same trace id and are written by one process."""
    assert len({event["trace_id"] for event in session.events}) == 1
    assert len({event["id"].partition("-")[0] for event in session.events}) == 1


def test_worker_names(session: Session) -> None:
    """The end event of a test names the worker that ran it."""
    assert {event["metadata"]["worker"] for event in session.of("TEST_PASSED")} == {"gw0", "gw1"}


def test_spans_of_simultaneous_tests(session: Session) -> None:
    """Tests that run at the same time have their own spans, all of them children of the session's span."""
    tests = session.of("TEST_STARTED", *ENDINGS)
    assert {event["parent_span_id"] for event in tests} == {session.start["span_id"]}
    assert len({(event["span_id"], event["task_id"]) for event in tests}) == 12


def test_dead_worker(project: Suite) -> None:
    """If a worker dies, its test ends as crashed with the worker's name, and the other tests run on a new worker."""
    session = project.write(test_it=DYING).pytest("-n1")
    assert session.exit_code == 1
    assert session.outcomes() == {
        "test_it.py::test_before": "passed",
        "test_it.py::test_dies": "crashed",
        "test_it.py::test_after": "passed",
    }
    crashed = session.ending("test_dies")
    assert crashed["event_type"] == "TEST_FAILED"
    assert "worker 'gw0' crashed" in crashed["metadata"]["error"]
    assert (crashed["metadata"]["worker"], crashed["metadata"]["phase"]) == ("gw0", "call")
    assert session.ending("test_after")["metadata"]["worker"] == "gw1"
    assert len(session.of("TEST_STARTED")) == 3
    assert session.end["metadata"]["counts"] == {"crashed": 1, "passed": 2}


def test_all_workers_dead(project: Suite) -> None:
    """If no worker is left, every started test and the session still end."""
    session = project.write(test_it=DYING).pytest("-n1", "--max-worker-restart=0")
    assert session.exit_code != 0
    assert session.ending("test_dies")["metadata"]["outcome"] == "crashed"
    assert len(session.of("TEST_STARTED")) == len(session.outcomes())
    assert session.end["event_type"] == "TASK_FAILED"


def test_dist_each(project: Suite) -> None:
    """With --dist=each, a test starts and ends once on each worker, with its own span and outcome for each worker."""
    project.write(
        test_it="""
        import os
        import pathlib
        import time

        import pytest

        first = os.environ["PYTEST_XDIST_WORKER"] == "gw0"
        running = pathlib.Path("gw0-is-running")
        ahead = pathlib.Path("gw1-is-ahead")

        def wait_for(file):
            while not file.exists():
                time.sleep(0.01)

        @pytest.fixture
        def second_place():
            if not first:
                wait_for(running)

        def test_a(second_place):
            if first:
                running.touch()
                wait_for(ahead)
            assert first

        def test_b():
            if not first:
                ahead.touch()
        """
    )
    session = project.pytest("--dist=each", "--tx=2*popen")
    endings = [
        (event["task_id"], event["metadata"]["worker"], event["metadata"]["outcome"]) for event in session.of(*ENDINGS)
    ]
    assert sorted(endings) == [
        ("test_it.py::test_a", "gw0", "passed"),
        ("test_it.py::test_a", "gw1", "failed"),
        ("test_it.py::test_b", "gw0", "passed"),
        ("test_it.py::test_b", "gw1", "passed"),
    ]
    assert len({event["span_id"] for event in session.of("TEST_STARTED")}) == 4
    assert {e["span_id"] for e in session.of("TEST_STARTED")} == {e["span_id"] for e in session.of(*ENDINGS)}


@pytest.mark.slow
@pytest.mark.parametrize("dist", ["loadfile", "worksteal"])
def test_other_schedulers(project: Suite, dist: str) -> None:
    """With any scheduler of xdist, each test has one start and one end."""
    session = project.write(test_suite=SUITE).pytest("-n2", f"--dist={dist}")
    assert len(session.of("TEST_STARTED")) == len(session.outcomes()) == 12


def test_no_workers(project: Suite) -> None:
    """With -n0, xdist is loaded but inactive, and the tests name no worker."""
    session = project.write(test_it="def test_a(): pass").pytest("-n0")
    assert "worker" not in session.ending("test_a")["metadata"]


MARKED = """
    import os
    import pathlib
    import time

    import pytest

    has_ended = pathlib.Path("has-ended")

    def wait_for(file):
        for _ in range(2000):
            if file.exists():
                return
            time.sleep(0.01)
"""


def test_dist_each_with_a_task(project: Suite) -> None:
    """With --dist=each a task ends with the session, since the copy of a test on another worker may still fail."""
    project.write(
        conftest="""
        import pathlib

        def pytest_runtest_logfinish(nodeid):
            pathlib.Path("has-ended").touch()
        """,
        test_it=MARKED
        + """
    @pytest.mark.task("9")
    def test_a():
        if os.environ["PYTEST_XDIST_WORKER"] == "gw1":
            wait_for(has_ended)
            assert False
        """,
    )
    session = project.pytest("--dist=each", "--tx=2*popen")
    assert session.exit_code == 1
    assert session.about("9") == ["TASK_STARTED", "TASK_FAILED"]


@pytest.mark.parametrize("options", [(), ("--reruns=1",)], ids=words)
def test_task_of_a_test_that_ends_its_worker_at_once(project: Suite, options: tuple[str, ...]) -> None:
    """A task fails even if nothing was reported of its test before the worker died."""
    project.write(
        test_it="""
        import os

        import pytest

        @pytest.fixture
        def fatal():
            os._exit(1)

        @pytest.mark.task("9")
        def test_a(fatal):
            pass

        def test_b():
            pass
        """
    )
    session = project.pytest("-n1", *options)
    assert session.exit_code == 1
    assert session.about("9") == ["TASK_STARTED", "TASK_FAILED"]
    assert "1 of 1 tests failed" in session.of("TASK_FAILED")[0]["metadata"]["error"]
    assert session.end["metadata"]["counts"] == {"crashed": 1, "passed": 1}


def test_a_worker_that_dies_in_the_first_attempt(project: Suite) -> None:
    """A test that passes when it is repeated on a new worker is one test with two attempts."""
    project.write(
        test_it="""
        import os
        import pathlib

        def test_a(request):
            # The worker tells how often a test may be repeated, and waits for no answer. If it died before the
            # controller had read that, the crash would be final. This question is answered after it was read.
            request.config.failures_db.get_test_failures(request.node.nodeid)
            tried = pathlib.Path("tried")
            if not tried.exists():
                tried.touch()
                os._exit(1)

        def test_b():
            pass
        """
    )
    session = project.pytest("-n2", "--reruns=1")
    assert session.exit_code == 0
    assert session.end["metadata"]["counts"] == {"passed": 2}
    assert session.ending("test_a")["metadata"]["attempt"] == 2


def test_workers_that_are_not_replaced(project: Suite) -> None:
    """If tests never ran because no worker was left for them, the session is a part of the suite."""
    project.write(
        test_it="import os\n\ndef test_0(): os._exit(1)\n" + "".join(f"\ndef test_{n}(): pass\n" for n in range(1, 6))
    )
    session = project.pytest("-n1", "--max-worker-restart=0")
    assert session.end["metadata"]["tests"] < 6
    assert session.end["metadata"]["partial"] is True


def test_tests_of_one_name(project: Suite) -> None:
    """Tests that a plugin gives one node id are several tests, also if two workers run them at the same time."""
    project.file("cases.yaml", "ok\nbad\nok\nok\n")
    project.write(
        conftest="""
        import time

        import pytest

        class Case(pytest.Item):
            def runtest(self):
                time.sleep(0.2)
                assert self.line == "ok"

        class File(pytest.File):
            def collect(self):
                for line in self.path.read_text().splitlines():
                    case = Case.from_parent(self, name="case")
                    case.line = line
                    yield case

        def pytest_collect_file(parent, file_path):
            return File.from_parent(parent, path=file_path) if file_path.suffix == ".yaml" else None
        """
    )
    session = project.pytest("-n2")
    assert session.end["metadata"]["counts"] == {"failed": 1, "passed": 3}
