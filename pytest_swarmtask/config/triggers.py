"""The section `automation_triggers`: rules that act on events.

The docstrings of classes and the descriptions of fields are what editors show, through the JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from pytest_swarmtask.config.fields import (
    Argument,
    Body,
    Events,
    Expanded,
    Glob,
    Key,
    Name,
    Plain,
    PositiveSeconds,
    Seconds,
    TaskId,
    TaskStatus,
    Template,
    TemplateTexts,
    about,
)
from pytest_swarmtask.core.event_types import AutomationEventType  # noqa: TC001 - msgspec looks it up


class _Comparison(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    glob: Annotated[Glob | list[Glob] | None, about("The text matches this glob, or one of these globs.")] = None
    not_glob: Annotated[Glob | list[Glob] | None, about("The text matches none of these globs.")] = None
    exists: Annotated[bool | None, about("The value exists (true), or it does not (false).")] = None


class TextComparison(_Comparison, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A comparison of a text. All given keys must be true."""

    equals: Annotated[Glob | None, about("The text is equal to this.")] = None
    not_equals: Annotated[Glob | None, about("The text is different from this.")] = None


class ValueComparison(_Comparison, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A comparison of a value. All given keys must be true."""

    equals: Annotated[Plain | bool | int | float | None, about("The value is equal to this.")] = None
    not_equals: Annotated[Plain | bool | int | float | None, about("The value is different from this.")] = None
    gt: Annotated[float | None, about("The number is greater than this.")] = None
    ge: Annotated[float | None, about("The number is at least this.")] = None
    lt: Annotated[float | None, about("The number is less than this.")] = None
    le: Annotated[float | None, about("The number is at most this.")] = None


TextCondition = Glob | list[Glob] | TextComparison
ValueCondition = Plain | bool | int | float | list[Glob] | ValueComparison


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Conditions on an event, all of which must be true. A text is a glob; a list of globs means any of them."""

    task_id: Annotated[TextCondition | None, about("The event's task id.")] = None
    status: Annotated[TextCondition | None, about("The event's status, such as failed.")] = None
    outcome: Annotated[TextCondition | None, about("A test's outcome, such as error or xfailed.")] = None
    branch: Annotated[TextCondition | None, about("The branch that the run is on.")] = None
    environment: Annotated[TextCondition | None, about("The WORKFLOW_ENVIRONMENT of the run.")] = None
    source: Annotated[TextCondition | None, about("The project that reports the event.")] = None
    metadata: Annotated[
        dict[Key, ValueCondition],
        about("Values of the event's metadata by dotted path, such as duration or ci.provider."),
    ] = field(default_factory=dict)


class Action(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="action"):
    """An action of a trigger."""


class RunCommand(Action, tag="run", frozen=True, kw_only=True):
    """Run a command with the event's fields in its environment. Its output goes to the relay's log."""

    command: Annotated[
        Annotated[list[Argument], Meta(min_length=1)],
        about("Program and arguments, without a shell. Arguments are templates."),
    ]
    cwd: Annotated[
        Expanded | None,
        about("Folder in which the command runs, relative to the project. Default: the project's folder."),
    ] = None
    env: Annotated[TemplateTexts, about("Additional environment variables. Their values are templates.")] = field(
        default_factory=dict
    )


class CallWebhook(Action, tag="webhook", frozen=True, kw_only=True):
    """Send the event, or a body of your own, to a configured webhook. It is signed, and retried until `timeout`."""

    webhook: Annotated[Name, about("Name of a webhook of task_integration.webhooks.")]
    body: Annotated[Body | None, about("JSON object to send instead of the event. Its texts are templates.")] = None


class SetStatus(Action, tag="set_status", frozen=True, kw_only=True):
    """Set the status of a task in the task manager."""

    status: Annotated[TaskStatus, about("New status of the task.")]
    task_id: Annotated[TaskId | None, about("Id of the task. Default: the event's task.")] = None


class Emit(Action, tag="emit", frozen=True, kw_only=True):
    """Emit another event in the same run."""

    event_type: Annotated[AutomationEventType, about("Type of the new event.")]
    task_id: Annotated[
        TaskId | None, about("Task id of the new event. Default: the task id of the event that fired the rule.")
    ] = None
    metadata: Annotated[TemplateTexts, about("Metadata of the new event. Its texts are templates.")] = field(
        default_factory=dict
    )


class Notify(Action, tag="notify", frozen=True, kw_only=True):
    """Send a message to people."""

    to: Annotated[Annotated[list[Name], Meta(min_length=1)], about("Names of notifiers of monitoring.notifiers.")]
    message: Annotated[
        Template | None, about("Template of the message. Default: what happened, where, and a link.")
    ] = None


AnyAction = RunCommand | CallWebhook | SetStatus | Emit | Notify


class Trigger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule: on these events, if these conditions are true, do these actions."""

    name: Annotated[Name, about("Unique name, shown by `swarmtask status` and in the relay's log.")]
    on: Annotated[Events, about("Event types on which the rule may fire, also as globs such as '*_FAILED'.")]
    do: Annotated[
        Annotated[list[AnyAction], Meta(min_length=1)],
        about("Actions, in this order. After one that fails, the rest is left out."),
    ]
    enabled: Annotated[bool, about("Whether the rule may fire.")] = True
    when: Annotated[When, about("Conditions on the event.")] = field(default_factory=When)
    cooldown: Annotated[Seconds, about("Seconds after a firing before the rule may fire again.")] = 0.0
    once_per: Annotated[
        Literal["run", "task", "day"] | None, about("Fire at most once in each run, for each task, or on each day.")
    ] = None
    timeout: Annotated[PositiveSeconds, about("Seconds that each action may take.")] = 60.0
    role: Annotated[
        Name | None, about("Role of access_control as which the rule acts. Default: the role of the run.")
    ] = None


class AutomationTriggers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules that act on events. They run in the relay, never in the watched process."""

    enabled: Annotated[bool, about("Whether any rule may fire.")] = True
    rules: Annotated[list[Trigger], about("The rules.")] = field(default_factory=list)
