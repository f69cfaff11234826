"""Sections other than pytest sessions: recipes, the relay, redaction, the history, and how their costs grow."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import history as histories
from benchmarks import redaction as redactions
from benchmarks.measure import Command, Row, Run, added, ratios, run, turns
from benchmarks.place import OURS, Place, pytest, receiver, suite
from pytest_swarmtask import recipe
from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.trace import Ids
from pytest_swarmtask.journal import segment_file
from pytest_swarmtask.journal.orphans import close_orphaned_spans
from pytest_swarmtask.journal.segments import route_of
from scripts import lab

BARE = "python -c pass"
_MAKE = {"TRACEPARENT": "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000deadbeef-01"}
_STARTED = "2026-01-31T10:15:00.123Z"
_WORKFLOW = "task_integration:\n  metadata: {team: core}\n"


def recipes(place: Place) -> Iterator[Row]:
    """The cost of an event of a recipe, and of a watched command."""
    folder = place.project("recipes")
    workflow = folder / ".taskmaster" / "config" / "workflow.yaml"
    workflow.parent.mkdir()
    workflow.write_text(_WORKFLOW)
    cache = folder / ".taskmaster" / "events" / "config.json"
    ours = [sys.executable, "-S", recipe.__file__]
    emit = Command([*ours, "emit", "TASK_STARTED", "make_test", '{"action":"test"}'], _MAKE)
    commands = {
        BARE: Command([sys.executable, "-c", "pass"]),
        "emit": emit,
        "run -- true": Command([*ours, "run", "--", "true"], _MAKE),
        "emit, no cache": emit._replace(before=lambda: cache.unlink(missing_ok=True)),
    }
    taken = turns(commands, folder, place.turns(21))
    for what, bar in (("emit", "1.5"), ("run -- true", "1.8"), ("emit, no cache", "5")):
        more = f"{added(taken[what], taken[BARE]) * 1000:+.1f} ms"
        yield Row("recipes", what, BARE, ratios(taken[what], taken[BARE]), bar, more)


def relay(place: Place) -> Iterator[Row]:
    """The relay beside a loop of httpx that posts the same bytes, in batches and one by one."""
    many = 10_000 if place.quick else 100_000
    yield from _delivery(place, "batch", many, batch=True, count=place.turns(3))
    if not place.quick:
        yield from _delivery(place, "single", many, batch=False, count=1)


def _delivery(place: Place, name: str, events: int, *, batch: bool, count: int) -> Iterator[Row]:
    folder = place.project(f"relay-{name}-{events}")
    journal = Outgoing(folder, batch=batch)
    journal.write(events)
    kept = folder / "bodies"
    with receiver("ok", kept) as url:
        run(journal.flush(url), folder)
    with receiver("ok") as url:
        loop = Command([sys.executable, "-m", "benchmarks.loop", str(kept), url], {"PYTHONPATH": str(lab.ROOT)})
        taken = turns({"loop": loop, "relay": journal.flush(url)}, folder, count)
    paced = [loop.wall / ours.wall for loop, ours in zip(taken["loop"], taken["relay"], strict=True)]
    rate = events / min(one.wall for one in taken["relay"])
    what = f"{events:,} events, {'batches' if batch else 'one by one'}"
    # A hundred events share the cost of a request, so the work for each event shows, which the loop does not have.
    pace, cpu = ("0.5 or more", "2") if batch else ("0.8 or more", "")
    yield Row("relay", f"{what}: events a second", "httpx loop", paced, pace, f"{rate:,.0f}/s")
    yield Row("relay", f"{what}: CPU", "httpx loop", ratios(taken["relay"], taken["loop"]), cpu)
    yield _memory(what, taken["relay"], taken["loop"])


def _memory(what: str, ours: list[Run], theirs: list[Run]) -> Row:
    peaks = [one.memory / other.memory for one, other in zip(ours, theirs, strict=True)]
    return Row("relay", f"{what}: memory", "httpx loop", peaks, "flat", f"{max(one.memory for one in ours):.0f} MB")


class Outgoing:
    """A journal whose events must be delivered to one webhook."""

    def __init__(self, folder: Path, *, batch: bool) -> None:
        self._folder = folder
        self.journal = folder / ".taskmaster" / "events"
        workflow = folder / ".taskmaster" / "config" / "workflow.yaml"
        workflow.parent.mkdir()
        workflow.write_text(
            "task_integration:\n  webhooks:\n"
            f'    - {{name: bench, url: "${{BENCH_URL}}", batch: {str(batch).lower()}, secret_env: BENCH_SECRET}}\n'
        )

    def write(self, events: int) -> None:
        """Write this many events, in runs of at most 10,000."""
        content = b'{"endpoints": ["bench"], "environment": null, "registered": {}, "relay": "0000"}'
        (self.journal / "routes").mkdir(parents=True)
        (self.journal / "routes" / f"{route_of(content)}.json").write_bytes(content)
        stamp = f"{dt.datetime.now(dt.timezone.utc):%Y%m%dT%H%M%S}000"  # today: too young to be removed
        for start in range(0, events, 10_000):
            trace = f"{start + 1:032x}"
            name = f"{stamp}-{trace}-{start + 1:016x}-{route_of(content)}.jsonl"
            with (self.journal / name).open("wb") as file:
                file.writelines(_line(number, trace) for number in range(start, min(start + 10_000, events)))

    def flush(self, url: str) -> Command:
        """Return the command that delivers all events, as if none had been delivered yet."""
        command = [sys.executable, "-m", "pytest_swarmtask", "flush", "--timeout", "800"]
        secrets = {"BENCH_URL": url, "BENCH_SECRET": "whsec_" + "c3dhcm10" * 4}
        return Command(command, secrets, before=self._forget)

    def _forget(self) -> None:
        shutil.rmtree(self.journal / "relay", ignore_errors=True)


def _line(number: int, trace: str) -> bytes:
    at, test = _STARTED, f"tests/unit/test_module_{number // 100}.py::test_{number}"
    about = {"timestamp": at, "workflow": "pytest", "action": "test", "success": True, "duration": 0.000123}
    about |= {"test_type": "pytest", "specific_test": test, "test_passed": True, "outcome": "passed", "attempt": 1}
    ids = (f"{trace[16:]}-{number}", trace, f"{number + 1:016x}", f"{1:016x}")
    return Event(ids[0], "TEST_PASSED", test, "completed", at, "bench", ids[1], ids[2], ids[3], about).encode()


def redaction(_: Place) -> Iterator[Row]:
    """The cost of redacting a text, and whether hostile texts cost more than in proportion to their length."""
    for what, work, bar in (("a test's texts", redactions.event, "3 µs"), ("all fields", redactions.with_facts, "")):
        taken = redactions.microseconds(work, 500)
        yield Row("redaction", what, "1 µs", [taken], bar, f"{taken:.2f} µs")
    grown = {name: redactions.growth(unit)[1] for name, unit in redactions.HOSTILE.items()}
    worst = max(grown, key=lambda name: grown[name])
    yield Row("redaction", f"{redactions.TIMES} times a hostile text", "the text", list(grown.values()), "", worst)


_MANY_RUNS = 250
"""Runs of ten million events: the suite is that of a million, and its history is ten times as long."""
_MILLION_BARS = {"ingest": "12 s, 100 MB", "report": "0.4 s"}
_TEN_MILLION_BARS = {"report": "1.5 s", "report --html": "5 s, 300 MB"}


def history(place: Place) -> Iterator[Row]:
    """The import of one and of ten million events, and reports on them: seconds and memory, compared with nothing."""
    if place.quick:
        yield from _history(50_000, histories.RUNS, {})
        return
    yield from _history(1_000_000, histories.RUNS, _MILLION_BARS)
    yield from _history(10_000_000, _MANY_RUNS, _TEN_MILLION_BARS)


def _history(events: int, runs: int, bars: Mapping[str, str]) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        found, steps = histories.steps(Path(name), events, runs)
    for step in steps:
        told = f"{step.seconds:.2f} s, {step.megabytes:.0f} MB"
        if step.name == "ingest":
            told += f", {step.seconds / found * 1e6:.1f} µs an event"
        yield Row("history", f"{found:,} events: {step.name}", "1 s", [step.seconds], bars.get(step.name, ""), told)


def room(place: Place) -> Iterator[Row]:
    """How much disk a result takes in the history, and how many times smaller an old segment of the journal gets."""
    tests = 400 if place.quick else 4_000
    with tempfile.TemporaryDirectory() as name:
        whole, rows = histories.bytes_per_result(Path(name), tests)
    results = f"{tests * histories.RUNS:,} results"
    yield Row("room", f"{results} in the history, without raw lines", "1 byte", [rows], "300", f"{rows:.0f} bytes each")
    yield Row("room", f"{results} in the history, with raw lines", "1 byte", [whole], "", f"{whole:.0f} bytes each")
    yield _compressed(place)


def _compressed(place: Place) -> Row:
    """How many times smaller the segment of a real session gets when it is old."""
    folder = place.project("compressed")
    run(pytest(sys.executable, *OURS, suite(folder, 1_000)), folder)
    (segment,) = map(str, (folder / ".taskmaster" / "events").glob("*.jsonl"))
    segment_file.compress(segment)
    plain, packed = segment_file.size(segment), segment_file.state(segment).st_size
    told = f"{plain / 1000:,.0f} kB become {packed / 1000:,.0f} kB"
    return Row("room", "the segment of a session of 1,000 tests, plain", "compressed", [plain / packed], "30", told)


def growth(place: Place) -> Iterator[Row]:
    """Whether the cost of one event or test stays the same for ten and a hundred times as many."""
    yield from _growing_session(place)
    each = [_delivered(place, events) / events for events in (1_000, 10_000, 100_000)]
    yield from _straight("an event of the relay", each)
    seconds = []
    for events in (10_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as name:
            found, steps = histories.steps(Path(name), events)
        seconds.append(steps[0].seconds / found)
    yield from _straight("an event of the history", seconds)
    yield from _straight("a dead process", [_closed(place, count, 1) for count in (100, 1_000, 10_000)])
    yield from _straight(
        "an open span of a dead process", [_closed(place, 1, count) for count in (1_000, 10_000, 100_000)]
    )


def _growing_session(place: Place) -> Iterator[Row]:
    folder = place.project("growth")
    each = []
    empty = turns(_with_and_without(folder, 1), folder, 5)
    for count in (100, 1_000, 10_000):
        taken = turns(_with_and_without(folder, count), folder, 3 if count == 10_000 else 7)
        each.append((added(taken["ours"], taken["alone"]) - added(empty["ours"], empty["alone"])) / count)
    yield from _straight("a test", each)


def _with_and_without(folder: Path, count: int) -> dict[str, Command]:
    name = suite(folder, count, name=f"suite_{count}")
    return {"alone": pytest(sys.executable, name), "ours": pytest(sys.executable, *OURS, name)}


def _delivered(place: Place, events: int) -> float:
    """Return the CPU seconds that the delivery of this many events takes, without the start of the relay."""
    folder = place.project(f"growth-{events}")
    journal = Outgoing(folder, batch=True)
    journal.write(events)
    idle = place.project(f"growth-idle-{events}")
    with receiver("ok") as url:
        start = min(run(Outgoing(idle, batch=True).flush(url), idle).cpu for _ in range(1))
        return max(1e-9, run(journal.flush(url), folder).cpu - start)


def _closed(place: Place, processes: int, spans: int) -> float:
    """Return the seconds for each open span of dead processes, with this many spans each, until it is closed."""
    folder = place.project(f"dead-{processes}-{spans}")
    journal = folder / ".taskmaster" / "events"
    journal.mkdir(parents=True)
    for number in range(processes):
        trace, ids = f"{number + 1:032x}", Ids()
        lines = [
            Event(ids.event(), "TASK_STARTED", "t", "started", _STARTED, "bench", trace, ids.span(), None, {}).encode()
            for _ in range(spans)
        ]
        (journal / f"20260131T101500123-{trace}-{ids.writer}-local.jsonl").write_bytes(b"".join(lines))
    began = time.perf_counter()
    close_orphaned_spans(Project(str(folder)))
    return (time.perf_counter() - began) / processes / spans


def _straight(what: str, each: list[float]) -> Iterator[Row]:
    for times, one in zip((10, 100), each[1:], strict=True):
        cost = re.sub(r"\.0$", "", f"{one * 1e6:.1f}")
        yield Row("growth", f"{what}, {times} times as many", what, [one / each[0]], "", f"{cost} µs each")
