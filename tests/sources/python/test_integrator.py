"""The integrator for users: it is cheap, shared, and never disturbs the calling program."""

from __future__ import annotations

import asyncio
import re
import subprocess
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask import AutomationEventType, AutomationIntegrator, EventTypeError, UsageError, trigger_task_event
from tests.lab import SECRET, Lab, Receiver, no_relay, read_events, receiving

IMPORTS = "from pytest_swarmtask import AutomationEventType, AutomationIntegrator, trigger_task_event\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".taskmaster").mkdir()
    return tmp_path


@pytest.fixture
def integrator(root: Path) -> Iterator[AutomationIntegrator]:
    with AutomationIntegrator(root) as made:
        yield made
    made._pipeline.handlers.close()
    made._pipeline.recorder.close()


def run(lab: Lab, program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program that uses the integrator. Every warning is an error."""
    return lab.python(IMPORTS + textwrap.dedent(program), PYTHONWARNINGS="error", **environ)


def runs_well(lab: Lab, program: str, **environ: str) -> str:
    """Run a program, check that it succeeds with an empty stderr, and return its output."""
    done = run(lab, program, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# -- giving events -------------------------------------------------------------------------------------------------


def test_an_event(integrator: AutomationIntegrator, root: Path) -> None:
    """An event is in the journal when the call returns, and the call returns its id."""
    event_id = integrator.trigger_event(AutomationEventType.TASK_FAILED, "5.2", metadata={"error": "no"})
    (event,) = read_events(root)
    assert (event["id"], event["event_type"], event["task_id"], event["status"]) == (
        event_id,
        "TASK_FAILED",
        "5.2",
        "failed",
    )
    assert event["metadata"]["error"] == "no"


def test_plain_strings_will_do(integrator: AutomationIntegrator, root: Path) -> None:
    """An event type may be given as a string, and any status may be set."""
    integrator.trigger_event("BUILD_STARTED", status="queued")
    assert [(event["event_type"], event["status"]) for event in read_events(root)] == [("BUILD_STARTED", "queued")]


def test_wrong_calls_are_told(integrator: AutomationIntegrator, root: Path) -> None:
    """A wrong event type, metadata or handler raises an error, and nothing is recorded."""
    with pytest.raises(EventTypeError, match="did you mean TASK_STARTED"):
        integrator.trigger_event("TASK_START")
    wrong: Any = ["a"]
    with pytest.raises(UsageError, match="metadata is list"):
        integrator.trigger_event("TASK_STARTED", metadata=wrong)
    wrong = {"a": 1}
    with pytest.raises(UsageError, match="status is dict, expected text; metadata comes after it: metadata="):
        integrator.trigger_event("TASK_STARTED", "5", wrong)
    with pytest.raises(EventTypeError):
        integrator.register_handler("TASK_START", lambda *_: None)
    wrong = "no function"
    with pytest.raises(UsageError, match="expected a function"):
        integrator.register_handler("TASK_STARTED", wrong)
    assert read_events(root) == []


class Refusing:
    """An object that is neither true nor false and cannot be shown."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    __str__ = __repr__ = __bool__  # type: ignore[assignment]

    def keys(self) -> Any:
        raise OSError("gone")


@pytest.mark.parametrize(
    "arguments",
    [
        ("NONSENSE",),
        (None,),
        (5,),
        (["TASK_STARTED"],),
        ("TASK_STARTED", "a", None, 5),
        ("TASK_STARTED", "a", None, "text"),
        (Refusing(), Refusing(), Refusing(), Refusing()),
    ],
    ids=lambda arguments: type(arguments[0]).__name__,
)
def test_the_short_form_never_raises(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, arguments: tuple[Any, ...]
) -> None:
    """`trigger_task_event` never raises an error. It logs the problem instead."""
    monkeypatch.chdir(root)
    assert trigger_task_event(*arguments) is None
    assert "was not recorded" in caplog.text


@pytest.mark.parametrize("odd", [Refusing(), 5.2, ["a"], b"\xff", Path("a")], ids=lambda value: type(value).__name__)
def test_odd_arguments_make_an_event(integrator: AutomationIntegrator, root: Path, odd: Any) -> None:
    """A task id, a status or a value of any type gives an event."""
    assert integrator.trigger_event("TASK_STARTED", odd, odd, {"value": odd}) is not None
    assert len(read_events(root)) == 1


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """If the journal cannot be written, the call returns None and raises no error."""
    (tmp_path / ".taskmaster").write_text("in the way")
    with AutomationIntegrator(tmp_path) as integrator:
        assert integrator.trigger_event("TASK_STARTED") is None
        integrator.register_webhook("https://example.com/hook")
        assert integrator.trigger_event("TASK_STARTED") is None
        assert integrator.flush(0)


# -- one shared recorder -------------------------------------------------------------------------------------------


def test_a_thousand_share_one_core(lab: Lab) -> None:
    """Any number of integrators in any threads share one segment and one set of handlers, and leave no threads."""
    runs_well(
        lab,
        """
        import threading
        seen = []
        AutomationIntegrator().register_handler("TASK_FAILED", lambda *event: seen.append(event))
        def work():
            for _ in range(125):
                AutomationIntegrator().trigger_event("TASK_STARTED")
        threads = [threading.Thread(target=work) for _ in range(8)]
        [t.start() for t in threads], [t.join() for t in threads]
        assert threading.active_count() == 1
        integrator = AutomationIntegrator()
        integrator.trigger_event("TASK_FAILED", "last")
        assert integrator.flush(20)
        assert len(seen) == 1
        """,
        TASKMASTER_WEBHOOK_URL="",
    )
    assert len(lab.segments()) == 1
    assert len(set(lab.ids())) == 1001


def test_many_threads_at_first(lab: Lab) -> None:
    """Threads that create their first integrator at the same time share one recorder."""
    runs_well(
        lab,
        """
        import threading
        ready = threading.Barrier(16)
        seen = []
        def work(number):
            ready.wait()
            integrator = AutomationIntegrator()
            integrator.register_handler("TASK_STARTED", lambda *event: seen.append(event))
            ready.wait()
            integrator.trigger_event("TASK_STARTED", str(number))
        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        [t.start() for t in threads], [t.join() for t in threads]
        assert AutomationIntegrator().flush(20)
        assert len(seen) == 16 * 16, len(seen)
        """,
        TASKMASTER_WEBHOOK_URL="",
    )
    assert len(lab.segments()) == 1
    assert len(lab.ids()) == 16


def test_it_keeps_its_journal(lab: Lab) -> None:
    """A program that changes its working directory keeps writing to the same journal."""
    (lab.root / "elsewhere").mkdir()
    runs_well(
        lab,
        "import os\ntrigger_task_event('TASK_STARTED')\nos.chdir('elsewhere')\ntrigger_task_event('TASK_COMPLETED')",
        TASKMASTER_WEBHOOK_URL="",
    )
    assert len(lab.events()) == 2


def test_unregistered_at_the_end_of_with(integrator: AutomationIntegrator, root: Path) -> None:
    """The end of a `with` block unregisters the handlers and webhooks of its integrator, and no others."""
    mine, others = [], []
    integrator.register_handler("*", lambda *event: others.append(event))
    with AutomationIntegrator(root) as inner:
        inner.register_handler("*", lambda *event: mine.append(event))
        inner.register_webhook("https://example.com/hook")
        no_relay(inner._pipeline.recorder)
        inner.trigger_event("TASK_STARTED")
        inner._pipeline.recorder._journal.close()
        inner._pipeline.recorder._journal._ended = {}
    integrator.trigger_event("TASK_COMPLETED")
    assert integrator.flush(20)
    assert (len(mine), len(others)) == (1, 2)
    routes = [path.stem.rpartition("-")[2] for path in sorted((root / ".taskmaster" / "events").glob("*.jsonl"))]
    assert [route == "local" for route in routes] == [False, True]


def test_usable_after_its_end(integrator: AutomationIntegrator, root: Path) -> None:
    """A closed integrator can still trigger events."""
    integrator.close()
    assert integrator.trigger_event("TASK_STARTED") is not None


# -- handlers ------------------------------------------------------------------------------------------------------


def test_handlers_get_what_the_journal_has(integrator: AutomationIntegrator, root: Path) -> None:
    """Handlers get type, task id and metadata as written to the journal, with secrets hidden."""
    seen: list[tuple[str, str | None, dict[str, Any]]] = []

    async def handler(event_type: str, task_id: str | None, metadata: dict[str, Any]) -> None:
        seen.append((event_type, task_id, metadata))

    integrator.register_handler(AutomationEventType.TASK_COMPLETED, handler)
    integrator.trigger_event("TASK_COMPLETED", "a", metadata={"password": "hunter2", "x": 1})
    assert integrator.flush(20)
    (event,) = read_events(root)
    assert seen == [("TASK_COMPLETED", "a", event["metadata"])]
    assert "hunter2" not in str(seen)


@pytest.mark.parametrize(
    "handler",
    [
        "def handler(*_): raise SystemExit(5)",
        "async def handler(*_): raise SystemExit(5)",
        "def handler(*_): 1 / 0",
        "async def handler(*_): 1 / 0",
    ],
)
def test_a_handler_that_raises(lab: Lab, handler: str) -> None:
    """An error in a handler, even SystemExit, does not affect the caller, other handlers or the exit code."""
    done = run(
        lab,
        f"{handler}\n"
        "integrator = AutomationIntegrator()\n"
        "integrator.register_handler('*', handler)\n"
        "integrator.register_handler('*', lambda *e: print(e[0], flush=True))\n"
        "integrator.trigger_event('TASK_STARTED'); integrator.trigger_event('TASK_COMPLETED')\n",
        TASKMASTER_WEBHOOK_URL="",
    )
    assert (done.returncode, done.stdout) == (0, "TASK_STARTED\nTASK_COMPLETED\n")
    assert done.stderr.count("Traceback") == 2


@pytest.mark.parametrize(
    "handler",
    [
        "def handler(*_): time.sleep(60)",
        "async def handler(*_): await asyncio.sleep(60)",
        "async def handler(*_): time.sleep(60)",
        "async def handler(*_): await asyncio.Event().wait()",
    ],
)
def test_a_handler_that_hangs(lab: Lab, handler: str) -> None:
    """A hanging handler delays no caller and no handler, and delays the program's end by at most `handler_timeout`."""
    config = lab.root / ".taskmaster" / "config"
    config.mkdir()
    (config / "workflow.yaml").write_text("task_integration: {handler_timeout: 0.5}\n")
    begun = time.monotonic()
    done = run(
        lab,
        f"import asyncio, time\n{handler}\n"
        "integrator = AutomationIntegrator()\n"
        "integrator.register_handler('*', handler)\n"
        "integrator.register_handler('*', lambda *e: print(e[0], flush=True))\n"
        "begun = time.monotonic()\n"
        "for _ in range(50): integrator.trigger_event('TASK_STARTED')\n"
        "assert time.monotonic() - begun < 15\n",  # waiting for the handler would take half a second for each event
        TASKMASTER_WEBHOOK_URL="",
    )
    assert time.monotonic() - begun < 30
    assert done.returncode == 0
    assert done.stdout == "TASK_STARTED\n" * 50
    assert "still running after 0.5 s" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(lab.ids()) == 50


def test_slow_handlers_get_their_time(lab: Lab) -> None:
    """A handler that is still running at the end of the program may finish within its timeout."""
    out = runs_well(
        lab,
        """
        import asyncio, os, time
        integrator = AutomationIntegrator()
        def slow(*_): time.sleep(0.3); os.write(1, b"slow ")
        async def later(*_): await asyncio.sleep(0.3); os.write(1, b"later ")
        integrator.register_handler("*", slow)
        integrator.register_handler("*", later)
        integrator.trigger_event("TASK_STARTED")
        """,
        TASKMASTER_WEBHOOK_URL="",
    )
    assert sorted(out.split()) == ["later", "slow"]


# -- any place of the call -----------------------------------------------------------------------------------------


def test_inside_a_running_loop(integrator: AutomationIntegrator, root: Path) -> None:
    """Inside a running event loop, an event can be triggered and its coroutine handler runs on another loop."""
    seen = threading.Event()

    async def handler(*_: Any) -> None:
        seen.set()

    async def work() -> None:
        integrator.register_handler("*", handler)
        integrator.trigger_event("TASK_STARTED")
        await asyncio.to_thread(seen.wait, 20)

    asyncio.run(work())
    assert seen.is_set()


def test_after_a_fork(lab: Lab) -> None:
    """A forked child can trigger events and run all registered handlers, and those of the parent keep working."""
    out = runs_well(
        lab,
        """
        import os, sys
        integrator = AutomationIntegrator()
        def say(form, event): os.write(1, f"{form} {event[1]} {os.getpid() == parent}\\n".encode())
        async def later(*event): say("later", event)
        integrator.register_handler("*", later)
        integrator.register_handler("*", lambda *event: say("plain", event))
        parent = os.getpid()
        integrator.trigger_event("TASK_STARTED", "before")
        assert integrator.flush(20)
        pid = os.fork()
        if not pid:
            integrator.trigger_event("TASK_STARTED", "child")
            assert integrator.flush(20)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        integrator.trigger_event("TASK_STARTED", "after")
        """,
        TASKMASTER_WEBHOOK_URL="",
    )
    assert sorted(out.splitlines()) == sorted(
        f"{form} {name} {own}"
        for form in ("later", "plain")
        for name, own in (("before", True), ("child", False), ("after", True))
    )
    assert len(lab.segments()) == 2


def test_a_child_that_ends_as_usual(lab: Lab, receiver: Receiver) -> None:
    """A forked child that exits normally closes nothing that belongs to its parent."""
    runs_well(
        lab,
        """
        import os
        integrator = AutomationIntegrator()
        async def handler(*_): pass
        integrator.register_handler("*", handler)
        integrator.trigger_event("TASK_STARTED", "before")
        assert integrator.flush(30)
        if os.fork():
            assert os.wait()[1] == 0
            integrator.trigger_event("TASK_STARTED", "after")
            assert integrator.flush(30)
        else:
            integrator.trigger_event("TASK_STARTED", "child")
        """,
    )
    receiver.wait(3)
    assert sorted(receiver.ids) == sorted(lab.ids())


@pytest.mark.parametrize(
    "when", ["atexit", "atexit before import", "__del__", "thread", "excepthook", "exit in a handler"]
)
def test_at_the_end_of_the_interpreter(lab: Lab, when: str) -> None:
    """An event that is triggered while the interpreter exits is recorded without any message."""
    program = {
        "atexit": "import atexit\natexit.register(trigger_task_event, 'TASK_STARTED', 'last')",
        "atexit before import": "import sys\ntrigger_task_event('TASK_STARTED', 'first')",
        "__del__": "class A:\n    def __del__(self): trigger_task_event('TASK_STARTED', 'last')\na = A()",
        "thread": (
            "import threading, time\n"
            "def work():\n    threading.main_thread().join(); trigger_task_event('TASK_STARTED', 'last')\n"
            "threading.Thread(target=work).start()"
        ),
        "excepthook": "import sys\nsys.excepthook = lambda *_: trigger_task_event('TASK_STARTED', 'last')\n1 / 0",
        "exit in a handler": (
            "integrator = AutomationIntegrator()\nasync def handler(kind, task, metadata):\n"
            "    if task == 'first': trigger_task_event('TASK_STARTED', 'last')\n"
            "integrator.register_handler('*', handler)\nintegrator.trigger_event('TASK_STARTED', 'first')"
        ),
    }[when]
    if when == "atexit before import":
        program = (
            "import atexit\natexit.register(lambda: trigger_task_event('TASK_STARTED', 'last'))\n" + IMPORTS + program
        )
    done = lab.python(
        (IMPORTS if when != "atexit before import" else "") + program, TASKMASTER_WEBHOOK_URL="", PYTHONWARNINGS="error"
    )
    assert done.returncode == (1 if when == "excepthook" else 0)
    assert done.stderr == ""
    assert lab.events()[-1]["task_id"] == "last"


def test_a_signal_while_it_writes(lab: Lab) -> None:
    """A signal handler can trigger an event during another event without a deadlock."""
    out = runs_well(
        lab,
        """
        import signal
        count = 0
        def on_alarm(*_):
            global count
            count += 1
            trigger_task_event("TASK_FAILED", "signal")
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        integrator = AutomationIntegrator()
        integrator.register_handler("TASK_FAILED", lambda *_: None)
        given = 0
        while count < 100:
            integrator.trigger_event("TASK_STARTED", "main")
            given += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(given, count)
        """,
        TASKMASTER_WEBHOOK_URL="",
    )
    given, count = map(int, out.split())
    names = [event["task_id"] for event in lab.events()]
    assert (names.count("main"), names.count("signal")) == (given, count)


# -- webhooks ------------------------------------------------------------------------------------------------------


def test_a_registered_webhook(lab: Lab, receiver: Receiver) -> None:
    """A registered webhook gets only later events, signed with the secret in `secret_env`."""
    runs_well(
        lab,
        f"""
        integrator = AutomationIntegrator()
        integrator.trigger_event("TASK_STARTED", "before")
        integrator.register_webhook("{receiver.url}", secret_env="OWN_SECRET", format="plain")
        integrator.trigger_event("TASK_STARTED", "after")
        assert integrator.flush(30)
        """,
        TASKMASTER_WEBHOOK_URL="",
        AUTOMATION_SECRET_KEY="",
        OWN_SECRET=SECRET,
    )
    assert [event["task_id"] for event in receiver.accepted] == ["after"]
    assert receiver.accepted[0] == lab.events()[-1]


def test_filters_batches_and_a_name(lab: Lab, receiver: Receiver) -> None:
    """A registered webhook can have a filter, batches and a name, and the configured webhook still gets all events."""
    with receiving() as own:
        runs_well(
            lab,
            f"""
            with AutomationIntegrator() as integrator:
                integrator.register_webhook("{own.url}", name="board", events=["BUILD_*"], batch=True)
                for kind in ("TASK_STARTED", "BUILD_STARTED", "BUILD_COMPLETED", "TASK_COMPLETED"):
                    integrator.trigger_event(kind)
                assert integrator.flush(30)
            """,
        )
        assert [event["event_type"] for event in own.accepted] == ["BUILD_STARTED", "BUILD_COMPLETED"]
        assert own.arrivals[0].headers["content-type"] == "application/cloudevents-batch+json"
    assert len(receiver.accepted) == 4
    assert set(lab.status()["endpoints"]) == {"board", "default"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "http://[::1",
        "http://user:password@example.com/",
        "ftp://user:password@example.com/",
        None,
        5,
        b"https://example.com",
    ],
    ids=repr,
)
def test_a_wrong_url(integrator: AutomationIntegrator, url: Any) -> None:
    """An invalid URL, or one with a password, is refused at once with a message that hides the password."""
    with pytest.raises(UsageError, match=r"webhook url (is .*, expected https|holds a password)") as caught:
        integrator.register_webhook(url)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://127.0.0.1:8017/",
        "${WEBHOOK}",
        "https://${TOKEN}@example.com/x",
        "https://example.com/${PATH_SECRET}",
        "${BASE}/x",
    ],
)
def test_a_right_url(integrator: AutomationIntegrator, url: str) -> None:
    """A URL may use https, http on loopback, and variables anywhere."""
    integrator.register_webhook(url)
    integrator._pipeline.recorder.unregister_webhook(integrator._webhooks.pop())


