"""Users call the integrator in a conftest and in tests."""

from __future__ import annotations

import json
import os

import pytest

from tests.suite import WITH_WORKER, Suite, words

XDIST = pytest.mark.parametrize("xdist", [(), WITH_WORKER], ids=words)
HANDLERS = """
    import json

    from pytest_swarmtask import AutomationEventType, AutomationIntegrator

    seen = []

    def remember(event_type, task_id, metadata):
        seen.append([event_type, task_id, metadata.get("outcome")])

    async def remember_async(event_type, task_id, metadata):
        seen.append(["async", event_type, task_id])

    def broken(event_type, task_id, metadata):
        raise RuntimeError("the handler broke")

    integrator = AutomationIntegrator()
    for kind in ("TEST_STARTED", "TEST_PASSED", AutomationEventType.TEST_FAILED, "TASK_COMPLETED", "TASK_FAILED"):
        integrator.register_handler(kind, remember)
        integrator.register_handler(kind, broken)
    integrator.register_handler("TEST_FAILED", remember_async)

    def pytest_unconfigure(config):
        if not hasattr(config, "workerinput"):
            integrator.flush(10)
            with open("seen.json", "w") as file:
                json.dump(seen, file)
"""


@XDIST
def test_handlers_of_a_conftest(project: Suite, xdist: tuple[str, ...]) -> None:
    """Handlers of a conftest get the session's events in order, and a handler that raises an error has no effect."""
    project.write(conftest=HANDLERS, test_it="def test_a(): pass\ndef test_b(): assert 0")
    session = project.pytest(*xdist)
    assert session.exit_code == 1
    seen = json.loads((project.root / "seen.json").read_text("utf-8"))
    assert [call for call in seen if call[0] != "async"] == [
        ["TEST_STARTED", "test_it.py::test_a", None],
        ["TEST_PASSED", "test_it.py::test_a", "passed"],
        ["TEST_STARTED", "test_it.py::test_b", None],
        ["TEST_FAILED", "test_it.py::test_b", "failed"],
        ["TASK_FAILED", "pytest_run", None],
    ]
    assert ["async", "TEST_FAILED", "test_it.py::test_b"] in seen


TRIGGERING = """
    from pytest_swarmtask import trigger_task_event

    def test_a():
        trigger_task_event("BUILD_STARTED", "wheel")
        trigger_task_event("BUILD_COMPLETED", "wheel", metadata={"size": 12})

    def test_b(tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert trigger_task_event("DEPLOYMENT_STARTED", "staging")

    def test_c():
        assert trigger_task_event("NO_SUCH_TYPE") is None
"""


def test_events_of_a_test(project: Suite) -> None:
    """An event that a test triggers belongs to the same run, and its parent is the span of the test."""
    session = project.write(test_it=TRIGGERING).pytest()
    assert session.exit_code == 0, session.output
    spans = {event["task_id"]: event["span_id"] for event in session.of("TEST_STARTED")}
    started, completed = session.of("BUILD_STARTED", "BUILD_COMPLETED")
    assert started["parent_span_id"] == completed["parent_span_id"] == spans["test_it.py::test_a"]
    assert started["span_id"] == completed["span_id"]
    assert completed["metadata"]["size"] == 12
    (deployment,) = session.of("DEPLOYMENT_STARTED")
    assert deployment["parent_span_id"] == spans["test_it.py::test_b"]
    assert {event["trace_id"] for event in session.events} == {session.start["trace_id"]}
    assert f"swarmtask: {len(session.events)} events" in session.output


def test_events_of_a_test_under_xdist(project: Suite) -> None:
    """An event that a test triggers in an xdist worker belongs to the run of the session."""
    session = project.write(test_it=TRIGGERING).pytest("-n1")
    assert session.exit_code == 0, session.output
    assert len(session.of("BUILD_STARTED", "BUILD_COMPLETED", "DEPLOYMENT_STARTED")) == 3
    assert {event["trace_id"] for event in session.events} == {session.start["trace_id"]}
    assert len({event["id"] for event in session.events}) == len(session.events)


def test_events_after_the_session(project: Suite) -> None:
    """An event that a conftest triggers after the session belongs to the same run, but not to the session's span."""
    hook = """
        from pytest_swarmtask import trigger_task_event

        def pytest_unconfigure():
            trigger_task_event("DEPLOYMENT_COMPLETED", "staging")
    """
    session = project.write(conftest=hook, test_it="def test_a(): pass").pytest()
    assert session.events[-1]["event_type"] == "DEPLOYMENT_COMPLETED"
    assert session.events[-1]["trace_id"] == session.start["trace_id"]
    assert session.events[-1]["parent_span_id"] is None


@XDIST
def test_run_around_the_session(project: Suite, xdist: tuple[str, ...]) -> None:
    """A session with `TRACEPARENT` belongs to the surrounding run."""
    trace_id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    session = project.write(test_it="def test_a(): pass").pytest(*xdist, TRACEPARENT=f"00-{trace_id}-{parent}-01")
    assert {event["trace_id"] for event in session.events} == {trace_id}
    assert session.start["parent_span_id"] == session.end["parent_span_id"] == parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_events_of_a_forked_child(project: Suite) -> None:
    """An event that a forked child triggers belongs to the same run, and is written to the child's own segment."""
    project.write(
        test_it="""
        import os

        from pytest_swarmtask import trigger_task_event

        def test_a():
            pid = os.fork()
            if not pid:
                trigger_task_event("TASK_STARTED", "in the child")
                os._exit(0)
            os.waitpid(pid, 0)
        """
    )
    session = project.pytest("-pno:warnings")
    (event,) = [event for event in session.events if event["task_id"] == "in the child"]
    assert event["trace_id"] == session.start["trace_id"]
    assert event["parent_span_id"] == session.of("TEST_STARTED")[0]["span_id"]
    assert len({event["id"] for event in session.events}) == len(session.events) == 5
