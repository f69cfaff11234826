"""`report --html` and `--serve` give one self-contained page with true figures that runs no code from the events."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import signal
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.history.made import Process, run
from tests.lab import clean_environ
from tests.shop import Shop, swarmtask
from tests.suite import Suite

HOSTILE = [
    "t.py::test_it[<script>hacked=1</script>]",
    "t.py::test_it[</script><img src=x onerror=hacked=1>]",
    "t.py::test_it[{{7*7}}{% raw %}]",
    "t.py::test_it[\x1b[31mred\x1b]0;title\x07]",
    "t.py::test_it[\u202eevil\u2066]",
    "t.py::test_it[\u2028\u2029&amp;\"'><!--]",
    "t.py::test_long[" + "x" * 10_000 + "]",
]


@pytest.fixture
def hostile(journal: Path) -> Path:
    """A project whose names and messages attempt every kind of injection."""
    process = Process(journal, "f" * 32)
    events = process.session(
        dict.fromkeys(HOSTILE, "failed"),
        branch="</title><script>hacked=1</script>",
        ci="x",
        ci_url="javascript:hacked=1",
    )
    for event, text in zip(events[2::2], HOSTILE, strict=False):
        event.metadata |= {"error": f"{text}\n{text[:300]}" * 2, "location": text, "worker": text[:200]}
    process.write(events)
    return journal.parents[1]


_NO_SPACE = "\u2060"
"""Stands for the places where a browser may break a name, which is one word for a reader."""


class Read(HTMLParser):
    """The parts of a page: tags with their attributes, texts, and the contents of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "wbr":
            self.texts.append(_NO_SPACE)
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.raw[self.cdata_elem][-1] += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """The readable text, with single spaces."""
        return " ".join(" ".join(self.texts).replace(f" {_NO_SPACE} ", "").split())

    @property
    def names(self) -> list[str]:
        """The names of the tests in the page's script."""
        return [row[1] for row in self.data["tests"]]

    @property
    def data(self) -> dict[str, Any]:
        """The data of the tests in the page's script."""
        found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(self.raw["script"][0])))
        return found


