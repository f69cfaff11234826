"""Where a session belongs: its project and its variant."""

from __future__ import annotations

import os

from pytest_swarmtask.core.facts.variant import default_variant, named_variant
from pytest_swarmtask.core.project import is_under_ci
from pytest_swarmtask.core.search import find_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    import pytest

    from pytest_swarmtask.core.project import Project


def project_of(config: pytest.Config) -> Project:
    """Return the project of a session. Each has its own: one process may run several, and a test one inside of it."""
    rootpath = str(config.rootpath)
    start = str(config.invocation_params.dir)  # a conftest may have changed or removed the working directory
    return find_project(start, os.environ, rootpath, stop=rootpath if config.inipath else None)


def variant_of(config: pytest.Config, configured: str) -> str:
    """Return the variant: of the command line, of the environment, of the configuration, or the default one.

    It is one line, since it stands beside the name of a test.
    """
    option: Any = config.option
    named = option.swarmtask_variant or named_variant(os.environ) or configured
    return " ".join((named or default_variant(os.environ, under_ci=is_under_ci(os.environ))).split())
