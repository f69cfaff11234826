"""A task manager with a REST interface follows events. The tests use a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from pytest_swarmtask.config.workflow import Rest
from pytest_swarmtask.core.service_errors import TaskManagerError
from pytest_swarmtask.relay.tasks.manager import DesiredStatus, StatusChange
from pytest_swarmtask.relay.tasks.rest import RestService
from tests.lab import Lab, closed_port, wait_until
from tests.relay.tasks.board import Board, desired, now


class Request(NamedTuple):
    """A request that the service has received."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Service:
    """A task manager over HTTP.

    Attributes:
        requests: the received requests.
        answer: returns the status of the answer for a path.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[str], int] = lambda _: 200
        service = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.requests.append(Request(self.command, self.path, headers, json.loads(body)))
                self.send_response(service.answer(self.path))
                self.send_header("Retry-After", "7")
                self.end_headers()

            do_PATCH = do_PUT = handle_one  # noqa: N815 - the library requires these names

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def service() -> Iterator[Service]:
    """A running service."""
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_one_request(service: Service) -> None:
    """A request has the configured method, URL, headers and body, with the values of the event."""
    body = {"state": "{{status}}", "by": {"who": "{{source}}", "n": 1, "on": ["{{metadata.ci.name}} {{metadata.no}}"]}}
    definition = Rest(
        url="${BASE}/tasks/{{task_id}}?at={{timestamp}}",
        method="PUT",
        headers={"Authorization": "Bearer ${TOKEN}"},
        body=body,
        statuses={"done": "Closed"},
    )
    at = now()
    rest = RestService(definition, {"BASE": service.url, "TOKEN": "t-1"})
    variables = {"source": "app", "status": "completed", "timestamp": at, "metadata": {"ci": {"name": 'a"b'}}}
    outcome = rest.set_status({"a/b ${TOKEN}{{source}}": DesiredStatus("done", at, variables)})
    rest.close()
    assert outcome.changes == [StatusChange("a/b ${TOKEN}{{source}}", "", "done")]
    (request,) = service.requests
    quoted = "a%2Fb%20%24%7BTOKEN%7D%7B%7Bsource%7D%7D"
    assert (request.method, request.path) == ("PUT", f"/tasks/{quoted}?at={at.replace(':', '%3A')}")
    assert request.headers["authorization"] == "Bearer t-1"
    assert request.headers["content-type"] == "application/json"
    assert request.body == {"state": "Closed", "by": {"who": "app", "n": 1, "on": ['a"b ']}}


def test_variables_in_a_body(service: Service) -> None:
    """Variables in the body and in the service's words are filled in; what an event says is no variable."""
    definition = Rest(
        url=service.url, body={"by": [{"a": "${WHO} $$A {{source}}"}], "s": "{{status}}"}, statuses={"done": "${DONE}"}
    )
    rest = RestService(definition, {"WHO": "ann", "DONE": "Closed"})
    rest.set_status({"1": DesiredStatus("done", now(), {"source": "${WHO}"})})
    rest.close()
    assert service.requests[0].body == {"by": [{"a": "ann $A ${WHO}"}], "s": "Closed"}
    with pytest.raises(TaskManagerError, match="the environment variable WHO is not set"):
        RestService(definition, {}).set_status({"1": desired("done", now())})


def test_later_events_win(service: Service) -> None:
    """Statuses are sent in the order of their events, and a status older than a sent one is not sent."""
    rest = RestService(Rest(url=service.url + "/{{task_id}}", body={"s": "{{status}}"}), {})
    late, early = "2026-01-01T00:00:01.000Z", "2026-01-01T00:00:00.000Z"
    rest.set_status({"2": desired("done", late), "1": desired("review", early)})
    outcome = rest.set_status({"2": desired("pending", early)})
    rest.close()
    assert [(request.path, request.body["s"]) for request in service.requests] == [("/1", "review"), ("/2", "done")]
    assert outcome.kept == [StatusChange("2", "", "pending")]


