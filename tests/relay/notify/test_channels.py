"""Each notifier delivers its message, signed if possible, without a secret in the message or the log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_swarmtask.relay.notify.channels import annotation
from pytest_swarmtask.relay.notify.message import Message
from tests.lab import Json, wait_until
from tests.relay.alerts.world import BROKEN, World

TOKEN = "Zx81kQ0vTbbWq7Lm"


class Service:
    """A service that accepts the posts of Apprise's JSON notifier."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Json]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                service.posts.append((self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


def watch_by(world: World, notifier: Json, **alert: object) -> None:
    world.watch({**BROKEN, "notify": [notifier["name"]], **alert}, notifiers=[notifier])


def test_apprise(world: World, service: Service) -> None:
    """Apprise sends the title and text to a service, and the service's URL appears nowhere else."""
    watch_by(world, {"name": "room", "kind": "apprise", "urls": [f"json://{service.place}/${{ROOM_TOKEN}}"]})
    world.environ["ROOM_TOKEN"] = TOKEN
    world.fail(TOKEN)
    wait_until(lambda: service.posts, lambda: f"the message\n{world.log()}")
    path, post = service.posts[0]
    assert path.rstrip("/") == f"/{TOKEN}"
    assert (post["title"], post["type"]) == ("project: [REDACTED] failed: out of luck", "warning")
    assert post["message"].splitlines()[-2].startswith("next: swarmtask report --run ")
    world.handled()
    seen = [*world.journal.rglob("*.jsonl"), *world.journal.rglob("*.log"), *world.journal.rglob("relay.db*")]
    assert not [path for path in seen if TOKEN.encode() in path.read_bytes()]


def test_apprise_does_not_say_where_it_failed(world: World) -> None:
    """After a failure, neither our log nor Apprise's own messages reveal the URL."""
    watch_by(world, {"name": "room", "kind": "apprise", "urls": ["json://127.0.0.1:9/${ROOM_TOKEN}"]})
    world.environ["ROOM_TOKEN"] = TOKEN
    world.fail()
    world.wait_for_log("notifier room: urls[0]: the service did not take it")
    assert TOKEN not in world.log()
    assert "127.0.0.1" not in world.log()


def test_apprise_that_is_not_installed(world: World, tmp_path: Path) -> None:
    """If Apprise is not installed, the log names the package to install and contains the message."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "sitecustomize.py").write_text("import sys; sys.modules['apprise'] = None")
    watch_by(world, {"name": "room", "kind": "apprise", "urls": ["json://127.0.0.1:9"]})
    world.environ["PYTHONPATH"] = str(tmp_path / "hidden")
    world.fail()
    world.wait_for_log('pip install "pytest-swarmtask[notify]"; not told: project: build failed')


def test_the_webhooks_body_is_a_template(world: World) -> None:
    """The body of a webhook notifier is a template, and the request is signed like any delivery."""
    body = {"text": "{{title}} [{{severity}}]", "card": [{"task": "{{task_id}}", "why": "{{metadata.error}}"}]}
    world.watch(BROKEN, chat={"body": body})
    world.fail()
    assert world.told(1) == [
        {"text": "project: build failed: out of luck [warning]", "card": [{"task": "build", "why": "out of luck"}]}
    ]
    assert world.receiver.refused == 0


def test_variables_in_the_webhooks_body(world: World) -> None:
    """The variables of a body are filled in when it is sent."""
    world.watch(BROKEN, chat={"body": {"key": "${MY_TOKEN}", "why": ["$$A {{metadata.error}}"]}})
    world.emit("TASK_FAILED", "build", '{"error": "${MY_TOKEN}"}', MY_TOKEN=TOKEN)
    assert world.told(1) == [{"key": TOKEN, "why": ["$A ${MY_TOKEN}"]}]


def test_a_variable_of_the_webhooks_body_that_is_not_set(world: World) -> None:
    world.watch(BROKEN, chat={"body": {"key": "${UNSET}"}})
    world.fail()
    world.wait_for_log("notifier chat: the environment variable UNSET is not set; not told: project: build failed")


def test_variables_in_the_message_of_an_alert(world: World) -> None:
    """A message has the values of variables, but no secret, as it is stored and may be logged."""
    world.watch({**BROKEN, "message": "{{task_id}} of ${TEAM}, $$5, ${MY_TOKEN}, {{metadata.error}}"})
    world.emit("TASK_FAILED", "build", '{"error": "${TEAM}"}', MY_TOKEN=TOKEN, TEAM="core")
    assert world.told(1)[0]["text"] == "build of core, $5, [REDACTED], ${TEAM}"


def test_a_variable_of_the_message_of_an_alert_that_is_not_set(world: World) -> None:
    """No alert is lost for its wording: it has the usual message then, and the log says why."""
    world.watch({**BROKEN, "message": "${UNSET}"})
    world.fail()
    assert "build failed: out of luck" in world.told(1)[0]["text"]
    assert "alert broken: message: the environment variable UNSET is not set; the usual message is sent" in world.log()


def test_the_log_is_told_where_no_notifier_is_named(world: World) -> None:
    """An alert without a notifier goes to the log, as one line without control characters."""
    world.watch({**BROKEN, "notify": []})
    world.emit("TASK_FAILED", "build", json.dumps({"error": "a\x1b[2Jb"}))
    world.wait_for_log("warning: project: build failed: a\\x1b[2Jb | compared: ")


def test_annotations_reach_the_log_of_the_job(world: World) -> None:
    """`flush` prints an annotation once, only under GitHub Actions, and only for runs there."""
    watch_by(world, {"name": "job", "kind": "github"}, severity="critical")
    world.fail("here", GITHUB_ACTIONS="true")
    world.handled()
    assert "::" not in world.run("flush").stdout
    done = world.run("flush", GITHUB_ACTIONS="true")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=project%3A here failed%3A out of luck::here failed: out of luck%0A")
    assert "::" not in world.run("flush", GITHUB_ACTIONS="true").stdout
    world.kill()
    world.fail("elsewhere")
    world.handled()
    assert "::" not in world.run("flush", GITHUB_ACTIONS="true").stdout


@pytest.mark.long
def test_annotations_reach_the_log_by_the_next_session(world: World) -> None:
    """The next session under GitHub Actions prints the annotation, with the file and line of the test."""
    watch_by(world, {"name": "job", "kind": "github"}, events=["TEST_FAILED"])
    (world.root / "test_it.py").write_text("def test_a():\n    assert 1 == 2\n")
    world.pytest("-q", GITHUB_ACTIONS="true")
    world.handled()
    (world.root / "test_it.py").write_text("def test_a(): pass\n")
    assert "::" not in world.pytest().stdout
    assert "::warning file=test_it.py,line=2,title=" in world.pytest(GITHUB_ACTIONS="true").stdout


def test_no_more_annotations_than_github_shows(world: World) -> None:
    """GitHub drops all but ten of a kind in silence, so the tenth says how many there are besides."""
    lines = [f"::error title=t::{number}" for number in range(35)] + [f"::notice::{number}" for number in range(10)]
    world.emit("TASK_STARTED", "a")
    Path(world.project.relay_folder).mkdir(exist_ok=True)
    Path(world.project.annotations).write_text("\n".join(lines))
    printed = [line for line in world.run("flush", GITHUB_ACTIONS="true").stdout.splitlines() if line.startswith("::")]
    errors, notices = printed[:10], printed[10:]
    assert errors == [*lines[:9], "::error title=swarmtask::and 26 more; see: swarmtask report"]
    assert notices == lines[35:]


def test_annotations_are_escaped() -> None:
    """The text of an annotation can neither end the command nor begin another one."""
    message = Message(name="a", title="x: a,b\n::error::", text="100 %\r\n::error::boo", place="c,d.py:3")
    assert annotation(message) == (
        "::warning file=c%2Cd.py,line=3,title=x%3A a%2Cb%0A%3A%3Aerror%3A%3A::100 %25%0D%0A::error::boo"
    )


PLUGIN = """
from pytest_swarmtask.plugins.hookspecs import Finding, hookimpl

