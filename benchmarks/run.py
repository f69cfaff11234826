"""What watching costs, as ratios: a command with events over the same without, in many interleaved pairs.

Run with ``make bench``, or ``python benchmarks/run.py [pairs]``. CPU is user and system time of the command and of
all that it waited for; the relay is a process of its own and not in it. The spread says how noisy the machine was.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pytest_swarmtask import recipe

TESTS = 5000
DRAIN_TIMEOUT = 2.0
"""Seconds that a session waits for delivery at its end, unless it is told otherwise."""
_LEFT_OUT = ("PYTEST_", "PYTHON", "COV_", "COVERAGE_", "TASKMASTER_", "SWARMTASK_", "WORKFLOW_", "TRACEPARENT", "CI")
"""Variables that would change what is measured; PYTHONDONTWRITEBYTECODE would have every module compiled each time."""


class Command(NamedTuple):
    """A command line with what it needs in the environment."""

    arguments: Sequence[str]
    environ: Mapping[str, str] = {}


class Figure(NamedTuple):
    """One measured pair of commands: medians in milliseconds of CPU, and the ratios."""

    name: str
    bar: str
    with_events: float
    without: float
    ratios: list[float]

    def row(self) -> str:
        """Return the row of the table."""
        low, middle, high = (
            f"{ratio:.3f}" for ratio in (self.ratios[0], statistics.median(self.ratios), self.ratios[-1])
        )
        added = self.with_events - self.without
        return f"| {self.name} | {self.without:.1f} | {added:+.1f} | **{middle}** ({low}-{high}) | {self.bar} |"


def measure(command: Command, folder: Path, *, wall: bool = False) -> float:
    """Return the CPU time of a command in milliseconds, or with `wall` the time that passes.

    Raises:
        RuntimeError: it failed.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
    begun = time.perf_counter()
    process = subprocess.Popen(
        command.arguments,
        cwd=folder,
        env={**environ, **command.environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command.arguments)} ended with {process.returncode}")
    return (time.perf_counter() - begun if wall else usage.ru_utime + usage.ru_stime) * 1000


def compare(  # noqa: PLR0913 - what a figure is made of
    name: str, bar: str, pair: tuple[Command, Command], folder: Path, pairs: int, *, wait: float | None = None
) -> Figure:
    """Run two commands in turn and compare their CPU; or, with `wait`, the time that they take, without that wait."""
    taken: list[tuple[float, float]] = []
    for number in range(pairs + 1):
        values = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            values[which] = measure(pair[which], folder, wall=wait is not None)
        values[0] -= (wait or 0.0) * 1000
        if number:  # the first pair fills caches
            taken.append((values[0], values[1]))
    medians = [statistics.median(values) for values in zip(*taken, strict=True)]
    return Figure(name, bar, medians[0], medians[1], sorted(ours / theirs for ours, theirs in taken))


def suite(folder: Path, name: str, tests: int) -> str:
    """Write a suite of empty tests, 500 to a file, and return its folder's name."""
    (folder / name).mkdir()
    for start in range(0, tests, 500):
        functions = "".join(f"def test_{number}():\n    pass\n\n\n" for number in range(start, min(start + 500, tests)))
        (folder / name / f"test_{start:05}.py").write_text(functions)
    return name


def pytest(*arguments: str, off: bool = False, environ: Mapping[str, str] | None = None) -> Command:
    """Return a pytest command, with the plugin or without."""
    base = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    return Command([*base, *(["-p", "no:swarmtask"] if off else []), *arguments], environ or {})


def receiver(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start a receiver on loopback and return it with its URL."""
    command = [sys.executable, "-m", "pytest_swarmtask", "listen", "--port", "0", "--json"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if process.stdout is None:
        raise RuntimeError("no pipe")
    url = json.loads(process.stdout.readline())["listening"]
    subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)  # a full pipe would stop it
    return process, url


def figures(folder: Path, pairs: int) -> list[Figure]:
    """Measure everything."""
    (folder / ".taskmaster").mkdir()
    many, one = suite(folder, "many", TESTS), suite(folder, "one", 1)
    bare = Command([sys.executable, "-c", "pass"])
    in_recipe = [sys.executable, "-S", recipe.__file__]
    make = {"TRACEPARENT": "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000deadbeef-01"}
    emit = Command([*in_recipe, "emit", "TASK_STARTED", "make_test", '{"action":"test"}'], make)
    watched = Command([*in_recipe, "run", "--", "true"], make)
    few, lots = pairs, pairs * 3
    listening, url = receiver(folder)
    try:
        hooked = {"TASKMASTER_WEBHOOK_URL": url}
        silent = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
        closed = socket.create_server(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (silent, closed)]
        closed.close()
        hung, refused = ({"TASKMASTER_WEBHOOK_URL": f"http://127.0.0.1:{port}/"} for port in ports)
        return [
            compare("5,000 empty tests, journal on", "1.03", (pytest(many), pytest(many, off=True)), folder, few),
            compare(
                "the same, live webhook", "1.04", (pytest(many, environ=hooked), pytest(many, off=True)), folder, few
            ),
            compare(
                "the same, junitxml instead",
                "",
                (pytest(many, "--junitxml=j.xml", off=True), pytest(many, off=True)),
                folder,
                few,
            ),
            *(
                compare(
                    f"the same, {what}: time that passes, less `drain_timeout`",
                    "1.03",
                    (pytest(many, environ=webhook), pytest(many, off=True)),
                    folder,
                    few,
                    wait=DRAIN_TIMEOUT,
                )
                for what, webhook in (("a webhook that never answers", hung), ("a closed port", refused))
            ),
            compare("one test, journal on", "+10 ms", (pytest(one), pytest(one, off=True)), folder, lots),
            compare("`emit` in a recipe / bare `python -c pass`", "2", (emit, bare), folder, lots),
            compare("`run -- true` in a recipe / the same", "3", (watched, bare), folder, lots),
        ]
    finally:
        listening.terminate()
        listening.wait(10)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "pairs", nargs="?", type=int, default=7, help="pairs of runs for each figure (default: %(default)s)"
    )
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        rows = [figure.row() for figure in figures(Path(name), parser.parse_args().pairs)]
    version = subprocess.run([sys.executable, "-m", "pytest", "--version"], capture_output=True, text=True, check=True)
    print(f"Python {platform.python_version()}, {version.stdout.strip()}, {os.cpu_count()} CPUs, {platform.system()}\n")
    print("| what | ms without | added | ratio (least-most) | bar |")
    print("| --- | --- | --- | --- | --- |")
    print("\n".join(rows))
    print(f"\n{time.monotonic() - begun:.0f} seconds")


if __name__ == "__main__":
    main()
