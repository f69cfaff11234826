"""Where a session belongs: its project and its variant.

The variant is under what its tests run. The same test under another variant is another result.
"""

from __future__ import annotations

import os
import sys

from pytest_swarmtask.core.project import is_under_ci
from pytest_swarmtask.core.search import find_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pytest

    from pytest_swarmtask.core.project import Project

VARIABLE = "SWARMTASK_VARIANT"
"""The variable by which users, and the workflows that `swarmtask init` writes, name the variant."""
_TOX, _NOX = "TOX_ENV_NAME", "NOX_CURRENT_SESSION"
"""The variables by which tox and nox name the environment that they run (https://tox.wiki/en/latest/config.html,
https://nox.thea.codes/en/stable/usage.html)."""


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


def default_variant(environ: Mapping[str, str], *, under_ci: bool) -> str:
    """Return the variant of a session whose user has named none, such as ``cpython-3.11-linux``.

    It is made of the CI job, of the environment of tox or nox, and of the interpreter unless the name of the job tells
    the leg of a matrix. So the name of a job alone never makes one variant of two interpreters.
    """
    job, tells_leg = "", False
    if under_ci:
        from pytest_swarmtask.core.facts import ci  # only under CI

        job, tells_leg = ci.job_label(environ)
    environment = environ.get(_TOX) or environ.get(_NOX) or ""
    return " ".join(filter(None, (job, environment, "" if tells_leg else _interpreter())))


def _interpreter() -> str:
    """Return implementation, version and platform; ``t`` stands for an interpreter without the GIL, as in its name."""
    threads = "t" if "t" in getattr(sys, "abiflags", "") else ""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}{threads}"
    return f"{sys.implementation.name}-{version}-{sys.platform}"


def named_variant(environ: Mapping[str, str]) -> str:
    """Return the variant that the environment names, or an empty text."""
    return environ.get(VARIABLE, "").strip()
