"""How `watch` shows changes: as a screen that is redrawn, as lines, or as JSON."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from rich.console import Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text
from rich.tree import Tree

from pytest_swarmtask.core.outcomes import first_line
from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.report.live.runs import epoch_seconds, error_line, is_failed_test
from pytest_swarmtask.report.phrases import format_duration, format_elapsed, format_time, short_id
from pytest_swarmtask.report.terminal import console, sorted_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, OverflowMethod, RenderableType, RenderResult
    from typing_extensions import Self

    from pytest_swarmtask.report.live.runs import LiveChange, LiveRun, LiveSpan

_IDLE = "nothing is running here: waiting for a run"


class LiveView(Protocol):
    """One way to show runs while they are running; a context manager."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End, and leave the terminal as it was."""

    def add(self, change: LiveChange) -> None:
        """Show a change."""

    def refresh(self, runs: Sequence[LiveRun]) -> None:
        """Show the present state of these runs."""


class LinesView:
    """Shows one line for each change, apart from tests that start or pass."""

    def __init__(self) -> None:
        self._console = console()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, change: LiveChange) -> None:
        """Print the change, if it has a line."""
        text = _words(change)
        if text is not None:
            run = f"{short_id(change.run)}  " if change.run else ""
            self._console.print(Text(f"{_time(change.time)}  {neutral(run)}", "dim").append_text(text), soft_wrap=True)

    def refresh(self, runs: Sequence[LiveRun]) -> None:
        """Do nothing: each change has been printed."""


