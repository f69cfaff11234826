"""`AutomationIntegrator`, with which Python code records events, and its one-line form `trigger_task_event`."""

from __future__ import annotations

import atexit
import logging
import os
import re
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_swarmtask.config.variables import mentioned
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.event import MASK, event_type_name
from pytest_swarmtask.core.project import NAME, NAME_IN_WORDS, TASKS, Project
from pytest_swarmtask.recording import recorder as recording
from pytest_swarmtask.redaction.redactor import Redactor, load_rules
from pytest_swarmtask.redaction.values import is_made
from pytest_swarmtask.sources.python.handlers import Handlers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Literal

    from typing_extensions import Self

    from pytest_swarmtask.core.event_types import AutomationEventType
    from pytest_swarmtask.recording.recorder import Recorder
    from pytest_swarmtask.sources.python.handlers import Handler

_log = logging.getLogger("pytest_swarmtask")
_REDACTOR = Redactor({})
"""For messages about arguments: finds secrets by name and format, since it knows no values of the environment."""
load_rules()  # now, because an event may be recorded while the interpreter ends, when imports no longer work


class _Pipeline:
    """The recorder of a project and the handlers that are called after it; one for all integrators of a process."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.handlers = Handlers()
        recorder.listeners.append(self.handlers.dispatch)
        self._has_warned = False

    def warn_if_denied(self, event_type: str) -> None:
        """Log that the role does not allow an event, if that is why it was not recorded. Logs once only."""
        settings = self.recorder.settings
        if settings.enabled and event_type in settings.access.denied and not self._has_warned:
            self._has_warned = True
            _log.warning("%s", settings.access.refusal(f"emit:{event_type}"))


_pipelines: dict[int, _Pipeline] = {}
"""By the identity of the recorder, which lives as long as the process."""


def _get_pipeline(project: Project | None) -> _Pipeline:
    recorder = recording.get_recorder(project)
    with recording.making:
        pipeline = _pipelines.get(id(recorder))
        if pipeline is None:
            pipeline = _pipelines[id(recorder)] = _Pipeline(recorder)
    return pipeline


class AutomationIntegrator:
    """Records events, and registers handlers and webhooks for them.

    Making one is cheap and may be done anywhere, any number of times: all integrators of a project share one journal,
    one set of handlers and one relay. As a context manager it waits at its end for handlers and delivery, and then
    unregisters its own handlers and webhooks.

    Args:
        root: the root of the project; by default the one found from the working directory upwards.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self._pipeline = _get_pipeline(None if root is None else Project(os.path.abspath(root)))
        self._webhooks: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def trigger_event(
        self,
        event_type: AutomationEventType | str,
        task_id: str | None = None,
        status: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str | None:
        """Record an event and return at once; handlers and delivery go on in the background.

        Args:
            event_type: an event type, such as ``TASK_STARTED``.
            task_id: the task, build, deployment or test that the event is about.
            status: by default ``started``, ``completed``, ``failed`` or ``skipped``, after the event type.
            metadata: anything else, as a mapping. Values that JSON cannot carry become text; secrets are hidden.

        Returns:
            The id of the event. None if recording is switched off, if the role of this process does not allow the event
            (the first time, a warning is logged), or if the journal cannot be written.

        Raises:
            EventTypeError: `event_type` is not an event type.
            UsageError: `metadata` is not a mapping, or `status` is one.
        """
        name = event_type_name(event_type)
        if isinstance(status, dict):
            raise UsageError(
                f"status is {type(status).__name__}, expected text; metadata comes after it: metadata={{…}}"
            )
        if metadata is not None and not hasattr(metadata, "keys"):
            raise UsageError(f"metadata is {type(metadata).__name__}, expected a mapping such as a dict")
        event = self._pipeline.recorder.trigger(name, task_id, status, {} if metadata is None else metadata)
        if event is None:
            self._pipeline.warn_if_denied(name)
            return None
        return event.id

    def register_handler(self, event_type: AutomationEventType | str, handler: Handler) -> None:
        """Call `handler(event_type, task_id, metadata)` for each event of this type in this process from now on.

        Coroutine functions run on one background event loop, so one that blocks delays the others. Plain functions run
        on a thread of their own each.

        Args:
            event_type: an event type, or ``"*"`` for all.
            handler: the function. An exception that it raises is logged and has no other effect.

        Raises:
            EventTypeError: `event_type` is not an event type.
            UsageError: `handler` cannot be called.
        """
        if not callable(handler):
            raise UsageError(f"handler is {handler!r}, expected a function or another callable")
        pattern = "*" if event_type == "*" else event_type_name(event_type)
        self._pipeline.handlers.register(pattern, handler, self)

    def register_webhook(  # noqa: PLR0913 - the settings of an endpoint
        self,
        url: str,
        *,
        name: str | None = None,
        secret_env: str | Sequence[str] = "AUTOMATION_SECRET_KEY",  # noqa: S107 - a variable's name
        events: Sequence[str] = ("*",),
        format: Literal["cloudevents", "cdevents", "plain"] = "cloudevents",  # noqa: A002 - the key in workflow.yaml
        batch: bool = False,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        allow_http: bool = False,
        allow_private: bool = False,
    ) -> None:
        """Deliver what is recorded from now on to one more webhook, through the relay.

        The arguments are the keys of a webhook in `workflow.yaml`. Secrets are never passed, only named: ``${NAME}`` in
        `url` and `headers`, and the names in `secret_env`, are environment variables that the relay reads.

        Args:
            url: the URL that receives the events; https, or http on this machine.
            name: the name under which deliveries are counted, as in `workflow.yaml`; by default host and path of the
                URL.
            secret_env: the environment variable with the secret that signs; during rotation several.
            events: the event types to deliver, as globs such as ``TASK_*``.
            format: the format of the body.
            batch: whether one request may carry several events.
            headers: further headers of the request.
            timeout: seconds that one request may take.
            allow_http: whether plain http to other machines is allowed.
            allow_private: whether private addresses are allowed.

        Raises:
            UsageError: the URL is not one that can be delivered to, or has a password in it; or the name is not valid.
            AccessError: the role of this process does not allow ``webhook:register``.
        """
        settings = self._pipeline.recorder.settings
        if settings.enabled:
            settings.access.require("webhook:register")
        definition: dict[str, Any] = {
            "name": _endpoint_name(url) if name is None else _checked_name(name),
            "url": _checked_url(url),
            "secret_env": [secret_env] if isinstance(secret_env, str) else list(secret_env),
            "events": list(events),
            "format": format,
            "batch": batch,
            "headers": dict(headers or {}),
            "timeout": timeout,
            "allow_http": allow_http,
            "allow_private": allow_private,
        }
        self._pipeline.recorder.register_webhook(definition, _variable_names(definition))
        self._webhooks.append(definition["name"])

    def sync_tasks(self, *, dry_run: bool = False) -> dict[str, str]:
        """Update the status of each task in the task manager to that of its last event in the journal, now.

        If `task_manager` is enabled in `workflow.yaml`, the relay does so by itself.

        Args:
            dry_run: return the new statuses and change nothing.

        Returns:
            The new status of each task that changes, by task id, parent tasks included.

        Raises:
            ConfigError: the configuration is not valid.
            UsageError: the file or the service of the task manager cannot be used; the message says why.
            AccessError: the role of this process does not allow ``task:sync``.
        """
        from pytest_swarmtask.relay.tasks.sync import synchronize

        self._pipeline.recorder.settings.access.require(TASKS)
        synced = synchronize(self._pipeline.recorder.settings.project, os.environ, dry_run=dry_run)
        return {change.task_id: change.after for change in synced.outcome.changes}

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the running handlers have ended and the events of this process are delivered.

        Args:
            timeout: seconds for both together; by default `drain_timeout` of the configuration.

        Returns:
            Whether all handlers have ended and all events were delivered, or refused for good, in that time.
        """
        recorder = self._pipeline.recorder
        left = recorder.settings.drain_timeout if timeout is None else timeout
        begun = recorder.clock.now()
        ended = self._pipeline.handlers.wait(left)
        return recorder.drain(max(0.0, left - (recorder.clock.now() - begun))) and ended

    def close(self) -> None:
        """Flush, then unregister the handlers and webhooks of this integrator. It can still be used."""
        self.flush()
        self._pipeline.handlers.unregister(self)
        for name in self._webhooks:
            self._pipeline.recorder.unregister_webhook(name)
        self._webhooks.clear()


def trigger_task_event(
    event_type: AutomationEventType | str,
    task_id: str | None = None,
    status: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str | None:
    """Record an event, as `AutomationIntegrator.trigger_event` does, but log a warning instead of raising."""
    try:
        return AutomationIntegrator().trigger_event(event_type, task_id=task_id, status=status, metadata=metadata)
    except Exception as error:  # noqa: BLE001 - the promise of this function
        shown = [_REDACTOR.plain(value, 200) for value in (event_type, task_id, error)]
        _log.warning("event %s for %s was not recorded: %s", *shown)
        return None


def _checked_url(url: str) -> str:
    given: Any = url
    try:
        parts = urlsplit(given if isinstance(given, str) else "")
        usable = (parts.scheme in ("http", "https") and parts.netloc) or parts.geturl().startswith("${")
    except ValueError:
        usable = False
    if not usable:
        shown = _REDACTOR.plain(url, 200)
        raise UsageError(f"webhook url is {shown!r}, expected https://… (or http:// on loopback)")
    if "${" not in url and parts.password:
        raise UsageError("webhook url holds a password: name a variable instead, as in https://${TOKEN}@host/")
    return url


def _checked_name(name: str) -> str:
    given: Any = name
    if not isinstance(given, str) or not re.fullmatch(NAME, given):
        raise UsageError(f"webhook name is {_REDACTOR.plain(repr(given), 200)}, expected {NAME_IN_WORDS}")
    return name


def _variable_names(definition: Mapping[str, Any]) -> list[str]:
    """Return the names of the environment variables that a webhook depends on."""
    texts = (definition["url"], *definition["headers"].values())
    return [*definition["secret_env"], *(variable for text in texts for variable in mentioned(text))]


def _endpoint_name(url: str) -> str:
    """Return the name of a webhook that was given none: host and path of its URL, without secrets."""
    parts = urlsplit(_checked_url(url))
    location = f"{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/") or url
    segments = _REDACTOR.text(location).split("/")
    # The path can be the secret, as with Slack, and the name is shown in reports.
    shown = "/".join(["…" if segment == MASK or is_made(segment, 12) else segment for segment in segments])
    # A checksum tells apart two webhooks that are the same but for their secret.
    return shown if shown == location else f"{shown} {zlib.crc32(location.encode()) & 0xFFFF:04x}"


def _at_exit() -> None:
    for pipeline in list(_pipelines.values()):
        timeout = pipeline.recorder.settings.handler_timeout
        if not pipeline.handlers.wait(timeout):
            _log.warning("handlers were still running after %s s at exit", timeout)
        pipeline.handlers.close()


def _after_fork() -> None:
    for pipeline in _pipelines.values():
        pipeline.handlers.forked()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
