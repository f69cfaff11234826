"""How evenly `--swarmtask-shard` divides a suite, beside `least_duration` of pytest-split.

Real suites run several times. The durations of the earlier runs divide the suite; those of the next run tell how long
each shard would have taken, which depends on how busy the machine was. So they are also divided by durations that are
exactly right. pytest-split keeps the durations of the last run in its file, and ours are medians.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.measure import Row
from benchmarks.place import Place
from pytest_swarmtask.sources.pytest.division import divide
from pytest_swarmtask.sources.pytest.sharding import costs_of, microseconds
from scripts import lab

SUITES = ("attrs", "click", "httpx")
SHARDS = 8
_RUNS = 4
_TIMEOUT = 600.0
_UNITS = (20, 40, 100)
"""Files of invented suites: with `--swarmtask-shard-by file`, a suite has few units."""
_SEEDS = 20
_SPREAD = 0.5
"""The standard deviation of the logarithm of an invented file's duration."""
_LEAST_DURATION = """
import json, sys
from types import SimpleNamespace
from pytest_split.algorithms import LeastDurationAlgorithm

shards, tests, durations = json.load(sys.stdin)
groups = LeastDurationAlgorithm()(shards, [SimpleNamespace(nodeid=test) for test in tests], durations)
print(json.dumps({item.nodeid: number for number, group in enumerate(groups) for item in group.selected}))
"""

Durations = Mapping[str, float]


def shards(place: Place) -> Iterator[Row]:
    """How long the slowest of eight shards takes, over the ideal."""
    python = lab.venv(lab.CACHE / "split", ["pytest", "pytest-split==0.11.0"])
    for name in SUITES:
        runs = recorded(name, place.turns(_RUNS))
        yield _compared(python, f"{name}, if tests take as long again", [(runs[-1:], run) for run in runs[-1:]])
        yield _compared(python, f"{name}, its next run", [(runs[:n], runs[n]) for n in range(1, len(runs))])
    for units in _UNITS:
        suites = [invented(units, seed) for seed in range(_SEEDS)]
        yield _compared(python, f"{units} uneven files", [([suite], suite) for suite in suites])


def recorded(name: str, runs: int) -> list[Durations]:
    """Run the suite of a project, and return the seconds of its tests in each run."""
    from scripts.acceptance import SUITES as KNOWN

    suite = next(one for one in KNOWN if one.name == name)
    home = lab.CACHE / "bench-shards" / name
    folder = lab.sdist(suite.source, home / "source")
    python = lab.venv(home / "venv", [f"{name}{suite.extras} @ {folder.as_uri()}", suite.pytest, *suite.needs])
    lab.must([python, "-m", "pip", "install", "-qq", "--editable", str(lab.ROOT)])
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suite.arguments]
    found: list[Durations] = []
    for _ in range(runs):
        lab.fresh_journal(folder)
        lab.run(command, folder, _TIMEOUT, lab.environ(CI="1"))
        ends = [event for event in lab.journal(folder) if event["event_type"] in ("TEST_PASSED", "TEST_FAILED")]
        found.append({event["task_id"]: float(event["metadata"]["duration"]) for event in ends})
    return found


def invented(units: int, seed: int) -> Durations:
    """Return the seconds of units that stay together, such as files. The longest takes several times the median."""
    numbers = random.Random(seed)  # noqa: S311 - the same each time
    return {f"test_{n}.py": numbers.lognormvariate(3, _SPREAD) for n in range(units)}


def _compared(python: str, what: str, cases: Sequence[tuple[Sequence[Durations], Durations]]) -> Row:
    ours = [slowest_over_ideal(_our_shards(truth, earlier), truth) for earlier, truth in cases]
    theirs = [slowest_over_ideal(_their_shards(python, truth, earlier[-1]), truth) for earlier, truth in cases]
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    said = f"{statistics.median(ours):.3f} times the ideal, {statistics.median(theirs):.3f} with least_duration"
    return Row("shards", f"{what}: the slowest of {SHARDS} shards", "least_duration", ratios, "1.0", said)


def _our_shards(tests: Durations, earlier: Sequence[Durations]) -> Mapping[str, int]:
    names = {test for run in earlier for test in run}
    medians = {test: statistics.median([run[test] for run in earlier if test in run]) for test in names}
    known = {test: microseconds(seconds) for test, seconds in medians.items()}
    return divide(costs_of(tests, known), SHARDS)


def _their_shards(python: str, tests: Durations, durations: Durations) -> Mapping[str, int]:
    done = subprocess.run(
        [python, "-c", _LEAST_DURATION],
        input=json.dumps([SHARDS, list(tests), durations]),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def slowest_over_ideal(shard_of: Mapping[str, int], seconds: Durations) -> float:
    """Return what the slowest shard takes, over what it takes at least: the mean of all, or the longest test."""
    totals = [0.0] * SHARDS
    for test, duration in seconds.items():
        totals[shard_of[test]] += duration
    return max(totals) / max(sum(totals) / SHARDS, *seconds.values())
