"""The switches that disable the plugin, its options, and sessions inside tests."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.lab import UNRELATED, clean_environ
from tests.suite import WITH_WORKER, Suite, words

ONE = "def test_a(): pass"
QUIET_CONFIG = """
    task_integration:
      enabled: false
"""


@pytest.mark.parametrize(
    ("switch", "xdist"),
    [
        ("-pno:swarmtask", ()),
        ("--no-swarmtask", ()),
        ("variable", ()),
        ("ini", ()),
        ("file", ()),
        *(pytest.param(switch, ("-n1",), marks=pytest.mark.slow) for switch in ("-pno:swarmtask", "variable", "file")),
    ],
    ids=words,
)
def test_off(project: Suite, switch: str, xdist: tuple[str, ...]) -> None:
    """Each switch disables all events, all output and the journal, also under xdist."""
    project.write(test_it=ONE)
    environ = {"SWARMTASK_DISABLED": "1"} if switch == "variable" else {}
    if switch == "ini":
        project.file("pytest.ini", "[pytest]\nswarmtask = false\n")
    if switch == "file":
        project.file(".taskmaster/config/workflow.yaml", QUIET_CONFIG)
    session = project.pytest(*([switch] if switch.startswith("-") else []), *xdist, **environ)
    assert session.exit_code == 0
    assert session.events == []
    assert "swarmtask:" not in session.output
    assert list(project.root.glob(".taskmaster/events/*.jsonl")) == []


@pytest.mark.parametrize("arguments", [(), ("-q",)], ids=words)
def test_off_by_a_file_that_is_not_valid(project: Suite, arguments: tuple[str, ...]) -> None:
    """`enabled: false` holds in a file with mistakes. One line says that there are mistakes, and what that means."""
    project.write(test_it=ONE)
    project.file(".taskmaster/config/workflow.yaml", "task_integration: {enabled: false, sourcee: a}\nmonitorng: {}")
    session = project.pytest(*arguments)
    assert session.exit_code == 0
    assert session.events == []
    (line,) = [line for line in session.output.splitlines() if "swarmtask:" in line or "workflow.yaml" in line]
    assert line.startswith("swarmtask: warning: ")
    assert line.endswith(
        " (and 1 more: swarmtask config validate); nothing is recorded, as the file says enabled: false"
    )
    assert "swarmtask:" not in project.pytest(SWARMTASK_DISABLED="1").output


def test_variable_of_nought(project: Suite) -> None:
    """SWARMTASK_DISABLED=0 does not disable the plugin."""
    assert len(project.write(test_it=ONE).pytest(SWARMTASK_DISABLED="0").events) == 4


def test_named_and_found(project: Suite) -> None:
    """`-p swarmtask` in addition to the installed entry point loads the plugin once."""
    session = project.write(test_it=ONE).pytest("-p", "swarmtask")
    assert session.exit_code == 0
    assert len(session.events) == 4


def test_named_without_autoload(project: Suite) -> None:
    """`-p swarmtask` loads the plugin if the automatic loading of plugins is disabled."""
    session = project.write(test_it=ONE).pytest("-p", "swarmtask", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert len(session.events) == 4


def test_help(project: Suite) -> None:
    """`--help` lists the options in one group, and lists the ini keys."""
    text = project.pytest("--help").output
    group = text.partition("workflow events (pytest-swarmtask):\n")[2].partition("\n\n")[0]
    names = ("task-id", "variant", "drain-timeout", "report", "shard", "shard-by")
    options = {"--no-swarmtask", "--no-swarmtask-quarantine", *(f"--swarmtask-{name}" for name in names)}
    assert set(re.findall(r"^ +(--[\w-]+)", group, re.MULTILINE)) == options
    assert set(re.findall(r"^ +(--[\w-]*swarmtask[\w-]*)", text, re.MULTILINE)) == options
    for key in ("swarmtask (bool)", "swarmtask_task_id (string)", "swarmtask_drain_timeout (string)"):
        assert key in text


@pytest.mark.parametrize("how", ["option", "ini", "file"])
def test_task_id_of_the_session(project: Suite, how: str) -> None:
    """An option, an ini key or the configuration sets the task id of the session."""
    project.write(test_it=ONE)
    if how == "ini":
        project.file("pytest.ini", "[pytest]\nswarmtask_task_id = nightly\n")
    if how == "file":
        project.file(".taskmaster/config/workflow.yaml", "task_integration: {session_task_id: nightly}")
    session = project.pytest(*(["--swarmtask-task-id=nightly"] if how == "option" else []))
    assert session.start["task_id"] == session.end["task_id"] == "nightly"


@pytest.mark.parametrize("value", ["soon", "-1", "nan"])
def test_bad_drain_timeout(project: Suite, value: str) -> None:
    """An invalid drain timeout, as an option or an ini key, is a usage error, and there is no session."""
    option = [f"--swarmtask-drain-timeout={value}"] if value == "soon" else []
    project.file("pytest.ini", f"[pytest]\nswarmtask_drain_timeout = {'1' if option else value}\n")
    session = project.write(test_it=ONE).pytest(*option)
    assert session.exit_code == 4
    assert f"swarmtask_drain_timeout is '{value}'" in session.errors
    assert session.events == []


def test_invalid_configuration(project: Suite) -> None:
    """An invalid workflow.yaml gives one warning in the header, and events are recorded but not sent."""
    project.file(".taskmaster/config/workflow.yaml", "task_integration:\n  enabeld: false\n")
    session = project.write(test_it=ONE).pytest("-W", "error")
    assert session.exit_code == 0
    assert len(session.events) == 4
    header, _, rest = session.output.partition("collected 1 item")
    assert header.count("swarmtask: warning: ") == 1
    assert "enabeld" in header
    assert "enabled" in header
    assert "warning" not in rest


INNER = """
    pytest_plugins = ["pytester"]

    def check(result):
        result.assert_outcomes(passed=1, failed=1)

    def make(pytester):
        pytester.makepyfile("def test_inner(): pass\\ndef test_inner_too(): assert 0")

    def test_in_process(pytester):
        make(pytester)
        check(pytester.runpytest_inprocess(*{arguments}))

    def test_as_subprocess(pytester):
        make(pytester)
        check(pytester.runpytest_subprocess(*{arguments}))

    def test_after():
        pass
