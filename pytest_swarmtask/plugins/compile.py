"""Compile `workflow.yaml` and the installed plug-ins into the short form that the watched process reads."""

from __future__ import annotations

import os
import sys

from pytest_swarmtask.core.roles import CONTROLS, allows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pytest_swarmtask.config.workflow import AccessControl
    from pytest_swarmtask.core.project import Project


NOTHING_IS_SENT = "events are only recorded until that is mended, and nothing is sent"
NOTHING_IS_RECORDED = "nothing is recorded, as the file says enabled: false"
"""What follows from a file that is not valid, at the end of the line that says what is wrong with it."""


NO_EVIDENCE = {"traceback": False, "output": False, "bytes": 0}
"""What is recorded of the evidence of failed tests if the file is not valid: it may say that nothing is."""
UNREADABLE: dict[str, Any] = {"is_valid": False, "endpoints": [], "evidence": NO_EVIDENCE}
"""In what the compiled form of a file of which nothing can be read differs from that of the defaults."""


def installed_packages() -> list[list[Any]]:
    """Return the folders of this package and of plug-ins with their times of change.

    Another version of this package, or another plug-in, may compile the same file differently.
    """
    from pytest_swarmtask.plugins import registry

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = [package, *registry.folders()]
    return [[folder, os.stat(folder).st_mtime_ns] for folder in folders]


def compile_settings(project: Project, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the compiled form of a project's configuration.

    Raises:
        ConfigError: `workflow.yaml` is not valid.
    """
    if sys.flags.no_site:  # as `pytest_swarmtask.recipe` starts Python; the YAML parser is in site-packages
        import site

        site.main()
    from msgspec import to_builtins

    from pytest_swarmtask.config.load import load
    from pytest_swarmtask.plugins import endpoints, registry

    workflow = load(project, environ).workflow
    installed = installed_packages()  # first: a plug-in that is installed just now is found by the next compilation
    manager, found = registry.plugin_manager([endpoints])
    given, problems = endpoints.all_endpoints(manager, workflow)
    problems += [f"plug-in {plugin.name}: {plugin.problem}" for plugin in found if plugin.problem]
    task_integration = workflow.task_integration
    return {
        "enabled": task_integration.enabled,
        "source": task_integration.source,
        "session_task_id": task_integration.session_task_id,
        "variant": task_integration.variant,
        "default_branch": task_integration.default_branch,
        "drain_timeout": task_integration.drain_timeout,
        "handler_timeout": task_integration.handler_timeout,
        "metadata": task_integration.metadata,
        "redact_keys": task_integration.redact.keys,
        "redact_allow": task_integration.redact.allow,
        "evidence": to_builtins(task_integration.evidence),
        "access": _compiled_access(workflow.access_control),
        "endpoints": [[name, list(needs), [*needs, *variables]] for name, needs, variables in given],
        "plugins": registry.adding_metadata(manager, found),
        "installed": installed,
        "is_valid": True,
        "problem": "; ".join(problems) or None,
    }


def compile_invalid(project: Project, environ: Mapping[str, str], problems: Sequence[str]) -> dict[str, Any]:
    """Return in what the compiled form of a configuration that is not valid differs from that of the defaults.

    It sends nothing. What the file switches off, and the keys that it calls secret, hold as far as they can be read.

    Args:
        project: the project.
        environ: the environment variables.
        problems: why the configuration is not valid.
    """
    from pytest_swarmtask.config.salvage import readable_values

    more = f" (and {len(problems) - 1} more: swarmtask config validate)" if len(problems) > 1 else ""
    values = readable_values(project.workflow_file, environ.get("WORKFLOW_ENVIRONMENT"))
    return {
        "enabled": values.enabled,
        "redact_keys": values.redact_keys,
        **UNREADABLE,
        "installed": installed_packages(),
        "problem": f"{problems[0]}{more}; {NOTHING_IS_SENT if values.enabled else NOTHING_IS_RECORDED}",
    }


def _compiled_access(control: AccessControl) -> dict[str, Any]:
    roles = [
        {
            "name": name,
            "allowed": [one for one in CONTROLS if allows(role.allow, one)],
            "token_env": role.token_env,
            "token_hash": role.token_hash,
            "secrets": role.secrets(),
        }
        for name, role in control.roles.items()
    ]
    return {"default": control.default_role, "roles": roles}
