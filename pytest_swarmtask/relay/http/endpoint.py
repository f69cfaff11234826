"""An HTTP endpoint: its URL, headers and secrets with their variables expanded, and its connection."""

from __future__ import annotations

import re
import time
from http import HTTPStatus

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.service_errors import EndpointError
from pytest_swarmtask.core.version import installed_version
from pytest_swarmtask.plugins.sink import Retry, Stopped
from pytest_swarmtask.relay.http import address, answers, tls
from pytest_swarmtask.relay.http.head import NoAnswerError
from pytest_swarmtask.relay.http.transport import Transport, basic
from pytest_swarmtask.relay.http.url import Url, parse_url
from pytest_swarmtask.wire import signing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import Webhook
    from pytest_swarmtask.plugins.sink import SendResult
    from pytest_swarmtask.relay.http.transport import Answer


DEFAULT_SECRET_ENV = "AUTOMATION_SECRET_KEY"  # noqa: S105 - the name of a variable

_SAME_TIME = 60.0
"""Seconds by which clocks may differ without any harm: receivers accept five minutes."""
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
        status: of the last answer; None before the first one, and if the last request got none.

    Raises:
        ConfigError: a variable is unset, or its value cannot be used; the message does not quote the value.
        EndpointError: the endpoint may not be connected to.
    """

    def __init__(self, definition: Webhook, environ: Mapping[str, str], root: str | os.PathLike[str]) -> None:
        self._url = parse_url(expand(definition.url, environ))
        self.where = self._url.origin
        self._secrets = _secrets(definition.secrets(), environ)
        self._headers = request_headers(definition.headers, environ, self._url)
        self._transport = transport(definition, self._url, environ, root)
        self._ahead = 0.0  # seconds that the receiver's clock is ahead of ours
        self.status: int | None = None

    def post(self, message_id: str, content_type: str, body: bytes, count: int) -> SendResult:
        """Send one request, signed with the time of this attempt, and return the meaning of its answer.

        A receiver refuses a request that was signed long ago or in the future. If its clock says that ours is wrong,
        the request is signed again with the receiver's time.

        Args:
            message_id: the idempotency key, the same in each attempt.
            content_type: of the body.
            body: the content.
            count: how many events it has.
        """
        self.status = None
        try:
            answer = self._request(message_id, content_type, body)
            if answer.status == HTTPStatus.UNAUTHORIZED and self._secrets and self._has_other_time(answer):
                answer = self._request(message_id, content_type, body)
        except EndpointError as error:
            return Stopped(str(error))
        except NoAnswerError as error:
            return Retry(f"{self.where}: {error}")
        self.status = answer.status
        is_signed = bool(self._secrets) or any(name == "authorization" for name, _ in self._headers)
        return answers.result_of(answer, count, self.where, is_signed=is_signed)

    def _request(self, message_id: str, content_type: str, body: bytes) -> Answer:
        timestamp = int(time.time() + self._ahead)
        headers = [
            *self._headers,
            ("content-type", content_type),
            ("webhook-id", message_id),
            ("webhook-timestamp", str(timestamp)),
        ]
        if self._secrets:
            headers.append(("webhook-signature", signing.sign(self._secrets, message_id, timestamp, body)))
        return self._transport.request("POST", self._url, headers, body)

    def _has_other_time(self, answer: Answer) -> bool:
        """Whether the receiver's clock differs from the time that the request was signed with; remember by how much."""
        their = answers.date_of(answer)
        if their is None or abs(their - time.time() - self._ahead) < _SAME_TIME:
            return False
        self._ahead = their - time.time()
        return True

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


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


def request_headers(configured: Mapping[str, str], environ: Mapping[str, str], url: Url) -> list[tuple[str, str]]:
    """Return the headers of every request to an endpoint.

    Args:
        configured: names, and values with variables.
        environ: where variables are looked up.
        url: whose user and password become an `Authorization` header.

    Raises:
        ConfigError: a configured header cannot be used; the message does not quote its value.
    """
    headers = {"user-agent": f"pytest-swarmtask/{installed_version()}", "accept": "*/*", "accept-encoding": "identity"}
    credentials = url.credentials()
    if credentials:
        headers["authorization"] = basic(*credentials)
    for name, template in configured.items():
        lowered = name.lower()
        if lowered in _OURS or lowered.startswith("webhook-"):
            raise ConfigError(f"headers: {name!r} is set with every request and cannot be configured")
        value = expand(template, environ)
        if not _HEADER_NAME.fullmatch(name) or (value and not _HEADER_VALUE.fullmatch(value)):
            raise ConfigError(f"headers: {name!r} or its value holds a character that HTTP does not allow")
        headers[lowered] = value
    return list(headers.items())


def transport(definition: Webhook, url: Url, environ: Mapping[str, str], root: str | os.PathLike[str]) -> Transport:
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
    return Transport(definition.timeout, resolve, context, _proxy(proxy) if proxy else None)


def _proxy(text: str) -> tuple[Url, ssl.SSLContext | None]:
    try:
        url = parse_url(text)
    except ConfigError:
        raise EndpointError("the URL of the proxy is not valid") from None
    return url, tls.trusting_usual() if url.scheme == "https" else None
