"""Checks across a whole configuration: unique names, references to existing names, alerts with a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.config.rules import did_you_mean
from pytest_swarmtask.config.tree import Node, Problems, join, shorten
from pytest_swarmtask.config.variables import unknown_reference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_WEBHOOKS = ("task_integration", "webhooks")
_RULES = ("automation_triggers", "rules")
_ALERTS = ("monitoring", "alerts")
_NOTIFIERS = ("monitoring", "notifiers")

_OTLP = "otlp"
_LIMITS = {
    "duration": ("above", "times_median"),
    "coverage": ("below", "drop"),
    "silence": ("unfinished", "every"),
    "delivery": ("waiting", "oldest", "dead_letters"),
}
"""Kinds of alerts that need at least one of these keys: without a limit they would never be active."""


def check_consistency(tree: Node, problems: Problems) -> None:
    """Report what does not fit together in a tree. `check` reports single values that do not fit."""
    for section in (_WEBHOOKS, _RULES, _ALERTS, _NOTIFIERS):
        _check_unique(tree.items(*section), problems)
    # A receiver of spans understands neither the messages of notifiers nor the bodies of rules.
    others = [webhook for webhook in tree.items(*_WEBHOOKS) if webhook.at("format").value != _OTLP]
    webhooks, notifiers = _names_of(others), _names_of(tree.items(*_NOTIFIERS))
    actions = [action for rule in tree.items(*_RULES) for action in rule.items("do")]
    for user in (*actions, *tree.items(*_NOTIFIERS)):  # all kinds: a key that a kind does not have is absent
        _check_reference([user.at("webhook")], webhooks, "webhook", problems)
        _check_reference(user.items("to"), notifiers, "notifier", problems)
    for action in actions:
        _check_program(action, problems)
    for alert in tree.items(*_ALERTS):
        _check_reference(alert.items("notify"), notifiers, "notifier", problems)
        _check_limit(alert, problems)
    for webhook in tree.items(*_WEBHOOKS):
        _check_webhook(webhook, problems)
    _check_roles(tree, problems)
    _check_task_manager(tree.at("task_integration", "task_manager"), problems)


def _check_webhook(webhook: Node, problems: Problems) -> None:
    """Report keys of a webhook that do not fit together."""
    if webhook.at("client_key").value is not None and webhook.at("client_cert").value is None:
        problems.add(
            webhook.line, join(webhook.path, "client_cert"), "found nothing, expected the certificate of client_key"
        )
    if webhook.at("format").value == _OTLP:
        _check_otlp(webhook, problems)
        return
    if isinstance(webhook.value, dict) and webhook.at("url").value is None:
        problems.add(webhook.line, join(webhook.path, "url"), "found nothing, expected a URL")
    logs = webhook.at("logs")
    if logs.value is True:
        problems.add(logs.line, logs.path, "found true, expected format: otlp beside it")


def _check_otlp(webhook: Node, problems: Problems) -> None:
    """Report keys that mean nothing with ``format: otlp``."""
    secret, batch = webhook.at("secret_env"), webhook.at("batch")
    if secret.value is not None:
        message = "found a secret, expected none: OTLP requests are not signed; credentials belong into headers"
        problems.add(secret.line, secret.path, message)
    if batch.value is False:
        message = (
            "found false, expected true or nothing: OTLP requests are batches; max_events: 1 sends one event in each"
        )
        problems.add(batch.line, batch.path, message)


def _check_program(action: Node, problems: Problems) -> None:
    """Report a program whose name an event or a shell would have to decide."""
    for program in action.items("command")[:1]:
        expected = _expected_of_program(program.value) if isinstance(program.value, str) else ""
        if expected:
            problems.add(program.line, program.path, f"found {shorten(program.value)}, expected {expected}")


def _expected_of_program(name: str) -> str:
    """Return what is expected instead of a program's name; nothing if the name is certain."""
    if "{{" in name:
        return "the name of a program; {{…}} may stand in its arguments"
    if (unknown_reference(name) or "${")[:2] != "${":
        return "the name of a program, or ${NAME}; only arguments may contain $NAME, for a shell"
    return ""


def _check_unique(items: list[Node], problems: Problems) -> None:
    """Report items that have the name of an earlier one."""
    users: dict[str, Node] = {}
    for name in (item.at("name") for item in items):
        if isinstance(name.value, str) and users.setdefault(name.value, name) is not name:
            first = users[name.value].line
            problems.add(
                name.line, name.path, f"found the name {name.value}, expected one that is not taken (line {first})"
            )


def _names_of(items: list[Node]) -> list[str]:
    return [item.at("name").value for item in items if isinstance(item.at("name").value, str)]


def _check_reference(nodes: Iterable[Node], names: Collection[str], noun: str, problems: Problems) -> None:
    """Report nodes whose text is none of the names."""
    for node in nodes:
        if isinstance(node.value, str) and node.value not in names:
            known = f"one of {', '.join(names)}" if names else "none is configured"
            near = did_you_mean(node.value, names)
            problems.add(
                node.line, node.path, f"found {shorten(node.value)}, expected the name of a {noun} ({known}){near}"
            )


def _check_limit(alert: Node, problems: Problems) -> None:
    keys = _LIMITS.get(alert.at("kind").value, ())
    if keys and all(alert.at(key).value is None for key in keys):
        problems.add(alert.line, alert.path, f"found an alert without a limit, expected {' or '.join(keys)}")


def _check_roles(tree: Node, problems: Problems) -> None:
    """Report incomplete proofs of roles, unknown roles, and a default role that has to be proven."""
    roles = tree.at("access_control", "roles").value
    names = list(roles) if isinstance(roles, dict) else []
    for name in names:
        role = roles[name]
        proof = [role.at("token_hash").value, role.at("token_env").value]
        # With the hash alone nobody could prove the role, with the variable alone anybody could.
        if None in proof and proof != [None, None]:
            problems.add(role.line, role.path, "found half a proof, expected both token_hash and token_env, or neither")
    users = [rule.at("role") for rule in tree.items(*_RULES)]
    # The default role is the role of a process that proves nothing, so a role with a token cannot be it.
    default = tree.at("access_control", "default_role")
    _check_reference([default, *users], names, "role", problems)
    if default.value in names and roles[default.value].at("token_hash").value is not None:
        problems.add(
            default.line,
            default.path,
            "found a role that has to be proven, expected one without token_hash and token_env",
        )


def _check_task_manager(node: Node, problems: Problems) -> None:
    if node.at("kind").value == "rest" and not node.at("rest", "url").value:
        problems.add(node.line, join(join(node.path, "rest"), "url"), "found nothing, expected a URL, as kind is rest")
