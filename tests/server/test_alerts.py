"""The alerts of `swarmtask serve`: told once, whatever is killed, with several servers on one database."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pytest_swarmtask.core.event import Event
from pytest_swarmtask.core.timing import VARIABLE
from pytest_swarmtask.core.trace import Clock, Ids
from tests.lab import HANG, QUICK, WAIT, Json, Receiver, receiving, wait_until
from tests.postgres import NEWEST, new_history
from tests.server.test_serve import serve
from tests.team import SECRET, Server, session

_traces = count(1)
MARK = {"name": "mark", "kind": "failure", "when": {"task_id": "mark"}, "notify": ["chat"], "repeat": 0}
NEWLY: Json = {"name": "newly", "kind": "newly_failing", "notify": ["chat"]}


class Team:
    """Servers on one database, whose alerts go to a receiver."""

    def __init__(self, folder: Path, database: str, receiver: Receiver) -> None:
        self.receiver = receiver
        self._folder = folder
        self.database = database or str(folder / "history.sqlite")
        self.servers: list[Server] = []
        self.configuration: Json = {}

    def watch(self, *alerts: Json, more: Json | None = None, **monitoring: Any) -> None:
        """Configure alerts, beside one that marks how far the evaluation has got."""
        chat = {"name": "chat", "kind": "webhook", "webhook": "chat", "most": 1000}
        section = {"alerts": [MARK, *alerts], "notifiers": [chat], **monitoring}
        hook = {"name": "chat", "url": self.receiver.url, "events": ["DEPLOYMENT_STARTED"]}
        self.configuration = {"task_integration": {"webhooks": [hook]}, "monitoring": section, **(more or {})}

    def start(self, name: str = "one", **environ: str) -> Server:
        """Start a server with the present configuration."""
        folder = self._folder / name
        (folder / ".taskmaster" / "config").mkdir(parents=True, exist_ok=True)
        (folder / ".taskmaster" / "config" / "workflow.yaml").write_text(json.dumps(self.configuration))
        server = Server(folder, self.database, **{VARIABLE: QUICK, **environ})
        self.servers.append(server)
        return server.start()

    def told(self, server: Server, project: str = "shop") -> list[Json]:
        """Wait until all events so far are evaluated and all messages are sent; return the messages."""
        name = f"mark {next(_traces)}"
        server.send([happened("TASK_FAILED", "mark", project, error=name)])
        # A message whose sender was killed before it knew the answer is tried again after `Timing.notify_claim`.
        wait_until(lambda: any(name in one["text"] for one in self.receiver.accepted), lambda: server.log, 2.5 * WAIT)
        return [message for message in self._messages() if message["name"] != "mark"]

    def _messages(self) -> list[Json]:
        """Return the messages, each once, as a receiver has it that knows them by their id."""
        found = {arrival.headers["webhook-id"]: arrival.events[0] for arrival in self.receiver.arrivals}
        return [message for message in found.values() if message in self.receiver.accepted]

    def said(self, server: Server, project: str = "shop") -> list[tuple[str, str, str]]:
        """Return alert, state and subject of all messages, as `told`."""
        return [(one["name"], one["state"], one["subject"]) for one in self.told(server, project)]


def happened(event_type: str, task: str, source: str = "shop", **metadata: Any) -> Event:
    """Return an event in a run of its own."""
    ids, status = Ids(), event_type.partition("_")[2].lower()
    at = metadata.pop("at", None) or Clock().timestamp()
    span = metadata.pop("span", None) or ids.span()
    return Event(ids.event(), event_type, task, status, at, source, new_trace(), span, None, metadata)


def end_of(start: Event) -> Event:
    """Return the successful end of a build."""
    end = happened("BUILD_COMPLETED", start.task_id or "", span=start.span_id)
    end.trace_id = start.trace_id
    return end


def new_trace() -> str:
    return f"{next(_traces):032x}"


def outcomes(source: str = "shop", **tests: str) -> list[Event]:
    return session(source, new_trace(), **tests)


@pytest.fixture(params=["", pytest.param(NEWEST, marks=pytest.mark.long)], ids=["sqlite", "postgres"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Team]:
    """A team without a server, on each engine."""
    with receiving(SECRET) as receiver:
        made = Team(tmp_path, new_history(request.param) if request.param else "", receiver)
        yield made
        receiver.closing.set()
        for server in made.servers:
            server.close()


def test_a_test_that_newly_fails(team: Team) -> None:
    """One message when a test fails, one when it passes, and each project has alerts of its own."""
    team.watch(NEWLY)
    server = team.start()
    assert (server.folder / "out").read_text().splitlines()[-1] == "Alerts: mark, newly"
    for project in ("shop", "search"):
        server.send(outcomes(project, test_a="passed", test_b="passed"))
    server.send(outcomes("shop", test_a="failed", test_b="passed"))
    server.send(outcomes("search", test_a="passed", test_b="passed"))
    server.send(outcomes("shop", test_a="failed", test_b="passed"))
    (message,) = team.told(server)
    assert message["title"] == "shop: test_a failed: test_a is wrong (it passed before)"
    assert message["subject"] == "test_a on main under py"
    assert "next: look at /p/shop/test?name=test_a on the server\n" in message["text"]
    assert "compared: last well at " in message["text"]
    server.send(outcomes("search", test_a="failed"))
    assert [one["title"].partition(":")[0] for one in team.told(server, "search")] == ["shop", "search"]
    server.send(outcomes("shop", test_a="passed"))
    said = [("newly", "firing", "test_a on main under py")] * 2 + [("newly", "resolved", "test_a on main under py")]
    assert team.said(server) == said
    assert 'swarmtask_messages_total{notifier="chat",result="sent"}' in server.get("/metrics")[2].decode()


def test_links(team: Team) -> None:
    """With its own address, messages lead to the server's pages, and to commands that ask it."""
    team.watch(
        NEWLY,
        {"name": "broken", "kind": "failure", "when": {"task_id": "build"}, "notify": ["chat"]},
        more={"server": {"url": "${ADDRESS}/ci/"}},
    )
    server = team.start(ADDRESS="https://ci.example")
    server.send(outcomes(test_a="passed"))
    server.send(outcomes(test_a="failed"))
    failed = happened("BUILD_FAILED", "build")
    server.send([failed])
    newly, broken = team.told(server)
    assert newly["link"] == "https://ci.example/ci/p/shop/test?name=test_a"
    assert "next: swarmtask tests test_a --from https://ci.example/ci/p/shop/\n" in newly["text"]
    assert broken["link"] == f"https://ci.example/ci/p/shop/runs/{failed.trace_id}"
    assert f"next: swarmtask report --from {broken['link']}\n" in broken["text"]
    for message in (newly, broken):
        path = message["link"].removeprefix("https://ci.example/ci")
        assert server.get(path)[0] == 200


