"""The Python snippets of the workflow document work unchanged."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.lab import Lab

THEIR_MODULE = "swarm_director.utils.automation"

SETUP = """
# Task event triggered at start
trigger_task_event(AutomationEventType.TASK_STARTED, task_id="dev_setup", 
                  metadata={"workflow": "development_environment_setup"})

# Build events during dependency installation
trigger_task_event(AutomationEventType.BUILD_STARTED, 
                  metadata={"action": "installing_dependencies"})
"""  # noqa: W291 - as they stand

TESTING = """
# Main test suite tracking
trigger_task_event(AutomationEventType.TASK_STARTED, task_id="test_suite", 
                  metadata={"test_runner": "main", "args": vars(args)})

# Individual pytest run tracking
trigger_task_event(AutomationEventType.TASK_STARTED, task_id="pytest_run", 
                  metadata={"test_type": "pytest", "coverage": coverage})
"""  # noqa: W291

WEBHOOK = """
integrator = AutomationIntegrator()
integrator.register_webhook("https://taskmanager.example.com/webhook")
"""

HANDLER = """
async def custom_handler(event_type, task_id, metadata):
    # Custom processing logic
    await process_event(event_type, task_id, metadata)

integrator.register_handler(AutomationEventType.TASK_COMPLETED, custom_handler)
"""

IMPORT = """
try:
    from swarm_director.utils.automation import AutomationIntegrator, AutomationEventType
    TASK_INTEGRATION_AVAILABLE = True
except ImportError:
    TASK_INTEGRATION_AVAILABLE = False
"""

TRIGGER = """
def trigger_task_event(event_type, task_id=None, status=None, metadata=None):
    if not TASK_INTEGRATION_AVAILABLE:
        return
    try:
        integrator = AutomationIntegrator()
        integrator.trigger_event(event_type, task_id=task_id, status=status, metadata=metadata)
    except Exception as e:
        print(f"⚠️  Task event trigger failed: {e}")
"""

CALLS = """
# At function start
trigger_task_event(AutomationEventType.TASK_STARTED, task_id="unique_id")

# On success
trigger_task_event(AutomationEventType.TASK_COMPLETED, task_id="unique_id")

# On failure
trigger_task_event(AutomationEventType.TASK_FAILED, task_id="unique_id")
"""

OURS = "from swarm_director.utils.automation import AutomationEventType, AutomationIntegrator, trigger_task_event\n"


def execute(lab: Lab, *parts: str) -> list[dict[str, Any]]:
    """Run the parts as one script, without a webhook in the environment, and return the events."""
    program = "\n".join(parts).replace(THEIR_MODULE, "pytest_swarmtask")
    done = lab.python(program, TASKMASTER_WEBHOOK_URL="", PYTHONWARNINGS="error")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return lab.events()


def test_setup(lab: Lab) -> None:
    """The calls of the setup script record their events."""
    task, build = execute(lab, OURS, SETUP)
    assert (task["event_type"], task["task_id"]) == ("TASK_STARTED", "dev_setup")
    assert task["metadata"]["workflow"] == "development_environment_setup"
    assert (build["event_type"], build["task_id"]) == ("BUILD_STARTED", None)
    assert build["metadata"]["action"] == "installing_dependencies"


def test_testing(lab: Lab) -> None:
    """The calls of the test script record its arguments and whether coverage is on."""
    around = "import argparse\nargs = argparse.Namespace(verbose=True, test=None, filter={'a', 'b'})\ncoverage = True\n"
    suite, run = execute(lab, OURS, around, TESTING)
    assert suite["metadata"]["args"]["verbose"] is True
    assert sorted(suite["metadata"]["args"]["filter"]) == ["a", "b"]
    assert (run["task_id"], run["metadata"]["coverage"]) == ("pytest_run", True)


def test_integration_hooks(lab: Lab) -> None:
    """Later events must be delivered to a registered webhook, and a registered coroutine gets events of its type."""
    around = "handled = []\nasync def process_event(*event):\n    handled.append(event)\n"
    use = (
        "integrator._pipeline.recorder._deliveries.needs_relay = False  # nothing is to leave this machine\n"
        "integrator.trigger_event(AutomationEventType.TASK_COMPLETED, 'a', metadata={'x': 1})\n"
        "integrator.trigger_event(AutomationEventType.TASK_FAILED, 'b')\n"
        "assert integrator._pipeline.handlers.wait(20)\n"
        "((event_type, task_id, metadata),) = handled\n"
        "assert (event_type, task_id, metadata['x']) == ('TASK_COMPLETED', 'a', 1)\n"
    )
    assert len(execute(lab, OURS, WEBHOOK, around, HANDLER, use)) == 2
    assert set(lab.status(TASKMASTER_WEBHOOK_URL="")["endpoints"]) == {"taskmanager.example.com/webhook"}


def test_migration(lab: Lab) -> None:
    """The import with its fallback, the function and the calls of the migration guide record their events."""
    events = execute(lab, IMPORT, TRIGGER, CALLS, "assert TASK_INTEGRATION_AVAILABLE")
    assert [event["event_type"] for event in events] == ["TASK_STARTED", "TASK_COMPLETED", "TASK_FAILED"]
    assert {event["task_id"] for event in events} == {"unique_id"}


def test_migration_without_us(lab: Lab) -> None:
    """If the package is not installed, the fallback of the guide records nothing and does not fail."""
    without = "import sys\nsys.modules['pytest_swarmtask'] = None\n"
    types = "class AutomationEventType: TASK_STARTED = TASK_COMPLETED = TASK_FAILED = None\n"
    program = without + IMPORT + TRIGGER + types + CALLS
    done = lab.python(program.replace(THEIR_MODULE, "pytest_swarmtask"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert lab.events() == []


@pytest.mark.parametrize("how", ["-c", "-W error -c"])
def test_debug_command(lab: Lab, how: str) -> None:
    """The command that checks for the integration works."""
    program = "from swarm_director.utils.automation import AutomationIntegrator; print('Integration available')"
    command = [sys.executable, *how.split(), program.replace(THEIR_MODULE, "pytest_swarmtask")]
    done = subprocess.run(command, cwd=lab.root, env=lab.environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Integration available\n", "")
