"""Signatures of requests after Standard Webhooks 1.0.0, for the sender and the receiver.

The signed content is ``id.timestamp.body``, and the signature its HMAC-SHA256. While a secret is rotated, a request has
one signature for each secret.

See https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.service_errors import AgeError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE = 300
"""Seconds that the timestamp of a request may differ from the receiver's clock; the official libraries use the same."""

SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets start with, not a secret
SECRET_BYTES = 32
"""The standard demands 24 to 64 bytes. RFC 2104 recommends as many as the hash has, which are 32."""
_LEAST_SECRET_BYTES = 8
"""A shorter key can be found in days, by trying all of them."""
_NEVER_AROUND = " \t\r\n\ufeff\"'"
"""What files and shells leave around a secret: spaces, line breaks, a byte order mark, the quotes of an `.env` file."""
_MAX_SIGNATURES = 32
"""Signatures in one header that are compared: more than a rotation needs, and few enough for a hostile header."""


def new_secret() -> str:
    """Return a new secret: ``whsec_`` and the base64 of 32 random bytes."""
    return SECRET_PREFIX + base64.b64encode(os.urandom(SECRET_BYTES)).decode()


def decode_secret(text: str) -> bytes:
    """Return the key for the text of a secret.

    After ``whsec_`` the text is base64, with or without padding. Any other text is the key itself, in UTF-8.

    Raises:
        ConfigError: the text is empty, too short or has something around it that does not belong to it, or what follows
            ``whsec_`` is not base64. The message does not quote the text.
    """
    if not text.strip(_NEVER_AROUND):
        raise ConfigError("the secret is empty; make one with `swarmtask secret`")
    if text != text.strip(_NEVER_AROUND):
        raise ConfigError(
            "the secret starts or ends with a space, a line break, a quote or a byte order mark: remove it"
        )
    if SECRET_PREFIX in text[1:]:
        raise ConfigError(f"the secret has something before {SECRET_PREFIX}: remove it")
    if not text.startswith(SECRET_PREFIX):
        key = text.encode("utf-8", "surrogateescape")
    else:
        encoded = text[len(SECRET_PREFIX) :].rstrip("=")
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(
                f"a secret that starts with {SECRET_PREFIX} must go on in base64; make one with `swarmtask secret`"
            ) from None
    if len(key) < _LEAST_SECRET_BYTES:
        found = f"the secret has {len(key)} bytes, expected at least {_LEAST_SECRET_BYTES}"
        raise ConfigError(f"{found}; make one with `swarmtask secret`")
    return key


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the ``webhook-signature`` header: ``v1,<base64>`` for each secret, separated by spaces."""
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return " ".join([_signature(secret, content) for secret in secrets])


def _signature(secret: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(secret, content, "sha256")).decode()


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Mapping[str, Sequence[bytes]],
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Return the id of a request and the names of those who have signed it.

    Args:
        headers: the headers of the request, with names in any case.
        body: the bytes received, before any parsing.
        keys: the names of possible signers, such as roles, each with the keys of which one must match.
        tolerance: seconds that the timestamp may differ from `now`.
        now: seconds since the epoch; by default the current time.

    Raises:
        SignatureError: a header is missing or malformed, the timestamp is too old or in the future, or no signature
            matches. The message says which.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    message_id = _header(lowered, "webhook-id")
    if "." in message_id or not message_id.isprintable():
        # Only dots separate the parts of the signed content, so one in the id could shift them.
        raise SignatureError("webhook-id holds a '.' or another character that the standard forbids")
    timestamp = _timestamp(_header(lowered, "webhook-timestamp"))
    _check_age(timestamp, time.time() if now is None else now, tolerance)
    offered = _header(lowered, "webhook-signature").split(" ")[:_MAX_SIGNATURES]
    expected = {name: sign(its_keys, message_id, timestamp, body).split() for name, its_keys in keys.items()}
    signers = tuple([name for name, signatures in expected.items() if _matches(offered, signatures)])
    if not signers:
        raise SignatureError("no signature matches: another secret was used, or the request was changed on its way")
    return message_id, signers


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "").strip()
    if not value:
        raise SignatureError(f"the header {name} is missing")
    return value


def _timestamp(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise SignatureError(f"webhook-timestamp is {text[:40]!r}, expected whole seconds since 1970")
    return int(text)


def _check_age(timestamp: int, now: float, tolerance: float) -> None:
    age = now - timestamp
    if age > tolerance:
        raise AgeError(f"webhook-timestamp is stale: {age:.0f} s old, at most {tolerance:.0f} s are accepted")
    if -age > tolerance:
        raise AgeError(f"webhook-timestamp lies {-age:.0f} s in the future, at most {tolerance:.0f} s are accepted")


def _matches(offered: Sequence[str], expected: Sequence[str]) -> bool:
    """Whether a signature in the header is one of those expected.

    Every pair is compared, in constant time, so that the time taken does not show which signature was nearly right.
    """
    found = False
    for theirs in offered:
        for ours in expected:
            found |= hmac.compare_digest(theirs.encode("utf-8", "replace"), ours.encode())
    return found
