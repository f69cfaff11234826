"""`--swarmtask-shard`: this session runs one part of the suite, other sessions the other parts.

Every shard collects all tests and divides them in the same way. So what the division depends on must be the same on
every shard: the tests, and how long they usually take. The end event has a digest that shows whether it was.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import statistics
import subprocess

import pytest

from pytest_swarmtask.recording.relay_launcher import own_command, own_environ
from pytest_swarmtask.recording.settings import read_settings
from pytest_swarmtask.sources.pytest.division import divide
from pytest_swarmtask.sources.pytest.place import project_of, variant_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pytest_swarmtask.core.project import Project

WORKER_KEY = "swarmtask_shard"
"""The key in `workerinput` and `workeroutput` of xdist."""
KINDS = ("file", "class", "test")
"""What stays together, the largest first."""

_MAIN = "import runpy; runpy.run_module('pytest_swarmtask', run_name='__main__')"
_TIMEOUT = 30.0
"""Seconds that the durations may take: a server may be slow, a history may have to be read for the first time."""
_VERSION = 1
"""The version of the format of durations, see `report.durations`."""
_Popen, _TimeoutExpired = subprocess.Popen, subprocess.TimeoutExpired
"""Bound at import, because a conftest may patch them."""


class Shard:
    """What the user has asked for.

    Attributes:
        number: the number of this shard, from 1.
        of: how many shards there are.
        by: what stays together, one of `KINDS`.
    """

    __slots__ = ("by", "number", "of")

    def __init__(self, text: str, by: str) -> None:
        number, slash, of = text.partition("/")
        numbers = [int(part) if part.isascii() and part.isdecimal() else 0 for part in (number, of)]
        if not slash or not 1 <= numbers[0] <= numbers[1]:
            raise pytest.UsageError(f"--swarmtask-shard is {text!r}, expected I/N with I from 1 to N, such as 2/8")
        self.number, self.of = numbers
        self.by = by

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class UsualDurations:
    """Asks how long tests usually take: a file if there is one, else the team's server or the local history.

    A process of its own asks, so that the watched process loads neither SQLite nor HTTP. It begins at once, and is
    waited for when the tests are collected.

    Args:
        project: the project.
        variant: the variant of this session.
    """

    def __init__(self, project: Project, variant: str) -> None:
        self._variant = variant
        self._path = project.durations
        self._process = None if os.path.exists(self._path) else _ask(project)

    def read(self) -> tuple[dict[str, int], str]:
        """Return milliseconds by node id, and what is wrong, or an empty text."""
        try:
            return known_costs(self._content(), self._variant), ""
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return {}, f"{type(error).__name__}: {error}"

    def _content(self) -> bytes:
        if self._process is None:
            with open(self._path, "rb") as file:
                return file.read()
        try:
            content, errors = self._process.communicate(timeout=_TIMEOUT)
        except _TimeoutExpired:
            raise OSError(f"the durations took longer than {_TIMEOUT:.0f} s") from None
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.communicate()
        if self._process.returncode:
            raise OSError(errors.decode(errors="replace").strip().rpartition("\n")[2].removeprefix("swarmtask: "))
        return content


def _ask(project: Project) -> subprocess.Popen[bytes]:
    return _Popen(
        own_command(_MAIN, "durations", "--root", project.root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=own_environ(os.environ),
    )


def known_costs(content: bytes, variant: str) -> dict[str, int]:
    """Return what each test usually costs, in milliseconds.

    A test that is not known under its variant costs what it does under others.

    Args:
        content: the object that `swarmtask durations` prints.
        variant: the variant.

    Raises:
        ValueError: it is not such an object. `KeyError`, `TypeError` and `AttributeError` may be raised for that, too.
    """
    found = json.loads(content)
    if found["version"] != _VERSION:
        raise ValueError(f"the durations have version {found['version']!r}, expected {_VERSION}")
    seconds: dict[str, list[float]] = {}
    own: dict[str, float] = {}
    for name, files in found["durations"].items():
        for file, tests in files.items():
            for rest, duration in tests.items():
                seconds.setdefault(file + rest, []).append(float(duration))
                if name == variant:
                    own[file + rest] = float(duration)
    return {test: _milliseconds(own.get(test, statistics.median(seconds[test]))) for test in seconds}


def _milliseconds(seconds: float) -> int:
    """Return whole milliseconds, at least 1: units that cost nothing would all go to the same shard."""
    return max(1, round(1000 * seconds))


def costs_of(tests: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    """Return what tests cost. An unknown one costs the median of its file, or else that of all that is known."""
    by_file: dict[str, list[int]] = {}
    for test, cost in known.items():
        by_file.setdefault(_file_of(test), []).append(cost)
    usual = _median(known.values())

    def cost_of(test: str) -> int:
        cost = known.get(test)
        return cost or _median(by_file.get(_file_of(test), ()), usual)

    return {test: cost_of(test) for test in tests}


def _median(costs: Iterable[int], otherwise: int = 1) -> int:
    found = list(costs)
    return statistics.median_high(found) if found else otherwise


def _file_of(test: str) -> str:
    return test.partition("::")[0]


class Split:
    """A suite divided among shards.

    Args:
        units: by node id, the unit that the test belongs to.
        known: what tests usually cost, in milliseconds.
        shard: which part this session runs.

    Attributes:
        tests: how many tests there are in all shards.
        digest: of all that the division depends on.
    """

    def __init__(self, units: Mapping[str, str], known: Mapping[str, int], shard: Shard) -> None:
        costs: dict[str, int] = {}
        for test, cost in costs_of(units, known).items():
            costs[units[test]] = costs.get(units[test], 0) + cost
        shard_of = divide(costs, shard.of)
        self._own = {test for test, unit in units.items() if shard_of[unit] == shard.number - 1}
        self.tests = len(units)
        inputs = json.dumps([shard.of, sorted(units.items()), sorted(costs.items())])
        self.digest = hashlib.sha256(inputs.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def has(self, test: str) -> bool:
        """Whether a test belongs to this shard."""
        return test in self._own

    def facts(self) -> dict[str, Any]:
        """Return the metadata of the session's end event."""
        return {"tests": self.tests, "digest": self.digest}


