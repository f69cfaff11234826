"""Load the configuration of a project from `workflow.yaml` and the environment variables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.config.check import check
from pytest_swarmtask.config.consistency import check_consistency
from pytest_swarmtask.config.rules import did_you_mean
from pytest_swarmtask.config.tree import NOTHING, Node, Problems, join, shorten
from pytest_swarmtask.config.untrusted import restricted
from pytest_swarmtask.config.variables import UnsetVariableError, expand, mentions, references
from pytest_swarmtask.config.workflow import Environment, Webhook, Workflow
from pytest_swarmtask.config.yamlfile import parse, read_text
from pytest_swarmtask.core.facts.trust import is_untrusted
from pytest_swarmtask.core.project import is_met

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_swarmtask.core.project import Project

__all__ = ["Loaded", "UnsetVariableError", "expand", "is_active", "load", "references"]

ENVIRONMENT_VARIABLE = "WORKFLOW_ENVIRONMENT"
WEBHOOK_VARIABLE = "TASKMASTER_WEBHOOK_URL"
_DEFAULT = "default"
"""The name of the webhook that `WEBHOOK_VARIABLE` alone makes."""


@dataclass(frozen=True)
class Loaded:
    """The configuration of a project.

    Attributes:
        workflow: the model, with the chosen environment merged in. Its own `environments` is empty.
        environment: the value of `WORKFLOW_ENVIRONMENT`, or None.
        environments: the names of the environments in the file.
        path: the file, or None if there is none.
        origins: where each value comes from, by its key path in `workflow`.
    """

    workflow: Workflow
    environment: str | None
    environments: tuple[str, ...]
    path: Path | None
    origins: Mapping[str, str]


def load(project: Project, environ: Mapping[str, str]) -> Loaded:
    """Return the configuration of a project. Without a file, that is the defaults.

    All environments of the file are checked, so that a mistake in `prod` is found before somebody deploys. Of a
    stranger's file, only what is harmless is in the result (see `untrusted`).

    Raises:
        ConfigError: the file is not valid. Each problem is one sentence with file, line, key path, what was found and
            what is expected.
    """
    path = Path(project.workflow_file)
    text = read_text(path)
    problems = Problems(str(path))
    tree = parse(text or "", path.name, problems)
    if tree.value is None:  # a document without a value, such as `null`
        tree = replace(tree, value={})
    overlays = _check_all(tree, problems)
    environment = environ.get(ENVIRONMENT_VARIABLE) or None
    # A file without environments accepts any name: then it is only a label of events.
    if environment and overlays and environment not in overlays:
        _unknown_environment(environment, tree.at("environments"), problems)
    problems.raise_if_any()
    effective = _effective(tree, overlays.get(environment or ""))
    workflow = msgspec.convert(check(effective, Workflow, problems), Workflow)
    if is_untrusted(environ):
        workflow = restricted(workflow, WEBHOOK_VARIABLE)
    values = msgspec.to_builtins(workflow)
    del values["environments"]
    origins = dict(_origins(values, effective, ""))
    return Loaded(workflow, environment, tuple(overlays), path if text is not None else None, origins)


def is_active(webhook: Webhook, environ: Mapping[str, str]) -> bool:
    """Whether all variables that the webhook's URL needs are set and not empty."""
    return all(is_met(need, environ) for need in webhook.needs())


def merge(base: Node, over: Node) -> Node:
    """Return one tree merged over another. Mappings are merged key by key; other values are replaced."""
    if not isinstance(base.value, dict):
        return over
    if over.value is None:
        return base
    if not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for key, node in over.value.items():
        merged[key] = merge(merged[key], node) if key in merged else node
    return replace(base, value=merged)


def _check_all(tree: Node, problems: Problems) -> dict[str, Node]:
    """Check the file as it stands and with each of its environments. Return the environments by name."""
    _check(_effective(tree, None), Workflow, problems)
    section = tree.at("environments")
    overlays: dict[str, Node] = section.value if isinstance(section.value, dict) else {}
    if section.value is not None:
        # First the names only: the content is checked below, merged over the rest, with the environment in messages.
        names = {
            name: replace(node, value={} if isinstance(node.value, dict) else node.value)
            for name, node in overlays.items()
        }
        check(Node({"environments": replace(section, value=names if overlays else section.value)}), Workflow, problems)
    for name, overlay in overlays.items():
        if isinstance(overlay.value, dict):
            problems.environment = name
            _check(_effective(tree, overlay), Environment, problems)
    problems.environment = None
    return overlays


def _check(tree: Node, model: type[Environment], problems: Problems) -> None:
    check(tree, model, problems)
    check_consistency(tree, problems)


def _effective(tree: Node, overlay: Node | None) -> Node:
    """Return the tree of an environment: merged, and with the webhook that needs no file."""
    if isinstance(tree.value, dict):
        tree = replace(tree, value={key: node for key, node in tree.value.items() if key != "environments"})
    return _with_implicit_webhook(merge(tree, overlay) if overlay else tree)


def _with_implicit_webhook(tree: Node) -> Node:
    """Add the webhook that `TASKMASTER_WEBHOOK_URL` alone makes, unless a webhook of the file uses that variable.

    The webhook is added even if the variable is not set, and is inactive then. So the compiled configuration does not
    depend on the variable.
    """
    section = tree.at("task_integration")
    webhooks = section.at("webhooks")
    if not all(isinstance(node.value, (kind, type(None))) for node, kind in ((section, dict), (webhooks, list))):
        return tree
    given = webhooks.value or []
    if any(mentions(str(webhook.at("url").value), WEBHOOK_VARIABLE) for webhook in given):
        return tree
    names = [webhook.at("name").value for webhook in given]
    name = _DEFAULT if _DEFAULT not in names else WEBHOOK_VARIABLE
    origin = f"environment variable {WEBHOOK_VARIABLE}"
    fields = {"name": name, "url": f"${{{WEBHOOK_VARIABLE}}}"}
    implicit = Node({key: Node(value, origin=origin, text=value) for key, value in fields.items()}, origin=origin)
    addition = Node({"task_integration": Node({"webhooks": replace(webhooks, value=[*given, implicit])})})
    return merge(tree, addition) if isinstance(tree.value, dict) else tree


def _unknown_environment(name: str, section: Node, problems: Problems) -> None:
    names = list(section.value)
    message = (
        f"{ENVIRONMENT_VARIABLE} is {shorten(name)}, expected one of {', '.join(names)}{did_you_mean(name, names)}"
    )
    problems.add(section.line, section.path, message)


def _origins(value: Any, node: Node, path: str) -> Iterator[tuple[str, str]]:
    """Yield key path and origin of each single value of the model, by walking it together with its tree."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from _origins(child, node.at(key), join(path, key))
    elif isinstance(value, list) and value:
        for i, (child, item) in enumerate(zip_longest(value, node.items(), fillvalue=NOTHING)):
            yield from _origins(child, item, f"{path}[{i}]")
    else:
        yield path, node.origin if node.value is not None else "default"
