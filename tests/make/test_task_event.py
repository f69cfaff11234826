"""`task-event` of tasks.mk with the real make: it calls the emitter correctly, and never disturbs a recipe."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from pytest_swarmtask.cli import tasksmk
from tests.lab import read_events
from tests.make.lab import Done, MakeProject

SEED = """
test:
	@$(call task-event,TASK_STARTED,make_test,'{"action":"test","type":"all"}')
	@python scripts/run_tests.py && \\
		$(call task-event,TASK_COMPLETED,make_test,'{"success":true}') || \\
		($(call task-event,TASK_FAILED,make_test,'{"success":false}') && exit 1)
"""

RECORDER = """#!/bin/sh
[ "$1" != -c ] || exec echo "$0-program"
case "$1 $2 $3" in
    "-S $0-program emit") shift 3 ;;
    "-m pytest_swarmtask.emit "*) shift 2 ;;
    *) exit 9 ;;
esac
call=$(pwd; printf '%s\\036' "$@"; cat; printf '\\035')
printf '%s' "$call" >> '{records}'
echo 'the emitter prints'
{extra}
"""


class Make(MakeProject):
    """A project with a recording script that replaces the Python of `TASKS_PYTHON`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.records = folder.parent / "records"
        self.python = folder / ".venv" / "bin" / "python"
        self.python.parent.mkdir(parents=True)
        self.recorder()

    def recorder(self, extra: str = "") -> None:
        """Write the recording script. It ends with the shell text `extra`."""
        self.python.write_text(RECORDER.format(records=self.records, extra=extra))
        self.python.chmod(0o755)

    def run(self, *arguments: str, python: str | None = ".venv/bin/python", stdin: str = "", **environ: str) -> Done:
        """Run make with `python` as `TASKS_PYTHON` in the environment."""
        return self.make(*arguments, stdin=stdin, TASKS_PYTHON=python, **environ)

    def calls(self) -> list[list[str]]:
        """Return the arguments of each call of the emitter: `[type, task id, metadata]`, as far as given."""
        return [call for call, _, _ in self.recorded()]

    def recorded(self) -> list[tuple[list[str], str, str]]:
        """Return each call with its working folder and the text that it could read from standard input."""
        found = []
        records = self.records.read_text() if self.records.exists() else ""
        for record in records.split("\035")[:-1]:
            folder, _, rest = record.partition("\n")
            *words, stdin = rest.split("\036")
            found.append((words, folder, stdin))
        return found


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return Make(tmp_path / "a project's (own) folder")


def recipe(*lines: str, header: str = "include tasks.mk") -> str:
    return "\n".join([header, "all:", *(f"\t{line}" for line in lines), ""])


class TestSeed:
    """The example Makefile of the design works unchanged."""

    @pytest.fixture(autouse=True)
    def project(self, make: Make) -> None:
        make.write("include tasks.mk\n" + SEED)
        make.write(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "bin/python")
        (make.root / "bin/python").chmod(0o755)

    def run(self, make: Make, status: int) -> Done:
        make.write(f"print('the tests run'); raise SystemExit({status})", "scripts/run_tests.py")
        return make.run(PATH=f"{make.root}/bin:{os.environ['PATH']}")

    def test_success(self, make: Make) -> None:
        """A passing command reports its start and completion, and make prints only the command's output."""
        done = self.run(make, 0)
        assert (done.returncode, done.stdout, done.stderr) == (0, "the tests run\n", "")
        assert make.calls() == [
            ["TASK_STARTED", "make_test", '{"action":"test","type":"all"}'],
            ["TASK_COMPLETED", "make_test", '{"success":true}'],
        ]

    def test_failure(self, make: Make) -> None:
        """A failing command reports its failure and fails the target."""
        done = self.run(make, 3)
        assert done.returncode == 2
        assert make.calls()[1:] == [["TASK_FAILED", "make_test", '{"success":false}']]


