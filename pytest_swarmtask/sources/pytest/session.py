"""The pytest session and its tests, as events. Registered in the process that reports: never in an xdist worker.

Every hook here is deaf: whatever goes wrong in it is remembered for the closing line and changes nothing else.
"""

from __future__ import annotations

import functools
import os

import pytest

from pytest_swarmtask.core.facts import ci, git
from pytest_swarmtask.core.facts.process import process_facts, usage, without_secrets
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.recording.github_annotations import take_annotations
from pytest_swarmtask.recording.recorder import get_recorder
from pytest_swarmtask.sources.pytest.closing import Closing, header
from pytest_swarmtask.sources.pytest.coverage import Measurement
from pytest_swarmtask.sources.pytest.outcome import EVENT_OF, TestRun, reason
from pytest_swarmtask.sources.pytest.tally import Tally
from pytest_swarmtask.sources.pytest.task_events import TaskEvents
from pytest_swarmtask.sources.pytest.task_marks import is_narrowed
from pytest_swarmtask.sources.pytest.worker import WORKER_INPUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import Any

    from pytest_swarmtask.recording.recorder import Recorder
    from pytest_swarmtask.sources.pytest.report_file import ReportFile
    from pytest_swarmtask.sources.pytest.step_summary import StepSummary

_DAY = 86400
_REASONS = {
    1: "tests failed",
    2: "interrupted",
    3: "internal error",
    4: "usage error",
    5: "no tests were collected",
    6: "more warnings than allowed",
}
"""Why a session failed, by pytest's exit code; numbers, since `pytest.ExitCode` grows."""


