"""The errors that a process which records may meet, as one tree.

::

    SwarmtaskError            base of every error of this package
    ├── UsageError            wrong arguments of a command or a call
    ├── ConfigError           workflow.yaml or a variable of the environment is invalid
    ├── EventTypeError        an unknown event type (also a ValueError)
    ├── AccessError           the role does not allow it (also a PermissionError)
    ├── JournalError          a journal line that is not an event
    └── …                     those of relays, readers and servers, see `core.service_errors`

Recording must not break the watched process, so only calls that are wrong in themselves raise there: `EventTypeError`,
`UsageError` and `ConfigError` for wrong arguments, `AccessError` for registering a webhook without the permission.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class SwarmtaskError(Exception):
    """Base of every error of this package."""


class UsageError(SwarmtaskError):
    """A command or call has wrong arguments."""


class ConfigError(SwarmtaskError):
    """The configuration is invalid.

    Attributes:
        problems: one complete sentence for each problem found.
    """

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class EventTypeError(SwarmtaskError, ValueError):
    """The event type is unknown."""


class AccessError(SwarmtaskError, PermissionError):
    """The role does not allow it; the message names the role, the permission, and how to get it."""


class JournalError(SwarmtaskError):
    """A line of the journal is not an event."""
