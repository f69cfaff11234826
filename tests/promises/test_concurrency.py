"""Many concurrent writers, and suites that patch threads and sockets, neither lose nor mix up events."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
from collections import Counter, defaultdict
from importlib.util import find_spec

import pytest

from tests.lab import Lab, Receiver, clean_environ
from tests.suite import Suite

PROCESSES, THREADS, EACH = 32, 16, 10

CROWD = f"""
import os, sys, threading
from pytest_swarmtask import AutomationIntegrator

integrator = AutomationIntegrator()
integrator.trigger_event("TASK_STARTED", "parent", metadata={{"n": 0}})
ready_r, ready_w = os.pipe()
go_r, go_w = os.pipe()

def work(process, thread, barrier):
    barrier.wait()
    for n in range({EACH}):
        filler = chr(97 + process % 26) * (n * 37)
        metadata = {{"n": n, "filler": filler}}
        assert integrator.trigger_event("TASK_STARTED", f"{{process}}/{{thread}}", metadata=metadata)

def child(process):
    barrier = threading.Barrier({THREADS})
    threads = [threading.Thread(target=work, args=(process, t, barrier)) for t in range({THREADS})]
    os.write(ready_w, b".")
    os.read(go_r, 1)
    [t.start() for t in threads], [t.join() for t in threads]

pids = []
for process in range({PROCESSES}):
    pid = os.fork()
    if not pid:
        try:
            child(process)
        except BaseException:
            os._exit(1)
        os._exit(0)
    pids.append(pid)
for _ in pids: os.read(ready_r, 1)
os.write(go_w, b"." * len(pids))
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_crowd(lab: Lab, receiver: Receiver) -> None:
    """32 processes with 16 threads each emit at once, and no event is lost, torn or reordered.

    Every event is a whole line in the segment of its own process. It keeps the order of its thread, has a unique id and
    is delivered. One relay serves all processes.
    """
    lab.webhooks({"name": "crowd", "url": receiver.url, "batch": True})
    done = lab.python(CROWD, TASKMASTER_WEBHOOK_URL="")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(lab.relays()) <= 1
    orders: dict[str, list[int]] = defaultdict(list)
    for segment in lab.segments():
        events = [json.loads(line) for line in segment.read_bytes().splitlines()]
        assert len({event["task_id"].partition("/")[0] for event in events}) == 1
        for event in events:
            orders[event["task_id"]].append(event["metadata"]["n"])
            process, n = event["task_id"].partition("/")[0], event["metadata"]["n"]
            if process != "parent":
                assert event["metadata"]["filler"] == chr(97 + int(process) % 26) * (n * 37)
    assert len(lab.segments()) == PROCESSES + 1
    assert orders.pop("parent") == [0]
    assert len(orders) == PROCESSES * THREADS
    assert set(map(tuple, orders.values())) == {tuple(range(EACH))}
    ids = lab.ids()
    assert len(set(ids)) == len(ids) == PROCESSES * THREADS * EACH + 1
    receiver.wait(len(ids))
    assert Counter(receiver.ids) == Counter(ids)


