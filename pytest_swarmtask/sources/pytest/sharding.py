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

from pytest_swarmtask.core.files import only_regular
from pytest_swarmtask.recording.relay_launcher import own_command, own_environ
from pytest_swarmtask.recording.settings import read_settings
from pytest_swarmtask.sources.pytest.division import divide
from pytest_swarmtask.sources.pytest.place import project_of, variant_of
from pytest_swarmtask.sources.pytest.terminal_lines import shard_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from pytest_swarmtask.core.project import Project

WORKER_KEY = "swarmtask_shard"
"""The key in `workerinput` and `workeroutput` of xdist."""
MOST_SHARDS = 1000
"""More machines for one suite are a mistake, and readers of the journal name the missing ones."""

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
        by: what stays together: ``file``, ``class`` or ``test``.

    Raises:
        pytest.UsageError: the text is not such as ``2/8``.
    """

    __slots__ = ("by", "number", "of")

    def __init__(self, text: str, by: str) -> None:
        number, _, of = text.partition("/")
        numbers = [int(part) if part.isascii() and part.isdecimal() and len(part) < 9 else 0 for part in (number, of)]
        if not 1 <= numbers[0] <= numbers[1] <= MOST_SHARDS:
            expected = f"I/N with I from 1 to N, such as 2/8, and N up to {MOST_SHARDS}"
            raise pytest.UsageError(f"--swarmtask-shard is {text!r}, expected {expected}")
        self.number, self.of = numbers
        self.by = by

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class DurationsReader:
    """Asks how long tests usually take: a file if there is one, else the team's server or the local history.

    A process of its own asks, so that the watched process loads neither SQLite nor HTTP. It begins at once, and is
    waited for when the tests are collected. No failure is raised: whatever it is, the tests can be divided without.

    Args:
        config: pytest's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._problem = ""
        try:
            project = project_of(config)
            self._variant = variant_of(config, read_settings(project, os.environ).variant)
            self._path = project.durations
            if not os.path.exists(self._path):
                self._process = _ask(project)
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self._problem = _told(error)

    def read(self) -> tuple[dict[str, int], str]:
        """Return microseconds by node id, and why there are none, or an empty text."""
        if self._problem:
            return {}, self._problem
        try:
            return known_costs(self._content(), self._variant), ""
        except Exception as error:  # noqa: BLE001 - anybody may have written the file
            return {}, f"{self._path}: {_told(error)}" if self._process is None else _told(error)

    def close(self) -> None:
        """End the process if nobody has waited for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def _content(self) -> bytes:
        if self._process is None:
            with open(self._path, "rb", opener=only_regular) as file:
                return file.read()
        try:
            content, errors = self._process.communicate(timeout=_TIMEOUT)
        except _TimeoutExpired:
            raise OSError(f"the durations took longer than {_TIMEOUT:.0f} s") from None
        finally:
            self.close()
        if self._process.returncode:
            last_line = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise OSError(last_line.removeprefix("swarmtask: ") or f"exit code {self._process.returncode}")
        return content


def _ask(project: Project) -> subprocess.Popen[bytes]:
    return _Popen(
        own_command(_MAIN, "durations", "--root", project.root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=own_environ(os.environ),
    )


def _told(error: Exception) -> str:
    return str(error) if type(error) is OSError else f"{type(error).__name__}: {error}"


def known_costs(content: bytes, variant: str) -> dict[str, int]:
    """Return what each test usually costs, in microseconds.

    A test that is not known under its variant costs what it does under others.

    Args:
        content: the object that `swarmtask durations` prints.
        variant: the variant.

    Raises:
        Exception: it is not such an object.
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
    return {test: microseconds(own.get(test, statistics.median(seconds[test]))) for test in seconds}


def microseconds(seconds: float) -> int:
    """Return whole microseconds, at least 1: units that cost nothing would all go to the same shard."""
    return max(1, round(1e6 * seconds))


