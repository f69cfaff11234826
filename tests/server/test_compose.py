"""The file for Docker Compose is valid, and what it starts works: its parts run here, without containers."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from pytest_swarmtask.cli.serve import PORT
from tests.ci.runner import check_schema
from tests.lab import REPOSITORY, wait_until
from tests.postgres import NEWEST, Cluster, programs
from tests.team import SECRET, Server, batch, session, signed

FILE = REPOSITORY / "examples" / "team" / "compose.yaml"
VALUES = {
    "SITE": "ci.example.com",
    "AUTOMATION_SECRET_KEY": SECRET,
    "SWARMTASK_READ_TOKEN": "correct-horse-battery-staple",
    "POSTGRES_PASSWORD": "p@ss:w/r%d #1",
}
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]*\}")


def services() -> dict[str, Any]:
    """Return the services, with the variables filled in as Compose does."""

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(one) for name, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        return REQUIRED.sub(lambda found: VALUES[found[1]], value) if isinstance(value, str) else value

    found: dict[str, Any] = filled(yaml.safe_load(FILE.read_text()))["services"]
    return found


@pytest.mark.slow
def test_it_is_valid_by_the_published_schema() -> None:
    check_schema("vendor.compose-spec", FILE)


def test_it_names_the_variables_that_must_be_set_and_has_no_others() -> None:
    text = FILE.read_text()
    head, _, rest = text.partition("name: swarmtask")
    assert set(re.findall(r"^# +([A-Z_]+)=", head, re.MULTILINE)) == set(VALUES)
    assert set(REQUIRED.findall(rest)) == set(VALUES)
    assert "$" not in REQUIRED.sub("", rest)


def test_only_the_proxy_can_be_reached_and_it_asks_the_servers_on_their_port() -> None:
    assert [name for name, service in services().items() if "ports" in service] == ["proxy"]
    assert f"dynamic a serve {PORT} " in FILE.read_text()
    assert "--port" not in services()["serve"]["command"]


@pytest.fixture
def database() -> Iterator[Cluster]:
    """A server with the user and the database that the image makes, which asks for the password."""
    service = services()["database"]
    assert service["image"] == f"postgres:{NEWEST}"
    user, password = service["environment"]["POSTGRES_USER"], service["environment"]["POSTGRES_PASSWORD"]
    cluster = Cluster(programs(NEWEST))
    try:
        with psycopg.connect(cluster.url(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD '{password}'")
            connection.execute(f"CREATE DATABASE {user} OWNER {user}")
            (cluster.folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: not _lets_in(cluster.url()), "a server that asks for passwords")
        yield cluster
    finally:
        cluster.remove()


def _lets_in(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.mark.long
def test_its_server_runs_with_its_command_and_environment(tmp_path: Path, database: Cluster) -> None:
    service = services()["serve"]
    program, command, *arguments = service["command"]
    assert (program, command) == ("swarmtask", "serve")
    environ = service["environment"]
    environ["SWARMTASK_DATABASE"] = environ["SWARMTASK_DATABASE"].replace("@database/", f"@127.0.0.1:{database.port}/")
    server = Server(tmp_path, arguments=arguments, **environ).start()
    try:
        assert _check(service, {"python": sys.executable}, {str(PORT): str(server.port)}) == 0
        server.send(session(test_a="passed"))
        path = "/api/v1/projects/shop/runs"
        reader = {"Authorization": f"Bearer {VALUES['SWARMTASK_READ_TOKEN']}"}
        wait_until(lambda: [run["tests"] for run in server.json(path, **reader)["runs"]] == [1])
        assert server.get(path)[0] == 401

        # The proxy says whose requests they are, so that one wrong machine does not keep others waiting.
        body = batch(session(test_a="passed"))
        headers = {**signed(body, "whsec_d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc="), "X-Forwarded-For": "203.0.113.7"}
        assert server.request("POST", "/hook", body, headers)[0] == 401
        refused = [line for line in map(json.loads, server.log.splitlines()) if line.get("status") == 401]
        assert "203.0.113.7" in [line.get("client") for line in refused]
        assert server.kill(signal.SIGTERM) == 0
        assert _check(service, {"python": sys.executable}, {str(PORT): str(server.port)}) != 0
    finally:
        server.close()


@pytest.mark.slow
def test_the_check_of_its_database_tells_whether_it_runs(database: Cluster) -> None:
    service, program = services()["database"], programs(NEWEST) / "pg_isready"
    port = f"--port={database.port}"
    assert _check(service, {"pg_isready": str(program)}, {}, port) == 0
    database.stop()
    assert _check(service, {"pg_isready": str(program)}, {}, port) != 0


def _check(service: Any, found: dict[str, str], changes: dict[str, str], *more: str) -> int:
    """Run the health check of a service, with programs from here, and return its exit code."""
    kind, program, *arguments = service["healthcheck"]["test"]
    assert kind == "CMD"
    for old, new in changes.items():
        arguments = [argument.replace(old, new) for argument in arguments]
    return subprocess.run([found[program], *arguments, *more], capture_output=True, check=False).returncode
