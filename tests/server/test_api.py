"""The API: its answers are those of the OpenAPI document, and wrong requests are told what is expected."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import openapi_spec_validator
import pytest

from tests import postgres
from tests.history.made import BASE as BASE_TIME
from tests.history.made import Process
from tests.lab import REPOSITORY
from tests.pushed import SQLITE, HistoryServer
from tests.shop import Shop

ENGINES = [pytest.param(SQLITE, id="sqlite"), pytest.param(postgres.NEWEST, id="postgres18")]
BASE = "/api/v1"
OF_SHOP = f"{BASE}/projects/shop"


@pytest.fixture(scope="module", params=ENGINES)
def team(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shop: Shop
) -> Iterator[HistoryServer]:
    """A server with a project, on each engine."""
    made = HistoryServer(tmp_path_factory.mktemp("server"), request.param)
    made.push(shop.suite.root, "shop")
    yield made
    made.server.close()


@pytest.fixture(scope="module")
def document(team: HistoryServer) -> Any:
    """The OpenAPI document."""
    return team.server.json(f"{BASE}/openapi.json")


def problem(team: HistoryServer, path: str) -> tuple[int, str]:
    """Return status and detail of an error."""
    status, headers, body = team.server.get(path)
    found = json.loads(body)
    assert headers["content-type"] == "application/problem+json"
    assert headers["swarmtask-api"] == "1"
    assert found["status"] == status
    assert found["title"]
    return status, found["detail"]


def test_the_document_is_valid(document: Any) -> None:
    openapi_spec_validator.validate(document)
    assert document["openapi"].startswith("3.1.")
    assert document["servers"] == [{"url": BASE}]


def strict(schema: Any) -> Any:
    """Return schemas that allow no field but their own, so that a field cannot be left out of the document."""
    if isinstance(schema, dict):
        more = {"additionalProperties": False} if "properties" in schema else {}
        return {**{name: strict(value) for name, value in schema.items()}, **more}
    return [strict(item) for item in schema] if isinstance(schema, list) else schema


QUESTIONS = [
    "/projects",
    "/projects/shop/runs",
    "/projects/shop/runs?limit=2&branch=main&since=30d",
    "/projects/shop/report",
    "/projects/shop/report?compare={first}",
    "/projects/shop/report?run={second}&last=3",
    "/projects/shop/report?branch=none",
    "/projects/shop/explain",
    "/projects/shop/explain?run={second}",
    "/projects/shop/explain?tests=test_total",
    "/projects/shop/gate",
    "/projects/shop/gate?run={second}",
    "/projects/shop/status",
    "/projects/shop/tests",
    "/projects/shop/tests?text=total&limit=1",
    "/projects/shop/test?test=test_total&last=2",
    "/projects/shop/test?test=test_many",
    "/projects/shop/flaky",
    "/projects/shop/flaky?branch=none",
    "/projects/shop/tasks",
    "/projects/shop/tasks?branch=main&last=3",
    "/projects/shop/failures",
    "/projects/shop/failures?last=5&variant=none",
    "/projects/shop/slow?last=3",
    "/projects/shop/slow?branch=none",
    "/projects/shop/durations",
    "/projects/shop/comparison?compare={first}",
    "/projects/shop/last-results?tests=test_shop.py::test_total",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_are_as_in_the_document(team: HistoryServer, document: Any, shop: Shop, question: str) -> None:
    first, second = (session.start["trace_id"] for session in shop.sessions[:2])
    answer = team.server.json(BASE + question.format(first=first, second=second))
    path = question.partition("?")[0].replace("/shop", "/{project}")
    content = document["paths"][path]["get"]["responses"]["200"]["content"]
    schema = {**content["application/json"]["schema"], "components": strict(document["components"])}
    jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)


def test_every_path_is_asked(document: Any) -> None:
    asked = {question.partition("?")[0].replace("/shop", "/{project}") for question in QUESTIONS}
    assert set(document["paths"]) == asked


def test_every_path_is_in_the_documentation(document: Any) -> None:
    text = (REPOSITORY / "docs" / "api.md").read_text("utf-8")
    found = dict(re.findall(r"^\| `(/\S*)` \| (.*?)(?:: .*)? \|$", text, re.MULTILINE))
    parameters = {
        path: [one["name"] for one in methods["get"]["parameters"] if one["in"] == "query"]
        for path, methods in document["paths"].items()
    }
    of_forms = {"form", "full", "width", "style", "unicode", "zone"}
    assert {path: set(re.findall(r"`(\w+)`", words)) for path, words in found.items()} == {
        path: set(names) - of_forms for path, names in parameters.items()
    }
    assert set(re.findall(r"^- `(\w+)`", text, re.MULTILINE)) == of_forms


def test_the_objects_are_those_of_the_commands(team: HistoryServer, shop: Shop) -> None:
    for path, command in (
        ("report", ["report", "--json"]),
        ("test?test=test_total", ["tests", "test_total", "--json"]),
        ("runs", ["runs", "--json"]),
        ("failures?last=5", ["failures", "--json", "--last", "5"]),
        ("flaky", ["flaky", "--json"]),
        ("slow", ["slow", "--json"]),
        ("explain", ["explain", "--json"]),
    ):
        assert team.server.json(f"{OF_SHOP}/{path}") == json.loads(shop.swarmtask(*command).stdout)


def test_pages_of_runs(team: HistoryServer, shop: Shop) -> None:
    """Each run is on one page, newest first, also if another one comes meanwhile."""
    found: list[str] = []
    before: str | None = ""
    while before is not None:
        page = team.server.json(f"{OF_SHOP}/runs?limit=2{before and f'&before={before}'}")
        found += [one["run"] for one in page["runs"]]
        before = page["next"]
    assert found == [session.start["trace_id"] for session in shop.sessions[::-1]]


def test_the_media_types_of_forms(team: HistoryServer) -> None:
    for form, kind in (("text", "text/plain"), ("markdown", "text/markdown"), ("junit", "application/xml"),
                       ("html", "text/html"), ("json", "application/json")):  # fmt: skip
        status, headers, body = team.server.get(f"{OF_SHOP}/report?form={form}")
        assert (status, headers["content-type"].partition(";")[0]) == (200, kind)
        assert body
        assert headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("runs?limit=0", "limit is '0', expected a number from 1 to 1000"),
        ("runs?limit=many", "limit is 'many', expected a number from 1 to 1000"),
        ("runs?limit=1&limit=2", "limit is given 2 times, expected once"),
        ("gate?runs=x", "there is no parameter 'runs' here, expected: run, ci_run"),
        ("runs?before=zzz", "no run begins with 'zzz'; the last ones are "),
        ("runs?since=soon", "since: 'soon' is no time: expected a date such as 2026-01-31, or how long ago, "),
        ("runs?since=2026-99-99", "since: '2026-99-99' is no time"),
        ("runs?branch=a%00b", "branch has the character U+0000"),
        ("report?form=pdf", "form is 'pdf', expected one of: html, json, junit, markdown, text"),
        ("report?full=maybe", "full is 'maybe', expected 1 or 0"),
        ("report?width=0", "width is '0', expected a number from 1 to 1000"),
        ("report?zone=Mars%2FBase", "zone is 'Mars/Base', expected a name such as Europe/Berlin, or an offset as "),
        ("report?zone=..%2F..%2Fetc%2Fpasswd", "zone is '../../etc/passwd', expected a name"),
        ("report?zone=%2B9999", "zone is '+9999', expected a name"),
        (f"report?run={'a' * 65}", f"run is '{'a' * 40}', expected at most 64 characters"),
        ("report?form=junit&branch=none", "No run matches --branch none."),
        ("test", "a parameter is missing: test"),
        ("test?test=zzz", "no test is known whose node id contains 'zzz'"),
        ("comparison", "a parameter is missing: compare"),
        ("comparison?compare=a&branch=none", "no run matches branch and since"),
        ("status?run=a", "there is no parameter 'run' here, expected: "),
    ],
)
def test_wrong_parameters(team: HistoryServer, path: str, expected: str) -> None:
    status, detail = problem(team, f"{OF_SHOP}/{path}")
    assert status == 400
    assert detail.startswith(expected)


@pytest.mark.parametrize("since", ["7d", "2000-01-01", "2000-01-01T10:00:00.500+05:30", "0001-01-02"])
def test_times(team: HistoryServer, shop: Shop, since: str) -> None:
    assert len(team.server.json(f"{OF_SHOP}/runs?since={quote(since)}")["runs"]) == len(shop.sessions)


@pytest.mark.parametrize("name", ["null", "true", "1", "' OR 1=1 --", "%", "\u202e"])
def test_a_text_is_only_a_text(team: HistoryServer, name: str) -> None:
    """No branch has this name, and it means nothing else to the server."""
    assert team.server.json(f"{OF_SHOP}/runs?branch={quote(name)}")["runs"] == []
    assert team.server.json(f"{OF_SHOP}/tests?text={quote(name + '/')}")["tests"] == []


@pytest.mark.parametrize("path", ["/projects/none/runs", "/projects/none/report", "/nothing", ""])
def test_what_is_not_there(team: HistoryServer, path: str) -> None:
    status, detail = problem(team, BASE + path)
    assert status == 404
    assert detail == ("there is no project 'none'" if "none" in path else "there is nothing at this path")


def test_other_methods(team: HistoryServer) -> None:
    status, headers, body = team.server.request("POST", f"{OF_SHOP}/runs", b"{}", {})
    assert (status, json.loads(body)["status"], headers["content-type"]) == (405, 405, "application/problem+json")


def test_projects_know_nothing_of_each_other(team: HistoryServer, tmp_path: Path) -> None:
    """Two projects have the same runs of the same tests with the same errors; each is told of its own alone."""
    journal = tmp_path / ".taskmaster" / "events"
    for number in (1, 2):
        process = Process(journal, f"{number:032x}", BASE_TIME + number * 1000)
        events = process.session({"t.py::test_a": "failed"}, branch="main")
        events[2].metadata["fingerprint"] = "f00d"
        process.write(events)
    for project in ("one", "two"):
        team.push(tmp_path, project)
    told = [team.server.json(f"{BASE}/projects/{project}/report") for project in ("one", "two")]
    assert told[0] == told[1]
    (failure,) = told[0]["failures"]
    assert (failure["streak"], failure["same_error"], failure["same_error_runs"]) == (2, 0, 1)
    assert len(told[0]["trend"]) == 2
