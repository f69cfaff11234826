"""Notifiers send messages to people: at a limited rate, again if that fails, and never dropping one silently."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_swarmtask.config.monitoring import LogNotifier
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.service_errors import EndpointError
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
"""Scope of the memory with the state of each notifier, by owner and name."""

_HOUR = 3600.0
_TRIES = 5
"""Attempts at a message, as docs/automation.md promises."""
_LISTED = 10
"""Titles that a summary of held messages lists. Further ones are only counted."""
_SEVERITIES = ("info", "warning", "critical")
# Messages go here if no notifier is named. A million an hour is no limit.
_LOG = LogNotifier(name="log", most=1_000_000)


class _NotifierState(msgspec.Struct, frozen=True):
    """The state of a notifier. It is stored in databases, so field names must not change.

    Attributes:
        hour, sent: when the present hour of counting began, and how many messages were sent in it.
        queue: messages to send now, in order.
        held, more: messages above the hour's limit: the first few, and the number of all others.
        tries, due: failed attempts at the first message of the queue, and when the next attempt is due.
        failed, reason: how many messages have failed for good, ever, and why the last one did.
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
    """The notifiers of a configuration. Used from one thread. Waiting messages survive it in the memory.

    Args:
        workflow: the configuration.
        request: the endpoint that sends messages: its project, variables and plug-ins.
        memory: where messages wait.
        owner: who sends, such as ``alerts``. The messages per hour are counted for each owner.
        eager: ignore the wait after a failed attempt, as a person asked for the messages.
        told: called with the name of a notifier and whether its message was sent, or has failed for good.
    """

    def __init__(  # noqa: PLR0913 - two have defaults
        self,
        workflow: Workflow,
        request: SinkRequest,
        memory: Memory,
        owner: str,
        *,
        eager: bool = False,
        told: Callable[[str, bool], None] = lambda _name, _is_sent: None,
    ) -> None:
        self._workflow = workflow
        self._request = request
        self._memory = memory
        self._owner = owner
        self._eager = eager
        self._told = told
        self._timing = request.timing
        self._definitions = {_LOG.name: _LOG, **{one.name: one for one in workflow.monitoring.notifiers}}
        self._channels: dict[str, Channel[Any]] = {}

    def send(self, names: Sequence[str], message: Message) -> None:
        """Send a message through the notifiers of these names, or to the log if there are none.

        A failed message is sent again by `run_pending`. After the last attempt it is logged and counted.

        Raises:
            sqlite3.Error: the memory cannot be used, and the message was not sent.
        """
        for name in self._known(names):
            self._add(name, message)
            self._send_queue(name)

    def add(self, names: Sequence[str], message: Message) -> None:
        """Leave a message, which `send` would send at once, for `run_pending`."""
        for name in self._known(names):
            self._add(name, message)

    def _known(self, names: Sequence[str]) -> list[str]:
        return [name for name in names or (_LOG.name,) if name in self._definitions]

    def _add(self, name: str, message: Message) -> None:
        most = self._definitions[name].most
        self._change(name, lambda state: _with_message(state, message, most))

    def run_pending(self) -> float:
        """Send what is due. Return the seconds until more is due, or infinity if nothing is waiting."""
        dues = [self._run_pending(name) for name in self._definitions if self._memory.get(SCOPE, self._key(name))]
        # Not 0: the caller would be back at once, while another relay is sending.
        return max(0.1, min(dues, default=float("inf")))

    def _run_pending(self, name: str) -> float:
        most = self._definitions[name].most
        if self._state(name).held:
            self._change(name, lambda state: _with_held_messages(state, most))
        self._send_queue(name)
        state = self._state(name)
        return state.due - time.time() if state.queue else float("inf")

    def check(self, names: Sequence[str]) -> None:
        """Check that the notifiers of these names could send, as far as that shows without sending anything.

        Raises:
            ConfigError: one of them could not.
        """
        for name in self._known(names):
            self._check(name)

    def _check(self, name: str) -> None:
        try:
            self._channel(name).check()
        except (ConfigError, EndpointError) as error:
            raise ConfigError(f"notifier {name}: {error}") from None

    def close(self) -> None:
        """Close the connections of all channels."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _send_queue(self, name: str) -> None:
        """Send the queue's messages until it is empty or an attempt fails."""
        state = self._state(name)
        while state.queue and self._is_due(state):
            if not self._swap(name, state, msgspec.structs.replace(state, due=time.time() + self._timing.notify_claim)):
                return  # another relay is sending it
            message, tries = state.queue[0], state.tries + 1
            result = self._channel(name).send(message)
            if isinstance(result, Delivered):
                self._settle(name, message, _without_first)
                self._told(name, True)  # noqa: FBT003 - a callback has no names
            elif isinstance(result, Retry) and tries < _TRIES:
                wait = notifier_wait(tries, result.after, self._timing)
                _log.warning("notifier %s: %s; next attempt in %.0f s", name, neutral(result.reason), wait)
                due = time.time() + wait
                self._settle(name, message, lambda now, due=due: _with_retry(now, due))  # type: ignore[misc]
                return
            else:
                reason = neutral(result.reason)
                _log.error("notifier %s: %s; not told: %s", name, reason, neutral(f"{message.title}\n{message.text}"))
                self._settle(name, message, lambda now, reason=reason: _with_failure(now, reason))  # type: ignore[misc]
                self._told(name, False)  # noqa: FBT003
            state = self._state(name)

    def _settle(self, name: str, message: Message, change: Callable[[_NotifierState], _NotifierState]) -> None:
        """Note what became of a message, unless another process has taken it over because this one was slow."""
        self._change(name, lambda now: change(now) if now.queue[:1] == [message] else now)

    def _is_due(self, state: _NotifierState) -> bool:
        """Whether the next attempt is due. So is one that is further away than any wait: the clock was changed."""
        longest = max(self._timing.notify_claim, self._timing.notify_most)
        return self._eager or not time.time() < state.due <= time.time() + longest

    def _channel(self, name: str) -> Channel[Any]:
        if name not in self._channels:
            self._channels[name] = open_channel(self._definitions[name], self._workflow, self._request)
        return self._channels[name]

    # -- stored state ------------------------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return f"{self._owner} {name}"

    def _state(self, name: str) -> _NotifierState:
        return _read(self._memory.get(SCOPE, self._key(name)))

    def _swap(self, name: str, old: _NotifierState, new: _NotifierState) -> bool:
        before = self._memory.get(SCOPE, self._key(name))
        return _read(before) == old and self._memory.swap(SCOPE, self._key(name), before, msgspec.to_builtins(new))

    def _change(self, name: str, change: Callable[[_NotifierState], _NotifierState]) -> None:
        """Change the stored state of a notifier, again and again until no other relay has changed it meanwhile."""
        while True:
            state = self._state(name)
            if self._swap(name, state, change(state)):
                return


