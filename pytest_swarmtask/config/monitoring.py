"""The section `monitoring`: what to warn of, whom to tell, figures, and how long things are kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from pytest_swarmtask.config.fields import (
    Body,
    Count,
    Events,
    Name,
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
    """What all alerts have."""

    name: Annotated[Name, about("Unique name, shown in messages.")]
    enabled: Annotated[bool, about("Whether the alert is in force.")] = True
    when: Annotated[When, about("Which events it looks at.")] = field(default_factory=When)
    notify: Annotated[list[Name], about("Names of notifiers; default: the relay's log.")] = field(default_factory=list)
    severity: Annotated[Literal["info", "warning", "critical"], about("How bad it is.")] = "warning"
    repeat: Annotated[Seconds, about("Seconds before it tells again of what still holds.")] = 3600.0
    resolved: Annotated[bool, about("Whether it tells when all is well again.")] = True
    message: Annotated[Template | None, about("Template of the text; default: what, where, since when, link.")] = None


class FailureAlert(Alert, tag="failure", frozen=True, kw_only=True):
    """One of these events came."""

    events: Annotated[Events, about("The events, globs welcome.")] = field(default_factory=lambda: ["*_FAILED"])


class DurationAlert(Alert, tag="duration", frozen=True, kw_only=True):
    """Something took too long: longer than a limit, or than its own past."""

    events: Annotated[Events, about("The ending events to look at.")] = field(
        default_factory=lambda: ["*_COMPLETED", "TEST_PASSED"]
    )
    above: Annotated[PositiveSeconds | None, about("Limit in seconds.")] = None
    times_median: Annotated[Annotated[float, Meta(gt=1)] | None, about("Limit as a multiple of its own median.")] = None
    runs: Annotated[Count, about("How many past runs make the median.")] = 20


class FailureRateAlert(Alert, tag="failure_rate", frozen=True, kw_only=True):
    """The same thing fails too often."""

    above: Annotated[Percent, about("Percent of the runs that may fail.")]
    events: Annotated[Events, about("The ending events to look at.")] = field(
        default_factory=lambda: ["TASK_*", "BUILD_*", "DEPLOYMENT_*"]
    )
    runs: Annotated[Count, about("How many of the last runs are looked at.")] = 20


class ConsecutiveFailuresAlert(Alert, tag="consecutive_failures", frozen=True, kw_only=True):
    """The same thing failed several times in a row; its next success resolves the alert."""

    count: Annotated[Count, about("How many failures in a row.")] = 3
    events: Annotated[Events, about("The ending events to look at.")] = field(
        default_factory=lambda: ["TASK_*", "BUILD_*", "DEPLOYMENT_*"]
    )


class NewlyFailingAlert(Alert, tag="newly_failing", frozen=True, kw_only=True):
    """A test fails that passed before on this branch."""

    runs: Annotated[Count, about("How far back, in runs, it must have passed.")] = 20


class FlakyAlert(Alert, tag="flaky", frozen=True, kw_only=True):
    """A test both failed and passed on the same commit."""

    runs: Annotated[Count, about("How many of the last runs are looked at.")] = 20


class CoverageAlert(Alert, tag="coverage", frozen=True, kw_only=True):
    """Coverage is too low, or fell."""

    below: Annotated[Percent | None, about("Floor in percent.")] = None
    drop: Annotated[Percent | None, about("Fall in percent points against the run before.")] = None


class SilenceAlert(Alert, tag="silence", frozen=True, kw_only=True):
    """Nothing was heard: a start without its end, or an expected run that did not come."""

    events: Annotated[Events, about("The starting events to look at.")] = field(default_factory=lambda: ["*_STARTED"])
    unfinished: Annotated[PositiveSeconds | None, about("Seconds that a start may stay without its end.")] = None
    every: Annotated[PositiveSeconds | None, about("Seconds within which the next start must come.")] = None


class DeliveryAlert(Alert, tag="delivery", frozen=True, kw_only=True):
    """Deliveries fail or pile up."""

    webhooks: Annotated[list[Text], about("Names of webhooks, globs welcome.")] = field(default_factory=lambda: ["*"])
    waiting: Annotated[Count | None, about("More events than this wait.")] = None
    oldest: Annotated[PositiveSeconds | None, about("An event waits for more seconds than this.")] = None
    dead_letters: Annotated[Count | None, about("At least so many events were refused for good.")] = None


class PluginAlert(Alert, tag="plugin", frozen=True, kw_only=True):
    """What a condition of an installed plug-in says."""

    condition: Annotated[Name, about("Name of the condition, which the plug-in knows.")]
    options: Annotated[dict[str, Any], about("What the condition is given.")] = field(default_factory=dict)
    events: Annotated[Events, about("The events that it is asked about.")] = field(default_factory=lambda: ["*"])


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
    """What all notifiers have."""

    name: Annotated[Name, about("Unique name that alerts and triggers refer to.")]
    most: Annotated[Count, about("Messages per hour, at most; the rest is summed up.")] = 30


class LogNotifier(Notifier, tag="log", frozen=True, kw_only=True):
    """Writes to the relay's log."""


