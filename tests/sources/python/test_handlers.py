"""Handlers run beside the watched program. A handler cannot disturb the program or another handler."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.sources.python.handlers import Handlers

WAIT = 20.0


@pytest.fixture
def handlers() -> Iterator[Handlers]:
    made = Handlers()
    yield made
    made.close()


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Keep the tracebacks of failing handlers out of the report."""
    with caplog.at_level(logging.WARNING, "pytest_swarmtask"):
        yield caplog


def event(event_type: str = "TASK_STARTED", task_id: str = "a", **metadata: Any) -> Event:
    return Event("w-1", event_type, task_id, "started", "", "", "", "", None, metadata)


class Calls:
    """Stores the arguments and the thread of each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, dict[str, Any]]] = []
        self.threads: set[str] = set()

    def __call__(self, event_type: str, task_id: str | None, metadata: dict[str, Any]) -> None:
        self.calls.append((event_type, task_id, metadata))
        self.threads.add(threading.current_thread().name)

    async def later(self, event_type: str, task_id: str | None, metadata: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self(event_type, task_id, metadata)


def forms(calls: Calls) -> list[Callable[..., Awaitable[None] | None]]:
    """Return a handler of each form, all of which store their calls in `calls`."""

    def plain(*arguments: Any) -> None:
        calls(*arguments)

    async def coroutine(*arguments: Any) -> None:
        calls(*arguments)

    class Object:
        async def __call__(self, *arguments: Any) -> None:
            calls(*arguments)

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, *arguments: Any) -> None:
            calls(*arguments)

    @functools.wraps(coroutine)
    def decorated(*arguments: Any) -> Awaitable[None]:
        return coroutine(*arguments)

    return [
        plain,
        coroutine,
        calls,
        calls.later,
        Object(),
        Unhashable(),
        functools.partial(plain),
        functools.partial(coroutine),
        decorated,
        lambda *event: coroutine(*event[:3]),
        lambda *event: calls(*event[:3]),
    ]


@pytest.mark.parametrize("number", range(len(forms(Calls()))))
def test_every_form_of_a_handler(handlers: Handlers, number: int) -> None:
    """Functions, coroutine functions, methods, partials, decorated functions and objects work as handlers."""
    calls = Calls()
    handlers.register("TASK_STARTED", forms(calls)[number], None)
    handlers.dispatch(event(a=1))
    assert handlers.wait(WAIT)
    assert calls.calls == [("TASK_STARTED", "a", {"a": 1})]
    assert threading.current_thread().name not in calls.threads


def test_nothing_is_started_for_nothing(handlers: Handlers) -> None:
    """Without a handler for the event type, no thread is started."""
    before = threading.active_count()
    handlers.dispatch(event())
    handlers.register("BUILD_STARTED", Calls(), None)
    handlers.dispatch(event())
    assert threading.active_count() == before


def test_only_what_was_asked_for(handlers: Handlers) -> None:
    """A handler gets only the events of its type. A handler for `*` gets all events."""
    one, everything = Calls(), Calls()
    handlers.register("TASK_FAILED", one, None)
    handlers.register("*", everything, None)
    for event_type in ("TASK_STARTED", "TASK_FAILED", "TEST_FAILED"):
        handlers.dispatch(event(event_type))
    assert handlers.wait(WAIT)
    assert [call[0] for call in one.calls] == ["TASK_FAILED"]
    assert [call[0] for call in everything.calls] == ["TASK_STARTED", "TASK_FAILED", "TEST_FAILED"]


def test_in_order(handlers: Handlers) -> None:
    """A plain function gets the events in order, one at a time, on one thread."""
    calls = Calls()
    handlers.register("*", calls, None)
    handlers.register("TASK_STARTED", calls, None)
    for number in range(200):
        handlers.dispatch(event("BUILD_STARTED", f"{number}"))
    assert handlers.wait(WAIT)
    assert [call[1] for call in calls.calls] == [f"{number}" for number in range(200)]
    assert len(calls.threads) == 1


def test_metadata_of_one_s_own(handlers: Handlers) -> None:
    """If a handler changes its metadata, neither other handlers nor the event are affected."""
    seen: list[dict[str, Any]] = []

    def spoil(event_type: str, task_id: str | None, metadata: dict[str, Any]) -> None:
        metadata.clear()

    handlers.register("*", spoil, None)
    handlers.register("*", lambda *arguments: seen.append(arguments[2]), None)
    one = event(a=1)
    handlers.dispatch(one)
    assert handlers.wait(WAIT)
    assert seen == [{"a": 1}]
    assert one.metadata == {"a": 1}


@pytest.mark.parametrize(
    "error",
    [ValueError("mine"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), BaseException("base")],
    ids=repr,
)
@pytest.mark.parametrize("form", ["plain", "coroutine"])
def test_a_handler_that_raises(
    handlers: Handlers, quiet: pytest.LogCaptureFixture, form: str, error: BaseException
) -> None:
    """An error in a handler is logged with the handler's name, and all later calls still happen."""
    calls, tries = Calls(), []

    def failing(*arguments: Any) -> None:
        tries.append(arguments)
        raise error

    async def failing_later(*arguments: Any) -> None:
        failing(*arguments)

    handlers.register("*", failing if form == "plain" else failing_later, None)
    handlers.register("*", calls, None)
    handlers.register("*", calls.later, None)
    for _ in range(3):
        handlers.dispatch(event())
        assert handlers.wait(WAIT)
    assert len(tries) == 3
    assert len(calls.calls) == 6
    assert "failing" in quiet.text


