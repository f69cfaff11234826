"""The journal stays within its age and size, and only settled segments are removed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from pytest_swarmtask.journal import locks, orphans
from pytest_swarmtask.journal.segment_file import compress
from pytest_swarmtask.relay import retention
from tests.lab import Lab, Receiver, closed_port, wait_until

DAY = 86400.0


def kept(lab: Lab, **limits: float) -> None:
    """Configure the limits of retention."""
    lab.webhooks(monitoring={"retention": limits})


def age(paths: Sequence[Path], days: float) -> None:
    for path in paths:
        os.utime(path, times=(time.time() - days * DAY,) * 2)


def emit(lab: Lab, *names: str, days: float = 0.0) -> list[Path]:
    """Record one event for each name, each in its own run, aged by `days`, and return the new segments."""
    before = set(lab.segments())
    for name in names:
        lab.emit("TASK_STARTED", name)
    new = [path for path in lab.segments() if path not in before]
    age(new, days)
    return new


def looked(lab: Lab, days: float = 0.0) -> None:
    """Let ages be measured as of `days` ago, as if a check had happened then (see `RetentionClock`)."""
    now = time.time()
    (lab.journal / "relay" / "clock").write_text(f"{now - days * DAY - 1} {now}")


def shifted(lab: Lab, days: float) -> dict[str, str]:
    """Return variables that set the clock of our processes ahead by `days`. File times are not changed."""
    program = "import os, time\nreal = time.time\ntime.time = lambda: real() + float(os.environ['SHIFT'])\n"
    (lab.root / "sitecustomize.py").write_text(program)
    return {"PYTHONPATH": str(lab.root), "SHIFT": str(days * DAY)}


@pytest.mark.parametrize(
    "command",
    [
        ["report"],
        ["watch"],
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in (["tests", "test_it"], ["export", "--csv"], ["status"])
        ),
    ],
)
def test_who_reads_keeps_the_journal_within_its_bounds(lone: Lab, command: list[str]) -> None:
    """Where no webhook is configured there is no relay, so the commands that read remove what is too old."""
    (lone.root / "test_it.py").write_text("def test_it(): pass\n")
    assert lone.pytest(TASKMASTER_WEBHOOK_URL="").returncode == 0
    (old,) = lone.segments()
    age([old], 60)
    new = emit(lone, "new")
    if command == ["watch"]:
        with subprocess.Popen(lone.command(*command), cwd=lone.root, env=lone.environ, stdout=subprocess.PIPE) as watch:
            wait_until(lambda: lone.segments() == new)
            watch.terminate()
    else:
        assert lone.run(*command).returncode == 0
        assert lone.segments() == new
    assert "test_it" in lone.run("tests", "test_it").stdout, "the history still has it"


def test_pytest_alone_keeps_the_journal_within_its_bounds(lone: Lab) -> None:
    """Without a webhook, pytest has the retention applied once a day, in the background."""
    (lone.root / "test_it.py").write_text("def test_it(): pass\n")
    assert lone.pytest().returncode == 0
    assert not (lone.journal / "relay").exists()
    (old,) = lone.segments()
    age([old, lone.journal / ".gitignore"], 60)
    assert lone.pytest().returncode == 0
    wait_until(lambda: old not in lone.segments(), "the retention")
    (log := Path(lone.project.relay_log)).unlink()
    assert lone.pytest().returncode == 0
    assert not log.exists(), "a process was started again, though the last check is not a day old"


@pytest.fixture
def lone(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "lone")


def test_age(lone: Lab) -> None:
    """The next reader removes segments older than the limit, thirty days by default, and keeps younger ones."""
    emit(lone, "old", days=31)
    young = emit(lone, "young", days=29)
    lone.status()
    assert lone.segments() == young
    kept(lone, journal_age=20 * DAY)
    lone.run("flush")
    assert lone.segments() == []


def test_size(lone: Lab) -> None:
    """If the journal is too big, the oldest segments are removed until it fits."""
    paths = [path for days in (3, 5, 1, 4, 2) for path in emit(lone, f"{days}", days=days)]
    sizes = {path: path.stat().st_size for path in paths}
    by_age = [paths[n] for n in (1, 3, 0, 4, 2)]
    kept(lone, journal_bytes=sum(sizes.values()) - sizes[by_age[0]] - 1)
    lone.status()
    assert set(lone.segments()) == set(by_age[2:])
    kept(lone, journal_bytes=1)
    lone.status()
    assert lone.segments() == []


def test_the_history_imports_what_the_journal_loses(lone: Lab) -> None:
    """A retention that removes and compresses nothing leaves the history alone; one that removes imports first."""
    (lone.root / "test_it.py").write_text("def test_it(): pass\n")
    assert lone.pytest("-q").returncode == 0
    retention.prune(lone.project, lone.environ)
    assert not Path(lone.project.history).exists()
    age(lone.segments(), 400)
    retention.prune(lone.project, lone.environ)
    assert lone.segments() == []
    assert "test_it" in lone.run("tests", "test_it").stdout


def test_who_ends_during_the_import_is_left_alone(lone: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment whose process was alive before the import stays, even if there are too many bytes."""
    kept(lone, journal_bytes=1)
    (segment,) = emit(lone, "x")
    lock = locks.open_locked(str(segment))
    assert lock is not None
    monkeypatch.setattr("pytest_swarmtask.history.session.update", lambda *_: os.close(lock))
    retention.prune(lone.project, lone.environ)
    assert locks.is_free(str(segment))
    assert segment.exists()


