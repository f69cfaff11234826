"""What the start event and the end event of a pytest session carry: its facts, and the totals of its tests."""

from __future__ import annotations

import os
import sys
import zlib
from collections import defaultdict

import pytest

from pytest_swarmtask.core.facts import git
from pytest_swarmtask.core.facts.process import process_facts, usage_reader, within_project, without_secrets
from pytest_swarmtask.core.files import only_regular
from pytest_swarmtask.core.project import is_under_ci
from pytest_swarmtask.sources.pytest.outcome import seconds
from pytest_swarmtask.sources.pytest.place import variant_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pytest_swarmtask.recording.recorder import Recorder
    from pytest_swarmtask.sources.pytest.coverage import CoverageMeasurement
    from pytest_swarmtask.sources.pytest.evidence import EvidenceReader
    from pytest_swarmtask.sources.pytest.outcome import TestRun
    from pytest_swarmtask.sources.pytest.sharding import ShardSelection

# Plain numbers instead of `pytest.ExitCode`, because older versions of pytest lack some of them.
_REASONS = {
    1: "tests failed",
    2: "interrupted",
    3: "internal error",
    4: "usage error",
    5: "no tests were collected",
    6: "more warnings than allowed",
}

_LONGEST_VARIANT = 200
"""Characters of a variant: it stands in a line beside the name of a test."""
_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml")
"""Lock files, whichever tool wrote them. The first one that exists counts."""
_MOST_BYTES = 8 << 20
"""Bytes of a file that are read. The lock of a thousand packages has two million."""
_PIN = b"=="
"""What a file of requirements has that names versions. One without says nothing about what is installed."""

MOST_FAILURES = 20
"""Failures that the summary of a GitHub Actions job lists, at most; it says how many more there are.

Those that do not count are as many again.
"""
_SLOWEST = 10
_PASSED = ("passed", "xpassed")


class Tally:
    """Counts the tests that end.

    Attributes:
        counts: number of tests by outcome word.
        deselected: number of tests that were deselected.
        failures: test, message and location of the first failures, redacted.
        quarantined: test, message and what `quarantine.yaml` says of the first failures that do not count, redacted.
    """

    __slots__ = ("_repeated", "_slowest", "_teardown_errors", "counts", "deselected", "failures", "quarantined")

    def __init__(self) -> None:
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.deselected = 0
        self.failures: list[tuple[str, str, str]] = []
        self.quarantined: list[tuple[str, str, dict[str, str]]] = []
        self._slowest: list[tuple[float, str]] = []
        self._teardown_errors = 0
        self._repeated = 0

    def deselect(self, items: Sequence[Any]) -> None:
        """Count tests that were deselected."""
        self.deselected += len(items)

    def add(self, outcome: str, run: TestRun) -> None:
        """Count a test that has ended."""
        self.counts[outcome] += 1
        if run.attempt > 1 and outcome in _PASSED:
            self._repeated += 1
        slowest = self._slowest
        if len(slowest) < _SLOWEST or run.duration > slowest[-1][0]:
            slowest.append((run.duration, run.task_id))
            slowest.sort(reverse=True)
            del slowest[_SLOWEST:]

    def add_failure(self, run: TestRun, metadata: dict[str, Any]) -> None:
        """Add a test that failed, with the metadata of its last event."""
        if run.teardown_report is not None:
            self._teardown_errors += run.outcome == "failed"  # pytest counts it as an error beside the failure
        if len(self.failures) < MOST_FAILURES:
            self.failures.append((run.task_id, metadata.get("error", ""), metadata.get("location", "")))

    def add_quarantined(self, run: TestRun, metadata: dict[str, Any]) -> None:
        """Add a test whose failure does not count, with the metadata of its last event."""
        if len(self.quarantined) < MOST_FAILURES:
            self.quarantined.append((run.task_id, metadata.get("error", ""), metadata["quarantine"]))

    def metadata(self) -> dict[str, Any]:
        """Return the totals for the end event of the session."""
        totals: dict[str, Any] = {
            "tests": sum(self.counts.values()),
            "counts": dict(sorted(self.counts.items())),
            "deselected": self.deselected,
        }
        if self._teardown_errors:
            totals["teardown_errors"] = self._teardown_errors
        if self._repeated:
            totals["repeated"] = self._repeated
        totals["slowest"] = [{"test": test, "duration": seconds(duration)} for duration, test in self._slowest]
        return totals


