"""What an action is: the interface that each kind of action implements, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.config.triggers import Trigger
    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.core.timing import Timing
    from pytest_swarmtask.plugins.sink import PendingEvent
    from pytest_swarmtask.redaction.redactor import Redactor
    from pytest_swarmtask.relay.notify.notifiers import Notifiers


class ActionError(Exception):
    """An action of a rule has failed; the message gives the reason in one line."""


class Firing(NamedTuple):
    """A rule that fires on an event.

    Attributes:
        rule: the rule.
        pending: the event, with its line and its segment in the journal.
        values: what templates may name.
        environment: the `WORKFLOW_ENVIRONMENT` of the event's run, empty without one.
    """

    rule: Trigger
    pending: PendingEvent
    values: Mapping[str, object]
    environment: str

    @property
    def event(self) -> Event:
        """The event."""
        return self.pending.event


@dataclass(frozen=True)
class ActionContext:
    """What actions need besides the firing: the same for all rules of a relay.

    Attributes:
        project: the project.
        environ: the environment of the relay, where `${NAME}` is looked up.
        workflow: the configuration.
        redactor: removes secrets from events and log lines that actions write.
        notifiers: send messages to people.
        timing: waiting times.
    """

    project: Project
    environ: Mapping[str, str]
    workflow: Workflow
    redactor: Redactor
    notifiers: Notifiers
    timing: Timing


class RuleAction(Protocol):
    """One action of a rule. There is one class for each kind, see `pytest_swarmtask.relay.triggers.actions`."""

    def execute(self, firing: Firing, context: ActionContext) -> None:
        """Do it, within the rule's timeout.

        Raises:
            ActionError: it failed.
            ConfigError: a variable that it needs is not set, or a webhook that it names does not exist.
            EndpointError: its webhook may not be connected to.
        """

    def describe(self, values: Mapping[str, object]) -> str:
        """Return in one line what `execute` would do; `${NAME}` is shown as it is written.

        Args:
            values: what templates may name, `task_id` included.
        """

    def required_permissions(self) -> Sequence[str]:
        """Return the permissions that a rule's role needs for this action, besides ``trigger:run``."""
