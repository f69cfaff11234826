"""Prometheus can read the metrics file. Its numbers grow across relays, and it is never half written."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pytest_swarmtask.core.timing import VARIABLE
from tests.lab import GITHUB_JOB, QUICK, Json, wait_until
from tests.relay.alerts.world import BROKEN, World

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]
SUITE = """
import pytest

def test_a(): pass
def test_b(): assert 0
@pytest.mark.skip
def test_c(): pass
"""


def figures(path: Path) -> Figures:
    families = list(text_string_to_metric_families(path.read_text()))
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def at(found: Figures, name: str, **labels: str) -> float | None:
    return found.get((f"swarmtask_{name}", frozenset(labels.items())))


def event_count(path: Path, event_type: str, outcome: str) -> float | None:
    return at(figures(path), "events_total", type=event_type, outcome=outcome) if path.exists() else None


@pytest.mark.long
def test_figures(world: World) -> None:
    """The file contains counts, durations, deliveries and active alerts, and the collector's user can read it."""
    world.watch({**BROKEN, "when": {"task_id": "*test_b"}}, metrics={"textfile": "swarm.prom"})
    path = world.root / "swarm.prom"
    (world.root / "test_it.py").write_text(SUITE)
    world.pytest()
    world.told(1)
    wait_until(lambda: event_count(path, "TASK_FAILED", "failed"), "the figures")
    found = figures(path)
    counts = {
        outcome: event_count(path, f"TEST_{outcome.upper()}", outcome) for outcome in ("passed", "failed", "skipped")
    }
    assert counts == {"passed": 1, "failed": 1, "skipped": 1}
    assert at(found, "events_total", type="TEST_STARTED", outcome="started") == 3
    assert at(found, "span_duration_seconds_count", kind="test") == 3
    assert at(found, "span_duration_seconds_count", kind="task") == 1
    assert at(found, "run_duration_seconds_count") == 1
    seconds = at(found, "run_duration_seconds_sum")
    assert seconds is not None
    assert 0 < seconds < 60
    assert at(found, "alerts_firing", alert="broken", severity="warning") == 1
    for name in ("waiting", "lag_seconds", "dead_letters"):
        assert at(found, f"delivery_{name}", endpoint="monitoring:alerts") is not None
    assert path.stat().st_mode & 0o777 == 0o644
    assert [one.name for one in world.root.glob("swarm.prom*")] == ["swarm.prom"]
    world.rest()
    world.pytest()
    wait_until(lambda: event_count(path, "TASK_FAILED", "failed") == 2, "the figures of both")


def test_figures_alone(world: World) -> None:
    """Metrics are written without any alert, also to a path that contains a variable."""
    hook: Json = {"name": "board", "url": "http://127.0.0.1:9/", "events": ["TASK_*"]}
    world.watch(webhooks=(hook,), metrics={"textfile": "${OUT}/swarm.prom"})
    world.environ["OUT"] = str(world.root)
    path = world.root / "swarm.prom"
    world.record(2)
    wait_until(lambda: event_count(path, "TASK_STARTED", "started") == 2, "the figures")
    wait_until(lambda: at(figures(path), "delivery_waiting", endpoint="board") == 2, "what waits")
    lag = at(figures(path), "delivery_lag_seconds", endpoint="board")
    assert lag is not None
    assert lag >= 0


def test_a_file_that_cannot_be_written(world: World) -> None:
    """If the metrics file cannot be written, a relay logs it once, however many events there are; alerts are sent."""
    world.environ[VARIABLE] = QUICK.replace("linger=0.3", "linger=600")  # so that one relay serves both events
    world.watch(BROKEN, metrics={"textfile": "no/such/folder/swarm.prom"})
    world.fail("one")
    (relay,) = world.relays()
    world.wait_for_log("swarm.prom cannot be written: No such file or directory")
    # The file is written after each batch of events, so it was tried again before the last of these is told.
    for count, name in enumerate(("two", "three", "four"), 2):
        world.fail(name)
        world.told(count)
    world.handled()
    assert world.relays() == [relay]
    assert world.log().count("cannot be written") == 1


def test_runs_on_github(world: World) -> None:
    """There the outermost spans of a job have GitHub's own root span as their parent, and still count as runs."""
    world.watch(BROKEN, metrics={"textfile": "swarm.prom"})
    path = world.root / "swarm.prom"
    (world.root / "test_it.py").write_text(SUITE)
    world.environ |= GITHUB_JOB
    world.pytest()
    wait_until(lambda: event_count(path, "TASK_FAILED", "failed"), "the figures")
    ends = [event for event in world.events() if event["metadata"].get("action") == "session"]
    assert all(event["parent_span_id"] for event in ends)
    found = figures(path)
    assert at(found, "span_duration_seconds_count", kind="test") == 3
    assert at(found, "run_duration_seconds_count") == 1
