"""The meaning of an endpoint's answer for the events that were sent."""

from __future__ import annotations

import email.utils
import re
import time
from datetime import timezone
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pytest_swarmtask.plugins.sink import Delivered, Disabled, Rejected, Retry, Split, Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_swarmtask.plugins.sink import SendResult
    from pytest_swarmtask.relay.http.transport import Answer

MAX_RETRY_AFTER = 3600.0
"""The longest wait in seconds that a receiver may ask for."""

_RETRIED = frozenset({408, 425, 429})
"""Statuses below 500 that are about the moment: Request Timeout, Too Early, Too Many Requests."""
_STOPPING = {
    401: "it does not accept the signature or the credentials: compare its secret with the one in secret_env",
    403: "it does not let this sender in: compare its secret and its rules with secret_env and headers",
    407: "the proxy wants credentials: put them into the proxy's URL in the environment",
}
_UNSIGNED = "the request was not signed, because no secret is set: set the variable that secret_env names, or headers"
"""The advice for 401 and 403 if there is nothing to compare."""
NO_ADDRESS = (404, 405)
"""Statuses of an address at which nobody takes events. A receiver may also answer them to a single event."""


def result_of(answer: Answer, count: int, where: str, *, is_signed: bool = True) -> SendResult:
    """Return the meaning of an answer. Only its status and headers count.

    Args:
        answer: the answer.
        count: how many events were sent.
        where: the endpoint for messages, without secrets.
        is_signed: whether the request had a signature or credentials.
    """
    status = answer.status
    said = f"{where} answered {phrase(status)}"
    if 200 <= status < 300:
        return Delivered()
    if status in _RETRIED or not 300 <= status < 500:
        return Retry(said, retry_after(answer.headers.get("retry-after")))
    if status < 400:
        return Stopped(
            f"{said}, a redirect{_target(answer.headers)}; it is not followed: put the final address into url"
        )
    return _refusal(status, count, said, is_signed=is_signed)


def _refusal(status: int, count: int, said: str, *, is_signed: bool) -> SendResult:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and not is_signed:
        return Stopped(f"{said}: {_UNSIGNED}")
    if status in _STOPPING:
        return Stopped(f"{said}: {_STOPPING[status]}")
    if status == HTTPStatus.GONE:
        return Disabled(f"{said}: it wants no more events")
    # One event may be at fault, or the size. A single event that is split is rejected, see `Split`.
    if count > 1 or status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Split(said)
    return Rejected(said)


def phrase(status: int) -> str:
    """Return a status with its reason, such as ``404 Not Found``."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _target(headers: Mapping[str, str]) -> str:
    """Return the target of a redirect: only its host, because the rest may contain a secret."""
    try:
        host = urlsplit(headers.get("location", "")).hostname or ""
    except ValueError:
        return ""
    return f" to {host[:100]}" if host.isprintable() and host else ""


def retry_after(text: str | None, now: float | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, from 0 to `MAX_RETRY_AFTER`; None if it is invalid.

    Args:
        text: the value of the header, a number of seconds or one of the three forms of an HTTP date, which are all
            in UTC (RFC 9110, sections 10.2.3 and 5.6.7).
        now: seconds since the epoch; the present if None.
    """
    if text is None:
        return None
    if re.fullmatch(r"\s*-?[0-9]+\s*", text):
        seconds = float(text[:20])  # cut, as a number with hundreds of digits overflows a float
    else:
        at = _http_date(text)
        if at is None:
            return None
        seconds = at - (time.time() if now is None else now)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def date_of(answer: Answer) -> float | None:
    """Return the time of the receiver's clock, in seconds since the epoch, from the header `Date`; None without it."""
    text = answer.headers.get("date")
    return None if text is None else _http_date(text)


def _http_date(text: str) -> float | None:
    try:
        at = email.utils.parsedate_to_datetime(text)
        # A form without a zone, or with -0000, gives a time that Python would read as local.
        return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
