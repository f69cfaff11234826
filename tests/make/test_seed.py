"""Existing Makefiles that call `task-event` work unchanged after the include, and report the right events."""

from __future__ import annotations

import re
import sys

import pytest

from tests.lab import REPOSITORY
from tests.make.lab import MakeProject, ended

EXAMPLE = """
test:
	@$(call task-event,TASK_STARTED,make_test,'{"action":"test","type":"all"}')
	@python scripts/run_tests.py && \\
		$(call task-event,TASK_COMPLETED,make_test,'{"success":true}') || \\
		($(call task-event,TASK_FAILED,make_test,'{"success":false}') && exit 1)
"""

HELPER = """
TASK_INTEGRATION_SCRIPT := python -c "import sys; sys.path.insert(0, 'src'); \\
    try: \\
        from swarm_director.utils.automation import AutomationIntegrator, AutomationEventType; \\
        integrator = AutomationIntegrator(); \\
        integrator.trigger_event(AutomationEventType.$(EVENT_TYPE), task_id='$(TASK_ID)', metadata=$(METADATA)); \\
    except: pass;"

define task-event
    @EVENT_TYPE=$(1) TASK_ID=$(2) METADATA=$(3) $(TASK_INTEGRATION_SCRIPT)
endef
"""

TARGET = """
target:
	@$(call task-event,TASK_STARTED,target_name,'{"action":"target"}')
	@command && \\
		$(call task-event,TASK_COMPLETED,target_name,'{"success":true}') || \\
		($(call task-event,TASK_FAILED,target_name,'{"success":false}') && exit 1)
"""

MIGRATION = (REPOSITORY / "docs" / "migration.md").read_text("utf-8").partition("\n## Makefiles\n")[2]
BLOCKS = re.findall(r"^```make\n(.*?)^```$", MIGRATION, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("status", "code", "verb"), [(0, 0, "COMPLETED"), (3, 2, "FAILED")])
def test_the_example(project: MakeProject, status: int, code: int, verb: str) -> None:
    """The hand-written chain reports start and end of one span, and keeps the exit code and the output."""
    project.write(f"python = {sys.executable}\ninclude tasks.mk\n{EXAMPLE}")
    project.write(f"print('the tests run'); raise SystemExit({status})", "scripts/run_tests.py")
    project.write(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "bin/python")
    (project.root / "bin/python").chmod(0o755)
    done = project.make(PATH=f"{project.root}/bin:{project.environ()['PATH']}")
    assert (done.returncode, done.stdout) == (code, "the tests run\n")
    assert project.told() == ended("make_test", "TASK", verb)
    assert project.end("make_test").items() >= {"success": not status, "event_type": f"TASK_{verb}"}.items()


@pytest.mark.parametrize("above", ["", HELPER], ids=["without the old helper", "with it above the include"])
@pytest.mark.parametrize(("command", "verb"), [("command", "COMPLETED"), ("false", "FAILED")])
def test_a_target(project: MakeProject, above: str, command: str, verb: str) -> None:
    """A target works unchanged, both without the old helper and with it above the include."""
    project.write(f"{above}include tasks.mk\n{TARGET.replace('@command', f'@{command}')}")
    assert project.make("target").returncode == (0 if verb == "COMPLETED" else 2)
    assert project.told() == ended("target_name", "TASK", verb)


def test_the_document_shows_these() -> None:
    """docs/migration.md shows the old helper, the include, the old target, and a shorter target."""
    helper, include, target, _ = BLOCKS
    assert helper.split("define")[1] in HELPER
    assert include == "include make/tasks.mk\n"
    assert target == TARGET.lstrip()


@pytest.mark.parametrize("target", BLOCKS[2:], ids=["as it was", "shorter"])
def test_what_the_document_recommends(project: MakeProject, target: str) -> None:
    """The old and the shorter target report the same events."""
    project.write(f"include tasks.mk\n{target}")
    done = project.make("target")
    assert (done.returncode, done.stderr) == (0, "")
    assert project.told() == ended("target_name")