@pytest.mark.parametrize(
    ("written", "received"),
    [
        pytest.param("""'{"x":1, "y":[2,,3]}'""", '{"x":1, "y":[2,,3]}', id="commas and spaces after them"),
        pytest.param(
            """'{"text":"a,  b (c, d)"}'""", '{"text":"a,  b (c, d)"}', id="text with commas, spaces, parentheses"
        ),
        pytest.param("""{"a":"it's","b":"back\\nslash"}""", """{"a":"it's","b":"back\\nslash"}""", id="not quoted"),
        pytest.param("""{"a":"$$word","b":"\\"c\\""}""", r"""{"a":"one  two","b":"\"c\""}""", id="shell variable"),
        pytest.param("""'{"a":"'"$$word"'"}'""", '{"a":"one  two"}', id="quotes changed midway"),
        pytest.param('''"{\\"a\\":\\"$$word\\",\\"b\\":1}"''', '{"a":"one  two","b":1}', id="double quotes"),
        pytest.param("""'{"a":"$$word `x` \\\\ %# ~ é"}'""", '{"a":"$word `x` \\\\ %# ~ é"}', id="literal specials"),
        pytest.param("$(BODY)", '{"a":1, "b":2}', id="make variable with a newline and commas"),
        pytest.param("'$(NESTED)'", '{"list":"a.c b.c"}', id="make function"),
    ],
)
def test_metadata_arrives_as_written(make: Make, written: str, received: str) -> None:
    """make splits the JSON at its commas, and the emitter still gets it unchanged."""
    header = """include tasks.mk
define BODY
{"a":1,
"b":2}
endef
NESTED = {"list":"$(addsuffix .c,a b)"}"""
    make.write(recipe(f"@word='one  two'; $(call task-event,TASK_STARTED,id,{written})", header=header))
    done = make.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert make.calls() == [["TASK_STARTED", "id", received]]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ("TASK_STARTED", ["TASK_STARTED"]),
        ("TASK_STARTED,build", ["TASK_STARTED", "build"]),
        ("TASK_STARTED,,'{}'", ["TASK_STARTED", "", "{}"]),
        ("TASK_STARTED, build, '{}'", ["TASK_STARTED", "build", "{}"]),
        ("TASK_STARTED,it's  \"my\" task & (yours); *,'{}'", ["TASK_STARTED", 'it\'s  "my" task & (yours); *', "{}"]),
        ("TASK_STARTED,'it is quoted','{}'", ["TASK_STARTED", "it is quoted", "{}"]),
        ("TASK_STARTED,part-$$word", ["TASK_STARTED", "part-one  two"]),
        ("TASK_STARTED,$@-of-$(MAKELEVEL)", ["TASK_STARTED", "all-of-0"]),
    ],
)
def test_task_id_arrives_as_written(make: Make, arguments: str, received: list[str]) -> None:
    """A task id needs no quotes, may be quoted, and may be left out, as may the metadata."""
    make.write(recipe(f"@word='one  two'; $(call task-event,{arguments})"))
    done = make.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert make.calls() == [received]


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("flags", ["-c", "-ec", "-euc"])
def test_any_place_in_a_line(make: Make, shell: str, flags: str) -> None:
    """The call is one command that succeeds: in and-or lists, subshells, `if`, between semicolons, under `set -eu`."""
    event = '$(call task-event,TASK_STARTED,{},\'{{"a":1,"b":2}}\')'.format
    make.write(
        recipe(
            f"@{event(1)}",
            f"@true && {event(2)} || {event('never')}",
            f"@false && {event('never')} || {event(3)}",
            f"@({event(4)} && exit 0) && if {event(5)}; then {event(6)}; fi; {event(7)}; echo end",
            header=f"include tasks.mk\nSHELL := {shutil.which(shell)}\n.SHELLFLAGS := {flags}",
        )
    )
    make.recorder("exit 1")
    done = make.run(TASKS_QUIET="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    assert [task_id for _, task_id, _ in make.calls()] == list("1234567")


def test_oneshell(make: Make) -> None:
    """With `.ONESHELL` the lines of a recipe share a shell and its variables."""
    event = "$(call task-event,TASK_STARTED,$$name)"
    make.write(recipe("@name=first", event, "name=second", f"true && {event}") + ".ONESHELL:\n")
    assert make.run().stderr == ""
    assert [task_id for _, task_id in make.calls()] == ["first", "second"]


def test_no_comma_is_dropped_in_silence(make: Make) -> None:
    """Metadata may have 61 commas. With more commas the event is sent without metadata, and make prints a notice."""
    fits, longer = (",".join(map(str, range(count))) for count in (62, 63))
    make.write(
        recipe(f"@$(call task-event,TASK_STARTED,a,'[{fits}]')", f"@$(call task-event,TASK_STARTED,b,'[{longer}]')")
    )
    done = make.run()
    assert done.returncode == 0
    assert make.calls() == [["TASK_STARTED", "a", f"[{fits}]"], ["TASK_STARTED", "b"]]
    assert "tasks.mk: TASK_STARTED b: metadata left out: it has more than 61 commas" in done.stderr


def test_inside_another_function(make: Make) -> None:
    """Arguments of a surrounding function of the project do not get into the event."""
    header = "include tasks.mk\nstarted = $(call task-event,TASK_STARTED,$(1),'{\"a\":1}')"
    make.write(recipe("@$(call started,id,4,5,6,7,8,9)", header=header))
    make.run()
    assert make.calls() == [["TASK_STARTED", "id", '{"a":1}']]


@pytest.mark.parametrize("flag", ["-n", "-t", "-q", "-kn", "-nB", "--dry-run"])
def test_nothing_where_make_runs_nothing(make: Make, flag: str) -> None:
    """Lines that make runs even with -n, -t and -q (with `+` or `$(MAKE)`) report nothing, nor do sub-makes."""
    event = "$(call task-event,TASK_STARTED,id)"
    make.write(recipe(f"+@echo ran; {event}", f"@$(MAKE) sub; {event}", f"@{event}") + f"sub:\n\t+@{event}\n")
    done = make.run(flag)
    assert "ran\n" in done.stdout
    assert make.calls() == []


@pytest.mark.parametrize(
    ("makeflags", "idle"),
    [
        ("n", True),
        ("kn -j2 --jobserver-auth=3,4 -- A=b", True),
        ("t", True),
        ("q", True),
        ("", False),
        ("k", False),
        (" -- NAME=n", False),
        ("NAME=nothing", False),
        (" --no-print-directory", False),
        ("--no-print-directory", False),
        (" -j8 --jobserver-auth=fifo:/tmp/nqt -- quiet=nt", False),
        ("n NAME=value", True),
    ],
)
def test_makeflags_of_other_versions(make: Make, makeflags: str, idle: bool) -> None:
    """Only one-letter options count. In make 3.81 the first word may be a variable or a long option."""
    make.write(f"include tasks.mk\n$(info <$(call tasks-runs-nothing,$(firstword -{makeflags})))\nall:\n")
    assert make.run().stdout.startswith("<\n") is not idle


class TestWithoutEmitter:
    """If pytest-swarmtask is not installed, recipes still work."""

    TWICE = recipe(
        "@$(call task-event,TASK_STARTED,a)", "@echo work", "@$(call task-event,TASK_COMPLETED,a) && echo done"
    )

    def bare_python(self, make: Make) -> str:
        """Return a real Python that cannot import the package."""
        make.write(f'#!/bin/sh\nexec "{sys._base_executable}" -IS "$@"\n', "bare")  # type: ignore[attr-defined]
        (make.root / "bare").chmod(0o755)
        return "./bare"

    def test_one_notice(self, make: Make) -> None:
        """Any number of events prints one notice on standard error, with the reason and the way to hide it."""
        make.write(self.TWICE)
        done = make.run(python=self.bare_python(make))
        assert (done.returncode, done.stdout) == (0, "work\ndone\n")
        assert len(done.stderr.splitlines()) == 1
        assert re.match(r"tasks\.mk: no events: .*pytest_swarmtask.*TASKS_QUIET=1", done.stderr)

    @pytest.mark.parametrize("shell", ["dash", "bash"])
    def test_no_such_python(self, make: Make, shell: str) -> None:
        make.write(self.TWICE)
        done = make.run(f"SHELL={shutil.which(shell)}", python="no-such-python")
        assert (done.returncode, done.stdout) == (0, "work\ndone\n")
        assert len(done.stderr.splitlines()) == 1
        assert "no-such-python" in done.stderr

    def test_quiet(self, make: Make) -> None:
        make.write(self.TWICE)
        done = make.run(python=self.bare_python(make), TASKS_QUIET="1")
        assert (done.returncode, done.stdout, done.stderr) == (0, "work\ndone\n", "")

    def test_installed_midway(self, make: Make) -> None:
        """If a target installs the package, the events after that are reported."""
        make.python.rename(make.root / "ready")
        make.write(
            recipe(
                "@$(call task-event,TASK_STARTED,a)",
                "@mv ready .venv/bin/python",
                "@$(call task-event,TASK_COMPLETED,a)",
            )
        )
        done = make.run()
        assert "no events" in done.stderr
        assert make.calls() == [["TASK_COMPLETED", "a"]]


def test_what_the_emitter_says(make: Make) -> None:
    """Messages of the emitter on standard error are always printed. Its standard output is discarded."""
    make.write(TestWithoutEmitter.TWICE)
    make.recorder("echo 'the folder is read-only' >&2; exit 2")
    done = make.run()
    assert (done.returncode, done.stdout) == (0, "work\ndone\n")
    assert done.stderr == "tasks.mk: the folder is read-only\n" * 2


def test_standard_input_stays_with_the_recipe(make: Make) -> None:
    """The emitter does not read the standard input of the recipe's commands."""
    make.write(recipe("@$(call task-event,TASK_STARTED,a); cat"))
    assert make.run(stdin="for the recipe").stdout == "for the recipe"
    assert [stdin for _, _, stdin in make.recorded()] == [""]


def test_a_background_child_does_not_hold_the_output(make: Make) -> None:
    """`make | cat` ends with make, even if the emitter leaves a process behind (such as the relay)."""
    make.recorder(f"sleep 20 2>/dev/null & echo $! > '{make.records.parent}/pid'")
    make.write(recipe("@$(call task-event,TASK_STARTED,a)"))
    started = time.monotonic()
    done = make.run()
    os.kill(int((make.records.parent / "pid").read_text()), 9)
    assert (done.stdout, done.stderr) == ("", "")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("python", [".venv/bin/python", "$(CURDIR)/.venv/bin/python", '"$(CURDIR)/.venv/bin/python"'])
def test_python_is_found_from_any_folder(make: Make, python: str) -> None:
    """A relative `TASKS_PYTHON`, and a path with the spaces of the project's folder, work after a cd."""
    make.write(
        recipe("@cd sub && $(call task-event,TASK_STARTED,a)", header=f"TASKS_PYTHON = {python}\ninclude tasks.mk")
    )
    (make.root / "sub").mkdir()
    done = make.run()
    assert done.stderr == ""
    assert [(call, Path(folder).name) for call, folder, _ in make.recorded()] == [(["TASK_STARTED", "a"], "sub")]


def test_python_may_be_several_words(make: Make) -> None:
    """`TASKS_PYTHON` may be several words, such as `uv run python`."""
    make.write(
        recipe(
            "@$(call task-event,TASK_STARTED,a)", header="TASKS_PYTHON := env A=1 .venv/bin/python\ninclude tasks.mk"
        )
    )
    make.run()
    assert make.calls() == [["TASK_STARTED", "a"]]


def test_include_from_another_folder(make: Make) -> None:
    """tasks.mk works in any folder, without any other file beside it."""
    (make.root / "make").mkdir()
    shutil.move(make.root / "tasks.mk", make.root / "make" / "tasks.mk")
    make.write(recipe("@$(call task-event,TASK_STARTED,a)", header="include ../make/tasks.mk"), "sub dir/Makefile")
    done = make.run("-C", "sub dir", "--no-print-directory", python="../.venv/bin/python")
    assert (done.returncode, done.stderr) == (0, "")
    assert make.calls() == [["TASK_STARTED", "a"]]


def test_sub_makes_use_the_same_python(make: Make) -> None:
    """A sub-make in another folder that sets no Python uses the Python of the make above."""
    make.write(recipe("@$(MAKE) -C sub", header="TASKS_PYTHON := .venv/bin/python\ninclude tasks.mk"))
    make.write(recipe("@$(call task-event,TASK_STARTED,below)", header="include ../tasks.mk"), "sub/Makefile")
    assert make.run(python=None).stderr == ""
    assert make.calls() == [["TASK_STARTED", "below"]]


def test_parallel_targets(make: Make) -> None:
    """With `-j8` the events of each target arrive complete."""
    names = [f"target-{number}" for number in range(30)]
    text = "include tasks.mk\nall: " + " ".join(names) + "\n"
    for name in names:
        start = "$(call task-event,TASK_STARTED,$@,'{\"a\":[1,2]}')"
        text += f"{name}:\n\t@{start} && $(call task-event,TASK_COMPLETED,$@)\n"
    make.write(text)
    assert make.run("-j8").returncode == 0
    started = [["TASK_STARTED", name, '{"a":[1,2]}'] for name in names]
    assert sorted(make.calls()) == sorted(started + [["TASK_COMPLETED", name] for name in names])


FUNCTIONS = (
    "subst|patsubst|strip|findstring|filter|filter-out|sort|words?|wordlist|firstword|lastword|dir|notdir|suffix|basename|join"
    "|addsuffix|addprefix|wildcard|realpath|abspath|if|or|and|foreach|call|value|eval|origin|flavor|shell|error|warning|info"
)
LATER = {
    "a function": rf"(?<!\$)\$[({{](?!(?:{FUNCTIONS})[\s\\])[a-z-]+[ \t]",
    "a directive": r"^ *-?(?:private|undefine|load|(?:override )?export +define|export +private)\b",
    "a way to define": r"^ *(?:export |override )?[\w.-]+ *(?:::+=|!=)|^ *(?:override )?define\s+\S+\s*[:?+!]*=",
    "a special target": r"^\.(?:ONESHELL|NOTINTERMEDIATE)\b|\.WAIT\b",
    "a variable that is set": r"^ *(?:override |export )?\.(?:SHELLFLAGS|RECIPEPREFIX|EXTRA_PREREQS)\b",
    "a variable that is read": r"\$[({](?:\.SHELLSTATUS|\.LOADED|MAKE_TERMOUT|MAKE_TERMERR|MAKE_HOST)[)}]",
    "grouped targets": r"^[^#\t=]*&:",
}
"""Constructs that make 3.81 does not have: it fails on them, or silently does something else.
`.SHELLFLAGS` may be read: tasks.mk checks with `origin` whether it exists.
"""


def later(text: str) -> list[str]:
    """Return the kinds of constructs in a makefile that make 3.81 does not have."""
    uncommented = re.sub(r"(?m)^#.*", "", text)
    return [what for what, pattern in LATER.items() if re.search(pattern, uncommented, re.MULTILINE)]


def test_only_what_make_3_81_has() -> None:
    """tasks.mk only uses constructs of make 3.81."""
    assert later(tasksmk.installed().read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "X = $(file < name)",
        "X = $(let a,b,c)",
        "X = ${intcmp 1,2}",
        "X = $(guile 1)",
        "private X = 1",
        "undefine X",
        "export define X",
        "load x.so",
        "X ::= 1",
        "X :::= 1",
        "X != date",
        "define X =",
        "define X :=",
        ".ONESHELL:",
        "a: .WAIT b",
        ".SHELLFLAGS := -ec",
        ".RECIPEPREFIX = >",
        "X := $(.SHELLSTATUS)",
        "a b &: c",
    ],
)
def test_the_check_refuses_what_came_later(text: str) -> None:
    assert len(later(f"A = 1\n{text}\n")) == 1


