"""Telling people: messages go to notifiers, each at its own pace, and what cannot be told is counted and logged."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.config.monitoring import LogNotifier
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.plugins.sink import Delivered, Retry
from pytest_swarmtask.relay.delivery.backoff import notifier_wait
from pytest_swarmtask.relay.notify.channels import open_channel
from pytest_swarmtask.relay.notify.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.relay.delivery.memory import Memory
    from pytest_swarmtask.relay.notify.channels import Channel

_log = logging.getLogger("pytest_swarmtask.relay")

SCOPE = "notify"
"""Where in the memory it stands how each notifier is, by owner and name."""

_HOUR = 3600.0
_TRIES = 5
_CLAIM = 60.0
"""Seconds for which one process has the right to an attempt; if it dies, another goes on after that."""
_LISTED = 10
"""Messages named one by one in the one that sums up."""
_SEVERITIES = ("info", "warning", "critical")
_LOG = LogNotifier(name="log", most=1_000_000)


class _State(msgspec.Struct, frozen=True):
    """How a notifier is, as remembered.

    Attributes:
        hour, sent: since when messages are counted, and how many there were.
        queue: to be told now, in order.
        held, more: what is too much for this hour: the first few, and how many besides.
        tries, due: attempts at the first of the queue that failed, and when the next one is.
        failed, reason: messages that could not be told, ever, and why the last one could not.
    """

    hour: float = 0.0
    sent: int = 0
    queue: list[Message] = []
    held: list[Message] = []
    more: int = 0
    tries: int = 0
    due: float = 0.0
    failed: int = 0
    reason: str = ""


class Notifiers:
    """The notifiers of a configuration. Used from one thread; what it has to tell survives it.

    Args:
        workflow: the configuration.
        request: the endpoint that tells: its project, variables and plug-ins.
        memory: where it is kept what is still to be told.
        owner: who tells, such as ``alerts``; messages per hour are counted for each owner.
        eager: try at once, whatever has failed before: a person asked for it.
    """

    def __init__(
        self, workflow: Workflow, request: SinkRequest, memory: Memory, owner: str, *, eager: bool = False
    ) -> None:
        self._workflow = workflow
        self._request = request
        self._memory = memory
        self._owner = owner
        self._eager = eager
        self._timing = request.timing
        self._definitions = {_LOG.name: _LOG, **{one.name: one for one in workflow.monitoring.notifiers}}
        self._channels: dict[str, Channel] = {}

    def tell(self, names: Sequence[str], message: Message) -> None:
        """Tell a message to the notifiers of these names; to the relay's log where there is none.

        What fails is tried again by `run_pending`, a few times; then it is logged and counted.

        Raises:
            sqlite3.Error: the memory cannot be used; nothing was told to the notifier.
        """
        for name in names or (_LOG.name,):
            if name in self._definitions:
                most = self._definitions[name].most
                self._change(name, lambda state, most=most: _taken(state, message, most))  # type: ignore[misc]
                self._work(name)

    def run_pending(self) -> float:
        """Tell what is due; return the seconds until there is more, or infinity."""
        dues = [self._tended(name) for name in self._definitions if self._memory.get(SCOPE, self._key(name))]
        return max(0.1, min(dues, default=float("inf")))

    def _tended(self, name: str) -> float:
        most = self._definitions[name].most
        if self._state(name).held:
            self._change(name, lambda state: _released(state, most))
        self._work(name)
        state = self._state(name)
        return state.due - time.time() if state.queue else float("inf")

    def close(self) -> None:
        """Let go of connections."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _work(self, name: str) -> None:
        """Tell what is in the queue, until it is empty or an attempt fails."""
        state = self._state(name)
        while state.queue and (
            self._eager or not time.time() < state.due <= time.time() + max(_CLAIM, self._timing.notify_most)
        ):
            if not self._swap(name, state, msgspec.structs.replace(state, due=time.time() + _CLAIM)):
                return  # another relay is at it
            message, tries = state.queue[0], state.tries + 1
            verdict = self._channel(name).send(message)
            if isinstance(verdict, Delivered):
                self._change(name, _told)
            elif isinstance(verdict, Retry) and tries < _TRIES:
                wait = notifier_wait(tries, verdict.after, self._timing)
                _log.warning("notifier %s: %s; next attempt in %.0f s", name, neutral(verdict.reason), wait)
                due = time.time() + wait
                self._change(name, lambda now, due=due: msgspec.structs.replace(now, tries=now.tries + 1, due=due))  # type: ignore[misc]
                return
            else:
                reason = neutral(verdict.reason)
                _log.error("notifier %s: %s; not told: %s", name, reason, neutral(f"{message.title}\n{message.text}"))
                self._change(name, lambda now, reason=reason: _failed(now, reason))  # type: ignore[misc]
            state = self._state(name)

    def _channel(self, name: str) -> Channel:
        if name not in self._channels:
            self._channels[name] = open_channel(self._definitions[name], self._workflow, self._request)
        return self._channels[name]

    # -- what is remembered ------------------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return f"{self._owner} {name}"

    def _state(self, name: str) -> _State:
        return _read(self._memory.get(SCOPE, self._key(name)))

    def _swap(self, name: str, old: _State, new: _State) -> bool:
        before = self._memory.get(SCOPE, self._key(name))
        return _read(before) == old and self._memory.swap(SCOPE, self._key(name), before, msgspec.to_builtins(new))

    def _change(self, name: str, change: Callable[[_State], _State]) -> None:
        """Change what is remembered, whatever other relays do at the same time."""
        while True:
            state = self._state(name)
            if self._swap(name, state, change(state)):
                return