@hookimpl
def swarmtask_alert_condition(name, options):
    if name == "long-name":
        return lambda event: Finding(event.task_id, len(event.task_id) > options["most"], f"{event.task_id} is long")

@hookimpl
def swarmtask_notifier(name, options):
    def tell(title, text):
        if options["file"] == "broken":
            raise OSError("no such pager")
        with open(options["file"], "a") as file:
            file.write(f"{title}\\n")
    return tell if name == "pager" else None
"""


@pytest.fixture
def plugin(world: World, tmp_path: Path) -> Path:
    """An installed plug-in: a module and its entry point."""
    folder = tmp_path / "installed"
    (folder / "pager-1.0.dist-info").mkdir(parents=True)
    (folder / "pager.py").write_text(PLUGIN)
    (folder / "pager-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pager\nVersion: 1.0\n")
    (folder / "pager-1.0.dist-info" / "entry_points.txt").write_text("[swarmtask]\npager = pager\n")
    world.environ["PYTHONPATH"] = str(folder)
    return tmp_path / "pages"


def watch_names(world: World, condition: str, file: str) -> None:
    alert = {"name": "names", "kind": "plugin", "condition": condition, "options": {"most": 5}, "notify": ["pager"]}
    world.watch(alert, notifiers=[{"name": "pager", "kind": "plugin", "plugin": "pager", "options": {"file": file}}])


def test_a_plugin_brings_condition_and_notifier(world: World, plugin: Path) -> None:
    watch_names(world, "long-name", str(plugin))
    world.emit("TASK_COMPLETED", "short")
    world.emit("TASK_COMPLETED", "much-too-long")
    wait_until(plugin.exists, lambda: f"the page\n{world.log()}")
    world.handled()
    assert plugin.read_text() == "project: much-too-long is long\n"


def test_variables_in_the_options_of_a_plugin(world: World, plugin: Path) -> None:
    """A plug-in gets the values of the variables in its options."""
    world.environ["PAGES"] = plugin.name
    watch_names(world, "long-name", f"{plugin.parent}/${{PAGES}}")
    world.emit("TASK_COMPLETED", "much-too-long")
    wait_until(plugin.exists, lambda: f"the page\n{world.log()}")


def test_what_a_plugin_cannot_tell_is_tried_again(world: World, plugin: Path) -> None:
    watch_names(world, "long-name", "broken")
    world.emit("TASK_COMPLETED", "much-too-long")
    world.wait_for_log("notifier pager: the plug-in raised OSError; next attempt in")


def test_a_condition_that_no_plugin_has(world: World, plugin: Path) -> None:
    """If no plug-in has the condition, the events wait, and `status` names the missing condition."""
    watch_names(world, "longer-name", str(plugin))
    world.emit("TASK_COMPLETED", "a")
    what = "alert names: no installed plug-in has the condition 'longer-name'"
    wait_until(lambda: what in world.run("status").stdout, what)
