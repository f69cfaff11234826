"""`AutomationIntegrator`, the way in for Python code, and `trigger_task_event`, its one-line form."""

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
_NOTHING_KNOWN = Redactor({})
load_rules()  # an event may come while the interpreter ends, too late for imports


class _Shared:
    """What all integrators of a project share in one process: the recorder and the handlers."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.handlers = Handlers()
        recorder.listeners.append(self.handlers.dispatch)
        self._warned = False

    def warn(self, event_type: str) -> None:
        """Log, once, that the role does not allow an event; nothing where it was not written for another reason."""
        settings = self.recorder.settings
        if settings.enabled and event_type in settings.access.denied and not self._warned:
            self._warned = True
            _log.warning("%s", settings.access.refusal(f"emit:{event_type}"))


_all_shared: dict[int, _Shared] = {}


def _shared(project: Project | None) -> _Shared:
    recorder = recording.get_recorder(project)
    with recording.making:
        shared = _all_shared.get(id(recorder))
        if shared is None:
            shared = _all_shared[id(recorder)] = _Shared(recorder)
    return shared


class AutomationIntegrator:
    """The way in for Python code: give events, register handlers and webhooks.

    Making one is cheap and may be done anywhere, any number of times: all of them share one journal, one
    set of handlers and one relay. Use it as a context manager to have its handlers and webhooks
    unregistered, and what is under way waited for.

    Args:
        root: the project's folder; by default the one found from the working directory upwards.
    """

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        self._shared = _shared(None if root is None else Project(os.path.abspath(root)))
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
        """Journal an event, and return at once: handlers and delivery go on elsewhere.

        Args:
            event_type: what happened.
            task_id: to which task, build, deployment or test.
            status: by default ``started``, ``completed``, ``failed`` or ``skipped``, after the event type.
            metadata: anything else. Values that JSON cannot carry are described; secrets are hidden.

        Returns:
            The event's id, or None where recording is off, the role of whoever runs this does not allow the event
            (the first time a warning is logged), or the journal could not be written.

        Raises:
            EventTypeError: `event_type` is none.
            UsageError: `metadata` is no mapping.
        """
        name = event_type_name(event_type)
        if metadata is not None and not hasattr(metadata, "keys"):
            raise UsageError(f"metadata is {type(metadata).__name__}, expected a mapping such as a dict")
        event = self._shared.recorder.trigger(name, task_id, status, {} if metadata is None else metadata)
        if event is None:
            self._shared.warn(name)
            return None
        return event.id

    def register_handler(self, event_type: AutomationEventType | str, handler: Handler) -> None:
        """Call `handler(event_type, task_id, metadata)` for each such event of this process from now on.

        Coroutine functions run on a background event loop, where one that blocks holds up the other coroutines;
        plain functions run on a thread of their own.

        Args:
            event_type: an event type, or ``"*"`` for all.
            handler: what to call. What it raises is logged and harms nobody.

        Raises:
            EventTypeError: `event_type` is none.
            UsageError: `handler` cannot be called.
        """
        if not callable(handler):
            raise UsageError(f"handler is {handler!r}, expected a function or another callable")
        pattern = "*" if event_type == "*" else event_type_name(event_type)
        self._shared.handlers.register(pattern, handler, self)

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
        """Deliver what is recorded from now on to one more endpoint, through the relay.

        The keys are those of a webhook in `workflow.yaml`. Secrets are only named: ``${NAME}`` in `url` and
        `headers`, and `secret_env`, are variables of the environment, read by the relay.

        Args:
            url: where to; https, or http on loopback.
            name: under which its deliveries are counted, as in `workflow.yaml`; by default host and path of the URL.
            secret_env: the variable, or variables during rotation, whose values sign.
            events: which event types, as globs such as ``TASK_*``.
            format: what is sent.
            batch: several events in one request.
            headers: further request headers.
            timeout: seconds that one request may take.
            allow_http: plain http to other machines.
            allow_private: private addresses.

        Raises:
            UsageError: the URL is none that can be delivered to, or holds a password; or the name is none.
            AccessError: the role of whoever runs this does not allow ``webhook:register``.
        """
        settings = self._shared.recorder.settings
        if settings.enabled:
            settings.access.require("webhook:register")
        definition: dict[str, Any] = {
            "name": _endpoint_name(url) if name is None else _checked_name(name),
            "url": _checked(url),
            "secret_env": [secret_env] if isinstance(secret_env, str) else list(secret_env),
            "events": list(events),
            "format": format,
            "batch": batch,
            "headers": dict(headers or {}),
            "timeout": timeout,
            "allow_http": allow_http,
            "allow_private": allow_private,
        }
        self._shared.recorder.register_webhook(definition, _variables(definition))
        self._webhooks.append(definition["name"])

    def sync_tasks(self, *, dry_run: bool = False) -> dict[str, str]:
        """Give each task of the task manager the status that the last event of it in the journal says, now.

        Where `task_manager` is enabled in `workflow.yaml` the relay does that by itself.

        Args:
            dry_run: change nothing.

        Returns:
            The new statuses by task id, those of parents included; what was right already is not among them.

        Raises:
            ConfigError: the configuration is not valid.
            UsageError: the task manager's file or service cannot be used as it is; the message says why.
            AccessError: the role of whoever runs this does not allow ``task:sync``.
        """
        from pytest_swarmtask.relay.tasks.sync import synchronize

        self._shared.recorder.settings.access.require(TASKS)
        synced = synchronize(self._shared.recorder.settings.project, os.environ, dry_run=dry_run)
        return {change.task_id: change.after for change in synced.outcome.changes}

    def flush(self, timeout: float | None = None) -> bool:
        """Wait for the handlers under way and for delivery of what this process recorded.

        Args:
            timeout: seconds in all; by default `drain_timeout` of the configuration.

        Returns:
            Whether everything has ended and was delivered (or refused for good) in that time.
        """
        recorder = self._shared.recorder
        left = recorder.settings.drain_timeout if timeout is None else timeout
        begun = recorder.clock.now()
        ended = self._shared.handlers.wait(left)
        return recorder.drain(max(0.0, left - (recorder.clock.now() - begun))) and ended

    def close(self) -> None:
        """Flush, then unregister what was registered through this integrator. It can still be used."""
        self.flush()
        self._shared.handlers.unregister(self)
        for name in self._webhooks:
            self._shared.recorder.unregister_webhook(name)
        self._webhooks.clear()


def trigger_task_event(
    event_type: AutomationEventType | str,
    task_id: str | None = None,
    status: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str | None:
    """Give an event. As `AutomationIntegrator.trigger_event`, but nothing is ever raised: what is wrong is logged."""
    try:
        return AutomationIntegrator().trigger_event(event_type, task_id=task_id, status=status, metadata=metadata)
    except Exception as error:  # noqa: BLE001 - that is the promise
        shown = [_NOTHING_KNOWN.plain(value, 200) for value in (event_type, task_id, error)]
        _log.warning("event %s for %s was not recorded: %s", *shown)
        return None


def _checked(url: str) -> str:
    given: Any = url
    try:
        parts = urlsplit(given if isinstance(given, str) else "")
        usable = (parts.scheme in ("http", "https") and parts.netloc) or parts.geturl().startswith("${")
    except ValueError:
        usable = False
    if not usable:
        shown = _NOTHING_KNOWN.plain(url, 200)
        raise UsageError(f"webhook url is {shown!r}, expected https://… (or http:// on loopback)")
    if "${" not in url and parts.password:
        raise UsageError("webhook url holds a password: name a variable instead, as in https://${TOKEN}@host/")
    return url


def _checked_name(name: str) -> str:
    given: Any = name
    if not isinstance(given, str) or not re.fullmatch(NAME, given):
        raise UsageError(f"webhook name is {_NOTHING_KNOWN.plain(repr(given), 200)}, expected {NAME_IN_WORDS}")
    return name


def _variables(definition: Mapping[str, Any]) -> list[str]:
    """Return the names of the environment variables that a webhook depends on."""
    texts = (definition["url"], *definition["headers"].values())
    return [*definition["secret_env"], *(variable for text in texts for variable in mentioned(text))]


def _endpoint_name(url: str) -> str:
    parts = urlsplit(_checked(url))
    place = f"{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/") or url
    parts_shown = ["…" if part == MASK or is_made(part, 12) else part for part in _NOTHING_KNOWN.text(place).split("/")]
    shown = "/".join(parts_shown)  # the path may be the secret
    return shown if shown == place else f"{shown} {zlib.crc32(place.encode()) & 0xFFFF:04x}"


def _at_exit() -> None:
    for shared in list(_all_shared.values()):
        if not shared.handlers.wait(shared.recorder.settings.handler_timeout):
            _log.warning("handlers were still running after %s s at exit", shared.recorder.settings.handler_timeout)
        shared.handlers.close()


def _after_fork() -> None:
    for shared in _all_shared.values():
        shared.handlers.forked()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