class JsonView:
    """Shows one JSON object in a line for each change."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, change: LiveChange) -> None:
        """Print the change."""
        sys.stdout.write(f"{json.dumps(change.as_json())}\n")
        sys.stdout.flush()

    def refresh(self, runs: Sequence[LiveRun]) -> None:
        """Do nothing: each change has been printed."""


class ScreenView:
    """Shows running runs as trees that are redrawn, below the failures and finished runs so far."""

    def __init__(self, where: Console) -> None:
        self._console = where
        self._shown = ""
        self._live = Live(console=where, auto_refresh=False, transient=True, redirect_stdout=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def add(self, change: LiveChange) -> None:
        """Print a change that stays above the trees: a failed test, a finished run, or trouble with deliveries."""
        if is_failed_test(change):
            outcome, duration, wrong = change.facts["outcome"], change.facts["duration"], error_line(change)
            took = "" if duration is None else f"  {format_duration(duration)}"
            text = Text(str(outcome), "red").append(f"  {neutral(change.facts['task_id'])}{took}", "default")
            self._print(change, text, Text(neutral(wrong), "red"))
        elif change.change == "run_ended":
            command = f"swarmtask report --run {short_id(change.run or '')}"
            self._print(change, _run_ended(change), Text(command, "dim"))
        elif change.change == "idle":
            self._print(change, _last_run(change))
        elif change.change == "deliveries":
            self._print(change, _delivery(change.facts["endpoint"], change.facts))

    def _print(self, change: LiveChange, *lines: Text | None) -> None:
        at = Text(f"{_time(change.time)}  ", "dim")
        for line in filter(None, lines):
            row = Table.grid(Column(no_wrap=True), Column(overflow="fold"))
            row.add_row(at, line)
            self._console.print(row)
            at = Text(" " * len(at))

    def refresh(self, runs: Sequence[LiveRun]) -> None:
        """Redraw the trees if they have changed. Redrawing the same would make some terminals flicker."""
        trees = _Cropped(_trees(runs, self._console.height))
        with self._console.capture() as captured:
            self._console.print(trees)
        shown = captured.get()
        if shown != self._shown:
            self._shown = shown
            self._live.update(trees, refresh=True)


# -- in words ------------------------------------------------------------------------------------------------------


def _time(timestamp: str) -> str:
    return datetime.fromtimestamp(epoch_seconds(timestamp)).astimezone().strftime("%H:%M:%S")


def _words(change: LiveChange) -> Text | None:
    """Return a change in words, or None if it is a test that has started or passed."""
    if change.change in ("started", "ended"):
        return _span(change)
    if change.change == "run_ended":
        return _run_ended(change)
    if change.change == "deliveries":
        return _delivery(change.facts["endpoint"], change.facts)
    if change.change == "idle":
        last = _last_run(change)
        return Text(_IDLE) if last is None else Text(f"{_IDLE}; ").append_text(last)
    return Text("run started")


def _last_run(change: LiveChange) -> Text | None:
    """Return the last run with tests in words, or None if there is none."""
    last = change.facts.get("last")
    if not last:
        return None
    what = f"last run {neutral(short_id(last['run']))} of {format_time(last['started'])}: {neutral(last['what'])} "
    return Text(what).append(last["outcome"], "red" if last["outcome"] == "failed" else "default")


def _span(change: LiveChange) -> Text | None:
    facts = change.facts
    if facts["kind"] == "TEST" and not is_failed_test(change):
        return None
    what = Text().append(f"{facts['kind'].lower()} ", "dim").append(neutral(facts["task_id"]))
    return what.append("  started") if change.change == "started" else what.append_text(_ended(change))


def _ended(change: LiveChange) -> Text:
    facts = change.facts
    text = Text(f"  {neutral(str(facts['outcome']))}", "red not dim" if facts["failed"] else "green not dim")
    if facts["duration"] is not None:
        text.append(f"  {format_duration(facts['duration'])}", "default not dim")
    wrong = error_line(change)
    return text.append(f"  {neutral(wrong)}", "red not dim") if wrong else text


def _run_ended(change: LiveChange) -> Text:
    facts = change.facts
    style = {"completed": "green", "failed": "red"}.get(facts["outcome"], "yellow")
    text = Text("run ").append(facts["outcome"], f"bold {style}").append(f"  {format_duration(facts['duration'])}")
    if facts["tests"]:
        text.append(f"  {plural(facts['tests'], 'test')}: ").append_text(sorted_counts(facts["counts"]))
    if facts["waiting"]:
        text.append(f"  {plural(facts['waiting'], 'event')} not delivered yet", "yellow")
    return text


def _delivery(endpoint: str, facts: dict[str, object]) -> Text:
    text = Text("deliveries ", "dim").append(neutral(endpoint), "default not dim")
    text.append(f"  {facts['waiting']} waiting", "default not dim")
    if facts["dead"]:
        text.append(f", {plural(int(str(facts['dead'])), 'dead letter')}", "red not dim")
    if facts["state"] != "ok":
        text.append(f"  {facts['state']}: {neutral(first_line(str(facts['reason'])))}", "yellow not dim")
    return text


class _Cropped:
    """Content whose lines are cut at the edge of the terminal: a continuation line would break the shape of a tree."""

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, where: Console, options: ConsoleOptions) -> RenderResult:
        mark: OverflowMethod = "crop" if options.ascii_only else "ellipsis"
        yield from where.render(self._whole, options.update(no_wrap=True, overflow=mark))


# -- as trees -----------------------------------------------------------------------------------------------------


def _trees(runs: Sequence[LiveRun], height: int) -> RenderableType:
    if not runs:
        return Text(f"{_IDLE} (Ctrl-C ends this)", "dim")
    share = max(4, (height - 1) // len(runs))  # the cursor needs one line
    return Group(*(_run(run, share) for run in runs))


def _run(run: LiveRun, lines: int) -> Tree:
    """Return a run as a tree.

    Its open tasks, test counts and pending deliveries are always shown. The rest of `lines` is for the running tests,
    and then for the tasks that ended last.
    """
    spans = [span for span in run.spans.values() if not span.is_test]
    ended = [span for span in spans if not span.is_open]
    deliveries = [(name, facts) for name, facts in run.deliveries.items() if facts["waiting"] or facts["state"] != "ok"]
    always = 1 + len(spans) - len(ended) + sum(bool(span.tests) for span in spans) + len(deliveries)
    room = max(1, lines - always)
    running = run.running_tests
    tests = running if len(running) <= room else running[: max(1, room - 1)]  # a line says how many are missing
    shown = [span for span in spans if span not in ended or span in _last(ended, room - len(tests))]
    head = (
        Text("run ").append(short_id(run.run), "bold").append(f"  {format_elapsed(_seconds_since_start(run))}", "dim")
    )
    tree = Tree(head, guide_style="dim")
    nodes: dict[str, Tree] = {}
    for span in shown:
        above = nodes.get(span.row.parent or "", tree)
        nodes[span.span_id] = above.add(_task(span))
    for span in shown:
        if span.tests:
            nodes[span.span_id].add(_tests(span))
    for span in tests:
        nodes.get(span.row.parent or "", tree).add(_test(span))
    if len(running) > len(tests):
        tree.add(Text(f"and {len(running) - len(tests)} more tests running", "dim"))
    for name, facts in deliveries:
        tree.add(_delivery(name, facts))
    return tree


def _last(spans: list[LiveSpan], number: int) -> list[LiveSpan]:
    return spans[-number:] if number > 0 else []


def _seconds_since_start(run: LiveRun) -> float:
    return max(0.0, datetime.now().astimezone().timestamp() - epoch_seconds(run.started))


def _task(span: LiveSpan) -> Text:
    row = span.row
    label = Text(row.kind.lower(), "dim").append(f" {neutral(row.name)}" if row.name else "", "default not dim")
    if row.ended is None:
        return label.append("  running", "yellow not dim").append(
            f"  {format_elapsed(span.elapsed())}", "default not dim"
        )
    label.append(f"  {neutral(str(row.status))}", "red not dim" if row.failed else "green not dim")
    duration = row.ending.duration
    return label if duration is None else label.append(f"  {format_duration(duration)}", "default not dim")


def _tests(span: LiveSpan) -> Text:
    label = Text().append("tests: ", "dim").append_text(sorted_counts(span.tests))
    return label.append(f", {plural(len(span.workers), 'worker')}", "dim") if span.workers else label


def _test(span: LiveSpan) -> Text:
    return Text(f"{format_elapsed(span.elapsed())}  ", "yellow").append(neutral(span.row.name), "default")
