"""Measurement of commands that take turns, so that other work of the machine affects all of them alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_LEFT_OUT = ("PYTEST_", "PYTHON", "COV_", "COVERAGE_", "TASKMASTER_", "SWARMTASK_", "WORKFLOW_", "TRACEPARENT", "CI")
"""Variables that would change the results; PYTHONDONTWRITEBYTECODE would make Python compile every module each time."""
_LONGEST = 900.0


class Command(NamedTuple):
    """A command line with its variables, and a step before each run that is not measured."""

    arguments: Sequence[str]
    environ: Mapping[str, str] = {}
    before: Callable[[], None] = lambda: None
    exit_codes: tuple[int, ...] = (0,)


class Run(NamedTuple):
    """The cost of one run: CPU seconds of it and all its children, seconds of wall time, and megabytes at its peak."""

    cpu: float
    wall: float
    memory: float


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        section: the section it belongs to.
        what, against: the measured thing, and the thing it is compared with.
        ratios: one for each turn, or other numbers of this row.
        bar: the limit of the design, if there is one.
        added: the difference in words.
    """

    section: str
    what: str
    against: str
    ratios: Sequence[float]
    bar: str = ""
    added: str = ""

    @property
    def median(self) -> float:
        """The ratio shown in the table."""
        return statistics.median(self.ratios)

    def line(self) -> str:
        """Return the row as Markdown."""
        spread = f"{min(self.ratios):.3f}-{max(self.ratios):.3f}, {len(self.ratios)}"
        cells = (self.section, self.what, self.against, f"**{self.median:.3f}**", spread, self.added, self.bar)
        return f"| {' | '.join(cells)} |"


HEAD = "| section | what | against | ratio | spread, turns | added | bar |\n| --- | --- | --- | --- | --- | --- | --- |"


def surroundings(command: Command) -> dict[str, str]:
    """Return the environment of a command: its own variables, and ours without those that change the results."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}, **command.environ}


def run(command: Command, folder: Path) -> Run:
    """Run a command and return its cost.

    Raises:
        RuntimeError: it failed.
    """
    command.before()
    begun = time.perf_counter()
    process = subprocess.Popen(
        command.arguments,
        cwd=folder,
        env=surroundings(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in command.exit_codes:
        raise RuntimeError(f"{' '.join(command.arguments)} ended with {process.returncode}")
    peak = usage.ru_maxrss / (1 << (20 if sys.platform == "darwin" else 10))
    return Run(usage.ru_utime + usage.ru_stime, wall, peak)


def turns(commands: Mapping[str, Command], folder: Path, count: int) -> dict[str, list[Run]]:
    """Run the commands in turn, `count` times each, forwards and backwards, after a turn that fills caches."""
    taken: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(count + 1):
        for name in list(commands)[:: 1 if number % 2 else -1]:
            result = run(commands[name], folder)
            if number:
                taken[name].append(result)
    return taken


def ratios(ours: Sequence[Run], theirs: Sequence[Run]) -> list[float]:
    """Return the ratios of CPU time, turn by turn."""
    return [one.cpu / other.cpu for one, other in zip(ours, theirs, strict=True)]


def added(ours: Sequence[Run], theirs: Sequence[Run]) -> float:
    """Return the additional CPU seconds of the first command: the median of the differences in each turn."""
    return statistics.median(one.cpu - other.cpu for one, other in zip(ours, theirs, strict=True))
