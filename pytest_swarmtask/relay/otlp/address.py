"""Where OTLP requests go, and with which headers: as the webhook says, or as the environment says for it.

The rules are those of https://opentelemetry.io/docs/specs/otel/protocol/exporter/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from pytest_swarmtask.config import otel
from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.relay.http.url import Url, parse_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.config.workflow import Webhook

_TRACES, _LOGS = "/v1/traces", "/v1/logs"
_PROTOCOLS = ("", "http/protobuf")


class OtlpAddress(NamedTuple):
    """Where requests go.

    Attributes:
        traces: the whole URL for spans.
        headers: those that the environment adds, by name.
    """

    traces: Url
    headers: dict[str, str]

    @property
    def logs(self) -> Url:
        """The URL for log records: beside that for spans, so that no header gets to another host.

        Raises:
            ConfigError: the URL for spans does not tell.
        """
        path, mark, query = self.traces.target.partition("?")
        if not path.endswith(_TRACES):
            raise ConfigError(
                f"logs: {otel.TRACES_ENDPOINT} does not end in {_TRACES}, so nobody knows the one for logs"
            )
        return self.traces._replace(target=f"{path.removesuffix(_TRACES)}{_LOGS}{mark}{query}")


def address_of(webhook: Webhook, environ: Mapping[str, str]) -> OtlpAddress:
    """Return the address of a webhook with ``format: otlp``.

    Raises:
        ConfigError: a variable is unset, or its value cannot be used; the message does not quote the value.
    """
    if webhook.url:
        return OtlpAddress(_with_path(parse_url(expand(webhook.url, environ))), {})
    _check_protocol(environ)
    whole, base = environ.get(otel.TRACES_ENDPOINT), environ.get(otel.ENDPOINT)
    if whole:
        url = _parsed(otel.TRACES_ENDPOINT, whole)
    elif base:
        url = _parsed(otel.ENDPOINT, base)
        url = url._replace(target=_appended(url.target))
    else:
        raise ConfigError(f"there is no url, and neither {otel.ENDPOINT} nor {otel.TRACES_ENDPOINT} is set")
    name = otel.TRACES_HEADERS if environ.get(otel.TRACES_HEADERS) else otel.HEADERS
    return OtlpAddress(url, parse_headers(name, environ.get(name, "")))


def _parsed(name: str, value: str) -> Url:
    try:
        return parse_url(value)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _with_path(url: Url) -> Url:
    """Return the URL for spans of a URL in `workflow.yaml`, which may be the base or already the whole one."""
    path = url.target.partition("?")[0]
    return url if path.endswith(_TRACES) else url._replace(target=_appended(url.target))


def _appended(target: str) -> str:
    path, mark, query = target.partition("?")
    return f"{path.rstrip('/')}{_TRACES}{mark}{query}"


def _check_protocol(environ: Mapping[str, str]) -> None:
    name = otel.TRACES_PROTOCOL if environ.get(otel.TRACES_PROTOCOL) else otel.PROTOCOL
    found = environ.get(name, "").strip()
    if found not in _PROTOCOLS:
        raise ConfigError(
            f"{name} is {found[:40]!r}, expected http/protobuf: the address of another protocol does not take it"
        )


def parse_headers(name: str, text: str) -> dict[str, str]:
    """Return the headers of a variable: ``key=value,key=value``, percent-encoded as in W3C Baggage.

    Args:
        name: of the variable, for messages.
        text: its value.

    Raises:
        ConfigError: it has another form; the message does not quote it.
    """
    found = {}
    for number, member in enumerate(text.split(","), 1):
        if not member.strip():
            continue
        key, sign, value = member.partition("=")
        key = key.strip().lower()
        if not sign or not re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]+", key):
            raise ConfigError(f"{name}: its part {number} is not of the form name=value")
        found[key] = unquote(value.strip())
    return found
