"""`swarmtask config`: check the configuration, show what holds, print its JSON Schema."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError, UsageError
from pytest_swarmtask.core.project import Project

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.config.load import Loaded


def register(subparsers: Subparsers) -> None:
    """Add the command `config` with its actions."""
    parser = subparsers.add_parser("config", help="check, show and describe workflow.yaml")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("validate", help="check workflow.yaml with all its environments")
    check.set_defaults(func=validate)
    display = actions.add_parser("show", help="show what holds and where each value came from, secrets masked")
    display.add_argument("--json", action="store_true", dest="json", help="as JSON")
    display.set_defaults(func=show)
    for action in (check, display):
        action.add_argument("--root", metavar="DIR", dest="root", help="the project's folder (default: found upwards)")
    actions.add_parser("schema", help="print the JSON Schema of workflow.yaml").set_defaults(func=schema)


def validate(args: argparse.Namespace) -> int:
    """Say that the configuration is valid; 0.

    Raises:
        ConfigError: it is not, or names files that cannot be used.
    """
    loaded = _load(args, os.environ)
    if loaded.path is None:
        print("valid: there is no workflow.yaml, the defaults hold")
        return 0
    _check_files(args, loaded)
    environments = f" (environments: {', '.join(loaded.environments)})" if loaded.environments else ""
    print(f"valid: {loaded.path}{environments}")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print the effective configuration; 0.

    Raises:
        ConfigError: it is not valid.
    """
    from pytest_swarmtask.config.show import entries, yaml_lines

    loaded = _load(args, os.environ)
    if args.json:
        values = {
            path: {"value": entry.value, "origin": entry.origin, "note": entry.note}
            for path, entry in entries(loaded, os.environ).items()
        }
        file = str(loaded.path) if loaded.path else None
        print(json.dumps({"file": file, "environment": loaded.environment, "values": values}, indent=2))
        return 0
    print(f"# file: {loaded.path or 'none, the defaults hold'}")
    print(f"# environment: {loaded.environment or 'none (WORKFLOW_ENVIRONMENT is not set)'}")
    for line in yaml_lines(loaded, os.environ):
        print(line)
    return 0


def schema(args: argparse.Namespace) -> int:  # noqa: ARG001 - every command is called with them
    """Print the JSON Schema; 0."""
    from pytest_swarmtask.config.schema import schema as json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


def _check_files(args: argparse.Namespace, loaded: Loaded) -> None:
    """Look at the files that webhooks name, in every environment.

    Raises:
        ConfigError: some cannot be used.
    """
    others = (_load(args, {**os.environ, "WORKFLOW_ENVIRONMENT": name}) for name in loaded.environments)
    problems = [problem for one in (loaded, *others) for problem in _unusable(one, _project(args))]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def _unusable(loaded: Loaded, project: Project) -> Iterator[str]:
    from pytest_swarmtask.config.variables import UnsetVariableError
    from pytest_swarmtask.relay.http import tls

    for i, webhook in enumerate(loaded.workflow.task_integration.webhooks):
        path = f"task_integration.webhooks[{i}]"
        try:
            tls.check(webhook, os.environ, project.root)
        except tls.FileError as error:
            yield f"{loaded.origins[f'{path}.{error.key}']}: {path}.{error}"
        except UnsetVariableError:
            pass  # it is another machine, or another day, that has the file


def _project(args: argparse.Namespace) -> Project:
    project = Project(args.root) if args.root else Project.find(os.getcwd())
    if not os.path.isdir(project.root):
        raise UsageError(f"--root: found {project.root}, which is no folder, expected the project's folder")
    return project


def _load(args: argparse.Namespace, environ: Mapping[str, str]) -> Loaded:
    from pytest_swarmtask.config.load import load

    return load(_project(args), environ)
