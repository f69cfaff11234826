"""What capture needs of the configuration, in a form that is read in well under a millisecond.

The full model of `workflow.yaml` lives in `pytest_swarmtask.config.model` and costs a YAML parser and a
validator. Capture reads the compiled form of it, or what is wrong with it, from the journal's folder, and compiles it
anew when the file, the environment or this package has changed.
"""

from __future__ import annotations

import os
import sys
import zlib

from pytest_swarmtask.access import CONTROLS, Access, allows
from pytest_swarmtask.errors import ConfigError
from pytest_swarmtask.journal import private_folder, write_private
from pytest_swarmtask.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pytest_swarmtask.config.model import AccessControl

FOLDER = ".taskmaster"
_FORMAT = 6
_CACHE = "config.json"
TASKS = "task:sync"
TRIGGERS = "trigger:run"
ALERTS = "monitoring:alerts"
"""The endpoints that are the task manager, the triggers and the alerts. No webhook of the file has such a name. One
that is named like a control needs it."""
RESERVED = (TASKS, TRIGGERS, ALERTS)
BACKGROUND = (TRIGGERS, ALERTS)
"""Those that nobody waits for at the end of a run: a command of a trigger may take its time."""
NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""What names in `workflow.yaml` look like, those of webhooks among them."""
NAME_IN_WORDS = "a name of at most 64 letters, digits, '.', '_' and '-' that starts with a letter or digit"


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
        plugins: name and place of the plug-ins that add to the metadata of all events.
        redact_keys, redact_allow: additions to and exceptions from what names a secret.
        endpoints: names of the webhooks that are configured and whose variables are set, of `RESERVED` and of those
            of plug-ins.
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
        "plugins",
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
        self.plugins: list[list[str]] = compiled["plugins"]
        self.redact_keys: list[str] = compiled["redact_keys"]
        self.redact_allow: list[str] = compiled["redact_allow"]
        active = [endpoint for endpoint in compiled["endpoints"] if all(map(environ.get, endpoint[1]))]
        self.access = Access(compiled["access"], environ)
        self.endpoints: list[str] = [name for name, _, _ in active if name not in CONTROLS or self.access.may(name)]
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
    "endpoints": [["default", ["TASKMASTER_WEBHOOK_URL"], ["TASKMASTER_WEBHOOK_URL", "AUTOMATION_SECRET_KEY"]]],
    "plugins": [],
    "problem": None,
}
"""The compiled form of no file at all. An endpoint is its name, the variables that must be set, and all it depends on.
"""


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
            compiled = {**DEFAULTS, "problem": str(error), "installed": _installed()}
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the file, the watched work goes on
            return Settings(root, environ, DEFAULTS, f"{workflow_file(root)}: {type(error).__name__}: {error}")
        if os.access(workflow_file(root), os.R_OK):  # one that becomes readable looks the same
            _store(root, key, compiled)
    return Settings(root, environ, compiled, compiled["problem"])


def _installed() -> list[list[Any]]:
    """Return where we and the plug-ins are, and when that changed: what is found there may read the file otherwise."""
    from pytest_swarmtask import plugins

    folders = [os.path.dirname(os.path.abspath(__file__)), *plugins.folders()]
    return [[folder, os.stat(folder).st_mtime_ns] for folder in folders]


def _key(root: str, environ: Mapping[str, str]) -> list[Any] | None:
    """Return what the compiled form depends on, or None where there is no file."""
    try:
        stat = os.stat(workflow_file(root))
    except FileNotFoundError:
        return None
    except OSError:
        return [_FORMAT]
    environment = environ.get("WORKFLOW_ENVIRONMENT", "")
    us = os.stat(__file__).st_ino  # each Python has plug-ins of its own
    return [_FORMAT, stat.st_mtime_ns, stat.st_size, stat.st_ino, environment, us]


def _cached(root: str, key: list[Any]) -> dict[str, Any] | None:
    try:
        with open(os.path.join(journal_folder(root), _CACHE), encoding="utf-8") as file:
            cache = loads(file.read())
        text = cache["compiled"]
        if cache["key"] == key and cache["crc32"] == zlib.crc32(text.encode()):
            compiled: dict[str, Any] = loads(text)
            if all(os.stat(folder).st_mtime_ns == changed for folder, changed in compiled["installed"]):
                return compiled
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # no cache, or one that something has damaged: it is made anew
    return None


def _store(root: str, key: list[Any], compiled: dict[str, Any]) -> None:
    folder = journal_folder(root)
    text = dumps(compiled)
    cache = {"key": key, "crc32": zlib.crc32(text.encode()), "compiled": text}
    try:
        private_folder(folder)
        write_private(os.path.join(folder, _CACHE), dumps(cache).encode())
    except OSError:
        pass  # a read-only checkout compiles each time


def _compile(root: str, environ: Mapping[str, str]) -> dict[str, Any]:
    if sys.flags.no_site:  # started by `pytest_swarmtask.recipe`; YAML parser and validator are in site-packages
        import site

        site.main()
    from pathlib import Path

    from pytest_swarmtask import plugins
    from pytest_swarmtask.config.endpoints import endpoints
    from pytest_swarmtask.config.load import load

    workflow = load(Path(root), environ).workflow
    installed = _installed()  # before they are looked through
    manager, found = plugins.for_configuration()
    given, problems = endpoints(manager, workflow)
    problems += [f"plug-in {plugin.name}: {plugin.problem}" for plugin in found if plugin.problem]
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
        "endpoints": [[name, list(needs), [*needs, *variables]] for name, needs, variables in given],
        "plugins": plugins.adding_metadata(manager, found),
        "installed": installed,
        "problem": "; ".join(problems) or None,
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