# `make test` runs this one on PostgreSQL, too. All others run there in `make test-long`.
@pytest.mark.parametrize("team", ["", NEWEST], ids=["sqlite", "postgres"], indirect=True)
def test_two_servers_tell_once(team: Team) -> None:
    team.watch(NEWLY)
    one, two = team.start("one"), team.start("two")
    for number in range(5):
        one.send(outcomes(**{f"test_{number}": "passed"}))
    for number in range(5):
        (one, two)[number % 2].send(outcomes(**{f"test_{number}": "failed"}))
    assert sorted(team.said(two)) == [("newly", "firing", f"test_{number} on main under py") for number in range(5)]


@pytest.mark.slow
def test_servers_are_killed(team: Team) -> None:
    """Whenever a server is killed, the other one goes on. Nothing is lost, and nothing is told twice."""
    team.watch({"name": "failed", "kind": "failure", "when": {"task_id": "job-*"}, "notify": ["chat"]})
    servers = [team.start("one"), team.start("two")]
    for number in range(24):
        servers[number % 2].send([happened("TASK_FAILED", f"job-{number}")])
        if number % 6 == 5:
            servers[number // 6 % 2].kill()
            heard = len(team.receiver.accepted)
            servers[1 - number // 6 % 2].send([happened("TASK_FAILED", f"job-alone-{number}")])
            wait_until(lambda heard=heard: len(team.receiver.accepted) > heard, timeout=2.5 * WAIT)  # type: ignore[misc]
            servers[number // 6 % 2].start()
    jobs = [f"job-{number}" for number in range(24)] + [f"job-alone-{number}" for number in (5, 11, 17, 23)]
    assert sorted(team.said(servers[1])) == sorted(("failed", "firing", job) for job in jobs)


@pytest.mark.long
def test_a_restart(team: Team) -> None:
    """A new process repeats no message, knows which alerts are active, and evaluates what the old one has left."""
    team.watch(NEWLY)
    server = team.start()
    server.send(outcomes(test_a="passed", test_b="passed"))
    server.send(outcomes(test_a="failed"))
    assert len(team.told(server)) == 1
    server.kill()
    server.start()
    server.send(outcomes(test_a="failed"))
    assert len(team.told(server)) == 1
    server.send(outcomes(test_a="passed", test_b="failed"))
    server.kill()  # before it has evaluated that, or at any moment of it
    server.start()
    said = team.said(server)
    assert said[0] == ("newly", "firing", "test_a on main under py")
    assert sorted(said[1:]) == [
        ("newly", "firing", "test_b on main under py"),
        ("newly", "resolved", "test_a on main under py"),
    ]


@pytest.mark.long
def test_alerts_that_come_later(team: Team) -> None:
    """Nobody is alarmed about what was before there were alerts, also if there had been some before that."""
    broken = {"name": "broken", "kind": "failure", "when": {"task_id": "build"}, "notify": ["chat"]}
    server = team.start()
    server.send([happened("BUILD_FAILED", "build", error="old")])
    server.kill(signal.SIGTERM)
    team.watch(broken)
    server = team.start()
    server.send([happened("BUILD_FAILED", "build", error="new"), happened("BUILD_FAILED", "build", "added")])
    team.told(server)
    assert sorted(one["title"] for one in team.told(server, "added")) == [
        "added: build failed",
        "shop: build failed: new",
    ]
    server.kill(signal.SIGTERM)
    team.configuration = {}
    server = team.start()
    server.send([happened("BUILD_FAILED", "build", "meanwhile")])
    server.kill(signal.SIGTERM)
    team.watch(broken)
    server = team.start()
    server.send([happened("BUILD_COMPLETED", "build", "meanwhile"), happened("BUILD_COMPLETED", "build")])
    team.told(server)
    assert [one["title"] for one in team.told(server, "meanwhile")[2:]] == ["resolved: shop: build failed: new"]


@pytest.mark.long
def test_silence(team: Team) -> None:
    """A start without an end, and an expected start that does not come, are told as time passes, of each project."""
    hang = {"name": "hang", "kind": "silence", "events": ["BUILD_STARTED"], "unfinished": 2, "notify": ["chat"]}
    nightly = {"name": "nightly", "kind": "silence", "events": ["DEPLOYMENT_STARTED"], "every": 9, "notify": ["chat"]}
    team.watch(hang, nightly)
    server = team.start()
    slow, quick = (happened("BUILD_STARTED", task, environment="prod") for task in ("slow", "quick"))
    server.send([slow, quick, end_of(quick), happened("TASK_STARTED", "else", "search")])
    server.send([happened("DEPLOYMENT_STARTED", "web", "nights")])
    team.receiver.wait(2)
    server.send([end_of(slow), happened("DEPLOYMENT_STARTED", "web", "nights")])
    team.receiver.wait(4)
    hanging = f"slow in prod ({slow.span_id[:8]})"
    assert sorted((one["state"], one["subject"]) for one in team.receiver.accepted[:4]) == [
        ("firing", "nightly"),
        ("firing", hanging),
        ("resolved", "nightly"),
        ("resolved", hanging),
    ]
    titles = [one["title"] for one in team.receiver.accepted]
    assert any(title.startswith("nights: nothing was heard of nightly for ") for title in titles)
    assert not any("search: " in title for title in titles)


def test_environments(team: Team) -> None:
    """What fails in one environment is not mended by another one, and `when` chooses by the environment of the run."""
    anywhere = {"name": "anywhere", "kind": "failure", "events": ["DEPLOYMENT_FAILED"], "notify": ["chat"]}
    only = {**anywhere, "name": "only", "when": {"environment": "prod"}}
    team.watch(anywhere, only)
    server = team.start()
    for environment in ("staging", "prod"):
        server.send([happened("DEPLOYMENT_FAILED", "web", environment=environment)])
    server.send([happened("DEPLOYMENT_COMPLETED", "web", environment="prod")])
    assert sorted(team.said(server)) == [
        ("anywhere", "firing", "web in prod"),
        ("anywhere", "firing", "web in staging"),
        ("anywhere", "resolved", "web in prod"),
        ("only", "firing", "web in prod"),
        ("only", "resolved", "web in prod"),
    ]


@pytest.mark.long
def test_a_notifier_that_hangs(team: Team) -> None:
    """Events are taken, and pages are shown with their totals, while a notifier hangs. Its message is not lost."""
    team.watch(NEWLY)
    server = team.start()
    team.receiver.answer = lambda _: HANG
    server.send([happened("TASK_FAILED", "mark", error="hangs")])
    wait_until(lambda: team.receiver.arrivals, lambda: server.log)
    server.send(outcomes(test_a="passed", test_b="passed"))
    server.refreshed("shop", lambda run: run["tests"] == 2)
    assert server.get("/p/shop/")[0] == 200
    assert not team.receiver.accepted
    team.receiver.answer = lambda _: 200
    wait_until(lambda: team.receiver.accepted, lambda: server.log)
    assert "hangs" in team.receiver.accepted[0]["text"]


@pytest.mark.long
def test_an_event_that_cannot_be_evaluated(team: Team) -> None:
    """It is left out, and told in the log. The others are evaluated."""
    team.watch({"name": "failed", "kind": "failure", "when": {"task_id": "job-*"}, "notify": ["chat"]})
    server = team.start()
    events = [happened("TASK_COMPLETED", f"job-{number}") for number in range(5)]
    server.send(events)
    team.told(server)
    server.kill()
    with opened(team.database) as execute:
        # Half a surrogate is no character that a database could store. No request with one is accepted.
        execute("UPDATE event SET line = replace(line, 'TASK_COMPLETED', 'TASK_FAILED')")
        execute("UPDATE event SET line = replace(line, 'job-2', 'job-\\ud800')")
        execute("UPDATE project SET evaluated = 0 WHERE name <> ''")
    server.start()
    assert sorted(one["subject"] for one in team.told(server)) == ["job-0", "job-1", "job-3", "job-4"]
    assert "event not evaluated" in server.log


@pytest.mark.long
def test_events_whose_numbers_are_given_again(team: Team) -> None:
    """SQLite numbers new events like those that retention has removed. They are evaluated nevertheless."""
    team.watch(NEWLY, retention={"history_events_age": 0.001})
    server = team.start()
    long_ago = "2020-01-01T00:00:00.000Z"
    server.send([happened("TASK_COMPLETED", f"old-{number}", at=long_ago) for number in range(9)])
    team.told(server)
    server.kill(signal.SIGTERM)
    server.start()  # which applies the retention at once
    with opened(team.database) as execute:
        left = "SELECT count(*) FROM event WHERE line LIKE '%old-%'"  # PostgreSQL keeps those of today
        wait_until(lambda: execute(left).fetchone()[0] == 0)
    server.send(outcomes(test_a="passed"))
    server.send(outcomes(test_a="failed"))
    assert team.said(server) == [("newly", "firing", "test_a on main under py")]


BEFORE_WHAT_ACTS = [
    "DROP INDEX span_quarantined",
    "DROP INDEX span_tasks",
    "DROP VIEW IF EXISTS runs",
    "ALTER TABLE run DROP COLUMN quarantined",
    "ALTER TABLE run DROP COLUMN dependencies",
    "ALTER TABLE run DROP COLUMN ci_image",
    "ALTER TABLE run DROP COLUMN default_branch",
    "ALTER TABLE span DROP COLUMN split",
    "ALTER TABLE span DROP COLUMN software",
    "ALTER TABLE span DROP COLUMN tasks",
]
TO_THE_VERSION_BEFORE = {
    "sqlite": [
        *BEFORE_WHAT_ACTS,
        "DROP TABLE memory",
        "ALTER TABLE project DROP COLUMN evaluated",
        "PRAGMA user_version = 5",
    ],
    "postgres": [
        *BEFORE_WHAT_ACTS,
        "DROP TABLE memory",
        "ALTER TABLE project DROP COLUMN evaluated",
        "DELETE FROM project WHERE name = ''",
        "DROP INDEX event_by_number",
        "UPDATE schema_version SET version = 2",
    ],
}


@pytest.mark.long
def test_a_database_of_the_version_before(team: Team) -> None:
    """Nobody is alarmed about what it holds, but new events are compared with it."""
    server = team.start()
    server.send([*outcomes(test_a="passed", test_b="failed"), happened("TASK_FAILED", "mark", error="old")])
    server.refreshed("shop", lambda run: run["outcome"] == "failed")
    server.kill(signal.SIGTERM)
    with opened(team.database) as execute:
        for statement in TO_THE_VERSION_BEFORE["postgres" if "://" in team.database else "sqlite"]:
            execute(statement)
    team.watch(NEWLY)
    server = team.start()
    server.send(outcomes(test_a="failed", test_b="failed"))
    assert team.said(server) == [("newly", "firing", "test_a on main under py")]
    assert not any("old" in message["text"] for message in team.receiver.accepted)


@pytest.mark.parametrize(
    ("alert", "notifier", "told"),
    [
        (
            {"kind": "plugin", "condition": "nobody-has-it"},
            {"kind": "log"},
            "alert bad: no installed plug-in has the condition 'nobody-has-it'",
        ),
        ({"kind": "failure"}, {"kind": "webhook", "webhook": "chat"}, "notifier to: the environment variable CHAT_URL"),
        (
            {"kind": "failure"},
            {"kind": "apprise", "urls": ["json://${ROOM}"]},
            "notifier to: the environment variable ROOM",
        ),
        (
            {"kind": "failure"},
            {"kind": "plugin", "plugin": "nobody"},
            "notifier to: no installed plug-in has the notifier",
        ),
        ({"kind": "failure"}, {"kind": "github"}, "notifier to: found kind github, which annotates a job"),
    ],
)
def test_what_is_missing_is_told_at_the_start(tmp_path: Path, alert: Json, notifier: Json, told: str) -> None:
    section = {
        "alerts": [{"name": "bad", "notify": ["to"], **alert}],
        "notifiers": [{"name": "to", **notifier}],
    }
    hook = {"name": "chat", "url": "${CHAT_URL}"}
    configure(tmp_path, {"task_integration": {"webhooks": [hook]}, "monitoring": section})
    done = serve(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_address_of_the_server(tmp_path: Path) -> None:
    configure(tmp_path, {"server": {"url": "${ADDRESS}"}})
    done = serve(tmp_path, ADDRESS="ci.example")
    assert (done.returncode, done.stdout) == (2, "")
    assert "server.url: " in done.stderr


def test_alerts_that_are_not_evaluated(tmp_path: Path) -> None:
    """The server names them when it starts."""
    alerts = [
        {"name": "broken", "kind": "failure"},
        {"name": "off", "kind": "failure", "enabled": False},
        {"name": "undelivered", "kind": "delivery", "waiting": 5},
    ]
    configure(tmp_path, {"monitoring": {"alerts": alerts}})
    server = Server(tmp_path).start()
    try:
        assert (tmp_path / "out").read_text().splitlines()[-1] == (
            "Alerts: broken; not evaluated: off (not enabled), undelivered (a server has no deliveries)"
        )
        server.send([happened("BUILD_FAILED", "wheel", error="no space")])
        wait_until(lambda: "shop: wheel failed: no space" in server.log)  # without a notifier, messages go to the log
    finally:
        server.close()


def configure(folder: Path, workflow: Json) -> None:
    path = folder / ".taskmaster" / "config" / "workflow.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(workflow))


@contextlib.contextmanager
def opened(database: str) -> Iterator[Any]:
    """Open a history, and yield a function that executes a statement and commits."""
    if database.startswith("postgresql:"):
        with psycopg.connect(database, options="-c search_path=swarmtask", autocommit=True) as connection:
            yield connection.execute
    else:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as db:
            yield db.execute
