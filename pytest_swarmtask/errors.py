"""What can go wrong, as one tree.

::

    SwarmtaskError
    ├── UsageError        a command or call that cannot be carried out as given
    │   └── TaskManagerError  the task manager's file or service cannot be used as it is
    ├── ConfigError       workflow.yaml or the environment says something we cannot follow
    ├── EventTypeError    not one of the event types (also a ValueError)
    ├── JournalError      a journal line that is not an event
    ├── EndpointError     an endpoint that may not or cannot be connected to
    └── SignatureError    a webhook whose signature does not hold

Nothing of this reaches the watched process except `EventTypeError`, `UsageError` and
`ConfigError`, raised to a caller who passed something wrong.
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


class JournalError(SwarmtaskError):
    """A journal line that is not an event."""


class EndpointError(SwarmtaskError):
    """An endpoint that may not or cannot be connected to."""


class SignatureError(SwarmtaskError):
    """A webhook whose signature does not hold; the message says why."""