class ShardSelection:
    """The hooks that leave the tests of other shards out, in the process that collects them.

    Args:
        config: pytest's configuration.
        shard: which part this session runs.
        read: returns what tests usually cost, and what is wrong, see `UsualDurations.read`.

    Attributes:
        shard: which part this session runs.
        facts: what the end event says of the division; empty before the tests are collected.
        is_selecting: whether the tests that are just deselected are those of other shards.
        problem: why all tests were taken to last equally long, or empty.
    """

    def __init__(self, config: pytest.Config, shard: Shard, read: Callable[[], tuple[dict[str, int], str]]) -> None:
        self.shard = shard
        self.facts: dict[str, Any] = {}
        self.is_selecting = False
        self.problem = ""
        self._config: Any = config
        self._read = functools.cache(read)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of this shard, after ``-k`` and other plug-ins have chosen theirs."""
        known, self.problem = self._read()
        split = Split({item.nodeid: _unit(item, self.shard.by) for item in items}, known, self.shard)
        self.facts = split.facts()
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[WORKER_KEY] = self.facts
        others = [item for item in items if not split.has(item.nodeid)]
        items[:] = [item for item in items if split.has(item.nodeid)]
        if others:
            self.is_selecting = True
            self._config.hook.pytest_deselected(items=others)
            self.is_selecting = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker how long tests take, so that all workers know the same."""
        node.workerinput[WORKER_KEY], self.problem = self._read()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what an xdist worker has found."""
        self.facts = getattr(node, "workeroutput", {}).get(WORKER_KEY, self.facts)


def _unit(item: pytest.Item, by: str) -> str:
    """Return the name of the unit that a test belongs to."""
    if by == "file":
        return _file_of(item.nodeid)
    owner = next((node for node in item.listchain() if isinstance(node, pytest.Class)), item) if by == "class" else item
    return owner.nodeid


def select_shard(config: pytest.Config) -> ShardSelection:
    """Return the hooks for the options of this session.

    Raises:
        pytest.UsageError: the value of an option is wrong.
    """
    option: Any = config.option
    shard = Shard(option.swarmtask_shard, option.swarmtask_shard_by)
    if hasattr(config, "workerinput"):
        known = config.workerinput[WORKER_KEY]
        return ShardSelection(config, shard, lambda: (known, ""))
    project = project_of(config)
    variant = variant_of(config, read_settings(project, os.environ).variant)
    return ShardSelection(config, shard, UsualDurations(project, variant).read)