@pytest.mark.parametrize("form", ["sleeps", "awaits"])
def test_a_handler_that_hangs(handlers: Handlers, form: str) -> None:
    """If a handler hangs, `dispatch` returns at once, other handlers get their events, and `wait` times out."""
    release, calls = threading.Event(), Calls()

    def sleeping(*arguments: Any) -> None:
        release.wait(WAIT)

    async def waiting(*arguments: Any) -> None:
        await asyncio.to_thread(release.wait, WAIT)

    handlers.register("*", sleeping if form == "sleeps" else waiting, None)
    handlers.register("*", calls, None)
    handlers.register("*", calls.later, None)
    begun = time.monotonic()
    for _ in range(100):
        handlers.dispatch(event())
    assert not handlers.wait(0.2)
    assert time.monotonic() - begun < WAIT / 2
    deadline = time.monotonic() + WAIT
    while len(calls.calls) < 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(calls.calls) == 200
    release.set()
    assert handlers.wait(WAIT)


def test_a_coroutine_that_blocks(handlers: Handlers) -> None:
    """A coroutine that blocks its thread blocks neither the caller nor the plain functions."""
    release, calls = threading.Event(), Calls()

    async def blocking(*arguments: Any) -> None:
        release.wait(WAIT)

    handlers.register("*", blocking, None)
    handlers.register("*", calls, None)
    begun = time.monotonic()
    for _ in range(20):
        handlers.dispatch(event())
    assert time.monotonic() - begun < WAIT / 2
    deadline = time.monotonic() + WAIT
    while len(calls.calls) < 20 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(calls.calls) == 20
    release.set()
    assert handlers.wait(WAIT)


def test_handlers_of_handlers(handlers: Handlers) -> None:
    """A handler may dispatch events itself."""
    calls = Calls()

    def passes_on(event_type: str, task_id: str | None, metadata: dict[str, Any]) -> None:
        handlers.dispatch(event("BUILD_STARTED", "inner"))

    handlers.register("TASK_STARTED", passes_on, None)
    handlers.register("BUILD_STARTED", calls, None)
    handlers.dispatch(event())
    assert handlers.wait(WAIT)
    assert [call[1] for call in calls.calls] == ["inner"]


def test_unregistered(handlers: Handlers) -> None:
    """An unregistered handler gets no new events, its started calls finish, and other handlers are unaffected."""
    release, mine, others = threading.Event(), Calls(), Calls()
    me = object()

    def slow(*arguments: Any) -> None:
        release.wait(WAIT)
        mine(*arguments)

    handlers.register("*", slow, me)
    handlers.register("*", others, object())
    handlers.dispatch(event())
    handlers.unregister(me)
    handlers.dispatch(event())
    release.set()
    assert handlers.wait(WAIT)
    assert len(mine.calls) == 1
    assert len(others.calls) == 2


def test_no_threads_are_left(handlers: Handlers) -> None:
    """Registering and unregistering many times leaves no threads behind."""
    before = threading.active_count()
    for _ in range(50):
        calls, owner = Calls(), object()
        handlers.register("*", calls, owner)
        handlers.dispatch(event())
        handlers.unregister(owner)
        assert handlers.wait(WAIT)
        assert len(calls.calls) == 1
    deadline = time.monotonic() + WAIT
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_from_many_threads(handlers: Handlers) -> None:
    """Events from many threads at the same time reach each handler exactly once."""
    calls = Calls()
    handlers.register("*", calls, None)
    handlers.register("*", calls.later, None)

    def give(number: int) -> None:
        for _ in range(50):
            handlers.dispatch(event(task_id=f"{number}"))

    threads = [threading.Thread(target=give, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert handlers.wait(WAIT)
    assert len(calls.calls) == 800


def test_inside_a_running_loop(handlers: Handlers) -> None:
    """Inside a running event loop, handlers run on another loop and do not block the caller's."""
    calls = Calls()
    handlers.register("*", calls.later, None)

    async def work() -> None:
        handlers.dispatch(event())
        await asyncio.to_thread(handlers.wait, WAIT)

    asyncio.run(asyncio.wait_for(work(), WAIT))
    assert calls.threads == {"swarmtask-handlers"}


def test_no_thread_to_be_had(
    handlers: Handlers, quiet: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no thread can be started, as at interpreter exit, this is logged, and `wait` returns at once."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    handlers.register("*", Calls(), None)
    handlers.register("*", Calls().later, None)
    handlers.dispatch(event())
    assert handlers.wait(0)
    assert quiet.text.count("could not be run") == 2


def test_a_frozen_clock(handlers: Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    """`wait` times out even if the suite has stopped the clock."""
    release = threading.Event()
    handlers.register("*", lambda *_: (release.wait(WAIT), None)[1], None)
    handlers.dispatch(event())
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    assert not handlers.wait(0.1)
    release.set()
