"""The pytest plugin: its options, and the decision whether to record the session.

`SessionCapture` does the work. It is imported and registered only if the session is recorded.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    from pytest_swarmtask.sources.pytest.quarantine import QuarantineHooks
    from pytest_swarmtask.sources.pytest.report_file import ReportFile
    from pytest_swarmtask.sources.pytest.session import SessionCapture
    from pytest_swarmtask.sources.pytest.step_summary import StepSummary


class _OurFinder:
    """Finds our modules as Python itself does, so that their bytecode is used.

    pytest's import hook loads all modules of a package that has a plugin, to rewrite their assertions. Our modules have
    no assertions. The hook reads its own bytecode slowly, and where it may not write any, it compiles the source.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of one of our modules; None for all others, which the next finders look for."""
        return PathFinder.find_spec(name, path, target) if name.startswith("pytest_swarmtask.") else None


sys.meta_path.insert(0, _OurFinder)

# Imported before a project can change `sys.path`, or a test can patch `os` and `time`: these modules remember where
# packages are found, and bind functions that start processes and tell time.
import pytest_swarmtask.core.facts.git  # noqa: E402
import pytest_swarmtask.core.sys_path  # noqa: E402
import pytest_swarmtask.core.trace  # noqa: E402, F401
from pytest_swarmtask.core.errors import ConfigError  # noqa: E402

_SHARD = "swarmtask-shard"
"""The name under which the hooks for `--swarmtask-shard` are registered."""
_QUARANTINE = "swarmtask_quarantine"
"""The key in `workerinput` of xdist with the quarantined tests."""
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
    """Add our options in one group. Each has an ini key with the same meaning."""
    group = parser.getgroup("swarmtask", "workflow events (pytest-swarmtask)")
    group.addoption(
        "--no-swarmtask",
        dest="swarmtask_off",
        action="store_true",
        default=False,
        help="do not record this session (also: SWARMTASK_DISABLED=1, ini swarmtask=false)",
    )
    group.addoption(
        "--swarmtask-task-id",
        dest="swarmtask_task_id",
        metavar="ID",
        default=None,
        help="task id of the session (ini swarmtask_task_id; default: pytest_run)",
    )
    group.addoption(
        "--swarmtask-variant",
        dest="swarmtask_variant",
        metavar="NAME",
        default=None,
        help="what tells this session from others of the same tests "
        "(also: SWARMTASK_VARIANT; default: CI job and interpreter)",
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
    group.addoption(
        "--swarmtask-shard",
        dest="swarmtask_shard",
        metavar="I/N",
        default=None,
        help="run part I of N of the suite, such as 2/8: all parts take about equally long, as the history tells",
    )
    group.addoption(
        "--swarmtask-shard-by",
        dest="swarmtask_shard_by",
        choices=("file", "class", "test"),
        default="test",
        help="what stays together in one part (default: test)",
    )
    group.addoption(
        "--no-swarmtask-quarantine",
        dest="swarmtask_quarantine_off",
        action="store_true",
        default=False,
        help="failures of tests in .taskmaster/quarantine.yaml count",
    )
    for name, kind, default, text in _INI:
        parser.addini(name, text, type=kind, default=default)  # type: ignore[arg-type]


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare our marker, and register the hooks that record, unless recording is switched off."""
    config.addinivalue_line(
        "markers", "task(id): the test belongs to this task of the task manager; may be given several times"
    )
    option: Any = config.option
    if option.swarmtask_shard:
        from pytest_swarmtask.sources.pytest.sharding import select_shard

        # Also where nothing is recorded: otherwise each shard would run all tests.
        config.pluginmanager.register(select_shard(config), _SHARD)
    if not _is_wanted(config):
        return
    try:
        _register(config)
    except pytest.UsageError:
        raise
    except ConfigError as error:
        config.pluginmanager.register(_Unrecorded(f"swarmtask: {error}", is_warning=False), "swarmtask-unable")
    except Exception as error:  # noqa: BLE001 - whatever it is, the session goes on unrecorded
        line = f"swarmtask: warning: nothing is recorded: {type(error).__name__}: {error}"
        config.pluginmanager.register(_Unrecorded(line, is_warning=True), "swarmtask-unable")
    if not option.swarmtask_quarantine_off:
        _apply_quarantine(config)


