"""TLS: how a webhook's server is verified, and the certificate that we show to it."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

import certifi

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.files import only_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import Webhook


class FileError(ConfigError):
    """A file for a webhook's TLS cannot be used.

    Attributes:
        key: the key of the webhook's definition that names the file.
    """

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        super().__init__(f"{key}: {problem}")


def context(webhook: Webhook, environ: Mapping[str, str], root: str | os.PathLike[str]) -> ssl.SSLContext:
    """Return the TLS settings for a webhook's server: its certificate is verified, and ours is shown if there is one.

    Args:
        webhook: its `ca_file`, `client_cert` and `client_key` name the files. With a `ca_file`, only the authorities
            in it are trusted.
        environ: where variables in the paths are looked up.
        root: the folder that relative paths start from.

    Raises:
        FileError: a file is missing, or has the wrong content.
        UnsetVariableError: a path needs a variable that is not set.
    """
    files = {key: _path(key, path, environ, root) for key, path in webhook.files().items() if path}
    settings = _trusting(files["ca_file"]) if "ca_file" in files else trusting_usual()
    if "client_cert" in files:
        _add_certificate(settings, files["client_cert"], files.get("client_key"))
    return settings


def check(webhook: Webhook, environ: Mapping[str, str], root: str | os.PathLike[str]) -> None:
    """Check that the files that a webhook names can be used.

    Raises:
        FileError, UnsetVariableError: as `context`.
    """
    if any(webhook.files().values()):
        context(webhook, environ, root)


def _path(key: str, path: str, environ: Mapping[str, str], root: str | os.PathLike[str]) -> str:
    found = os.path.join(root, expand(path, environ))
    try:
        with open(found, "rb", opener=only_regular):
            return found
    except OSError as error:
        raise FileError(key, f"{found} cannot be read: {error.strerror}") from None


def trusting_usual() -> ssl.SSLContext:
    """Return the TLS settings that trust the authorities of `SSL_CERT_FILE` or `SSL_CERT_DIR`, or else certifi's."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return ssl.create_default_context(cafile=file or (None if folder else certifi.where()), capath=folder or None)


def _trusting(path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except (ssl.SSLError, ValueError):
        raise FileError("ca_file", f"{path} holds no certificate, expected one or more in PEM") from None


def _add_certificate(settings: ssl.SSLContext, cert: str, key: str | None) -> None:
    def no_password() -> str:  # without it, OpenSSL would ask on the terminal
        raise FileError(
            "client_key" if key else "client_cert", f"{key or cert} is encrypted, expected a key without a password"
        )

    try:
        settings.load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise FileError(
                "client_key" if key else "client_cert", f"{key or cert} holds a key that is not the one of {cert}"
            ) from None
        if key and _has_certificate(cert):
            raise FileError("client_key", f"{key} holds no key, expected one in PEM") from None
        expected = "a certificate in PEM" if key else "a certificate and its key in PEM, or client_key with the key"
        raise FileError("client_cert", f"{cert} cannot be used, expected {expected}") from None


def _has_certificate(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True
