"""The errors of relays, readers and servers, as one tree. A process that records does not load them.

::

    SwarmtaskError
    ├── UsageError
    │   └── TaskManagerError  the task manager's file or service cannot be used
    ├── ArtifactError         a file or archive with segments that cannot be read, or not to its end
    │   └── ArtifactTooLargeError  it holds more than may be read
    ├── HistoryError          a history that cannot be read or written now
    ├── StoreAwayError        the database of a server that cannot be reached now
    ├── UnknownProjectError   a project that a server does not have
    ├── EndpointError         an endpoint whose address is refused or cannot be found
    └── WebhookError          a request that a receiver should refuse with its `status`
        ├── SignatureError    401: the signature is wrong or missing
        │   └── AgeError      401: the request was signed too long ago, or in the future
        ├── SenderError       403: the role that signed it may not send such events
        ├── BodyError         400: the body is not JSON, or not an object or array
        └── SizeError         413: the body is too large, or has too many events

The others, and the base, are in `core.errors`: each of these classes costs the start of every session a hundred
thousand instructions.
"""

from __future__ import annotations

from pytest_swarmtask.core.errors import SwarmtaskError, UsageError


class TaskManagerError(UsageError):
    """The task manager's file or service cannot be used.

    Attributes:
        passing: whether the problem may go away by itself.
        refused: whether the service refused this one change for good, so that others may still work.
        after: seconds that the service asked us to wait, or None.
    """

    def __init__(
        self, message: str, *, passing: bool = False, refused: bool = False, after: float | None = None
    ) -> None:
        self.passing = passing
        self.refused = refused
        self.after = after
        super().__init__(message)


class ArtifactError(SwarmtaskError):
    """A file or archive that should hold segments cannot be read, or not to its end; the message says why."""


class ArtifactTooLargeError(ArtifactError):
    """It holds more than may be read."""


class HistoryError(SwarmtaskError):
    """The history cannot be read or written now; the message says why and what to do."""


class StoreAwayError(SwarmtaskError):
    """The database of a server cannot be reached now. A sender should try again later."""


class UnknownProjectError(SwarmtaskError):
    """A server has no project of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no project {name!r}")


class EndpointError(SwarmtaskError):
    """An endpoint must not be connected to, because of its address, or cannot be found."""


class WebhookError(SwarmtaskError):
    """A receiver should refuse a request; the message says why and quotes no secret.

    Attributes:
        status: the HTTP status to answer with.
    """

    status = 400


class SignatureError(WebhookError):
    """The signature is wrong or missing; the message says which."""

    status = 401


class AgeError(SignatureError):
    """The request was signed too long ago, or in the future. It is late, or somebody else sends it a second time."""


class SenderError(WebhookError):
    """The signature is right, but the role that signed may not send such events."""

    status = 403


class BodyError(WebhookError):
    """The body is not a JSON object or an array of objects."""


class SizeError(WebhookError):
    """The body is larger than the receiver accepts, or has more events."""

    status = 413
