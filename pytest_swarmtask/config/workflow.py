"""The typed model of `workflow.yaml`. Frozen; texts with `${NAME}` stay as written.

Each description is what editors show, through the JSON Schema that is made of this model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field, structs

from pytest_swarmtask.config.fields import (
    Body,
    ControlGlob,
    Count,
    EventGlob,
    Headers,
    Name,
    PositiveSeconds,
    Seconds,
    TaskId,
    TaskStatus,
    Text,
    Texts,
    TokenHash,
    Url,
    UrlTemplate,
    Variable,
    about,
)
from pytest_swarmtask.config.monitoring import Monitoring
from pytest_swarmtask.config.triggers import AutomationTriggers
from pytest_swarmtask.config.variables import mentioned

if TYPE_CHECKING:
    from collections.abc import Sequence

Secrets = Variable | Annotated[list[Variable], Meta(min_length=1)]
StatusChange = Literal[TaskStatus, "unchanged"]


def _names(secrets: str | list[str] | None) -> list[str]:
    return [secrets] if isinstance(secrets, str) else list(secrets or ())


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver of events over HTTP. Inactive while a variable that its URL names is unset or empty."""

    name: Annotated[Name, about("Unique name; deliveries are remembered under it, so keep it.")]
    url: Annotated[Url, about("Where events are posted to, such as ${TASKMASTER_WEBHOOK_URL}.")]
    secret_env: Annotated[
        Secrets, about("Environment variable that holds the signing secret; several while you rotate it.")
    ] = "AUTOMATION_SECRET_KEY"  # noqa: S105 - the variable's name
    format: Annotated[Literal["cloudevents", "cdevents", "plain"], about("How an event is written on the wire.")] = (
        "cloudevents"
    )
    events: Annotated[list[EventGlob], about("Event types that it gets; globs such as 'TASK_*' are welcome.")] = field(
        default_factory=lambda: ["*"]
    )
    batch: Annotated[bool, about("Whether several events may come in one request.")] = False
    max_events: Annotated[Count, about("Events in a batch, at most.")] = 100
    max_bytes: Annotated[Count, about("Bytes in a batch, at most.")] = 1_000_000
    max_age: Annotated[Seconds, about("Seconds that a batch may wait to fill.")] = 1.0
    timeout: Annotated[PositiveSeconds, about("Seconds that one request may take.")] = 10.0
    headers: Annotated[Headers, about("Further HTTP headers; secrets in them as ${NAME}.")] = field(
        default_factory=dict
    )
    allow_http: Annotated[bool, about("Whether plain http may leave this machine.")] = False
    allow_private: Annotated[bool, about("Whether the address may be in a private network.")] = False
    ca_file: Annotated[
        Text | None, about("PEM file of the authorities to trust instead of the usual ones, relative to the project.")
    ] = None
    client_cert: Annotated[
        Text | None, about("PEM file of the certificate that we show (mutual TLS), relative to the project.")
    ] = None
    client_key: Annotated[
        Text | None, about("PEM file of its key, where that is not in the same file, relative to the project.")
    ] = None
    proxy: Annotated[
        Url | None, about("HTTP proxy to go through, such as ${PROXY_URL}, whatever the environment says.")
    ] = None

    def variables(self) -> list[str]:
        """Return the environment variables that deliveries to it depend on."""
        texts = (self.url, *self.headers.values(), *filter(None, (self.proxy, *self.files().values())))
        return [*self.secrets(), *(name for text in texts for name in mentioned(text))]

    def secrets(self) -> list[str]:
        """Return the names of the variables whose values sign."""
        return _names(self.secret_env)

    def also_signed(self, secrets: Sequence[str]) -> Webhook:
        """Return the same webhook, signed with the values of these variables as well."""
        return structs.replace(self, secret_env=[*self.secrets(), *secrets])

    def files(self) -> dict[str, str | None]:
        """Return the files that its TLS needs, by key."""
        return {"ca_file": self.ca_file, "client_cert": self.client_cert, "client_key": self.client_key}


