"""The settings of the recorder: they are found in a parent folder, cached, and never raise an error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.core.project import Project, is_under_ci
from pytest_swarmtask.plugins import compile as compiler
from pytest_swarmtask.plugins import registry
from pytest_swarmtask.recording.settings import read_settings
from tests.lab import clean_environ

WORKFLOW = """
task_integration:
  source: my-project
  session_task_id: suite
  drain_timeout: 5
  handler_timeout: 1.5
  metadata: {team: core}
  redact: {keys: [pin], allow: [csrf_token]}
  webhooks:
    - {name: chat, url: "${CHAT_URL}", secret_env: CHAT_SECRET}
    - {name: board, url: "https://board.example/${BOARD_ID}"}
environments:
  prod:
    task_integration: {drain_timeout: 20}
"""


def write(root: Path, text: str = WORKFLOW) -> Path:
    path = Path(Project(str(root)).workflow_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def cache(root: Path) -> Path:
    return root / ".taskmaster" / "events" / "config.json"


def test_without_a_file(tmp_path: Path) -> None:
    """Without a configuration the defaults are used, and no cache is written."""
    found = read_settings(Project(str(tmp_path)), {})
    assert found.enabled
    assert found.source == tmp_path.name
    assert (found.session_task_id, found.drain_timeout, found.handler_timeout) == ("pytest_run", 2.0, 2.0)
    assert (found.endpoints, found.environment, found.problem) == ([], None, None)
    assert list(tmp_path.iterdir()) == []


def test_the_webhook_that_needs_no_file(tmp_path: Path) -> None:
    """`TASKMASTER_WEBHOOK_URL` alone configures a webhook, with or without a file. An empty value configures none."""
    environ = {"TASKMASTER_WEBHOOK_URL": "http://127.0.0.1:9/"}
    assert read_settings(Project(str(tmp_path)), environ).endpoints == ["default"]
    assert read_settings(Project(str(tmp_path)), {"TASKMASTER_WEBHOOK_URL": ""}).endpoints == []
    write(tmp_path)
    assert read_settings(Project(str(tmp_path)), environ).endpoints == ["default"]


@pytest.mark.parametrize(
    "environ", [{"CI": "1"}, {"CI": "true"}, {"CI": "yes"}, {"TF_BUILD": "True"}, {"JENKINS_URL": "https://j"}], ids=str
)
def test_under_ci_the_end_waits_longer(tmp_path: Path, environ: dict[str, str]) -> None:
    """On CI the end of a run waits up to ten seconds, unless the configuration sets another time."""
    assert read_settings(Project(str(tmp_path)), environ).drain_timeout == 10.0
    write(tmp_path)
    assert read_settings(Project(str(tmp_path)), environ).drain_timeout == 5.0


@pytest.mark.parametrize("ci", ["", "0", "false", "FALSE", "no"])
def test_what_is_no_ci(ci: str) -> None:
    """A variable `CI` with a negative value does not count as CI."""
    assert not is_under_ci({"CI": ci})


def test_what_the_file_says(tmp_path: Path) -> None:
    """Each value comes from the file. A webhook is only used if all variables in its URL are set."""
    write(tmp_path)
    found = read_settings(Project(str(tmp_path)), {"CHAT_URL": "https://chat.example/"})
    assert (found.source, found.session_task_id, found.drain_timeout, found.handler_timeout) == (
        "my-project",
        "suite",
        5,
        1.5,
    )
    assert found.metadata == {"team": "core"}
    assert (found.redact_keys, found.redact_allow) == (["pin"], ["csrf_token"])
    assert found.endpoints == ["chat"]
    assert set(found.variables) == {"CHAT_URL", "CHAT_SECRET"}
    assert found.problem is None


def test_the_cache_gives_the_same(tmp_path: Path) -> None:
    """The settings from the cache equal the settings from the file."""
    write(tmp_path)
    environ = {"CHAT_URL": "https://chat.example/", "BOARD_ID": "7"}
    first, second = (read_settings(Project(str(tmp_path)), environ) for _ in range(2))
    assert cache(tmp_path).exists()
    assert {name: getattr(first, name) for name in first.__slots__} == {
        name: getattr(second, name) for name in second.__slots__
    }


def test_a_warm_cache_needs_no_parser(tmp_path: Path) -> None:
    """With a valid cache, no YAML parser and no validator is loaded."""
    write(tmp_path)
    read_settings(Project(str(tmp_path)), {})
    program = (
        "import os, sys; from pytest_swarmtask.core.project import Project; "
        "from pytest_swarmtask.recording.settings import read_settings; "
        "assert read_settings(Project(os.getcwd()), {}).source == 'my-project'; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, check=True
    )
    assert not {"yaml", "msgspec"} & set(done.stdout.split())


def test_a_change_is_seen(tmp_path: Path) -> None:
    """If the file changes, or another environment is selected, the cache is not used."""
    path = write(tmp_path)
    assert read_settings(Project(str(tmp_path)), {}).drain_timeout == 5
    assert read_settings(Project(str(tmp_path)), {"WORKFLOW_ENVIRONMENT": "prod"}).drain_timeout == 20
    assert read_settings(Project(str(tmp_path)), {}).drain_timeout == 5
    stat = path.stat()
    path.write_text(WORKFLOW.replace("drain_timeout: 5", "drain_timeout: 6"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert read_settings(Project(str(tmp_path)), {}).drain_timeout == 6
    path.unlink()
    assert read_settings(Project(str(tmp_path)), {}).drain_timeout == 2


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"key": 1}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
    ids=repr,
)
def test_a_damaged_cache(tmp_path: Path, damage: bytes) -> None:
    """A damaged cache is replaced."""
    write(tmp_path)
    read_settings(Project(str(tmp_path)), {})
    cache(tmp_path).write_bytes(damage)
    assert read_settings(Project(str(tmp_path)), {}).source == "my-project"
    assert cache(tmp_path).read_bytes() != damage


@pytest.mark.long
def test_a_flipped_byte_in_the_cache(tmp_path: Path) -> None:
    """A changed byte in the cache never changes the settings."""
    write(tmp_path)
    environ = {"CHAT_URL": "https://chat.example/"}
    expected = read_settings(Project(str(tmp_path)), environ)
    sound = cache(tmp_path).read_bytes()
    for position in range(0, len(sound), 7):
        damaged = bytearray(sound)
        damaged[position] ^= 1
        cache(tmp_path).write_bytes(damaged)
        found = read_settings(Project(str(tmp_path)), environ)
        assert {name: getattr(found, name) for name in found.__slots__} == {
            name: getattr(expected, name) for name in found.__slots__
        }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task_integration: {drain_timeuot: 5}", "drain_timeout"),
        ("task_integration: [", "workflow.yaml"),
        ("\x00", "workflow.yaml"),
        ("- a", "workflow.yaml"),
    ],
)
def test_a_configuration_that_cannot_be_followed(tmp_path: Path, text: str, said: str) -> None:
    """With an invalid file nothing is sent, the problem is reported each time, and no error is raised."""
    write(tmp_path, text)
    for _ in range(2):
        found = read_settings(Project(str(tmp_path)), {"TASKMASTER_WEBHOOK_URL": "https://a.example"})
        assert found.enabled
        assert found.endpoints == []
        assert found.drain_timeout == 2.0
        assert found.evidence == {"traceback": False, "output": False, "bytes": 0}
        assert "nothing is sent" in (found.problem or "")
        assert said in (found.problem or "")


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_link_to_nothing(tmp_path: Path, place: str) -> None:
    """A configuration behind a broken link is one that cannot be read, not none."""
    path = write(tmp_path)
    path.unlink()
    if place == "folder":
        path.parent.rmdir()
    (path if place == "file" else path.parent).symlink_to(tmp_path / "nowhere")
    found = read_settings(Project(str(tmp_path)), {"TASKMASTER_WEBHOOK_URL": "https://a.example"})
    assert found.endpoints == []
    assert "found a link to nothing" in (found.problem or "")


def test_what_is_switched_off_beside_a_mistake(tmp_path: Path) -> None:
    """A mistake elsewhere does not switch recording on again, nor uncover what the file calls secret."""
    write(tmp_path, "task_integration: {enabled: false, redact: {keys: [pet]}}\ntypo: 1")
    found = read_settings(Project(str(tmp_path)), {})
    assert not found.enabled
    assert found.redact_keys == ["pet"]


def test_what_is_wrong_is_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid file is checked once, and again after the file or the installed packages change."""
    installed = tmp_path / "site-packages"
    installed.mkdir()
    monkeypatch.setattr(registry, "folders", lambda: [str(installed)])
    write(tmp_path, "task_integration: {drain_timeuot: 5}")
    problem = read_settings(Project(str(tmp_path)), {}).problem
    checked: list[Project] = []
    check = compiler.compile_settings

    def counted(project: Project, environ: Mapping[str, str]) -> dict[str, Any]:
        checked.append(project)
        return check(project, environ)

    monkeypatch.setattr(compiler, "compile_settings", counted)
    assert read_settings(Project(str(tmp_path)), {}).problem == problem
    assert not checked
    (installed / "another").mkdir()
    assert read_settings(Project(str(tmp_path)), {}).problem == problem
    assert len(checked) == 1
    write(tmp_path)
    assert read_settings(Project(str(tmp_path)), {}).problem is None
    assert len(checked) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_could_not_be_read(tmp_path: Path) -> None:
    """A file that could not be read is used as soon as it can be read."""
    path = write(tmp_path)
    path.chmod(0)
    assert read_settings(Project(str(tmp_path)), {}).problem
    path.chmod(0o600)
    assert read_settings(Project(str(tmp_path)), {}).problem is None


