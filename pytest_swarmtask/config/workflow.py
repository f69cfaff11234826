"""The typed model of `workflow.yaml`. It is frozen, and texts with `${NAME}` stay as they are written.

The docstrings of classes and the descriptions of fields are what editors show, through the JSON Schema that is
generated from this model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field, structs

from pytest_swarmtask.config import otel
from pytest_swarmtask.config.fields import (
    Body,
    ControlGlob,
    Count,
    EventGlob,
    EvidenceBytes,
    Expanded,
    Headers,
    Name,
    Percent,
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
    Words,
    about,
)
from pytest_swarmtask.config.monitoring import Monitoring
from pytest_swarmtask.config.triggers import AutomationTriggers
from pytest_swarmtask.config.variables import mentioned, references

if TYPE_CHECKING:
    from collections.abc import Sequence

Secrets = Variable | Annotated[list[Variable], Meta(min_length=1)]
MappedStatus = Literal[TaskStatus, "unchanged"]


def _names(secrets: str | list[str] | None) -> list[str]:
    return [secrets] if isinstance(secrets, str) else list(secrets or ())


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receiver of events over HTTP. It is inactive while a variable in its URL is unset or empty."""

    name: Annotated[Name, about("Unique name. Deliveries are stored under it, so do not change it.")]
    url: Annotated[
        Url,
        about(
            "Address to which events are posted, such as ${TASKMASTER_WEBHOOK_URL}. With format otlp it is the base, "
            "such as http://localhost:4318. Without it, OTEL_EXPORTER_OTLP_ENDPOINT is used."
        ),
    ] = ""
    secret_env: Annotated[
        Secrets, about("Environment variable with the signing secret; several while you rotate the secret.")
    ] = "AUTOMATION_SECRET_KEY"  # noqa: S105 - the variable's name
    format: Annotated[Literal["cloudevents", "cdevents", "plain", "otlp"], about("Format of events in a request.")] = (
        "cloudevents"
    )
    events: Annotated[list[EventGlob], about("Event types that the webhook gets, also as globs such as 'TASK_*'.")] = (
        field(default_factory=lambda: ["*"])
    )
    batch: Annotated[bool, about("Whether one request may contain several events.")] = False
    max_events: Annotated[Count, about("Largest number of events in a batch.")] = 100
    max_bytes: Annotated[Count, about("Largest size of a batch in bytes.")] = 1_000_000
    max_age: Annotated[Seconds, about("Seconds for which a batch may wait to fill.")] = 1.0
    timeout: Annotated[PositiveSeconds, about("Seconds that one request may take.")] = 10.0
    headers: Annotated[Headers, about("Additional HTTP headers, with secrets as ${NAME}.")] = field(
        default_factory=dict
    )
    allow_http: Annotated[bool, about("Whether http without TLS is allowed to other machines.")] = False
    allow_private: Annotated[bool, about("Whether addresses in private networks are allowed.")] = False
    ca_file: Annotated[
        Expanded | None,
        about("PEM file of certificate authorities to trust instead of the usual ones, relative to the project."),
    ] = None
    client_cert: Annotated[
        Expanded | None, about("PEM file of the client certificate (mutual TLS), relative to the project.")
    ] = None
    client_key: Annotated[
        Expanded | None,
        about("PEM file of the client certificate's key, relative to the project. Default: the same file."),
    ] = None
    logs: Annotated[
        bool, about("Whether format otlp also exports the starts of tests, tasks and builds, as log records.")
    ] = False
    evidence: Annotated[
        bool, about("Whether events contain the evidence of failed tests: tracebacks, output and properties.")
    ] = False
    proxy: Annotated[
        Url | None, about("HTTP proxy, such as ${PROXY_URL}. Default: the proxy that the environment names.")
    ] = None

    def needs(self) -> list[str]:
        """Return the variables without which the webhook is inactive, as `Endpoint.needs` has them."""
        return references(self.url) if self.url else [f"{otel.ENDPOINT} or {otel.TRACES_ENDPOINT}"]

    def variables(self) -> list[str]:
        """Return the names of all environment variables that deliveries depend on."""
        texts = (self.url, *self.headers.values(), *filter(None, (self.proxy, *self.files().values())))
        named = [name for text in texts for name in mentioned(text)]
        return [*self.secrets(), *named, *(() if self.url else otel.VARIABLES)]

    def secrets(self) -> list[str]:
        """Return the names of the variables whose values sign requests; none if requests are not signed."""
        return [] if self.format == "otlp" else _names(self.secret_env)

    def also_signed(self, secrets: Sequence[str]) -> Webhook:
        """Return the same webhook, signed with the values of these variables as well."""
        return structs.replace(self, secret_env=[*self.secrets(), *secrets])

    def files(self) -> dict[str, str | None]:
        """Return the files that TLS needs, by key."""
        return {"ca_file": self.ca_file, "client_cert": self.client_cert, "client_key": self.client_key}


