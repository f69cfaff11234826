"""Applies `quarantine.yaml`: the failure of a quarantined test is reported, and does not count.

Loaded only where the file exists. The report is changed while it is published, not when it is made: plug-ins that try a
test again see the failure.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone

import pytest

from pytest_swarmtask.config.quarantine import NAME, QuarantineEntry, find_entry, read_quarantine
from pytest_swarmtask.core.outcomes import quarantine_note
from pytest_swarmtask.core.search import why_not_obeyed
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.sources.pytest.guard import never_raises
from pytest_swarmtask.sources.pytest.outcome import QUARANTINE, SUBTEST_REPORTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from typing import Any

    from pytest_swarmtask.core.project import Project

_WORKER_KEY = "swarmtask_quarantine"
"""The key in `workerinput` of xdist, as `plugin` knows it."""
_Status = tuple[str, str, "str | tuple[str, dict[str, bool]]"]


class QuarantineHooks:
    """The hooks of a session with quarantined tests, in the controller of xdist and in its workers.

    Args:
        active: the entries that hold today, under the variant of the session.
        expired: the entries for this variant that do not hold any more.
        problem: what is wrong with the file, or an empty text.
    """

    def __init__(
        self, active: Sequence[QuarantineEntry], expired: Sequence[QuarantineEntry] = (), problem: str = ""
    ) -> None:
        self._active = active
        self._expired = expired
        self._problem = problem
        self._reported: set[str] = set()  # tests of which this attempt has been reported as quarantined
        self._quarantined: dict[str, QuarantineEntry] = {}
        self._counting_again: dict[str, QuarantineEntry] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist which tests are quarantined: it counts failures itself, for ``--maxfail``."""
        node.workerinput[_WORKER_KEY] = [entry.texts() for entry in self._active]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, Any, Any]:
        """Change the report of a quarantined failure while it is published: so nobody counts it.

        Fixtures that look at the result of the test in their teardown then see the failure again. xdist counts a report
        that has come from a worker after this hook, and no fixture sees it.
        """
        has_failed = report.failed
        self._apply(report)
        try:
            return (yield)
        finally:
            if has_failed and not hasattr(report, "node"):
                report.outcome = "failed"

    @never_raises
    def _apply(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            self._reported.discard(report.nodeid)
        if hasattr(report, QUARANTINE):  # by a worker
            entry: QuarantineEntry | None = QuarantineEntry.of(getattr(report, QUARANTINE))
        else:
            has_failed = report.failed or self._has_failed_subtests(report)
            entry = find_entry(self._active, report.nodeid) if has_failed else None
            if entry is not None:
                self._change(report, entry)
        if entry is not None:
            self._quarantined[report.nodeid] = entry
        elif self._expired and (report.when == "setup" or report.failed):
            self._note_expired(report.nodeid)

    def _has_failed_subtests(self, report: pytest.TestReport) -> bool:
        """Whether a test that passed had failed subtests: the terminal of pytest makes it fail after this hook."""
        is_test = report.when == "call" and type(report).__name__ not in SUBTEST_REPORTS
        return is_test and report.passed and report.nodeid in self._reported

    def _change(self, report: Any, entry: QuarantineEntry) -> None:
        """Make the report that of an expected failure, which nobody counts. Its text and output remain.

        JUnit XML has one result for each report that does not pass, so further failures of the same attempt, as in
        teardown, are taken for passed.
        """
        texts = entry.texts()
        setattr(report, QUARANTINE, texts)
        report.wasxfail = quarantine_note(texts)
        report.outcome = "passed" if report.nodeid in self._reported else "skipped"
        self._reported.add(report.nodeid)

    def _note_expired(self, nodeid: str) -> None:
        entry = find_entry(self._expired, nodeid)
        if entry is not None and find_entry(self._active, nodeid) is None:
            self._counting_again[nodeid] = entry

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> _Status | None:
        """Return the category of a quarantined failure."""
        if not hasattr(report, QUARANTINE):
            return None
        if report.outcome == "passed":  # the attempt has been shown already
            return "", "", ""
        return "quarantined", "q", ("QUARANTINED", {"yellow": True})

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """List the tests that failed in quarantine, and those that count again, unless ``-rN`` wants no list."""
        if terminalreporter.reportchars and (self._quarantined or self._counting_again):
            terminalreporter.write_sep("=", "quarantined tests", yellow=True, bold=True)
            for test, entry in sorted(self._quarantined.items()):
                details = entry.details("until", "owner", "issue")
                _write(terminalreporter, "QUARANTINED", f"{test} - {entry.reason} (until {details})")
            for test, entry in sorted(self._counting_again.items()):
                details = ", ".join(filter(None, (entry.reason, entry.details("owner", "issue"))))
                since = entry.until + timedelta(days=1)
                _write(terminalreporter, "EXPIRED", f"{test} - counts again since {since} ({details})")
        if self._problem:
            terminalreporter.write_line(f"swarmtask: warning: {neutral(self._problem)}", yellow=True)

    def remember_problem(self, error: BaseException) -> None:
        """Keep a failure of ours for the terminal. The result that it was about counts."""
        self._problem = self._problem or f"a quarantine was not applied: {type(error).__name__}: {error}"


def _write(terminal: Any, word: str, text: str) -> None:
    terminal.write(word, yellow=True)
    terminal.write_line(f" {neutral(text)}")


def quarantine_hooks(config: pytest.Config, project: Project) -> QuarantineHooks:
    """Return the hooks for the file of a project, as it is now."""
    path = project.quarantine_file
    reason = why_not_obeyed(path, project, os.environ, str(config.invocation_params.dir))
    if reason:
        return QuarantineHooks([], problem=f"{NAME} is not obeyed, because it {reason}")
    today = datetime.now(timezone.utc).date()
    file = read_quarantine(path, today)
    entries = _of_variant(config, project, file.entries)
    active = [entry for entry in entries if not entry.has_expired(today)]
    expired = [entry for entry in entries if entry.has_expired(today)]
    return QuarantineHooks(active, expired, _summary(file.problems))


def worker_hooks(entries: Sequence[Mapping[str, str]]) -> QuarantineHooks:
    """Return the hooks in a worker of xdist, which the controller tells the entries."""
    return QuarantineHooks([QuarantineEntry.of(texts) for texts in entries])


def _of_variant(
    config: pytest.Config, project: Project, entries: Sequence[QuarantineEntry]
) -> Sequence[QuarantineEntry]:
    """Return the entries for the variant of this session."""
    if not any(entry.variant for entry in entries):
        return entries
    from pytest_swarmtask.recording.settings import read_settings
    from pytest_swarmtask.sources.pytest.place import variant_of

    variant = variant_of(config, read_settings(project, os.environ).variant)
    return [entry for entry in entries if entry.is_for(variant)]


def _summary(problems: Sequence[str]) -> str:
    """Return the first problem of a file, and how many more there are."""
    more = f" (and {len(problems) - 1} more: swarmtask quarantine check)" if len(problems) > 1 else ""
    return f"{problems[0]}: not applied{more}" if problems else ""
