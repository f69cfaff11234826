"""`make matrix`: our suite, against the built wheel, on each supported Python with each supported pytest.

The script uses the interpreters on the machine and names the missing ones. Two cells run at a time.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from scripts import lab

PYTESTS = {
    "7.4": ["pytest==7.4.*", "pytest-subtests"],
    "8.4": ["pytest==8.4.*", "pytest-subtests"],
    "newest": ["pytest"],
}
TIMEOUT = 2400.0


class Cell(NamedTuple):
    """One Python with one pytest, and the result."""

    python: str
    pytest: str
    verdict: str
    seconds: float
    output: str = ""


def sources() -> Path:
    """Copy the files that the tests need to a folder without the package, so that only the wheel provides it."""
    folder = lab.CACHE / "matrix" / "sources"
    shutil.rmtree(folder, ignore_errors=True)
    left_out = shutil.ignore_patterns(
        ".git", ".venv", ".cache", "dist", "build", "pytest_swarmtask", "events", "__pycache__", ".coverage*"
    )
    shutil.copytree(lab.ROOT, folder, ignore=left_out)
    return folder


def try_cell(version: str, python: str, pytest: str, folder: Path, arguments: list[str]) -> Cell:
    """Run the suite on one Python with one pytest."""
    began = time.monotonic()
    try:
        inside = lab.venv(
            lab.CACHE / "matrix" / f"{version}-{pytest}", [f"{lab.wheel()}[test]", *PYTESTS[pytest]], python
        )
        lab.install_wheel(inside)
        command = [inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long", *arguments]
        done = lab.run(command, folder, TIMEOUT)
    except lab.LabError as error:
        return Cell(version, pytest, "FAILED", time.monotonic() - began, str(error))
    verdict = done.stdout.rstrip().rpartition("\n")[2].strip("= ") if done.returncode == 0 else "FAILED"
    return Cell(version, pytest, verdict, time.monotonic() - began, "" if done.returncode == 0 else done.stdout)


def _cell(text: str) -> tuple[str, str]:
    python, _, pytest = text.partition(":")
    if pytest not in PYTESTS:
        raise argparse.ArgumentTypeError(f"{text!r} is not such as 3.13:8.4; pytest is one of {', '.join(PYTESTS)}")
    return python, pytest


def main() -> int:
    """Run every possible cell and return 1 if a cell failed or none could run."""
    parser = argparse.ArgumentParser(description="The suite on each supported Python with each supported pytest.")
    parser.add_argument("--python", action="append", metavar="VERSION", help=f"default: {' '.join(lab.PYTHONS)}")
    parser.add_argument("--cell", action="append", type=_cell, metavar="PYTHON:PYTEST", help="only these, as 3.13:8.4")
    parser.add_argument("arguments", nargs="*", help="for pytest, after --")
    args = parser.parse_args()
    chosen = args.cell or [(version, pytest) for version in args.python or lab.PYTHONS for pytest in PYTESTS]
    wanted = dict(chosen)
    found = {version: path for version in wanted if (path := lab.interpreter(version))}
    for version in wanted:
        print(f"Python {version}: {found.get(version, 'not on this machine')}", flush=True)
    folder = sources()
    failed = []
    with ThreadPoolExecutor(2) as pool:
        cells = [
            pool.submit(try_cell, version, path, pytest, folder, args.arguments)
            for version, pytest in chosen
            if (path := found.get(version))
        ]
        for future in cells:
            cell = future.result()
            print(f"Python {cell.python:<5} pytest {cell.pytest:<7} {cell.verdict}  ({cell.seconds:.0f} s)", flush=True)
            failed += [cell] if cell.output else []
    for cell in failed:
        print(f"\nPython {cell.python}, pytest {cell.pytest}:\n{cell.output}")
    return bool(failed) or not found


if __name__ == "__main__":
    sys.exit(main())
