"""The recorder: it makes events of facts and writes them to the journal. There is one for each process and project.

Every source of events (plugin, emitter, integrator, `swarmtask run`) uses `Recorder.record`. It never raises, whatever
is wrong with disk or permissions: it counts the events that are lost and keeps the first reason.
"""

from __future__ import annotations

import os
from _thread import RLock  # `threading` would cost the start of every process more than is needed of it

from pytest_swarmtask.core.event import EVENT_TYPES, MASK, MAX_FACTS, SHARED, Event, journal_line
from pytest_swarmtask.core.fastjson import encode_basestring
from pytest_swarmtask.core.files import checksum
from pytest_swarmtask.core.project import is_under_ci
from pytest_swarmtask.core.search import find_project, working_directory
from pytest_swarmtask.core.trace import (
    CAUSES,
    Clock,
    Ids,
    is_below_span,
    new_trace_id,
    run_context,
    trace_flags,
    traceparent,
)
from pytest_swarmtask.journal.segments import Journal
from pytest_swarmtask.recording.run_state import SpanBook, is_first_to_say
from pytest_swarmtask.recording.settings import Settings, read_settings
from pytest_swarmtask.recording.truncate import note_redactions, truncate
from pytest_swarmtask.redaction.redactor import Redactor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.recording.deliveries import Deliveries
    from pytest_swarmtask.recording.extra_metadata import ExtraMetadata

_MASK = MASK.encode()
_ENCODED_STATUS = {event_type: encode_basestring(status) for event_type, status in EVENT_TYPES.items()}
_DAY = 86400.0