def test_the_living_are_left_alone(lone: Lab) -> None:
    """Nothing is removed of a run with a living process, not even the segments of its dead processes."""
    program = (
        "import os, subprocess, sys; from pytest_swarmtask import AutomationIntegrator as A; h = A()\n"
        "h.trigger_event('TASK_STARTED', 'x'); print(h._pipeline.recorder.traceparent(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=lone.root, env=lone.environ, text=True, **pipes)  # type: ignore[call-overload]
    with process:
        lone.emit("TASK_STARTED", "child", TRACEPARENT=process.stdout.readline().strip())
        age(lone.segments(), 1000)
        kept(lone, journal_bytes=1)
        lone.status()
        assert len(lone.segments()) == 2
        process.stdin.close()
    lone.status()
    assert lone.segments() == []


@pytest.mark.long
def test_what_waits_is_kept_until_it_is_too_old(lab: Lab, receiver: Receiver) -> None:
    """A pending event is kept until it is too old. Then it becomes a visible dead letter that can be replayed."""
    url = f"http://127.0.0.1:{closed_port()}/"
    lab.record(3, TASKMASTER_WEBHOOK_URL=url)
    wait_until(lambda: "cannot connect" in lab.run("status", TASKMASTER_WEBHOOK_URL=url).stdout)
    lab.kill()
    ids = lab.ids()
    age(lab.segments(), 6)
    kept(lab, journal_age=DAY)
    assert lab.status(TASKMASTER_WEBHOOK_URL=url)["endpoints"]["default"]["waiting"] == 3
    age(lab.segments(), 8)
    looked(lab)
    done = lab.run("flush", "--timeout", "1", TASKMASTER_WEBHOOK_URL=url)
    assert "default: 0 delivered now, 0 waiting, 3 dead letters" in done.stdout
    assert lab.segments() == [], "every endpoint is through with it"
    listed = lab.run("replay").stdout
    assert listed.count("not delivered within 7 days: ") == 3
    assert "cannot connect" in listed
    found = lab.status()["endpoints"]["default"]
    assert (found["delivered"], found["waiting"], found["dead"]) == (0, 0, 3)
    assert lab.run("replay", "--all").returncode == 0
    assert receiver.ids == ids


@pytest.mark.long
def test_a_clock_that_jumps_ahead(lab: Lab, receiver: Receiver) -> None:
    """If the clock jumps ahead by days or years, no waiting event expires and no dead letter is dropped.

    Once the clock is right again, all waiting events are delivered.
    """
    receiver.answer = lambda arrival: 422 if arrival.events[0]["task_id"] == "0" else 401
    lab.record(3)
    lab.wait_for_end()
    looked(lab)
    for count, days in enumerate((10, 3650), 4):
        clock = shifted(lab, days)
        lab.emit("TASK_STARTED", "later", **clock)
        lab.wait_for_end()
        assert lab.run("flush", **clock).returncode == 1
        found = lab.status(**clock)["endpoints"]["default"]
        assert (found["delivered"], found["waiting"], found["dead"], found["expired"]) == (0, count - 1, 1, 0)
        lab.status()  # this check uses the right time again
    receiver.answer = lambda _: 200
    assert lab.run("flush").returncode == 0
    assert receiver.ids == lab.ids()[1:]


@pytest.mark.long
def test_a_week_goes_by(lab: Lab, receiver: Receiver) -> None:
    """With daily checks, a pending event expires once it was a week old at the previous check, not sooner."""
    receiver.answer = lambda _: 401
    emit(lab, "late")
    lab.wait_for_end()
    for days in (*range(8), 7.9):
        found = lab.status(**shifted(lab, days))["endpoints"]["default"]
        assert (found["waiting"], found["dead"]) == (1, 0)
    found = lab.status(**shifted(lab, 8.1))["endpoints"]["default"]
    assert (found["waiting"], found["dead"]) == (0, 1)


def test_dead_letters_are_bounded(lab: Lab, receiver: Receiver) -> None:
    """Dead letters that are too old or too many are removed, the oldest first, and are counted and reported."""
    receiver.answer = lambda _: 422
    ids = [event["id"] for event in lab.record(5)]
    wait_until(lambda: lab.status()["endpoints"]["default"]["dead"] == 5)
    lab.wait_for_end()
    with closing(sqlite3.connect(lab.journal / "relay" / "relay.db")) as db, db:
        for days, event_id in enumerate(reversed(ids)):
            db.execute("UPDATE dead_letters SET at = at - ? WHERE event_id = ?", (days * 40 * DAY, event_id))
        ((three,),) = db.execute("SELECT sum(length(line)) FROM dead_letters WHERE event_id IN (?, ?, ?)", ids[2:])
    looked(lab)
    kept(lab, dead_letter_bytes=three)
    assert "default: 0 delivered, 0 waiting, 3 dead letters, 2 expired" in lab.run("status").stdout
    kept(lab, dead_letter_age=60 * DAY)
    found = lab.run("status")
    assert "default: 0 delivered, 0 waiting, 2 dead letters, 3 expired" in found.stdout
    assert "expired: dead letters too old or too many to be kept" in found.stdout
    assert [letter["id"] for letter in json.loads(lab.run("replay", "--json").stdout)] == ids[3:]


def test_the_relay_prunes_when_it_ends(lab: Lab, receiver: Receiver) -> None:
    """A relay that ends removes old delivered segments and their cursors, and counts only the kept segments."""
    old = emit(lab, "old")
    receiver.wait(1)
    lab.wait_for_end()
    age(old, 31)
    young = emit(lab, "young")
    receiver.wait(2)
    lab.wait_for_end()
    wait_until(lambda: lab.segments() == young)
    found = lab.status()["endpoints"]["default"]
    assert (found["delivered"], found["waiting"], found["dead"]) == (1, 0, 0)


def test_a_relay_at_work_is_not_disturbed(lab: Lab, receiver: Receiver) -> None:
    """A segment is not removed while a relay still tries to deliver its events."""
    receiver.answer = lambda _: 500
    segments = emit(lab, "late")
    wait_until(lambda: lab.status()["endpoints"]["default"]["state"]["reason"])
    age(segments, 100)
    found = lab.status()["endpoints"]["default"]
    assert (found["waiting"], found["dead"]) == (1, 0)
    assert lab.segments() == segments


def test_leftovers(lab: Lab, receiver: Receiver) -> None:
    """Routes, span files and other leftovers are removed once they are unused for the journal's maximum age."""
    emit(lab, "x")
    lab.emit("TASK_STARTED", "y", TRACEPARENT=f"00-{'ab' * 16}-{'cd' * 8}-01")
    receiver.wait(2)
    lab.wait_for_end()
    (lab.journal / ".half.new").touch()
    starts, progress = (lab.journal / "spans").glob("[!.]*"), (lab.journal / "relay").glob("*.json")
    leftovers = [*starts, *progress, lab.journal / ".half.new"]
    assert len(leftovers) == 3
    (route,) = (lab.journal / "routes").glob("*.json")
    age([*leftovers, route], 31)
    lab.status()
    assert not any(path.exists() for path in leftovers)
    assert route.exists(), "there are segments of it"
    age(lab.segments(), 31)
    lab.status()
    assert not lab.segments()
    assert not route.exists()
    emit(lab, "z")
    receiver.wait(3)
    age([route], 31)
    lab.wait_for_end()
    assert route.exists()


def test_an_invalid_configuration_removes_nothing(lone: Lab) -> None:
    """An invalid configuration removes nothing, since its author may have wanted to keep everything."""
    emit(lone, "old", days=1000)
    (lone.root / ".taskmaster" / "config").mkdir(exist_ok=True)
    (lone.root / ".taskmaster" / "config" / "workflow.yaml").write_text("monitoring: {retention: {journal_age: ever}}")
    lone.run("status")
    assert len(lone.segments()) == 1


def test_a_pruner_is_killed_in_the_middle(lone: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest segment of a process is removed first, so that a killed pruner never leaves a false crash."""
    (lone.root / "test_it.py").write_text(
        "from pytest_swarmtask import AutomationIntegrator as A\n"
        "def test():\n    h = A()\n    h.register_webhook('http://127.0.0.1:9/')\n"
        "    h.trigger_event('TASK_STARTED', 'x')\n"
        "    h._pipeline.recorder.unregister_webhook('127.0.0.1:9')\n"
    )
    assert lone.pytest("--swarmtask-drain-timeout=0").returncode == 0
    lone.kill()
    wait_until(lambda: not lone.busy())
    first, *others = lone.segments()
    assert len(others) == 2
    first.unlink()
    orphans.close_orphaned_spans(lone.project)
    assert lone.segments() == others
    age(others, 1000)
    looked(lone)
    order: list[str] = []
    monkeypatch.setattr(os, "unlink", order.append)
    retention.prune(lone.project, lone.environ)
    journal_order = [path for path in order if path.endswith(".jsonl")]
    assert journal_order == sorted(journal_order)
    assert journal_order


# -- old segments are compressed -----------------------------------------------------------------------------------

MANY = "import pytest\n@pytest.mark.parametrize('n', range(40))\ndef test(n): assert n != 7\n"


def session(lab: Lab, days: float, **environ: str) -> Path:
    """Record a session that is worth compressing, aged by `days`, and return its segment."""
    before = set(lab.segments())
    lab.file("test_it.py", MANY)
    assert lab.pytest(**environ).returncode == 1
    (new,) = set(lab.segments()) - before
    lab.wait_for_end()
    age([new], days)
    return new


def packed(lab: Lab) -> list[str]:
    """Return the names of the compressed segments, without what says that they are compressed."""
    return sorted(path.name.removesuffix(".gz") for path in lab.journal.glob("*.jsonl.gz"))


def watching(segment: Path) -> list[str]:
    """Return the command that shows the run of a segment as `watch` does, from its segments."""
    return ["watch", "--json", "--until-done", "--run", segment.name.split("-")[1]]


def told(lab: Lab, segment: Path) -> list[object]:
    """Return what the commands say of a journal."""
    commands = (["report", "--json"], ["tests", "::test"], ["export", "--jsonl"], watching(segment))
    done = [lab.run(*command) for command in commands]
    return [lab.status(), *((one.returncode, one.stdout, one.stderr) for one in done)]


@pytest.mark.parametrize("command", ["report", "status", "watch"])
def test_who_reads_compresses(lone: Lab, command: str) -> None:
    """A reader compresses segments that are older than a day. The mode and the time of the last write stay."""
    old, young = session(lone, 2), session(lone, 0.9)
    lone.run("report")
    modified, mode = old.stat().st_mtime, 0o400
    lone.run(*(watching(old) if command == "watch" else [command]))
    assert (packed(lone), lone.segments()) == ([old.name], [young])
    state = old.with_name(f"{old.name}.gz").stat()
    assert (state.st_mtime, state.st_mode & 0o777) == (modified, mode)


@pytest.mark.long
def test_everybody_reads_compressed_segments(lone: Lab) -> None:
    """Every command says the same before and after, and a history that is made anew has all events."""
    segment = session(lone, 0.5)
    lone.run("status")
    before = told(lone, segment)
    age([segment], 2)
    lone.run("status")
    assert packed(lone) == [segment.name]
    assert told(lone, segment) == before
    for file in lone.journal.glob("history.sqlite*"):
        file.unlink()
    assert told(lone, segment) == before


@pytest.mark.long
def test_what_is_delivered_is_compressed(lab: Lab, receiver: Receiver) -> None:
    """Only what every endpoint has settled is compressed. If the cursors are lost, it is delivered from there again."""
    receiver.answer = lambda _: 401
    segment = session(lab, 2)
    lab.run("status")
    assert (packed(lab), lab.segments()) == ([], [segment]), "its events wait"
    receiver.answer = lambda _: 200
    ids = lab.ids()
    assert lab.run("flush").returncode == 0
    lab.run("status")
    assert (packed(lab), lab.segments()) == ([segment.name], [])
    found = lab.status()
    assert (found["events"], found["endpoints"]["default"]["delivered"]) == (len(ids), len(ids))
    for file in (lab.journal / "relay").glob("relay.db*"):
        file.unlink()
    assert lab.status()["endpoints"]["default"]["waiting"] == len(ids)
    assert lab.run("flush").returncode == 0
    assert receiver.ids == ids * 2


def test_what_is_not_compressed(lone: Lab) -> None:
    """Segments of living processes, and those that are too small to save room, stay as they are."""
    program = (
        "import sys; from pytest_swarmtask import AutomationIntegrator as A; h = A()\n"
        "for n in range(40): h.trigger_event('TASK_STARTED', f'number {n}')\n"
        "print(flush=True); sys.stdin.read()"
    )
    (small,) = emit(lone, "x", days=2)
    command, pipes = [sys.executable, "-c", program], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=lone.root, env=lone.environ, **pipes) as process:  # type: ignore[call-overload]
        process.stdout.readline()
        (living,) = set(lone.segments()) - {small}
        age([living], 2)
        lone.run("status")
        assert packed(lone) == []
        process.stdin.close()
    lone.run("status")
    assert (packed(lone), lone.segments()) == ([living.name], [small])


def test_what_a_dead_process_has_left_open_is_closed_first(lone: Lab) -> None:
    """The missing end events of a killed session are written, and then its segment is not old any more."""
    lone.file("test_it.py", f"{MANY}def test_death():\n    import os; os.kill(os.getpid(), 9)\n")
    assert lone.pytest().returncode == -9
    (segment,) = lone.segments()
    age([segment], 2)
    lone.run("status")
    assert packed(lone) == []
    assert lone.events()[-1]["event_type"] == "TASK_FAILED"
    age([segment], 2)
    before = lone.status()
    assert packed(lone) == [segment.name]
    orphans.close_orphaned_spans(lone.project)
    assert lone.status() == before


def test_one_of_two_segments_of_a_process(lone: Lab) -> None:
    """If one segment of a process is compressed, and the mode of the other was lost, the process is still dead."""
    program = (
        "from pytest_swarmtask import AutomationIntegrator as A; h = A(); h.trigger_event('TASK_STARTED', 'x')\n"
        "h.register_webhook('http://127.0.0.1:9/'); h._pipeline.recorder._deliveries.needs_relay = False\n"
        "h.trigger_event('TASK_COMPLETED', 'x')"
    )
    assert lone.python(program).returncode == 0
    first, second = lone.segments()
    before = lone.events()
    orphans.close_orphaned_spans(lone.project)
    compress(str(first))
    second.chmod(0o600)
    orphans.close_orphaned_spans(lone.project)
    assert second.stat().st_mode & 0o777 == 0o400
    assert lone.events() == before[1:]


def test_the_size_of_compressed_segments(lone: Lab) -> None:
    """The limit in bytes is for the files as they are on the disk; both files of a segment go together."""
    first, second = session(lone, 3), session(lone, 2)
    content, plain = first.read_bytes(), first.stat().st_size
    lone.run("status")
    assert packed(lone) == [first.name, second.name]
    kept(lone, journal_bytes=plain)
    lone.run("status")
    assert packed(lone) == [first.name, second.name]
    first.write_bytes(content)  # as if a process had been killed before it removed the plain file
    kept(lone, journal_bytes=second.with_name(f"{second.name}.gz").stat().st_size)
    age([first], 4)
    retention.prune(lone.project, lone.environ)
    assert (packed(lone), lone.segments()) == ([second.name], [])
    kept(lone, journal_age=DAY)
    lone.run("report")
    assert (packed(lone), lone.segments()) == ([], [])


def test_one_compresses_at_a_time(lone: Lab) -> None:
    """While another process compresses, nothing is compressed; the lock of one that was killed is no hindrance."""
    segment = session(lone, 2)
    lock = locks.open_locked(lone.project.compression_lock)
    assert lock is not None
    lone.run("status")
    assert packed(lone) == []
    os.close(lock)  # as the kernel does, so the file stays
    lone.run("status")
    assert packed(lone) == [segment.name]
    assert not os.path.exists(lone.project.compression_lock)


def test_only_so_much_is_compressed_at_once(lone: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal with very many old segments is compressed by several readers, the oldest segments first."""
    paths = [session(lone, days) for days in (4, 3, 2)]
    monkeypatch.setattr(retention, "_COMPRESSED_AT_ONCE", paths[0].stat().st_size + 1)
    for count in (2, 3):
        retention.prune_if_needed(lone.project, lone.environ)
        retention.prune(lone.project, lone.environ)
        assert packed(lone) == [path.name for path in paths[:count]]


@pytest.mark.long
def test_a_damaged_segment(lone: Lab) -> None:
    """Readers name a damaged segment, without a traceback, and read all others."""
    damaged, sound = session(lone, 3), session(lone, 2)
    lone.run("status")
    file = damaged.with_name(f"{damaged.name}.gz")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-20])
    age([file], 3)
    for path in lone.journal.glob("history.sqlite*"):
        path.unlink()
    done = lone.run("report", "--json")
    assert f"{file} is damaged" in done.stderr
    assert json.loads(done.stdout)["run"]["counts"]["passed"] == 39
    assert lone.run("tests", "test[39]").stdout.count("passed") >= 1
    found = lone.run("status")
    assert f"damaged: {file.name}" in found.stdout
    assert lone.status()["damaged"] == [file.name]
    assert f"{file.name} is damaged" in lone.run("doctor").stdout
    assert "Traceback" not in done.stderr + found.stderr
    assert packed(lone) == [damaged.name, sound.name]
    kept(lone, journal_age=2.5 * DAY)
    lone.run("status")
    assert packed(lone) == [sound.name]
