"""Checks the webhooks that a receiver gets: who has signed them, when, whether they are new, and what they may say.

It does not depend on a web framework::

    verifier = Verifier(os.environ["AUTOMATION_SECRET_KEY"])
    try:
        received = verifier.verify(headers, body)  # the bytes as they arrived
    except WebhookError as error:
        return error.status, str(error)
    for event in received.new:
        ...
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.roles import allows
from pytest_swarmtask.core.service_errors import (
    AgeError,
    BodyError,
    SenderError,
    SignatureError,
    SizeError,
    WebhookError,
)
from pytest_swarmtask.wire import cdevents, signing
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
"""Bytes that a body may have."""
MOST_EVENTS = 10_000
"""Events that a body may have. A body of empty objects has 1.6 million, and each would be looked at."""
REMEMBER = 86_400.0
"""Seconds for which the ids of events are remembered."""
MOST_REMEMBERED = 100_000
"""Ids that are remembered, at most; each takes about 200 bytes."""
_CDEVENTS = "dev.cdevents."
# What an event type looks like, also one of a later version. A glob such as `TASK_*` matches a line break, too.
_EVENT_TYPE = re.compile("[A-Z][A-Z0-9_]*")
_EVENT_TYPES = {cloudevent_type: event_type for event_type, cloudevent_type in CLOUDEVENT_TYPES.items()}


@dataclass(frozen=True)
class Received:
    """A request that was verified.

    Attributes:
        webhook_id: its `webhook-id`.
        roles: the roles that have signed it, in the order of the verifier; empty for a verifier without roles.
        events: the plain events in it, also out of CloudEvents and CDEvents. Other objects are left as they are.
        new: the events to process: no pings, and none that has arrived before. An event can arrive more than once, so
            a request without new ones is not an attack: answer 2xx and do nothing.
        duplicates: number of events that had arrived before.
    """

    webhook_id: str
    roles: tuple[str, ...]
    events: list[dict[str, Any]]
    new: list[dict[str, Any]]
    duplicates: int


class Seen:
    """Remembers ids for a limited time. Several threads may use one.

    Args:
        seconds: the time for which an id is remembered.
        most: number of ids, at most; the oldest are forgotten first.
        clock: returns a time in seconds, from any starting point.
    """

    def __init__(
        self, seconds: float = REMEMBER, most: int = MOST_REMEMBERED, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        # In the order of their expiry. A plain dict would pass over all that it has forgotten to find its first key.
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, name: str) -> bool:
        """Remember an id; return whether it is new."""
        key, now = _digest(name), self._clock()
        with self._lock:
            known = self._until.pop(key, 0.0) > now
            self._until[key] = now + self._seconds
            self._forget_old(now)
        return not known

    def forget(self, name: str) -> None:
        """Forget an id, which is new the next time then."""
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
    """Verifies requests. Make one for each receiver and keep it while the receiver runs. Several threads may use it.

    Args:
        secrets: the secret of the sender, as in its environment variable; during rotation several.
        roles: instead of `secrets`: for each role its secret or secrets, and the permissions to send, such as
            ``"emit:TASK_*"``, as under `allow` in workflow.yaml. Each event in a request must be allowed for a role
            that has signed the request.
        tolerance: seconds that the timestamp of a request may differ from the clock.
        max_body: bytes that a body may have.
        remember: seconds for which an event that arrives again is recognized. At least twice `tolerance` is used, so
            that a request cannot be repeated while its timestamp is valid.

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
        """Return the events of a request, and remember them, so that they are not new a second time.

        Args:
            headers: the headers of the request, with names in any case.
            body: the bytes received, before any parsing.

        Raises:
            SizeError: the body is too large, or has too many events.
            SignatureError: no secret has signed the request, or a header is missing or malformed.
            AgeError: the timestamp is too old or in the future.
            BodyError: the body is not a JSON object or an array of objects.
            SenderError: an event may be sent by none of the roles that have signed the request.
        """
        webhook_id, signers = self.signers(headers, body)
        objects = _objects(body)
        if len(objects) > MOST_EVENTS:
            raise SizeError(f"the body has {len(objects)} events, at most {MOST_EVENTS} are accepted")
        for content in objects:
            self.check(signers, content)
        events = [_plain(content) for content in objects]
        are_new = [self._seen.add(_memory_key(signers, webhook_id, i, event)) for i, event in enumerate(events)]
        new = [event for event, is_new in zip(events, are_new, strict=True) if is_new and event.get("type") != PING]
        return Received(webhook_id, tuple(filter(None, signers)), events, new, are_new.count(False))

    def signers(self, headers: Mapping[str, str], body: bytes) -> tuple[str, tuple[str, ...]]:
        """Return the id of a request and the roles that have signed it. What is in it, `check` looks at.

        Raises:
            SizeError: the body is too large.
            SignatureError: as from `verify`.
        """
        if len(body) > self._max_body:
            raise SizeError(f"the body has {len(body)} bytes, at most {self._max_body} are accepted")
        return signing.verify(headers, body, self._keys, tolerance=self._tolerance)

    def check(self, signers: Sequence[str], content: dict[str, Any]) -> None:
        """Check that those who have signed a request may send an object that is in it.

        Raises:
            SenderError: none of them may send what the object claims to be.
        """
        if self.may_send_anything(signers):
            return
        for event_type in _claimed_types(content):
            if not any(allows(self._allowed[name], f"emit:{event_type}") for name in signers):
                raise SenderError(f"the role {' or '.join(signers)} may not send {event_type[:100]!r}")

    def may_send_anything(self, signers: Sequence[str]) -> bool:
        """Whether one of those who have signed a request may send whatever is in it."""
        return any("*" in self._allowed[name] for name in signers)

    def forget(self, received: Received) -> None:
        """Forget the new events of a request. Call it if you could not process them and do not answer 2xx."""
        for i, event in enumerate(received.events):
            if any(event is new for new in received.new):  # identity, since two events can be equal
                self._seen.forget(_memory_key(received.roles or ("",), received.webhook_id, i, event))


