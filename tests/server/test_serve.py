"""`swarmtask serve` as a command: what it prints and refuses, who may read, how it starts and ends."""

from __future__ import annotations

import base64
import json
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.lab import clean_environ, wait_until
from tests.postgres import NEWEST, Cluster, new_history, programs
from tests.team import SECRET, Server, batch, session, signed

TOKEN = "correct-horse-battery-staple"


def serve(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is to end by itself."""
    (folder / ".taskmaster" / "config").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pytest_swarmtask", "serve", "--port=0", *arguments]
    environment = clean_environ(**environ)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_first_start(tmp_path: Path) -> None:
    """The server makes a secret, tells it once, and keeps it where only its owner can read it."""
    server = Server(tmp_path, AUTOMATION_SECRET_KEY="").start()
    try:
        lines = (tmp_path / "out").read_text().splitlines()
        assert lines[0] == f"{server.url}/ shows the runs until Ctrl-C. Projects send their events there with:"
        assert lines[1] == f"  export TASKMASTER_WEBHOOK_URL={server.hook}"
        secret = lines[2].removeprefix("  export AUTOMATION_SECRET_KEY=")
        assert server.post(batch(session(test_a="passed")), secret) == (204, "")
        kept = tmp_path / ".taskmaster" / "server" / "secret"
        assert kept.read_text() == f"{secret}\n"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
        assert server.kill(signal.SIGTERM) == 0
        server.start()
        assert secret not in (tmp_path / "out").read_text().splitlines()[-1]
        assert server.refreshed("shop", lambda run: run["tests"] == 1)
    finally:
        server.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    server = Server(tmp_path).start()
    try:
        assert server.post(batch(session(test_a="passed"))) == (204, "")
        assert server.kill(number) == 0
        assert "Traceback" not in server.log
    finally:
        server.close()


def test_beyond_loopback_only_with_a_token(tmp_path: Path) -> None:
    done = serve(tmp_path, "--host", "0.0.0.0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "everybody who can reach it could read" in done.stderr
    assert "SWARMTASK_READ_TOKEN" in done.stderr
    assert "--open" in done.stderr


@pytest.mark.parametrize("arguments", [("--host=0.0.0.0", "--open"), ("--host=0.0.0.0",)])
def test_beyond_loopback(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    token = "" if "--open" in arguments else TOKEN
    server = Server(tmp_path, arguments=arguments, SWARMTASK_READ_TOKEN=token).start()
    try:
        assert server.get("/api/v1/projects")[0] == (401 if token else 200)
    finally:
        server.close()


def test_readers(tmp_path: Path) -> None:
    """A token is asked for everywhere but where a machine asks for health; it is a bearer token or a password."""
    server = Server(tmp_path, SWARMTASK_READ_TOKEN=TOKEN).start()
    try:
        assert server.post(batch(session(test_a="passed"))) == (204, "")
        for path in ("/api/v1/projects", "/api/v1/projects/shop/report", "/metrics"):
            status, headers, text = server.get(path)
            assert (status, TOKEN.encode() in text) == (401, False)
            assert headers["www-authenticate"].startswith("Basic ")
        assert {server.get(path)[0] for path in ("/healthz", "/readyz")} == {200}
        basic = base64.b64encode(f"me:{TOKEN}".encode()).decode()
        for offered in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", f"Basic {basic}"):
            assert server.get("/api/v1/projects", Authorization=offered)[0] == 200
        for offered in (
            "",
            "Bearer",
            f"Bearer {TOKEN}x",
            f"Bearer {SECRET}",
            "Basic !",
            f"Token {TOKEN}",
            "Basic bWU6",
        ):
            assert server.get("/api/v1/projects", Authorization=offered)[0] == 401
        assert TOKEN not in server.log
    finally:
        server.close()


def test_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / ".taskmaster" / "config").mkdir(parents=True)
    file = tmp_path / ".taskmaster" / "config" / "workflow.yaml"
    file.write_text("server: {projects: {shop: {secret_env: SHOP_KEY}}}")
    done = serve(tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        "swarmtask: server.projects.shop.secret_env: the variable SHOP_KEY is not set\n",
    )
    done = serve(tmp_path, SHOP_KEY="short")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "at least 16" in done.stderr or "at least 24" in done.stderr or "at least" in done.stderr
    file.write_text("server: {projects: {shop: {secret: abc}}}")
    assert "secret_env" in serve(tmp_path).stderr


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("postgresql://x:y@127.0.0.1:99999/db", "has the port '99999'"),
        ("postgresql://x:y@127.0.0.1/db?nonsense=1", "the address of the database cannot be read"),
        ("/dev/null/history.sqlite", "cannot be used"),
        (".", "cannot be used"),
    ],
)
def test_a_database_that_cannot_be(tmp_path: Path, database: str, told: str) -> None:
    done = serve(tmp_path, "--database", database)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr
    assert ":y@" not in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / ".taskmaster"]


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = serve(tmp_path, f"--port={other.getsockname()[1]}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot listen on 127.0.0.1:" in done.stderr


@pytest.mark.long
def test_it_waits_for_its_database(tmp_path: Path) -> None:
    """The database may start later than the server, and may go away: then requests are to come again."""
    cluster = Cluster(programs(NEWEST))
    server = Server(tmp_path / "server", cluster.url())
    try:
        cluster.stop()
        command = [sys.executable, "-m", "pytest_swarmtask", "serve", "--port=0", f"--database={cluster.url()}"]
        (tmp_path / ".taskmaster").mkdir()
        early = subprocess.Popen(
            command, cwd=tmp_path, env=clean_environ(), stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert early.stderr is not None
        assert b"the database cannot be reached" in early.stderr.readline()
        cluster.start()
        assert early.stdout is not None
        assert b"shows the runs" in early.stdout.readline()
        early.terminate()
        early.communicate(timeout=30)
        assert early.returncode == 0
        server.start()
        cluster.stop()
        body = batch(session(test_a="passed"))
        status, headers, _ = server.request("POST", "/hook", body, signed(body))
        assert (status, headers["retry-after"]) == (503, "5")
        assert server.get("/readyz")[0] == 503
        assert server.get("/healthz")[0] == 200
        cluster.start()
        wait_until(lambda: server.post(body)[0] == 204)
        assert server.refreshed("shop", lambda run: run["tests"] == 1)
    finally:
        server.close()
        cluster.remove()


def test_a_newer_database(tmp_path: Path) -> None:
    url = new_history(NEWEST)
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE swarmtask.schema_version SET version = 999")
    done = serve(tmp_path, "--database", url)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "newer version" in done.stderr


def test_below_a_path(tmp_path: Path) -> None:
    """A proxy may pass the whole path on, or cut the prefix off."""
    server = Server(tmp_path, arguments=["--path-prefix", "/ci/"]).start()
    try:
        for path in ("/ci/api/v1/projects", "/api/v1/projects", "/ci/healthz", "/healthz"):
            assert server.get(path)[0] == 200
        assert server.get("/cix/healthz")[0] == 404
    finally:
        server.close()


def test_the_log(tmp_path: Path) -> None:
    server = Server(tmp_path, arguments=["--log-json"]).start()
    try:
        server.get("/nothing%1B%5B31m")
        server.post(b"{}", "whsec_" + "QUJD" * 8)
        wait_until(lambda: server.log.count("\n") >= 3)
        entries = [json.loads(line) for line in server.log.splitlines()]
        assert {entry["event"] for entry in entries} == {"request", "refused"}
        assert all(entry.keys() >= {"time", "level"} for entry in entries)
    finally:
        server.close()


def test_without_the_extra(tmp_path: Path) -> None:
    """Without the packages of the extra, the command says which to install, and nothing else needs them."""
    program = """
import sys
class Missing:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("starlette", "uvicorn", "psycopg", "psycopg_pool", "prometheus_client", "anyio"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from pytest_swarmtask.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    (tmp_path / ".taskmaster").mkdir()
    for arguments, code, told in ((["serve"], 2, "pip install 'pytest-swarmtask[server]'"), (["report"], 0, "")):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path,
            env=clean_environ(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, told in done.stderr) == (code, True)
