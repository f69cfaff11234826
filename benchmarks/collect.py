"""The cost of `swarmtask collect` for the shards of a CI run: time, peak memory, and the size of the history.

One shard is recorded by a real pytest. The others are copies of it with ids, tests and a variant of their own. Run with
``python -m benchmarks.collect [shards] [tests] [runs]``. Each run is collected on a fresh machine, to which only the
file of the history travels.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import partial
from pathlib import Path

from benchmarks.history import Step, measure

_SPANS = re.compile(r'(?<=span_id":")[0-9a-f]{16}(?=")')
_JOB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "test",
    "GITHUB_REF_NAME": "main",
    "SWARMTASK_VARIANT": "test (shard 0)",
}


def record(folder: Path, tests: int, run: int) -> Path:
    """Record a shard of a run, and return its segment."""
    (folder / ".taskmaster").mkdir(parents=True)
    body = "\n".join(f"    def test_{n}(self): pass" for n in range(tests))
    (folder / "test_shard_0.py").write_text(f"class TestCheckoutOfOrders:\n{body}\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "SWARMTASK_"))}
    environ = {**kept, **_JOB, "GITHUB_RUN_ID": str(run), "GITHUB_SHA": f"{run:040}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL, check=True)
    return next((folder / ".taskmaster" / "events").glob("*.jsonl"))


def multiply(segment: Path, shards: int, into: Path) -> int:
    """Write an archive for each shard, as actions/upload-artifact makes it; return the bytes of their segments."""
    into.mkdir()
    text = segment.read_text()
    writer = segment.name.split("-")[2]
    for shard in range(shards):
        mask = shard << 40
        own = _SPANS.sub(partial(_masked, mask), text)
        own = own.replace("shard_0.py", f"shard_{shard}.py").replace("shard 0", f"shard {shard}")
        other = f"{int(writer, 16) ^ mask:016x}"
        with zipfile.ZipFile(into / f"journal-{shard}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            archive.writestr(segment.name.replace(writer, other), own.replace(writer, other))
    return len(text) * shards


def _masked(mask: int, found: re.Match[str]) -> str:
    return f"{int(found[0], 16) ^ mask:016x}"


def machine(folder: Path, cached: Path) -> Path:
    """Return the project on a fresh machine, which has the cached history if there is one."""
    journal = folder / ".taskmaster" / "events"
    journal.mkdir(parents=True, mode=0o700)
    if cached.exists():
        shutil.copy(cached, journal / "history.sqlite")
    return folder


def steps(project: Path, artifacts: Path) -> list[Step]:
    """Return the cost of the last job: collecting, collecting again, and the reports."""
    commands = (
        ("collect", "collect", str(artifacts)),
        ("collect again", "collect", str(artifacts)),
        ("report --markdown", "report", "--markdown", "--compare", "previous"),
        ("report --html", "report", "--html", str(project / "report.html")),
    )
    return [measure(name, "-m", "pytest_swarmtask", *command, "--root", str(project)) for name, *command in commands]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("shards", 50), ("tests", 2000), ("runs", 3)):
        parser.add_argument(name, nargs="?", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="collect-") as name:
        folder = Path(name)
        cached = folder / "history.sqlite"
        for run in range(options.runs):
            segment = record(folder / f"suite-{run}", options.tests, run + 1)
            size = multiply(segment, options.shards, folder / f"artifacts-{run}")
            project = machine(folder / f"machine-{run}", cached)
            print(f"run {run + 1}: {options.shards} shards of {options.tests} tests, {size / 1e6:.0f} MB of journals")
            for step in steps(project, folder / f"artifacts-{run}"):
                print(f"  {step.name:30} {step.seconds:6.1f} s {step.megabytes:6.0f} MB")
            shutil.copy(project / ".taskmaster" / "events" / "history.sqlite", cached)
            results = options.shards * options.tests * (run + 1)
            print(
                f"  history {cached.stat().st_size / 1e6:.1f} MB, {cached.stat().st_size / results:.0f} bytes a result"
            )
            shutil.rmtree(project)


if __name__ == "__main__":
    main()
