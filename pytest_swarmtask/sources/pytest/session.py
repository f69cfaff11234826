"""Follows a pytest session from hook to hook, and records the events of the session, its tests and its tasks.

Registered in the process that reports to the user: without xdist the only one, with xdist the controller.
"""

from __future__ import annotations

import functools
import os

import pytest

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.project import FOLDER, is_under_ci
from pytest_swarmtask.recording.recorder import get_recorder, set_default_project
from pytest_swarmtask.sources.pytest.evidence import EvidenceReader, MarkerNames
from pytest_swarmtask.sources.pytest.guard import before_exit, exit_code_of, never_raises, never_raises_while_waiting
from pytest_swarmtask.sources.pytest.outcome import EVENT_OF, TestRun, location, reason
from pytest_swarmtask.sources.pytest.place import project_of
from pytest_swarmtask.sources.pytest.running_tests import RunningTests
from pytest_swarmtask.sources.pytest.session_facts import SessionFacts, Tally
from pytest_swarmtask.sources.pytest.task_marks import REPORT_ATTRIBUTE, TaskIndex, is_narrowed
from pytest_swarmtask.sources.pytest.terminal_lines import FIRST_RUN, ClosingLine, header_lines
from pytest_swarmtask.sources.pytest.testcase_metadata import EndMetadata, encoded_pass, encoded_start, start_metadata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from typing import Any

    from pytest_swarmtask.recording.recorder import Recorder
    from pytest_swarmtask.sources.pytest.report_file import ReportFile
    from pytest_swarmtask.sources.pytest.sharding import ShardSelection
    from pytest_swarmtask.sources.pytest.step_summary import StepSummary
    from pytest_swarmtask.sources.pytest.task_events import TaskEvents

_DAY = 86400
_ENDS_ELSEWHERE = "swarmtask-ends-elsewhere"
"""The name under which the hook for tests of other processes is registered."""
_USAGE_ERROR = 4
_RUN_NO_TESTS = ("cacheshow", "collectonly", "setuponly", "setupplan", "show_fixtures_per_test", "showfixtures")
"""Options of sessions that list something, or only set up fixtures. They are missing where pytest's plug-in is off."""


