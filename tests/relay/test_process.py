"""Real runs start the relay as a process. It delivers to a live receiver, and ends when its work is done."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.timing import DEFAULTS, Timing
from pytest_swarmtask.journal import locks
from pytest_swarmtask.journal import watcher as watchers
from pytest_swarmtask.journal.segments import segments
from pytest_swarmtask.recording.recorder import Recorder
from pytest_swarmtask.recording.routing import Routing
from pytest_swarmtask.recording.settings import read_settings
from pytest_swarmtask.relay.builtin_plugins import relay_plugins
from pytest_swarmtask.relay.delivery.loop import Relay
from pytest_swarmtask.relay.delivery.routes import Routes
from pytest_swarmtask.wire.evidence import facts_of
from tests.lab import (
    HANG,
    REPOSITORY,
    UNRELATED,
    WAIT,
    Arrival,
    Lab,
    Receiver,
    closed_port,
    no_relay,
    receiving,
    wait_until,
)

SUITE = """
import pytest

@pytest.mark.parametrize("n", range({count}))
def test(n):
    assert n != 3
"""


def write_suite(lab: Lab, count: int) -> None:
    (lab.root / "test_suite.py").write_text(SUITE.format(count=count))


def test_a_pytest_run(lab: Lab, receiver: Receiver) -> None:
    """Every event of a run arrives verified, once and in order, the run says so, and the relay ends.

    The events are those of the journal, without the evidence of failed tests.
    """
    write_suite(lab, 20)
    done = lab.pytest(CI="1")
    assert done.returncode == 1
    assert "42 events delivered" in done.stdout, done.stdout
    assert receiver.ids == lab.ids()
    assert receiver.accepted == [{**event, "metadata": facts_of(Event(**event))} for event in lab.events()]
    assert "traceback" in json.dumps(lab.events())
    assert receiver.refused == 0
    assert [arrival.webhook_id for arrival in receiver.arrivals] == lab.ids()
    lab.wait_for_end()
    assert lab.log() == ""
    assert lab.status()["endpoints"]["default"].items() >= {"delivered": 42, "waiting": 0, "dead": 0}.items()


def test_nothing_configured_no_relay(lab: Lab) -> None:
    """No relay is started if no event must be delivered."""
    lab.emit("TASK_STARTED", "a", TASKMASTER_WEBHOOK_URL="")
    assert not (lab.journal / "relay").exists()
    assert lab.relays() == []


def test_emitters(lab: Lab, receiver: Receiver) -> None:
    """The event of a short process arrives although that process has already ended."""
    event = lab.emit("BUILD_COMPLETED", "make_build", '{"success": true}')
    assert receiver.wait(1) == [event]
    lab.wait_for_end()


def test_forty_at_once(lab: Lab, receiver: Receiver) -> None:
    """The events of forty simultaneous emitters each arrive once."""
    command = lab.command("emit", "TASK_STARTED")
    emitters = [
        subprocess.Popen([*command, f"{n}"], cwd=lab.root, env=lab.environ, stderr=subprocess.PIPE) for n in range(40)
    ]
    assert [emitter.communicate(timeout=120)[1] for emitter in emitters] == [b""] * 40
    assert {emitter.returncode for emitter in emitters} == {0}

    def state() -> str:
        """Return all that could explain a missing event."""
        missing = sorted(set(lab.ids()) - set(receiver.ids))
        folder = sorted(path.name for path in Path(lab.project.relay_folder).iterdir())
        return f"40 events: {receiver}\n{missing=}\n{folder}\nrelays: {lab.relays()}\n{lab.status()}\n{lab.log()}"

    wait_until(lambda: len(receiver.accepted) >= 40, state)
    lab.wait_for_end()
    assert sorted(receiver.ids) == sorted(lab.ids())
    assert sorted(event["task_id"] for event in receiver.accepted) == sorted(f"{n}" for n in range(40))


def test_one_after_the_other(lab: Lab, receiver: Receiver) -> None:
    """No event is lost if an emitter starts while a relay is about to end."""
    for number in range(12):
        lab.emit("TASK_STARTED", f"{number}")
        if number in (2, 3):
            time.sleep(1.15)  # about the time when the relay ends
    receiver.wait(12)
    assert [event["task_id"] for event in receiver.accepted] == [f"{n}" for n in range(12)]


def test_two_runs_at_once(lab: Lab, receiver: Receiver) -> None:
    """Two simultaneous runs in one checkout are both delivered, each event once and each run in its order."""
    write_suite(lab, 25)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *UNRELATED]
    runs = [subprocess.Popen(command, cwd=lab.root, env=lab.environ, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait(120) for run in runs] == [1, 1]
    receiver.wait(2 * 52)
    assert Counter(receiver.ids) == Counter(lab.ids())
    for trace_id in {event["trace_id"] for event in receiver.accepted}:
        assert [e["id"] for e in receiver.accepted if e["trace_id"] == trace_id] == [
            e["id"] for e in lab.events() if e["trace_id"] == trace_id
        ]


def test_other_secrets_another_relay(lab: Lab, receiver: Receiver) -> None:
    """A run with another webhook and secret in its environment gets its own relay, which uses them."""
    other_secret = "whsec_" + "A" * 43 + "="
    with receiving(other_secret) as other:
        release = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from pytest_swarmtask import *; trigger_task_event('TASK_STARTED', 'one'); input()",
            ],
            cwd=lab.root,
            env=lab.environ,
            stdin=subprocess.PIPE,
        )
        receiver.wait(1)
        lab.emit("TASK_STARTED", "two", TASKMASTER_WEBHOOK_URL=other.url, AUTOMATION_SECRET_KEY=other_secret)
        other.wait(1)
        assert len(lab.relays()) == 2
        release.communicate(b"\n", timeout=60)
        assert [event["task_id"] for event in receiver.accepted] == ["one"]
        assert [event["task_id"] for event in other.accepted] == ["two"]
        assert receiver.refused == other.refused == 0


def test_nobody_s_child(lab: Lab, receiver: Receiver) -> None:
    """A suite that waits for all its children, or ignores their end, never sees the relay or a zombie."""
    program = """
