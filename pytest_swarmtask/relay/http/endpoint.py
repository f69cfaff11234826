"""An HTTP endpoint: its URL, headers and secrets with their variables expanded, and its connection."""

from __future__ import annotations

import base64
import re
import time
from importlib import metadata
from urllib.parse import unquote

import httpx

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError, EndpointError
from pytest_swarmtask.plugins.sink import Stopped
from pytest_swarmtask.relay.http import address, answers, tls
from pytest_swarmtask.relay.http.transport import Transport
from pytest_swarmtask.wire import signing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import Webhook
    from pytest_swarmtask.plugins.sink import SendResult


DEFAULT_SECRET_ENV = "AUTOMATION_SECRET_KEY"  # noqa: S105 - the name of a variable

MAX_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read. A connection can only be used again after the whole body was read."""

ANSWER_TIME = 1.0
"""Seconds that the body of an answer may take after its status line. It is only read to use the connection again."""

_OURS = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection", "accept-encoding"})
"""Headers that every request sets, or that belong to the connection."""

# RFC 9110, section 5: a name is a token, and a value neither begins nor ends with white space.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")


class HttpEndpoint:
    """A webhook with its variables expanded, and its connection.

    Args:
        definition: of the webhook.
        environ: where its variables are looked up.
        root: the folder that relative paths of its files start from.

    Attributes:
        where: scheme and host, for messages. The path and the query of a webhook's URL may be secret.

    Raises:
        ConfigError: a variable is unset, or its value cannot be used; the message does not quote the value.
        EndpointError: the endpoint may not be connected to.
    """

    def __init__(self, definition: Webhook, environ: Mapping[str, str], root: str | os.PathLike[str]) -> None:
        self._url = usable_url(expand(definition.url, environ))
        self.where = f"{self._url.scheme}://{self._url.netloc.decode('ascii')}"
        self._timeout = definition.timeout
        self._secrets = _secrets(definition.secrets(), environ)
        self._headers = request_headers(definition.headers, environ, self._url.userinfo)
        self._transport = transport(definition, self._url, environ, root)

    def post(self, message_id: str, content_type: str, body: bytes, count: int) -> SendResult:
        """Send one request, signed with the time of this attempt, and return the meaning of its answer.

        Args:
            message_id: the idempotency key, the same in each attempt.
            content_type: of the body.
            body: the content.
            count: how many events it has.
        """
        timestamp = int(time.time())
        headers = [
            *self._headers,
            ("content-type", content_type),
            ("webhook-id", message_id),
            ("webhook-timestamp", str(timestamp)),
        ]
        if self._secrets:
            headers.append(("webhook-signature", signing.sign(self._secrets, message_id, timestamp, body)))
        try:
            response = self._transport.handle_request(httpx.Request("POST", self._url, headers=headers, content=body))
        except EndpointError as error:
            return Stopped(str(error))
        except httpx.TransportError as error:
            return answers.failure(error, self.where, self._timeout)
        finish(self._transport, response)
        return answers.result_of(response, count, self.where)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


def finish(connection: Transport, response: httpx.Response) -> None:
    """Read the body of an answer, so that the connection can be used again, or close the connection if it is too long.

    The status line is the whole result, so errors are ignored here. The body is not decompressed, so a small answer
    cannot become a large one.
    """
    connection.hurry(ANSWER_TIME)
    size = 0
    try:
        for chunk in response.stream:  # type: ignore[union-attr] # ours is a synchronous one
            size += len(chunk)
            if size > MAX_ANSWER:
                break
    except httpx.TransportError:
        pass
    finally:
        response.close()


def usable_url(text: str) -> httpx.URL:
    """Return a URL whose variables are expanded.

    Raises:
        ConfigError: it is no URL for HTTP; the message does not quote it.
    """
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, ValueError):
        raise ConfigError("url is not a valid URL once its variables are filled in") from None
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise ConfigError("url must start with https:// or http:// and a host once its variables are filled in")
    if url.port is not None and not 0 < url.port < 65536:
        raise ConfigError(f"url names the port {url.port}, expected 1 to 65535")
    return url


def _secrets(names: list[str], environ: Mapping[str, str]) -> list[bytes]:
    """Return the keys to sign with; none if only the default variable is named and it is unset."""
    keys = []
    for name in names:
        value = environ.get(name)
        if value:
            try:
                keys.append(signing.decode_secret(value))
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from None
        elif name != DEFAULT_SECRET_ENV:
            raise ConfigError(f"the environment variable {name} (secret_env) is not set, so nothing can be signed")
    return keys


def request_headers(
    configured: Mapping[str, str], environ: Mapping[str, str], userinfo: bytes
) -> list[tuple[str, str]]:
    """Return the headers of every request to an endpoint.

    Args:
        configured: names, and values with variables.
        environ: where variables are looked up.
        userinfo: ``user:password`` of the URL, percent-encoded, which becomes an `Authorization` header.

    Raises:
        ConfigError: a configured header cannot be used; the message does not quote its value.
    """
    headers = {"user-agent": f"pytest-swarmtask/{_version()}", "accept": "*/*", "accept-encoding": "identity"}
    if userinfo:
        user, _, password = userinfo.decode("ascii").partition(":")
        token = f"{unquote(user)}:{unquote(password)}".encode()
        headers["authorization"] = "Basic " + base64.b64encode(token).decode()
    for name, template in configured.items():
        lowered = name.lower()
        if lowered in _OURS or lowered.startswith("webhook-"):
            raise ConfigError(f"headers: {name!r} is set with every request and cannot be configured")
        value = expand(template, environ)
        if not _HEADER_NAME.fullmatch(name) or (value and not _HEADER_VALUE.fullmatch(value)):
            raise ConfigError(f"headers: {name!r} or its value holds a character that HTTP does not allow")
        headers[lowered] = value
    return list(headers.items())


def _version() -> str:
    try:
        return metadata.version("pytest-swarmtask")
    except metadata.PackageNotFoundError:
        return "unknown"


def transport(
    definition: Webhook, url: httpx.URL, environ: Mapping[str, str], root: str | os.PathLike[str]
) -> Transport:
    """Return a connection to the host of a URL, as the webhook's definition allows it.

    Raises:
        EndpointError: the host may not be connected to.
    """
    allow_http = definition.allow_http or url.scheme == "https"

    def resolve(host: str, port: int, timeout: float) -> list[str]:
        return address.resolve(
            host, port, allow_private=definition.allow_private, allow_http=allow_http, timeout=timeout
        )

    if definition.proxy:
        proxy: str | None = address.proxy_url(expand(definition.proxy, environ), url.host)
    else:
        proxy = address.proxy_for(url.scheme, url.host)
    if proxy and not allow_http:
        raise EndpointError(f"{url.host} would get the events unencrypted: use https, or set allow_http: true")
    context = tls.context(definition, environ, root) if url.scheme == "https" else None
    try:
        return Transport(definition.timeout, resolve, context, proxy)
    except (httpx.InvalidURL, ValueError):
        raise EndpointError("the URL of the proxy is not valid") from None