class Redact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Additions to and exceptions from the names whose values are hidden as secrets."""

    keys: Annotated[list[Text], about("Additional endings of names whose values are hidden.")] = field(
        default_factory=list
    )
    allow: Annotated[list[Text], about("Names whose values are shown although they look like secrets.")] = field(
        default_factory=list
    )


class EvidenceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the events of failed tests contain to show why they failed."""

    traceback: Annotated[bool, about("Whether they contain pytest's traceback.")] = True
    output: Annotated[bool, about("Whether they contain the end of captured stdout, stderr and log.")] = True
    bytes: Annotated[EvidenceBytes, about("Largest size of all these texts of one event, in bytes.")] = 32 * 1024


class StatusMap(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="upper"):
    """The status that each type of event gives to its task."""

    task_started: Annotated[MappedStatus, about("When a task starts.")] = "in-progress"
    task_completed: Annotated[MappedStatus, about("When a task is completed.")] = "done"
    task_failed: Annotated[MappedStatus, about("When a task failed.")] = "pending"
    build_started: Annotated[MappedStatus, about("When a build starts.")] = "in-progress"
    build_completed: Annotated[MappedStatus, about("When a build is completed.")] = "done"
    build_failed: Annotated[MappedStatus, about("When a build failed.")] = "pending"
    deployment_started: Annotated[MappedStatus, about("When a deployment starts.")] = "in-progress"
    deployment_completed: Annotated[MappedStatus, about("When a deployment is completed.")] = "done"
    deployment_failed: Annotated[MappedStatus, about("When a deployment failed.")] = "pending"


class Rest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task manager that gets each new status in an HTTP request. Used with `kind: rest`."""

    url: Annotated[UrlTemplate, about("Address of a task, such as https://tasks.example/api/{{task_id}}.")] = ""
    method: Annotated[Literal["PATCH", "PUT", "POST"], about("HTTP method.")] = "PATCH"
    headers: Annotated[Headers, about("Additional HTTP headers, with secrets as ${NAME}.")] = field(
        default_factory=dict
    )
    body: Annotated[Body, about("JSON object to send. Its texts are templates, such as {{status}}.")] = field(
        default_factory=dict
    )
    statuses: Annotated[Words, about("The service's word for each status.")] = field(default_factory=dict)
    timeout: Annotated[PositiveSeconds, about("Seconds that one request may take.")] = 10.0
    allow_http: Annotated[bool, about("Whether http without TLS is allowed to other machines.")] = False
    allow_private: Annotated[bool, about("Whether addresses in private networks are allowed.")] = False


class TaskManagerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The task manager whose tasks get their status from events."""

    enabled: Annotated[bool, about("Whether events set the status of tasks.")] = False
    kind: Annotated[Literal["taskmaster", "rest"], about("Task Master's file, or a service over HTTP.")] = "taskmaster"
    file: Annotated[Text, about("Task Master's file, relative to the project.")] = ".taskmaster/tasks/tasks.json"
    tag: Annotated[Text | None, about("Tag of Task Master. Default: its current tag.")] = None
    titles: Annotated[bool, about("Whether delivered events contain the title of their task.")] = True
    status_map: Annotated[StatusMap, about("The status that each type of event gives to its task.")] = field(
        default_factory=StatusMap
    )
    rest: Annotated[Rest, about("The service for kind: rest.")] = field(default_factory=Rest)


