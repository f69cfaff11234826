"""What is shown in a terminal: plain where it is piped, in ASCII where the terminal has no more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pytest_swarmtask.terminal import neutral

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from pytest_swarmtask.report.tree import Span

_PIPED_WIDTH = 1000
_SLOW = 60.0
_BAD = ("failed", "error", "crashed")


def print_tree(trace_id: str, spans: Sequence[Span]) -> None:
    """Print a run with its spans, one in a line."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    root = Tree(Text(f"last run   {trace_id}"), guide_style="dim")
    for span in spans:
        _grow(root, span)
    console.print(root, no_wrap=True, overflow="ellipsis", crop=True)


def _grow(above: Tree, span: Span) -> None:
    branch = above.add(_label(span))
    shown, outcomes, more = span.shown()
    if outcomes:
        branch.add(_counts(outcomes))
    for child in shown:
        _grow(branch, child)
    if more:
        branch.add(Text(f"and {more} more failed", "dim"))


def _label(span: Span) -> Text:
    label = Text(span.kind.lower(), "dim")
    label.append(f" {neutral(span.task_id)}" if span.task_id else "", "default not dim")
    label.append(f"  {neutral(span.status)}", "red not dim" if span.failed else "green not dim")
    if span.duration is not None:
        label.append(f"  {_seconds(span.duration)}", "default not dim")
    if span.error:
        label.append(f"  {neutral(span.error)}", "red not dim")
    return label


def _counts(outcomes: Counter[str]) -> Text:
    parts = [Text(f"{count} {word}", "red" if word in _BAD else "default") for word, count in sorted(outcomes.items())]
    return Text("tests: ", "dim").append_text(Text(", ").join(parts))


def _seconds(seconds: float) -> str:
    if seconds < _SLOW:
        return f"{seconds:.2f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
