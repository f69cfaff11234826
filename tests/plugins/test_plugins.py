"""Plug-ins of other packages: what they can add, what they receive, and that a failing plug-in does no harm."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pytest_swarmtask
from pytest_swarmtask import recipe
from tests.lab import REPOSITORY, Json, Lab, wait_until

TEXT = (REPOSITORY / "docs" / "plugins.md").read_text("utf-8")
HOOK = "from pytest_swarmtask.plugins.hookspecs import Endpoint, hookimpl\n\n@hookimpl\n"
TESTS = "import pytest\n\ndef test_one():\n    pass\n\ndef test_two():\n    assert 0\n"

Install = Callable[[str, str], None]


def block(language: str) -> str:
    """Return the example in this language from the document."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def archive(lab: Lab, install: Install) -> Path:
    """Install the example plug-in of the document, and return the file in which it keeps events."""
    entry = re.search(r'^archive = "(.*)"$', block("toml"), re.MULTILINE)
    assert entry is not None
    assert entry[1] == "swarmtask_archive"
    install("archive", block("python"))
    path = lab.root / "archive.jsonl"
    lab.environ["ARCHIVE_FILE"] = str(path)
    return path


def read(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class TestTheExample:
    def test_its_sink_gets_events_in_a_real_relay(self, lab: Lab, archive: Path) -> None:
        """A plug-in's sink gets events from pytest and from `emit`, with the metadata that the plug-in adds.

        It has a status like any other endpoint.
        """
        (lab.root / "test_it.py").write_text(TESTS)
        assert lab.pytest(ROOM="7").returncode == 1
        lab.emit("BUILD_STARTED", "b", ROOM="7")
        wait_until(lambda: len(read(archive)) == 3, "the events")
        assert [event["event_type"] for event in read(archive)] == ["TASK_STARTED", "TASK_FAILED", "BUILD_STARTED"]
        assert {event["metadata"]["room"] for event in lab.events()} == {"7"}
        lab.wait_for_end()
        status = lab.status()["endpoints"]["archive:file"]
        assert (status["delivered"], status["waiting"], status["dead"]) == (3, 0, 0)

    @pytest.mark.parametrize("wanted", [False, True])
    def test_evidence_of_tests_only_where_it_is_wanted(
        self, lab: Lab, archive: Path, folder: Path, wanted: bool
    ) -> None:
        """A sink of a plug-in gets tracebacks of tests only if it says that it wants them."""
        module = folder / "swarmtask_archive.py"
        code = module.read_text().replace('event_type.startswith("TEST_")', "False")
        if wanted:
            code = code.replace("    max_events, ", "    evidence = True\n    max_events, ")
        module.write_text(code)
        (lab.root / "test_it.py").write_text(TESTS)
        assert lab.pytest().returncode == 1
        wait_until(lambda: any(event["event_type"] == "TEST_FAILED" for event in read(archive)), "the failure")
        (failed,) = [event["metadata"] for event in read(archive) if event["event_type"] == "TEST_FAILED"]
        assert failed["exception"] == "AssertionError"
        assert ("traceback" in failed) is wanted

    def test_what_cannot_be_written_waits(self, lab: Lab, archive: Path) -> None:
        archive.mkdir()
        event = lab.emit("BUILD_STARTED", "b")
        wait_until(lambda: lab.status()["endpoints"]["archive:file"]["state"]["state"] == "retrying", "the trouble")
        archive.rmdir()
        assert lab.run("flush").returncode == 0
        assert read(archive) == [event]

    def test_without_its_variable_it_is_inactive(self, lab: Lab, archive: Path) -> None:
        del lab.environ["ARCHIVE_FILE"]
        assert lab.emit("BUILD_STARTED", "b")["metadata"]["room"] == "unknown"
        assert lab.status()["endpoints"] == {}

    def test_the_emitter_of_recipes_finds_it(self, lab: Lab, archive: Path) -> None:
        """The emitter of recipes finds a plug-in although it starts without `site`."""
        recipe = str(Path(pytest_swarmtask.__file__).parent / "recipe.py")
        for _ in range(2):  # the first run compiles the configuration, the second uses the compiled form
            done = subprocess.run(
                [sys.executable, "-S", recipe, "emit", "TASK_STARTED", "t"],
                cwd=lab.root,
                env={**lab.environ, "ROOM": "9"},
                capture_output=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, b"")
        assert [event["metadata"]["room"] for event in lab.events()] == ["9", "9"]

    def test_doctor_lists_it(self, lab: Lab, archive: Path, install: Install) -> None:
        install("broken", "import no_such_module")
        told = lab.run("doctor", "--no-ping").stdout
        assert "ok   plug-in archive: swarmtask-archive 1.0, swarmtask_archive\n" in told
        assert "BAD  plug-in broken: swarmtask-broken 1.0, swarmtask_broken: ModuleNotFoundError" in told

    def test_doctor_says_whether_its_endpoint_is_active(self, lab: Lab, archive: Path) -> None:
        """And why it is not, so that nobody waits for events in vain."""
        assert "ok   endpoint archive:file: active\n" in lab.run("doctor", "--no-ping").stdout
        told = lab.run("doctor", "--no-ping", ARCHIVE_FILE="").stdout
        assert "note endpoint archive:file: inactive\n     → set ARCHIVE_FILE to use it\n" in told
        (lab.root / ".taskmaster" / "config" / "workflow.yaml").unlink()
        assert lab.emit("BUILD_STARTED", "b")
        assert lab.status()["endpoints"] == {}
        told = lab.run("doctor", "--no-ping").stdout
        assert "note endpoint archive:file: inactive\n     → endpoints of plug-ins get events only in projects" in told

    def test_it_is_gone_when_it_is_uninstalled(self, lab: Lab, archive: Path, folder: Path) -> None:
        """After an uninstall, the compiled configuration is renewed: new events get no metadata from the plug-in.

        Its endpoint has no pending events.
        """
        lab.emit("BUILD_STARTED", "b")
        lab.wait_for_settled()
        lab.kill()
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        assert "room" not in lab.emit("BUILD_STARTED", "c")["metadata"]
        assert lab.status()["endpoints"]["archive:file"]["waiting"] == 0

    def test_its_condition_and_its_notifier(self, lab: Lab, archive: Path) -> None:
        """An alert of a plug-in's condition is sent by the plug-in's own notifier."""
        (lab.root / ".taskmaster" / "config" / "workflow.yaml").write_text(block("yaml"))
        assert lab.run("config", "validate").returncode == 0
        lab.emit("TASK_COMPLETED", "12")
        lab.emit("TASK_COMPLETED", "13")
        told = lab.root / "told.txt"
        wait_until(lambda: told.exists() and told.read_text(), f"the message\n{lab.log()}")
        assert "unlucky" in told.read_text()
        assert len(told.read_text().splitlines()) == 1


RAISES = "def swarmtask_event_metadata():\n    raise ValueError('of my own')\n"
HANGS = "def swarmtask_event_metadata():\n    import time\n    time.sleep(600)\n"
EXITS = "def swarmtask_event_metadata():\n    raise SystemExit(7)\n"
STRANGE = "def swarmtask_event_metadata():\n    return 7\n"


@pytest.mark.slow
@pytest.mark.parametrize("code", [RAISES, HANGS, EXITS, STRANGE], ids=["raises", "hangs", "exits", "no mapping"])
def test_a_hook_that_fails_changes_nothing(lab: Lab, install: Install, code: str) -> None:
    """A failing hook causes one warning; outcomes and events stay the same, and other plug-ins continue."""
    (lab.root / "test_it.py").write_text(TESTS)
    plain = lab.pytest()
    before = len(lab.events())
    install("bad", HOOK + code)
    install("good", HOOK + "def swarmtask_event_metadata(event_type):\n    return {'added': event_type}\n")
    lab.webhooks()  # a changed configuration makes the plug-in manager search a folder of PYTHONPATH again
    done = lab.pytest()
    assert (done.returncode, re.findall(r"\d (?:passed|failed)", done.stdout)) == (
        plain.returncode,
        re.findall(r"\d (?:passed|failed)", plain.stdout),
    )
    events = lab.events()[before:]
    assert [event["event_type"] for event in events] == [event["event_type"] for event in lab.events()[:before]]
    assert all(event["metadata"]["added"] == event["event_type"] for event in events)
    assert (done.stdout + done.stderr).count("plug-in bad adds no metadata any more") == 1


def test_what_a_hook_adds_is_redacted_and_replaces_nothing(lab: Lab, install: Install) -> None:
    """Metadata from a hook is redacted and overwrites nothing, and changes to its copy do not reach the event."""
    code = (
        "def swarmtask_event_metadata(metadata):\n    metadata['mine'] = 'theirs'\n"
        "    return {'mine': 'theirs', 'password': 'hunter2', 'note': 'Bearer ' + 'x1Y2' * 10}\n"
    )
    install("leaky", HOOK + code)
    metadata = lab.emit("TASK_STARTED", "t", '{"mine": "mine"}')["metadata"]
    assert metadata["mine"] == "mine"
    assert metadata["password"] == "[REDACTED]"
    assert "x1Y2" not in json.dumps(metadata)


def test_children_of_a_fork(lab: Lab, install: Install) -> None:
    """A forked child starts its own threads for hooks, because it has none of its parent's threads."""
    install("good", HOOK + "def swarmtask_event_metadata():\n    import os\n    return {'process': os.getpid()}\n")
    program = (
        "import os; from pytest_swarmtask import trigger_task_event as t\n"
        "t('TASK_STARTED', 'parent'); child = os.fork()\n"
        "t('TASK_STARTED', 'child' if not child else 'parent')\n"
        "if child: os.waitpid(child, 0)\n"
    )
    assert lab.python(program).returncode == 0
    found = [(event["task_id"], event["metadata"]["process"]) for event in lab.events()]
    assert len(found) == 3
    assert len({process for _, process in found}) == 2


def test_a_foreign_name_for_an_endpoint(lab: Lab, install: Install) -> None:
    """A plug-in cannot take the name of a webhook or of another plug-in."""
    install("rude", HOOK + "def swarmtask_endpoints():\n    return [Endpoint('default')]\n")
    done = lab.run("emit", "TASK_STARTED", "t")
    assert done.returncode == 0
    assert "plug-in rude: found the endpoint 'default', expected one that begins with rude:" in done.stderr
    assert len(lab.events()) == 1


def test_one_that_is_installed_later_is_noticed(lab: Lab, install: Install) -> None:
    """A plug-in installed later is found, even with a compiled configuration and another plug-in."""
    install("one", HOOK + "def swarmtask_event_metadata():\n    return {'one': 1}\n")
    assert "two" not in lab.emit("TASK_STARTED", "t")["metadata"]
    install("two", HOOK + "def swarmtask_event_metadata():\n    return {'two': 2}\n")
    metadata = lab.emit("TASK_STARTED", "t")["metadata"]
    assert (metadata["one"], metadata["two"]) == (1, 2)


def test_a_plug_in_can_do_something_at_the_end_of_an_emitter(lab: Lab, install: Install) -> None:
    """The emitter of recipes ends without clearing up only where no plug-in is loaded."""
    code = "import atexit\natexit.register(lambda: open('ended', 'w').close())\n"
    install("one", code + HOOK + "def swarmtask_event_metadata():\n    return {'one': 1}\n")
    lab.emit("TASK_STARTED", "t")  # compiles the configuration, which loads the plug-in, too
    (lab.root / "ended").unlink()
    command = [sys.executable, "-S", recipe.__file__, "emit", "TASK_STARTED", "u"]
    subprocess.run(command, cwd=lab.root, env=lab.environ, check=True)
    assert (lab.root / "ended").exists()


def test_without_plug_ins_nothing_of_theirs_is_loaded(lab: Lab) -> None:
    """Without plug-ins and with a compiled configuration, an emitter imports neither pluggy nor entry points."""
    lab.emit("TASK_STARTED", "t")
    package = os.path.dirname(os.path.dirname(pytest_swarmtask.__file__))
    program = (
        f"import sys; sys.path.append({package!r})\n"
        "from pytest_swarmtask.emit import main; main(['TASK_STARTED', 'u'])\n"
        "print([name for name in ('pluggy', 'importlib.metadata', 'pytest_swarmtask.recording.extra_metadata', "
        "'threading') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=lab.root,
        env=lab.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n"