class SessionCapture:
    """Follows one session from its start to its end.

    Attributes:
        step_summary: gets the session's facts at its end, or None.
        report_file: has the report written when all is over, or None.
    """

    def __init__(
        self, config: pytest.Config, recorder: Recorder, task_id: str, closing: Closing, *, nested: bool
    ) -> None:
        self.step_summary: StepSummary | None = None
        self.report_file: ReportFile | None = None
        self._config = config
        self._recorder = recorder
        self._task_id = recorder.redactor.text(task_id)
        self._closing = closing
        self._forks = recorder.forks
        self._around = recorder.parent_span_id
        self._span_id = recorder.span_id()
        self._started = recorder.clock.now()
        self._facts: dict[str, Any] = {}
        self._nested = nested
        self._coverage = Measurement(config, nested=nested)
        self._running: dict[str, list[TestRun]] = {}
        self._collected_errors: set[str] = set()
        self._uncollected = self._broken_off = False
        self._tally = Tally()
        self._begun = self._ended = False
        self._exit_code = 4  # unless a hook tells that it was something else than a usage error
        self._stopped: str | None = None
        self._parallel = False
        option: Any = config.option
        self._without_calls = bool(option.setuponly or option.setupplan)
        may_break_off = bool(option.maxfail or getattr(option, "stepwise", False))
        self._tasks = TaskEvents(recorder, self._record, self._is_incomplete, at_end=may_break_off)
        self._problem: str | None = None

    @classmethod
    def create(cls, config: pytest.Config) -> SessionCapture | None:
        """Return what follows this session, or None where the configuration switches recording off."""
        nested = "PYTEST_CURRENT_TEST" in os.environ
        rootpath = str(config.rootpath)
        recorder = get_recorder(Project.find(os.getcwd(), rootpath)) if nested else get_recorder(otherwise=rootpath)
        if not recorder.settings.enabled:
            return None
        option: Any = config.option
        task_id = option.swarmtask_task_id or config.getini("swarmtask_task_id") or recorder.settings.session_task_id
        closing = Closing(recorder, _drain_timeout(config, recorder.settings.drain_timeout))
        return cls(config, recorder, task_id, closing, nested=nested)

    # -- the session -------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Emit TASK_STARTED."""
        self._recorder.hold()
        self._facts = self._start_facts()
        self._recorder.record(
            "TASK_STARTED",
            self._task_id,
            self._facts,
            span_id=self._span_id,
            parent_span_id=self._around,
        )
        self._recorder.parent_span_id = self._span_id
        self._begun = True

    def _start_facts(self) -> dict[str, Any]:
        settings = self._recorder.settings
        arguments = without_secrets(
            map(str, self._config.invocation_params.args), self._recorder.redactor.is_secret_key
        )
        facts = {**self._standard(), **process_facts(), "pytest": pytest.__version__, "arguments": arguments}
        facts |= {**git.head(settings.project.root), **ci.facts(os.environ)}
        changed = None if self._nested else git.dirty(settings.project.root)
        if changed is not None:
            facts["dirty"] = changed
        if settings.environment:
            facts["environment"] = settings.environment
        return {**facts, **settings.metadata}

    def _standard(self) -> dict[str, Any]:
        return {"workflow": "pytest", "action": "session", "test_type": "pytest", "coverage": self._coverage.active}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Make an xdist worker part of this run."""
        self._parallel = True
        node.workerinput[WORKER_INPUT] = self._recorder.traceparent()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """See all tests, before any is left out."""
        try:
            self._tasks.collect(items)
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count what was left out."""
        try:
            self._tally.deselect(items)
            self._tasks.deselect(items)
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look for tests of tasks. Under xdist there are no items here: the reports bring it."""
        try:
            self._tasks.select(getattr(session, "items", ()))
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    def pytest_internalerror(self, excrepr: Any) -> None:
        """Remember why the session ends."""
        self._exit_code = 3
        crash = getattr(excrepr, "reprcrash", None)
        self._stopped = f"internal error: {crash.message if crash is not None else excrepr}"

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember why the session ends: Ctrl-C, `pytest.exit`, and pytest's own interruptions come here."""
        code = getattr(excinfo.value, "returncode", None)
        self._exit_code = 2 if code is None else code
        self._stopped = f"interrupted: {excinfo.typename}: {excinfo.value}".rstrip(": ")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Close what is open, let every other plugin have its say on the exit code, and emit the end."""
        self._close_tests(session)
        try:
            result = yield
        except BaseException as error:
            self._stopped = self._stopped or f"{type(error).__name__}: {error}"
            code = getattr(error, "returncode", 1)  # `pytest.exit` may have one; with anything else Python ends in 1
            self._end(session.exitstatus if code is None else code)
            raise
        self._end(session.exitstatus)
        return result

    def pytest_unconfigure(self) -> None:
        """Emit the end of a session that broke off before it had really begun: no hook tells its end."""
        if self._begun and not self._ended:
            self._end(self._exit_code)

    def _close_tests(self, session: pytest.Session) -> None:
        try:
            why = self._stopped or str(session.shouldstop or session.shouldfail or "the session ended first")
            for runs in list(self._running.values()):
                for run in list(runs):
                    if not run.undecided:
                        run.interrupt(why)
                    self._finish(run)
            self._broken_off = bool(self._stopped or session.shouldstop or session.shouldfail)
            self._tasks.end_all()
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    def _end(self, exit_code: int | None) -> None:
        if self._is_child():
            return
        self._ended = True
        try:
            exit_code = int(exit_code or 0)
            self._recorder.parent_span_id = self._around
            end = self._end_facts(exit_code)
            self._recorder.record(
                _end_type(exit_code),
                self._task_id,
                end,
                span_id=self._span_id,
                parent_span_id=self._around,
                cleaned=True,
            )
            self._closing.drain()
            self._append_summary(end)
            self._recorder.release()
            self._write_report()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - deaf, also to a Ctrl-C while it waits
            self._trouble(error)

    def _write_report(self) -> None:
        """Have the report written, and say where it is: below pytest's own last line, since it tells of the end."""
        if self.report_file is None:
            return
        line, well = self.report_file.write(self._recorder.settings.project.root, self._recorder.trace_id)
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and (self._config.option.verbose > -2 or not well):
            terminal.write_line(f"swarmtask: {line}", yellow=not well)

    def _end_facts(self, exit_code: int) -> dict[str, Any]:
        """Return what the end tells: besides words and numbers of ours, only `error` can hold a secret."""
        summary = self._standard()
        summary["success"] = summary["test_passed"] = exit_code == 0
        if exit_code:
            summary["error"] = self._recorder.redactor.text(
                self._stopped or _REASONS.get(exit_code, f"exit code {exit_code}")
            )
            summary["reason"] = _REASONS.get(exit_code, f"exit code {exit_code}")
        summary["exit_code"] = exit_code
        duration = self._duration()
        summary["duration"] = round(duration, 6)
        return {**summary, **self._tally.metadata(), **self._coverage.result(duration), **usage()}

    def _duration(self) -> float:
        return self._recorder.clock.now() - self._started

    def _append_summary(self, end: dict[str, Any]) -> None:
        if self.step_summary is None:
            return
        try:
            self.step_summary.append(
                start=self._recorder.redactor.metadata(self._facts),
                end=self._recorder.redactor.metadata(end),
                failures=self._tally.failures,
                events=self._closing.words(""),
                root=str(self._config.rootpath),
            )
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    # -- tests -------------------------------------------------------------------------------------------------

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """End what could not be collected, or was skipped as a whole; once, though each xdist worker reports it."""
        if report.outcome == "passed":
            return
        try:
            nodeid = str(report.nodeid)
            if nodeid not in self._collected_errors:
                self._collected_errors.add(nodeid)
                now = self._recorder.clock.now()
                run = TestRun(self._recorder.redactor.text(nodeid), self._recorder.span_id(), now)
                run.phase = "collect"
                run.outcome = "skipped" if report.outcome == "skipped" else "error"
                run.error = reason(report)
                self._uncollected = self._uncollected or run.outcome == "error"
                self._emit_end(run)
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Emit TEST_STARTED, unless this is a further attempt at a test that has begun."""
        try:
            for run in self._running.get(nodeid, ()):
                if run.rerunning:
                    run.next_attempt()
                    return
            self._start(nodeid)
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a report into account."""
        try:
            gateway = getattr(getattr(report, "node", None), "gateway", None)  # a suite may put its own node there
            worker = None if gateway is None else gateway.id
            run = self._run_of(report.nodeid, worker)
            run.add(report)
            if worker is not None:
                self._tasks.learn(run, report)
            if str(report.when) == "???":  # xdist's word for a worker that died; no logfinish follows
                self._finish(run)
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Emit the ending of a test, unless another attempt follows."""
        try:
            runs = self._running.get(nodeid, ())
            for run in runs:
                if not run.rerunning and (run.torn_down or len(runs) == 1):
                    if run.undecided and not self._without_calls:
                        run.rerunning = True  # a plugin keeps the failure to itself, and will try again
                    else:
                        self._finish(run)
                    return
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)

    def _start(self, nodeid: str) -> TestRun:
        recorder = self._recorder
        now = recorder.clock.now()
        run = TestRun(recorder.redactor.text(nodeid), recorder.span_id(), now)
        self._running.setdefault(nodeid, []).append(run)
        if nodeid in self._tasks.of:
            self._tasks.join(run, nodeid)
        metadata = {
            "workflow": "pytest",
            "action": "test",
            "test_type": "pytest",
            "specific_test": run.task_id,
        }
        self._record(
            "TEST_STARTED",
            run.task_id,
            metadata,
            span_id=run.span_id,
            now=now,
            cleaned=True,
        )
        if not self._parallel:
            recorder.parent_span_id = run.span_id  # for what the test itself triggers
        return run

    def _run_of(self, nodeid: str, worker: str | None) -> TestRun:
        """Return the test that a report is about; with ``--dist=each`` one node id runs on several workers at once."""
        runs = self._running.get(nodeid)
        if not runs:
            runs = [self._start(nodeid)]
        for run in runs:
            if run.worker == worker or run.worker is None:
                run.worker = worker
                return run
        return runs[0]

    def _finish(self, run: TestRun) -> None:
        for nodeid, runs in self._running.items():
            if run in runs:
                runs.remove(run)
                if not runs:
                    del self._running[nodeid]
                break
        self._recorder.parent_span_id = self._span_id
        self._emit_end(run)
        if run.tasks:
            self._tasks.add(run)

    def _emit_end(self, run: TestRun) -> None:
        outcome = run.settle()
        event_type = EVENT_OF[outcome]
        passed = event_type == "TEST_PASSED"
        metadata: dict[str, Any] = {"workflow": "pytest", "action": "test"}
        if event_type != "TEST_SKIPPED":
            metadata["success"] = passed
        if run.error is not None:
            metadata["error"] = self._recorder.redactor.text(run.error)
        metadata["duration"] = round(run.duration, 6)
        metadata["test_type"] = "pytest"
        metadata["specific_test"] = run.task_id
        metadata["test_passed"] = passed
        metadata["outcome"] = outcome
        metadata["phase"] = run.phase
        if run.worker is not None:
            metadata["worker"] = run.worker
        metadata["attempt"] = run.attempt
        if not passed:
            self._add_failure(run, metadata)
        self._record(
            event_type,
            run.task_id,
            metadata,
            span_id=run.span_id,
            cleaned=True,
        )
        self._tally.add(outcome, run)
        if event_type == "TEST_FAILED":
            self._tally.add_failure(run, metadata)

    def _add_failure(self, run: TestRun, metadata: dict[str, Any]) -> None:
        if run.location is not None:
            metadata["location"] = self._recorder.redactor.text(run.location)
        if run.failed_subtests:
            metadata["failed_subtests"] = run.failed_subtests
        if run.teardown_error is not None:
            metadata["teardown_error"] = self._recorder.redactor.text(run.teardown_error)

    def _is_incomplete(self) -> bool:
        return self._uncollected or self._broken_off or self._narrowed

    @functools.cached_property
    def _narrowed(self) -> bool:
        """Whether tests were left out before they were collected, or do not really run."""
        try:
            return self._without_calls or is_narrowed(self._config, self._recorder.settings.project.root)
        except Exception as error:  # noqa: BLE001 - deaf
            self._trouble(error)
            return True

    # -- what the user sees ------------------------------------------------------------------------------------

    def pytest_report_header(self) -> list[str]:
        """Return our line of pytest's header, and a warning where the configuration could not be followed."""
        return header(self._recorder)

    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        """Write our closing line: how many events, what is left to deliver and how to send it, and how to see more."""
        try:
            option = self._config.option
            if option.verbose > -2 and not option.collectonly and not self._is_child():
                self._closing.drain()
                coming = _end_type(exitstatus)
                said = self._closing.words(self._coverage.words(self._duration()), coming)
                line = f"swarmtask: {said}{self._closing.command()}"
                refusal = self._closing.refusal(coming)
                about_summary = self.step_summary and self.step_summary.problem()
                problem = self._problem or self._recorder.problem or refusal or about_summary
                terminalreporter.write_sep("-", line, yellow=bool(problem))
                if problem:
                    terminalreporter.write_line(f"swarmtask: warning: {problem}", yellow=True)
                for annotation in take_annotations(self._recorder.settings.project, os.environ):
                    terminalreporter.write_line(annotation)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - deaf, also to a Ctrl-C while it waits
            self._trouble(error)

    def _is_child(self) -> bool:
        """Tell whether a test has forked and let its child run on to here: the session is not the child's to tell."""
        return self._recorder.forks != self._forks

    def _record(  # noqa: PLR0913 - as `Recorder.record`
        self,
        event_type: str,
        task_id: str | None,
        metadata: dict[str, Any],
        *,
        span_id: str,
        now: float | None = None,
        cleaned: bool = False,
    ) -> None:
        if not self._is_child():
            parent = self._span_id
            self._recorder.record(
                event_type, task_id, metadata, span_id=span_id, parent_span_id=parent, now=now, cleaned=cleaned
            )

    def _trouble(self, error: BaseException) -> None:
        if self._problem is None and not isinstance(error, KeyboardInterrupt):
            self._problem = f"{type(error).__name__}: {error}"


def _end_type(exit_code: int) -> str:
    return "TASK_FAILED" if exit_code else "TASK_COMPLETED"


def _drain_timeout(config: pytest.Config, default: float) -> float:
    option: Any = config.option
    text = option.swarmtask_drain_timeout or config.getini("swarmtask_drain_timeout")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < _DAY:
        raise pytest.UsageError(f"swarmtask_drain_timeout is {text!r}, expected a number of seconds")
    return seconds
