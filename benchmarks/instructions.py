"""The cost of a test in instructions, counted by callgrind, which is independent of the machine's other work.

Work in other processes (git, the relay) is not included, nor is Python's garbage collector (`benchmarks.steady`).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from benchmarks.measure import Command, Row, surroundings
from benchmarks.place import FLOOR, OURS, Place, pytest, suite, with_peers
from benchmarks.sessions import ALONE, peers_options

_STEADY = ("-p", "benchmarks.steady")
_FEW, _MANY = 200, 600
_SEEDS = 4
"""Seeds of Python's hashes of which the mean is taken. The places of objects in memory decide which lookups of Python's
cache miss, and so change the count of a test by ten thousand."""
_COLLECTED = re.compile(r"Collected : (\d+)")
_LOCAL = ("junitxml", "reportlog", "html", "json-report")
"""The peers that send nothing, which are the cheapest."""


class _Counted(NamedTuple):
    """Instructions of one test, and of everything else."""

    each: float
    rest: float


def instructions(place: Place) -> Iterator[Row]:
    """The additional instructions of a test and of a start, beside the floor and the peers that write a file.

    Raises:
        OSError: valgrind is not installed.
    """
    folder = place.project("instructions")
    names = [suite(folder, _FEW, name="few"), suite(folder, _MANY, name="many")]
    python = with_peers()
    others = {name: options for name, (options, _) in peers_options("").items() if name in _LOCAL}
    counted = {
        what: _counted(
            [pytest(python, *_STEADY, *options, name) for name in names], folder, 1 if what in others else _SEEDS
        )
        for what, options in {ALONE: (), "the floor": FLOOR, "journal on": OURS, **others}.items()
    }
    alone, floor, ours = (counted.pop(name) for name in (ALONE, "the floor", "journal on"))
    for what, count in {"the floor": floor, "journal on": ours, **counted}.items():
        more = f"{(count.each - alone.each) / 1e3:+.0f} thousand"
        bar = "110 thousand" if count is ours else ""
        yield Row("instructions", f"a test, {what}", ALONE, [count.each / alone.each], bar, more)
    ratio = (ours.each - alone.each) / (floor.each - alone.each)
    yield Row("instructions", "a test, added by the journal", "added by the floor", [ratio], "2")
    more = f"{(ours.rest - alone.rest) / 1e6:+.0f} million"
    yield Row("instructions", "a start, journal on", ALONE, [ours.rest / alone.rest], "", more)


def _counted(commands: list[Command], folder: Path, seeds: int) -> _Counted:
    few, many = (
        fmean(
            collected(command._replace(environ={**command.environ, "PYTHONHASHSEED": str(seed)}), folder)
            for seed in range(seeds)
        )
        for command in commands
    )
    each = (many - few) / (_MANY - _FEW)
    return _Counted(each, few - each * _FEW)


def collected(command: Command, folder: Path) -> int:
    """Return how many instructions a command takes once its caches exist.

    Raises:
        OSError: valgrind is not installed.
        RuntimeError: the command failed.
    """
    if shutil.which("valgrind") is None:
        raise OSError("valgrind is not installed")
    environ = surroundings(command)
    subprocess.run(command.arguments, cwd=folder, env=environ, capture_output=True, check=False)
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command.arguments]
    done = subprocess.run(callgrind, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    found = _COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        raise RuntimeError(f"{' '.join(callgrind)} ended with {done.returncode}")
    return int(found[1])
