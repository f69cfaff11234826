"""The pages of the server, made on the server: they need no script, and ask only bounded questions.

The page on a run asks what a report asks, about that run. The other pages ask for a fixed number of runs, tests or
results, found by an index, so that they do not become slower as the history grows. What each asks stands beside it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.timestamps import named_time
from pytest_swarmtask.history import query
from pytest_swarmtask.report.charts import result_charts
from pytest_swarmtask.report.content import ReportRequest, comparable_runs
from pytest_swarmtask.report.failures import report_left_out
from pytest_swarmtask.report.frame import LONGEST_MESSAGE, framed, policy, templates
from pytest_swarmtask.report.html import report_content
from pytest_swarmtask.report.html_evidence import folded_failures
from pytest_swarmtask.report.page import collect_page
from pytest_swarmtask.server.links import ProjectLinks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from starlette.requests import Request

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.query import Failure, Result, Run
    from pytest_swarmtask.history.store import HistoryStore

    Answer = Callable[[Request], Response]

# How much each page shows. These numbers bound the time that it takes, whatever the history has.
_RUNS = 50
_TESTS = 50
_FLAKY = 100
_FLAKY_RUNS = 100
"""Runs in which a test must have been flaky to be listed; a verdict looks at as many."""
_SLOW = 100
_LOOKED_AT = 200
"""Runs among which the last complete one is looked for."""
_BRANCHES = 20
_FAILURES = 10
"""Failures that are shown of each branch. A person sees by them whether the branch is broken, and why."""
_RESULTS = 50
"""Results of a test."""
_ARTICLES = 5
"""Failures of a test that are shown with their evidence, each under another variant."""


class Pages:
    """Makes the pages.

    Args:
        store: the histories.
    """

    def __init__(self, store: HistoryStore) -> None:
        self._store = store

    def routes(self) -> Iterator[tuple[str, Answer]]:
        """Yield the paths, and what answers them."""
        yield "/", self.projects
        base = "/p/{project}"
        yield base, self.runs
        yield f"{base}/", self.runs
        yield f"{base}/runs/{{run}}", self.run
        yield f"{base}/runs/{{run}}/version", self.version
        yield f"{base}/failures", self.failures
        yield f"{base}/flaky", self.flaky
        yield f"{base}/slowest", self.slowest
        yield f"{base}/tests", self.tests
        yield f"{base}/test", self.test

    def projects(self, request: Request) -> Response:
        """Show the projects. Asks for the last run of each."""
        found: list[tuple[str, Run | None, ProjectLinks]] = []
        for name in self._store.projects():
            with self._store.reading(name) as db:
                last = next(iter(query.last_runs(db, 1)), None)
            found.append((name, last, ProjectLinks(_root(request), name)))
        found.sort(key=lambda each: each[1].started if each[1] else "", reverse=True)
        return _page(request, "projects.html.j2", {"projects": found})

    def runs(self, request: Request) -> Response:
        """Show the runs of a project. Asks for one more than are shown, and for the branches of the last runs."""
        chosen = query.RunFilter(_given(request, "branch"), _since(request))
        older_than = _given(request, "before")
        with self._reading(request) as db:
            before = _run_of(db, older_than) if older_than else None
            found = query.last_runs(db, _RUNS + 1, chosen, before)
            branches = query.recent_branches(db, _BRANCHES)
        older = found[_RUNS - 1].run if len(found) > _RUNS else None
        shown = {"runs": found[:_RUNS], "older": older, "is_first": before is None, "branches": branches}
        return _page(request, "runs.html.j2", {"tab": "", **shown}, forms=True)

    def run(self, request: Request) -> Response:
        """Show the report on a run. Asks for all results of this run, and for the runs that it is compared with."""
        with self._reading(request) as db:
            run = _run_of(db, request.path_params["run"])
            page = collect_page(db, ReportRequest(run.run, _given(request, "compare")), "")
            newer = query.next_run(db, run, comparable_runs(run))
        if page is None:
            raise HTTPException(404, "there is no such run")
        run, trend = page.report.run, page.report.trend
        shown = {"older": trend[-2] if len(trend) > 1 else None, "newer": newer, "version": _version(run)}
        content = {**report_content(page, linked=True), "delivered": None, **shown}
        links = ProjectLinks(_root(request), request.path_params["project"])
        live = links.version(run.run) if run.outcome == "unfinished" else ""
        return _page(request, "run.html.j2", content, live=live)

    def version(self, request: Request) -> Response:
        """Return a text that changes with the page on a run. Asks for the row of the run."""
        with self._reading(request) as db:
            run = _run_of(db, request.path_params["run"])
        return PlainTextResponse(_version(run))

    def failures(self, request: Request) -> Response:
        """Show what fails on each branch. Asks for the failures of the last run on each of a few branches."""
        with self._reading(request) as db:
            found = [_Branch(run, *_failing(db, run)) for run in query.last_run_of_branches(db, _BRANCHES)]
        return _page(request, "failures.html.j2", {"tab": "failures", "branches": found})

    def flaky(self, request: Request) -> Response:
        """Show the flaky tests. Asks for the stored verdicts on the tests that were flaky in the last runs."""
        with self._reading(request) as db:
            found = query.flaky(db, query.last_runs(db, _FLAKY_RUNS), _FLAKY)
        shown = {"flaky": found, "most": _FLAKY, "runs": _FLAKY_RUNS}
        return _page(request, "flaky.html.j2", {"tab": "flaky", **shown})

    def slowest(self, request: Request) -> Response:
        """Show the slowest tests of the last complete run. Asks for the results of this run, and ten times of each."""
        branch = _given(request, "branch")
        with self._reading(request) as db:
            recent = [run for run in query.last_runs(db, _LOOKED_AT, query.RunFilter(branch)) if run.tests]
            complete = (run for run in recent if not run.partial and run.outcome != "unfinished")
            run = next(complete, recent[0] if recent else None)
            found = query.slowest(db, run, _SLOW) if run else []
            branches = query.recent_branches(db, _BRANCHES)
        shown = {"slowest": found, "of": run, "branches": branches}
        return _page(request, "slowest.html.j2", {"tab": "slowest", **shown}, forms=True)

    def tests(self, request: Request) -> Response:
        """Show the tests whose node ids have a text. Asks the index of names, and for the last result of each test."""
        text, after = _given(request, "q") or "", _given(request, "after") or ""
        with self._reading(request) as db:
            names = query.find_tests(db, text, _TESTS + 1, after)
            last: dict[str, list[Result]] = {name: [] for name in names[:_TESTS]}
            for result in query.last_results(db, list(last)):
                last[result.test].append(result)
        more = names[_TESTS - 1] if len(names) > _TESTS else None
        return _page(request, "tests.html.j2", {"tab": "tests", "last": last, "more": more}, forms=True)

    def test(self, request: Request) -> Response:
        """Show the history of a test. Asks for its last results and its last failure under each of its variants."""
        name = _given(request, "name") or ""
        chosen = query.RunFilter(_given(request, "branch"), variants=_given(request, "variant"))
        with self._reading(request) as db:
            variants = query.test_variants(db, name)
            if not variants:
                raise HTTPException(404, "there is no test of this name in the history of the project")
            results = query.results_of(db, [name], _RESULTS, chosen)
            past = query.past_failures(db, name, chosen, _ARTICLES)
            reported = report_left_out(db, [each.failure for each in past], "", {})
            shown = {"verdicts": query.flaky_variants(db, name), "branches": query.recent_branches(db, _BRANCHES)}
        content = {
            "tab": "tests",
            "name": name,
            "variants": variants,
            "results": results,
            "charts": result_charts(results[::-1]),
            "past": past,
            "reported": reported,
            "evidence": folded_failures(reported, LONGEST_MESSAGE),
            **shown,
        }
        return _page(request, "test.html.j2", content, forms=True)

    def _reading(self, request: Request) -> AbstractContextManager[Database]:
        return self._store.reading(request.path_params["project"])


class _Branch(NamedTuple):
    """What fails on a branch: its last run with tests, failures of it, at most `_FAILURES`, and how many there are."""

    run: Run
    failures: list[Failure]
    total: int


def _failing(db: Database, run: Run) -> tuple[list[Failure], int]:
    """Return what fails since a run: its own failures, and earlier failures of tests that it left out."""
    own, number = query.failures(db, run, _FAILURES)
    left_out, others = query.open_failures(db, run, _FAILURES)
    return (own + left_out)[:_FAILURES], number + others


def error_page(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as a page."""
    content = {"title": HTTPStatus(status).phrase, "detail": detail, "project": None, "links": None}
    answer = _page(request, "error.html.j2", content)
    answer.status_code = status
    answer.headers.update(headers or {})
    return answer


