"""Who may write to the server, and into which project; and who may read."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.files import private_folder, replace_file
from pytest_swarmtask.receiver import Verifier
from pytest_swarmtask.wire import signing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import Workflow

SECRET_VARIABLE = "AUTOMATION_SECRET_KEY"  # noqa: S105 - the name of a variable
"""The variable with the secret of a whole team, whose holders may write to any project."""
_TEAM = "the team"


class Senders:
    """Who may write.

    Args:
        workflow: the configuration of the server: its projects and roles.
        environ: the variables with the secrets.
        own: a secret of the team that the server keeps, if it has made one.

    Raises:
        ConfigError: a variable is not set, a secret is malformed, or there is no secret at all.
    """

    def __init__(self, workflow: Workflow, environ: Mapping[str, str], own: str | None) -> None:
        roles = {name: role for name, role in workflow.access_control.roles.items() if role.secrets()}
        # If roles have secrets, the secret of a project or of the team only says who sends. The role says what the
        # sender may do.
        anything = () if roles else ("*",)
        senders: dict[str, tuple[list[str], tuple[str, ...]]] = {}
        team = [secret for secret in (environ.get(SECRET_VARIABLE), own) if secret]
        if team:
            senders[_TEAM] = (team, anything)
        self._projects: dict[str, str] = {}
        for name, project in workflow.server.projects.items():
            key = f"project {name}"
            self._projects[key] = name
            senders[key] = (_values(f"server.projects.{name}", project.secrets(), environ), anything)
        for name, role in roles.items():
            senders[name] = (_values(f"access_control.roles.{name}", role.secrets(), environ), tuple(role.allow))
        if not senders:
            raise ConfigError(f"there is no secret: set {SECRET_VARIABLE}, or name variables in server.projects")
        self.verifier = Verifier(roles=senders)

    def project_of(self, signers: tuple[str, ...]) -> str | None:
        """Return the project whose secret has signed a request; None if each event names its own."""
        return next((self._projects[signer] for signer in signers if signer in self._projects), None)


def _values(place: str, names: list[str], environ: Mapping[str, str]) -> list[str]:
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise ConfigError(f"{place}.secret_env: the variable {missing[0]} is not set")
    return [environ[name] for name in names]


def kept_secret(path: str) -> tuple[str, bool]:
    """Return the secret in a file, and whether it was made now because there was none.

    Raises:
        OSError: the file cannot be read or written.
    """
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip(), False
    except FileNotFoundError:
        secret = signing.new_secret()
        private_folder(os.path.dirname(path))
        replace_file(path, f"{secret}\n".encode(), mode=0o600)
        return secret, True


class Readers:
    """Who may read: those who have one of the tokens, or everybody.

    Args:
        tokens: the tokens; none if everybody may read.
    """

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [token.encode() for token in tokens]

    def may_read(self, authorization: str) -> bool:
        """Whether the header ``Authorization`` of a request has a token.

        It is a bearer token, or the password of HTTP's basic authentication, which browsers ask for (RFC 6750, RFC
        7617). The name of the user does not matter.
        """
        if not self._tokens:
            return True
        offered = _offered(authorization)
        # All are compared, each in constant time, so that the time taken tells nothing.
        return sum(hmac.compare_digest(offered, token) for token in self._tokens) > 0


def _offered(authorization: str) -> bytes:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("utf-8", "replace")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
