"""What capture needs of the configuration, in a form that is read in well under a millisecond.

The full model of `workflow.yaml` lives in `pytest_swarmtask.config.model` and costs a YAML parser and a
validator. Capture reads the compiled form of it, or what is wrong with it, from the journal's folder, and compiles it
anew when the file, the environment or this package has changed.
"""

from __future__ import annotations

import json
import os
import sys
import zlib

from pytest_swarmtask.access import CONTROLS, Access, allows
from pytest_swarmtask.errors import ConfigError
from pytest_swarmtask.journal import private_folder, write_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pytest_swarmtask.config.model import AccessControl, TaskManager

FOLDER = ".taskmaster"
_FORMAT = 5
_CACHE = "config.json"
TASKS = "task:sync"
"""The endpoint that is the task manager, and the control that allows it. No webhook of the file has such a name."""


class Settings:
    """What capture goes by.

    Attributes:
        root: the project's folder, the one that holds `.taskmaster`.
        journal: the journal's folder.
        enabled: whether events are recorded at all.
        source: who reports.
        environment: name of the chosen environment, or None.
        session_task_id: task id of a pytest session.
        drain_timeout: seconds that the end of a run waits for delivery, at most.
        handler_timeout: seconds that handlers get at the end of the process, at most.
        metadata: the user's own additions to session events.
        redact_keys, redact_allow: additions to and exceptions from what names a secret.
        endpoints: names of the webhooks that are configured and whose variables are set, and `TASKS`.
        variables: names of the variables that their deliveries depend on.
        access: what the role of whoever runs this process may do.
        problem: why the configuration could not be followed and defaults hold instead, or None.
    """

    __slots__ = (
        "access",
        "drain_timeout",
        "enabled",
        "endpoints",
        "environment",
        "handler_timeout",
        "journal",
        "metadata",
        "problem",
        "redact_allow",
        "redact_keys",
        "root",
        "session_task_id",
        "source",
        "variables",
    )

    def __init__(self, root: str, environ: Mapping[str, str], compiled: Mapping[str, Any], problem: str | None) -> None:
        timeout = compiled["drain_timeout"]
        self.root = root
        self.journal = journal_folder(root)
        self.enabled: bool = compiled["enabled"] and not switched_off(environ)
        self.source: str = _filled(compiled["source"] or "", environ) or os.path.basename(root) or "project"
        self.environment = environ.get("WORKFLOW_ENVIRONMENT") or None
        self.session_task_id: str = compiled["session_task_id"]
        self.drain_timeout: float = (10.0 if under_ci(environ) else 2.0) if timeout is None else timeout
        self.handler_timeout: float = compiled["handler_timeout"]
        self.metadata = {key: _filled(text, environ) for key, text in compiled["metadata"].items()}
        self.redact_keys: list[str] = compiled["redact_keys"]
        self.redact_allow: list[str] = compiled["redact_allow"]
        active = [webhook for webhook in compiled["webhooks"] if all(map(environ.get, webhook[1]))]
        self.access = Access(compiled["access"], environ)
        self.endpoints: list[str] = [name for name, _, _ in active if name != TASKS or self.access.may(TASKS)]
        variables = {name for _, _, variables in active for name in variables}
        self.variables: list[str] = sorted(variables.union(self.access.secrets))
        self.problem = problem


def _filled(text: str, environ: Mapping[str, str]) -> str:
    """Return the text with its variables filled in; as written where one is not set."""
    if "${" not in text:
        return text
    from pytest_swarmtask.config.variables import expand

    try:
        return expand(text, environ)
    except ConfigError:
        return text


DEFAULTS: dict[str, Any] = {
    "enabled": True,
    "source": None,
    "session_task_id": "pytest_run",
    "drain_timeout": None,
    "handler_timeout": 2.0,
    "metadata": {},
    "redact_keys": [],
    "redact_allow": [],
    "access": {"default": None, "roles": []},
    "webhooks": [["default", ["TASKMASTER_WEBHOOK_URL"], ["TASKMASTER_WEBHOOK_URL", "AUTOMATION_SECRET_KEY"]]],
}
"""The compiled form of no file at all. A webhook is its name, the variables that must be set, and all it depends on."""


def find_root(start: str, otherwise: str | None = None) -> str:
    """Return the project's folder: the nearest one upwards that holds `.taskmaster`.

    Where there is none: `otherwise`, else the nearest one that holds `.git`, else `start`.
    """
    start = os.path.abspath(start)
    return _upwards(start, FOLDER) or otherwise or _upwards(start, ".git") or start


def _upwards(start: str, name: str) -> str | None:
    folder = start
    while not os.path.exists(os.path.join(folder, name)):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def journal_folder(root: str) -> str:
    """Return where the journal of a project is."""
    return os.path.join(root, FOLDER, "events")


