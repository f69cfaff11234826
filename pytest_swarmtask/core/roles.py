"""Roles: what whoever runs this process may emit and control.

This is policy, not protection: it runs on the machine of the one it is about. What cannot be talked round is
the receiver, which checks who signed what (`pytest_swarmtask.receiver`).
"""

from __future__ import annotations

from pytest_swarmtask.core.errors import AccessError
from pytest_swarmtask.core.event import EVENT_TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

CONTROLS = (
    *(f"emit:{name}" for name in EVENT_TYPES),
    "webhook:register",
    "trigger:run",
    "delivery:replay",
    "delivery:purge",
    "task:sync",
)
"""Everything that a role can be allowed."""


def allows(globs: Iterable[str], control: str) -> bool:
    """Tell whether one of a role's globs, such as ``emit:TASK_*``, is about this control."""
    from fnmatch import fnmatchcase  # needs `re`, which capture does without

    return any(fnmatchcase(control, glob) for glob in globs)


def token_hash(token: str) -> str:
    """Return the hash that stands in the configuration for a token. Of a token with high entropy it tells nothing."""
    from hashlib import sha256  # only where a token is given

    return f"sha256:{sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"


class Access:
    """What the present actor may do. Decided once, when it is made.

    Args:
        compiled: ``default``, a role's name or None, and ``roles``: for each its ``name``, the controls that it is
            allowed, ``token_env``, ``token_hash`` and ``secrets``, as `config.settings` compiles them.
        environ: where tokens are looked up.

    Attributes:
        restricted: whether there are roles at all; without any, everything is allowed.
        role: the actor's role: the first that a token proves, else the default one, else None.
        denied: the event types that it may not emit.
        disproved: names of the variables that hold something which is not the token of their role.
        secrets: names of the variables whose values sign as the role, beside the webhook's own; empty without any.
        tokens: names of the variables that may hold a token.
    """

    __slots__ = ("_allowed", "_roles", "denied", "disproved", "restricted", "role", "secrets", "tokens")

    def __init__(self, compiled: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._roles: Sequence[dict[str, Any]] = compiled["roles"]
        self.restricted = bool(self._roles)
        given = [role for role in self._roles if environ.get(role["token_env"] or "")]
        proven = [role for role in given if _proves(environ[role["token_env"]], role["token_hash"])]
        held = next(iter(proven or [role for role in self._roles if role["name"] == compiled["default"]]), None)
        self.disproved = tuple(role["token_env"] for role in given if role not in proven)
        self.role: str | None = held["name"] if held else None
        self.tokens: tuple[str, ...] = tuple(role["token_env"] for role in self._roles if role["token_env"])
        self.secrets: tuple[str, ...] = tuple(held["secrets"]) if held else ()
        self._allowed: Iterable[str] = frozenset(held["allowed"] if held else ()) if self.restricted else CONTROLS
        self.denied = frozenset([name for name in EVENT_TYPES if f"emit:{name}" not in self._allowed])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Access) and all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.role, self.denied))

    def may(self, control: str) -> bool:
        """Tell whether the actor may do this; `control` is one of `CONTROLS`."""
        return control in self._allowed

    def require(self, control: str) -> None:
        """Do nothing where the actor may do this.

        Raises:
            AccessError: it may not; the message names role, control and what would grant it.
        """
        if not self.may(control):
            raise AccessError(self.refusal(control))

    def refusal(self, control: str) -> str:
        """Return, in one line, that the actor may not do this, and what would grant it."""
        who = f"the role {self.role}" if self.role else "whoever proves no role"
        return f"not permitted: {who} may not {control}; {'; or '.join(self._grants(control))}"

    def _grants(self, control: str) -> list[str]:
        able = [role for role in self._roles if control in role["allowed"] and role["token_env"]]
        grants = [
            f"set {role['token_env']} to the token of the role {role['name']}{self._trial(role)}" for role in able
        ]
        where = (
            f"access_control.roles.{self.role}.allow" if self.role else "a role's allow, and name it as default_role"
        )
        return [*grants, f"add it to {where} in workflow.yaml"]

    def _trial(self, role: Mapping[str, Any]) -> str:
        return " (what it holds now is not that token)" if role["token_env"] in self.disproved else ""


def _proves(token: str, expected: str) -> bool:
    from hmac import compare_digest  # only where a token is given

    return compare_digest(token_hash(token), expected)