class SessionCapture:
    """The hooks of one session, in the order in which pytest calls them.

    Attributes:
        project: the project in which the session is recorded.
        step_summary: writes the summary of a GitHub Actions job at the end, or None.
        report_file: has the HTML report written after the end, or None.
        selection: leaves the tests of other shards out, or None.
    """

    def __init__(
        self, config: pytest.Config, recorder: Recorder, task_id: str, closing_line: ClosingLine, *, nested: bool
    ) -> None:
        self.project = recorder.settings.project
        self.step_summary: StepSummary | None = None
        self.report_file: ReportFile | None = None
        self.selection: ShardSelection | None = None
        self._config = config
        self._recorder = recorder
        self._task_id = recorder.redactor.text(task_id)
        self._closing_line = closing_line
        self._forks = recorder.forks
        self._outer_span_id = recorder.parent_span_id
        self._span_id = recorder.span_id()
        self._encoded_span_id = f'"{self._span_id}"'
        self._markers = MarkerNames(config)
        self._evidence = self._evidence_reader()
        self._facts = SessionFacts(config, recorder, self._evidence, self.remember_problem, nested=nested)
        option: Any = config.option
        has_twins = getattr(option, "dist", "no") == "each" or option.keepduplicates
        self._running = RunningTests(has_twins=has_twins)
        self._tally = Tally()
        self._end_metadata = EndMetadata(recorder.redactor, recorder.settings.project.root, self._evidence)
        self._uncollected: set[str] = set()
        self._has_collection_errors = self._was_broken_off = False
        self._begun = self._ended = False
        # For a session that pytest ends without `pytest_sessionfinish`. The hooks for errors set another one.
        self._exit_code = _USAGE_ERROR
        self._stopped: str | None = None
        self._is_parallel = False
        self._is_stepwise = bool(getattr(option, "stepwise", False))
        self._may_break_off = bool(option.maxfail) or self._is_stepwise
        self._expected = 0
        self._crashed_unseen: list[TestRun] = []
        self._task_index = TaskIndex()
        self._tasks: TaskEvents | None = None
        self._take_annotations = _annotations_reader()
        self._problem: str | None = None
        self._has_warned = False
        self._makes_folder = False

    @classmethod
    def create(cls, config: pytest.Config) -> SessionCapture | None:
        """Return the capture of this session, or None.

        None if the configuration of the project switches recording off, or the session is not to run tests: what
        editors do at every save is no run.

        Raises:
            ConfigError: there is no project in which anything may be recorded, or `workflow.yaml` switches recording
                off but is not valid.
            pytest.UsageError: `swarmtask_drain_timeout` is not a number of seconds.
        """
        if any(getattr(config.option, name, False) for name in _RUN_NO_TESTS):
            return None
        nested = "PYTEST_CURRENT_TEST" in os.environ
        project = project_of(config)
        if project.refusal:
            raise ConfigError(project.refusal)
        is_new = not os.path.lexists(os.path.join(project.root, FOLDER))
        recorder = get_recorder(project)
        if not nested:
            set_default_project(project)
        if not recorder.settings.enabled:
            if not recorder.settings.is_valid and recorder.problem:
                raise ConfigError(f"warning: {recorder.problem}")
            return None
        option: Any = config.option
        task_id = option.swarmtask_task_id or config.getini("swarmtask_task_id") or recorder.settings.session_task_id
        if not nested:
            recorder.begin_session()
        closing_line = ClosingLine(recorder, _drain_timeout(config, recorder.settings.drain_timeout))
        capture = cls(config, recorder, task_id, closing_line, nested=nested)
        capture._makes_folder = is_new and not nested and not is_under_ci(os.environ)
        return capture

    def _evidence_reader(self) -> EvidenceReader:
        redactor, settings = self._recorder.redactor, self._recorder.settings
        root, folder = settings.project.root, str(self._config.invocation_params.dir)
        return EvidenceReader(settings.evidence, redactor, root, folder, self._markers.of, self.remember_problem)

    # -- the session begins ------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    @never_raises_while_waiting
    def pytest_sessionstart(self) -> None:
        """Record the start of the session."""
        self._recorder.hold()
        self._recorder.record(
            "TASK_STARTED",
            self._task_id,
            self._facts.collect_start(self.selection),
            span_id=self._span_id,
            parent_span_id=self._outer_span_id,
        )
        self._recorder.parent_span_id = self._span_id
        self._begun = True
        self._recorder.keep_bounded()

    def pytest_report_header(self) -> list[str]:
        """Return the line for pytest's header."""
        return header_lines(self._recorder, str(self._config.invocation_params.dir))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Make an xdist worker part of this run."""
        from pytest_swarmtask.sources.pytest.worker import WORKER_INPUT  # only with xdist

        self._is_parallel = True
        node.workerinput[WORKER_INPUT] = self._recorder.traceparent()

    @pytest.hookimpl(optionalhook=True)
    @never_raises
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Count the tests that will run, which the controller of xdist does not collect itself."""
        if not self._expected:
            self._expected = len(ids)
            self._running.names.update(self._recorder.redactor.node_ids(ids))
            self._running.has_twins = self._running.has_twins or len(set(ids)) < len(ids)

    # -- tests are collected -----------------------------------------------------------------------------------

    @never_raises
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record the end of what could not be collected or was skipped as a whole, once for all xdist workers."""
        if report.outcome == "passed":
            return
        nodeid = str(report.nodeid)
        if nodeid in self._uncollected:
            return
        self._uncollected.add(nodeid)
        run = self._new_test(nodeid)
        run.phase = "collect"
        run.outcome = "skipped" if report.outcome == "skipped" else "error"
        run.error = reason(report)
        run.location = location(report)
        run.report = report
        self._has_collection_errors = self._has_collection_errors or run.outcome == "error"
        self._record_end(run)

    @pytest.hookimpl(tryfirst=True)
    @never_raises
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """See all tests before other plugins deselect some."""
        self._task_index.collect(items)

    @never_raises
    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Count tests that were deselected. Those of other shards run there."""
        if self.selection is None or not self.selection.is_selecting:
            self._tally.deselect(items)
        self._task_index.deselect(items)

    @never_raises
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Look up the tasks of the tests that will run. An xdist controller has no tests: the reports tell it."""
        items = getattr(session, "items", ())
        self._markers.collect(session)
        self._expected = len(items)
        self._running.names.update(self._recorder.redactor.node_ids([item.nodeid for item in items]))
        self._task_index.select(items)
        if self._task_index.by_test:
            self._task_events()  # loaded now, since a test may leave the import system broken

    # -- a test runs -------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """End a test when all that pytest and plugins do with it is over, whatever they report, and in which order.

        An exception ends the session, and then the end of the session ends the test.
        """
        try:  # not by `never_raises`, whose further call for each hook is a hundredth of what a test costs
            self._running.enter_protocol(item.nodeid)
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self.remember_problem(error)
        result = yield
        try:
            for run in self._running.leave_protocol():
                self._finish_test(run)
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self.remember_problem(error)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        """Record the start of a test, unless it is a further attempt at a test that has started."""
        try:  # not by `never_raises`, as above
            if self._running.is_new(nodeid):
                self._start_test(nodeid).item_location = location
            else:
                self._start_again(nodeid)
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self.remember_problem(error)

    def _start_again(self, nodeid: str) -> None:
        """Begin the next attempt at a test, or a test that is not known from the collection or has a twin."""
        nodeid = self._running.item_of(nodeid)
        run = self._running.started_before(nodeid)
        if run is not None and (run.rerunning or run.outcome is None):
            run.next_attempt()
            return
        if run is not None:
            self._finish_test(run)
        self._start_test(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add a report to the test that it is about."""
        run = self._running.current
        try:  # not by `never_raises`, as above
            if run is not None and run.item_location is getattr(report, "location", None):
                run.add(report)
            else:
                self._add_report(report)
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self.remember_problem(error)

    def _add_report(self, report: pytest.TestReport) -> None:
        """Add a report of another process, or of a test that is not the one whose protocol this process runs."""
        gateway = getattr(getattr(report, "node", None), "gateway", None)  # a suite may have put its own node there
        worker = None if gateway is None else gateway.id
        nodeid = self._running.item_of(report.nodeid)
        run = self._running.reported(nodeid, worker)
        if run is None:
            run = self._start_test(nodeid)
            run.worker = worker
            run.is_announced = self._running.is_in_protocol(nodeid)
        run.add(report)
        if worker is not None:
            self._learn_tasks_from_worker(run, report)
        has_crashed = str(report.when) == "???" and not run.rerunning  # the worker of xdist died
        if has_crashed or self._ends_with_teardown(run):
            self._finish_test(run)

    @never_raises
    def _finish_elsewhere(self, nodeid: str) -> None:
        """Record the end of a test of another process, unless its outcome is still to come."""
        run = self._running.finished(nodeid)
        if run is None:
            return
        run.is_finished = True
        if not self._running.is_in_protocol(run.nodeid) and run.outcome is not None:
            self._finish_test(run)

    def _ends_with_teardown(self, run: TestRun) -> bool:
        """Whether a test whose teardown was reported is over, because nothing else will say so."""
        awaits_nothing = run.is_finished or not run.is_announced
        return awaits_nothing and run.torn_down and run.is_over and not self._running.is_in_protocol(run.nodeid)

    def _start_test(self, nodeid: str) -> TestRun:
        run = self._new_test(nodeid)
        self._running.add(run)
        if self._running.current is None and not self._config.pluginmanager.has_plugin(_ENDS_ELSEWHERE):
            self._config.pluginmanager.register(_EndsElsewhere(self._finish_elsewhere), _ENDS_ELSEWHERE)
        if nodeid in self._task_index.by_test:
            self._task_events().start_test(run)
        now = self._recorder.clock.timestamp()
        if not run.encoded_id or not self._recorder.record_encoded(
            "TEST_STARTED", run.encoded_id, now, encoded_start(run, now), run.span_id, self._encoded_span_id
        ):
            self._record("TEST_STARTED", run.task_id, start_metadata(run), span_id=run.span_id, cleaned=True)
        if not self._is_parallel:
            self._recorder.parent_span_id = run.span_id  # the parent of events that the test itself records
        return run

    def _learn_tasks_from_worker(self, run: TestRun, report: pytest.TestReport) -> None:
        """Look up the tasks of a test of an xdist worker. The first report tells those of all tests."""
        described = getattr(report, REPORT_ATTRIBUTE, None)
        if described:
            self._task_index.add_described(described)
            for crashed in self._crashed_unseen:
                self._add_tasks(crashed)
                if crashed.tasks:
                    self._task_events().end_test(crashed)
            self._crashed_unseen.clear()
        self._add_tasks(run)

    def _add_tasks(self, run: TestRun) -> None:
        if not run.tasks and run.nodeid in self._task_index.by_test:
            self._task_events().start_test(run)

    def _task_events(self) -> TaskEvents:
        if self._tasks is None:
            from pytest_swarmtask.sources.pytest.task_events import TaskEvents  # few suites have tasks

            at_end = self._may_break_off or self._running.has_twins
            index, recorder = self._task_index, self._recorder
            self._tasks = TaskEvents(index, recorder, self._record, self._may_lack_tests, at_end=at_end)
        return self._tasks

    def _new_test(self, nodeid: str) -> TestRun:
        recorder = self._recorder
        task_id = self._running.names.get(nodeid) or recorder.redactor.text(nodeid)
        return TestRun(nodeid, task_id, recorder.span_id())

    def _finish_test(self, run: TestRun) -> None:
        self._running.remove(run)
        self._recorder.parent_span_id = self._span_id
        self._record_end(run)
        if run.tasks:
            self._task_events().end_test(run)
        elif self._is_parallel and run.outcome in ("crashed", "quarantined") and not self._task_index.by_test:
            self._crashed_unseen.append(run)  # its worker died before any report could tell the tasks

    def _record_end(self, run: TestRun) -> None:
        outcome = run.settle()
        now = self._recorder.clock.timestamp()
        metadata = encoded_pass(run, now) if outcome == "passed" else ""
        if not metadata or not self._recorder.record_encoded(
            "TEST_PASSED", run.encoded_id, now, metadata, run.span_id, self._encoded_span_id
        ):
            self._record_end_in_full(run, outcome)
        self._tally.add(outcome, run)

    def _record_end_in_full(self, run: TestRun, outcome: str) -> None:
        event_type = EVENT_OF[outcome]
        metadata = self._end_metadata.of(run, outcome)
        self._record(event_type, run.task_id, metadata, span_id=run.span_id, cleaned=True)
        if event_type == "TEST_FAILED":
            self._tally.add_failure(run, metadata)
        elif run.quarantine is not None and outcome == "quarantined":
            self._tally.add_quarantined(run, metadata)

    # -- the session ends --------------------------------------------------------------------------------------

    def pytest_internalerror(self, excrepr: Any) -> None:
        """Remember why the session ends."""
        self._exit_code = 3
        crash = getattr(excrepr, "reprcrash", None)
        self._stopped = f"internal error: {crash.message if crash is not None else excrepr}"

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember why the session ends: by Ctrl-C, by `pytest.exit`, or by another interruption of pytest's own."""
        code = getattr(excinfo.value, "returncode", None)
        self._exit_code = 2 if code is None else code
        self._stopped = f"interrupted: {excinfo.typename}: {excinfo.value}".rstrip(": ")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """End what is still running, then record the end of the session, after all other plugins.

        They come first because some of them, such as pytest-cov, change the exit code, and others end the process.
        """
        self._end_running_tests(session)
        with before_exit(self._end):
            try:
                result = yield
            except BaseException as error:
                self._stopped = self._stopped or f"{type(error).__name__}: {error}"
                self._end(exit_code_of(error, session.exitstatus))
                raise
        self._end(session.exitstatus)
        return result

    @never_raises_while_waiting
    def pytest_terminal_summary(self, terminalreporter: Any, exitstatus: int) -> None:
        """Write the closing line: how many events, what is not delivered yet and how to send it, and how to see more.

        pytest calls this within `pytest_sessionfinish`, before the end of the session is recorded.
        """
        if not self._is_verbose() or self._is_forked_child():
            return
        self._closing_line.wait_for_delivery()
        next_event = _end_type(exitstatus)
        events = self._closing_line.summarize_events(self._facts.coverage_text(), next_event)
        line = f"swarmtask: {events}{self._closing_line.report_command()}"
        refusal = self._closing_line.refusal(next_event)
        summary_problem = self.step_summary and self.step_summary.problem()
        problem = self._problem or self._recorder.problem or refusal or summary_problem
        self._has_warned = bool(problem)
        terminalreporter.write_sep("-", line, yellow=bool(problem))
        if self._closing_line.undelivered:
            terminalreporter.write_line(f"swarmtask: {self._closing_line.undelivered}")
        if problem:
            terminalreporter.write_line(f"swarmtask: warning: {problem}", yellow=True)
        elif self._makes_folder:
            terminalreporter.write_line(FIRST_RUN)
        if self._take_annotations is not None:
            for annotation in self._take_annotations(self._recorder.settings.project, os.environ):
                terminalreporter.write_line(annotation)

    def pytest_unconfigure(self) -> None:
        """Record the end of a session whose start a plugin broke off: pytest calls no `pytest_sessionfinish` then."""
        if self._begun and not self._ended:
            self._end(self._exit_code)

    @never_raises
    def _end_running_tests(self, session: pytest.Session) -> None:
        stopped = self._stopped or session.shouldstop or session.shouldfail
        for run in self._running.all():
            if stopped and not run.is_over:
                run.interrupt(str(stopped))
            self._finish_test(run)
        # Workers that died and were not replaced leave tests that never ran, and nothing else tells of it.
        ran = sum(self._tally.counts.values()) - len(self._uncollected)
        self._was_broken_off = bool(stopped) or ran < self._expected
        if self._tasks is not None:
            self._tasks.end_all()

    def _end(self, exit_code: int | None) -> None:
        """Record the end of the session and do what follows it. No failed step keeps the next from being taken."""
        if self._is_forked_child():
            return
        self._ended = True
        self._record_session_end(int(exit_code or 0))
        self._wait_for_delivery()
        self._append_step_summary()
        self._release_spans()
        self._write_report()
        self._warn_late()

    @never_raises_while_waiting
    def _record_session_end(self, exit_code: int) -> None:
        self._recorder.parent_span_id = self._outer_span_id
        self._recorder.record(
            _end_type(exit_code),
            self._task_id,
            self._facts.collect_end(exit_code, self._stopped, self._tally, partial=self._may_lack_tests()),
            span_id=self._span_id,
            parent_span_id=self._outer_span_id,
            cleaned=True,
        )

    @never_raises_while_waiting
    def _wait_for_delivery(self) -> None:
        self._closing_line.wait_for_delivery()

    @never_raises_while_waiting
    def _release_spans(self) -> None:
        self._recorder.release()

    @never_raises_while_waiting
    def _append_step_summary(self) -> None:
        if self.step_summary is not None:
            self.step_summary.append(
                start=self._recorder.redactor.metadata(self._facts.start),
                end=self._recorder.redactor.metadata(self._facts.end),
                failures=self._tally.failures,
                quarantined=self._tally.quarantined,
                events=self._closing_line.summarize_events(""),
                undelivered=self._closing_line.undelivered,
                root=str(self._config.rootpath),
            )

    @never_raises_while_waiting
    def _write_report(self) -> None:
        """Have the report written and say where it is, below pytest's own last line: the report needs the end event."""
        if self.report_file is None:
            return
        line, written = self.report_file.write(self._recorder.settings.project.root, self._recorder.trace_id)
        if self._is_verbose() or not written:
            self._write_line(line, is_warning=not written)

    @never_raises_while_waiting
    def _warn_late(self) -> None:
        """Tell what went wrong after the closing line."""
        problem = self._problem or self._recorder.problem
        if problem and not self._has_warned and self._is_verbose():
            self._write_line(f"warning: {problem}", is_warning=True)

    def _is_verbose(self) -> bool:
        """Whether the user wants more than pytest's own last line, which is all that ``-qq`` leaves."""
        return getattr(self._config.option, "verbose", 0) > -2

    def _write_line(self, line: str, *, is_warning: bool) -> None:
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(f"swarmtask: {line}", yellow=is_warning)

    # -- helpers of the hooks ----------------------------------------------------------------------------------

    def _record(  # noqa: PLR0913 - as `Recorder.record`
        self,
        event_type: str,
        task_id: str | None,
        metadata: dict[str, Any],
        *,
        span_id: str,
        status: str | None = None,
        now: float | None = None,
        cleaned: bool = False,
    ) -> None:
        """Record an event inside of the session."""
        if not self._is_forked_child():
            parent = self._span_id
            self._recorder.record(
                event_type,
                task_id,
                metadata,
                span_id=span_id,
                parent_span_id=parent,
                status=status,
                now=now,
                cleaned=cleaned,
            )

    def _is_forked_child(self) -> bool:
        """Whether a test has forked and this is the child, which must not record the parent's session a second time."""
        return self._recorder.forks != self._forks

    def _may_lack_tests(self) -> bool:
        """Whether the suite may have tests that this session did not collect or does not run."""
        has_stepped = self._is_stepwise and self._tally.deselected > 0
        return self._has_collection_errors or self._was_broken_off or has_stepped or self._is_narrowed

    @functools.cached_property
    def _is_narrowed(self) -> bool:
        """Whether the user wants a part of the suite only."""
        try:
            return is_narrowed(self._config, self._recorder.settings.project.root)
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self.remember_problem(error)
            return True  # the safe answer: no task is taken for done, and no run for complete, because of it

    def remember_problem(self, error: BaseException) -> None:
        """Keep the first failure of ours for the closing line. A Ctrl-C is not one."""
        if self._problem is None and not isinstance(error, KeyboardInterrupt):
            self._problem = f"{type(error).__name__}: {error}"


