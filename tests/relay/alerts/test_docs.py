"""The examples about alerts, notifiers and metrics in `docs/automation.md` are valid and work."""

from __future__ import annotations

import re

import pytest
import yaml

from pytest_swarmtask.config.monitoring import AnyAlert
from tests.lab import REPOSITORY, wait_until
from tests.relay.alerts.test_prometheus import event_count
from tests.relay.alerts.world import World

TEXT = (REPOSITORY / "docs" / "automation.md").read_text("utf-8").partition("\n## Alerts\n")[2]
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def configure(world: World, example: str) -> None:
    path = world.root / ".taskmaster" / "config" / "workflow.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(example)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_configurations_are_valid(world: World, example: str) -> None:
    configure(world, example)
    done = world.run("config", "validate")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_kind_is_shown() -> None:
    shown = {alert["kind"] for example in EXAMPLES for alert in yaml.safe_load(example)["monitoring"].get("alerts", [])}
    known = {str(kind.__struct_config__.tag) for kind in AnyAlert.__args__}
    assert known - shown == {"plugin"}, "that one is in docs/plugins.md"


def test_alerts_and_metrics_as_shown(world: World) -> None:
    """The documented configuration notifies the chat of a failed deployment, and writes the metrics."""
    chat, _, metrics = EXAMPLES
    secret = chat.replace("https://chat.example/hooks/${CHAT_TOKEN}", world.receiver.url)
    configure(world, secret + metrics.replace("monitoring:\n", ""))
    world.environ["TEXTFILES"] = str(world.root)
    world.emit("DEPLOYMENT_FAILED", "web", '{"error": "no space", "branch": "main"}')
    (message,) = world.told(1)
    assert message["text"].startswith("web failed: no space\ncompared: the first time")
    wait_until(lambda: event_count(world.root / "shop.prom", "DEPLOYMENT_FAILED", "failed"), "the figures")