class TaskIntegration(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is recorded, and where events are delivered."""

    enabled: Annotated[bool, about("Whether events are recorded at all.")] = True
    source: Annotated[Expanded | None, about("Name of the project in events. Default: the name of its folder.")] = None
    session_task_id: Annotated[TaskId, about("Task id of a pytest session.")] = "pytest_run"
    variant: Annotated[
        Expanded | None,
        about("What tells sessions of the same tests apart, such as ${DATABASE}. Default: CI job and interpreter."),
    ] = None
    default_branch: Annotated[
        Expanded | None,
        about("Branch that others are compared with. Default: what CI or the remote origin says, else main or master."),
    ] = None
    drain_timeout: Annotated[
        Seconds | None, about("Seconds for which the end of a run waits for deliveries. Default: 2, in CI 10.")
    ] = None
    handler_timeout: Annotated[Seconds, about("Seconds that handlers have at the end of the process.")] = 2.0
    webhooks: Annotated[list[Webhook], about("Receivers of events over HTTP.")] = field(default_factory=list)
    redact: Annotated[Redact, about("Which names mark secrets.")] = field(default_factory=Redact)
    evidence: Annotated[EvidenceConfig, about("What the events of failed tests contain to show why they failed.")] = (
        field(default_factory=EvidenceConfig)
    )
    metadata: Annotated[Texts, about("Metadata to add to the start event of each session, such as team: ${TEAM}.")] = (
        field(default_factory=dict)
    )
    task_manager: Annotated[TaskManagerConfig, about("The task manager whose tasks get their status from events.")] = (
        field(default_factory=TaskManagerConfig)
    )


class Role(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A set of permissions, and how a process proves that it has them."""

    allow: Annotated[list[ControlGlob], about("Permissions, such as 'emit:DEPLOYMENT_*', delivery:replay or '*'.")] = (
        field(default_factory=list)
    )
    token_hash: Annotated[
        TokenHash | None, about("Hash of the token that proves the role. Without it, the role needs no proof.")
    ] = None
    token_env: Annotated[Variable | None, about("Environment variable with the token.")] = None
    secret_env: Annotated[
        Secrets | None,
        about("Environment variable with the role's own signing secret; several while you rotate the secret."),
    ] = None

    def secrets(self) -> list[str]:
        """Return the names of the variables whose values sign for the role."""
        return _names(self.secret_env)


class AccessControl(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Roles and their permissions. Without any role, everything is allowed."""

    default_role: Annotated[
        Name | None, about("Role of a process without a token. If there is none, such a process may do nothing.")
    ] = None
    roles: Annotated[dict[Name, Role], about("The roles by name.")] = field(default_factory=dict)


class ServerProject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A project that writes to the server with a secret of its own."""

    secret_env: Annotated[
        Secrets, about("Environment variable with the project's signing secret; several while you rotate the secret.")
    ]

    def secrets(self) -> list[str]:
        """Return the names of the variables whose values sign for the project."""
        return _names(self.secret_env)


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server of a team, which `swarmtask serve` runs."""

    projects: Annotated[dict[Name, ServerProject], about("Projects with secrets of their own, by name.")] = field(
        default_factory=dict
    )
    read_token_env: Annotated[
        Secrets, about("Environment variable with the token that readers need; several while you rotate the token.")
    ] = "SWARMTASK_READ_TOKEN"  # noqa: S105 - the variable's name

    url: Annotated[
        Url | None, about("Address at which people reach the server. Messages of alerts link to its pages.")
    ] = None

    def read_tokens(self) -> list[str]:
        """Return the names of the variables with the tokens of readers."""
        return _names(self.read_token_env)


class Gate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keeps a run from passing `swarmtask gate`."""

    new_failures: Annotated[
        bool, about("Whether failures count that are neither flaky nor fail on the default branch, too.")
    ] = True
    expired_quarantine: Annotated[
        bool, about("Whether each failure of a test counts whose quarantine has ended, flaky or not.")
    ] = True
    lost_tests: Annotated[
        bool, about("Whether tests count that ran on the default branch, did not run here, and are still in the code.")
    ] = True
    coverage_drop: Annotated[
        Percent | None,
        about("Percentage points of coverage that a run may lose against the default branch. Default: any number."),
    ] = None


class Environment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one environment. Mappings are merged key by key; lists and single values replace others."""

    task_integration: Annotated[TaskIntegration, about("What is recorded, and where events are delivered.")] = field(
        default_factory=TaskIntegration
    )
    automation_triggers: Annotated[AutomationTriggers, about("Rules that act on events.")] = field(
        default_factory=AutomationTriggers
    )
    monitoring: Annotated[Monitoring, about("Alerts, notifiers, metrics, and how long things are kept.")] = field(
        default_factory=Monitoring
    )
    access_control: Annotated[AccessControl, about("Roles and their permissions.")] = field(
        default_factory=AccessControl
    )
    gate: Annotated[Gate, about("What keeps a run from passing.")] = field(default_factory=Gate)
    server: Annotated[Server, about("The server of a team.")] = field(default_factory=Server)


class Workflow(Environment, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of pytest-swarmtask."""

    environments: Annotated[
        dict[Name, Environment],
        about("Settings by environment. WORKFLOW_ENVIRONMENT chooses one; it is merged over the other sections."),
    ] = field(default_factory=dict)
