"""Forty mistakes that people make. Each gets a message that names the mistake and the way out, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_swarmtask.cli.main import main
from tests.lab import Lab, once

TEST = "def test_a():\n    pass\n\ndef test_b():\n    assert 1 == 2\n"

COMMANDS = [
    (["reprot"], "there is no command 'reprot'. Did you mean report?"),
    (["report", "--brnach", "main"], "there is no option --brnach. Did you mean --branch?"),
    (["report", "--run", "zzz"], "no run begins with 'zzz'; the last ones are "),
    (["report", "--since", "yesterday"], "'yesterday' is no time: expected a date such as 2026-01-31, or how long ago"),
    (["report", "--last", "0"], "'0' is not a number of runs, expected 1 or more"),
    (["report", "--root", "nowhere"], "--root nowhere: there is no such folder"),
    (["report", "--from", "nowhere"], "--from: url must start with https:// or http:// and a host"),
    (["report", "--from", "http://127.0.0.1:9/p/shop"], "http://127.0.0.1:9 cannot be asked: cannot connect"),
    (["report", "--html", "test_it.py/report.html"], "test_it.py/report.html cannot be written: "),
    (["tests", "nothing"], "no test is known whose node id contains 'nothing'"),
    (["tests"], "the following arguments are required: NODEID"),
    (["tests", "test_"], "several tests contain 'test_', among them\n  test_it.py::test_a\n  test_it.py::test_b"),
    (["explain", "nothing"], "contains 'nothing'; these failed:\n  test_it.py::test_b"),
    (["watch", "--run", "zzz"], "no run in the journal begins with 'zzz'; the last ones are "),
    (["export", "--csv", "--jsonl"], "argument --jsonl: not allowed with argument --csv"),
    (["emit"], "expected TYPE [TASK_ID] [METADATA_JSON], found 0 arguments"),
    (["emit", "TSET_FAILED"], "unknown event type 'TSET_FAILED': expected one of TASK_STARTED, "),
    (["emit", "TSET_FAILED"], "did you mean TEST_FAILED?"),
    (["emit", "TEST_FAILED", "a", "{bad"], "the metadata is not JSON (Expecting property name"),
    (["run"], "found no command, expected one after the options"),
    (["run", "--knid", "build", "--", "true"], "--knid"),
    (["flush", "--timeout", "soon"], "'soon' is not a number of seconds"),
    (["replay", "--id", "zzz"], "--id: found zzz, expected ids of dead letters: see swarmtask replay"),
    (["purge", "--older-than", "soon"], "'soon' is not a number of days"),
    (["clean", "--yes"], "--yes needs --older-than DAYS or --all, which say what to remove"),
    (["collect", "journals.zip"], "journals.zip: there is no such file or folder"),
    (["init", "--only", "jenkins"], "found 'jenkins', expected some of config,make,github,gitlab,pre-commit"),
    (["completion", "csh"], "there is no shell 'csh'. Did you mean zsh?"),
    (["config", "check"], "there is no action 'check', expected validate, show, schema"),
    (["triggers"], "found no action, expected test"),
    (["listen", "--port", "99999"], "'99999' is not a port, expected 0 to 65535"),
    (["listen", "--secret-env", "NOWHERE"], "--secret-env NOWHERE: the variable is not set"),
    (["serve", "--host", "192.0.2.1"], "Set SWARMTASK_READ_TOKEN to a token for readers, or allow it with --open"),
    (["sync"], "tasks.json does not exist: is Task Master used in this project?"),
    (["quarantine", "add", "test_b"], "the following arguments are required: --reason, --owner"),
    (["quarantine", "release", "test_b"], "test_b is not quarantined: swarmtask quarantine list"),
    (
        ["quarantine", "add", "test_b", "--reason", "x", "--owner", "me", "--until", "2020-01-01"],
        "--until 2020-01-01 is in the past",
    ),
    (["quarantine", "add", "test_b", "--until", "2026-13-01"], "'2026-13-01' is not a date such as 2026-12-31"),
]
CONFIGURATIONS = [
    ("task_integraton: {}", "1: task_integraton: found the unknown key", "did you mean task_integration?"),
    ("task_integration:\n\twebhooks: []", "2: found invalid YAML in column 1", "indent with spaces, not with tabs"),
    ("task_integration: {webhooks: [{name: a, ulr: x}]}", "webhooks[0].ulr: found the unknown key", "mean url?"),
    (
        "monitoring: {retention: {journal_age: soon}}",
        "journal_age: found the text 'soon'",
        "a number of seconds above 0",
    ),
    ("access_control: {default_role: boss}", "default_role: found boss", "expected the name of a role"),
]
OPTIONS = [
    ("--swarmtask-shard=9/8", "--swarmtask-shard is '9/8', expected I/N with I from 1 to N, such as 2/8"),
    ("--swarmtask-drain-timeout=soon", "swarmtask_drain_timeout is 'soon', expected a number of seconds"),
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one run, in which a test failed."""

    def build(folder: Path) -> Path:
        made = Lab(folder / "shop")
        made.file("test_it.py", TEST)
        assert made.pytest().returncode == 1
        return made.root

    return once(tmp_path_factory, "mistakes", build)


@pytest.mark.parametrize(("arguments", "message"), COMMANDS, ids=[" ".join(one)[:60] for one, _ in COMMANDS])
def test_a_command(
    recorded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(recorded)
    for name in ("CI", "GITHUB_ACTIONS", "AUTOMATION_SECRET_KEY", "SWARMTASK_READ_TOKEN", "SWARMTASK_FROM"):
        monkeypatch.delenv(name, raising=False)
    try:
        code = main(arguments)
    except SystemExit as end:  # argparse ends so
        code = int(end.code or 0)
    out, err = capfd.readouterr()
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("text", "mistake", "way_out"), CONFIGURATIONS, ids=[one[:40] for one, *_ in CONFIGURATIONS])
def test_a_configuration(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, mistake: str, way_out: str
) -> None:
    file = tmp_path / ".taskmaster" / "config" / "workflow.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"{text}\n")
    assert main(["config", "validate", "--root", str(tmp_path)]) == 2
    err = capfd.readouterr().err
    assert f"{file}:" in err
    assert mistake in err
    assert way_out in err


@pytest.mark.parametrize(("option", "message"), OPTIONS)
def test_an_option_of_pytest(lone: Lab, option: str, message: str) -> None:
    lone.file("test_it.py", TEST)
    done = lone.pytest(option)
    assert done.returncode == 4
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_there_are_forty() -> None:
    assert len(COMMANDS) + len(CONFIGURATIONS) + len(OPTIONS) >= 40
