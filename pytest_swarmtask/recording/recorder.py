"""The recorder: one for each process and journal. It makes events of facts and journals them.

Everything that captures (plugin, emitter, integrator) goes through `Recorder.record`, which never raises
for anything that the surroundings do: it counts what was lost and keeps the first reason.
"""

from __future__ import annotations

import os
import zlib
from _thread import RLock  # `threading` without what is not needed here

from pytest_swarmtask.core.event import EVENT_TYPES, MASK, MAX_EVENT, SHARED, Event
from pytest_swarmtask.core.project import BACKGROUND, Project
from pytest_swarmtask.core.trace import CAUSES, Clock, Ids, derived_span, run_context, traceparent
from pytest_swarmtask.journal import run_state
from pytest_swarmtask.journal.segments import LOCAL, SUFFIX, Journal
from pytest_swarmtask.recording.relay_launcher import RelayLauncher
from pytest_swarmtask.recording.settings import Settings, read_settings
from pytest_swarmtask.redaction.redactor import Redactor, masked_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from pytest_swarmtask.recording.extra_metadata import ExtraMetadata
    from pytest_swarmtask.recording.routing import Routing

_MAX_USED = 100_000
_MASK = MASK.encode()
_STANDARD = ("timestamp", "workflow", "action", "success", "error", "duration", "outcome", "exit_code", "redacted")