CHILDREN = """
    import asyncio
    import multiprocessing
    import os
    import signal
    import subprocess
    import sys
    import threading

    import pytest

    from pytest_swarmtask import AutomationIntegrator, trigger_task_event

    def work(name):
        integrator = AutomationIntegrator()
        for n in range(20):
            assert integrator.trigger_event("TASK_STARTED", f"{name}-{n}")

    @pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
    def test_multiprocessing(method):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            pool.map(work, [f"{method}{n}" for n in range(4)])
        process = context.Process(target=work, args=(f"{method}4",))
        process.start()
        process.join()
        assert process.exitcode == 0

    def test_fork_with_exec():
        pid = os.fork()
        if not pid:
            os.execv(sys.executable, [sys.executable, "-c", "import test_it; test_it.work('exec')"])
        assert os.waitpid(pid, 0)[1] == 0

    def test_asyncio():
        seen = []

        async def handler(event_type, task_id, metadata):
            await asyncio.sleep(0)
            seen.append(task_id)

        async def one(n):
            await asyncio.sleep(0)
            await asyncio.get_running_loop().run_in_executor(None, trigger_task_event, "TASK_STARTED", f"thread-{n}")
            return trigger_task_event("TASK_STARTED", f"async-{n}")

        async def all_of_them():
            return await asyncio.gather(*map(one, range(50)))

        with AutomationIntegrator() as integrator:
            integrator.register_handler("TASK_STARTED", handler)
            assert len(set(asyncio.run(all_of_them()))) == 50
        assert len(seen) == 100

    def test_signals():
        count = 0

        def on_alarm(*_):
            nonlocal count
            count += 1
            trigger_task_event("TASK_FAILED", f"signal-{count}")

        before = signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        given = 0
        while count < 50:
            trigger_task_event("TASK_STARTED", f"main-{given}")
            given += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        print(f"given {given} {count}", flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_children_coroutines_and_signals(project: Suite) -> None:
    """Events from child processes, coroutines, threads and signal handlers are each recorded exactly once.

    The child processes use every start method of multiprocessing, and fork with exec. The test outcomes stay the same.
    """
    session = project.write(test_it=CHILDREN).pytest("-rP", "-W", "ignore::DeprecationWarning")
    assert session.exit_code == 0, session.output
    methods = multiprocessing.get_all_start_methods()
    assert list(session.outcomes().values()) == ["passed"] * (len(methods) + 3)
    names = Counter(event["task_id"] for event in session.events if "::" not in event["task_id"])
    del names["pytest_run"]
    given, signals = map(int, session.output.partition("given ")[2].split()[:2])
    expected = [f"{method}{n}-{i}" for method in methods for n in range(5) for i in range(20)]
    expected += [f"exec-{n}" for n in range(20)]
    expected += [f"{kind}-{n}" for kind in ("thread", "async") for n in range(50)]
    expected += [f"main-{n}" for n in range(given)] + [f"signal-{n + 1}" for n in range(signals)]
    assert names == Counter(expected)
    assert len({event["id"] for event in session.events}) == len(session.events)


BY_HAND = """
    # As gevent's monkey.patch_all does, in small: what would wait or start a thread is something else now.
    import os, queue, select, socket, subprocess, threading, time

    real_sleep = time.sleep

    class Patched:
        def __init__(self, *args, **kwargs):
            raise AssertionError("a patched class is used")

    def refuse(*args, **kwargs):
        raise AssertionError("a patched function is used")

    time.sleep = lambda seconds=0: real_sleep(0)
    socket.socket = Patched
    socket.create_connection = select.select = threading.Thread.start = os.waitpid = refuse
    queue.SimpleQueue = queue.Queue = subprocess.Popen = Patched
"""
GEVENT = """
    from gevent import monkey
    monkey.patch_all()
"""
PATCHED = """
    import pytest
    from pytest_swarmtask import trigger_task_event

    @pytest.mark.parametrize("n", range(20))
    def test_a(n):
        assert trigger_task_event("TASK_STARTED", f"own-{n}")
"""
GREEN = """
    import gevent
    from pytest_swarmtask import AutomationIntegrator, trigger_task_event

    def work(name):
        for n in range(20):
            gevent.sleep(0)
            assert trigger_task_event("TASK_STARTED", f"{name}-{n}")

    def test_greenlets():
        seen = []
        with AutomationIntegrator() as integrator:
            integrator.register_handler("TASK_STARTED", lambda *event: seen.append(event))
            gevent.joinall([gevent.spawn(work, str(n)) for n in range(20)], raise_error=True)
        assert len(seen) == 400
"""


@pytest.mark.parametrize("how", ["by hand", "gevent"])
def test_monkeypatched(lab: Lab, receiver: Receiver, how: str) -> None:
    """A suite loses no event and no delivery if gevent patches threads, sockets, processes and time.

    The conftest patches them by hand as gevent does, or calls gevent itself.
    """
    # gevent belongs to the test extra, but there may be no wheel for the newest Python versions.
    if how == "gevent" and find_spec("gevent") is None:
        pytest.skip("gevent is not installed")
    files = {"conftest": BY_HAND, "test_it": PATCHED}
    if how == "gevent":
        files |= {"conftest": GEVENT, "test_green": GREEN}
    for name, text in files.items():
        (lab.root / f"{name}.py").write_text(textwrap.dedent(text))
    done = lab.pytest("-p", "no:rerunfailures", "-p", "no:faulthandler", "--swarmtask-drain-timeout=30")
    assert done.returncode == 0, done.stdout
    count = 2 + 20 * 3 + (402 if how == "gevent" else 0)
    assert f"swarmtask: {count} events delivered" in done.stdout, done.stdout + lab.log()
    assert "swarmtask: warning" not in done.stdout
    assert Counter(receiver.ids) == Counter(lab.ids())
    assert len(lab.ids()) == count


def test_two_runs_in_one_checkout(project: Suite) -> None:
    """Two simultaneous sessions in one checkout each have their own run, segments and counts."""
    project.write(test_it="import pytest\n@pytest.mark.parametrize('n', range(200))\ndef test_a(n): pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    both = [
        subprocess.Popen(command, cwd=project.root, env=clean_environ(), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all("swarmtask: 402 events" in output for output in outputs)
    runs = Counter(event["trace_id"] for event in project.events())
    assert sorted(runs.values()) == [402, 402]
    assert len({event["id"] for event in project.events()}) == 804