def test_an_unknown_environment(tmp_path: Path) -> None:
    """An unknown environment is a problem, and the message names the nearest environment."""
    write(tmp_path)
    assert "prod" in (read_settings(Project(str(tmp_path)), {"WORKFLOW_ENVIRONMENT": "prd"}).problem or "")


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    """A folder in place of the file is a problem, and no error is raised."""
    Path(Project(str(tmp_path)).workflow_file).mkdir(parents=True)
    assert "workflow.yaml" in (read_settings(Project(str(tmp_path)), {}).problem or "")


def test_switched_off_by_the_environment(tmp_path: Path) -> None:
    """`SWARMTASK_DISABLED=1` switches recording off. 0 or an empty value leaves it on."""
    assert not read_settings(Project(str(tmp_path)), {"SWARMTASK_DISABLED": "1"}).enabled
    assert read_settings(Project(str(tmp_path)), {"SWARMTASK_DISABLED": "0"}).enabled
    assert read_settings(Project(str(tmp_path)), {"SWARMTASK_DISABLED": ""}).enabled


def test_a_file_with_several_problems(tmp_path: Path) -> None:
    """One line names the first problem, says how many more there are, and which command lists them."""
    path = write(tmp_path)
    path.write_text("a: 1\nb: 2\nc: 3\n")
    problem = read_settings(Project(str(tmp_path)), {}).problem or ""
    assert "\n" not in problem
    assert "workflow.yaml:1: a: found the unknown key a" in problem
    assert problem.endswith(
        " (and 2 more: swarmtask config validate); events are only recorded until that is mended, and nothing is sent"
    )


def test_the_task_id_of_a_session_names_variables(tmp_path: Path) -> None:
    """Variables in the task id of a session are filled in."""
    write(tmp_path).write_text("task_integration: {session_task_id: 'suite-${LANE}'}")
    assert read_settings(Project(str(tmp_path)), {"LANE": "fast"}).session_task_id == "suite-fast"


def test_a_variable_that_is_not_set(tmp_path: Path) -> None:
    """A text whose variable is not set is never recorded as it stands: the default is used, or there is no entry."""
    write(tmp_path).write_text(
        "task_integration: {source: 'a-${LANE}', session_task_id: 'suite-${LANE}', metadata: {a: '${LANE}', b: c}}"
    )
    settings = read_settings(Project(str(tmp_path)), {})
    assert (settings.source, settings.session_task_id) == (tmp_path.name, "pytest_run")
    assert settings.metadata == {"b": "c"}
