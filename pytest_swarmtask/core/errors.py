"""What can go wrong, as one tree.

::

    SwarmtaskError
    ├── UsageError            a command or call that cannot be carried out as given
    │   └── TaskManagerError  the task manager's file or service cannot be used as it is
    ├── ConfigError           workflow.yaml or the environment says something we cannot follow
    ├── EventTypeError        not one of the event types (also a ValueError)
    ├── AccessError           the role of whoever runs this does not allow it (also a PermissionError)
    ├── JournalError          a journal line that is not an event
    ├── HistoryError          a history that cannot be read or written now
    ├── EndpointError         an endpoint that may not or cannot be connected to
    └── WebhookError          a request that a receiver should refuse; its `status` is the answer to give
        ├── SignatureError    401: the signature does not hold
        │   └── AgeError      401: it was signed too long ago, or in the future
        ├── SenderError       403: whoever signed it may not send such events
        ├── BodyError         400: the body is not what it should be
        └── SizeError         413: the body is too large

Nothing of this reaches the watched process except `EventTypeError`, `UsageError`, `ConfigError` and
`AccessError`, raised to a caller who passed something wrong or registers a webhook without the right to.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class SwarmtaskError(Exception):
    """Base of every error of this package."""


class UsageError(SwarmtaskError):
    """A command or call that cannot be carried out as given."""


class TaskManagerError(UsageError):
    """The task manager's file or service cannot be used as it is.

    Attributes:
        passing: whether it may work by itself a little later.
        refused: whether the service refused just this change, for good.
        after: seconds that the service asked us to wait, or None.
    """

    def __init__(
        self, message: str, *, passing: bool = False, refused: bool = False, after: float | None = None
    ) -> None:
        self.passing = passing
        self.refused = refused
        self.after = after
        super().__init__(message)


class ConfigError(SwarmtaskError):
    """The configuration says something that cannot be followed.

    `problems` holds one complete sentence for each thing found.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class EventTypeError(SwarmtaskError, ValueError):
    """Not one of the event types."""


class AccessError(SwarmtaskError, PermissionError):
    """Something that the role does not allow; the message names role, control and what would grant it."""


class JournalError(SwarmtaskError):
    """A journal line that is not an event."""


class HistoryError(SwarmtaskError):
    """A history that cannot be read or written now; the message says why and what to do."""


class EndpointError(SwarmtaskError):
    """An endpoint that may not or cannot be connected to."""


class WebhookError(SwarmtaskError):
    """A request that a receiver should refuse; the message says why and quotes no secret.

    Attributes:
        status: the HTTP status to answer with.
    """

    status = 400


class SignatureError(WebhookError):
    """A webhook whose signature does not hold; the message says why."""

    status = 401


class AgeError(SignatureError):
    """A webhook that was signed too long ago, or in the future: late, or caught and sent again by somebody else."""


class SenderError(WebhookError):
    """A webhook whose signature holds, with events in it that its sender may not send."""

    status = 403


class BodyError(WebhookError):
    """A webhook whose body is not a JSON object or an array of them."""


class SizeError(WebhookError):
    """A webhook whose body is larger than the receiver takes."""

    status = 413
