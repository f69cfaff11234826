"""The parser of the command line: helps, typing mistakes, completion, and `swarmtask` alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_swarmtask.cli.main import make_parser
from pytest_swarmtask.cli.parser import CommandParser
from tests.lab import REPOSITORY, Lab, clean_environ
from tests.shop import Shop, on_terminal
from tests.suite import Suite


def commands(parser: CommandParser) -> dict[str, CommandParser]:
    """Return the parsers of commands, and of their actions, by what people type."""
    (found,) = [action.choices for action in parser._actions if isinstance(action.choices, dict)] or [{}]
    return {f"{parser.prog} {name}": one for name, one in found.items()}


TOP = {name: one for name, one in commands(make_parser()).items() if name not in ("swarmtask emit", "swarmtask run")}
ALL = {**TOP, **{name: one for parser in TOP.values() for name, one in commands(parser).items()}}


class TestHelp:
    @pytest.mark.parametrize("name", TOP)
    def test_each_command_has_a_sentence_an_example_and_a_page(self, name: str) -> None:
        text = TOP[name].format_help()
        assert re.search(r"^[A-Z].*[.\n]", text.partition("\n\n")[2])
        example = re.search(r"^Example:\n  (.*)$", text, re.MULTILINE)
        assert example
        assert name in example[1]
        page = re.search(r"^More: (docs/[\w-]+\.md)", text, re.MULTILINE)
        assert page
        assert (REPOSITORY / page[1]).is_file()

    @pytest.mark.parametrize("name", ALL)
    def test_each_option_is_explained(self, name: str) -> None:
        assert [action.dest for action in ALL[name]._actions if not action.help and action.dest != "action"] == []

    @pytest.mark.parametrize("width", [60, 80, 120])
    def test_it_fits_the_terminal(self, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
        monkeypatch.setenv("COLUMNS", str(width))
        for name, parser in ALL.items():
            text = parser.format_help().partition("\n\n")[2]  # argparse does not break the groups of its usage line
            long = [line for line in text.splitlines() if len(line) > width and not line.startswith("  swarmtask")]
            assert long == [], name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reprot",), "swarmtask: there is no command 'reprot'. Did you mean report?"),
        (("zzz",), "swarmtask: there is no command 'zzz'"),
        (("report", "--brnach", "main"), "swarmtask report: there is no option --brnach. Did you mean --branch?"),
        (("report", "--brnach=main"), "swarmtask report: there is no option --brnach. Did you mean --branch?"),
        (("report", "x"), "swarmtask report: unexpected argument 'x'"),
        (("quarantine", "ad"), "swarmtask quarantine: there is no action 'ad'. Did you mean add?"),
        (
            ("quarantine", "release", "--pasing"),
            "swarmtask quarantine release: there is no option --pasing. Did you mean --passing?",
        ),
        (("completion", "tcsh"), "swarmtask completion: there is no shell 'tcsh', expected bash, zsh, fish"),
        (("flaky", "--last", "x"), "swarmtask flaky: argument --last: 'x' is not a number of runs, expected 1 or more"),
        (("tests",), "swarmtask tests: the following arguments are required: NODEID"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    """It is named, with the way out, and ends with 2."""
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(arguments)
    assert ended.value.code == 2
    output, errors = capsys.readouterr()
    first, second = errors.splitlines()
    assert (output, first) == ("", message)
    assert second == f"{first.partition(':')[0]} --help shows what there is"


def alone(root: Path) -> str:
    """Return what `swarmtask` prints in a folder."""
    command = [sys.executable, "-m", "pytest_swarmtask"]
    done = subprocess.run(command, cwd=root, env=clean_environ(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class TestAlone:
    def test_nothing_is_recorded(self, project: Suite) -> None:
        text = alone(project.root)
        assert text.splitlines()[1] == "nothing has been recorded here yet"
        assert "  pytest              records its tests\n" in text

    def test_something_failed(self, shop: Shop) -> None:
        lines = alone(shop.suite.root).splitlines()
        assert lines[0] == f"project {shop.suite.root}"
        assert re.fullmatch(r"last run [0-9a-f]{12} of [-\d]+ [\d:]+: pytest_run failed", lines[1])
        assert lines[2] == "8 passed, 2 failed, 1 skipped, 1 xfailed, 1 error in teardown"
        assert lines[4] == "  swarmtask failures  shows why, 2 failures by cause"
        steps = on_terminal(shop.suite.root, 60, NO_COLOR="1").partition("\n\n")[2]
        assert max(map(len, steps.splitlines())) <= 60
        assert " ".join(steps.split()) == " ".join(" ".join(lines[4:]).split())

    def test_events_wait(self, lab: Lab) -> None:
        """A webhook refuses the secret: `status` says why."""
        lab.record_unsent("TASK_STARTED", ["a", "b"])
        assert "  swarmtask status    shows why 2 events could not be delivered yet\n" in lab.run().stdout


class TestCompletion:
    @pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
    @pytest.mark.parametrize(("words", "found"), [("fai", "failures"), ("failures --bran", "--branch")])
    def test_bash(self, lone: Lab, words: str, found: str) -> None:
        script = (
            f"source /dev/stdin; COMP_WORDS=(swarmtask {words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n"
            'complete -p swarmtask >&2; _shtab_swarmtask; echo "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "-c", script],
            input=lone.run("completion", "bash").stdout,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, f"{found}\n"), done.stderr

    @pytest.mark.parametrize("shell", ["zsh", "fish"])
    def test_other_shells(self, lone: Lab, shell: str) -> None:
        """The script has each command; a shell that is installed can read it."""
        script = lone.run("completion", shell).stdout
        assert [name for name in TOP if name.partition(" ")[2] not in script] == []
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=script, text=True, check=True)
