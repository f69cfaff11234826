"""Registers the hooks of a session: those that record, those of its shard, and those for quarantined tests."""

from __future__ import annotations

import os

import pytest

from pytest_swarmtask.core.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pytest_swarmtask.sources.pytest.quarantine import QuarantineHooks
    from pytest_swarmtask.sources.pytest.report_file import ReportFile
    from pytest_swarmtask.sources.pytest.session import SessionCapture
    from pytest_swarmtask.sources.pytest.step_summary import StepSummary

_SHARD = "swarmtask-shard"
"""The name under which the hooks for `--swarmtask-shard` are registered."""
_QUARANTINE = "swarmtask_quarantine"
"""The key in `workerinput` of xdist with the quarantined tests."""


def register_shard(config: pytest.Config) -> None:
    """Register the hooks that leave the tests of other shards out."""
    from pytest_swarmtask.sources.pytest.sharding import select_shard

    config.pluginmanager.register(select_shard(config), _SHARD)


def register_recording(config: pytest.Config) -> None:
    """Register the hooks that record, after those of the shard, and those for quarantined tests."""
    try:
        _register(config)
    except pytest.UsageError:
        raise
    except ConfigError as error:
        config.pluginmanager.register(_Unrecorded(f"swarmtask: {error}", is_warning=False), "swarmtask-unable")
    except Exception as error:  # noqa: BLE001 - whatever it is, the session goes on unrecorded
        line = f"swarmtask: warning: nothing is recorded: {type(error).__name__}: {error}"
        config.pluginmanager.register(_Unrecorded(line, is_warning=True), "swarmtask-unable")
    option: Any = config.option
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