def workflow_file(root: str) -> str:
    """Return where the configuration of a project is."""
    return os.path.join(root, FOLDER, "config", "workflow.yaml")


def under_ci(environ: Mapping[str, str]) -> bool:
    """Tell whether a CI service runs this, by the variable that all of them set."""
    return environ.get("CI", "").lower() not in ("", "0", "false", "no")


def switched_off(environ: Mapping[str, str]) -> bool:
    """Tell whether `SWARMTASK_DISABLED` switches recording off."""
    return environ.get("SWARMTASK_DISABLED", "") not in ("", "0")


def read_settings(root: str, environ: Mapping[str, str]) -> Settings:
    """Return what capture goes by in this project.

    Never raises: a configuration that cannot be followed gives the defaults, and `problem` says why.
    """
    key = _key(root, environ)
    if key is None:
        return Settings(root, environ, DEFAULTS, None)
    compiled = _cached(root, key)
    if compiled is None:
        try:
            compiled = _compile(root, environ)
        except ConfigError as error:
            compiled = {"problem": str(error), "checked_by": _checker()}
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the file, the watched work goes on
            return Settings(root, environ, DEFAULTS, f"{workflow_file(root)}: {type(error).__name__}: {error}")
        if "problem" not in compiled or os.access(workflow_file(root), os.R_OK):
            _store(root, key, compiled)
    problem = compiled.get("problem")
    return Settings(root, environ, DEFAULTS if problem else compiled, problem)


def _checker() -> int:
    """Return what tells one version of what checks the file from another, which may find nothing wrong with it."""
    return os.stat(os.path.dirname(os.path.abspath(__file__))).st_mtime_ns


def _key(root: str, environ: Mapping[str, str]) -> list[Any] | None:
    """Return what the compiled form depends on, or None where there is no file."""
    try:
        stat = os.stat(workflow_file(root))
    except FileNotFoundError:
        return None
    except OSError:
        return [_FORMAT]
    environment = environ.get("WORKFLOW_ENVIRONMENT", "")
    return [_FORMAT, stat.st_mtime_ns, stat.st_size, stat.st_ino, environment]


def _cached(root: str, key: list[Any]) -> dict[str, Any] | None:
    try:
        with open(os.path.join(journal_folder(root), _CACHE), encoding="utf-8") as file:
            cache = json.load(file)
        text = cache["compiled"]
        if cache["key"] == key and cache["crc32"] == zlib.crc32(text.encode()):
            compiled: dict[str, Any] = json.loads(text)
            return compiled if compiled.get("checked_by") in (None, _checker()) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # no cache, or one that something has damaged: it is made anew
    return None


def _store(root: str, key: list[Any], compiled: dict[str, Any]) -> None:
    folder = journal_folder(root)
    text = json.dumps(compiled)
    cache = {"key": key, "crc32": zlib.crc32(text.encode()), "compiled": text}
    try:
        private_folder(folder)
        write_private(os.path.join(folder, _CACHE), json.dumps(cache).encode())
    except OSError:
        pass  # a read-only checkout compiles each time


def _compile(root: str, environ: Mapping[str, str]) -> dict[str, Any]:
    if sys.flags.no_site:  # started by `pytest_swarmtask.recipe`; YAML parser and validator are in site-packages
        import site

        site.main()
    from pathlib import Path

    from pytest_swarmtask.config.load import load, references

    workflow = load(Path(root), environ).workflow
    task_integration = workflow.task_integration
    return {
        "enabled": task_integration.enabled,
        "source": task_integration.source,
        "session_task_id": task_integration.session_task_id,
        "drain_timeout": task_integration.drain_timeout,
        "handler_timeout": task_integration.handler_timeout,
        "metadata": task_integration.metadata,
        "redact_keys": task_integration.redact.keys,
        "redact_allow": task_integration.redact.allow,
        "access": _compiled_access(workflow.access_control),
        "webhooks": [
            *([webhook.name, references(webhook.url), webhook.variables()] for webhook in task_integration.webhooks),
            *_task_manager(task_integration.task_manager),
        ],
    }


def _task_manager(definition: TaskManager) -> list[list[Any]]:
    """Return the task manager in the form of a webhook: what is owed to it goes the same way."""
    if not definition.enabled:
        return []
    from pytest_swarmtask.config.variables import mentioned, references

    rest = definition.rest
    if definition.kind == "taskmaster":
        return [[TASKS, [], ["TASKMASTER_TAG"]]]
    return [
        [TASKS, references(rest.url), [name for text in (rest.url, *rest.headers.values()) for name in mentioned(text)]]
    ]


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
