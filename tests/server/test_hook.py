"""Who may write to a server, what it refuses, and that each event is stored once. The server is a real process."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.lab import wait_until
from tests.team import OTHER, SECRET, Server, batch, session, signed

ENGINES = [pytest.param("", id="sqlite"), pytest.param(postgres.NEWEST, id="postgres18")]
ROLES = """
access_control:
  roles:
    tester: {allow: ["emit:TEST_*", "emit:TASK_*"], secret_env: TESTER_KEY}
"""
PROJECTS = """
server:
  projects:
    shop: {secret_env: [SHOP_NEW, SHOP_OLD]}
"""


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the team, on each engine."""
    database = postgres.new_history(request.param) if request.param else ""
    found = Server(tmp_path_factory.mktemp("server"), database).start()
    yield found
    found.close()


def serving(folder: Path, workflow: str, **environ: str) -> Server:
    """Return a server with a configuration."""
    path = folder / ".taskmaster" / "config" / "workflow.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(workflow, "utf-8")
    return Server(folder, **environ).start()


def test_each_event_once(server: Server) -> None:
    events = session("once", test_a="passed", test_b="failed")
    for _ in range(3):
        server.send(events)
    server.send(events[:3])
    run = server.refreshed("once", lambda run: run["outcome"] == "failed")
    assert (run["tests"], run["counts"]) == (2, {"passed": 1, "failed": 1})


@pytest.mark.parametrize("attack", ["unsigned", "forged", "stale", "future", "changed", "empty signature"])
def test_forged_requests(server: Server, attack: str) -> None:
    body = batch(session("forged", test_a="passed"))
    headers = signed(body, OTHER if attack == "forged" else SECRET)
    if attack == "unsigned":
        del headers["webhook-signature"]
    elif attack == "empty signature":
        headers["webhook-signature"] = ""
    elif attack in ("stale", "future"):
        headers = signed(body, at=time.time() + (-3600 if attack == "stale" else 3600))
    elif attack == "changed":
        body = body.replace(b"test_a", b"test_x")
    status, _, text = server.request("POST", "/hook", body, headers)
    assert status == 401
    assert SECRET.encode() not in text
    assert server.get("/api/v1/projects/forged/runs")[0] == 404


def test_a_request_that_is_sent_again(server: Server) -> None:
    """A replayed request is valid while its timestamp is, and changes nothing."""
    body = batch(session("replayed", test_a="passed"))
    headers = signed(body)
    assert [server.request("POST", "/hook", body, headers)[0] for _ in range(3)] == [204, 204, 204]
    run = server.refreshed("replayed", lambda run: run["outcome"] == "completed")
    assert run["tests"] == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"[1]", 400),
        (b'[{"event_type": "TEST_PASSED"}]', 400),
        (b'{"event_type": "WHATEVER", "id": "x"}', 400),
        (b"[" * 100_000, 400),
        (b'[{"a": "\xff"}]', 400),
        (b"[" + b"{}," * 10_001 + b"{}]", 413),
        (b" " * 5_000_001, 413),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else str(value),
)
def test_bodies_that_are_no_events(server: Server, body: bytes, status: int) -> None:
    assert server.post(body)[0] == status


def test_a_batch_with_a_stranger_is_refused_whole(server: Server) -> None:
    """Its sender splits it, and keeps the one event that the server does not know."""
    events = session("whole", test_a="passed")
    events[1].event_type = "TEST_OF_THE_FUTURE"
    status, text = server.post(batch(events))
    assert status == 400
    assert "element 1 " in text
    assert server.get("/api/v1/projects/whole/runs")[0] == 404


