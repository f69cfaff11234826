"""For those who receive webhooks: is a request genuine, fresh, new, and may its sender say this?

Knows no web framework::

    verifier = Verifier(os.environ["AUTOMATION_SECRET_KEY"])
    try:
        received = verifier.verify(headers, body)  # the bytes as they came
    except WebhookError as error:
        return error.status, str(error)
    for event in received.new:
        ...
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.errors import (
    AgeError,
    BodyError,
    ConfigError,
    SenderError,
    SignatureError,
    SizeError,
    WebhookError,
)
from pytest_swarmtask.core.roles import allows
from pytest_swarmtask.wire import signing
from pytest_swarmtask.wire.cloudevents import CLOUDEVENT_TYPES, PING
from pytest_swarmtask.wire.signing import TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Secrets = str | bytes | Sequence[str | bytes]

__all__ = [
    "AgeError",
    "BodyError",
    "Received",
    "Seen",
    "SenderError",
    "SignatureError",
    "SizeError",
    "Verifier",
    "WebhookError",
    "events_in",
]

MAX_BODY = 5_000_000
"""Bytes of a body that are accepted."""
REMEMBER = 86_400.0
"""Seconds for which the ids of events are remembered."""
MOST_REMEMBERED = 100_000
"""Ids, at most, that are remembered; each takes about 200 bytes."""
_OURS = {outer: name for name, outer in CLOUDEVENT_TYPES.items()}


@dataclass(frozen=True)
class Received:
    """A request that was verified.

    Attributes:
        webhook_id: its `webhook-id`.
        roles: the roles whose secrets have signed it, in the verifier's order; empty for a verifier without roles.
        events: what it carried: the plain events, also out of CloudEvents and CDEvents; what is not ours, as it came.
        new: those of them that are to be acted on: no pings, and none that has come before. Delivery is at least
            once, so a second time is no mischief: answer 2xx and do nothing.
        duplicates: how many had come before.
    """

    webhook_id: str
    roles: tuple[str, ...]
    events: list[dict[str, Any]]
    new: list[dict[str, Any]]
    duplicates: int


class Seen:
    """Remembers ids for a while, within bounds. May be used by several threads.

    Args:
        seconds: how long.
        most: how many; the oldest go first.
        clock: seconds since whenever.
    """

    def __init__(
        self, seconds: float = REMEMBER, most: int = MOST_REMEMBERED, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._until: dict[bytes, float] = {}  # in the order of their expiry

    def __len__(self) -> int:
        return len(self._until)

    def add(self, name: str) -> bool:
        """Remember an id; tell whether it is new."""
        key, now = _digest(name), self._clock()
        with self._lock:
            known = self._until.pop(key, 0.0) > now
            self._until[key] = now + self._seconds
            self._forget_old(now)
        return not known

    def forget(self, name: str) -> None:
        """Take an id for new the next time."""
        with self._lock:
            self._until.pop(_digest(name), None)

    def _forget_old(self, now: float) -> None:
        while self._until:
            oldest = next(iter(self._until))
            if len(self._until) <= self._most and self._until[oldest] > now:
                return
            del self._until[oldest]


def _digest(name: str) -> bytes:
    return hashlib.blake2s(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class Verifier:
    """Checks requests. One for each receiver, kept as long as that runs; may be used by several threads.

    Args:
        secrets: what the sender signs with: a secret as its variable holds it, or several during rotation.
        roles: instead of `secrets`, for each role its secret or secrets, and what it may send: ``"emit:TASK_*"`` and
            the like, as under `allow` in workflow.yaml. A request must be signed by a role that may send all of it.
        tolerance: seconds that the clocks and the time of signing may lie apart.
        max_body: bytes that a body may have.
        remember: seconds for which an event that comes again is known as such; never less than `tolerance` twice.

    Raises:
        ConfigError: there is no secret, or one is malformed; or there are both `secrets` and `roles`, although a
            secret without a role would allow everything.
    """

    def __init__(
        self,
        secrets: Secrets = (),
        *,
        roles: Mapping[str, tuple[Secrets, Iterable[str]]] | None = None,
        tolerance: float = TOLERANCE,
        max_body: int = MAX_BODY,
        remember: float = REMEMBER,
    ) -> None:
        if roles and secrets:
            raise ConfigError("found both secrets and roles, expected one: a secret without a role allows everything")
        senders = roles or {"": (secrets, ("*",))}
        self._keys = {name: _keys(secrets) for name, (secrets, _) in senders.items()}
        self._allowed = {name: tuple(globs) for name, (_, globs) in senders.items()}
        if not all(self._keys.values()):
            raise ConfigError("found no secret, expected the one that the sender signs with (swarmtask secret)")
        self._tolerance = tolerance
        self._max_body = max_body
        self._seen = Seen(max(remember, 2 * tolerance))

    def verify(self, headers: Mapping[str, str], body: bytes) -> Received:
        """Return what a request carries; remember it, so that it is not new a second time.

        Args:
            headers: the request's, their names in any case.
            body: the bytes received, before any parsing.

        Raises:
            SizeError: the body is too large.
            SignatureError: no secret has signed it. `AgeError`: too long ago, or in the future.
            BodyError: it is not JSON, or neither an object nor an array of them.
            SenderError: no role that has signed it may send all of it.
        """
        if len(body) > self._max_body:
            raise SizeError(f"the body has {len(body)} bytes, at most {self._max_body} are accepted")
        webhook_id, signers = signing.check(headers, body, self._keys, tolerance=self._tolerance)
        objects = _objects(body)
        for one in objects:
            self._check_right(signers, one)
        events = [_plain(one) for one in objects]
        fresh = [self._seen.add(_name(signers, webhook_id, i, event)) for i, event in enumerate(events)]
        new = [event for event, is_new in zip(events, fresh, strict=True) if is_new and event.get("type") != PING]
        return Received(webhook_id, tuple(filter(None, signers)), events, new, fresh.count(False))

    def forget(self, received: Received) -> None:
        """Take what was new for new again: call it when it could not be kept and the answer is not 2xx."""
        for i, event in enumerate(received.events):
            if any(event is one for one in received.new):
                self._seen.forget(_name(received.roles or ("",), received.webhook_id, i, event))

    def _check_right(self, signers: Sequence[str], content: dict[str, Any]) -> None:
        for event_type in _claims(content):
            if not any(allows(self._allowed[name], f"emit:{event_type}") for name in signers):
                raise SenderError(f"the role {' or '.join(signers)} may not send {event_type[:100]!r}")


def _keys(secrets: Secrets) -> list[bytes]:
    given = [secrets] if isinstance(secrets, (str, bytes)) else secrets
    return [one if isinstance(one, bytes) else signing.decode_secret(one) for one in given if one]


def _name(signers: Sequence[str], webhook_id: str, position: int, event: Mapping[str, Any]) -> str:
    """Return what an event is remembered under: of its sender, too, so that none can use up the ids of another."""
    event_id = event.get("id")
    own = event_id if isinstance(event_id, str) and event_id else f"{webhook_id}/{position}"
    return "\n".join([*signers, own])


def events_in(body: bytes) -> list[dict[str, Any]]:
    """Return the plain events that a body of any of the formats carries; what is not ours, as it came.

    Raises:
        BodyError: the body is not JSON, or neither an object nor an array of objects.
    """
    return [_plain(one) for one in _objects(body)]


def _objects(body: bytes) -> list[dict[str, Any]]:
    try:
        content = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BodyError(f"the body is not a JSON object or array: {error}") from None
    objects = content if isinstance(content, list) else [content]
    if not all(isinstance(one, dict) for one in objects):
        raise BodyError("the body is not a JSON object or array: it holds something else")
    return objects


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """Return the event of ours that a CloudEvent or CDEvent carries, else the object itself."""
    data = content.get("data")
    for candidate in (data, data.get("customData") if isinstance(data, dict) else None):
        if isinstance(candidate, dict) and "event_type" in candidate:
            return candidate
    return content


def _claims(content: dict[str, Any]) -> list[str]:
    """Return every type that an object claims to be of, so that none is said on the quiet; of a ping none.

    What is no text, or not there, is ``?``, which only a role that may emit everything may send.
    """
    plain, outer = _plain(content), content.get("type")
    carried = plain is not content and isinstance(outer, str) and outer.startswith("dev.cdevents.")
    if outer == PING or carried:  # the type of a CDEvent does not tell which of ours it carries
        outer = None
    given = [
        plain.get("event_type"),
        content.get("event_type"),
        _OURS.get(outer, outer) if isinstance(outer, str) else outer,
    ]
    claims = [one if isinstance(one, str) else "?" for one in given if one is not None]
    return claims or ([] if content.get("type") == PING else ["?"])
