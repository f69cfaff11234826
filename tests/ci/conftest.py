"""The fixtures of the CI tests: a machine that runs jobs, and a small project."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.ci.runner import Machine
from tests.lab import once

MAKEFILE = """\
include make/tasks.mk

define reported
	@$(call task-event,$(1)_STARTED,$(2),'{"action":"$(2)"}')
	@$(3) && \\
		$(call task-event,$(1)_COMPLETED,$(2),'{"success":true}') || \\
		($(call task-event,$(1)_FAILED,$(2),'{"success":false}') && exit 1)
endef

setup:
	$(call reported,TASK,dev_setup,python -m pip install --requirement requirements.txt)

test:
	$(call reported,TASK,make_test,python -m pytest)

build:
	$(call reported,BUILD,make_build,mkdir -p dist && python -m zipapp tiny -o dist/tiny.pyz)

deploy:
	$(call reported,DEPLOYMENT,$(WORKFLOW_ENVIRONMENT),test "$$(python dist/tiny.pyz)" = "hello from tiny")
"""


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine on which each job installs our wheel."""
    return once(tmp_path_factory, "machine", Machine)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine on which our wheel is installed, for tests of anything but the installation."""
    return once(tmp_path_factory, "prepared", partial(Machine, prepared=True))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A project with a package, tests and its own Makefile."""
    root = tmp_path / "tiny"
    (root / "tiny").mkdir(parents=True)
    (root / "tiny" / "__main__.py").write_text('print("hello from tiny")\n')
    (root / "requirements.txt").write_text("pytest\npytest-swarmtask\n")
    (root / "test_tiny.py").write_text("def test_one(): pass\n\n\ndef test_two(): pass\n")
    (root / "Makefile").write_text(MAKEFILE)
    return root
