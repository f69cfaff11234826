"""The section `automation_triggers`: rules that act on events."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from pytest_swarmtask.config.fields import (
    Argument,
    Body,
    Events,
    Glob,
    Name,
    PositiveSeconds,
    Seconds,
    TaskId,
    TaskStatus,
    Template,
    TemplateTexts,
    Text,
    about,
)
from pytest_swarmtask.core.event_types import AutomationEventType  # noqa: TC001 - msgspec looks it up


class _Comparison(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    glob: Annotated[Glob | list[Glob] | None, about("The text matches this glob, or one of these.")] = None
    not_glob: Annotated[Glob | list[Glob] | None, about("The text matches none of these globs.")] = None
    exists: Annotated[bool | None, about("There is such a value (true), or there is none (false).")] = None


class TextComparison(_Comparison, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text compared; every key that is given must hold."""

    equals: Annotated[Glob | None, about("The text is this.")] = None
    not_equals: Annotated[Glob | None, about("The text is not this.")] = None


class ValueComparison(_Comparison, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value compared; every key that is given must hold."""

    equals: Annotated[str | bool | int | float | None, about("The value is this.")] = None
    not_equals: Annotated[str | bool | int | float | None, about("The value is not this.")] = None
    gt: Annotated[float | None, about("The number is greater than this.")] = None
    ge: Annotated[float | None, about("The number is at least this.")] = None
    lt: Annotated[float | None, about("The number is less than this.")] = None
    le: Annotated[float | None, about("The number is at most this.")] = None


TextCondition = Glob | list[Glob] | TextComparison
ValueCondition = str | bool | int | float | list[Glob] | ValueComparison


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold of an event. A text is a glob, a list means any of its globs."""

    task_id: Annotated[TextCondition | None, about("The event's task id.")] = None
    status: Annotated[TextCondition | None, about("The event's status, such as failed.")] = None
    outcome: Annotated[TextCondition | None, about("A test's outcome, such as error or xfailed.")] = None
    branch: Annotated[TextCondition | None, about("The branch that the run is on.")] = None
    environment: Annotated[TextCondition | None, about("The WORKFLOW_ENVIRONMENT of the run.")] = None
    source: Annotated[TextCondition | None, about("Who reports.")] = None
    metadata: Annotated[
        dict[str, ValueCondition], about("Metadata by dotted path, such as duration or ci.provider.")
    ] = field(default_factory=dict)


class Action(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"):
    """One thing that a trigger does."""


class RunCommand(Action, tag="run", frozen=True, kw_only=True):
    """Run a command, with the event's fields in its environment; its output goes to the relay's log."""

    command: Annotated[
        Annotated[list[Argument], Meta(min_length=1)],
        about("Program and arguments, each a template; no shell is involved."),
    ]
    cwd: Annotated[Text | None, about("Folder to run in, relative to the project; default: the project.")] = None
    env: Annotated[TemplateTexts, about("Further environment variables, each a template.")] = field(
        default_factory=dict
    )


class CallWebhook(Action, tag="webhook", frozen=True, kw_only=True):
    """Send the event, or a body of your own, to a configured webhook: signed and retried like any other."""

    webhook: Annotated[Name, about("Name of a webhook of task_integration.webhooks.")]
    body: Annotated[Body | None, about("JSON object to send instead of the event; its texts are templates.")] = None


class SetStatus(Action, tag="set_status", frozen=True, kw_only=True):
    """Set the status of a task in the task manager."""

    status: Annotated[TaskStatus, about("The new status.")]
    task_id: Annotated[TaskId | None, about("The task; default: the event's own.")] = None


class Emit(Action, tag="emit", frozen=True, kw_only=True):
    """Emit another event into the same run."""

    event_type: Annotated[AutomationEventType, about("Type of the new event.")]
    task_id: Annotated[TaskId | None, about("Its task id; default: the event's own.")] = None
    metadata: Annotated[TemplateTexts, about("Its metadata; texts are templates.")] = field(default_factory=dict)


class Notify(Action, tag="notify", frozen=True, kw_only=True):
    """Tell people."""

    to: Annotated[Annotated[list[Name], Meta(min_length=1)], about("Names of notifiers of monitoring.notifiers.")]
    message: Annotated[Template | None, about("Template of the text; default: what happened, where, and a link.")] = (
        None
    )


AnyAction = RunCommand | CallWebhook | SetStatus | Emit | Notify


class Trigger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule: on these events, when this holds, do that."""

    name: Annotated[Name, about("Unique name, shown in status and log.")]
    on: Annotated[Events, about("Event types that it listens to; globs such as '*_FAILED' are welcome.")]
    do: Annotated[
        Annotated[list[AnyAction], Meta(min_length=1)],
        about("What is done, in this order."),
    ]
    enabled: Annotated[bool, about("Whether the rule is in force.")] = True
    when: Annotated[When, about("What must hold of the event besides.")] = field(default_factory=When)
    cooldown: Annotated[Seconds, about("Seconds before the rule may fire again.")] = 0.0
    once_per: Annotated[Literal["run", "task", "day"] | None, about("Fire at most once per this.")] = None
    timeout: Annotated[PositiveSeconds, about("Seconds that each action may take.")] = 60.0
    role: Annotated[Name | None, about("Role of access_control that the rule acts as.")] = None


class AutomationTriggers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules that act on events. They run in the relay, never in the watched process."""

    enabled: Annotated[bool, about("Whether any rule is in force.")] = True
    rules: Annotated[list[Trigger], about("The rules.")] = field(default_factory=list)
