"""The JSON side of the server, ``/api/v1``: the objects that `report --json` and `tests --json` print."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.history import query
from pytest_swarmtask.report.content import ReportRequest, collect_report, without_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from starlette.requests import Request

    from pytest_swarmtask.history.store import HistoryStore

    Answer = Callable[[Request], Response]

BASE = "/api/v1"
_MOST = 1000


class Api:
    """Answers questions to the store.

    Args:
        store: the store.
    """

    def __init__(self, store: HistoryStore) -> None:
        self._store = store

    def routes(self) -> Iterator[tuple[str, Answer]]:
        """Yield the paths, and what answers them."""
        yield f"{BASE}/projects", self.projects
        yield f"{BASE}/projects/{{project}}/runs", self.runs
        yield f"{BASE}/projects/{{project}}/report", self.report

    def projects(self, _: Request) -> Response:
        """Return the projects, each with its last run."""
        found = []
        for name in self._store.projects():
            with self._store.reading(name) as db:
                found.append({"project": name, "last_run": _first(query.last_runs(db, 1))})
        return _json({"projects": found})

    def runs(self, request: Request) -> Response:
        """Return the last runs of a project, newest first."""
        given = request.query_params
        chosen = query.RunFilter(given.get("branch"), given.get("since"))
        with self._store.reading(request.path_params["project"]) as db:
            found = query.last_runs(db, number(given, "limit", 20), chosen)
        return _json({"runs": without_keys([asdict(run) for run in found])})

    def report(self, request: Request) -> Response:
        """Return the report on a run."""
        with self._store.reading(request.path_params["project"]) as db:
            found = collect_report(db, report_request(request.query_params), "")
        return _json({"run": None} if found is None else found.as_json())


def report_request(given: Mapping[str, str]) -> ReportRequest:
    """Return which run a request is about.

    Raises:
        UsageError: a parameter is malformed.
    """
    return ReportRequest(
        given.get("run"),
        given.get("compare"),
        given.get("branch"),
        given.get("since"),
        number(given, "last", ReportRequest().last),
    )


def number(given: Mapping[str, str], name: str, default: int) -> int:
    """Return a number that a request names.

    Raises:
        UsageError: it is no number, or too large.
    """
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and 0 < int(text[:5]) <= _MOST):
        raise UsageError(f"{name} is {text[:40]!r}, expected a number from 1 to {_MOST}")
    return int(text)


def _first(runs: list[query.Run]) -> Any:
    return without_keys(asdict(runs[0])) if runs else None


def _json(content: Any) -> Response:
    return Response(json.dumps(content), media_type="application/json")