def _page(
    request: Request, template: str, content: Mapping[str, Any], *, live: str = "", forms: bool = False
) -> Response:
    """Return a page as an answer, see `framed`. Its policy stands in a header, too, where it can forbid frames."""
    project = request.path_params.get("project")
    links = ProjectLinks(_root(request), project) if project else None
    asked = {
        "project": project,
        "links": links,
        "home": f"{_root(request)}/",
        "given": defaultdict(str, request.query_params),
    }
    text = framed(templates("", "pytest_swarmtask.server"), template, live=live, forms=forms, **{**asked, **content})
    allowed = f"{policy(live=bool(live), forms=forms)}; frame-ancestors 'none'"
    return HTMLResponse(text, headers={"Content-Security-Policy": allowed})


def _root(request: Request) -> str:
    return str(request.scope["root_path"])


def _given(request: Request, name: str) -> str | None:
    """Return a parameter; None if it is empty, as a form sends those that are not filled in."""
    return request.query_params.get(name) or None


def _since(request: Request) -> str | None:
    """Return the timestamp that a request names.

    Raises:
        UsageError: it is malformed.
    """
    text = _given(request, "since")
    try:
        return named_time(text) if text else None
    except ValueError as error:
        raise UsageError(f"since: {error}") from None


def _run_of(db: Database, name: str) -> Run:
    """Return the run whose id begins with a name.

    Raises:
        HTTPException: there is no such run, or several.
    """
    found = query.find_runs(db, name.lower())
    if len(found) != 1:
        raise HTTPException(404, "several runs begin like this" if found else "there is no such run, or not any more")
    return found[0]


def _version(run: Run) -> str:
    """Return a text that is the same in all processes of the server while nothing has changed in a run."""
    return hashlib.sha256(repr(run).encode()).hexdigest()[:16]
