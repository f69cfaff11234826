"""`make bench`: all costs in one table of ratios; ``python -m benchmarks [SECTION…] [--quick]``.

All compared commands run in turn, within minutes, on the same machine. A ratio is the median of the turns. A whole run
is written to `benchmarks/results.md`. With `--quick`, the ratios are shown beside the ratios of `reference.json`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import others, sessions
from benchmarks.flakiness import flakiness
from benchmarks.installation import installation
from benchmarks.instructions import instructions
from benchmarks.measure import HEAD, Row
from benchmarks.place import Place
from benchmarks.shards import shards
from benchmarks.team import team
from scripts import lab

RESULTS = Path(__file__).with_name("results.md")
REFERENCE = Path(__file__).with_name("reference.json")
SECTIONS: dict[str, Callable[[Place], Iterator[Row]]] = {
    "tests": sessions.tests,
    "instructions": instructions,
    "failing": sessions.failing,
    "attrs": sessions.attrs,
    "peers": sessions.peers,
    "startup": sessions.startup,
    "installation": installation,
    "recipes": others.recipes,
    "webhooks": sessions.webhooks,
    "relay": others.relay,
    "redaction": others.redaction,
    "history": others.history,
    "room": others.room,
    "growth": others.growth,
    "flakiness": flakiness,
    "shards": shards,
    "team": team,
}
QUICK = ("tests", "startup", "installation", "recipes", "relay")


def measured(names: list[str], *, quick: bool) -> Iterator[Row]:
    """Measure the sections and return their rows; a section that cannot be measured gives the reason and is omitted."""
    for name in names:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            try:
                yield from SECTIONS[name](Place(Path(folder).resolve(), quick))
            except (RuntimeError, OSError, lab.LabError, subprocess.SubprocessError) as error:
                print(f"{name} was not measured: {error}", file=sys.stderr)
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)


def machine() -> str:
    """Return the machine and the versions used, in one line."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("pytest", "pluggy", "httpx", "msgspec"))
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    today = f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}"
    return f"{today}, commit {commit()}, Python {platform.python_version()}, {versions}; {system}"


def commit() -> str:
    """Return the short name of the checked-out commit."""
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=lab.ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def beside_reference(rows: list[Row]) -> str:
    """Return a table of the ratios beside the stored ones."""
    kept: dict[str, Any] = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {"commit": "none", "ratios": {}}
    lines = [f"| what | against | ratio | at {kept['commit']} | change | bar |", f"|{' --- |' * 6}"]
    for row in rows:
        before = kept["ratios"].get(row.what)
        told = ("", "") if before is None else (f"{before:.3f}", f"{(row.median / before - 1) * 100:+.0f} %")
        lines.append(f"| {row.what} | {row.against} | {row.median:.3f} | {' | '.join(told)} | {row.bar} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of: {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help=f"about four minutes: {', '.join(QUICK)}")
    parser.add_argument("--keep", action="store_true", help=f"keep the ratios in {REFERENCE.name}")
    options = parser.parse_args()
    unknown = set(options.sections).difference(SECTIONS)
    if unknown:
        parser.error(f"unknown section {', '.join(sorted(unknown))}: expected {', '.join(SECTIONS)}")
    names = options.sections or list(QUICK if options.quick else SECTIONS)
    begun = time.monotonic()
    rows = list(measured(names, quick=options.quick))
    table = "\n".join([HEAD, *(row.line() for row in rows)])
    print(f"{machine()}\n\n{beside_reference(rows) if options.quick else table}")
    if options.keep:
        ratios = {row.what: round(row.median, 4) for row in rows}
        REFERENCE.write_text(json.dumps({"commit": commit(), "ratios": ratios}, indent=1, ensure_ascii=False) + "\n")
    if not options.quick and not options.sections:
        minutes = (time.monotonic() - begun) / 60
        RESULTS.write_text(f"# Results of `make bench`\n\n{machine()}; {minutes:.0f} minutes.\n\n{table}\n")


if __name__ == "__main__":
    main()
