"""Whether coverage.py measures a session, and with which result.

Coverage is never imported here: if it measures, it is loaded already. If a measurement is still running, a copy of it
is analysed in memory, so that the original goes on, its files are not touched, and it warns of nothing.

Much of this needs attributes of `Coverage` that are not public, since no public call analyses a running measurement
without ending it. They are the same in all of coverage 7; another version means that there is no percentage.
"""

from __future__ import annotations

import copy
import os
import re
import sys
from io import StringIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    import pytest

_TOTAL = re.compile(r"^TOTAL +(\d+) +(\d+)(?: +(\d+) +\d+)? +\S+%", re.MULTILINE)
"""The last line of a report: statements, missing statements and, if branches are measured, branches."""
_BYTES_PER_SECOND = 300_000
"""Bytes of source that coverage analyses in a second, on a slow machine and while it measures."""
_COMBINES_FASTER = 50
"""How many times faster coverage combines bytes of data than it analyses bytes of source."""
_SHARE = 0.05
"""Share of the session's time that the analysis may take."""
_ALWAYS_ALLOWED = 2.0
"""Seconds that the analysis may take, however short the session was."""


class CoverageMeasurement:
    """The measurement of one session by coverage."""

    def __init__(self, config: pytest.Config, running: Any) -> None:
        self._plugins = config.pluginmanager
        self._running = running
        self._result: dict[str, float] | None = None

    @classmethod
    def of_session(cls, config: pytest.Config) -> CoverageMeasurement | None:
        """Return the measurement of this session, or None if coverage does not measure it.

        Not for a session inside of a test: what is measured there is the outer session.
        """
        running = _current()
        return None if running is None else cls(config, running)

    def result(self, duration: float) -> dict[str, float]:
        """Return ``coverage_percent`` and ``branch_percent``, or what is known of them. Analysed once. Never raises.

        Args:
            duration: seconds that the session has taken. If the analysis would take more than a twentieth of them,
                and more than two seconds, the result is empty.
        """
        if self._result is None:
            self._result = {}
            try:
                self._result = self._analyse(max(_ALWAYS_ALLOWED, duration * _SHARE) * _BYTES_PER_SECOND)
            except (Exception, KeyboardInterrupt):  # noqa: BLE001, S110 - no data, another version; or the user does not want to wait
                pass
        return self._result

    def closing_text(self, duration: float) -> str:
        """Return the result as the closing line shows it, or an empty string."""
        percent = self.result(duration).get("coverage_percent")
        return "" if percent is None else f"coverage {percent:g} %"

    def _analyse(self, max_size: float) -> dict[str, float]:
        pytest_cov = self._plugins.getplugin("_cov")
        controller = getattr(pytest_cov, "cov_controller", None)
        # pytest-cov does not finish its measurement of a session that `-x` interrupts.
        if controller is None or controller.cov is self._running:
            return _analyse_running(self._running, max_size)
        return _analyse_pytest_cov(pytest_cov, max_size)


def _current() -> Any:
    try:
        return sys.modules["coverage"].Coverage.current()
    except Exception:  # noqa: BLE001 - it is not loaded, or another module has its name
        return None


def _analyse_pytest_cov(plugin: Any, max_size: float) -> dict[str, float]:
    """Return the result of pytest-cov. Analyse again only if it has none, or one without branches."""
    total, report, cov = plugin.cov_total, plugin.cov_report.getvalue(), plugin.cov_controller.cov
    if total and _TOTAL.search(report):
        return _percents(total, report)
    if total and not cov.get_data().has_arcs():
        return {"coverage_percent": _rounded(total)}
    twin = _silent_copy(cov)
    try:
        if _size(twin.get_data().measured_files()) > max_size:
            return {"coverage_percent": _rounded(total)} if total else {}
        return _report(twin)
    finally:
        _close(twin)


