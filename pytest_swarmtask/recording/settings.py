"""The part of the configuration that recording needs, read in well under a millisecond.

The whole model of `workflow.yaml` is `config.workflow`, which needs a YAML parser and a validator. Recording reads a
compiled form, a JSON file in the journal's folder. It also holds the problem if `workflow.yaml` is invalid. It is
compiled again when the file, the chosen environment or the installed packages have changed.
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.fastjson import dumps, loads
from pytest_swarmtask.core.files import checksum, only_regular, private_folder, replace_file
from pytest_swarmtask.core.project import is_met, is_switched_off, is_under_ci
from pytest_swarmtask.core.roles import CONTROLS, Access

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pytest_swarmtask.core.project import Project

_FORMAT = 12
"""The version of the compiled form. It goes up with each change, so that no version reads the form of another."""


class Settings:
    """The settings of one process that records.

    Attributes:
        project: the project whose settings these are.
        enabled: whether events are recorded at all.
        source: the name of the reporting project.
        environment: name of the chosen environment, or None.
        session_task_id: task id of a pytest session.
        variant: the variant that the configuration names, or an empty text.
        default_branch: the default branch that the configuration names, or an empty text.
        drain_timeout: seconds that the end of a run waits for delivery, at most.
        handler_timeout: seconds that the end of the process waits for handlers, at most.
        metadata: the user's own metadata of session events.
        plugins: name and entry point of each plug-in that adds metadata to all events.
        redact_keys: additional words that name a secret.
        redact_allow: words that do not name a secret, although the rules say so.
        evidence: `traceback` and `output` say which evidence of failed tests is recorded, `bytes` how much.
        endpoints: names of webhooks, of endpoints of plug-ins, and those of `RESERVED`: all that are configured, whose
            variables are set, and that the role permits.
        variables: names of the variables that deliveries depend on.
        access: the role of this process and its permissions.
        problem: what is wrong with the configuration or a plug-in, or None.
        is_valid: whether `workflow.yaml` is valid. If not, nothing is sent.
    """

    __slots__ = (
        "access",
        "default_branch",
        "drain_timeout",
        "enabled",
        "endpoints",
        "environment",
        "evidence",
        "handler_timeout",
        "is_valid",
        "metadata",
        "plugins",
        "problem",
        "project",
        "redact_allow",
        "redact_keys",
        "session_task_id",
        "source",
        "variables",
        "variant",
    )

    def __init__(
        self, project: Project, environ: Mapping[str, str], compiled: Mapping[str, Any], problem: str | None
    ) -> None:
        timeout = compiled["drain_timeout"]
        self.project = project
        self.enabled: bool = compiled["enabled"] and not is_switched_off(environ)
        self.source: str = _filled(compiled["source"] or "", environ) or os.path.basename(project.root) or "project"
        self.environment = environ.get("WORKFLOW_ENVIRONMENT") or None
        self.session_task_id: str = _filled(compiled["session_task_id"], environ) or DEFAULTS["session_task_id"]
        self.variant: str = _filled(compiled["variant"] or "", environ) or ""
        self.default_branch: str = _filled(compiled["default_branch"] or "", environ) or ""
        self.drain_timeout: float = (10.0 if is_under_ci(environ) else 2.0) if timeout is None else timeout
        self.handler_timeout: float = compiled["handler_timeout"]
        filled = {key: _filled(text, environ) for key, text in compiled["metadata"].items()}
        self.metadata = {key: text for key, text in filled.items() if text is not None}
        self.plugins: list[list[str]] = compiled["plugins"]
        self.redact_keys: list[str] = compiled["redact_keys"]
        self.redact_allow: list[str] = compiled["redact_allow"]
        self.evidence: Mapping[str, Any] = compiled["evidence"]
        active = [one for one in compiled["endpoints"] if all(is_met(need, environ) for need in one[1])]
        self.access = Access(compiled["access"], environ)
        # An endpoint named like a permission is only used if the role has that permission.
        self.endpoints: list[str] = [name for name, _, _ in active if name not in CONTROLS or self.access.may(name)]
        variables = {name for _, _, variables in active for name in variables}
        self.variables: list[str] = sorted(variables.union(self.access.secrets))
        self.problem = problem
        self.is_valid: bool = compiled["is_valid"]


def _filled(text: str, environ: Mapping[str, str]) -> str | None:
    """Return the text with the values of its variables, or None if one of them is not set."""
    if "$" not in text:
        return text
    from pytest_swarmtask.config.variables import expand

    try:
        return expand(text, environ)
    except ConfigError:
        return None


DEFAULTS: dict[str, Any] = {
    "enabled": True,
    "source": None,
    "session_task_id": "pytest_run",
    "variant": None,
    "default_branch": None,
    "drain_timeout": None,
    "handler_timeout": 2.0,
    "metadata": {},
    "redact_keys": [],
    "redact_allow": [],
    "evidence": {"traceback": True, "output": True, "bytes": 32 * 1024},
    "access": {"default": None, "roles": []},
    "endpoints": [["default", ["TASKMASTER_WEBHOOK_URL"], ["TASKMASTER_WEBHOOK_URL", "AUTOMATION_SECRET_KEY"]]],
    "plugins": [],
    "is_valid": True,
    "problem": None,
}
"""The compiled form if there is no `workflow.yaml`.

