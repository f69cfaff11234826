"""Roles: which events this process may emit, and which commands it may use.

This is a convention, not a protection: users can change the code that runs on their own machine. Protection is the
receiver, which checks which role signed an event (`pytest_swarmtask.receiver`).
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
"""All permissions that a role can have."""


def allows(globs: Iterable[str], control: str) -> bool:
    """Whether one of a role's globs, such as ``emit:TASK_*``, matches this permission."""
    from fnmatch import fnmatchcase  # it imports `re`, which recording does without

    return any(fnmatchcase(control, glob) for glob in globs)


def token_hash(token: str) -> str:
    """Return the hash of a token, which stands in the configuration.

    Tokens are long and random, so nobody can find one that fits the hash, and a slow hash is not needed.
    """
    from hashlib import sha256  # only if a token is given

    return f"sha256:{sha256(token.encode('utf-8', 'surrogateescape')).hexdigest()}"


class Access:
    """The role of this process and its permissions. They do not change after the object was made.

    Args:
        compiled: ``default``, the name of a role or None; and ``roles``, each with ``name``, ``allowed`` (its
            permissions), ``token_env``, ``token_hash`` and ``secrets``, as `plugins.compile` writes them.
        environ: the variables that may hold tokens.

    Attributes:
        restricted: whether there are roles. Without any, everything is allowed.
        role: the first role whose token is given, else the default role, else None.
        denied: the event types that must not be emitted.
        disproved: the variables that hold something else than the token of their role.
        secrets: the variables whose values sign webhooks as the role, beside the webhook's own secret.
        tokens: the variables that may hold a token.
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
        """Whether this process has a permission, one of `CONTROLS`."""
        return control in self._allowed

    def require(self, control: str) -> None:
        """Check a permission.

        Raises:
            AccessError: this process does not have it; the message names the role, the permission and how to get it.
        """
        if not self.may(control):
            raise AccessError(self.refusal(control))

    def refusal(self, control: str) -> str:
        """Return one line that says that the permission is missing, and how to get it."""
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
    from hmac import compare_digest  # only if a token is given

    return compare_digest(token_hash(token), expected)
