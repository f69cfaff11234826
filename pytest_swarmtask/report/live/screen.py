"""What `watch` shows: a picture that is kept up to date, lines, or JSON."""

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
from pytest_swarmtask.report.live.runs import is_failed_test, moment_of, what_is_wrong
from pytest_swarmtask.report.terminal import console, elapsed, in_order, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, OverflowMethod, RenderableType, RenderResult
    from typing_extensions import Self

    from pytest_swarmtask.report.live.runs import LiveChange, LiveRun, LiveSpan

_IDLE = "nothing is running here: waiting for a run"
_SHORT = 12
"""Digits of a run's id that are shown: they are enough for `report --run`."""


class Show(Protocol):
    """Shows runs as they go on; a context manager."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""

    def change(self, change: LiveChange) -> None:
        """Tell of a change."""

    def update(self, runs: Sequence[LiveRun]) -> None:
        """Show how these stand now."""


class Lines:
    """One line for each change that a person would want to know of."""

    def __init__(self) -> None:
        self._console = console()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def change(self, change: LiveChange) -> None:
        """Print it, where it is worth it: tests that end well are not."""
        text = _words(change)
        if text is not None:
            run = f"{change.run[:_SHORT]}  " if change.run else ""
            self._console.print(Text(f"{_time(change.time)}  {neutral(run)}", "dim").append_text(text), soft_wrap=True)

    def update(self, runs: Sequence[LiveRun]) -> None:
        """Do nothing: what changes is told."""


class Json:
    """One JSON object in a line for each change."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def change(self, change: LiveChange) -> None:
        """Print it."""
        sys.stdout.write(f"{json.dumps(change.as_json())}\n")
        sys.stdout.flush()

    def update(self, runs: Sequence[LiveRun]) -> None:
        """Do nothing: what changes is told."""


