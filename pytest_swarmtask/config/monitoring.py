"""The section `monitoring`: alerts, notifiers, metrics, and how long things are kept.

The docstrings of classes and the descriptions of fields are what editors show, through the JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from pytest_swarmtask.config.fields import (
    Body,
    Count,
    Events,
    Expanded,
    Name,
    Options,
    Percent,
    PositiveSeconds,
    QuietHours,
    Seconds,
    ServiceUrl,
    Template,
    Text,
    about,
)
from pytest_swarmtask.config.triggers import When


class Alert(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """The keys of all alerts."""

    name: Annotated[Name, about("Unique name, shown in messages.")]
    enabled: Annotated[bool, about("Whether the alert is evaluated.")] = True
    when: Annotated[When, about("Conditions on the events that the alert looks at.")] = field(default_factory=When)
    notify: Annotated[list[Name], about("Names of notifiers that send its messages. Default: the relay's log.")] = (
        field(default_factory=list)
    )
    severity: Annotated[Literal["info", "warning", "critical"], about("How serious the alert is.")] = "warning"
    repeat: Annotated[Seconds, about("Seconds before the message of an alert that is still active is sent again.")] = (
        3600.0
    )
    resolved: Annotated[bool, about("Whether a message is sent when the alert is resolved.")] = True
    message: Annotated[
        Template | None, about("Template of the message. Default: what happened, where, since when, and a link.")
    ] = None


class FailureAlert(Alert, tag="failure", frozen=True, kw_only=True):
    """One of these events happened."""

    events: Annotated[Events, about("Event types, also as globs.")] = field(default_factory=lambda: ["*_FAILED"])


class DurationAlert(Alert, tag="duration", frozen=True, kw_only=True):
    """A task or test took too long: longer than a limit, or much longer than before."""

    events: Annotated[Events, about("End events to look at, also as globs.")] = field(
        default_factory=lambda: ["*_COMPLETED", "TEST_PASSED"]
    )
    above: Annotated[PositiveSeconds | None, about("Limit in seconds.")] = None
    times_median: Annotated[
        Annotated[float, Meta(gt=1)] | None, about("Limit as a multiple of the median duration of earlier runs.")
    ] = None
    runs: Annotated[Count, about("How many earlier runs the median is computed from.")] = 20


class FailureRateAlert(Alert, tag="failure_rate", frozen=True, kw_only=True):
    """The same task failed in too many of its last runs."""

    above: Annotated[Percent, about("Percentage of runs that may fail.")]
    events: Annotated[Events, about("End events to look at, also as globs.")] = field(
        default_factory=lambda: ["TASK_*", "BUILD_*", "DEPLOYMENT_*"]
    )
    runs: Annotated[Count, about("How many of the last runs to look at.")] = 20


class ConsecutiveFailuresAlert(Alert, tag="consecutive_failures", frozen=True, kw_only=True):
    """The same task failed several times in a row. Its next success resolves the alert."""

    count: Annotated[Count, about("How many failures in a row activate the alert.")] = 3
    events: Annotated[Events, about("End events to look at, also as globs.")] = field(
        default_factory=lambda: ["TASK_*", "BUILD_*", "DEPLOYMENT_*"]
    )


class NewlyFailingAlert(Alert, tag="newly_failing", frozen=True, kw_only=True):
    """A test fails that passed before on this branch."""

    runs: Annotated[Count, about("In how many of the last runs to look for a success.")] = 20


class FlakyAlert(Alert, tag="flaky", frozen=True, kw_only=True):
    """The last runs of a test show that it is flaky."""

    runs: Annotated[Count, about("How many of the last runs to look at.")] = 20


class CoverageAlert(Alert, tag="coverage", frozen=True, kw_only=True):
    """The coverage is too low, or it fell."""

    below: Annotated[Percent | None, about("Lowest allowed coverage in percent.")] = None
    drop: Annotated[Percent | None, about("Largest allowed fall since the previous run, in percentage points.")] = None


class SilenceAlert(Alert, tag="silence", frozen=True, kw_only=True):
    """A start has no end for too long, or an expected start did not happen."""

    events: Annotated[Events, about("Start events to look at, also as globs.")] = field(
        default_factory=lambda: ["*_STARTED"]
    )
    unfinished: Annotated[PositiveSeconds | None, about("Seconds after a start within which its end must happen.")] = (
        None
    )
    every: Annotated[PositiveSeconds | None, about("Seconds after a start within which the next one must happen.")] = (
        None
    )


class DeliveryAlert(Alert, tag="delivery", frozen=True, kw_only=True):
    """Deliveries fail or pile up."""

    webhooks: Annotated[list[Text], about("Names of webhooks, also as globs.")] = field(default_factory=lambda: ["*"])
    waiting: Annotated[Count | None, about("Largest allowed number of events that wait to be delivered.")] = None
    oldest: Annotated[PositiveSeconds | None, about("Longest time in seconds that an event may wait.")] = None
    dead_letters: Annotated[
        Count | None, about("Number of events refused for good (dead letters) that activates the alert.")
    ] = None


class PluginAlert(Alert, tag="plugin", frozen=True, kw_only=True):
    """A condition of an installed plug-in is true."""

    condition: Annotated[Name, about("Name of the condition in the plug-in.")]
    options: Annotated[Options, about("Options of the condition.")] = field(default_factory=dict)
    events: Annotated[Events, about("Event types that the condition gets, also as globs.")] = field(
        default_factory=lambda: ["*"]
    )


AnyAlert = (
    FailureAlert
    | DurationAlert
    | FailureRateAlert
    | ConsecutiveFailuresAlert
    | NewlyFailingAlert
    | FlakyAlert
    | CoverageAlert
    | SilenceAlert
    | DeliveryAlert
    | PluginAlert
)


class Notifier(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """The keys of all notifiers."""

    name: Annotated[Name, about("Unique name, used by alerts and triggers.")]
    most: Annotated[Count, about("Largest number of messages per hour. Further messages are summed up in one.")] = 30


class LogNotifier(Notifier, tag="log", frozen=True, kw_only=True):
    """Writes messages to the relay's log."""