def test_a_task_that_it_does_not_know(service: Service) -> None:
    """Answers of 404 and 410 are no errors, since a task id in an event need not be a task."""
    service.answer = lambda path: {"/1": 404, "/2": 410}.get(path, 204)
    rest = RestService(Rest(url=service.url + "/{{task_id}}"), {})
    outcome = rest.set_status({"1": desired("done"), "2": desired("done"), "3": desired("done")})
    rest.close()
    assert (sorted(outcome.unknown), [change.task_id for change in outcome.changes]) == (["1", "2"], ["3"])


@pytest.mark.parametrize(
    ("status", "passing", "refused", "words"),
    [
        (503, True, False, "answered 503 Service Unavailable"),
        (429, True, False, "answered 429 Too Many Requests"),
        (400, False, True, "answered 400 Bad Request"),
        (401, False, False, "it wants other headers in task_manager.rest"),
        (302, False, False, "a redirect; it is not followed"),
    ],
)
def test_answers(service: Service, status: int, passing: bool, refused: bool, words: str) -> None:
    service.answer = lambda _: status
    rest = RestService(Rest(url=service.url), {})
    with pytest.raises(TaskManagerError, match=words) as caught:
        rest.set_status({"1": desired("done")})
    rest.close()
    assert (caught.value.passing, caught.value.refused) == (passing, refused)
    assert caught.value.after == (7 if passing else None)


@pytest.mark.parametrize(
    ("url", "passing", "words"),
    [
        ("${UNSET}/x", False, "the environment variable UNSET is not set"),
        ("http://{{task_id}}.example/", False, "url has {{…}} in its host"),
        ("http://169.254.169.254/", False, "is a link-local or metadata address, which is never allowed"),
        ("http://10.0.0.1/", False, "is a private address"),
        ("http://127.0.0.1:{port}/", True, "cannot connect"),
    ],
)
def test_where_it_may_not_or_cannot_go(url: str, passing: bool, words: str) -> None:
    """The address rules of webhooks also apply to a task service."""
    rest = RestService(Rest(url=url.replace("{port}", str(closed_port()))), {})
    with pytest.raises(TaskManagerError, match=words) as caught:
        rest.set_status({"1": desired("done")})
    assert caught.value.passing is passing


def test_through_the_relay(lab: Lab, board: Board, service: Service) -> None:
    """A REST service follows events through the relay, and a refused event becomes a dead letter."""
    service.answer = lambda path: {"/make_test": 404, "/bad": 400}.get(path, 200)
    rest = {"url": "${TASKS_API}/{{task_id}}", "body": {"status": "{{status}}"}}
    lab.webhooks(task_integration={"task_manager": {"enabled": True, "kind": "rest", "rest": rest}})
    environ = {"TASKS_API": service.url}
    lab.emit("TASK_COMPLETED", "unheard")
    for event, task_id in [("TASK_STARTED", "1"), ("TASK_FAILED", "make_test"), ("TASK_COMPLETED", "bad")]:
        lab.emit(event, task_id, **environ)
    wait_until(lambda: len(service.requests) >= 3, "requests")
    lab.wait_for_settled()
    assert {(one.path, one.body["status"]) for one in service.requests} == {
        ("/1", "in-progress"),
        ("/make_test", "pending"),
        ("/bad", "done"),
    }
    endpoint = lab.status()["endpoints"]["task:sync"]
    assert (endpoint["delivered"], endpoint["dead"], endpoint["waiting"]) == (2, 1, 0)


def test_by_hand(lab: Lab, board: Board, service: Service) -> None:
    """`swarmtask sync --dry-run` lists the changes without a request to the service."""
    lab.emit("TASK_COMPLETED", "1")
    lab.webhooks(task_integration={"task_manager": {"kind": "rest", "rest": {"url": f"{service.url}/{{{{task_id}}}}"}}})
    assert lab.run("sync", "--dry-run").stdout == "1  done\n1 task would change\n"
    assert "--check: this task manager cannot be asked" in lab.run("sync", "--check").stderr
    assert service.requests == []
    assert lab.run("sync").stdout == "1  done\n1 task changed\n"
    assert [request.path for request in service.requests] == ["/1"]
