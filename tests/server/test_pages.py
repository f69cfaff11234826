"""The pages of `swarmtask serve`: what they say, that all links lead somewhere, and that nothing in them is obeyed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.history.store import SqliteStore
from pytest_swarmtask.server.pages import Pages
from tests import postgres
from tests.history.made import BASE, Process
from tests.lab import wait_until
from tests.report.test_html import HOSTILE, Read, hostile
from tests.served import Answer, Served, log_of, serving
from tests.server.proxy import proxied
from tests.shop import Shop, swarmtask
from tests.suite import Suite

__all__ = ["hostile"]

VARIANTS = ("cpython-3.10-linux", "cpython-3.12-linux")
MATRIX = "tests/test_matrix.py::test_both"


def made(folder: Path, number: int, tests: dict[str, str], **facts: Any) -> list[Any]:
    """Return the events of a run; a higher number is a later run."""
    return Process(folder / "made", f"{number:032x}", BASE + number * 1000).session(tests, **facts)


def fill(server: Served, shop: Shop, folder: Path) -> None:
    """Send the shop, a project with branches and variants, and one that has only begun."""
    server.push(shop.suite, "shop")
    for number, (branch, outcome) in enumerate(
        [("main", "passed"), ("main", "failed"), ("topic/a&b?c=d#e", "failed"), ("topic/a&b?c=d#e", "passed")], 1
    ):
        for variant in VARIANTS:
            wrong = outcome if variant == VARIANTS[1] else "passed"
            process = Process(folder / "made", f"{number:032x}", BASE + number * 1000)
            server.send(
                process.session({MATRIX: wrong}, branch=branch, variant=variant, commit=f"{number:040x}"), "matrix"
            )
    server.send([made(folder, 9, {"t.py::test_a": "passed"})[0]], "begun")
    server.settle()


@pytest.fixture(scope="module")
def server(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with projects, which tests only read."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder) as running:
        fill(running, shop, folder)
        yield running


def page(server: Served, path: str) -> Read:
    """Return a page that is there."""
    answer = server.get(path)
    assert answer.status == 200, (path, answer)
    return Read(answer.text)


class Sections(HTMLParser):
    """The readable text of each section of a page, by its id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._name = ""
        self._texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self._name = dict(attrs)["id"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._name = ""

    def handle_data(self, data: str) -> None:
        if self._name:
            self._texts.setdefault(self._name, []).append(data)

    def texts(self) -> dict[str, str]:
        """Return the texts, with single spaces."""
        return {name: " ".join(" ".join(texts).split()) for name, texts in self._texts.items()}


# -- all pages ---------------------------------------------------------------------------------------------------------


def links_of(read: Read, address: str) -> Iterator[str]:
    """Yield the addresses that a page at an address leads to, on its own host, as paths."""
    for _, attributes in read.tags:
        href = attributes.get("href")
        if href is not None and not href.startswith("https://ci.example/"):
            found = urllib.parse.urljoin(address, href)
            assert found.startswith("/"), href
            yield found


def crawl(server: Served, start: str = "/") -> dict[str, Read]:
    """Return all pages that can be reached by links, by their paths, after checks that every page must pass."""
    pages: dict[str, Read] = {}
    waiting = [server.path + start]
    while waiting:
        path, _, fragment = waiting.pop().partition("#")
        if path not in pages:
            assert path.startswith(f"{server.path}/"), path
            answer = server.get(path.removeprefix(server.path))
            assert answer.status == 200, (path, answer)
            check(answer)
            pages[path] = Read(answer.text)
            waiting += links_of(pages[path], path)
        ids = {attributes.get("id") for _, attributes in pages[path].tags}
        assert not fragment or fragment in ids, (path, fragment)
    return pages


def check(answer: Answer) -> None:
    """Check that a page allows its own style and script only, and has no other way to run or load anything."""
    read = Read(answer.text)
    policy = answer.headers["content-security-policy"]
    inside = next(a["content"] for _, a in read.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == f"{inside}; frame-ancestors 'none'"
    for text in (read.raw["script"][-1], read.raw["style"][0]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert len(read.raw["style"]) == 1
    data = [attributes for tag, attributes in read.tags if tag == "script" and attributes]
    assert data in ([], [{"type": "application/zlib", "id": "data"}])
    assert len(read.raw["script"]) == 1 + len(data)
    for tag, attributes in read.tags:
        assert tag not in {"link", "img", "iframe", "object", "base", "embed"}
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "src", "srcset"}]
        assert not (attributes.get("href") or "").lower().startswith(("javascript:", "data:"))
    assert ("form-action 'self'" in policy) == any(tag == "form" and a.get("id") != "filter" for tag, a in read.tags)
    assert ("connect-src 'self'" in policy) == ("data-live" in read.tags[0][1])


def test_every_link_leads_to_a_page(server: Served, shop: Shop) -> None:
    pages = crawl(server)
    for each in ("/", "/p/shop/", "/p/matrix/failures", "/p/shop/flaky", "/p/shop/slowest", "/p/begun/tests"):
        assert each in pages
    for session in shop.sessions:
        assert f"/p/shop/runs/{session.start['trace_id']}" in pages
    for test in shop.sessions[-1].outcomes():
        assert f"/p/shop/test?name={urllib.parse.quote(test, safe='')}" in pages


@pytest.mark.parametrize("cut", [True, False], ids=["the proxy cuts the prefix off", "the proxy passes the prefix on"])
def test_below_a_prefix(shop: Shop, tmp_path: Path, cut: bool) -> None:
    with serving(tmp_path, "--path-prefix", "/team/ci") as running, proxied(running, "/team/ci", cut=cut) as outside:
        fill(running, shop, tmp_path)
        pages = crawl(outside)
        assert "/team/ci/p/shop/flaky" in pages
        assert len(pages) > 20
        assert outside.get("").text == outside.get("/").text


def test_hostile_names_are_only_text(hostile: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "server") as running:
        running.push(Suite(hostile), "</title><script>hacked=1</script>")
        running.settle()
        pages = crawl(running)
        texts = [read.text for read in pages.values()]
        assert not [text for text in texts if set(text) & set("\x1b\x07\u202e\u2066\u2028")]
        names = {urllib.parse.unquote(path.partition("?name=")[2]) for path in pages}
        assert names >= {name for name in HOSTILE if len(name) < 1000}
        shown = "".join(texts)
        for text in (HOSTILE[0], HOSTILE[1], HOSTILE[2], "\\x1b[31mred", "\\u202eevil"):
            assert shown.count(text) >= 5, text
        assert "hacked" not in "".join(read.raw["script"][-1] for read in pages.values())


QUERIES = (
    "'; DROP TABLE run; --", "%", "_", "\\", '"', "<script>hacked=1</script>", "\x00", "\u202e", "x" * 5000,
    "\ud7ff\U0010ffff",
)  # fmt: skip


@pytest.mark.parametrize("value", QUERIES, ids=range(len(QUERIES)))
def test_hostile_parameters_are_only_text(server: Served, value: str) -> None:
    given = urllib.parse.quote(value, safe="")
    for path, name in (
        ("", "branch"), ("", "since"), ("", "before"), ("tests", "q"), ("tests", "after"), ("test", "name"),
        ("slowest", "branch"), (f"test?name={urllib.parse.quote(MATRIX)}", "variant"),
    ):  # fmt: skip
        answer = server.get(f"/p/matrix/{path}{'&' if '?' in path else '?'}{name}={given}")
        assert answer.status in {200, 400, 404}, (path, name, answer)
        check(answer)
    for path in (f"/p/{given}/", f"/p/matrix/runs/{given}", f"/{given}"):
        answer = server.get(path)
        assert answer.status == 404, path
        check(answer)


# -- what they say -----------------------------------------------------------------------------------------------------


def test_the_projects_with_the_newest_run_first(server: Served) -> None:
    read = page(server, "/")
    rows = [href for _, a in read.tags if (href := a.get("href") or "").startswith("/p/") and href.endswith("/")]
    assert rows == ["/p/shop/", "/p/begun/", "/p/matrix/"]
    assert "shop ✕ failed pytest_run" in read.text
    assert "begun … unfinished pytest_run" in read.text


def test_no_project_yet(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        assert "No project has sent anything yet." in page(running, "/").text


def test_the_page_on_a_run_says_what_the_report_says(server: Served, shop: Shop) -> None:
    for session in shop.sessions:
        run = session.start["trace_id"]
        report = swarmtask(shop.suite.root, "report", "--html", "-", "--run", run).stdout
        local, remote = Sections(report).texts(), Sections(server.get(f"/p/shop/runs/{run}").text).texts()
        assert "Deliveries" in local.pop("deliveries")
        assert set(remote) == set(local)
        trend = remote.pop("trend").replace("Coverage Changes", "Coverage").replace(" compare", "")
        assert {**remote, "trend": trend} == local


def test_comparing_with_another_run(server: Served, shop: Shop) -> None:
    first, *_, last = (session.start["trace_id"] for session in shop.sessions)
    assert f"Changed since run {first[:12]}" in page(server, f"/p/shop/runs/{last}?compare={first}").text
    answer = server.get(f"/p/shop/runs/{last}?compare=ffff")
    assert answer.status == 400
    assert "no run begins with" in Read(answer.text).text


def steps(read: Read) -> dict[str, str]:
    """Return the addresses of the links to the previous and the next page, by their relation."""
    return {str(a["rel"]): str(a["href"]) for tag, a in read.tags if tag == "a" and a.get("rel") in {"prev", "next"}}


def test_from_run_to_run(server: Served, shop: Shop) -> None:
    runs = [f"/p/shop/runs/{session.start['trace_id']}" for session in shop.sessions]
    for at, run in enumerate(runs):
        expected = {"prev": runs[at - 1] if at else None, "next": runs[at + 1] if at + 1 < len(runs) else None}
        assert steps(page(server, run)) == {relation: to for relation, to in expected.items() if to}


def runs_on(read: Read) -> list[str]:
    """Return the runs that a list of runs links to."""
    return [a["href"] or "" for tag, a in read.tags if tag == "a" and "/runs/" in (a.get("href") or "")]


def test_older_runs_page_by_page(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        for number in range(1, 121):
            at = BASE + number // 3 * 1000  # three runs begin at the same moment
            events = Process(tmp_path / "made", f"{number:032x}", at).session({"t.py::test_a": "passed"})
            running.send(events, "many")
        running.settle()
        path, found, pages = "/p/many/", [], 0
        while path:
            read = page(running, path)
            found += runs_on(read)
            pages += 1
            path = steps(read).get("next", "")
        assert pages == 3
        assert len(found) == len(set(found)) == 120
        assert found[-1].endswith("0001") or found[-1].endswith("0002")


def test_runs_of_a_branch_and_of_the_last_days(server: Served) -> None:
    branch = urllib.parse.quote("topic/a&b?c=d#e", safe="")
    assert [run[-1] for run in runs_on(page(server, f"/p/matrix/?branch={branch}"))] == ["4", "3"]
    assert [run[-1] for run in runs_on(page(server, "/p/matrix/?branch=main&since=4w"))] == ["2", "1"]
    late = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BASE + 3500))
    assert [run[-1] for run in runs_on(page(server, f"/p/matrix/?since={late}"))] == ["4"]
    assert "No run matches." in page(server, "/p/matrix/?branch=nobody").text
    assert "expected a date such as 2026-01-31" in server.get("/p/matrix/?since=soon").text


def test_what_fails_on_each_branch(server: Served) -> None:
    found = page(server, "/p/matrix/failures").text
    failing, _, well = found.partition("Nothing fails on")
    assert "main 1 run 000000000000 of" in failing
    assert f"✕ failed {MATRIX} ({VARIANTS[1]}) new: it passed before {MATRIX} is wrong" in failing
    assert "topic/a&b?c=d#e" not in failing
    assert "✓ completed topic/a&b?c=d#e" in well


def test_what_a_part_of_the_suite_leaves_out_still_fails(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        running.send(made(tmp_path, 1, {"t.py::test_a": "failed", "t.py::test_b": "passed"}, branch="main"), "p")
        part = made(tmp_path, 2, {"t.py::test_b": "passed"}, branch="main")
        part[-1].metadata |= {"tests": 1, "partial": True}
        running.send(part, "p")
        running.settle()
        assert "✕ failed t.py::test_a" in page(running, "/p/p/failures").text


def test_flaky_and_slowest_tests(server: Served) -> None:
    assert "test_shop.py::test_flaky cpython" in page(server, "/p/shop/flaky").text
    assert "passed when repeated, the last time in run" in page(server, "/p/shop/flaky").text
    assert "In the last 100 runs no test" in page(server, "/p/begun/flaky").text
    slowest = page(server, "/p/shop/slowest").text
    assert "the last complete one Test Took Usually Change test_shop.py::TestCart::test_add 0.4" in slowest
    assert "None of the last runs has tests." in page(server, "/p/shop/slowest?branch=nobody").text


def test_finding_a_test(server: Served) -> None:
    found = page(server, "/p/shop/tests?q=TestCart").text
    assert "test_shop.py::TestCart::test_add ✓ passed" in found
    assert "test_shop.py::TestCart::test_net ○ skipped" in found
    assert "test_total" not in found
    assert "No test has nothing in its node id." in page(server, "/p/shop/tests?q=nothing").text
    assert f"{MATRIX} ✓ passed 2" in page(server, "/p/matrix/tests").text


def test_tests_page_by_page(tmp_path: Path) -> None:
    names = [f"t.py::test_it[{number:03}]" for number in range(120)]
    with serving(tmp_path) as running:
        running.send(made(tmp_path, 1, dict.fromkeys(names, "passed")), "many")
        running.settle()
        path, found = "/p/many/tests?q=test_it", []
        while path:
            read = page(running, path)
            found += re.findall(r"t\.py::test_it\[\d+\]", read.text)
            path = steps(read).get("next", "")
        assert found == names


def test_the_history_of_a_test(server: Served, shop: Shop) -> None:
    found = page(server, f"/p/shop/test?name={urllib.parse.quote('test_shop.py::test_total')}").text
    assert re.search(r"outcome 3 of 5 failed .*duration median .*, longest", found)
    assert "Failing fails on main run" in found
    assert re.search(r"since .{16} at [0-9a-f]{10}, 3 runs in a row test_shop.py:12", found)
    assert "assert 4 == 3" in found
    assert "traceback" in found
    assert found.count("✓ passed") == 2
    flaky = page(server, f"/p/shop/test?name={urllib.parse.quote('test_shop.py::test_flaky')}").text
    assert "Flaky: 1 of its last 5 runs: passed when repeated, the last time in run" in flaky
    assert "attempt 2" in flaky


def test_the_history_of_a_test_with_variants(server: Served) -> None:
    path = f"/p/matrix/test?name={urllib.parse.quote(MATRIX)}"
    found = page(server, path).text
    assert f"fails on topic/a&b?c=d#e under {VARIANTS[1]}" not in found
    assert f"has passed since then on topic/a&b?c=d#e under {VARIANTS[1]}" in found
    assert f"fails on main under {VARIANTS[1]}" in page(server, f"{path}&branch=main").text
    assert page(server, f"{path}&variant={VARIANTS[0]}").text.count("✓ passed") == 4
    assert "✕ failed" not in page(server, f"{path}&variant={VARIANTS[0]}").text


def test_projects_do_not_see_each_other(tmp_path: Path) -> None:
    """Runs of one trace id and tests of one name in two projects stay apart; so does the number of equal errors."""
    with serving(tmp_path) as running:
        for project, outcome in (("good", "passed"), ("bad", "failed"), ("worse", "failed")):
            events = made(tmp_path, 1, {"t.py::test_a": outcome}, branch=project)
            if outcome == "failed":
                events[2].metadata["fingerprint"] = "f" * 16
            running.send(events, project)
        running.settle()
        test = f"test?name={urllib.parse.quote('t.py::test_a')}"
        for path in ("", "failures", "slowest", "tests", test, f"runs/{1:032x}"):
            assert "✕ failed" not in page(running, f"/p/good/{path}").text
            assert "same error" not in page(running, f"/p/bad/{path}").text


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    """The version changes with the run, and the page does not ask for it any more when the run has ended."""
    *begun, end = made(tmp_path, 1, {"t.py::test_a": "passed", "t.py::test_b": "passed"})
    run = f"/p/p/runs/{1:032x}"
    with serving(tmp_path) as running:
        running.send(begun[:-1], "p")
        running.settle()
        first = page(running, run).tags[0][1]
        assert first["data-live"] == f"{run}/version"
        assert first["data-version"] == running.get(f"{run}/version").text
        running.send([begun[-1], end], "p")
        wait_until(lambda: running.get(f"{run}/version").text != first["data-version"], "another version")
        wait_until(lambda: "data-live" not in page(running, run).tags[0][1], "the end of the run")
        assert "✓ completed" in page(running, run).text


# -- what cannot be shown ----------------------------------------------------------------------------------------------


def test_errors_are_pages_for_browsers_and_problems_for_programs(server: Served) -> None:
    for path, status, text in (
        ("/p/nobody/", 404, "there is no project 'nobody'"),
        ("/p/shop/runs/ffff", 404, "there is no such run"),
        ("/p/shop/test?name=nothing", 404, "there is no test of this name"),
        ("/p/shop/nowhere", 404, "Not Found"),
        ("/elsewhere/", 404, "Not Found"),
        ("/p/shop/?since=soon", 400, "'soon' is no time"),
    ):
        answer = server.get(path)
        assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), path
        assert text in Read(answer.text).text
        check(answer)
        problem = server.get(path, Accept="*/*")
        assert problem.headers["content-type"] == "application/problem+json"
        assert json.loads(problem.text)["status"] == problem.status == status
    problem = server.get("/api/v1/projects/nobody/runs")
    assert (problem.status, problem.headers["content-type"]) == (404, "application/problem+json")


def test_nobody_reads_without_a_token(tmp_path: Path) -> None:
    with serving(tmp_path, SWARMTASK_READ_TOKEN="secret") as running:
        for path in ("/", "/p/shop/", "/p/shop/runs/1/version"):
            answer = running.get(path)
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert "a read token is needed" in Read(answer.text).text
            check(answer)
        basic = base64.b64encode(b"me:secret").decode()
        assert running.get("/", Authorization=f"Basic {basic}").status == 200


@pytest.mark.slow
def test_a_database_that_is_away(tmp_path: Path) -> None:
    cluster = postgres.Cluster(postgres.programs(postgres.NEWEST), "fsync=off")
    try:
        with serving(tmp_path, "--database", cluster.url()) as running:
            running.send(made(tmp_path, 1, {"t.py::test_a": "passed"}), "p")
            cluster.stop()
            answer = running.get("/p/p/")
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert "Service Unavailable" in Read(answer.text).text
            check(answer)
            cluster.start()
            assert running.get("/p/p/").status == 200
    finally:
        cluster.remove()


@pytest.mark.long
def test_on_postgresql(shop: Shop, tmp_path: Path) -> None:
    """All pages are there, and say the same as on SQLite. A NUL, which PostgreSQL's texts cannot have, is refused."""
    with (
        serving(tmp_path / "a") as lite,
        serving(tmp_path / "b", "--database", postgres.new_history(postgres.NEWEST)) as big,
    ):
        for running in (lite, big):
            fill(running, shop, tmp_path)
        texts = [
            {path: read.text.partition("Made by pytest-swarmtask")[0] for path, read in crawl(running).items()}
            for running in (lite, big)
        ]
        assert set(texts[0]) == set(texts[1])
        for path, text in texts[0].items():
            assert text == texts[1][path], path
        assert big.get("/p/shop/tests?q=%00").status == 400
        assert big.get("/p/shop/?before=%00").status in {400, 404}
    assert "Exception" not in log_of(tmp_path / "b")


# -- speed -------------------------------------------------------------------------------------------------------------

PARAMETERS = {
    "/": "", "/p/{project}/": "branch=main&since=4w", "/p/{project}/runs/{run}": "",
    "/p/{project}/runs/{run}/version": "",
    "/p/{project}/failures": "", "/p/{project}/flaky": "", "/p/{project}/slowest": "branch=main",
    "/p/{project}/tests": "q=test", "/p/{project}/test": "name=test_shop.py%3A%3Atest_total&branch=main",
}  # fmt: skip
BIG = re.compile(r"SCAN (run|span|task|evidence|trace|event|flaky_test|flaky_run|shared_cause)\b")


def request(path: str, query: str, run: str) -> Request:
    """Return a request as Starlette would make it."""
    scope = {
        "type": "http",
        "method": "GET",
        "root_path": "",
        "path": path,
        "query_string": query.encode(),
        "headers": [],
    }
    return Request({**scope, "path_params": {"project": "shop", "run": run} if "{project}" in path else {}})


@pytest.fixture(scope="module")
def left(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The history that a server with the shop has left."""
    root = tmp_path_factory.mktemp("left")
    with serving(root) as running:
        running.push(shop.suite, "shop")
        running.settle()
    return Project(str(root)).server_history


@pytest.mark.parametrize("path", PARAMETERS)
def test_no_page_reads_a_whole_table(shop: Shop, left: str, path: str) -> None:
    store = SqliteStore(left, 1)
    answers: dict[str, Callable[[Request], Any]] = dict(Pages(store).routes())
    asked: list[str] = []
    with store.reading("shop") as db:
        assert isinstance(db, sqlite3.Connection)
    db.set_trace_callback(asked.append)
    answer = answers[path](request(path, PARAMETERS[path], shop.sessions[-1].start["trace_id"]))
    db.set_trace_callback(None)
    assert answer.status_code == 200
    questions = [each for each in dict.fromkeys(asked) if each.lstrip().startswith(("SELECT", "WITH"))]
    assert questions
    for question in questions:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {question}")]
        assert not [line for line in plan if BIG.match(line)], (question, plan)
    store.close()