class WebhookNotifier(Notifier, tag="webhook", frozen=True, kw_only=True):
    """Sends messages to a configured webhook."""

    webhook: Annotated[Name, about("Name of a webhook of task_integration.webhooks.")]
    body: Annotated[Body | None, about("JSON object to send. Its texts are templates.")] = None


class AppriseNotifier(Notifier, tag="apprise", frozen=True, kw_only=True):
    """Sends messages to chat and mail services with Apprise (needs the extra `notify`)."""

    urls: Annotated[
        Annotated[list[ServiceUrl], Meta(min_length=1)],
        about("URLs of Apprise, with secrets as ${NAME}."),
    ]


class GithubNotifier(Notifier, tag="github", frozen=True, kw_only=True):
    """Writes messages as annotations of a GitHub Actions run."""


class PluginNotifier(Notifier, tag="plugin", frozen=True, kw_only=True):
    """Sends messages with an installed plug-in."""

    plugin: Annotated[Name, about("Name of the notifier in the plug-in.")]
    options: Annotated[Options, about("Options of the notifier.")] = field(default_factory=dict)


AnyNotifier = LogNotifier | WebhookNotifier | AppriseNotifier | GithubNotifier | PluginNotifier


class Metrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metrics for Prometheus."""

    textfile: Annotated[
        Expanded | None, about("File for node_exporter's textfile collector. Default: none is written.")
    ] = None


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long and how much is kept. Undelivered events are kept for `undelivered_age` in any case."""

    journal_age: Annotated[PositiveSeconds, about("Seconds for which journal files are kept.")] = 30 * 86400.0
    journal_bytes: Annotated[Count, about("Largest size of the journal in bytes.")] = 500_000_000
    history_age: Annotated[PositiveSeconds, about("Seconds for which the history is kept.")] = 365 * 86400.0
    history_events_age: Annotated[
        PositiveSeconds, about("Seconds for which the history keeps whole events, beside the rows made of them.")
    ] = 30 * 86400.0
    history_bytes: Annotated[Count, about("Largest size of the history in bytes.")] = 2_000_000_000
    undelivered_age: Annotated[
        PositiveSeconds, about("Seconds after which an undelivered event becomes a dead letter.")
    ] = 7 * 86400.0
    dead_letter_age: Annotated[PositiveSeconds, about("Seconds for which dead letters are kept.")] = 90 * 86400.0
    dead_letter_bytes: Annotated[Count, about("Largest size of all dead letters in bytes.")] = 100_000_000


class Monitoring(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Alerts, notifiers, metrics, and how long things are kept."""

    enabled: Annotated[bool, about("Whether any alert is evaluated and metrics are written.")] = True
    alerts: Annotated[list[AnyAlert], about("Alerts: what to warn about.")] = field(default_factory=list)
    notifiers: Annotated[
        list[AnyNotifier],
        about("Notifiers: how messages reach people."),
    ] = field(default_factory=list)
    quiet_hours: Annotated[
        QuietHours | None,
        about("Local times between which only messages of critical alerts are sent, such as 22:00-07:00."),
    ] = None
    metrics: Annotated[Metrics, about("Metrics for Prometheus.")] = field(default_factory=Metrics)
    retention: Annotated[Retention, about("How long and how much is kept.")] = field(default_factory=Retention)
