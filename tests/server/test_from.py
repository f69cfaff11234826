"""Commands that ask a server print what they print for the same local history."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres, pushed
from tests.lab import Lab, closed_port, project_of
from tests.pushed import SQLITE, HistoryServer
from tests.shop import Shop, swarmtask
from tests.team import SECRET
from tests.watched import Terminal

ENGINES = [pytest.param(SQLITE, id="sqlite"), pytest.param(postgres.NEWEST, id="postgres18", marks=pytest.mark.long)]
FORMS = {
    "text": ["report"],
    "full": ["report", "--full"],
    "json": ["report", "--json"],
    "markdown": ["report", "--markdown"],
    "full markdown": ["report", "--markdown", "--full"],
    "junit": ["report", "--junit"],
    "last": ["report", "--last", "2", "--branch", "main", "--since", "30d"],
    "no branch": ["report", "--branch", "other"],
    "explain": ["explain"],
    "explain one": ["explain", "test_total"],
    "explain as json": ["explain", "--json"],
    "gate": ["gate"],
    "gate as json": ["gate", "--json"],
    "a test": ["tests", "test_total"],
    "a full test": ["tests", "test_db", "--full"],
    "a function": ["tests", "test_many"],
    "a repeated test": ["tests", "test_flaky", "--full"],
    "a test as json": ["tests", "test_flaky", "--json"],
    "runs": ["runs"],
    "runs as json": ["runs", "--json", "--last", "2"],
    "failures": ["failures", "--last", "5"],
    "slow": ["slow"],
    "flaky": ["flaky"],
    "flaky as json": ["flaky", "--json", "--last", "3"],
    "quarantine": ["quarantine", "suggest"],
    "durations": ["durations"],
}
TOKEN = "a-token-for-readers"


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HistoryServer]:
    """A server of the team, on each engine."""
    made = HistoryServer(tmp_path_factory.mktemp("server"), request.param)
    yield made
    made.server.close()


@pytest.fixture(scope="module")
def page_of_each(server: HistoryServer, shop: Shop) -> str:
    """The page of a project whose whole journal the server has, on each engine."""
    server.push(shop.suite.root, "shop")
    return server.page("shop")


@pytest.fixture(scope="module")
def page(shop: Shop) -> str:
    """The page of a project whose whole journal a server has."""
    pushed.server(SQLITE).push(shop.suite.root, "shop")
    return pushed.server(SQLITE).page("shop")


def without_deliveries(page: str) -> str:
    """Return the HTML page without what only the machine of a journal knows, and without the time when it was made."""
    page = re.sub(r'<section id="deliveries".*?</section>\n', "", page, flags=re.DOTALL)
    page = page.replace('<li><a href="#deliveries">Deliveries</a></li>\n', "")
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC[+-]\d{4}", "", page)


@pytest.mark.parametrize("command", FORMS.values(), ids=FORMS)
def test_the_output_is_the_same(shop: Shop, page_of_each: str, command: list[str]) -> None:
    local, remote = shop.swarmtask(*command), shop.swarmtask(*command, "--from", page_of_each)
    assert (local.returncode, local.stderr) == (remote.returncode, remote.stderr) == (0, "")
    assert remote.stdout == local.stdout
    assert local.stdout


def test_quarantine_goes_by_the_results_of_the_server(shop: Shop, page: str, tmp_path: Path) -> None:
    """How the tests of an entry ended lately, here and there."""
    root = tmp_path / "shop"
    shutil.copytree(shop.suite.root, root, ignore=shutil.ignore_patterns("history.sqlite*"))
    entry = "tests:\n- {test: 'test_shop.py::test_f*', reason: r, until: 2020-01-01}\n"
    (root / ".taskmaster" / "quarantine.yaml").write_text(entry)
    local, remote = (
        swarmtask(root, "quarantine", "list", "--json", *options).stdout for options in ((), ("--from", page))
    )
    (known,) = json.loads(local)["tests"]
    assert known["results"] > known["failed"] > 0
    assert remote == local


def test_each_run_is_the_same(shop: Shop, page_of_each: str) -> None:
    runs = [session.start["trace_id"] for session in shop.sessions]
    for run in runs:
        command = ["report", "--json", "--run", run, "--compare", runs[0]]
        assert shop.swarmtask(*command, "--from", page_of_each).stdout == shop.swarmtask(*command).stdout
        named = shop.swarmtask("report", "--json", "--compare", runs[0], "--from", f"{page_of_each}runs/{run}?a=b#top")
        assert named.stdout == shop.swarmtask(*command).stdout


def test_the_page_is_the_same_but_for_deliveries(shop: Shop, page: str, tmp_path: Path) -> None:
    pages = []
    for number, options in enumerate(([], ["--from", page])):
        file = tmp_path / f"{number}.html"
        done = shop.swarmtask("report", "--html", str(file), *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{file}: run {shop.sessions[-1].start['trace_id'][:12]}\n"
        pages.append(file.read_text("utf-8"))
    titles = [
        text.replace(f">{shop.suite.root.name}<", ">shop<").replace(shop.suite.root.name, "shop") for text in pages
    ]
    assert without_deliveries(titles[0]) == without_deliveries(titles[1])
    assert "Deliveries" in pages[0]
    assert "Deliveries" not in pages[1]


def test_status_is_the_end_of_the_local_one(shop: Shop, page: str) -> None:
    local, remote = (shop.swarmtask("status", *options) for options in ([], ["--from", page]))
    assert (remote.returncode, remote.stderr) == (0, "")
    assert remote.stdout == local.stdout[local.stdout.index("last run ") :]
    local, remote = (shop.swarmtask("status", "--json", *options) for options in ([], ["--from", page]))
    assert json.loads(remote.stdout) == {"last_run": json.loads(local.stdout)["last_run"]}


@pytest.mark.parametrize(
    "command",
    [["report", "--run", "zzz"], ["tests", "zzz"], ["tests", "test_"], ["report", "--junit", "--branch", "x"]],
)
def test_what_is_not_there_is_told_alike(shop: Shop, page: str, command: list[str]) -> None:
    local, remote = shop.swarmtask(*command), shop.swarmtask(*command, "--from", page)
    assert (local.returncode, local.stdout) == (remote.returncode, remote.stdout) == (2, "")
    assert remote.stderr == local.stderr


@pytest.mark.parametrize(
    ("command", "environ"),
    [
        (["report", "--full"], {}),
        (["report"], {"NO_COLOR": "1"}),
        (["tests", "test_total"], {"PYTHONIOENCODING": "ascii"}),
        (["flaky"], {}),
    ],
    ids=str,
)
def test_colours_and_width_are_those_of_the_terminal(
    shop: Shop, page: str, command: list[str], environ: dict[str, str]
) -> None:
    shown = [at_a_terminal(shop.suite.root, [*command, *more], environ) for more in ([], ["--from", page])]
    assert shown[0] == shown[1]
    assert b"\x1b[" in shown[0]


def at_a_terminal(root: Path, command: list[str], environ: dict[str, str]) -> bytes:
    """Return what a command shows at a terminal of 60 columns."""
    whole = {**os.environ, "TERM": "xterm-256color", **environ}
    terminal = Terminal([sys.executable, "-m", "pytest_swarmtask", *command], root, whole, 24, 60)
    try:
        assert terminal.end() == 0
        return terminal.shown
    finally:
        terminal.stop()


@pytest.mark.parametrize(
    "zone", ["Asia/Kathmandu", "America/New_York", "XYZ-3:30", "", "/usr/share/zoneinfo/Asia/Tokyo"]
)
def test_times_are_those_of_the_reader(shop: Shop, page: str, zone: str) -> None:
    """The server runs in another time zone than its readers."""
    local, remote = (shop.swarmtask("report", *options, TZ=zone) for options in ([], ["--from", page]))
    assert remote.stdout == local.stdout != shop.swarmtask("report", TZ="Pacific/Auckland").stdout


def test_a_project_asks_for_its_own_history(shop: Shop, page: str, tmp_path: Path) -> None:
    """The address of the server is enough: the project is the `source` of its events, or the name of its folder."""
    for folder, source in (("shop", None), ("other", "shop"), ("third", "/sh op/")):
        root = tmp_path / folder
        config = root / ".taskmaster" / "config" / "workflow.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"task_integration": {"source": source}} if source else {}))
        done = swarmtask(root, "report", SWARMTASK_SERVER=pushed.server(SQLITE).server.url)
        if folder == "third":
            assert (done.returncode, done.stderr) == (2, "swarmtask: there is no project 'sh-op'\n")
        else:
            assert (done.returncode, done.stdout) == (0, shop.swarmtask("report").stdout)
            assert "nothing has been recorded" in swarmtask(root, "report", SWARMTASK_SERVER="").stdout


def test_a_live_page_is_not_served_of_a_server(shop: Shop, page: str) -> None:
    done = shop.swarmtask("report", "--serve", "--from", f"{page}flaky")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"that of the server is at {page} already" in done.stderr


@pytest.mark.long
def test_through_real_relays(tmp_path: Path, server: HistoryServer) -> None:
    """A session whose relay sends its evidence to the server is there as it is here."""
    lab = Lab(tmp_path / "relayed")
    lab.environ["AUTOMATION_SECRET_KEY"] = SECRET
    lab.webhooks({"name": "team", "url": server.server.hook, "evidence": True, "batch": True})
    lab.file("test_it.py", "def test_a(): pass\ndef test_b():\n    print('on stdout')\n    assert [1, 2] == [1, 3]\n")
    lab.pytest()
    lab.wait_for_settled()
    lab.wait_for_end()
    server.refresh("relayed")
    for command in (["report", "--full"], ["report", "--json"], ["report", "--junit"], ["tests", "test_b", "--full"]):
        local, remote = lab.run(*command), lab.run(*command, "--from", server.server.url)
        assert (remote.returncode, remote.stderr) == (0, "")
        assert remote.stdout == local.stdout
        assert "on stdout" in local.stdout


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> Iterator[HistoryServer]:
    """A server that only those with the token may read."""
    made = HistoryServer(tmp_path_factory.mktemp("closed"), SQLITE, SWARMTASK_READ_TOKEN=TOKEN)
    made.push(shop.suite.root, "shop")
    yield made
    made.server.close()


class TestTokens:
    def test_the_token_opens_the_server(self, shop: Shop, closed: HistoryServer) -> None:
        done = shop.swarmtask("report", "--from", closed.page("shop"), SWARMTASK_READ_TOKEN=TOKEN)
        assert (done.returncode, done.stdout) == (0, shop.swarmtask("report").stdout)

    def test_no_token(self, shop: Shop, closed: HistoryServer) -> None:
        done = shop.swarmtask("report", "--from", closed.page("shop"))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"swarmtask: {closed.server.url} wants a token: set SWARMTASK_READ_TOKEN to one for readers\n"
        )

    def test_a_wrong_token_is_not_shown(self, shop: Shop, closed: HistoryServer) -> None:
        done = shop.swarmtask("report", "--from", closed.page("shop"), SWARMTASK_READ_TOKEN="wrong-one")
        expected = f"swarmtask: {closed.server.url} does not accept the token in SWARMTASK_READ_TOKEN\n"
        assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)
        assert "wrong-one" not in closed.server.log

    def test_a_token_does_not_leave_the_machine_unencrypted(self, shop: Shop) -> None:
        done = shop.swarmtask("report", "--from", "http://192.0.2.1/p/shop/", SWARMTASK_READ_TOKEN=TOKEN)
        expected = "swarmtask: http://192.0.2.1 would get the token of SWARMTASK_READ_TOKEN unencrypted: use https\n"
        assert (done.returncode, done.stderr) == (2, expected)

    def test_a_token_in_the_address_is_refused(self, shop: Shop) -> None:
        done = shop.swarmtask("report", "--from", f"https://me:{TOKEN}@ci.example/")
        assert done.returncode == 2
        assert "put the token into SWARMTASK_READ_TOKEN" in done.stderr
        assert TOKEN not in done.stderr

    @pytest.mark.parametrize("token", ["two words", "umläut", "a\x1b[31m"])
    def test_a_token_that_is_none(self, shop: Shop, token: str) -> None:
        done = shop.swarmtask("report", "--from", "http://127.0.0.1:1/p/shop/", SWARMTASK_READ_TOKEN=token)
        expected = "swarmtask: SWARMTASK_READ_TOKEN has a character that no token has, such as a space\n"
        assert (done.returncode, done.stderr) == (2, expected)


def test_a_server_that_is_away(shop: Shop) -> None:
    port = closed_port()
    done = shop.swarmtask("report", "--from", f"http://127.0.0.1:{port}/p/shop/")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"swarmtask: http://127.0.0.1:{port} cannot be asked: cannot connect")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["ci.example", "ftp://ci.example", "https://", "http://[::1", "http://a:99999"])
def test_an_address_that_is_none(shop: Shop, address: str) -> None:
    done = shop.swarmtask("report", "--from", address)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"swarmtask: --from: url .*\n", done.stderr)


def test_below_a_path_of_a_reverse_proxy(shop: Shop, tmp_path: Path) -> None:
    made = HistoryServer(tmp_path / "server", SQLITE, "--path-prefix", "/ci")
    try:
        made.push(shop.suite.root, "shop")
        for address in (f"{made.server.url}/ci/p/shop/flaky", f"{made.server.url}/ci/p/shop"):
            assert shop.swarmtask("report", "--from", address).stdout == shop.swarmtask("report").stdout
    finally:
        made.server.close()


def test_no_package_of_the_server_is_needed(shop: Shop, page: str, tmp_path: Path) -> None:
    """A client needs only the base installation."""
    for name in ("starlette", "uvicorn", "psycopg", "prometheus_client", "anyio"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not here')")
    done = shop.swarmtask("report", "--from", page, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, shop.swarmtask("report").stdout, "")


def test_the_checkout_tells_owners_and_links(shop: Shop, page: str, tmp_path: Path) -> None:
    """A server has no checkout, so it knows neither owners nor addresses of code."""
    root = tmp_path / "shop"
    shutil.copytree(shop.suite.root, root, ignore=shutil.ignore_patterns("history.sqlite*"))
    (root / "CODEOWNERS").write_text("* @shop\n")
    assert Path(project_of(root / ".taskmaster" / "events").root) == root
    local, remote = (json.loads(swarmtask(root, "report", "--json", *more).stdout) for more in ([], ["--from", page]))
    assert local["failures"][0]["owners"] == ["@shop"]
    for failure in local["failures"]:
        failure |= {"owners": None, "link": None}
    assert remote == local