class Screen:
    """The trees of what goes on, kept up to date below what has happened."""

    def __init__(self, where: Console) -> None:
        self._console = where
        self._shown = ""
        self._live = Live(console=where, auto_refresh=False, transient=True, redirect_stdout=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def change(self, change: LiveChange) -> None:
        """Print what stays: failures, and how runs went."""
        if is_failed_test(change):
            outcome, duration, wrong = change.facts["outcome"], change.facts["duration"], what_is_wrong(change)
            took = "" if duration is None else f"  {seconds(duration)}"
            text = Text(str(outcome), "red").append(f"  {neutral(change.facts['task_id'])}{took}", "default")
            self._print(change, text, Text(neutral(wrong), "red"))
        elif change.change == "run_ended":
            self._print(
                change, _run_ended(change), Text(f"swarmtask report --run {(change.run or '')[:_SHORT]}", "dim")
            )
        elif change.change == "deliveries":
            self._print(change, _delivery(change.facts["endpoint"], change.facts))

    def _print(self, change: LiveChange, *lines: Text) -> None:
        at = Text(f"{_time(change.time)}  ", "dim")
        for line in filter(None, lines):
            row = Table.grid(Column(no_wrap=True), Column(overflow="fold"))
            row.add_row(at, line)
            self._console.print(row)
            at = Text(" " * len(at))

    def update(self, runs: Sequence[LiveRun]) -> None:
        """Show how these stand now; nothing is written where that is what is there already."""
        picture = _Cut(_picture(runs, self._console.height))
        with self._console.capture() as captured:
            self._console.print(picture)
        shown = captured.get()
        if shown != self._shown:
            self._shown = shown
            self._live.update(picture, refresh=True)


# -- in words ------------------------------------------------------------------------------------------------------


def _time(timestamp: str) -> str:
    return datetime.fromtimestamp(moment_of(timestamp)).astimezone().strftime("%H:%M:%S")


def _words(change: LiveChange) -> Text | None:
    """Return a change in words, or None where it is not worth any."""
    if change.change in ("started", "ended"):
        return _span(change)
    if change.change == "run_ended":
        return _run_ended(change)
    if change.change == "deliveries":
        return _delivery(change.facts["endpoint"], change.facts)
    return Text({"idle": _IDLE, "run_started": "run started"}[change.change])


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
        text.append(f"  {seconds(facts['duration'])}", "default not dim")
    wrong = what_is_wrong(change)
    return text.append(f"  {neutral(wrong)}", "red not dim") if wrong else text


def _run_ended(change: LiveChange) -> Text:
    facts = change.facts
    style = {"completed": "green", "failed": "red"}.get(facts["outcome"], "yellow")
    text = Text("run ").append(facts["outcome"], f"bold {style}").append(f"  {seconds(facts['duration'])}")
    if facts["tests"]:
        text.append(f"  {plural(facts['tests'], 'test')}: ").append_text(in_order(facts["counts"]))
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


class _Cut:
    """Something whose lines are cut where the terminal ends: one that went on below would have no place in a tree."""

    def __init__(self, whole: RenderableType) -> None:
        self._whole = whole

    def __rich_console__(self, where: Console, options: ConsoleOptions) -> RenderResult:
        mark: OverflowMethod = "crop" if options.ascii_only else "ellipsis"
        yield from where.render(self._whole, options.update(no_wrap=True, overflow=mark))


# -- as a picture --------------------------------------------------------------------------------------------------


def _picture(runs: Sequence[LiveRun], height: int) -> RenderableType:
    if not runs:
        return Text(f"{_IDLE} (Ctrl-C ends this)", "dim")
    share = max(4, (height - 1) // len(runs))  # the cursor has a line of its own
    return Group(*(_run(run, share) for run in runs))


def _run(run: LiveRun, most: int) -> Tree:
    """Return a run as a tree of at most so many lines, if its open tasks leave room for that."""
    spans = [span for span in run.spans.values() if not span.is_test]
    ended = [span for span in spans if span.told.ended is not None]
    deliveries = [(name, facts) for name, facts in run.deliveries.items() if facts["waiting"] or facts["state"] != "ok"]
    always = 1 + len(spans) - len(ended) + sum(bool(span.tests) for span in spans) + len(deliveries)
    room = max(1, most - always)
    running = run.running
    tests = running if len(running) <= room else running[: max(1, room - 1)]
    shown = [span for span in spans if span not in ended or span in _last(ended, room - len(tests))]
    head = Text("run ").append(run.run[:_SHORT], "bold").append(f"  {elapsed(seconds_since(run))}", "dim")
    tree = Tree(head, guide_style="dim")
    nodes: dict[str, Tree] = {}
    for span in shown:
        above = nodes.get(span.told.parent or "", tree)
        nodes[span.span_id] = above.add(_task(span))
    for span in shown:
        if span.tests:
            nodes[span.span_id].add(_tests(span))
    for span in tests:
        nodes.get(span.told.parent or "", tree).add(_test(span))
    if len(running) > len(tests):
        tree.add(Text(f"and {len(running) - len(tests)} more tests running", "dim"))
    for name, facts in deliveries:
        tree.add(_delivery(name, facts))
    return tree


def _last(spans: list[LiveSpan], most: int) -> list[LiveSpan]:
    return spans[-most:] if most > 0 else []


def seconds_since(run: LiveRun) -> float:
    """Return for how long a run has been going on."""
    return max(0.0, datetime.now().astimezone().timestamp() - moment_of(run.started))


def _task(span: LiveSpan) -> Text:
    told = span.told
    label = Text(told.kind.lower(), "dim").append(f" {neutral(told.name)}" if told.name else "", "default not dim")
    if told.ended is None:
        return label.append("  running", "yellow not dim").append(f"  {elapsed(span.elapsed())}", "default not dim")
    label.append(f"  {neutral(str(told.status))}", "red not dim" if told.failed else "green not dim")
    return label if told.duration is None else label.append(f"  {seconds(told.duration)}", "default not dim")


def _tests(span: LiveSpan) -> Text:
    label = Text().append("tests: ", "dim").append_text(in_order(span.tests))
    return label.append(f", {plural(len(span.workers), 'worker')}", "dim") if span.workers else label


def _test(span: LiveSpan) -> Text:
    return Text(f"{elapsed(span.elapsed())}  ", "yellow").append(neutral(span.told.name), "default")