def page(root: Path, *arguments: str) -> Read:
    """Return the page of a run."""
    done = swarmtask(root, "report", "--html", "-", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return Read(done.stdout)


def test_a_file_that_needs_nothing_else(shop: Shop, tmp_path: Path) -> None:
    """The page loads nothing from elsewhere, and its policy only allows its own style and script."""
    target = tmp_path / "new folder" / "report.html"
    done = shop.swarmtask("report", "--html", str(target))
    assert (done.returncode, done.stderr) == (0, f"swarmtask: made the folder {target.parent}\n")
    assert done.stdout.startswith(f"{target}: run {shop.sessions[-1].start['trace_id'][:12]}")
    found = Read(target.read_text("utf-8"))
    loading = {"src", "srcset", "data", "poster", "action", "formaction", "background", "style"}
    assert not [tag for tag in found.tags if loading & set(tag[1])]
    assert {tag for tag, _ in found.tags} & {"link", "img", "iframe", "object", "base", "embed"} == set()
    hrefs = [str(attributes["href"]) for _, attributes in found.tags if "href" in attributes]
    assert all(href.startswith("#") for href in hrefs)
    assert {href[1:] for href in hrefs} <= {attributes.get("id") for _, attributes in found.tags}
    policy = next(a["content"] or "" for _, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; ")
    for text in (found.raw["script"][1], found.raw["style"][0]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert "connect-src" not in policy
    assert not re.search(r"url\(|@import|https?:", found.raw["style"][0])


def test_what_it_says(shop: Shop) -> None:
    """Without JavaScript, the page shows totals, failures with details and streaks, slowest, flaky and all tests."""
    found = page(shop.suite.root).text
    assert "✕ failed pytest_run" in found
    assert re.search(r"✕ failed test_shop\.py::test_total (?:[▁▂▄█]+ )+since ", found)
    assert ", 3 runs in a row test_shop.py:12 " in found
    assert "AssertionError: first line second line" in found
    assert "in teardown RuntimeError: connection lost" in found
    assert "new: it passed before" in found
    slowest = found.partition("Slowest Test Took Usually Change ")[2].partition("Flaky")[0]
    assert re.search(r"test_shop.py::TestCart::test_add \d+\.\d+ m?s \d+\.\d+ m?s ", slowest)
    assert "test_shop.py::test_flaky passed when repeated 1" in found
    assert "The last 5 runs of pytest_run outcome 3 of 5 failed" in found
    assert "Changed since run " in found
    assert "✕ newly failing 1 test_shop.py::test_db" in found


@pytest.mark.local
def test_it_says_if_nothing_is_delivered(shop: Shop) -> None:
    assert "No webhook was configured" in page(shop.suite.root).text


def test_comparing(shop: Shop) -> None:
    """`--compare` chooses the run to compare with; the default is the previous run."""
    runs = [session.start["trace_id"] for session in shop.sessions]
    assert f"Changed since run {runs[3][:12]}" in page(shop.suite.root).text
    found = page(shop.suite.root, "--compare", runs[0]).text
    assert f"Changed since run {runs[0][:12]}" in found
    assert "✕ newly failing 2" in found
    assert "There is no earlier run of the same tests." in page(shop.suite.root, "--run", runs[0]).text


def test_the_tests_in_it(shop: Shop) -> None:
    """The page's script gets every test with its outcome and the place of its failure on the page."""
    found = page(shop.suite.root)
    data = found.data
    told = {name: outcome for outcome, name, *_ in data["tests"]}
    assert told == shop.sessions[-1].outcomes()
    failures = {row[1]: row[5] for row in data["tests"] if row[5]}
    headings = re.findall(r"failed (test_shop\.py::\w+) (?:[▁▂▄█]+ )+(?:since|new)", found.text)
    assert {name: f"failure-{number}" for name, number in failures.items()} == {
        name: f"failure-{number}" for number, name in enumerate(headings, 1)
    }


def test_the_timeline(shop: Shop) -> None:
    """In the timeline, tests are below their session, workers have lanes, and failures are named and drawn higher."""
    parallel = shop.sessions[3]
    found = page(shop.suite.root, "--run", parallel.start["trace_id"])
    workers = {event["metadata"].get("worker") for event in parallel.events} - {None}
    lanes = found.text.partition("Timeline")[2].partition("The last")[0]
    assert len(workers) > 1
    assert all(re.search(rf"{worker} . \d+ tests?", lanes) for worker in workers)
    rects = [a for tag, a in found.tags if tag == "rect" and a.get("class") == "bad" and a["y"] == "0"]
    assert {a["height"] for a in rects} >= {"16"}


def test_make_targets_are_in_the_timeline(journal: Path) -> None:
    """The timeline nests targets, sessions and tests, and draws an unfinished span up to the end."""
    process = Process(journal, "a" * 32)
    outer, inner = process.ids.span(), process.ids.span()
    session = process.session({"t.py::test_a": "passed", "t.py::test_b": "failed"})
    for event in session:
        if event.event_type.startswith("TASK_"):
            event.parent_span_id = inner
    start = [process.event("TASK_STARTED", "make_ci", outer), process.event("BUILD_STARTED", "make_test", inner, outer)]
    process.write([*start, *session, process.event("BUILD_FAILED", "make_test", inner, outer, duration=6.0)])
    lanes = page(journal.parents[1]).text.partition("Timeline")[2].partition("The last")[0]
    names = re.findall(r"(make_ci|make_test|pytest_run|tests) [✕✓…]", lanes)
    assert names == ["make_ci", "make_test", "pytest_run", "tests"]


def test_hostile_texts_are_text(hostile: Path) -> None:
    """Names and messages add no tag or attribute, and no character reverses or hides the page's text."""
    done = swarmtask(hostile, "report", "--html", "-")
    found = Read(done.stdout)
    assert [tag for tag, _ in found.tags].count("script") == 2
    assert "img" not in {tag for tag, _ in found.tags}
    assert not [a for _, a in found.tags if any(name.startswith("on") for name in a)]
    assert "javascript:" not in " ".join(str(a.get("href")) for _, a in found.tags)
    assert not {each for each in done.stdout if not each.isprintable() and each != "\n"}
    assert "{{7*7}}" in found.text
    assert "\\u202eevil" in found.text
    assert HOSTILE[0] in found.names
    assert "</script" not in "".join(found.raw["script"])


def test_five_thousand_tests(journal: Path) -> None:
    """The page of 5,000 tests, 40 of which failed, is below 300 kB."""
    tests = {f"tests/unit/test_module_{n % 50}.py::TestSomething::test_case[{n}-value]": "passed" for n in range(4_960)}
    tests |= {f"tests/unit/test_bad.py::test_{n}": "failed" for n in range(40)}
    run(journal, 1, tests)
    done = swarmtask(journal.parents[1], "report", "--html", "-")
    assert len(done.stdout.encode()) < 300_000
    assert set(Read(done.stdout).names) == set(tests)


@pytest.mark.long
def test_twenty_thousand_tests(journal: Path) -> None:
    """The page of 20,000 tests is below 1 MB, draws few rows at first, and has a timeline of limited size."""
    tests = {
        f"tests/unit/test_module_{n % 200}.py::TestSomething::test_case[{n}-value]": "passed" for n in range(19_990)
    }
    tests |= {f"tests/unit/test_bad.py::test_{n}": "failed" for n in range(10)}
    run(journal, 1, tests)
    done = swarmtask(journal.parents[1], "report", "--html", "-")
    assert len(done.stdout.encode()) < 1_000_000
    found = Read(done.stdout)
    assert len(found.data["tests"]) == 20_000
    assert set(found.names) == set(tests)
    assert len(found.tags) < 5_000
    assert "20,000 tests" in found.text
    assert "The first 50 of 20,000 tests" in found.text


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    """Without a run, the page says so, and the exit code is 0."""
    (tmp_path / ".taskmaster").mkdir()
    done = swarmtask(tmp_path, "report", "--html", str(tmp_path / "r.html"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "there is no run to show" in done.stdout
    assert "There is no run to show" in Read((tmp_path / "r.html").read_text("utf-8")).text


def test_a_file_that_cannot_be_written(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = shop.swarmtask("report", "--html", str(tmp_path / "file" / "r.html"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "r.html cannot be written: " in done.stderr


# -- --serve -------------------------------------------------------------------------------------------------------


@contextmanager
def serving(root: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve the report of a project; yield the process and its port."""
    command = [sys.executable, "-m", "pytest_swarmtask", "report", "--serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command, cwd=root, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield process, int(re.findall(r"http://127\.0\.0\.1:(\d+)/", line)[0])
        finally:
            process.kill()


def get(port: int, path: str = "/", host: str | None = None) -> tuple[int, str, dict[str, str]]:
    """Return the status, body and headers of an answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()}


def complaints_at_the_end(process: subprocess.Popen[str]) -> str:
    """End a server with Ctrl-C, which it takes as success. Return what it has written to standard error."""
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert process.stderr is not None
    return process.stderr.read()


def test_serving(project: Suite) -> None:
    """The served page has its policy, its version changes after new events, and Ctrl-C ends the server with 0."""
    project.write(test_it="def test_a(): pass")
    with serving(project.root) as (process, port):
        status, body, _ = get(port)
        assert (status, "There is no run to show" in body) == (200, True)
        before = get(port, "/version")[1]
        assert before == get(port, "/version?again")[1]
        project.pytest()
        assert get(port, "/version")[1] != before
        status, body, headers = get(port)
        assert (status, "1 test" in Read(body).text) == (200, True)
        assert "connect-src 'self'" in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert get(port, "/../../etc/passwd")[0] == 404
        assert complaints_at_the_end(process) == ""


def test_serving_this_machine_alone(shop: Shop) -> None:
    """The server refuses requests for other host names and invalid requests, without printing anything."""
    with serving(shop.suite.root) as (process, port):
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port}.evil.example"):
            status, body, _ = get(port, "/", host)
            assert (status, "pytest_run" in body) == (421, False)
        assert get(port, "/", f"localhost:{port}")[0] == 200
        for nonsense in (
            b"\x16\x03\x01\x02\x00",
            b"GET\r\n\r\n",
            b"GET / HTTP/9\r\n\r\n",
            b"\xff" * 70_000,
            b"POST / HTTP/1.1\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.sendall(nonsense)
                connection.shutdown(socket.SHUT_WR)
                try:
                    answer = connection.recv(65536)
                except ConnectionError:
                    answer = b""
                assert b"pytest_run" not in answer
                assert b"Traceback" not in answer
        assert get(port)[0] == 200
        assert complaints_at_the_end(process) == ""


def test_a_port_that_is_taken(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = shop.swarmtask("report", "--serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "cannot listen on 127.0.0.1:" in done.stderr


def test_serving_a_run_that_is_not_there(shop: Shop) -> None:
    """For an unknown run, the served page says that the run does not exist."""
    with serving(shop.suite.root, "--run", "zzz") as (_, port):
        status, body, _ = get(port)
    assert (status, "no run begins with 'zzz'" in body) == (503, True)
