"""The pytest plugin: options, the decision whether to record at all, and the wiring.

The work is done by `SessionCapture`, registered only where there is something to record.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os

import pytest

import pytest_swarmtask.core.facts.git  # takes hold of what starts processes, and
import pytest_swarmtask.core.trace  # noqa: F401 - of the clock, while both are certain to be the real ones

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_swarmtask.sources.pytest.report_file import ReportFile
    from pytest_swarmtask.sources.pytest.step_summary import StepSummary

_INI = (
    ("swarmtask", "bool", True, "record the session as workflow events (default: true)"),
    (
        "swarmtask_task_id",
        "string",
        "",
        "task id of the session (default: session_task_id of workflow.yaml, pytest_run)",
    ),
    (
        "swarmtask_drain_timeout",
        "string",
        "",
        "seconds the end of the session waits for delivery, at most (default: 2, under CI 10)",
    ),
    ("swarmtask_report", "string", "", "write an HTML report to this file at the end; below the root folder"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options, in one group; each has an ini key of the same meaning."""
    group = parser.getgroup("swarmtask", "workflow events (pytest-swarmtask)")
    group.addoption(
        "--no-swarmtask",
        dest="swarmtask_off",
        action="store_true",
        default=False,
        help="do not record this session (also: SWARMTASK_DISABLED=1, -p no:swarmtask, ini swarmtask=false)",
    )
    group.addoption(
        "--swarmtask-task-id",
        dest="swarmtask_task_id",
        metavar="ID",
        default=None,
        help="task id of the session (ini swarmtask_task_id; default: pytest_run)",
    )
    group.addoption(
        "--swarmtask-drain-timeout",
        dest="swarmtask_drain_timeout",
        metavar="SECONDS",
        default=None,
        help="seconds the end of the session waits for delivery, at most "
        "(ini swarmtask_drain_timeout; default: 2, under CI 10)",
    )
    group.addoption(
        "--swarmtask-report",
        dest="swarmtask_report",
        metavar="FILE.html",
        default=None,
        help="write an HTML report on the run to this file at the end (ini swarmtask_report)",
    )
    for name, kind, default, text in _INI:
        parser.addini(name, text, type=kind, default=default)  # type: ignore[arg-type]


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare our marker, and register what records, unless it is switched off here."""
    config.addinivalue_line(
        "markers", "task(id): the test belongs to this task of the task manager; may be given several times"
    )
    if not _wanted(config):
        return
    try:
        _register(config)
    except pytest.UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong here, the session goes on
        config.pluginmanager.register(_Unable(error), "swarmtask-unable")


def _register(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        from pytest_swarmtask.sources.pytest.worker import WORKER_INPUT, WorkerCapture

        if WORKER_INPUT in config.workerinput:  # the controller records
            config.pluginmanager.register(WorkerCapture(config, config.workerinput[WORKER_INPUT]), "swarmtask-worker")
        return
    from pytest_swarmtask.sources.pytest.session import SessionCapture

    capture = SessionCapture.create(config)
    if capture is not None:
        capture.step_summary = _step_summary()
        capture.report_file = _report_file(config)
        config.pluginmanager.register(capture, "swarmtask-session")


def _step_summary() -> StepSummary | None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return None
    from pytest_swarmtask.sources.pytest.session_markdown import markdown
    from pytest_swarmtask.sources.pytest.step_summary import StepSummary

    return StepSummary(path, markdown)


def _report_file(config: pytest.Config) -> ReportFile | None:
    option: Any = config.option
    asked, configured = option.swarmtask_report, config.getini("swarmtask_report")
    if not (asked or configured) or option.collectonly:
        return None
    from pytest_swarmtask.sources.pytest.report_file import ReportFile

    folder = config.invocation_params.dir if asked else config.rootpath
    return ReportFile(os.path.join(folder, asked or configured))


class _Unable:
    """Stands in for what records where that could not even begin."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def pytest_report_header(self) -> str:
        return f"swarmtask: warning: nothing is recorded: {type(self._error).__name__}: {self._error}"


def _wanted(config: pytest.Config) -> bool:
    option: Any = config.option
    if (
        option.swarmtask_off
        or os.environ.get("SWARMTASK_DISABLED", "") not in ("", "0")
        or not config.getini("swarmtask")
    ):
        return False
    # A session inside a test (pytester) is the test's own affair. The variable is removed when an inner
    # test runs, so now is the time to look.
    nested = "PYTEST_CURRENT_TEST" in os.environ and not hasattr(config, "workerinput")
    return not nested or "swarmtask" in (option.plugins or ())
