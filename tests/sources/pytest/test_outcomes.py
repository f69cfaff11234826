"""The events of a suite in which tests end in every possible way, without xdist and under xdist."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.suite import ENDINGS, Session, Suite

SUITE = """
    import unittest

    import pytest

    @pytest.fixture
    def broken_setup():
        raise RuntimeError("setup broke")

    @pytest.fixture
    def broken_teardown():
        yield
        raise RuntimeError("teardown broke")

    @pytest.fixture
    def skipping_setup():
        pytest.skip("skipped by its fixture")

    @pytest.fixture
    def skipping_teardown():
        yield
        pytest.skip("skipped by its teardown")

    def test_passes():
        pass

    @pytest.mark.parametrize("number", [1, 2])
    def test_parametrized(number):
        pass

    def test_fails():
        assert 1 == 2, "call broke"

    def test_setup(broken_setup):
        pass

    def test_teardown(broken_teardown):
        pass

    def test_call_and_teardown(broken_teardown):
        raise ValueError("call broke")

    def test_setup_and_teardown(broken_teardown, broken_setup):
        pass

    def test_skipped_then_teardown(broken_teardown):
        pytest.skip("not now")

    def test_failed_then_skip(skipping_teardown):
        raise ValueError("call broke")

    @pytest.mark.skip(reason="marked")
    def test_skip_mark():
        pass

    @pytest.mark.skipif(True, reason="on this system")
    def test_skip_if():
        pass

    def test_skip_call():
        pytest.skip("called")

    def test_skip_fixture(skipping_setup):
        pass

    def test_skip_teardown(skipping_teardown):
        pass

    @pytest.mark.xfail(reason="known bug")
    def test_xfail():
        raise ValueError("call broke")

    @pytest.mark.xfail
    def test_xfail_empty():
        raise ValueError("call broke")

    def test_xfail_call():
        pytest.xfail("called")

    @pytest.mark.xfail(run=False, reason="crashes")
    def test_xfail_not_run():
        pass

    @pytest.mark.xfail(reason="known bug")
    def test_xfail_setup(broken_setup):
        pass

    @pytest.mark.xfail(raises=KeyError, reason="known bug")
    def test_xfail_other():
        raise ValueError("call broke")

    @pytest.mark.xfail(reason="was a bug")
    def test_xpass():
        pass

    @pytest.mark.xfail
    def test_xpass_empty():
        pass

    @pytest.mark.xfail(reason="was a bug", strict=True)
    def test_xpass_strict():
        pass

    class TestUnit(unittest.TestCase):
        def test_passes(self):
            pass

        def test_fails(self):
            self.fail("unit broke")

        def test_subtest(self):
            for number in range(3):
                with self.subTest(number=number):
                    self.assertNotEqual(number, 1)

        @unittest.skip("marked")
        def test_skip_mark(self):
            pass

        def test_skip_call(self):
            self.skipTest("called")

        @unittest.expectedFailure
        def test_expected(self):
            self.fail("unit broke")

        @unittest.expectedFailure
        def test_unexpected(self):
            pass

    @unittest.skip("the whole class")
    class TestSkipped(unittest.TestCase):
        def test_in_skipped_class(self):
            pass

    class TestClassSetup(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            raise ValueError("class setup broke")

        def test_in_broken_class(self):
            pass
"""
SKIPPED_MODULE = """
    import pytest

    pytest.importorskip("no_such_module")

    def test_never():
        pass
"""

EXPECTED = {
    # the name of the test, its outcome, its phase, and a part of its error
    "test_passes": ("passed", "call", None),
    "test_parametrized[1]": ("passed", "call", None),
    "test_parametrized[2]": ("passed", "call", None),
    "test_fails": ("failed", "call", "AssertionError: call broke"),
    "test_setup": ("error", "setup", "RuntimeError: setup broke"),
    "test_teardown": ("error", "teardown", "RuntimeError: teardown broke"),
    "test_call_and_teardown": ("failed", "call", "ValueError: call broke"),
    "test_setup_and_teardown": ("error", "setup", "RuntimeError: setup broke"),
    "test_skipped_then_teardown": ("error", "teardown", "RuntimeError: teardown broke"),
    "test_failed_then_skip": ("failed", "call", "ValueError: call broke"),
    "test_skip_mark": ("skipped", "setup", "marked"),
    "test_skip_if": ("skipped", "setup", "on this system"),
    "test_skip_call": ("skipped", "call", "called"),
    "test_skip_fixture": ("skipped", "setup", "skipped by its fixture"),
    "test_skip_teardown": ("skipped", "teardown", "skipped by its teardown"),
    "test_skipped_module.py": ("skipped", "collect", "could not import 'no_such_module'"),
    "test_xfail": ("xfailed", "call", "known bug"),
    "test_xfail_empty": ("xfailed", "call", None),
    "test_xfail_call": ("xfailed", "call", "called"),
    "test_xfail_not_run": ("xfailed", "setup", "[NOTRUN] crashes"),
    "test_xfail_setup": ("xfailed", "setup", "known bug"),
    "test_xfail_other": ("failed", "call", "ValueError: call broke"),
    "test_xpass": ("xpassed", "call", "was a bug"),
    "test_xpass_empty": ("xpassed", "call", None),
    "test_xpass_strict": ("failed", "call", "[XPASS(strict)] was a bug"),
    "TestUnit::test_passes": ("passed", "call", None),
    "TestUnit::test_fails": ("failed", "call", "AssertionError: unit broke"),
    "TestUnit::test_subtest": ("failed", "call", "AssertionError: 1 == 1"),
    "TestUnit::test_skip_mark": ("skipped", None, "marked"),  # pytest 9 reports this in call, earlier versions in setup
    "TestUnit::test_skip_call": ("skipped", "call", "called"),
    "TestUnit::test_expected": ("xfailed", "call", None),
    "TestUnit::test_unexpected": ("failed", "call", "Unexpected success"),
    "TestSkipped::test_in_skipped_class": ("skipped", None, "the whole class"),
    "TestClassSetup::test_in_broken_class": ("error", "setup", "ValueError: class setup broke"),
}
EVENT = {
    "passed": "TEST_PASSED",
    "xpassed": "TEST_PASSED",
    "skipped": "TEST_SKIPPED",
    "xfailed": "TEST_SKIPPED",
    "failed": "TEST_FAILED",
    "error": "TEST_FAILED",
}


@pytest.fixture(scope="module", params=["plain", "xdist"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The session of the suite, without xdist or with two workers."""
    project = Suite(tmp_path_factory.mktemp("outcomes"))
    project.write(test_suite=SUITE, test_skipped_module=SKIPPED_MODULE)
    return project.pytest(*(["-n2"] if request.param == "xdist" else []))


@pytest.mark.parametrize("name", EXPECTED)
def test_each_way_to_end(session: Session, name: str) -> None:
    """Each way to end gives one event with the right type, outcome, phase and error."""
    outcome, phase, error = EXPECTED[name]
    event = session.ending(name if name.endswith(".py") else f"test_suite.py::{name}")
    metadata = event["metadata"]
    assert event["event_type"] == EVENT[outcome]
    assert metadata["outcome"] == outcome
    assert phase in (None, metadata["phase"])
    assert (error is None) == ("error" not in metadata)
    assert error is None or metadata["error"].startswith(error) or error in metadata["error"]
    assert metadata["test_passed"] is (event["event_type"] == "TEST_PASSED")
    assert metadata.get("success", False) is metadata["test_passed"]


def test_nothing_else_has_ended(session: Session) -> None:
    """Each test that ran and each skipped module has an end event, and nothing else has one."""
    assert len(session.outcomes()) == len(EXPECTED)


def test_one_ending_for_each_start(session: Session) -> None:
    """Each started test ends exactly once, after its start and in the same span, below the session's span."""
    starts = {event["span_id"]: event for event in session.of("TEST_STARTED")}
    ends = {event["span_id"]: event for event in session.of(*ENDINGS) if event["metadata"]["phase"] != "collect"}
    assert starts.keys() == ends.keys()
    for span_id, start in starts.items():
        assert start["task_id"] == ends[span_id]["task_id"]
        assert session.events.index(start) < session.events.index(ends[span_id])
        assert start["parent_span_id"] == ends[span_id]["parent_span_id"] == session.start["span_id"]


def test_counts_equal_junit(session: Session) -> None:
    """The outcomes and the counts equal those of pytest's own JUnit XML.
    A test that fails and then has an error in its teardown counts as two cases in JUnit.
    """
    word = {"failed": "failure", "xpassed": "passed", "xfailed": "skipped"}
    outcomes = session.outcomes()
    ours = Counter((_case(node_id), word.get(outcome, outcome)) for node_id, outcome in outcomes.items())
    ours["test_suite::test_call_and_teardown", "error"] += 1
    assert ours == Counter(session.cases)
    assert session.end["metadata"]["counts"] == Counter(outcomes.values())
    assert session.end["metadata"]["tests"] == len(outcomes)
    assert session.end["metadata"]["teardown_errors"] == 1


def _case(node_id: str) -> str:
    if node_id == "test_skipped_module.py":
        return "::test_skipped_module"
    return node_id.replace("test_suite.py::", "test_suite::").replace("::Test", ".Test")


def test_teardown_after_failure(session: Session) -> None:
    """A test that fails and then has an error in its teardown records both errors."""
    for name in ("test_call_and_teardown", "test_setup_and_teardown"):
        assert session.ending(f"::{name}")["metadata"]["teardown_error"] == "RuntimeError: teardown broke"


def test_facts_of_the_session(session: Session) -> None:
    """The start and the end event of the session have their metadata, and share a span and a run."""
    assert session.events[0] == session.start
    assert session.events[-1] == session.end
    assert session.start["task_id"] == session.end["task_id"] == "pytest_run"
    assert session.start["span_id"] == session.end["span_id"]
    assert {event["trace_id"] for event in session.events} == {session.start["trace_id"]}
    assert session.start["metadata"].keys() >= {"python", "pytest", "host", "platform", "arguments", "pid"}
    end = session.end["metadata"]
    assert end["exit_code"] == session.exit_code == 1
    assert end["reason"] == end["error"] == "tests failed"
    assert end["duration"] >= 0
    assert end["cpu_seconds"] > 0
    assert end["peak_memory"] > 0
    assert len(end["slowest"]) == 10
    durations = [entry["duration"] for entry in end["slowest"]]
    assert durations == sorted(durations, reverse=True)


def test_place_of_a_failure(session: Session) -> None:
    """A failure records its file and line in the form that editors open, relative to the project."""
    path, _, line = session.ending("py::test_fails")["metadata"]["location"].rpartition(":")
    assert path == "test_suite.py"
    assert line.isdigit()


def test_ids_are_unique(session: Session) -> None:
    """All event ids are unique, and none contains a dot."""
    ids = [event["id"] for event in session.events]
    assert len(set(ids)) == len(ids)
    assert not any("." in event_id for event_id in ids)