"""


def nested(project: Suite, arguments: list[str], *options: str) -> list[str]:
    """Run a suite whose tests run pytest, and return the names of all recorded tests."""
    project.write(test_outer=INNER.format(arguments=[*UNRELATED, *arguments]))
    session = project.pytest("--basetemp=inner", *options)
    assert session.exit_code == 0, session.output
    outer = {"test_in_process", "test_as_subprocess", "test_after"}
    assert {event["task_id"].partition("::")[2] for event in session.of("TEST_PASSED")} >= outer
    return [event["task_id"].partition("::")[2] for event in session.of("TEST_STARTED")]


@pytest.mark.parametrize("xdist", [(), WITH_WORKER], ids=words)
def test_nested_sessions_are_silent(project: Suite, xdist: tuple[str, ...]) -> None:
    """Sessions inside a test, in process and as a subprocess, record nothing and do not affect the outer session."""
    assert sorted(nested(project, [], *xdist)) == ["test_after", "test_as_subprocess", "test_in_process"]


def test_nested_sessions_that_ask(project: Suite) -> None:
    """`-p swarmtask` on the command line of a nested session records that session."""
    names = Counter(nested(project, ["-p", "swarmtask"]))
    assert (names["test_inner"], names["test_inner_too"], names["test_after"], len(names)) == (2, 2, 1, 5)


@pytest.mark.parametrize("name", ["setuponly", "setupplan", "stepwise", "cacheprovider", "terminal", "junitxml"])
def test_plugins_of_pytest_that_are_off(project: Suite, name: str) -> None:
    """A session without one of pytest's own plugins, and so without its options, is recorded as any other."""
    project.write(test_it=ONE)
    command = [word for word in project.command("-p", f"no:{name}") if name != "junitxml" or not word.startswith("--")]
    session = project.session(command, clean_environ())
    assert session.exit_code == 0, session.output
    assert session.types() == ["TASK_STARTED", "TEST_STARTED", "TEST_PASSED", "TASK_COMPLETED"]
    assert "warning" not in session.output


@pytest.mark.parametrize(
    ("value", "said"), [("5", ""), ("0.5", ""), ("'5'", ""), ("0", ""), ("true", "True"), ("-1", "-1")]
)
def test_numbers_of_native_toml(project: Suite, value: str, said: str) -> None:
    """A number of seconds may be a number in the native TOML of pytest 9, and text, as in every version."""
    if pytest.version_tuple < (9, 0):
        value = f"'{value.strip(chr(39))}'"
        said = said.lower()
    table = "tool.pytest" if pytest.version_tuple >= (9, 0) else "tool.pytest.ini_options"
    project.file("pyproject.toml", f"[{table}]\nswarmtask_drain_timeout = {value}\n")
    session = project.write(test_it=ONE).pytest()
    assert session.exit_code == (4 if said else 0), session.output
    assert (f"swarmtask_drain_timeout is {said}" in session.errors.replace("'", "")) is bool(said)


def test_what_cannot_be_recorded_is_told_in_quiet_sessions(project: Suite) -> None:
    """With ``-q`` and ``-qq`` there is no header, so the warning stands below the tests."""
    hook = "import os\ndef refuse(count): raise AssertionError('the suite forbids this')\nos.urandom = refuse"
    project.write(conftest=hook, test_it=ONE)
    for arguments in ((), ("-q",), ("-qq",)):
        assert project.pytest(*arguments).output.count("swarmtask: warning: nothing is recorded") == 1