class SessionFacts:
    """Collects the metadata of a session's two events.

    Attributes:
        start: the metadata of the start event, not redacted; empty until `collect_start`.

    Args:
        config: pytest's configuration of the session.
        recorder: gives the settings, the redactor and the clock.
        evidence: redacts the properties of the suite.
        report_problem: is told of facts that could not be had.
        nested: whether the session runs inside of a test, as with `pytester`.
    """

    def __init__(
        self,
        config: pytest.Config,
        recorder: Recorder,
        evidence: EvidenceReader,
        report_problem: Callable[[Exception], None],
        *,
        nested: bool,
    ) -> None:
        self.start: dict[str, Any] = {}
        self.end: dict[str, Any] = {}
        self._report_problem = report_problem
        self._usage = usage_reader()
        self._config = config
        self._recorder = recorder
        self._evidence = evidence
        self._nested = nested
        self._started = recorder.clock.now()
        self._variant = ""
        self._selection: ShardSelection | None = None
        self._coverage = None if nested else _coverage_measurement(config)

    def collect_start(self, selection: ShardSelection | None) -> dict[str, Any]:
        """Return the metadata of the start event: how pytest was called, by whom, on which commit and dependencies.

        Args:
            selection: leaves the tests of other shards out, or None.
        """
        self._selection = selection
        settings = self._recorder.settings
        root = settings.project.root
        redactor = self._recorder.redactor
        given = within_project(map(str, self._config.invocation_params.args), root)
        arguments = without_secrets(given, redactor.is_secret_key, redactor.hide_values)
        self._variant = redactor.text(variant_of(self._config, settings.variant), _LONGEST_VARIANT)
        facts = {**self._common(), **process_facts(), "pytest": pytest.__version__, "arguments": arguments}
        facts |= {**self._extra(lambda: git.head(root)), **self._extra(_ci_facts)}
        facts |= {**self._extra(lambda: self._default_branch(facts, root)), **self._extra(lambda: _locked(root))}
        if selection is not None:
            facts["shard"] = str(selection.shard)
        # Git is asked once in a process, and a session inside of a test would get the answer for the outer session.
        is_dirty = None if self._nested else git.dirty(root)
        if is_dirty is not None:
            facts["dirty"] = is_dirty
        if settings.environment:
            facts["environment"] = settings.environment
        self.start = {**facts, **settings.metadata}
        return self.start

    def collect_end(self, exit_code: int, stopped: str | None, tally: Tally, *, partial: bool) -> dict[str, Any]:
        """Return the metadata of the end event, redacted.

        Args:
            exit_code: the exit code of pytest.
            stopped: why the session was broken off, or None.
            tally: the totals of its tests, redacted.
            partial: whether only a part of the suite ran.
        """
        facts = self._common()
        facts["success"] = facts["test_passed"] = exit_code == 0
        if exit_code:
            reason = _REASONS.get(exit_code, f"exit code {exit_code}")
            facts["error"] = self._recorder.redactor.text(stopped or reason)
            facts["reason"] = reason
        facts["exit_code"] = exit_code
        duration = self._duration()
        facts["duration"] = round(duration, 6)
        facts |= self._extra(tally.metadata)
        if partial:
            facts["partial"] = True
        if self._selection is not None and self._selection.facts:
            facts["split"] = self._selection.facts
        measurement = self._coverage
        if measurement is not None:
            facts |= self._extra(lambda: measurement.result(duration))
        facts |= self._extra(self._usage)
        facts |= self._extra(self._suite_properties)
        self.end = facts
        return facts

    def _default_branch(self, facts: Mapping[str, Any], root: str) -> dict[str, str]:
        """Return the default branch: what the configuration says, else CI, else the remote."""
        named = self._recorder.settings.default_branch or facts.get("default_branch") or git.default_branch(root)
        return {"default_branch": named} if named else {}

    def _suite_properties(self) -> dict[str, Any]:
        """Return what `record_testsuite_property` was given. pytest keeps that only for its JUnit XML."""
        junit: Any = self._config.pluginmanager.get_plugin("junitxml")
        key = getattr(junit, "xml_key", None)
        xml = None if key is None else self._config.stash.get(key, None)
        properties = self._evidence.properties(getattr(xml, "global_properties", ()))
        return {"properties": properties} if properties else {}

    def coverage_text(self) -> str:
        """Return the coverage as the closing line shows it, or an empty string."""
        return "" if self._coverage is None else self._coverage.closing_text(self._duration())

    def _extra(self, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return facts without which the event is recorded all the same."""
        try:
            return read()
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self._report_problem(error)
            return {}

    def _common(self) -> dict[str, Any]:
        is_measured = self._coverage is not None
        return {
            "workflow": "pytest",
            "action": "session",
            "test_type": "pytest",
            "variant": self._variant,
            "coverage": is_measured,
        }

    def _duration(self) -> float:
        return self._recorder.clock.now() - self._started


def _ci_facts() -> dict[str, str]:
    if not is_under_ci(os.environ):
        return {}
    from pytest_swarmtask.core.facts import ci  # only under CI

    return ci.facts(os.environ)


def _coverage_measurement(config: pytest.Config) -> CoverageMeasurement | None:
    if "coverage" not in sys.modules:
        return None
    from pytest_swarmtask.sources.pytest.coverage import CoverageMeasurement  # few sessions are measured

    return CoverageMeasurement.of_session(config)


def _locked(root: str) -> dict[str, str]:
    """Return ``dependencies``, such as ``uv.lock 1a2b3c4d``, or nothing if the folder locks none.

    The number is a CRC-32 of the file: it tells a changed file from the same one, and its cost is not seen in the start
    of a session, as that of loading `hashlib` would be. Of requirements, all files count that pin a version.
    """
    names = os.listdir(root)
    lock = next((name for name in _LOCKS if name in names), None)
    if lock is not None:
        return {"dependencies": f"{lock} {zlib.crc32(_content_of(root, lock)):08x}"}
    pinned: list[str] = []
    checksum = 0
    for name in sorted(name for name in names if name.startswith("requirements") and name.endswith(".txt")):
        content = _content_of(root, name)
        if _PIN in content:
            pinned.append(name)
            checksum = zlib.crc32(content, checksum)
    return {"dependencies": f"{', '.join(pinned)} {checksum:08x}"} if pinned else {}


def _content_of(root: str, name: str) -> bytes:
    try:
        with open(os.path.join(root, name), "rb", opener=only_regular) as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return b""