def _analyse_running(cov: Any, max_size: float) -> dict[str, float]:
    """Return what `coverage report` would show if the measurement ended now, with the data of other processes."""
    # A test may have ended the measurement; or the environment started it, and it measures further processes, too.
    if cov is not _current() or cov._auto_save:  # noqa: SLF001
        return {}
    twin = _silent_copy(cov)
    twin._collector, twin._data = _copy_data(cov)  # noqa: SLF001
    twin._data_to_close.append(twin._data)  # noqa: SLF001
    try:
        files = _data_files(cov)
        if _size(twin.get_data().measured_files()) + _size(files) / _COMBINES_FASTER > max_size:
            return {}
        if files:
            twin.combine(files, keep=True)
        return _report(twin)
    finally:
        _close(twin)


def _silent_copy(cov: Any) -> Any:
    """Return a copy that neither warns nor prints.

    A copy, because making a new `Coverage` would keep a process that the environment measures from saving its data.
    """
    twin = copy.copy(cov)
    twin._warn = lambda *_, **__: None  # noqa: SLF001
    twin._warn_unimported_source = twin._messages = False  # noqa: SLF001
    twin._data_to_close = []  # noqa: SLF001
    return twin


def _copy_data(cov: Any) -> tuple[Any, Any]:
    """Return a copy of the collector, and data in memory to which it writes what was collected so far."""
    original = cov._data  # noqa: SLF001
    data = sys.modules["coverage"].CoverageData(original.base_filename(), no_disk=True)
    collector = copy.copy(cov._collector)  # noqa: SLF001
    collector.data = {name: set(lines) for name, lines in dict(collector.data).items()}
    collector.tracers = [_StubTracer()]
    collector.use_data(data, cov.config.context)
    return collector, data


class _StubTracer:
    """Replaces the tracers of a copied collector: reports activity once, which makes the collector write its data."""

    def __init__(self) -> None:
        self._active = True

    def activity(self) -> bool:
        return self._active

    def reset_activity(self) -> None:
        self._active = False


def _data_files(cov: Any) -> list[str]:
    """Return the data files that belong to the result: of child processes, and the one that `--append` extends."""
    data = cov._data  # noqa: SLF001
    name = data.base_filename()
    if not cov.config.parallel:  # a file that is not in use is left from an earlier run, and will be overwritten
        return [name] if data._have_used and os.path.isfile(name) else []  # noqa: SLF001
    folder, base = os.path.split(name)
    found = (entry for entry in os.listdir(folder) if entry.startswith(f"{base}.") and not entry.endswith("-journal"))
    return [os.path.join(folder, entry) for entry in found]


def _size(files: Iterable[str]) -> int:
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


def _report(cov: Any) -> dict[str, float]:
    report = StringIO()
    total = cov.report(file=report, ignore_errors=True, show_missing=False, output_format="text")
    return _percents(total, report.getvalue())


def _close(twin: Any) -> None:
    for data in twin._data_to_close:  # noqa: SLF001
        if hasattr(data, "close"):  # coverage 7.0 has no such method and closes by itself
            data.close(force=True)


def _percents(total: float, report: str) -> dict[str, float]:
    """Return both percentages, from the exact total and the numbers in the last line of the report.

    The total is the share of statements and branches together, so the number of covered branches follows from it. No
    public call of coverage returns that number.
    """
    percents = {"coverage_percent": _rounded(total)}
    numbers = _TOTAL.findall(report)
    if numbers and int(numbers[-1][2] or 0):
        statements, missing, branches = map(int, numbers[-1])
        covered = round(total * (statements + branches) / 100) - (statements - missing)
        percents["branch_percent"] = _rounded(100 * covered / branches)
    return percents


def _rounded(percent: float) -> float:
    """Return a percentage with two digits. As in coverage's own reports, only the exact values become 100 and 0."""
    return percent if percent in (0, 100) else min(99.99, max(0.01, round(percent, 2)))