@pytest.mark.parametrize("name", ["", "two words", "task:sync", "-x", "x" * 65, "line\n", 5, b"x"], ids=repr)
def test_a_wrong_name(integrator: AutomationIntegrator, name: Any) -> None:
    """A name must follow the rules of the configuration."""
    with pytest.raises(UsageError, match=re.escape(f"webhook name is {name!r}, expected a name of at most 64 letters")):
        integrator.register_webhook("https://example.com/", name=name)
    assert integrator._webhooks == []


def test_flush_tells(lab: Lab, receiver: Receiver) -> None:
    """`flush` returns whether everything was delivered within the timeout."""
    receiver.answer = lambda _: 500
    out = runs_well(
        lab,
        "import time\nintegrator = AutomationIntegrator()\n"
        "integrator.trigger_event('TASK_STARTED')\nb = time.monotonic()\n"
        "print(integrator.flush(0.5), time.monotonic() - b < 10)",
    )
    assert out == "False True\n"


def test_a_frozen_clock(lab: Lab, receiver: Receiver) -> None:
    """`flush` times out even if the program has stopped the clocks."""
    receiver.answer = lambda _: 500
    out = runs_well(
        lab,
        """
        import time
        integrator = AutomationIntegrator()
        integrator.trigger_event("TASK_STARTED")
        time.monotonic = time.time = lambda: 0.0
        print(integrator.flush(0.5))
        """,
    )
    assert out == "False\n"


def test_nothing_heavy_is_loaded(lab: Lab) -> None:
    """Recording, also with a webhook, loads no HTTP, YAML, SQLite or terminal library into the program."""
    out = runs_well(
        lab,
        "import sys\nintegrator = AutomationIntegrator()\n"
        "integrator.trigger_event('TASK_STARTED')\nassert integrator.flush(30)\n"
        "print(*sys.modules)",
        COVERAGE_PROCESS_CONFIG="",
    )
    assert not {"httpx", "yaml", "sqlite3", "rich", "msgspec", "asyncio", "pytest", "socket"} & set(out.split())


def test_typed_for_the_caller() -> None:
    """The package has a `py.typed` file."""
    import pytest_swarmtask

    assert (Path(pytest_swarmtask.__file__).parent / "py.typed").exists()