class Recorder:
    """Makes events and journals them.

    Args:
        settings: the project's settings.
        environ: the variables that name the run, the secrets to hide, and what deliveries depend on.

    Attributes:
        settings: the project's settings.
        clock: gives the time of events; no test suite can stop it.
        trace_id: the run.
        parent_span_id: the span around the next event; the plugin changes it.
        redactor: hides secrets. Callers on the hot path use it on their own strings and pass `cleaned=True`.
        listeners: called with each event after it was journaled; they must not raise or block.
        count: events journaled.
        lost: events that could not be journaled, or that the role does not allow.
        forks: how many forks lie between this process and the one that made the recorder.
        failing: whether the last attempt to write to the journal failed.
        refused: whether the role did not allow one of the events.
        problem: the first reason for a loss, or what is wrong with the configuration, or None.
    """

    __slots__ = (
        "_around",
        "_deliveries",
        "_denied",
        "_encoded_source",
        "_environ",
        "_extra_metadata",
        "_flags",
        "_has_session",
        "_ids",
        "_job_facts",
        "_journal",
        "_lock",
        "_outermost",
        "_source",
        "_spans",
        "_takes_encoded",
        "clock",
        "count",
        "failing",
        "forks",
        "listeners",
        "lost",
        "parent_span_id",
        "problem",
        "redactor",
        "refused",
        "settings",
        "span_id",
        "trace_id",
    )

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.clock = Clock()
        self.trace_id, self.parent_span_id, self._around = run_context(environ, under_ci=is_under_ci(environ))
        self._outermost = self.parent_span_id
        self._has_session = False
        self._flags = trace_flags(environ.get("TRACEPARENT", ""))
        named = {*settings.variables, *settings.access.tokens}
        self.redactor = Redactor(environ, settings.redact_keys, settings.redact_allow, named)
        self._source = self.redactor.text(settings.source, 200)
        self._encoded_source = encode_basestring(self._source)
        self.listeners: list[Callable[[Event], None]] = []
        self.count = 0
        self.lost = 0
        self.forks = 0
        self.failing = False
        self.refused = False
        self.problem: str | None = settings.problem
        self._environ = environ
        self._job_facts = self._read_job_facts()
        self._denied = settings.access.denied
        self._lock = RLock()  # re-entrant, as a signal's handler may record while its thread is recording
        self._ids = Ids()
        self.span_id = self._ids.span
        self._spans = SpanBook(settings.project, self._ids, self.trace_id, self._around)
        self._extra_metadata = self._load_extra_metadata()
        self._takes_encoded = settings.enabled and not self._denied and self._extra_metadata is None
        self._journal = self._new_journal()
        self._deliveries: Deliveries | None = None
        if settings.enabled and settings.endpoints:
            self._deliveries = self._load_deliveries()

    def _read_job_facts(self) -> dict[str, str]:
        """Return what the outermost spans of a CI job tell of the job; empty elsewhere, and below a recorded span."""
        if not is_under_ci(self._environ) or is_below_span(self._environ):
            return {}
        from pytest_swarmtask.core.facts import ci  # only under CI

        return {name: self.redactor.text(text, 200) for name, text in ci.job_facts(self._environ).items()}

    def _load_extra_metadata(self) -> ExtraMetadata | None:
        """Return the object that adds metadata to all events, or None if there is nothing to add."""
        plugins = self.settings.plugins
        if not (plugins or self._environ.get(CAUSES)) or not self.settings.enabled:
            return None
        from pytest_swarmtask.recording.extra_metadata import ExtraMetadata, causes

        return ExtraMetadata(plugins, causes(self._environ), self.redactor, self._complain)

    def _load_deliveries(self) -> Deliveries:
        from pytest_swarmtask.recording.deliveries import Deliveries  # most processes have no endpoint

        return Deliveries(self.settings, self._environ, self._journal, self._complain)

    def _new_journal(self) -> Journal:
        return Journal(self.settings.project.journal, self.trace_id, self._ids, self.clock)

    def _complain(self, problem: str | None) -> None:
        """Keep a problem, unless there was one before: the first is the one to solve."""
        if problem and not self.problem:
            self.problem = _neutral(problem)

    # -- recording ---------------------------------------------------------------------------------------------

    def record(  # noqa: PLR0913 - the fields of an event
        self,
        event_type: str,
        task_id: str | None,
        metadata: Mapping[Any, Any],
        *,
        span_id: str,
        parent_span_id: str | None,
        status: str | None = None,
        now: float | None = None,
        cleaned: bool = False,
        shared: bool = False,
    ) -> Event | None:
        """Journal one event.

        Args:
            event_type: one of `EVENT_TYPES`, not checked here.
            task_id: the task that the event is about, or None.
            metadata: all other facts.
            span_id: the span that this event begins or ends.
            parent_span_id: the span around that one, or None.
            status: the caller's own word for the status; by default that of the event type.
            now: when it happened, seconds since the epoch; by default this moment.
            cleaned: task id, status and metadata went through the redactor already.
            shared: another process may end the span, so it does not end with this process.

        Returns:
            The event, or None if it is lost or recording is off.
        """
        if not self.settings.enabled:
            return None
        if event_type in self._denied:
            self._deny(event_type)
            return None
        shared = shared or (bool(self._denied) and self._is_open_ended(event_type))
        try:
            timestamp = self.clock.timestamp(now)
            if not cleaned:
                task_id, status, metadata = self._cleaned(task_id, status, metadata)
            if self._job_facts and parent_span_id == self._outermost:
                metadata = {**metadata, **self._job_facts}
            if self._extra_metadata is not None:
                metadata = self._extra_metadata.apply(event_type, task_id, metadata)
            event = Event(
                f"{self._ids.event()}{SHARED}" if shared else self._ids.event(),
                event_type,
                task_id,
                status or EVENT_TYPES[event_type],
                timestamp,
                self._source,
                self.trace_id,
                span_id,
                parent_span_id,
                {"timestamp": timestamp, **metadata},
            )
            self._append(event)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, such as a full disk, the watched work goes on
            self._lose(error)
            return None
        for listener in self.listeners:
            listener(event)
        return event

    def record_encoded(  # noqa: PLR0913, PLR0917 - the fields of an event
        self, event_type: str, task_id: str, timestamp: str, metadata: str, span_id: str, parent_span_id: str
    ) -> bool:
        """Journal one event that is redacted and encoded already, in a third of the time of `record`.

        Args:
            event_type: one of `EVENT_TYPES`, with its default status.
            task_id: the task, as JSON.
            timestamp: the present time, as the clock gives it.
            metadata: the metadata as JSON, with the timestamp first.
            span_id: the span that this event begins or ends.
            parent_span_id: the span around that one, as JSON.

        Returns:
            Whether this was possible. If not, `record` must be called: somebody wants to see the event or add to it.
        """
        if self.listeners or not self._takes_encoded:
            return False
        try:
            line = journal_line(
                self._ids.event(),
                event_type,
                task_id,
                _ENCODED_STATUS[event_type],
                timestamp,
                self._encoded_source,
                self.trace_id,
                span_id,
                parent_span_id,
                metadata,
            )
            if len(line) > MAX_FACTS:
                line = truncate(Event.decode(line))
            self._write(line)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, such as a full disk, the watched work goes on
            self._lose(error)
        return True

    def _cleaned(
        self, task_id: str | None, status: str | None, metadata: Mapping[Any, Any]
    ) -> tuple[str | None, str | None, dict[str, Any]]:
        return (
            task_id if task_id is None else self.redactor.plain(task_id),
            status if status is None else self.redactor.plain(status, 100),
            self.redactor.metadata(metadata),
        )

    def _append(self, event: Event) -> None:
        line = event.encode()
        if _MASK in line:
            line = note_redactions(event)
        if len(line) > MAX_FACTS:
            line = truncate(event)
        self._write(line)

    def _write(self, line: bytes) -> None:
        with self._lock:
            self._journal.append(line)
            self.count += 1
            self.failing = False
        deliveries = self._deliveries
        if deliveries is not None and deliveries.needs_relay:
            deliveries.start_relay()

    def _lose(self, error: Exception) -> None:
        with self._lock:
            self.lost += 1
            self.failing = True
        self._complain(f"events could not be written to {self.settings.project.journal}: {error}")

    def denies(self, event_type: str) -> bool:
        """Whether the role does not allow events of this type."""
        return self.settings.enabled and event_type in self._denied

    def _is_open_ended(self, event_type: str) -> bool:
        """Whether the role allows an event that begins a span, but not every event that could end it.

        Then a missing end event does not mean that the process died.
        """
        kind, _, verb = event_type.partition("_")
        return verb == "STARTED" and any(denied.startswith(f"{kind}_") for denied in self._denied)

    def _deny(self, event_type: str) -> None:
        """Count an event that the role does not allow; the first one is also a problem."""
        with self._lock:
            self.lost += 1
            is_first, self.refused = not self.refused, True
        if is_first:
            self._complain(self.settings.access.refusal(f"emit:{event_type}"))

    def trigger(
        self,
        event_type: str,
        task_id: str | None,
        status: str | None,
        metadata: Mapping[Any, Any],
        *,
        ends_elsewhere: bool = False,
    ) -> Event | None:
        """Record an event that user code reports, with the standard metadata and the span that it belongs to.

        Args:
            event_type: one of `EVENT_TYPES`, not checked here.
            task_id: what the event is about, or None.
            status: the caller's own word for the status, or None for the default.
            metadata: the caller's own metadata; it replaces standard metadata of the same name.
            ends_elsewhere: another process of the run will end the span that this event begins.

        Returns:
            The event, or None if it is lost or recording is off.
        """
        if not self.settings.enabled:
            return None
        kind, _, verb = event_type.partition("_")
        task_id = task_id if task_id is None else _text(task_id, self.redactor)
        now = self.clock.now()
        standard: dict[str, Any] = {"workflow": self.settings.source, "action": kind.lower()}
        if verb == "STARTED":
            span_id = self._spans.begin(kind, task_id, now, ends_elsewhere=ends_elsewhere)
        else:
            span_id, started = self._spans.end(kind, task_id)
            standard["success"] = verb not in ("FAILED", "SKIPPED")
            if started is not None:
                standard["duration"] = round(max(0.0, now - started), 6)
        parent = self.parent_span_id if self.parent_span_id != span_id else None
        return self.record(
            event_type,
            task_id,
            {**standard, **_copied(metadata, self.redactor)},
            span_id=span_id,
            parent_span_id=parent,
            status=status,
            now=now,
            shared=True,
        )

    # -- where events are delivered to -------------------------------------------------------------------------

    def register_webhook(self, definition: Mapping[str, Any], variables: Iterable[str]) -> None:
        """Deliver what is recorded from now on to one more endpoint.

        Args:
            definition: as a webhook in `workflow.yaml`.
            variables: names of the environment variables that it depends on.
        """
        names = list(variables)
        with self._lock:
            self.redactor.hide(self._environ, names)
            if self._deliveries is None:
                self._deliveries = self._load_deliveries()
            self._deliveries.register(definition, names)

    def unregister_webhook(self, name: str) -> None:
        """Deliver what is recorded from now on no longer to this endpoint."""
        with self._lock:
            if self._deliveries is not None:
                self._deliveries.unregister(name)

    # -- the run -----------------------------------------------------------------------------------------------

    def traceparent(self, span_id: str | None = None) -> str:
        """Return the `TRACEPARENT` that makes another process part of this run, below a span or the present one."""
        return traceparent(self.trace_id, span_id or self.parent_span_id or self._ids.span(), self._flags)

    def is_first_to_say(self, problem: str) -> bool:
        """Whether no other process of the run has told the user of this problem; asking counts as telling."""
        if self._around is None:
            return True  # no other process belongs to the run
        key = checksum(f"{self.trace_id}|{self._around}|{problem}".encode("utf-8", "replace"))
        return is_first_to_say(self.settings.project, key)

    def begin_session(self) -> None:
        """Begin a new run if this process has had a session before and no other process belongs to its run.

        A notebook or a program that watches files calls `pytest.main` again and again. Each call is a run of its own.
        """
        if self._has_session and self._around is None:
            self.join(new_trace_id(), None)
        self._has_session = True

    def join(self, trace_id: str, parent_span_id: str | None) -> None:
        """Become part of another run, as an xdist worker does; to be called while no span of ours is open."""
        self._journal.close()
        self._job_facts = {}
        self.trace_id, self.parent_span_id, self._around = trace_id, parent_span_id, parent_span_id
        self._spans.join(trace_id, parent_span_id)
        self._journal = self._new_journal()
        if self._deliveries is not None:
            self._deliveries.follow(self._journal)

    # -- the end -----------------------------------------------------------------------------------------------

    @property
    def has_pending(self) -> bool:
        """Whether this process wrote events for an endpoint that the end of a run waits for."""
        return self._deliveries is not None and bool(self._deliveries.pending())

    def drain(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until each event is delivered or a dead letter; return whether that is so."""
        self._check_journal()
        if self._deliveries is None:
            return True
        settled = self._deliveries.wait(timeout)
        self._complain(self._deliveries.problem)
        return settled

    def undelivered(self) -> tuple[int, str]:
        """Return how many events of the run wait for the endpoint that is furthest behind, and why and what to do."""
        if self._deliveries is None:
            return 0, ""
        waiting, why = self._deliveries.undelivered(self.trace_id, self.count)
        return waiting, _neutral(why)

    def dead_letters(self) -> int:
        """Return how many events of the run were refused for good."""
        return 0 if self._deliveries is None else self._deliveries.dead_letters(self.trace_id)

    def keep_bounded(self) -> None:
        """Have the retention applied in the background once a day, in a project without an endpoint. Never raises.

        Elsewhere the relay does it. A journal that is not a day old needs none.
        """
        if self._deliveries is not None:
            return
        project, long_ago = self.settings.project, self.clock.now() - _DAY
        try:
            if _last_change(project.segment(".gitignore")) < long_ago > _last_change(project.retention_clock):
                from pytest_swarmtask.recording.relay_launcher import prune_in_background

                prune_in_background(project, self._environ)
        except Exception:  # noqa: BLE001, S110 - no process, no space: the next session tries again
            pass

    def hold(self) -> None:
        """Keep the segment locked until `release`, so that readers know that this process is alive.

        Without that, readers would take spans that are still open for those of a dead process, and close them.
        """
        self._journal.held += 1

    def release(self) -> None:
        """Take back one `hold`, and close the segment unless there is another."""
        self._journal.held -= 1
        self.close()

    def close(self) -> None:
        """Close the segment, unless it is held. A later event begins another."""
        if self._deliveries is not None:
            self._complain(self._deliveries.problem)
        with self._lock:
            self._check_journal()
            if not self._journal.held:
                self._journal.close()

    def _check_journal(self) -> None:
        if not self._journal.exists():
            self._complain(f"{self.settings.project.journal} was removed while events were written to it")
            self.lost, self.count = self.lost + self.count, 0
            self.failing = True

    def forked(self) -> None:
        """Go on as a child of a fork: with ids and a segment of its own."""
        self._lock = RLock()  # another thread of the parent may have held it, which does not exist in the child
        self._ids.renew()
        self._journal.forked()
        if self._deliveries is not None:
            self._deliveries.forked()
        self.count = self.lost = 0
        self.forks += 1
        self._takes_encoded = False  # its callers do not look whether they are in the child


def _last_change(path: str) -> float:
    """Return when a file was last written, in seconds since the epoch; 0 if there is none."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _neutral(text: str) -> str:
    """Return a text for a terminal, see `core.text.neutral`."""
    try:
        from pytest_swarmtask.core.text import neutral  # only where something is wrong
    except (ImportError, OSError):  # the interpreter ends, or no file can be opened any more
        return ascii(text)[1:-1]
    return neutral(text)


def _text(value: Any, redactor: Redactor) -> str:
    """Return a task id as text. A plain text stays as it is, not redacted yet, because it names the span."""
    return value if type(value) is str else redactor.plain(value)


def _copied(metadata: Mapping[Any, Any], redactor: Redactor) -> dict[Any, Any]:
    try:
        return dict(metadata)
    except Exception:  # noqa: BLE001 - the mapping's own code may raise anything
        return {"metadata_text": redactor.plain(metadata)}


_recorders: dict[Project, Recorder] = {}
_default: list[Project] = []
making = RLock()
"""Held while a recorder, or an object that there is once for each recorder, is made: threads may ask at the same time.
"""


def get_recorder(project: Project | None = None, otherwise: str | None = None) -> Recorder:
    """Return the recorder of this process for a project.

    Args:
        project: the project. Without it, the first one found in this process, else the one of the working
            directory, so that a script that changes its directory keeps its journal.
        otherwise: the root of the project if none is found from the working directory upwards.
    """
    if project is None:
        if not _default:
            _default.append(find_project(working_directory(os.environ), os.environ, otherwise))
        project = _default[0]
    with making:
        known = _recorders.get(project)
        if known is None:
            known = _recorders[project] = Recorder(read_settings(project, os.environ), os.environ)
    return known


def set_default_project(project: Project) -> None:
    """Make a project the one that this process records for unless another is named."""
    _default[:] = [project]


def _after_fork() -> None:
    global making  # noqa: PLW0603 - the sources take it from here, at each use
    making = RLock()  # another thread of the parent may have held it, which does not exist in the child
    for known in _recorders.values():
        known.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
