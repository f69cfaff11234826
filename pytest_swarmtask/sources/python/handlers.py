"""Handlers: the user's own callables, run beside the watched work and never in its way.

Coroutine functions run on one background event loop, each call as a task of its own. Plain functions run
in order on a thread for each handler, so that one that hangs keeps no other waiting. What a handler raises is
logged to the `pytest_swarmtask` logger and goes no further.
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
    import asyncio
    from collections.abc import Coroutine, Hashable

    from pytest_swarmtask.core.event import Event

    Arguments = tuple[str, str | None, dict[str, Any]]
    Calls = queue.SimpleQueue[Arguments | None]

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
        self.closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self.loop.run_forever, name="swarmtask-handlers", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self.loop.close()
            raise

    def submit(self, call: Coroutine[Any, Any, None]) -> None:
        self.loop.call_soon_threadsafe(self._start, call)

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(call)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Cancel what still runs and end the thread; where a coroutine blocks it, it is left behind."""
        self.closing = True
        self.loop.call_soon_threadsafe(self._stop)
        self._thread.join(_CLOSING)
        if not self._thread.is_alive():
            self.loop.close()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.loop.call_soon(self.loop.stop)  # after the tasks have heard of it


_CLOSING = 0.2
_left_behind: list[_Loop | None] = []


class Handlers:
    """The handlers of one process. Starts no thread before there is something to run."""

    def __init__(self) -> None:
        self._registered: list[tuple[str, Handler, object]] = []
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._loop: _Loop | None = None
        self._queues: dict[Hashable, Calls] = {}
        self._pending = _Pending()
        self._lock = threading.RLock()  # a signal's handler may give an event

    def forked(self) -> None:
        """Start afresh, as a forked child must: it has none of its parent's threads."""
        _left_behind.append(self._loop)  # to close it, or to let it be collected, would be felt by the parent
        self._start_afresh()

    def register(self, pattern: str, handler: Handler, owner: object) -> None:
        """Call `handler` for events of this type (``*`` for all) from now on, until its owner is unregistered."""
        with self._lock:
            self._registered = [*self._registered, (pattern, handler, owner)]

    def unregister(self, owner: object) -> None:
        """Forget what this owner registered. What was begun goes on."""
        with self._lock:
            self._registered = [entry for entry in self._registered if entry[2] is not owner]
            kept = {_key(handler) for _, handler, _ in self._registered}
            for key in self._queues.keys() - kept:
                self._queues.pop(key).put(None)

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

    def close(self) -> None:
        """Let go of the event loop, whatever still runs on it."""
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
                self._calls(handler).put(arguments)
        except BaseException:
            self._pending.done()
            raise

    def _run_on_loop(self, handler: Handler, begin: Callable[[], Awaitable[None] | None]) -> None:
        with self._lock:
            loop = self._loop = self._loop or _Loop()
        self._pending.add()
        loop.submit(_finish(handler, begin, self._pending, loop))

    def _calls(self, handler: Handler) -> Calls:
        key = _key(handler)
        calls = self._queues.get(key)
        if calls is None:
            calls = queue.SimpleQueue()
            arguments = (handler, calls, self._pending)
            threading.Thread(target=self._work, args=arguments, name="swarmtask-handler", daemon=True).start()
            self._queues[key] = calls
        return calls

    def _work(self, handler: Handler, calls: Calls, pending: _Pending) -> None:
        while (arguments := calls.get()) is not None:
            try:
                begun = handler(*arguments)
                if inspect.isawaitable(begun):  # a plain function around a coroutine
                    self._run_on_loop(handler, functools.partial(_same, begun))
            except BaseException:  # noqa: BLE001, PERF203 - also SystemExit, which would end this thread
                _log.exception("handler %r failed for %s", handler, arguments[0])
            finally:
                pending.done()


async def _finish(
    handler: Handler, begin: Callable[[], Awaitable[None] | None], pending: _Pending, loop: _Loop
) -> None:
    try:
        begun = begin()
        if begun is not None:
            await begun
    except BaseException:  # noqa: BLE001 - also SystemExit, which would end the loop
        if not loop.closing:
            _log.exception("handler %r failed", handler)
    finally:
        pending.done()


def _same(begun: Awaitable[None]) -> Awaitable[None]:
    return begun


def _key(handler: Handler) -> Hashable:
    """Return what tells handlers apart: themselves, or where they cannot be hashed which object they are."""
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