class WebhookNotifier(Notifier, tag="webhook", frozen=True, kw_only=True):
    """Sends a message to a configured webhook."""

    webhook: Annotated[Name, about("Name of a webhook of task_integration.webhooks.")]
    body: Annotated[Body | None, about("JSON object to send; its texts are templates.")] = None


class AppriseNotifier(Notifier, tag="apprise", frozen=True, kw_only=True):
    """Sends a message to chat and mail services (needs the extra `notify`)."""

    urls: Annotated[
        Annotated[list[ServiceUrl], Meta(min_length=1)],
        about("Apprise URLs; what is secret in them as ${NAME}."),
    ]


class GithubNotifier(Notifier, tag="github", frozen=True, kw_only=True):
    """Writes annotations into the log of a GitHub Actions run."""


class PluginNotifier(Notifier, tag="plugin", frozen=True, kw_only=True):
    """Sends a message by what an installed plug-in brings."""

    plugin: Annotated[Name, about("Name of the notifier, which the plug-in knows.")]
    options: Annotated[dict[str, Any], about("What it is given.")] = field(default_factory=dict)


class Metrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Figures for Prometheus."""

    textfile: Annotated[Text | None, about("File for node_exporter's textfile collector; none: not written.")] = None


class Retention(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long and how much is kept. What a sink still waits for is never removed before `undelivered_age`."""

    journal_age: Annotated[PositiveSeconds, about("Seconds that journal files are kept.")] = 30 * 86400.0
    journal_bytes: Annotated[Count, about("Size of the journal, at most.")] = 500_000_000
    history_age: Annotated[PositiveSeconds, about("Seconds that history is kept.")] = 365 * 86400.0
    history_bytes: Annotated[Count, about("Size of the history, at most.")] = 2_000_000_000
    undelivered_age: Annotated[PositiveSeconds, about("Seconds until an undelivered event is a dead letter.")] = (
        7 * 86400.0
    )
    dead_letter_age: Annotated[PositiveSeconds, about("Seconds that dead letters are kept.")] = 90 * 86400.0
    dead_letter_bytes: Annotated[Count, about("Size of the dead letters, at most.")] = 100_000_000


class Monitoring(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Warnings, figures, and how long things are kept."""

    enabled: Annotated[bool, about("Whether any alert is in force.")] = True
    alerts: Annotated[list[AnyAlert], about("What to warn of.")] = field(default_factory=list)
    notifiers: Annotated[
        list[LogNotifier | WebhookNotifier | AppriseNotifier | GithubNotifier | PluginNotifier],
        about("Whom to tell, and how."),
    ] = field(default_factory=list)
    quiet_hours: Annotated[QuietHours | None, about("Local times between which only critical alerts are told.")] = None
    metrics: Annotated[Metrics, about("Figures for Prometheus.")] = field(default_factory=Metrics)
    retention: Annotated[Retention, about("How long and how much is kept.")] = field(default_factory=Retention)