def _register(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        from pytest_swarmtask.sources.pytest.worker import WORKER_INPUT, WorkerCapture

        if WORKER_INPUT in config.workerinput:  # else the controller does not record
            config.pluginmanager.register(WorkerCapture(config, config.workerinput[WORKER_INPUT]), "swarmtask-worker")
        return
    from pytest_swarmtask.sources.pytest.session import SessionCapture

    capture = SessionCapture.create(config)
    if capture is not None:
        capture.step_summary = _step_summary()
        capture.report_file = _report_file(config)
        capture.selection = config.pluginmanager.get_plugin(_SHARD)
        config.pluginmanager.register(capture, "swarmtask-session")


def _apply_quarantine(config: pytest.Config) -> None:
    """Register the hooks for quarantined tests if there are any, also where nothing can be recorded.

    After those that record: pytest then calls them first, so that nobody counts the failure.
    """
    try:
        hooks = _quarantine_hooks(config)
    except Exception as error:  # noqa: BLE001 - whatever it is, failures count
        line = f"swarmtask: warning: no test is quarantined: {type(error).__name__}: {error}"
        hooks = _Unrecorded(line, is_warning=True)
    if hooks is not None:
        config.pluginmanager.register(hooks, "swarmtask-quarantine")


def _quarantine_hooks(config: pytest.Config) -> QuarantineHooks | _Unrecorded | None:
    if hasattr(config, "workerinput"):
        if _QUARANTINE not in config.workerinput:
            return None
        from pytest_swarmtask.sources.pytest.quarantine import worker_hooks

        return worker_hooks(config.workerinput[_QUARANTINE])
    capture: SessionCapture | None = config.pluginmanager.get_plugin("swarmtask-session")
    if capture is not None:
        project = capture.project
    else:
        from pytest_swarmtask.sources.pytest.place import project_of

        project = project_of(config)
    if project.refusal or not os.path.lexists(project.quarantine_file):
        return None
    from pytest_swarmtask.sources.pytest.quarantine import quarantine_hooks

    return quarantine_hooks(config, project)


def _step_summary() -> StepSummary | None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return None
    from pytest_swarmtask.redaction.redactor import load_rules
    from pytest_swarmtask.sources.pytest.session_markdown import markdown
    from pytest_swarmtask.sources.pytest.step_summary import StepSummary

    load_rules()  # now, because the summary is redacted at the end, and a test may have broken the imports by then
    return StepSummary(path, markdown)


def _report_file(config: pytest.Config) -> ReportFile | None:
    option: Any = config.option
    option_path, ini_path = option.swarmtask_report, config.getini("swarmtask_report")
    if not (option_path or ini_path) or option.collectonly:
        return None
    from pytest_swarmtask.sources.pytest.report_file import ReportFile

    # As for pytest's own options: the command line is relative to the working directory, the ini file to the root.
    folder = config.invocation_params.dir if option_path else config.rootpath
    return ReportFile(os.path.join(folder, option_path or ini_path))


class _Unrecorded:
    """Registered instead of `SessionCapture` where nothing is recorded: says so in the header, or below the tests.

    With ``-qq``, which leaves only pytest's own last line, it says nothing, unless it is a warning.
    """

    def __init__(self, line: str, *, is_warning: bool) -> None:
        self._line = line
        self._is_warning = is_warning

    def pytest_report_header(self) -> str:
        return self._line

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        verbosity = terminalreporter.verbosity
        if verbosity == -1 or (verbosity < 0 and self._is_warning):  # then pytest writes no header
            terminalreporter.write_line(self._line, yellow=True)


def _is_wanted(config: pytest.Config) -> bool:
    option: Any = config.option
    if (
        option.swarmtask_off
        or os.environ.get("SWARMTASK_DISABLED", "") not in ("", "0")
        or not config.getini("swarmtask")
    ):
        return False
    # A session inside of a test (pytester) is recorded only if the test asks for it. The variable says that a test is
    # running; it is gone once the inner session runs tests of its own, so it must be read here.
    nested = "PYTEST_CURRENT_TEST" in os.environ and not hasattr(config, "workerinput")
    return not nested or "swarmtask" in (option.plugins or ())
