"""`swarmtask config`: check the configuration, show its values, print its JSON Schema."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import add_root, project_of
from pytest_swarmtask.core.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.config.load import Loaded
    from pytest_swarmtask.core.project import Project


def register(subparsers: Subparsers) -> None:
    """Add the command `config` with its actions."""
    parser = subparsers.add_parser(
        "config",
        help="check workflow.yaml, show its values, print its JSON Schema",
        description="Check workflow.yaml, show its values and where each comes from, or print its JSON Schema.",
        example="swarmtask config show",
        page="configuration",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("validate", help="check workflow.yaml and all its environments")
    check.set_defaults(func=validate)
    display = actions.add_parser("show", help="show each value and where it comes from; secrets are masked")
    display.add_argument("--json", action="store_true", dest="json", help="print one JSON object")
    display.set_defaults(func=show)
    for action in (check, display):
        add_root(action)
    actions.add_parser("schema", help="print the JSON Schema of workflow.yaml").set_defaults(func=schema)


def validate(args: argparse.Namespace) -> int:
    """Print that the configuration is valid. Return 0.

    Raises:
        ConfigError: it is not valid, or it names files that cannot be used.
        UsageError: `--root` does not name a folder.
    """
    project = project_of(args)
    loaded = _load(project, os.environ)
    if loaded.path is None:
        print("valid: there is no workflow.yaml, the defaults are used")
        return 0
    _check_files(project, loaded)
    environments = f" (environments: {', '.join(loaded.environments)})" if loaded.environments else ""
    print(f"valid: {loaded.path}{environments}")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print the values in effect, and where each comes from. Return 0.

    Raises:
        ConfigError: the configuration is not valid.
        UsageError: `--root` does not name a folder.
    """
    from pytest_swarmtask.config.show import entries, yaml_lines

    loaded = _load(project_of(args), os.environ)
    if args.json:
        values = {
            path: {"value": entry.value, "origin": entry.origin, "note": entry.note}
            for path, entry in entries(loaded, os.environ).items()
        }
        file = str(loaded.path) if loaded.path else None
        print(json.dumps({"file": file, "environment": loaded.environment, "values": values}, indent=2))
        return 0
    print(f"# file: {loaded.path or 'none, the defaults are used'}")
    print(f"# environment: {loaded.environment or 'none (WORKFLOW_ENVIRONMENT is not set)'}")
    for line in yaml_lines(loaded, os.environ):
        print(line)
    return 0


def schema(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command gets them
    """Print the JSON Schema. Return 0."""
    from pytest_swarmtask.config.schema import schema as json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def _check_files(project: Project, loaded: Loaded) -> None:
    """Check the certificates, keys and extras that webhooks need, in every environment.

    Raises:
        ConfigError: some of them cannot be used.
    """
    others = (_load(project, {**os.environ, "WORKFLOW_ENVIRONMENT": name}) for name in loaded.environments)
    problems = [problem for one in (loaded, *others) for problem in _file_problems(one, project)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))  # several environments may have the same problem


def _file_problems(loaded: Loaded, project: Project) -> Iterator[str]:
    from pytest_swarmtask.config.load import is_active
    from pytest_swarmtask.config.variables import UnsetVariableError
    from pytest_swarmtask.relay.http import tls
    from pytest_swarmtask.relay.otlp.extra import require_extra

    for i, webhook in enumerate(loaded.workflow.task_integration.webhooks):
        path = f"task_integration.webhooks[{i}]"
        if webhook.format == "otlp" and is_active(webhook, os.environ):
            try:
                require_extra()
            except ConfigError as error:
                yield f"{loaded.origins[f'{path}.format']}: {path}.format: {error}"
        try:
            tls.check(webhook, os.environ, project.root)
        except tls.FileError as error:
            yield f"{loaded.origins[f'{path}.{error.key}']}: {path}.{error}"
        except UnsetVariableError:
            pass  # the file may be on another machine, where the variable is set


def _load(project: Project, environ: Mapping[str, str]) -> Loaded:
    from pytest_swarmtask.config.load import load

    return load(project, environ)