class _EndsElsewhere:
    """Sees the end of tests whose protocol this process does not run. Registered with the first one of them."""

    def __init__(self, finish: Callable[[str], None]) -> None:
        self._finish = finish

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._finish(nodeid)


def _annotations_reader() -> Callable[..., list[str]] | None:
    if not os.environ.get("GITHUB_ACTIONS"):
        return None
    from pytest_swarmtask.recording.github_annotations import take_annotations

    return take_annotations


def _end_type(exit_code: int) -> str:
    return "TASK_FAILED" if exit_code else "TASK_COMPLETED"


def _drain_timeout(config: pytest.Config, default: float) -> float:
    option: Any = config.option
    found = option.swarmtask_drain_timeout
    if found is None:
        found = _ini_value(config, "swarmtask_drain_timeout")
    if found == "":
        return default
    try:
        seconds = -1.0 if isinstance(found, bool) else float(found)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < _DAY:
        raise pytest.UsageError(f"swarmtask_drain_timeout is {found!r}, expected a number of seconds")
    return seconds


def _ini_value(config: pytest.Config, name: str) -> Any:
    """Return the value of an ini key that takes text, also where the native TOML of pytest 9 has a number for it.

    pytest would refuse the number, since it has no type that is a number there and text in all versions.
    """
    values: Any = getattr(config, "_inicfg", {})
    value = getattr(values.get(name), "value", None)
    return config.getini(name) if value is None or isinstance(value, str) else value