def test_the_check_accepts_what_3_81_has() -> None:
    """The check accepts similar text: in comments, in shell words, and after a check of `origin`."""
    text = """# private X ::= $(file a)
define X
text
endef
X ?= $(or $(and $(A),$(B)),$(info a))
export X := $(lastword $(MAKEFILE_LIST))
override X += $(value A)
F = $(if $(filter undefined,$(origin .SHELLFLAGS)),-c,$(.SHELLFLAGS))
.DEFAULT_GOAL := all
ifeq ($(A),1)
else ifneq ($(B),)
endif
a: private-thing ; @[ "$$x" != 1 ] && echo $$(printf %s 1) ${X} $(my-function)
-include b.mk
"""
    assert later(text) == []


class TestRealEmitter:
    """`task-event` with the real emitter writes events into the journal."""

    def test_events_reach_the_journal(self, make: Make) -> None:
        """Type, task id and metadata match the recipe, and the output of make is unchanged."""
        make.write(
            recipe(
                '@$(call task-event,BUILD_STARTED,the build,\'{"action":"build","list":[1,2]}\')',
                "@cd sub && echo built && $(call task-event,BUILD_COMPLETED,the build,'{\"success\":true}')",
            )
        )
        (make.root / "sub").mkdir()
        done = make.run(python=f"'{sys.executable}'")
        assert (done.returncode, done.stdout, done.stderr) == (0, "built\n", "")
        started, completed = read_events(make.root)
        assert (started["event_type"], started["task_id"], started["status"]) == (
            "BUILD_STARTED",
            "the build",
            "started",
        )
        assert started["metadata"].items() >= {"action": "build", "list": [1, 2]}.items()
        assert (completed["event_type"], completed["metadata"]["success"]) == ("BUILD_COMPLETED", True)

    def test_one_make_is_one_run(self, make: Make) -> None:
        """Events of a make and its sub-makes share a trace id, also with -j. Another make has another trace id."""
        event = "\n\t@$(call task-event,TASK_STARTED,$@)\n"
        make.write(f"include tasks.mk\nall: a b\n\t@$(MAKE) -C sub\na:{event}b:{event}")
        make.write(f"include ../tasks.mk\nc:{event}", "sub/Makefile")
        for _ in range(2):
            assert make.run("-j2", python=f"'{sys.executable}'").stderr == ""
        events = read_events(make.root)
        runs = {one["trace_id"] for one in events}
        assert len(runs) == 2
        assert {(one["trace_id"], one["task_id"]) for one in events} == {(run, task) for run in runs for task in "abc"}

    def test_a_run_around_goes_on(self, make: Make) -> None:
        """If TRACEPARENT names a surrounding run, the events of make belong to that run."""
        make.write(recipe("@$(call task-event,TASK_STARTED,a)", "@echo $$TRACEPARENT"))
        around = f"00-{'ab' * 16}-{'cd' * 8}-01"
        done = make.run(python=f"'{sys.executable}'", TRACEPARENT=around)
        (event,) = read_events(make.root)
        assert (event["trace_id"], event["parent_span_id"], done.stdout) == ("ab" * 16, "cd" * 8, f"{around}\n")

    def test_wrong_calls_are_told_and_harm_nothing(self, make: Make) -> None:
        """An unknown type or broken JSON is reported on standard error, and the recipe continues."""
        make.write(
            recipe("@$(call task-event,NO_SUCH_TYPE,a)", "@$(call task-event,TASK_STARTED,a,'{\"a\":')", "@echo on")
        )
        done = make.run(python=f"'{sys.executable}'")
        assert (done.returncode, done.stdout) == (0, "on\n")
        assert "NO_SUCH_TYPE" in done.stderr