def _keys(secrets: Secrets) -> list[bytes]:
    given = [secrets] if isinstance(secrets, (str, bytes)) else secrets
    return [secret if isinstance(secret, bytes) else signing.decode_secret(secret) for secret in given if secret]


def _memory_key(signers: Sequence[str], webhook_id: str, position: int, event: Mapping[str, Any]) -> str:
    """Return the key under which an event is remembered.

    It contains the signers: otherwise a role could send an id first, and so make the event of another a duplicate.
    """
    event_id = event.get("id")
    unique_id = event_id if isinstance(event_id, str) and event_id else f"{webhook_id}/{position}"
    return "\n".join([*signers, unique_id])


def events_in(body: bytes) -> list[dict[str, Any]]:
    """Return the plain events in a body of any format. Other objects are left as they are.

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
    if not all(isinstance(element, dict) for element in objects):
        raise BodyError("the body is not a JSON object or array: it holds something else")
    return objects


def _plain(content: dict[str, Any]) -> dict[str, Any]:
    """Return the plain event inside of a CloudEvent or CDEvent, else the object itself."""
    data = content.get("data")
    for candidate in (data, data.get("customData") if isinstance(data, dict) else None):
        if isinstance(candidate, dict) and "event_type" in candidate:
            return candidate
    return content


def _claimed_types(content: dict[str, Any]) -> list[str]:
    """Return every event type that an object claims, inside and outside; none for a ping.

    All must be allowed, because it is unknown which of them the receiver looks at. A missing type, or one that no
    event has, is ``?``, which only a role that may emit everything may send.
    """
    plain, outer = _plain(content), content.get("type")
    if outer == PING or _is_cdevent_of(outer, plain.get("event_type")):
        outer = None  # several event types become the same CDEvent, so its type says no more
    found = [
        plain.get("event_type"),
        content.get("event_type"),
        _EVENT_TYPES.get(outer, outer) if isinstance(outer, str) else outer,
    ]
    claimed = [_as_event_type(event_type) for event_type in found if event_type is not None]
    return claimed or ([] if content.get("type") == PING else ["?"])


def _is_cdevent_of(outer: Any, event_type: Any) -> bool:
    """Whether a type of CDEvent is one that this type of event becomes, in any version of CDEvents."""
    if not isinstance(outer, str) or not outer.startswith(_CDEVENTS) or not isinstance(event_type, str):
        return False
    kind = ".".join(outer.removeprefix(_CDEVENTS).split(".")[:2])
    return kind in cdevents.KINDS.get(event_type, ())


def _as_event_type(claimed: Any) -> str:
    return claimed if isinstance(claimed, str) and _EVENT_TYPE.fullmatch(claimed) else "?"
