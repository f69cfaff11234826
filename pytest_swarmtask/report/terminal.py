"""What is shown in a terminal: plain where it is piped, in ASCII where the terminal has no more."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pytest_swarmtask.core.outcomes import FAILED, ORDER, TEARDOWN
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.core.timestamps import local_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_swarmtask.report.tree import SpanNode

_PIPED_WIDTH = 1000
_FAST = 0.01
_SLOW = 60.0
_BAD = (*FAILED, TEARDOWN)
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.:-=+*#"


class _Console(Console):
    """Leaves it to the command line what it means that a reader, such as `head`, has seen enough."""

    def on_broken_pipe(self) -> None:
        """Let the error go on, where rich would end the process with 1."""
        raise  # noqa: PLE0704 - it is called where the error is handled


def console() -> Console:
    """Return where to print: as wide as the terminal, and never broken into lines where it is none."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name may hold what the terminal's encoding has not
    return _Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)


def print_tree(trace_id: str, spans: Sequence[SpanNode]) -> None:
    """Print a run with its spans, one in a line."""
    root = Tree(Text(f"last run   {neutral(trace_id)}"), guide_style="dim")
    for span in spans:
        _grow(root, span)
    console().print(root, no_wrap=True, overflow="ellipsis", crop=True)


def _grow(above: Tree, span: SpanNode) -> None:
    branch = above.add(_label(span))
    if span.tests:
        branch.add(Text().append("tests: ", "dim").append_text(in_order(span.tests)))
    for child in span.children:
        _grow(branch, child)
    if span.failures_left > 0:
        branch.add(Text(f"and {span.failures_left} more failed", "dim"))


def _label(span: SpanNode) -> Text:
    label = Text(span.kind.lower(), "dim")
    label.append(f" {neutral(span.task_id)}" if span.task_id else "", "default not dim")
    label.append(f"  {neutral(span.status)}", "red not dim" if span.failed else "green not dim")
    if span.duration is not None:
        label.append(f"  {seconds(span.duration)}", "default not dim")
    if span.error:
        label.append(f"  {neutral(span.error)}", "red not dim")
    return label


def counted(outcomes: Mapping[str, int]) -> Text:
    """Return how many of each there are, in the order given."""
    parts = [Text(f"{count} {word}", "red" if word in _BAD else "default") for word, count in outcomes.items()]
    return Text(", ").join(parts)


def in_order(outcomes: Mapping[str, int]) -> Text:
    """Return how many of each there are, in the usual order."""
    return counted({word: outcomes[word] for word in ORDER if outcomes.get(word)})


def seconds(value: float) -> str:
    """Return a duration as a person says it."""
    if value < _FAST:
        return f"{value * 1000:.1f} ms"
    if value < _SLOW:
        return f"{value:.2f} s"
    minutes = int(value // 60)
    return f"{minutes} min {int(value % 60)} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def elapsed(value: float) -> str:
    """Return how long something has been going on: without what changes too fast to be read."""
    return f"{int(value)} s" if value < _SLOW else seconds(value)


def moment(timestamp: str) -> str:
    """Return a timestamp in local time, to the minute; as it is where it is none."""
    try:
        return local_time(timestamp).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return neutral(timestamp)


def bars(values: Sequence[float | None], encoding: str) -> str:
    """Return numbers as a line of bars of their height; a gap where there is none."""
    levels = _BARS if encoding.lower().startswith("utf") else _ASCII_BARS
    most = max((value for value in values if value is not None), default=0.0) or 1.0
    top = len(levels) - 1
    return "".join(" " if value is None else levels[round(max(0.0, value) / most * top)] for value in values)