def costs_of(tests: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    """Return what tests cost. An unknown one costs the median of its file, or else that of all that is known."""
    by_file: dict[str, list[int]] = {}
    for test, cost in known.items():
        by_file.setdefault(_file_of(test), []).append(cost)
    usual = statistics.median_high(known.values()) if known else 1
    usual_in = {file: statistics.median_high(costs) for file, costs in by_file.items()}
    return {test: known.get(test) or usual_in.get(_file_of(test), usual) for test in tests}


def _file_of(test: str) -> str:
    return test.partition("::")[0]


class Division:
    """A suite divided among shards.

    Args:
        units: by node id, the unit that the test belongs to.
        known: what tests usually cost, in microseconds.
        shard: which part this session runs.
    """

    def __init__(self, units: Mapping[str, str], known: Mapping[str, int], shard: Shard) -> None:
        self._tests = costs_of(units, known)
        self._units: dict[str, int] = {}
        for test, cost in self._tests.items():
            self._units[units[test]] = self._units.get(units[test], 0) + cost
        shard_of = divide(self._units, shard.of)
        self._own = {test for test, unit in units.items() if shard_of[unit] == shard.number - 1}
        self._has_durations = not known.keys().isdisjoint(units)
        inputs = json.dumps([shard.of, sorted(units.items()), sorted(self._units.items())])
        self._digest = hashlib.sha256(inputs.encode()).hexdigest()[:16]

    def has(self, test: str) -> bool:
        """Whether a test belongs to this shard."""
        return test in self._own

    def facts(self) -> dict[str, Any]:
        """Return what the end event says of the division. `digest` is one of all that the division depends on."""
        seconds = {}
        if self._has_durations:
            own = sum(self._tests[test] for test in self._own)
            seconds = {"seconds": sum(self._tests.values()) / 1e6, "selected_seconds": own / 1e6}
        return {"tests": len(self._tests), "selected": len(self._own), **seconds, "digest": self._digest}


class ShardSelection:
    """The hooks that leave the tests of other shards out, in the process that collects them.

    A failure of ours never loses a test: then all tests of this session run.

    Args:
        config: pytest's configuration.
        shard: which part this session runs.
        read: returns what tests usually cost, and why that is not known, see `DurationsReader.read`.
        close: called when the session is over.

    Attributes:
        shard: which part this session runs.
        facts: what the end event says of the division; empty before the tests are collected.
        is_selecting: whether the tests that are just deselected are those of other shards.
    """

    def __init__(
        self,
        config: pytest.Config,
        shard: Shard,
        read: Callable[[], tuple[dict[str, int], str]],
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.shard = shard
        self.facts: dict[str, Any] = {}
        self.is_selecting = False
        self._config: Any = config
        self._problem = ""
        self._read = functools.cache(read)
        self._close = close
        self._has_workers = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of this shard, after ``-k`` and other plug-ins have chosen theirs."""
        others = self._take_others(items)
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[WORKER_KEY] = [self.facts, self._problem]
        if others:
            self.is_selecting = True
            self._config.hook.pytest_deselected(items=others)
            self.is_selecting = False

    def _take_others(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Remove the tests of other shards, and return them."""
        known, self._problem = self._read()
        given = {"shard": str(self.shard), "by": self.shard.by}
        try:
            division = Division({item.nodeid: _unit(item, self.shard.by) for item in items}, known, self.shard)
            others = [item for item in items if not division.has(item.nodeid)]
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self._problem = f"all tests run: {_told(error)}"
            self.facts = {**given, "tests": len(items), "selected": len(items), "digest": ""}
            return []
        self.facts = {**given, **division.facts()}
        items[:] = [item for item in items if division.has(item.nodeid)]
        return others

    def pytest_report_collectionfinish(self) -> list[str]:
        """Return the line on this shard. With xdist, the workers' answers come later."""
        return self._lines()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell an xdist worker how long tests take, so that all workers know the same."""
        self._has_workers = True
        node.workerinput[WORKER_KEY] = json.dumps(self._read())

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what an xdist worker has found."""
        known = self.facts, self._problem
        self.facts, self._problem = getattr(node, "workeroutput", {}).get(WORKER_KEY, known)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Let an empty shard of a suite that has tests pass: with fewer tests than shards, nobody can mend it."""
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._is_empty():
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write the line on this shard with xdist, where the workers have collected the tests."""
        for line in self._lines() if self._has_workers else ():
            terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """End the process that asks, if the session was over before tests were collected."""
        self._close()

    def _is_empty(self) -> bool:
        return bool(self.facts) and not self.facts["selected"] and self.facts["tests"] > 0

    def _lines(self) -> list[str]:
        is_wanted = self._config.option.verbose >= 0 or self._problem or self._is_empty()
        return [f"swarmtask: {shard_line(self.facts, self._problem)}"] if self.facts and is_wanted else []


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
        known, problem = json.loads(config.workerinput[WORKER_KEY])
        return ShardSelection(config, shard, lambda: (known, problem))
    reader = DurationsReader(config)
    return ShardSelection(config, shard, reader.read, reader.close)
