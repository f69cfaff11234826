"""The JSON side of the server, ``/api/v1``: the objects that commands print with `--json`, and their other forms."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import quote

from starlette.responses import Response

from pytest_swarmtask import __version__
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.history import query
from pytest_swarmtask.history.comparison import compare
from pytest_swarmtask.report.causes import FailureCauses, write_causes
from pytest_swarmtask.report.content import MOST_COMPARED, Report, ReportRequest, find_run, requested_run, without_keys
from pytest_swarmtask.report.durations import DurationsRequest, UsualDurations, write_durations
from pytest_swarmtask.report.explained_run import ExplainedRun, write_explained
from pytest_swarmtask.report.flaky_tests import FlakyTests, write_flaky
from pytest_swarmtask.report.forms import Form, write_report
from pytest_swarmtask.report.gate import GateFacts, write_gate_facts
from pytest_swarmtask.report.history_of_tests import TestHistory, write_test
from pytest_swarmtask.report.last_results import LastResultsOfTests, LastResultsRequest, write_last_results
from pytest_swarmtask.report.last_run import LastRunRequest, write_last_run
from pytest_swarmtask.report.phrases import times_in
from pytest_swarmtask.report.runs import RunPage, write_runs
from pytest_swarmtask.report.slow_tests import SlowTests, write_slow
from pytest_swarmtask.report.tasks import TaskList, write_tasks
from pytest_swarmtask.server import answers, parameters
from pytest_swarmtask.server.openapi import ApiEndpoint, document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.store import HistoryStore

    Answer = Callable[[Request], Response]

BASE = "/api/v1"
VERSION = (b"swarmtask-api", b"1")
"""The header of every answer of the API, also of errors. A client tells by it that it has reached one."""
_OF_PROJECT = "/projects/{project}"
_TYPES = {
    "json": "application/json",
    "text": "text/plain",
    "markdown": "text/markdown",
    "junit": "application/xml",
    "html": "text/html",
}
"""The media types of forms."""


def routes(store: HistoryStore) -> Iterator[tuple[str, Answer]]:
    """Yield the paths of the API, and what answers them."""
    for endpoint in ENDPOINTS:
        yield BASE + endpoint.path, partial(_answered, store, endpoint)
    yield f"{BASE}/openapi.json", _openapi


def _answered(store: HistoryStore, endpoint: ApiEndpoint, request: Request) -> Response:
    given = parameters.read(endpoint.parameters, request.query_params)
    return endpoint.answer(store, request.path_params.get("project", ""), given)


def _openapi(request: Request) -> Response:
    return _json(document(ENDPOINTS, f"{request.scope.get('root_path', '')}{BASE}", __version__, _TYPES))


def _projects(store: HistoryStore, _: str, __: parameters.NoParameters) -> Response:
    found = []
    for name in store.projects():
        with store.reading(name) as db:
            found.append(answers.ProjectSummary(name, next(iter(query.last_runs(db, 1)), None)))
    return _object(answers.ProjectList(found))


def _runs(store: HistoryStore, project: str, given: parameters.RunsQuery) -> Response:
    return _written(store, project, given, given.as_request(), write_runs)


def _report(store: HistoryStore, project: str, given: parameters.ReportQuery) -> Response:
    return _written(store, project, given, given.as_request(), write_report)


def _explain(store: HistoryStore, project: str, given: parameters.ExplainQuery) -> Response:
    return _written(store, project, given, given.as_request(), write_explained)


def _gate(store: HistoryStore, project: str, given: parameters.GateQuery) -> Response:
    return _as_json(store, project, given.as_request(), write_gate_facts)


def _status(store: HistoryStore, project: str, given: parameters.StatusQuery) -> Response:
    return _written(store, project, given, LastRunRequest(given.ci_run), write_last_run)


def _tests(store: HistoryStore, project: str, given: parameters.TestsQuery) -> Response:
    with store.reading(project) as db:
        found = query.find_tests(db, given.text)
    return _object(answers.TestList(found[: given.limit], len(found)))


def _test(store: HistoryStore, project: str, given: parameters.TestQuery) -> Response:
    return _written(store, project, given, given.as_request(), write_test)


def _failures(store: HistoryStore, project: str, given: parameters.SearchedQuery) -> Response:
    return _written(store, project, given, given.as_request(), write_causes)


def _flaky(store: HistoryStore, project: str, given: parameters.SearchedQuery) -> Response:
    return _written(store, project, given, given.as_request(), write_flaky)


def _slow(store: HistoryStore, project: str, given: parameters.SearchedQuery) -> Response:
    return _written(store, project, given, given.as_request(), write_slow)


def _durations(store: HistoryStore, project: str, _: parameters.NoParameters) -> Response:
    return _as_json(store, project, DurationsRequest(), write_durations)


def _tasks(store: HistoryStore, project: str, given: parameters.TasksQuery) -> Response:
    return _as_json(store, project, given.as_request(), write_tasks)


def _last_results(store: HistoryStore, project: str, given: parameters.LastResultsQuery) -> Response:
    return _as_json(store, project, LastResultsRequest(given.tests), write_last_results)


def _comparison(store: HistoryStore, project: str, given: parameters.ComparisonQuery) -> Response:
    with store.reading(project) as db:
        since = parameters.moment(given.since)
        run = requested_run(db, ReportRequest(given.run, branch=given.branch, since=since))
        if run is None:
            raise UsageError("no run matches branch and since")
        other = find_run(db, given.compare)
        return _object(answers.RunComparison(run, compare(db, run, other, MOST_COMPARED)))


def _written(
    store: HistoryStore,
    project: str,
    given: parameters.BriefQuery | parameters.ReportQuery,
    request: NamedTuple,
    write: Callable[[Database, Any, Form, BinaryIO], str | None],
) -> Response:
    """Return an answer in the form that the request names."""
    out = io.BytesIO()
    form = given.as_form(given.form, project)
    with times_in(given.as_zone()), store.reading(project) as db:
        run = write(db, request, form, out)
    headers = {"swarmtask-run": quote(run)} if run else {}
    return Response(out.getvalue(), headers=headers, media_type=_TYPES[form.kind])


def _as_json(
    store: HistoryStore, project: str, request: NamedTuple, write: Callable[[Database, Any, Form, BinaryIO], object]
) -> Response:
    """Return an answer that has no other form."""
    out = io.BytesIO()
    with store.reading(project) as db:
        write(db, request, Form("json", project=project), out)
    return Response(out.getvalue(), media_type=_TYPES["json"])


def _object(found: Any) -> Response:
    return _json(without_keys(asdict(found)))


def _json(content: Any) -> Response:
    return Response(json.dumps(content, indent=2), media_type="application/json")


ENDPOINTS = (
    ApiEndpoint(
        "/projects",
        "The projects of the team, each with its last run.",
        parameters.NoParameters,
        (answers.ProjectList,),
        _projects,
    ),
    ApiEndpoint(f"{_OF_PROJECT}/runs", "The runs of a project, newest first.", parameters.RunsQuery, (RunPage,), _runs),
    ApiEndpoint(
        f"{_OF_PROJECT}/report",
        "The report on a run: on the last one with tests, unless a run is named.",
        parameters.ReportQuery,
        (Report, answers.NoRun),
        _report,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/explain",
        "Whose the failures of a run are: of the last one with tests, unless a run is named.",
        parameters.ExplainQuery,
        (ExplainedRun,),
        _explain,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/gate",
        "What `swarmtask gate` decides by: a run, compared with the default branch.",
        parameters.GateQuery,
        (GateFacts,),
        _gate,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/status",
        "The last run as the tree of its spans.",
        parameters.StatusQuery,
        (answers.LastRunAnswer,),
        _status,
    ),
    ApiEndpoint(f"{_OF_PROJECT}/tests", "Tests by name.", parameters.TestsQuery, (answers.TestList,), _tests),
    ApiEndpoint(
        f"{_OF_PROJECT}/test",
        "The history of one test, or of a function with all its parameters.",
        parameters.TestQuery,
        (TestHistory,),
        _test,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/flaky", "The flaky tests, the worst first.", parameters.SearchedQuery, (FlakyTests,), _flaky
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/tasks",
        "The tasks that tests belong to, with the last results of both.",
        parameters.TasksQuery,
        (TaskList,),
        _tasks,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/failures",
        "The failures of the last runs by their causes.",
        parameters.SearchedQuery,
        (FailureCauses,),
        _failures,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/slow",
        "The tests of the last runs that take the most time.",
        parameters.SearchedQuery,
        (SlowTests,),
        _slow,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/durations",
        "How long each test usually takes.",
        parameters.NoParameters,
        (UsualDurations,),
        _durations,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/last-results",
        "How tests ended lately: what decides whether a test leaves quarantine.",
        parameters.LastResultsQuery,
        (LastResultsOfTests,),
        _last_results,
    ),
    ApiEndpoint(
        f"{_OF_PROJECT}/comparison",
        "The differences of a run from another one.",
        parameters.ComparisonQuery,
        (answers.RunComparison,),
        _comparison,
    ),
)