def test_hostile_fields(server: Server) -> None:
    """Markup, SQL, NULs, half surrogates and long texts are stored as texts, or refused; nothing else breaks."""
    hostile = "'; DROP TABLE run; --<script>alert(1)</script>\x00\x1b[31m%s%(x)s?1:a\\"
    events = session(hostile, trace=hostile, **{hostile: "failed", "x" * 100_000: "passed"})
    for event in events:
        event.metadata |= dict.fromkeys(("branch", "ci_url", "host", "command", "worker", "location", "error"), hostile)
    server.send(events)
    (name,) = [p["project"] for p in server.json("/api/v1/projects")["projects"] if "DROP" in p["project"]]
    assert name.isascii()
    assert name.replace("-", "").isalnum()
    run = server.refreshed(name, lambda run: run["outcome"] == "failed")
    assert (run["tests"], run["branch"]) == (2, hostile.replace("\x00", "\\x00"))
    (failure,) = server.json(f"/api/v1/projects/{name}/report")["failures"]
    assert failure["task_id"] == hostile.replace("\x00", "\\x00")
    huge = session("huge", test_a="passed")
    huge[-1].metadata |= {"exit_code": 10**300, "duration": 1e308, "tests": -1, "attempt": [1], "coverage": {}}
    huge[1].timestamp = "9999-99-99T00:00:00.000Z"
    assert server.post(batch(huge))[0] == 400
    half = json.dumps(
        [{**json.loads(event.encode()), "task_id": "\ud800"} for event in session("half", test_a="passed")]
    )
    assert server.post(half.encode())[0] == 400
    assert server.get("/readyz")[0] == 200


def test_answers_are_secure(server: Server) -> None:
    for path in ("/healthz", "/api/v1/projects", "/nothing", "/metrics"):
        _, headers, _ = server.get(path)
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
        assert "server" not in headers


def test_slow_and_broken_clients(server: Server) -> None:
    """Half a request, and nothing after it, holds nobody up."""
    half = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    for connection in half:
        connection.sendall(b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    server.send(session("slow", test_a="passed"))
    for connection in half:
        connection.close()
    assert server.get("/readyz")[0] == 200


def test_those_who_are_refused_again_and_again_must_wait(tmp_path: Path) -> None:
    server = Server(tmp_path).start()
    try:
        found = {server.post(b"{}", OTHER)[0] for _ in range(60)}
        assert found == {401, 429}
        status, headers, _ = server.request("POST", "/hook", b"{}", signed(b"{}"))
        assert (status, int(headers["retry-after"]) > 0) == (429, True)
        wait_until(lambda: server.post(batch(session(test_a="passed")))[0] == 204, timeout=90)
    finally:
        server.close()


def test_a_role_sends_only_what_it_may(tmp_path: Path) -> None:
    server = serving(tmp_path, ROLES, TESTER_KEY=OTHER)
    try:
        deployment = session(test_a="passed")
        deployment[0].event_type = "DEPLOYMENT_STARTED"
        assert server.post(batch(session(test_a="passed")), [SECRET, OTHER])[0] == 204
        assert server.post(batch(deployment), [SECRET, OTHER])[0] == 403
        assert server.post(batch(session(test_a="passed")), SECRET)[0] == 403
    finally:
        server.close()


def test_a_secret_of_a_project_writes_to_that_project(tmp_path: Path) -> None:
    """Whatever the events say of their source. During rotation both secrets are accepted."""
    old = "whsec_" + "QUJD" * 8
    server = serving(tmp_path, PROJECTS, SHOP_NEW=OTHER, SHOP_OLD=old)
    try:
        assert server.post(batch(session("elsewhere", "a" * 32, test_a="passed")), OTHER)[0] == 204
        assert server.post(batch(session("a/b c", "b" * 32, test_a="passed")), old)[0] == 204
        assert server.post(batch(session("a/b c", "c" * 32, test_a="passed")), SECRET)[0] == 204
        wait_until(lambda: [p["project"] for p in server.json("/api/v1/projects")["projects"]] == ["a-b-c", "shop"])
        wait_until(lambda: len(server.json("/api/v1/projects/shop/runs")["runs"]) == 2)
    finally:
        server.close()