import os, signal, sys
from pytest_swarmtask import AutomationIntegrator
if sys.argv[1:] == ["ignore"]:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
integrator = AutomationIntegrator()
integrator.trigger_event("TASK_STARTED", "a")
assert integrator.flush(30)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no children")
"""
    for arguments in ([], ["ignore"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=lab.root,
            env=lab.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "no children\n", "")
    assert len(receiver.accepted) == 2


def test_the_relay_holds_nothing_open(lab: Lab, receiver: Receiver) -> None:
    """The relay keeps no inherited file open, so a reader of the run's output does not wait for the relay."""
    receiver.answer = lambda _: HANG
    with (lab.root / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        done = subprocess.run(
            [*lab.command("emit", "TASK_STARTED")],
            cwd=lab.root,
            env=lab.environ,
            capture_output=True,
            pass_fds=[held.fileno()],
            timeout=60,
            check=False,
        )
    assert done.returncode == 0
    wait_until(lambda: receiver.arrivals)
    (relay,) = lab.relays()
    if os.path.isdir("/proc/self/fd"):
        held_open = {os.readlink(f"/proc/{relay}/fd/{fd}") for fd in os.listdir(f"/proc/{relay}/fd")}
        assert str(lab.root / "held") not in held_open
        assert os.path.realpath(f"/proc/{relay}/fd/0") == "/dev/null"


def test_another_project_s_modules(lab: Lab, receiver: Receiver) -> None:
    """Modules in the project's folder that have the names of library modules do not break the relay."""
    for name in ("email", "http", "json", "httpx", "msgspec", "logging", "sqlite3", "ssl"):
        (lab.root / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    program = "import sys; sys.path.pop(0); from pytest_swarmtask.emit import main; main(['TASK_STARTED', 'a'])"
    done = lab.python(program)
    assert (done.returncode, done.stderr) == (0, "")
    receiver.wait(1)


def test_the_whole_group_is_killed(lab: Lab, receiver: Receiver) -> None:
    """The relay survives if a run is killed with its whole process group, as CI services do."""
    program = (
        "import os, signal; from pytest_swarmtask import *\n"
        "for n in range(3): trigger_task_event('TASK_STARTED', str(n))\n"
        "os.killpg(0, signal.SIGKILL)"
    )
    run = subprocess.Popen([sys.executable, "-c", program], cwd=lab.root, env=lab.environ, start_new_session=True)
    assert run.wait(60) == -signal.SIGKILL
    receiver.wait(3)
    assert receiver.ids == lab.ids()


# -- killed relays -------------------------------------------------------------------------------------------------


def test_killed_in_the_middle(lab: Lab, receiver: Receiver) -> None:
    """If a relay is killed, `flush` delivers every event at least once, with stable ids."""
    seen = 0

    def slow(_: Arrival) -> int:
        nonlocal seen
        seen += 1
        return 200 if seen <= 30 else HANG

    receiver.answer = slow
    lab.record(100)
    wait_until(lambda: len(receiver.arrivals) > 30)
    lab.kill(signal.SIGKILL)
    wait_until(lambda: not lab.busy(), "the death of the lock's holder")
    receiver.answer = lambda _: 200
    done = lab.run("flush")
    assert done.returncode == 0, done.stdout + lab.log()
    assert set(receiver.ids) == set(lab.ids())
    assert [arrival.webhook_id for arrival in receiver.arrivals] == [arrival.ids[0] for arrival in receiver.arrivals]
    assert lab.status()["endpoints"]["default"]["waiting"] == 0


def test_terminated(lab: Lab, receiver: Receiver) -> None:
    """A terminated relay saves its cursors, so that no event is delivered again."""
    receiver.answer = lambda arrival: 200 if arrival.events[0]["task_id"] != "30" else (503, {"Retry-After": "600"})
    lab.record(60)
    wait_until(lambda: len(receiver.arrivals) > 30)
    wait_until(lambda: lab.status()["endpoints"]["default"]["state"]["state"] == "retrying")
    lab.kill(signal.SIGTERM)
    receiver.answer = lambda _: 200
    assert lab.run("flush").returncode == 0
    assert receiver.ids == lab.ids()


def test_the_next_run_takes_over(lab: Lab, receiver: Receiver) -> None:
    """The relay of the next run delivers the pending events of a killed relay."""
    receiver.answer = lambda _: HANG
    lab.record(5)
    wait_until(lambda: receiver.arrivals)
    lab.kill()
    receiver.answer = lambda _: 200
    lab.emit("TASK_STARTED", "next")
    receiver.wait(6)
    assert sorted(receiver.ids) == sorted(lab.ids())


def test_the_next_run_takes_over_what_had_other_secrets(lab: Lab, receiver: Receiver) -> None:
    """The relay of the next run delivers events that were pending for an old address to the new address."""
    lab.emit("TASK_STARTED", "before", TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{closed_port()}/")
    wait_until(lab.relays)
    lab.kill()
    lab.emit("TASK_STARTED", "after")
    receiver.wait(2)
    assert sorted(receiver.ids) == sorted(lab.ids())


def test_a_run_whose_relay_dies(lab: Lab, receiver: Receiver) -> None:
    """A run whose relay was killed starts another relay at its end, and all its events are delivered."""
    write_suite(lab, 20)
    (lab.root / "conftest.py").write_text(
        "import os, signal, time\nfrom tests_helper import lab_relays\n"
        "def pytest_runtest_teardown(item):\n"
        "    if item.name == 'test[10]':\n"
        "        deadline = time.monotonic() + 30\n"
        "        while not lab_relays() and time.monotonic() < deadline: time.sleep(0.02)\n"
        "        for pid in lab_relays(): os.kill(pid, signal.SIGKILL)\n"
    )
    (lab.root / "tests_helper.py").write_text(
        "from pathlib import Path\nfrom tests.lab import Lab\n"
        "class Here(Lab):\n    def __init__(self): self.root = Path.cwd()\n"
        "def lab_relays(): return Here().relays()\n"
    )
    done = lab.pytest(PYTHONPATH=str(REPOSITORY), CI="1")
    assert done.returncode == 1
    assert "42 events delivered" in done.stdout, done.stdout
    assert set(receiver.ids) == set(lab.ids())


# -- the database --------------------------------------------------------------------------------------------------


def test_a_corrupt_database(lab: Lab, receiver: Receiver) -> None:
    """A damaged database is moved aside, the log says so, and every event is delivered again."""
    lab.record(3)
    receiver.wait(3)
    lab.wait_for_end()
    database = lab.journal / "relay" / "relay.db"
    database.write_bytes(b"damaged " * 2000)
    lab.emit("TASK_STARTED", "next")
    receiver.wait(7)
    assert set(receiver.ids) == set(lab.ids())
    assert list(database.parent.glob("relay.db.corrupt-*"))
    assert "moved to" in lab.log()
    assert lab.run("status").returncode == 0


@pytest.mark.long
def test_a_database_of_a_newer_version(lab: Lab, receiver: Receiver) -> None:
    """With a database of a newer version, the run goes on and says why nothing is delivered, and no relay remains."""
    import sqlite3

    lab.emit("TASK_STARTED", "a")
    receiver.wait(1)
    lab.wait_for_end()
    db = sqlite3.connect(lab.journal / "relay" / "relay.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    write_suite(lab, 2)
    done = lab.pytest()
    assert done.returncode == 0
    assert "6 not delivered yet" in done.stdout
    assert "newer version" in done.stdout
    lab.wait_for_end()
    for command in (["status"], ["flush"], ["doctor", "--no-ping"]):
        answer = lab.run(*command)
        assert answer.returncode in (1, 2)
        assert "newer version" in answer.stdout + answer.stderr
        assert "Traceback" not in answer.stderr
    assert len(receiver.accepted) == 1


# -- options of endpoints ------------------------------------------------------------------------------------------


def webhook(receiver: Receiver, name: str = "hook", **more: object) -> dict[str, object]:
    return {"name": name, "url": receiver.url, **more}


def test_filters(lab: Lab, receiver: Receiver) -> None:
    """An endpoint gets only the types that it asks for, and a run that ends with other types is drained, too."""
    lab.webhooks(webhook(receiver, events=["TEST_FAILED", "BUILD_*"]))
    write_suite(lab, 10)
    done = lab.pytest(TASKMASTER_WEBHOOK_URL="", CI="1")
    assert "22 events delivered" in done.stdout, done.stdout
    assert [event["event_type"] for event in receiver.accepted] == ["TEST_FAILED"]
    assert lab.status()["endpoints"]["hook"].items() >= {"delivered": 1, "waiting": 0, "dead": 0}.items()


def test_batches(lab: Lab, receiver: Receiver) -> None:
    """An endpoint with batches gets each event once and in order, in batches within its limit."""
    lab.webhooks(webhook(receiver, batch=True, max_events=25))
    write_suite(lab, 60)
    done = lab.pytest(TASKMASTER_WEBHOOK_URL="", CI="1")
    assert "122 events delivered" in done.stdout
    assert receiver.ids == lab.ids()
    sizes = [len(arrival.events) for arrival in receiver.arrivals]
    assert max(sizes) <= 25
    assert len(sizes) < 60
    assert all(arrival.headers["content-type"] == "application/cloudevents-batch+json" for arrival in receiver.arrivals)
    assert len({arrival.webhook_id for arrival in receiver.arrivals}) == len(sizes)


def test_two_endpoints(lab: Lab, receiver: Receiver) -> None:
    """Each endpoint gets all events in its own format, and a hanging endpoint delays no other."""
    with receiving() as other:
        other.answer = lambda _: HANG
        lab.webhooks(webhook(receiver, format="plain"), webhook(other, "stuck", timeout=60))
        lab.record(30, TASKMASTER_WEBHOOK_URL="")
        receiver.wait(30)
        assert receiver.ids == lab.ids()
        assert receiver.arrivals[0].headers["content-type"] == "application/json"
        found = lab.status()["endpoints"]
        assert (found["hook"]["waiting"], found["stuck"]["waiting"]) == (0, 30)
        lab.kill()
        other.answer = lambda _: 200
        assert lab.run("flush").returncode == 0
        assert other.ids == lab.ids()
        assert receiver.ids == lab.ids()


def test_one_that_waits_for_a_person_keeps_no_relay_alive(lab: Lab, receiver: Receiver) -> None:
    """A relay ends although an endpoint is stopped, since more attempts would change nothing."""
    with receiving() as other:
        other.answer = lambda _: 401
        lab.webhooks(webhook(receiver), webhook(other, "stopped"))
        lab.record(3, TASKMASTER_WEBHOOK_URL="")
        lab.kill()
        wait_until(lambda: not lab.busy(), "the death of the lock's holder")
        environ = {**lab.environ, "TASKMASTER_WEBHOOK_URL": ""}
        (segment,) = segments(str(lab.journal))
        key = str(Routes(lab.project, environ).relay_key(segment.route))
        lock = locks.open_locked(lab.project.lock(key))
        assert lock is not None
        served = Relay(lab.project, environ, {key: lock}, relay_plugins(), timing=Timing(retry_linger=3600.0))
        relay = threading.Thread(target=served.run, daemon=True)
        relay.start()
        relay.join(WAIT)
        assert not relay.is_alive()
    assert set(receiver.ids) == set(lab.ids())
    assert lab.status(TASKMASTER_WEBHOOK_URL="")["endpoints"]["stopped"]["waiting"] == 3


def test_an_invalid_configuration_sends_nothing(lab: Lab, receiver: Receiver) -> None:
    """While the configuration is not valid nothing is sent, neither new events nor those that wait."""
    receiver.answer = lambda _: HANG
    lab.emit("TASK_STARTED", "before")
    wait_until(lambda: receiver.arrivals)
    lab.kill()
    receiver.answer = lambda _: 200
    (lab.root / ".taskmaster" / "config").mkdir()
    (lab.root / ".taskmaster" / "config" / "workflow.yaml").write_text("task_integration: {webhoks: []}")
    assert "nothing is sent" in lab.run("emit", "TASK_STARTED", "meanwhile").stderr
    program = (
        "from pytest_swarmtask import *\nAutomationIntegrator().register_webhook('w', '${TASKMASTER_WEBHOOK_URL}')"
    )
    lab.python(program + "\ntrigger_task_event('TASK_STARTED', 'registered')")
    done = lab.run("flush")
    assert "the configuration is not valid, see: swarmtask config validate" in done.stdout
    assert done.returncode == 1
    assert len(receiver.arrivals) == 1
    lab.webhooks()
    lab.run("flush")
    assert receiver.accepted[0]["task_id"] == "before"
    assert "meanwhile" not in {event["task_id"] for event in receiver.accepted}


def test_a_webhook_that_is_added_while_a_relay_runs(lab: Lab, receiver: Receiver) -> None:
    """A running relay delivers to a webhook that was not in the configuration when it started."""
    lingering = {"SWARMTASK_TEST_TIMING": "linger=600"}
    lab.emit("TASK_STARTED", "a", **lingering)
    receiver.wait(1)
    (relay,) = lab.relays()
    lab.webhooks({"name": "added", "url": "${TASKMASTER_WEBHOOK_URL}"})
    lab.emit("TASK_COMPLETED", "a", **lingering)
    receiver.wait(2)
    assert lab.relays() == [relay]
    wait_until(lambda: lab.status()["endpoints"]["added"]["delivered"] == 1)


def test_environments(lab: Lab, receiver: Receiver) -> None:
    """Events of an environment are delivered by its own definitions, even if a run of another environment follows."""
    with receiving() as production:
        overlay = {"task_integration": {"webhooks": [webhook(production)]}}
        lab.webhooks(webhook(receiver), environments={"prod": overlay, "dev": {}})
        production.answer = lambda _: HANG
        lab.emit("DEPLOYMENT_STARTED", "prod", TASKMASTER_WEBHOOK_URL="", WORKFLOW_ENVIRONMENT="prod")
        wait_until(lambda: production.arrivals)
        lab.kill()
        production.answer = lambda _: 200
        lab.emit("TASK_STARTED", "dev", TASKMASTER_WEBHOOK_URL="", WORKFLOW_ENVIRONMENT="dev")
        receiver.wait(1)
        lab.wait_for_end()
        assert [event["task_id"] for event in receiver.accepted] == ["dev"]
        assert production.accepted == [], "the relay of another environment has taken it over"
        lab.emit("DEPLOYMENT_COMPLETED", "prod", TASKMASTER_WEBHOOK_URL="", WORKFLOW_ENVIRONMENT="prod")
        production.wait(2)
        assert [event["task_id"] for event in production.accepted] == ["prod", "prod"]
        assert len(receiver.accepted) == 1
        assert set(lab.status()["endpoints"]) == {"hook@prod", "hook@dev"}


def test_a_route_that_is_gone(lab: Lab, receiver: Receiver) -> None:
    """If the route of events is missing, the events wait, and `status` shows them."""
    receiver.answer = lambda _: HANG
    lab.record(3)
    wait_until(lambda: receiver.arrivals)
    lab.kill()
    (route,) = (lab.journal / "routes").glob("*.json")
    route.unlink()
    done = lab.run("flush")
    assert done.returncode == 1
    found = lab.status()["endpoints"]
    assert found[f"route {route.stem}"]["waiting"] == 3


def test_a_webhook_that_is_gone(lab: Lab, receiver: Receiver) -> None:
    """Events of a removed webhook wait, with a reason, until the webhook is configured again."""
    lab.webhooks(webhook(receiver))
    receiver.answer = lambda _: HANG
    lab.record(2, TASKMASTER_WEBHOOK_URL="")
    wait_until(lambda: receiver.arrivals)
    lab.kill()
    receiver.answer = lambda _: 200
    lab.webhooks()
    done = lab.run("flush", TASKMASTER_WEBHOOK_URL="")
    assert done.returncode == 1
    assert "no webhook is named 'hook'" in done.stdout
    (lab.root / ".taskmaster" / "config" / "workflow.yaml").write_text("nonsense: 1")
    assert "configuration is not valid" in lab.run("flush", TASKMASTER_WEBHOOK_URL="").stdout
    lab.webhooks(webhook(receiver))
    assert lab.run("flush", TASKMASTER_WEBHOOK_URL="").returncode == 0
    assert receiver.ids == lab.ids()


def test_what_is_settled_is_not_looked_at_again(lab: Lab, receiver: Receiver) -> None:
    """A relay serves only segments with pending events, and ignores segments that were delivered long ago."""
    for number in range(2):
        lab.emit("TASK_STARTED", f"{number}")
        receiver.wait(number + 1)
        lab.wait_for_end()
    (progress,) = (lab.journal / "relay").glob("*.json")
    assert list(json.loads(progress.read_bytes())["segments"]) == [lab.segments()[-1].name]


def test_a_torn_segment(lab: Lab, receiver: Receiver) -> None:
    """If a writer died in the middle of a line, the whole lines are delivered, and the torn line is reported."""
    lab.record(3, TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{closed_port()}/")
    lab.kill()
    (segment,) = lab.segments()
    os.truncate(segment, segment.stat().st_size - 20)
    assert lab.run("flush").returncode == 0
    assert [event["task_id"] for event in receiver.accepted] == ["0", "1"]
    found = lab.status()
    assert (found["foreign"], found["endpoints"]["default"]["waiting"]) == (1, 0)
    assert lab.run("emit", "TASK_STARTED", "next").returncode == 0
    receiver.wait(3)
    lab.wait_for_end()
    latest = max((lab.journal / "relay").glob("*.json"), key=os.path.getmtime)
    followed = json.loads(latest.read_bytes())["segments"]
    assert segment.name not in followed, "the torn end is looked at again and again"


def test_foreign_lines(lab: Lab, receiver: Receiver) -> None:
    """Lines of a segment that are not events are counted, and delay nothing."""
    lab.record(2, TASKMASTER_WEBHOOK_URL=f"http://127.0.0.1:{closed_port()}/")
    lab.kill()
    (segment,) = lab.segments()
    segment.write_bytes(b"garbage\n" + segment.read_bytes() + b'{"event_type": []}\n')
    assert lab.run("flush").returncode == 0
    assert [event["task_id"] for event in receiver.accepted] == ["0", "1"]
    assert lab.status()["foreign"] == 2


@pytest.mark.parametrize("how", ["pytest", "script"])
def test_no_secret_on_disk(lab: Lab, receiver: Receiver, how: str) -> None:
    """Neither the journal nor the relay's command line contains the secret or the address of the webhook."""
    receiver.answer = lambda _: 500
    url = receiver.url.replace("/hook", "/very-secret-path?key=very-secret-key")
    write_suite(lab, 2)
    if how == "pytest":
        lab.pytest("--swarmtask-drain-timeout=0.5", TASKMASTER_WEBHOOK_URL=url)
    else:
        lab.emit("TASK_STARTED", TASKMASTER_WEBHOOK_URL=url)
    wait_until(lambda: receiver.arrivals)
    (relay,) = lab.relays()
    command = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", f"{relay}"], capture_output=True, text=True, check=False
    ).stdout
    lab.kill()
    everything = b"".join(path.read_bytes() for path in lab.journal.rglob("*") if path.is_file()) + command.encode()
    for secret in (lab.environ["AUTOMATION_SECRET_KEY"], "very-secret-path", "very-secret-key"):
        assert secret.encode() not in everything


# -- races at the end of a relay -----------------------------------------------------------------------------------


def hair(lab: Lab, receiver: Receiver, timing: Timing = DEFAULTS) -> tuple[Recorder, Relay]:
    """Return a recorder that starts no relay, and the relay that would serve it."""
    environ = {**lab.environ, "TASKMASTER_WEBHOOK_URL": receiver.url}
    recorder = Recorder(read_settings(Project(str(lab.root)), environ), environ)
    no_relay(recorder)
    (lab.journal / "relay").mkdir(parents=True, exist_ok=True)
    key = Routing(recorder.settings, environ).relay_key()
    lock = locks.open_locked(str(lab.journal / "relay" / f"{key}.lock"))
    assert lock is not None
    return recorder, Relay(lab.project, environ, {key: lock}, relay_plugins(), adopt=False, timing=timing)


@pytest.mark.parametrize("how", ["the same segment", "a new segment"])
def test_a_last_word_while_the_relay_lets_go(lab: Lab, receiver: Receiver, how: str) -> None:
    """A relay that ends notices an event whose writer still saw the relay's lock."""
    recorder, relay = hair(lab, receiver)
    recorder.trigger("TASK_STARTED", "first", None, {})
    assert relay.run(30)
    assert not relay.has_unread_events()
    if how == "a new segment":
        recorder.close()
    recorder.trigger("TASK_STARTED", "last word", None, {})
    assert relay.has_unread_events()
    recorder.close()


def test_an_event_after_the_last_look_is_delivered(
    lab: Lab, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that is written between a relay's last look at the journal and its end is delivered by that relay."""
    recorder, relay = hair(lab, receiver)
    recorder.trigger("TASK_STARTED", "first", None, {})
    look_once_more = relay.has_unread_events
    late = iter(["late"])

    def has_unread_events() -> bool:
        for task_id in late:
            recorder.trigger("TASK_STARTED", task_id, None, {})
        return look_once_more()

    monkeypatch.setattr(relay, "has_unread_events", has_unread_events)
    assert relay.run(WAIT)
    assert [event["task_id"] for event in receiver.accepted] == ["first", "late"]
    recorder.close()


def test_a_segment_that_the_folder_does_not_show_is_delivered(
    lab: Lab, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay at its end finds a segment also if the clock of files stood still, and delivers it at once."""
    monkeypatch.setattr(watchers, "_RELIST", 3600.0)
    recorder, relay = hair(lab, receiver, Timing(tick=0.0))
    recorder.trigger("TASK_STARTED", "first", None, {})
    look_once_more = relay.has_unread_events
    late = iter(["late"])

    def has_unread_events() -> bool:
        for task_id in late:
            stat = lab.journal.stat()
            recorder.close()
            recorder.trigger("TASK_STARTED", task_id, None, {})
            os.utime(lab.journal, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return look_once_more()

    monkeypatch.setattr(relay, "has_unread_events", has_unread_events)
    assert relay.run(WAIT)
    assert [event["task_id"] for event in receiver.accepted] == ["first", "late"]
    recorder.close()


@pytest.mark.parametrize("tick", [60.0, 0.0], ids=["at once", "when the relay was held up longer than that"])
def test_two_segments_in_one_tick_of_the_clock(lab: Lab, receiver: Receiver, tick: float) -> None:
    """A new segment is found even if a coarse clock leaves the folder's modification time unchanged."""
    recorder, relay = hair(lab, receiver, Timing(tick=tick))
    recorder.trigger("TASK_STARTED", "first", None, {})
    assert relay._serve_new_segments()
    stat = lab.journal.stat()
    recorder.close()
    recorder.trigger("TASK_STARTED", "second", None, {})
    os.utime(lab.journal, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert relay._serve_new_segments()
    assert len(relay._served) == 2
    relay._end()
    recorder.close()
