"""Handlers: the user's own functions, called with each event beside the watched work and never in its way.

Coroutine functions run on one event loop in a background thread, each call as a task of its own. Plain functions run
in order on a thread for each handler, so that one that hangs delays no other. What a handler raises is logged to the
`pytest_swarmtask` logger and goes no further.

All threads are daemons: the end of the process waits for handlers for a limited time only.
"""

from __future__ import annotations

import functools
import inspect
import logging
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable
    from concurrent.futures import Future

    from pytest_swarmtask.core.event import Event

    Arguments = tuple[str, str | None, dict[str, Any]]
    Calls = queue.SimpleQueue[Arguments | None]

Handler = Callable[[str, "str | None", "dict[str, Any]"], "Awaitable[None] | None"]
"""What a user registers: called with event type, task id and metadata."""

_log = logging.getLogger("pytest_swarmtask")

_CLOSE_TIMEOUT = 0.2
"""Seconds that the event loop gets to cancel its tasks at the end of the process."""


class _PendingCalls:
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
        """Wait until no call is pending; return whether that is so."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._count:
                left = deadline - time.monotonic()
                # The second test also ends the wait in a suite that has stopped the clock.
                if left <= 0 or not self._changed.wait(left):
                    return self._count == 0
        return True


class _BackgroundLoop:
    """An event loop on a daemon thread."""

    def __init__(self) -> None:
        import asyncio  # takes 60 ms, which only users of coroutine handlers pay

        self.is_closing = False
        self._run = asyncio.run_coroutine_threadsafe
        self._loop = asyncio.new_event_loop()
        self._futures: set[Future[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="swarmtask-handlers", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()  # else it warns that it was never closed
            raise

    def submit(self, coroutine: Coroutine[Any, Any, None], done: Callable[[], None]) -> None:
        """Run a coroutine on the loop, and call `done` when it has ended or was cancelled."""
        future = self._run(coroutine, self._loop)
        self._futures.add(future)  # it keeps the task alive, to which the loop itself has only a weak reference
        future.add_done_callback(self._futures.discard)
        future.add_done_callback(lambda _: done())

    def close(self) -> None:
        """Cancel what still runs and end the thread. If a coroutine blocks the thread, leave it behind."""
        self.is_closing = True
        for future in list(self._futures):
            future.cancel()
        # Not `loop.stop` at once: the cancelled tasks need one more turn of the loop to end.
        self._loop.call_soon_threadsafe(self._loop.call_soon, self._loop.stop)
        self._thread.join(_CLOSE_TIMEOUT)
        if not self._thread.is_alive():
            self._loop.close()


_loops_of_parents: list[_BackgroundLoop | None] = []
"""Keeps alive the loops that a forked child has inherited.

Collecting one would close it, and so disturb the loop of the parent: on Linux both share one epoll instance.
"""


class Handlers:
    """The handlers of one process. Starts no thread until there is a handler to run."""

    def __init__(self) -> None:
        self._registered: list[tuple[str, Handler, object]] = []
        self._reset()

    def _reset(self) -> None:
        self._loop: _BackgroundLoop | None = None
        self._queues: dict[Hashable, Calls] = {}
        self._pending = _PendingCalls()
        self._lock = threading.RLock()  # reentrant, because a signal handler may record an event while we have it

    def forked(self) -> None:
        """Start again in a forked child, which has none of its parent's threads."""
        _loops_of_parents.append(self._loop)
        self._reset()

    def register(self, pattern: str, handler: Handler, owner: object) -> None:
        """Call `handler` for events of this type (``*`` for all) from now on, until its owner is unregistered."""
        with self._lock:
            self._registered = [*self._registered, (pattern, handler, owner)]

    def unregister(self, owner: object) -> None:
        """Remove the handlers that this owner registered. Calls that were submitted are still made."""
        with self._lock:
            self._registered = [entry for entry in self._registered if entry[2] is not owner]
            kept = {_key(handler) for _, handler, _ in self._registered}
            for key in self._queues.keys() - kept:
                self._queues.pop(key).put(None)

    def dispatch(self, event: Event) -> None:
        """Submit an event to its handlers and return at once. Never raises."""
        for pattern, handler, _ in self._registered:
            if pattern in ("*", event.event_type):
                try:
                    self._submit(handler, (event.event_type, event.task_id, dict(event.metadata)))
                except Exception:  # noqa: BLE001 - no thread can be started, as when the interpreter shuts down
                    _log.warning("handler %r could not be run for %s", handler, event, exc_info=True)

    def wait(self, timeout: float) -> bool:
        """Wait for the pending calls, at most `timeout` seconds; return whether all have ended."""
        return self._pending.wait(timeout)

    def close(self) -> None:
        """Close the event loop and cancel what still runs on it."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.close()

    def _submit(self, handler: Handler, arguments: Arguments) -> None:
        if _is_coroutine_function(handler):
            self._run_on_loop(handler, lambda: handler(*arguments))
            return
        self._pending.add()
        try:
            with self._lock:
                self._queue_of(handler).put(arguments)
        except BaseException:
            self._pending.done()
            raise

    def _run_on_loop(self, handler: Handler, begin: Callable[[], Awaitable[None] | None]) -> None:
        with self._lock:
            loop = self._loop = self._loop or _BackgroundLoop()
        pending = self._pending
        pending.add()
        try:
            loop.submit(_await_logged(handler, begin, loop), pending.done)
        except BaseException:
            pending.done()
            raise

    def _queue_of(self, handler: Handler) -> Calls:
        """Return the queue of a plain function, and start its thread with the first call."""
        key = _key(handler)
        calls = self._queues.get(key)
        if calls is None:
            calls = queue.SimpleQueue()
            arguments = (handler, calls, self._pending)
            threading.Thread(target=self._work, args=arguments, name="swarmtask-handler", daemon=True).start()
            self._queues[key] = calls
        return calls

    def _work(self, handler: Handler, calls: Calls, pending: _PendingCalls) -> None:
        while (arguments := calls.get()) is not None:
            try:
                self._call(handler, arguments)
            except BaseException:  # noqa: BLE001, PERF203 - also SystemExit, which would end this thread
                _log.exception("handler %r failed for %s", handler, arguments[0])
            finally:
                pending.done()

    def _call(self, handler: Handler, arguments: Arguments) -> None:
        result = handler(*arguments)
        if inspect.isawaitable(result):  # a plain function that returns a coroutine
            self._run_on_loop(handler, lambda: result)


async def _await_logged(handler: Handler, begin: Callable[[], Awaitable[None] | None], loop: _BackgroundLoop) -> None:
    try:
        awaitable = None if loop.is_closing else begin()
        if awaitable is not None:
            await awaitable
    except BaseException:  # noqa: BLE001 - also SystemExit, which would end the loop
        if not loop.is_closing:
            _log.exception("handler %r failed", handler)


def _key(handler: Handler) -> Hashable:
    """Return a key that tells handlers apart: the handler itself, or its identity if it cannot be hashed."""
    try:
        hash(handler)
    except Exception:  # noqa: BLE001 - the handler's own code may raise anything
        return id(handler)
    return handler


def _is_coroutine_function(handler: Handler) -> bool:
    call = handler
    while isinstance(call, functools.partial):
        call = call.func
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004