class Redact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Additions to and exceptions from what counts as a secret by its name."""

    keys: Annotated[list[Text], about("Further endings of names whose values are hidden.")] = field(
        default_factory=list
    )
    allow: Annotated[list[Text], about("Names whose values are shown although they look secret.")] = field(
        default_factory=list
    )


class StatusMap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="upper"):
    """The status that a task gets by an event."""

    task_started: Annotated[StatusChange, about("When a task starts.")] = "in-progress"
    task_completed: Annotated[StatusChange, about("When a task is completed.")] = "done"
    task_failed: Annotated[StatusChange, about("When a task failed.")] = "pending"
    build_started: Annotated[StatusChange, about("When a build starts.")] = "in-progress"
    build_completed: Annotated[StatusChange, about("When a build is completed.")] = "done"
    build_failed: Annotated[StatusChange, about("When a build failed.")] = "pending"
    deployment_started: Annotated[StatusChange, about("When a deployment starts.")] = "in-progress"
    deployment_completed: Annotated[StatusChange, about("When a deployment is completed.")] = "done"
    deployment_failed: Annotated[StatusChange, about("When a deployment failed.")] = "pending"


class Rest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task manager that is told of a new status by one HTTP request; used with `kind: rest`."""

    url: Annotated[UrlTemplate, about("Address of a task, such as https://tasks.example/api/{{task_id}}.")] = ""
    method: Annotated[Literal["PATCH", "PUT", "POST"], about("HTTP method.")] = "PATCH"
    headers: Annotated[Headers, about("Further HTTP headers; secrets in them as ${NAME}.")] = field(
        default_factory=dict
    )
    body: Annotated[Body, about("JSON object to send; its texts are templates, such as {{status}}.")] = field(
        default_factory=dict
    )
    statuses: Annotated[dict[str, str], about("The other side's word for each of our statuses.")] = field(
        default_factory=dict
    )
    timeout: Annotated[PositiveSeconds, about("Seconds that one request may take.")] = 10.0
    allow_http: Annotated[bool, about("Whether plain http may leave this machine.")] = False
    allow_private: Annotated[bool, about("Whether the address may be in a private network.")] = False


class TaskManagerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the status of tasks is kept in step with events."""

    enabled: Annotated[bool, about("Whether events change the status of tasks.")] = False
    kind: Annotated[Literal["taskmaster", "rest"], about("Task Master's file, or a service over HTTP.")] = "taskmaster"
    file: Annotated[Text, about("Task Master's file, relative to the project.")] = ".taskmaster/tasks/tasks.json"
    tag: Annotated[Text | None, about("Task Master's tag; default: its current one.")] = None
    titles: Annotated[bool, about("Whether events carry the title of their task.")] = True
    status_map: Annotated[StatusMap, about("The status that a task gets by an event.")] = field(
        default_factory=StatusMap
    )
    rest: Annotated[Rest, about("The service, with kind: rest.")] = field(default_factory=Rest)


class TaskIntegration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is recorded and where it goes."""

    enabled: Annotated[bool, about("Whether events are recorded at all.")] = True
    source: Annotated[Text | None, about("Who reports; default: the name of the project's folder.")] = None
    session_task_id: Annotated[TaskId, about("Task id of a pytest session.")] = "pytest_run"
    drain_timeout: Annotated[
        Seconds | None, about("Seconds that the end of a run waits for delivery; default: 2, under CI 10.")
    ] = None
    handler_timeout: Annotated[Seconds, about("Seconds that handlers get at the end of the process.")] = 2.0
    webhooks: Annotated[list[Webhook], about("Receivers of events over HTTP.")] = field(default_factory=list)
    redact: Annotated[Redact, about("What counts as a secret by its name.")] = field(default_factory=Redact)
    metadata: Annotated[Texts, about("Your own additions to the metadata of session events.")] = field(
        default_factory=dict
    )
    task_manager: Annotated[TaskManagerConfig, about("Where the status of tasks is kept in step with events.")] = field(
        default_factory=TaskManagerConfig
    )


class Role(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody may emit and control."""

    allow: Annotated[list[ControlGlob], about("Controls, such as 'emit:DEPLOYMENT_*', delivery:replay or '*'.")] = (
        field(default_factory=list)
    )
    token_hash: Annotated[
        TokenHash | None, about("Hash of the token that proves the role; none: it needs no proof.")
    ] = None
    token_env: Annotated[Variable | None, about("Environment variable that holds the token.")] = None
    secret_env: Annotated[Secrets | None, about("Environment variable that holds the role's own signing secret.")] = (
        None
    )

    def secrets(self) -> list[str]:
        """Return the names of the variables whose values sign as the role."""
        return _names(self.secret_env)


class AccessControl(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Roles. Without any, everything is allowed."""

    default_role: Annotated[
        Name | None, about("Role of whoever proves no other; without one they are allowed nothing.")
    ] = None
    roles: Annotated[dict[Name, Role], about("The roles by name.")] = field(default_factory=dict)


class Environment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one environment sets differently. Mappings are merged key by key; lists and values replace."""

    task_integration: Annotated[TaskIntegration, about("What is recorded and where it goes.")] = field(
        default_factory=TaskIntegration
    )
    automation_triggers: Annotated[AutomationTriggers, about("Rules that act on events.")] = field(
        default_factory=AutomationTriggers
    )
    monitoring: Annotated[Monitoring, about("Alerts, metrics and retention.")] = field(default_factory=Monitoring)
    access_control: Annotated[AccessControl, about("Who may emit and control what.")] = field(
        default_factory=AccessControl
    )


class Workflow(Environment, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of pytest-swarmtask."""

    environments: Annotated[
        dict[Name, Environment], about("What WORKFLOW_ENVIRONMENT picks, merged over the rest.")
    ] = field(default_factory=dict)
