"""Whether coverage measures a session, and with which result.

Coverage is never imported here: where it measures, it is loaded. Of a measurement that is still running, a copy is
analysed, in memory: the original goes on, its files stay as they are, and nothing is warned of.
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
_BYTES_PER_SECOND = 300_000
"""How fast coverage analyses sources, on a slow machine and while it measures."""
_FASTER = 50
"""How much faster it combines data."""
_SHARE = 0.05
_LEAST = 2.0


class Measurement:
    """What coverage measures of one session; inert where it does not, and in a session inside of a test.

    Attributes:
        active: whether it does.
    """

    def __init__(self, config: pytest.Config, *, nested: bool) -> None:
        self._plugins = config.pluginmanager
        self._running: Any = None if nested else _current()
        self._found: dict[str, float] | None = None
        self.active = self._running is not None

    def result(self, duration: float) -> dict[str, float]:
        """Return ``coverage_percent`` and ``branch_percent`` as far as they can be had; taken once. Never raises.

        Args:
            duration: seconds that the session has taken. Where the analysis would take more than a twentieth of
                them, and more than two seconds, there is no result.
        """
        if self._found is None:
            self._found = {}
            try:
                self._found = self._analysed(max(_LEAST, duration * _SHARE) * _BYTES_PER_SECOND)
            except (Exception, KeyboardInterrupt):  # noqa: BLE001, S110 - no data, another version; or in a hurry
                pass
        return self._found

    def words(self, duration: float) -> str:
        """Return the result as the closing line has it, or nothing."""
        percent = self.result(duration).get("coverage_percent")
        return "" if percent is None else f"coverage {percent:g} %"

    def _analysed(self, most: float) -> dict[str, float]:
        if not self.active:
            return {}
        pytest_cov = self._plugins.getplugin("_cov")
        controller = getattr(pytest_cov, "cov_controller", None)
        if controller is None or controller.cov is self._running:  # what `-x` interrupts, pytest-cov does not finish
            return _of_running(self._running, most)
        return _of_pytest_cov(pytest_cov, most)


def _current() -> Any:
    try:
        return sys.modules["coverage"].Coverage.current()
    except Exception:  # noqa: BLE001 - it is not in use, or what is loaded under its name is something else
        return None


def _of_pytest_cov(plugin: Any, most: float) -> dict[str, float]:
    """Return what pytest-cov has found; analyse anew only where it has not, or does not tell all."""
    total, report, cov = plugin.cov_total, plugin.cov_report.getvalue(), plugin.cov_controller.cov
    if total and _TOTAL.search(report):
        return _percents(total, report)
    if total and not cov.get_data().has_arcs():
        return {"coverage_percent": _rounded(total)}
    twin = _silent(cov)
    try:
        if _size(twin.get_data().measured_files()) > most:
            return {"coverage_percent": _rounded(total)} if total else {}
        return _reported(twin)
    finally:
        _close(twin)


def _of_running(cov: Any, most: float) -> dict[str, float]:
    """Return what `coverage report` would say if the measurement ended now, other processes' data included."""
    if cov is not _current() or cov._auto_save:  # noqa: SLF001
        return {}  # ended by a test; or started by the environment, so this process is but a part of what is measured
    twin = _silent(cov)
    twin._collector, twin._data = _copied(cov)  # noqa: SLF001
    twin._data_to_close.append(twin._data)  # noqa: SLF001
    try:
        files = _data_files(cov)
        if _size(twin.get_data().measured_files()) + _size(files) / _FASTER > most:
            return {}
        if files:
            twin.combine(files, keep=True)
        return _reported(twin)
    finally:
        _close(twin)


def _silent(cov: Any) -> Any:
    """Return a twin that neither warns nor talks, and whose changes are its own.

    A new `Coverage` would have an effect: it keeps a process that the environment has measured from saving.
    """
    twin = copy.copy(cov)
    twin._warn = lambda *_, **__: None  # noqa: SLF001
    twin._warn_unimported_source = twin._messages = False  # noqa: SLF001
    twin._data_to_close = []  # noqa: SLF001
    return twin


def _copied(cov: Any) -> tuple[Any, Any]:
    """Return a collector and data in memory with what was collected so far and not yet written."""
    kept = cov._data  # noqa: SLF001
    data = sys.modules["coverage"].CoverageData(kept.base_filename(), no_disk=True)
    collector = copy.copy(cov._collector)  # noqa: SLF001
    collector.data = {name: set(lines) for name, lines in dict(collector.data).items()}
    collector.tracers = [_Active()]
    collector.use_data(data, cov.config.context)
    return collector, data


class _Active:
    """Stands in for the tracers: there is something to take, once."""

    def __init__(self) -> None:
        self._active = True

    def activity(self) -> bool:
        return self._active

    def reset_activity(self) -> None:
        self._active = False


def _data_files(cov: Any) -> list[str]:
    """Return the files that belong to the result too: those of child processes, and what `--append` goes on with."""
    data = cov._data  # noqa: SLF001
    name = data.base_filename()
    if not cov.config.parallel:  # a file that is not in use is of an earlier run, and will be overwritten
        return [name] if data._have_used and os.path.isfile(name) else []  # noqa: SLF001
    folder, base = os.path.split(name)
    found = (entry for entry in os.listdir(folder) if entry.startswith(f"{base}.") and not entry.endswith("-journal"))
    return [os.path.join(folder, entry) for entry in found]


def _size(files: Iterable[str]) -> int:
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


def _reported(cov: Any) -> dict[str, float]:
    report = StringIO()
    total = cov.report(file=report, ignore_errors=True, show_missing=False, output_format="text")
    return _percents(total, report.getvalue())


def _close(twin: Any) -> None:
    for data in twin._data_to_close:  # noqa: SLF001
        if hasattr(data, "close"):  # coverage 7.0 closes by itself
            data.close(force=True)


def _percents(total: float, report: str) -> dict[str, float]:
    """Return both percentages from the exact total, and the numbers in the report's last line.

    The total is the share of statements and branches together, so it tells how many branches were covered; no public
    call of coverage does.
    """
    found = {"coverage_percent": _rounded(total)}
    numbers = _TOTAL.findall(report)
    if numbers and int(numbers[-1][2] or 0):
        statements, missing, branches = map(int, numbers[-1])
        covered = round(total * (statements + branches) / 100) - (statements - missing)
        found["branch_percent"] = _rounded(100 * covered / branches)
    return found


def _rounded(percent: float) -> float:
    """Return it with two digits; as in coverage's own reports, only what is all or nothing is 100 or 0."""
    return percent if percent in (0, 100) else min(99.99, max(0.01, round(percent, 2)))
