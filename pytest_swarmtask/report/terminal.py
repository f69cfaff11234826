"""How to print in a terminal: the console, coloured counts, bars, and the tree of a run that `status` shows.

Piped output is plain and is not broken into lines. Bars are ASCII if the terminal's encoding is not Unicode.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Literal, NamedTuple

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pytest_swarmtask.core.outcomes import FAILED, ORDER, TEARDOWN
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.report.phrases import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pytest_swarmtask.report.tree import SpanNode

_PIPED_WIDTH = 1000
"""Columns of piped output. Programs that read it, such as `grep`, need a line to stay a line."""
_ANY_HEIGHT = 25
"""Lines of a terminal: nothing that is printed depends on them, but rich asks for both or neither."""
_BAD = (*FAILED, TEARDOWN)
OUTCOME_STYLES = {"failed": "bold red", "completed": "bold green", "unfinished": "bold yellow"}
"""Styles of the outcomes of runs."""
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.:-=+*#"


Style = Literal["plain", "monochrome", "colour"]
"""What a terminal can show: letters only, bold and dim ones, or colours, too."""


class Screen(NamedTuple):
    """Where a text will be read, as far as the text depends on it.

    Attributes:
        width: columns of the terminal; None for a pipe or a file, whose lines are not broken.
        style: what it can show.
        unicode: whether it has characters beyond ASCII, which bars and trees are drawn with.
    """

    width: int | None = None
    style: Style = "plain"
    unicode: bool = True


class PipeAwareConsole(Console):
    """A console that leaves a broken pipe, as after `| head`, to the command line."""

    def on_broken_pipe(self) -> None:
        """Raise the error again; rich would end the process with exit code 1."""
        raise  # noqa: PLE0704 - rich calls this method while it handles the error


def console() -> Console:
    """Return the console for standard output, which is as wide as the terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # the terminal's encoding may lack a character of a name
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    return PipeAwareConsole(highlight=False, markup=False, emoji=False, width=width)


def screen() -> Screen:
    """Return the kind of terminal that standard output is."""
    found = console()
    width = found.width if found.is_terminal else None
    style: Style = "plain" if found.color_system is None else "monochrome" if found.no_color else "colour"
    return Screen(width, style, found.encoding.startswith("utf"))


class _Drawing(io.StringIO):
    """A text for a terminal. rich asks it for the terminal's encoding."""

    encoding = "utf-8"


class _AsciiDrawing(_Drawing):
    encoding = "ascii"


def drawn(screen: Screen, draw: Callable[[Console], None]) -> str:
    """Return what a function prints on a console, as a text for a screen. The variables of this process do not count.

    Args:
        screen: where the text will be read.
        draw: prints on the console that it gets.
    """
    file = _Drawing() if screen.unicode else _AsciiDrawing()
    draw(
        Console(
            file=file,
            width=_PIPED_WIDTH if screen.width is None else screen.width,
            height=_ANY_HEIGHT,
            force_terminal=screen.width is not None,
            force_jupyter=False,
            legacy_windows=False,
            color_system=None if screen.style == "plain" else "standard",
            no_color=screen.style == "monochrome",
            highlight=False,
            markup=False,
            emoji=False,
        )
    )
    return file.getvalue()


def print_tree(trace_id: str, spans: Sequence[SpanNode], console: Console) -> None:
    """Print a run as a tree with one line for each span."""
    root = Tree(Text(f"last run   {neutral(trace_id)}"), guide_style="dim")
    for span in spans:
        _add(root, span)
    console.print(root, no_wrap=True, overflow="ellipsis", crop=True)


def _add(parent: Tree, span: SpanNode) -> None:
    branch = parent.add(_label(span))
    if span.tests:
        branch.add(Text().append("tests: ", "dim").append_text(sorted_counts(span.tests)))
    for child in span.children:
        _add(branch, child)
    if span.failures_left > 0:
        branch.add(Text(f"and {span.failures_left} more failed", "dim"))


def _label(span: SpanNode) -> Text:
    label = Text(span.kind.lower(), "dim")
    label.append(f" {neutral(span.task_id)}" if span.task_id else "", "default not dim")
    label.append(f"  {neutral(span.status)}", "red not dim" if span.failed else "green not dim")
    if span.duration is not None:
        label.append(f"  {format_duration(span.duration)}", "default not dim")
    if span.error:
        label.append(f"  {neutral(span.error)}", "red not dim")
    return label


def title(text: str) -> Iterator[tuple[Text, int]]:
    """Yield a blank line and a title, as lines with their indentation."""
    yield Text(), 0
    yield Text(text, "bold"), 0


def counts(outcomes: Mapping[str, int]) -> Text:
    """Return numbers by outcome in the given order, such as ``3 passed, 1 failed``; failures are red."""
    parts = [Text(f"{count} {word}", "red" if word in _BAD else "default") for word, count in outcomes.items()]
    return Text(", ").join(parts)


def sorted_counts(outcomes: Mapping[str, int]) -> Text:
    """Return numbers by outcome in the usual order, without zeros."""
    return counts({word: outcomes[word] for word in ORDER if outcomes.get(word)})


def bars(values: Sequence[float | None], encoding: str) -> str:
    """Return numbers as a line of bars, the highest for the greatest number. None is a gap."""
    levels = _BARS if encoding.lower().startswith("utf") else _ASCII_BARS
    greatest = max((value for value in values if value is not None), default=0.0) or 1.0
    top = len(levels) - 1
    return "".join(" " if value is None else levels[round(max(0.0, value) / greatest * top)] for value in values)
