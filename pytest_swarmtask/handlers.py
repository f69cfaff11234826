"""Handlers: the user's own callables, run beside the watched work and never in its way.

Coroutine functions run on one background event loop, each call as a task of its own. Plain functions run
in order on a thread for each handler, so that one that hangs keeps no other waiting. What a handler raises is
logged to the `pytest_swarmtask` logger and goes no further.
"""

from __future__ import annotations

import inspect
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from pytest_swarmtask.events import Event

Handler = Callable[[str, "str | None", "dict[str, Any]"], "Awaitable[None] | None"]
"""What a user registers: called with event type, task id and metadata."""

_log = logging.getLogger("pytest_swarmtask")


class _Pending:
    """Counts the calls that have not ended, so that the end of the process can wait for them."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self._count += 1

    def done(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._count:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return self._count == 0
        return True


class _Loop:
    """One event loop on a daemon thread."""

    def __init__(self) -> None:
        import asyncio  # 60 ms that only users of coroutine handlers pay

        self.loop: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self.loop.run_forever, name="swarmtask-handlers", daemon=True).start()

    def submit(self, call: Coroutine[Any, Any, None]) -> None:
        self.loop.call_soon_threadsafe(self._start, call)

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(call)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)


class Handlers:
    """The handlers of one process. Starts no thread before there is something to run."""

    def __init__(self) -> None:
        self._registered: list[tuple[str, Handler, object]] = []
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._loop: _Loop | None = None
        self._queues: dict[Handler, queue.SimpleQueue[tuple[str, str | None, dict[str, Any]]]] = {}
        self._pending = _Pending()
        self._lock = threading.Lock()

    forked = _start_afresh
    """A forked child has none of its parent's threads."""

    def register(self, pattern: str, handler: Handler, owner: object) -> None:
        """Call `handler` for events of this type (``*`` for all) from now on, until its owner is unregistered."""
        self._registered = [*self._registered, (pattern, handler, owner)]

    def unregister(self, owner: object) -> None:
        """Forget what this owner registered. What was begun goes on."""
        self._registered = [entry for entry in self._registered if entry[2] is not owner]

    def dispatch(self, event: Event) -> None:
        """Hand an event to its handlers and return at once. Never raises."""
        for pattern, handler, _ in self._registered:
            if pattern in ("*", event.event_type):
                try:
                    self._submit(handler, (event.event_type, event.task_id, dict(event.metadata)))
                except Exception:  # noqa: BLE001 - no thread can be started, as when the interpreter shuts down
                    _log.warning("handler %r could not be run for %s", handler, event, exc_info=True)

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the calls under way; tell whether all have ended."""
        return self._pending.wait(timeout)

    def _submit(self, handler: Handler, arguments: tuple[str, str | None, dict[str, Any]]) -> None:
        self._pending.add()
        try:
            if _is_coroutine_function(handler):
                self._background_loop().submit(self._await(handler, arguments))
            else:
                self._queue(handler).put(arguments)
        except BaseException:
            self._pending.done()
            raise

    def _background_loop(self) -> _Loop:
        with self._lock:
            if self._loop is None:
                self._loop = _Loop()
            return self._loop

    async def _await(self, handler: Handler, arguments: tuple[str, str | None, dict[str, Any]]) -> None:
        pending = self._pending
        try:
            result = handler(*arguments)
            if result is not None:
                await result
        except Exception:  # noqa: BLE001 - the handler's own
            _log.exception("handler %r failed for %s", handler, arguments[0])
        finally:
            pending.done()

    def _queue(self, handler: Handler) -> queue.SimpleQueue[tuple[str, str | None, dict[str, Any]]]:
        with self._lock:
            calls = self._queues.get(handler)
            if calls is None:
                calls = queue.SimpleQueue()
                arguments = (handler, calls, self._pending)
                threading.Thread(target=_work, args=arguments, name="swarmtask-handler", daemon=True).start()
                self._queues[handler] = calls
            return calls


def _work(handler: Handler, calls: queue.SimpleQueue[Any], pending: _Pending) -> None:
    while True:
        arguments = calls.get()
        try:
            handler(*arguments)
        except Exception:  # noqa: BLE001 - the handler's own
            _log.exception("handler %r failed for %s", handler, arguments[0])
        finally:
            pending.done()


def _is_coroutine_function(handler: Handler) -> bool:
    call = getattr(handler, "func", handler)  # functools.partial
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004
