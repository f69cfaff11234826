"""A webhook as a sink: each send is one signed request."""

from __future__ import annotations

import base64
import re
import time
import uuid
from fnmatch import fnmatchcase
from importlib import metadata
from typing import TYPE_CHECKING
from urllib.parse import unquote

import httpx

from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.errors import ConfigError, EndpointError
from pytest_swarmtask.events import EVENT_TYPES
from pytest_swarmtask.relay import address, answers, cloudevents, formats, signing, tls
from pytest_swarmtask.relay.sinks import Rejected, Retry, Split, Stopped
from pytest_swarmtask.relay.transport import Transport

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.config.model import Webhook
    from pytest_swarmtask.relay.sinks import Record, Verdict

DEFAULT_SECRET_ENV = "AUTOMATION_SECRET_KEY"  # noqa: S105 - the name of a variable
MAX_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read so that the connection can be used again."""
ANSWER_TIME = 1.0
"""Seconds that the body of an answer may take once its status is known."""

_OURS = frozenset({"host", "content-type", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e\x80-\xff]([\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?")


class WebhookSink:
    """Delivers records to one endpoint. Used from one thread at a time.

    Args:
        definition: what `workflow.yaml` says of it.
        environ: where `${NAME}` and the secrets are looked up, with the first request.
        root: the project's folder, which the paths of files count from.
    """

    def __init__(self, definition: Webhook, environ: Mapping[str, str], root: str | os.PathLike[str] = ".") -> None:
        self.name = definition.name
        self.max_events = definition.max_events if definition.batch else 1
        self.max_bytes = definition.max_bytes
        self.max_age = definition.max_age if definition.batch else 0.0
        self._definition = definition
        self._environ = environ
        self._root = root
        self._format = formats.by_name(definition.format)
        self._content_type = self._format.batch if definition.batch else self._format.single
        self._accepted = {name for name in EVENT_TYPES if any(fnmatchcase(name, glob) for glob in definition.events)}
        self._endpoint: Endpoint | Stopped | None = None

    def __repr__(self) -> str:
        return f"<WebhookSink {self.name}>"

    def accepts(self, event_type: str) -> bool:
        """Tell whether the endpoint's filter lets events of this type through."""
        return event_type in self._accepted

    def send(self, records: Sequence[Record]) -> Verdict:
        """Deliver the records in one request: a batch, or for an endpoint without `batch` a single one."""
        try:
            body = self._format.body(records, batch=self._definition.batch)
        except Exception as error:  # noqa: BLE001 - one odd event must not hold up the others
            reason = f"cannot be written as {self._definition.format}: {error}"
            return Split(reason) if len(records) > 1 else Rejected(reason)
        return self._post(formats.message_id(records), self._content_type, body, len(records))

    def ping(self, source: str = "swarmtask") -> Verdict:
        """Send a signed CloudEvent of the type ``dev.swarmtask.ping``, which a receiver may ignore."""
        batch = self._definition.batch
        message_id = f"ping_{uuid.uuid4().hex}"
        body = cloudevents.ping(message_id, source, time.time(), batch=batch)
        return self._post(message_id, formats.CLOUDEVENT_BATCH if batch else formats.CLOUDEVENT, body, 1)

    def _post(self, message_id: str, content_type: str, body: bytes, count: int) -> Verdict:
        endpoint = self._endpoint
        if endpoint is None:
            endpoint = self._endpoint = self._open()
        if isinstance(endpoint, Stopped):
            return endpoint
        try:
            return endpoint.post(message_id, content_type, body, count)
        except Exception as error:  # noqa: BLE001 - whatever one endpoint does, the relay serves the others
            self.close()
            return Retry(f"{endpoint.where}: unexpected {type(error).__name__}")

    def _open(self) -> Endpoint | Stopped:
        try:
            return Endpoint(self._definition, self._environ, self._root)
        except (ConfigError, EndpointError) as error:
            return Stopped(str(error))

    def tend(self) -> float:
        """Do nothing."""
        return float("inf")

    def close(self) -> None:
        """Close the connection; the next `send` opens it again."""
        if isinstance(self._endpoint, Endpoint):
            self._endpoint.close()
        self._endpoint = None


class Endpoint:
    """A webhook with its variables looked up and its connection at hand.

    Attributes:
        where: scheme and host, to be shown; paths and queries of webhooks hold secrets.

    Raises:
        ConfigError: a variable is unset, or what it holds cannot be used; the message does not quote it.
        EndpointError: the endpoint may not be connected to.
    """

    def __init__(self, definition: Webhook, environ: Mapping[str, str], root: str | os.PathLike[str]) -> None:
        self._url = usable_url(expand(definition.url, environ))
        self.where = f"{self._url.scheme}://{self._url.netloc.decode('ascii')}"
        self._timeout = definition.timeout
        self._secrets = _secrets(definition.secrets(), environ)
        self._headers = request_headers(definition.headers, environ, self._url.userinfo)
        self._transport = transport(definition, self._url, environ, root)

    def post(self, message_id: str, content_type: str, body: bytes, count: int) -> Verdict:
        """Send one request, signed with the time of this attempt, and return what its answer means."""
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
        return answers.verdict(response, count, self.where)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


def finish(connection: Transport, response: httpx.Response) -> None:
    """Read what little body an answer should have; past the bounds the connection is closed instead.

    The status line has told what became of the request, so nothing here changes that. The bytes are not
    decompressed.
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
    """Return an address for HTTP whose variables are filled in.

    Raises:
        ConfigError: it is none; the message does not quote it.
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
    """Return the keys to sign with; none when only the default variable is named and it is unset."""
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
    """Return the headers that every request has.

    Raises:
        ConfigError: one of those configured cannot be used; the message does not quote its value.
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
    """Return a connection to the host of a URL, under the rules that its definition sets.

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