def failed_notifications(memory: Memory) -> dict[str, tuple[int, str]]:
    """Return by notifier how many messages could not be told, and why the last one could not."""
    found: dict[str, tuple[int, str]] = {}
    for key, value in memory.items(SCOPE):
        state, name = _read(value), key.rpartition(" ")[2]
        if state.failed:
            found[name] = (state.failed + found.get(name, (0, ""))[0], state.reason)
    return found


def _read(value: dict[str, Any] | None) -> _State:
    try:
        return _State() if value is None else msgspec.convert(value, _State)
    except msgspec.ValidationError:
        return _State()  # damaged, or of another version


def _counted(state: _State) -> _State:
    """Begin a new hour where the last one is over, or the clock was set back."""
    now = time.time()
    return state if 0 <= now - state.hour < _HOUR else msgspec.structs.replace(state, hour=now, sent=0)


def _taken(state: _State, message: Message, most: int) -> _State:
    """Queue a message. The last one of an hour is left for summing up the rest."""
    state = _counted(state)
    if state.sent < most - 1:
        return msgspec.structs.replace(state, sent=state.sent + 1, queue=[*state.queue, message])
    if len(state.held) < _LISTED:
        return msgspec.structs.replace(state, held=[*state.held, message])
    return msgspec.structs.replace(state, more=state.more + 1)


def _released(state: _State, most: int) -> _State:
    """Queue one message for all that were held back, if the hour allows one."""
    state = _counted(state)
    if not state.held or state.sent >= most:
        return state
    message = state.held[0] if len(state.held) == 1 and not state.more else _summed_up(state)
    return msgspec.structs.replace(state, sent=state.sent + 1, queue=[*state.queue, message], held=[], more=0)


def _summed_up(state: _State) -> Message:
    count = len(state.held) + state.more
    lines = [f"- {message.title}" for message in state.held] + ([f"- and {state.more} more"] if state.more else [])
    return Message(
        name="summary",
        title=f"{count} more messages, summed up",
        text="\n".join([*lines, "next: swarmtask status"]),
        severity=max((message.severity for message in state.held), key=_SEVERITIES.index),
        resolved=all(message.resolved for message in state.held) and not state.more,
        since=next((message.since for message in state.held if message.since), ""),
        link=next((message.link for message in state.held if message.link), ""),
    )


def _told(state: _State) -> _State:
    return msgspec.structs.replace(state, queue=state.queue[1:], tries=0, due=0.0)


def _failed(state: _State, reason: str) -> _State:
    return msgspec.structs.replace(_told(state), failed=state.failed + 1, reason=reason)