class Recorder:
    """Makes events and journals them.

    Attributes:
        settings: what it goes by.
        trace_id: the run.
        parent_span_id: the span around what is recorded next; the plugin moves it.
        redactor: hides secrets; callers on the hot path use it on their own strings and pass `cleaned=True`.
        listeners: called with each event after it was journaled; must not raise or block.
        count: events journaled.
        lost: events that could not be journaled, or that the role of whoever runs this may not emit.
        forks: how many forks lie between this process and the one that made it.
        failing: whether the journal took no more, when it was last tried.
        refused: whether the role did not allow one of them.
        problem: the first reason for a loss, or what is wrong with the configuration, or None.
    """

    __slots__ = (
        "_around",
        "_awaited",
        "_denied",
        "_environ",
        "_extra_metadata",
        "_handed_over",
        "_ids",
        "_journal",
        "_launchers",
        "_lock",
        "_open",
        "_routing",
        "_source",
        "_used",
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
        "trace_id",
    )

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self.clock = Clock()
        self.trace_id, self.parent_span_id, self._around = run_context(environ)
        named = {*settings.variables, *settings.access.tokens}
        self.redactor = Redactor(environ, settings.redact_keys, settings.redact_allow, named)
        self._source = self.redactor.text(settings.source, 200)
        self.listeners: list[Callable[[Event], None]] = []
        self.count = 0
        self.lost = 0
        self.forks = 0
        self.failing = False
        self.refused = False
        self.problem: str | None = settings.problem
        self._environ = environ
        self._denied = settings.access.denied
        self._lock = RLock()  # a signal's handler may record while its thread is recording
        self._ids = Ids()
        self._open: dict[tuple[str, str | None], tuple[str, float]] = {}
        self._used: set[str] = set()
        self._extra_metadata = self._added(environ)
        self._routing: Routing | None = None
        self._connect()

    def _added(self, environ: Mapping[str, str]) -> ExtraMetadata | None:
        """Return what adds to the metadata of all events, where something does."""
        plugins = self.settings.plugins
        if not (plugins or environ.get(CAUSES)) or not self.settings.enabled:
            return None
        from pytest_swarmtask.recording.extra_metadata import ExtraMetadata, causes

        return ExtraMetadata(plugins, causes(environ), self.redactor, self._complain)

    def _complain(self, problem: str) -> None:
        self.problem = self.problem or _neutral(problem)

    def _connect(self) -> None:
        self._journal = Journal(self.settings.project.journal, self.trace_id, self._ids, self.clock)
        self._launchers: dict[str, RelayLauncher] = {}
        self._awaited: set[str] = set()
        self._handed_over = True
        self._set_route()

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
        """Journal one event and return it, or None where it was lost or recording is off.

        Args:
            event_type: one of `EVENT_TYPES`, not checked here.
            task_id: already redacted when `cleaned`.
            metadata: with `cleaned`, values that JSON can carry and that hold no secret.
            span_id: the span that this event begins or ends.
            parent_span_id: the span around that one.
            status: the caller's own word for the status.
            now: when it happened, seconds since the epoch; this moment by default.
            cleaned: task id and metadata have been through the redactor.
            shared: other processes may end the span, so it outlives this one.
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
        except Exception as error:  # noqa: BLE001 - disk, permissions, anything: the watched work goes on
            self._lose(error)
            return None
        if not self._handed_over:
            self._handed_over = True
            self._launchers[self._journal.route].start(self._environ)
        for listener in self.listeners:
            listener(event)
        return event

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
            line = _say_redacted(event)
        if len(line) > MAX_EVENT:
            line = _shrink(event)
        with self._lock:
            self._journal.append(line)
            self.count += 1
            self.failing = False

    def _lose(self, error: Exception) -> None:
        with self._lock:
            self.lost += 1
            self.failing = True
        self.problem = self.problem or _neutral(
            f"events could not be written to {self.settings.project.journal}: {error}"
        )

    def denies(self, event_type: str) -> bool:
        """Tell whether the role does not allow such an event."""
        return self.settings.enabled and event_type in self._denied

    def _is_open_ended(self, event_type: str) -> bool:
        """Tell whether the role forbids an end of what this begins: the lack of one is no death then."""
        kind, _, verb = event_type.partition("_")
        return verb == "STARTED" and any(denied.startswith(f"{kind}_") for denied in self._denied)

    def _deny(self, event_type: str) -> None:
        """Count an event that the role does not allow, and say so with the first one."""
        with self._lock:
            self.lost += 1
            said, self.refused = self.refused, True
        if not said:
            self.problem = self.problem or self.settings.access.refusal(f"emit:{event_type}")

    def trigger(
        self,
        event_type: str,
        task_id: str | None,
        status: str | None,
        metadata: Mapping[Any, Any],
        *,
        ends_elsewhere: bool = False,
    ) -> Event | None:
        """Record an event that a user's code gives, with the standard metadata and the span that it belongs to.

        With `ends_elsewhere`, another process of the run will end what this one begins.
        """
        kind, _, verb = event_type.partition("_")
        task_id = task_id if task_id is None else _text(task_id, self.redactor)
        now = self.clock.now()
        standard: dict[str, Any] = {"workflow": self.settings.source, "action": kind.lower()}
        if verb == "STARTED":
            span_id = self._begin(kind, task_id, now, ends_elsewhere=ends_elsewhere)
        else:
            span_id, started = self._end(kind, task_id)
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

    def span_id(self) -> str:
        """Return a new span id."""
        return self._ids.span()

    def _begin(self, kind: str, task_id: str | None, now: float, *, ends_elsewhere: bool) -> str:
        key = span_id = derived_span(self.trace_id, self._around, kind, task_id)
        if ends_elsewhere and self._around is not None and self.settings.enabled:
            span_id = self._ids.span()
            run_state.begin(self.settings.project, key, span_id, now)
        elif span_id in self._used:  # the same task once more in one process: a span of its own
            span_id = self._ids.span()
        elif len(self._used) < _MAX_USED:
            self._used.add(span_id)
        if len(self._open) < _MAX_USED:
            self._open[kind, task_id] = (span_id, now)
        return span_id

    def _end(self, kind: str, task_id: str | None) -> tuple[str, float | None]:
        begun_here = self._open.pop((kind, task_id), None)
        if begun_here is not None:
            return begun_here
        key = derived_span(self.trace_id, self._around, kind, task_id)
        begun_elsewhere = run_state.take(self.settings.project, key) if self._around is not None else None
        return begun_elsewhere or (key, None)

    # -- where it goes -----------------------------------------------------------------------------------------

    def register_webhook(self, definition: Mapping[str, Any], variables: Iterable[str]) -> None:
        """Owe what is recorded from now on to one more endpoint.

        Args:
            definition: as a webhook in `workflow.yaml`.
            variables: names of the environment variables that it depends on.
        """
        with self._lock:
            names = list(variables)
            self._routes().register(definition, names)
            self.redactor.hide(self._environ, names)
            self._set_route()

    def unregister_webhook(self, name: str) -> None:
        """Owe what is recorded from now on no longer to this endpoint."""
        with self._lock:
            self._routes().unregister(name)
            self._set_route()

    def _routes(self) -> Routing:
        if self._routing is None:
            from pytest_swarmtask.recording.routing import Routing  # most processes owe nobody anything

            self._routing = Routing(self.settings, self._environ)
        return self._routing

    def _set_route(self) -> None:
        if self._routing is None and not self.settings.endpoints:
            return
        try:
            route, relay, awaited = self._routes().keep()
        except OSError as error:
            self.problem = self.problem or _neutral(f"events cannot be owed to an endpoint: {error}")
            return
        if route == LOCAL:
            self._handed_over = True
        elif route != self._journal.route:
            self._launchers[route] = RelayLauncher(self.settings.project, relay)
            if awaited:
                self._awaited.add(route)
            self._handed_over = False
        self._journal.reroute(route)

    # -- the run -----------------------------------------------------------------------------------------------

    def traceparent(self) -> str:
        """Return the `TRACEPARENT` that makes another process part of this run, below the present span."""
        return traceparent(self.trace_id, self.parent_span_id or self._ids.span())

    def is_first_to_say(self, problem: str) -> bool:
        """Tell whether no other process of the run has said this yet."""
        if self._around is None:
            return True
        key = zlib.crc32(f"{self.trace_id}|{self._around}|{problem}".encode("utf-8", "replace"))
        return run_state.is_first_to_say(self.settings.project, f"{key:08x}")

    def join(self, trace_id: str, parent_span_id: str | None) -> None:
        """Become part of another run, as an xdist worker does; to be called before anything is recorded."""
        self._journal.close()
        self.trace_id, self.parent_span_id, self._around = trace_id, parent_span_id, parent_span_id
        self._connect()

    # -- the end -----------------------------------------------------------------------------------------------

    @property
    def owed(self) -> bool:
        """Whether something that this process wrote is owed to an endpoint that the end of a run waits for."""
        return bool(self._owed())

    def _owed(self) -> dict[str, int]:
        segments = self._journal.owed().items()
        return {name: size for name, size in segments if name.rpartition("-")[2].removesuffix(SUFFIX) in self._awaited}

    def drain(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for what this process wrote to be settled; tell whether it is."""
        self._check_journal()
        deadline = self.clock.now() + timeout
        settled = True
        for route, launcher in self._launchers.items():
            owed = {name: size for name, size in self._owed().items() if name.endswith(f"-{route}{SUFFIX}")}
            left = max(0.0, deadline - self.clock.now())
            settled = (not owed or launcher.wait(owed, left, self._environ)) and settled
            self.problem = self.problem or launcher.problem
        return settled

    def undelivered(self) -> tuple[int, str]:
        """Return how many events of the run an endpoint still waits for, the most of all, and which, and why."""
        waiting, name, state = 0, "", None
        for progress in self._progress():
            for endpoint, counts in progress["runs"].get(self.trace_id, {}).items():
                if not endpoint.startswith(BACKGROUND) and (state is None or counts["waiting"] > waiting):
                    waiting, name, state = counts["waiting"], endpoint, progress["endpoints"][endpoint]
        if state is None:
            return self.count, "no relay has answered yet"
        return waiting, _neutral(f"{name}: {state['reason']}" if state["reason"] else f"{name} is behind")

    def dead_letters(self) -> int:
        """Return how many events of the run were refused for good."""
        runs = (progress["runs"].get(self.trace_id, {}) for progress in self._progress())
        return sum(counts["dead"] for run in runs for counts in run.values())

    def _progress(self) -> Iterator[dict[str, Any]]:
        return (launcher.progress() for launcher in self._launchers.values())

    def hold(self) -> None:
        """Keep the segment, and with it the sign of life that its lock is, until `release`: spans of ours are open."""
        self._journal.held += 1

    def release(self) -> None:
        """Close, unless somebody else holds it."""
        self._journal.held -= 1
        self.close()

    def close(self) -> None:
        """End the segment, unless it is held. A later event begins another."""
        for launcher in self._launchers.values():
            self.problem = self.problem or launcher.problem
        with self._lock:
            self._check_journal()
            if not self._journal.held:
                self._journal.close()

    def _check_journal(self) -> None:
        if not self._journal.exists():
            self.problem = self.problem or _neutral(
                f"{self.settings.project.journal} was removed while events were written to it"
            )
            self.lost, self.count = self.lost + self.count, 0
            self.failing = True

    def forked(self) -> None:
        """Go on as a child of a fork: with ids and a segment of its own."""
        self._lock = RLock()  # another thread may have held it, and is not here
        self._ids.renew()
        self._journal.forked()
        self._handed_over = self._journal.route == LOCAL
        self.count = self.lost = 0
        self.forks += 1


