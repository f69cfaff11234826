"""The surroundings of the measurements: suites, environments, receivers."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Command
from scripts import lab

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
OURS = ("-p", "swarmtask")
FLOOR = ("-p", "benchmarks.floor")


class Place(NamedTuple):
    """A folder for measurements, and their thoroughness.

    Attributes:
        folder: an empty one.
        quick: whether a few turns of small runs are enough.
    """

    folder: Path
    quick: bool

    def turns(self, thorough: int) -> int:
        """Return how many turns to take."""
        return max(3, thorough // 2) if self.quick else thorough

    def project(self, name: str) -> Path:
        """Return a folder that is the root of a separate project."""
        (self.folder / name / ".taskmaster").mkdir(parents=True)
        return self.folder / name


def suite(folder: Path, tests: int, *, fails: int = 0, name: str = "suite") -> str:
    """Write a suite of empty tests, 100 per file, in which each `fails`-th test fails; return its folder's name."""
    (folder / name).mkdir()
    for start in range(0, tests, 100):
        numbers = range(start, min(start + 100, tests))
        bodies = ("assert 1 == 2" if fails and number % fails == fails - 1 else "pass" for number in numbers)
        text = "\n\n\n".join(f"def test_{n}():\n    {body}" for n, body in zip(numbers, bodies, strict=True))
        (folder / name / f"test_{start:06}.py").write_text(f"{text}\n")
    return name


def pytest(python: str, *arguments: str, environ: Mapping[str, str] | None = None, failing: bool = False) -> Command:
    """Return a pytest command that loads only the named plugins."""
    base = [python, "-m", "pytest", "-q", "-rN", "--no-header", "-p", "no:cacheprovider"]
    environ = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(lab.ROOT), **(environ or {})}
    return Command([*base, *arguments], environ, exit_codes=(1,) if failing else (0,))


def with_peers() -> str:
    """Return the Python of an environment with the peers and the present version of this package."""
    python = lab.venv(lab.CACHE / "bench", ["-r", str(REQUIREMENTS)])
    lab.must([python, "-m", "pip", "install", "-qq", "--editable", str(lab.ROOT)])
    return python


@contextlib.contextmanager
def receiver(mode: str, kept: Path | None = None) -> Iterator[str]:
    """Run a receiver and yield its URL."""
    command = [sys.executable, "-m", "benchmarks.server", mode, *([str(kept)] if kept else [])]
    process = subprocess.Popen(command, cwd=lab.ROOT, stdout=subprocess.PIPE, text=True)
    if process.stdout is None:
        raise RuntimeError("no pipe")
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait(10)
