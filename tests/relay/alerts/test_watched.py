"""Alerts cost the watched process nothing: it imports none of their code, never waits for them, and prints nothing."""

from __future__ import annotations

from tests.relay.alerts.test_conditions import ALERTS
from tests.relay.alerts.world import World

SUITE = """
import sys

def test_a():
    assert not [name for name in sys.modules if name.startswith(("pytest_swarmtask.relay", "pytest_swarmtask.history"))]
    assert not {"sqlite3", "apprise", "httpx", "yaml"}.intersection(sys.modules)
"""


def test_ten_alerts(world: World) -> None:
    """With ten alerts, the first session compiles the configuration, and later sessions import no alert code."""
    world.watch(*ALERTS, {"name": "silence", "kind": "silence", "unfinished": 600}, metrics={"textfile": "swarm.prom"})
    (world.root / "test_it.py").write_text("def test_a(): pass\n")
    world.environ["COVERAGE_PROCESS_CONFIG"] = ""  # coverage itself needs SQLite
    world.pytest()
    (world.root / "test_it.py").write_text(SUITE)
    done = world.pytest()
    assert done.returncode == 0, done.stdout
    assert "swarmtask: 4 events" in done.stdout


def test_nothing_to_wait_for(world: World) -> None:
    """A hanging notifier delays only the relay, not the session."""
    world.receiver.answer = lambda _: -1
    world.watch({"name": "all", "kind": "failure", "events": ["TEST_*"]})
    (world.root / "test_it.py").write_text("def test_a(): pass\n")
    done = world.pytest("-o", "swarmtask_drain_timeout=50")
    assert done.returncode == 0
    assert "not delivered yet" not in done.stdout
    assert "warning" not in done.stdout