def failed_notifications(memory: Memory) -> dict[str, tuple[int, str]]:
    """Return for each notifier with failed messages how many there are, and why the last one failed."""
    found: dict[str, tuple[int, str]] = {}
    for key, value in memory.items(SCOPE):  # of all owners
        state, name = _read(value), key.rpartition(" ")[2]
        if state.failed:
            found[name] = (state.failed + found.get(name, (0, ""))[0], state.reason)
    return found


def _read(value: dict[str, Any] | None) -> _NotifierState:
    try:
        return _NotifierState() if value is None else msgspec.convert(value, _NotifierState)
    except msgspec.ValidationError:
        return _NotifierState()  # damaged, or of another version


def _in_present_hour(state: _NotifierState) -> _NotifierState:
    """Begin a new hour if the last one is over, or if the clock was set back."""
    now = time.time()
    return state if 0 <= now - state.hour < _HOUR else msgspec.structs.replace(state, hour=now, sent=0)


def _with_message(state: _NotifierState, message: Message, most: int) -> _NotifierState:
    """Add a message to the queue, or hold it back. The last message of an hour is kept for summing up the rest."""
    state = _in_present_hour(state)
    if state.sent < most - 1:
        return msgspec.structs.replace(state, sent=state.sent + 1, queue=[*state.queue, message])
    if len(state.held) < _LISTED:
        return msgspec.structs.replace(state, held=[*state.held, message])
    return msgspec.structs.replace(state, more=state.more + 1)


def _with_held_messages(state: _NotifierState, most: int) -> _NotifierState:
    """Add one message for all that were held back to the queue, if this hour's limit allows it."""
    state = _in_present_hour(state)
    if not state.held or state.sent >= most:
        return state
    message = state.held[0] if len(state.held) == 1 and not state.more else _summary_of(state)
    return msgspec.structs.replace(state, sent=state.sent + 1, queue=[*state.queue, message], held=[], more=0)


def _summary_of(state: _NotifierState) -> Message:
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


def _without_first(state: _NotifierState) -> _NotifierState:
    return msgspec.structs.replace(state, queue=state.queue[1:], tries=0, due=0.0)


def _with_retry(state: _NotifierState, due: float) -> _NotifierState:
    return msgspec.structs.replace(state, tries=state.tries + 1, due=due)


def _with_failure(state: _NotifierState, reason: str) -> _NotifierState:
    return msgspec.structs.replace(_without_first(state), failed=state.failed + 1, reason=reason)