An endpoint is its name, the variables that must be set, and the variables that its deliveries depend on.
"""


def read_settings(project: Project, environ: Mapping[str, str]) -> Settings:
    """Return the settings of a project.

    Never raises. If the configuration is not valid, `problem` says why. It may say that less is to be recorded or sent
    than the defaults do, so events are only recorded then, and nothing is sent.
    """
    if project.refusal:
        return Settings(project, environ, {**DEFAULTS, "enabled": False, "endpoints": []}, project.refusal)
    key = _key(project, environ)
    if key is None:
        return Settings(project, environ, DEFAULTS, project.notice or None)
    compiled = _cached(project, key)
    if compiled is None:
        from pytest_swarmtask.plugins import compile as compiler  # with YAML parser and validator

        try:
            compiled = compiler.compile_settings(project, environ)
        except ConfigError as error:
            compiled = {**DEFAULTS, **compiler.compile_invalid(project, environ, error.problems)}
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the watched work goes on
            problem = f"{project.workflow_file}: {type(error).__name__}: {error}; {compiler.NOTHING_IS_SENT}"
            return Settings(project, environ, {**DEFAULTS, **compiler.UNREADABLE}, problem)
        if os.access(project.workflow_file, os.R_OK):  # an unreadable file has the same key when it becomes readable
            _store(project, key, compiled)
    return Settings(project, environ, compiled, compiled["problem"] or project.notice or None)


def _key(project: Project, environ: Mapping[str, str]) -> list[Any] | None:
    """Return what the compiled form depends on; None if there is no `workflow.yaml`."""
    try:
        stat = os.stat(project.workflow_file)
    except FileNotFoundError:
        if not any(map(os.path.islink, (project.workflow_file, os.path.dirname(project.workflow_file)))):
            return None
        return [_FORMAT]  # a link to nothing is a file that cannot be read
    except OSError:
        return [_FORMAT]  # compiling says why the file cannot be used
    from pytest_swarmtask.core.facts.trust import is_untrusted  # only with a configuration

    environment = environ.get("WORKFLOW_ENVIRONMENT", "")
    installation = os.stat(__file__).st_ino  # each Python environment has plug-ins of its own
    untrusted = is_untrusted(environ)
    return [_FORMAT, stat.st_mtime_ns, stat.st_size, stat.st_ino, environment, installation, untrusted]


def _cached(project: Project, key: list[Any]) -> dict[str, Any] | None:
    try:
        with open(project.compiled_config, encoding="utf-8", opener=only_regular) as file:
            cache = loads(file.read())
        text = cache["compiled"]
        if cache["key"] == key and cache["checksum"] == checksum(text.encode()):
            compiled: dict[str, Any] = loads(text)
            if all(os.stat(folder).st_mtime_ns == changed for folder, changed in compiled["installed"]):
                return compiled
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass  # there is no compiled form yet, or it is damaged
    return None


def _store(project: Project, key: list[Any], compiled: dict[str, Any]) -> None:
    text = dumps(compiled)
    cache = {"key": key, "checksum": checksum(text.encode()), "compiled": text}
    try:
        private_folder(project.journal)
        replace_file(project.compiled_config, dumps(cache).encode())
    except OSError:
        pass  # in a read-only checkout, every process compiles