def _neutral(text: str) -> str:
    try:
        from pytest_swarmtask.core.text import neutral  # only where something is wrong
    except (ImportError, OSError):  # such as that no file can be opened any more
        return ascii(text)[1:-1]
    return neutral(text)


def _say_redacted(event: Event) -> bytes:
    """Return the line of an event that something was redacted from; its `redacted` says where, in all fields."""
    known = event.metadata.get("redacted", [])
    if isinstance(known, list):
        fields = masked_paths({"task_id": event.task_id, "status": event.status, "source": event.source})
        paths = [*known, *fields, *masked_paths(event.metadata)]
        event.metadata["redacted"] = list(dict.fromkeys(paths))
    return event.encode()


def _shrink(event: Event) -> bytes:
    """Return the line of an event that is too long, cut until it fits; it says that it was cut."""
    for limit in (512, 128, 32):
        event.metadata = {key: _cut(value, limit) for key, value in event.metadata.items()}
        event.metadata.setdefault("truncated", True)
        line = event.encode()
        if len(line) <= MAX_EVENT:
            return line
    standard = {key: value for key, value in event.metadata.items() if key in _STANDARD and not _nests(value)}
    event.metadata = {**standard, "truncated": True}
    return event.encode()


def _nests(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, (dict, list)) for item in items)


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else f"{value[:limit]}…"
    if isinstance(value, list):
        return [_cut(item, limit) for item in value[: limit // 8]]
    if isinstance(value, dict):
        return {key: _cut(item, limit) for key, item in list(value.items())[: limit // 8]}
    return value


def _text(value: Any, redactor: Redactor) -> str:
    """Return a task id as text, as it is where it is one: spans are told apart by it."""
    return value if type(value) is str else redactor.plain(value)


def _copied(metadata: Mapping[Any, Any], redactor: Redactor) -> dict[Any, Any]:
    try:
        return dict(metadata)
    except Exception:  # noqa: BLE001 - the mapping's own code may raise anything
        return {"metadata_text": redactor.plain(metadata)}


_recorders: dict[Project, Recorder] = {}
_default: list[Project] = []
making = RLock()
"""Held while a recorder, or what belongs to one, is made: there is one for each project, whichever thread is first."""


def get_recorder(project: Project | None = None, otherwise: str | None = None) -> Recorder:
    """Return the recorder of this process for a project.

    Args:
        project: the project. Without it, the first one found in this process, else the one of the working
            directory, so that a script that changes its directory keeps its journal.
        otherwise: the root of the project if none is found upwards from the working directory.
    """
    if project is None:
        if not _default:
            _default.append(Project.find(os.getcwd(), otherwise))
        project = _default[0]
    with making:
        known = _recorders.get(project)
        if known is None:
            known = _recorders[project] = Recorder(read_settings(project, os.environ), os.environ)
    return known


def _after_fork() -> None:
    global making  # noqa: PLW0603 - another thread may have held it, and is not here
    making = RLock()
    for known in _recorders.values():
        known.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
