"""`task-event` and the wrappers report each event once with any options, shells and special targets of make."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_swarmtask
from tests.lab import read_events
from tests.make.lab import NEWEST_MAKE, MakeProject, ended, paths


@pytest.fixture(params=["make", pytest.param(NEWEST_MAKE, marks=pytest.mark.slow)], ids=["system", "newest"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> MakeProject:
    """A project in a folder with spaces, quotes and parentheses in its name, for the make of the system and 4.4.1."""
    return MakeProject(tmp_path / 'a project\'s (own) "folder"', request.param)


BOTH = """include tasks.mk
all: event wrapped again
event:
	@$(call task-event,TASK_STARTED,$@,'{"a":[1,2]}')
	@echo made $@ && $(call task-event,TASK_COMPLETED,$@) || $(call task-event,TASK_FAILED,$@)
wrapped:
	@$(call build-run,$@,echo "made $@")
again: ; @$(call task-run,$@,cd sub && $(MAKE) --no-print-directory -s below)
"""
BELOW = "include ../tasks.mk\nbelow:\n\t@$(call deploy-run,$@,echo 'made $@')\n"
ALL = sorted([*ended("event"), *ended("wrapped", "BUILD"), *ended("again"), *ended("below", "DEPLOYMENT")])
MADE = ["made below", "made event", "made wrapped"]


@pytest.mark.parametrize(
    "options",
    ["", "-j8", "-k -j2", "-i -B", "-j4 -Oline", "--trace", "--warn-undefined-variables -r -R", "-s"],
)
def test_options_that_run_recipes(project: MakeProject, options: str) -> None:
    """With each option that runs recipes, each event is reported once, in one run, and standard error stays empty."""
    project.write(BOTH)
    project.write(BELOW, "sub/Makefile")
    done = project.make(*options.split(), GNUMAKEFLAGS="")  # make 4.4 itself warns where it is not defined
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("made ")) == MADE
    assert sorted(project.told()) == ALL
    assert paths(project.events()) == [["again"], ["again", "below"], ["event"], ["wrapped"]]
    assert len({event["trace_id"] for event in project.events()}) == 1


@pytest.mark.parametrize("option", ["-n", "-t", "-q", "-nj2"])
def test_options_that_run_nothing(project: MakeProject, option: str) -> None:
    """Lines that make runs despite `-n`, `-t` or `-q` (those with `+` or `$(MAKE)`) report no event."""
    project.write(
        BOTH + "plus:\n\t+@$(call task-run,$@,echo it ran)\n\t+@$(call task-event,TASK_STARTED,a) && echo this, too\n"
    )
    project.write(BELOW, "sub/Makefile")
    done = project.make(option, "plus", "all")
    assert {"it ran", "this, too"} <= set(done.stdout.splitlines())
    assert not set(MADE) & set(done.stdout.splitlines())
    assert project.events() == []


FAILING = """include tasks.mk
all: bad good
bad:
	@$(call build-run,$@,echo text > $@; echo no luck >&2; exit 3)
	@echo after the failure
good: ; @$(call build-run,$@,true)
.DELETE_ON_ERROR:
"""


@pytest.mark.parametrize(
    ("options", "code", "good", "after"),
    [("", 2, False, False), ("-k", 2, True, False), ("-i", 0, True, True), ("-S", 2, False, False)],
)
def test_failures_mean_what_they_do(project: MakeProject, options: str, code: int, good: bool, after: bool) -> None:
    """A failing wrapped command stops make according to make's options, and `.DELETE_ON_ERROR` works."""
    project.write(FAILING)
    done = project.make(*options.split())
    assert (done.returncode, "after the failure" in done.stdout) == (code, after)
    assert "Error 3" in done.stderr
    expected = ended("bad", "BUILD", "FAILED") + (ended("good", "BUILD") if good else [])
    assert sorted(project.told()) == sorted(expected)
    assert (project.root / "bad").exists() is (options == "-i")


@pytest.mark.parametrize("how", ["-", "|| true", "IGNORE"])
def test_a_failure_that_is_ignored(project: MakeProject, how: str) -> None:
    """If the recipe ignores a failure, the event still reports it, and the recipe continues."""
    call = "$(call task-run,$@,exit 3)"
    line = {"-": f"-@{call}", "|| true": f"@{call} || true", "IGNORE": f"@{call}"}[how]
    special = ".IGNORE: all" if how == "IGNORE" else ""
    project.write(f"include tasks.mk\nall:\n\t{line}\n\t@echo on\n{special}\n")
    done = project.make()
    assert (done.returncode, done.stdout) == (0, "on\n")
    assert project.end("all")["exit_code"] == 3


SHELLS = [("dash", "-c"), ("dash", "-ec"), ("bash", "-c"), ("bash", "-eu -o pipefail -c")]


@pytest.mark.parametrize("oneshell", [False, True], ids=["a shell for each line", "one shell"])
@pytest.mark.parametrize(("shell", "flags"), SHELLS)
def test_shells(project: MakeProject, shell: str, flags: str, oneshell: bool) -> None:
    """A wrapped command is run with the shell and the flags of the recipe. `.POSIX` changes nothing."""
    project.write(
        f"""MAKEFLAGS += --warn-undefined-variables --no-builtin-rules
.POSIX:
{".ONESHELL:" if oneshell else ""}
SHELL := {shutil.which(shell)}
.SHELLFLAGS := {flags}
include tasks.mk
define SCRIPT
printf 'one\\n'  # with \\ and 'quotes'

printf 'two\\n'
false
printf 'never\\n'
endef
all:
	@$(call task-event,TASK_STARTED)
	@$(call task-run,pipe,false | true) || echo pipefail
	@$(call task-run,script,$(SCRIPT)) || echo stopped
	@$(call task-event,TASK_STARTED,event,'{{"a":1,"b":2}}') && echo end
"""
    )
    done = project.make()
    pipefail = ["pipefail"] if "pipefail" in flags else []
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*pipefail, "one", "two", "stopped", "end"]
    assert project.end("pipe")["success"] is (not pipefail)
    command = project.end("script")["command"]
    assert command[0] == shutil.which(shell)
    assert command[-1].split("\n")[0] == "printf 'one\\n'  # with \\ and 'quotes'"
    (event,) = [one for one in project.events() if one["task_id"] == "event"]
    assert event["metadata"].items() >= {"a": 1, "b": 2}.items()


def test_another_prefix_of_recipes(project: MakeProject) -> None:
    """`.RECIPEPREFIX` before the include works, also with the standard targets."""
    project.write(
        ".RECIPEPREFIX = >\nTASKS_STANDARD_TARGETS := 1\nTASKS_BUILD = echo built\ninclude tasks.mk\n"
        "all: build tasks-help\n> @$(call task-run,$@,echo all)\n"
    )
    done = project.make()
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(project.told()) == sorted(ended("make_build", "BUILD") + ended("all"))


def test_the_default_goal_stays(project: MakeProject) -> None:
    """The include does not change the default goal of the project."""
    project.write("TASKS_STANDARD_TARGETS := 1\ninclude tasks.mk\nfirst: ; @echo $@\nsecond: ; @echo $@\n")
    assert project.make().stdout == "first\n"
    project.write(".DEFAULT_GOAL := second\nTASKS_STANDARD_TARGETS := 1\ninclude tasks.mk\nfirst second: ; @echo $@\n")
    assert project.make().stdout == "second\n"
    project.write("first second: ; @echo $@\nTASKS_STANDARD_TARGETS := 1\ninclude tasks.mk\n")
    assert project.make().stdout == "first\n"
    project.write("include tasks.mk\n")
    assert "No targets" in project.make().stderr


def test_a_second_include(project: MakeProject) -> None:
    """A fragment that is included may include tasks.mk, too; the switch may be set between the two."""
    project.write("include tasks.mk\n", "common.mk")
    project.write(
        "include common.mk\nTASKS_STANDARD_TARGETS := 1\nTASKS_BUILD = echo built\ninclude tasks.mk\ninclude tasks.mk\n"
        "all: build ; @$(call task-run,$@,echo all)\n"
    )
    done = project.make()
    assert (done.returncode, done.stdout, done.stderr) == (0, "built\nall\n", "")
    assert sorted(project.told()) == sorted(ended("make_build", "BUILD") + ended("all"))


REMADE = """include tasks.mk
all: ; @$(call task-run,$@,echo $(X))
part.mk: ; @$(call build-run,$@,echo X=made > $@)
-include part.mk
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/ns/pid"), reason="only Linux tells what makes two processes differ")
def test_a_makefile_that_is_remade(project: MakeProject) -> None:
    """make starts itself anew after it has remade a makefile, and still it is one run; a second make is another run."""
    project.write(REMADE)
    assert project.make().stdout == "made\n"
    assert sorted(project.told()) == sorted([*ended("part.mk", "BUILD"), *ended("all")])
    assert len({event["trace_id"] for event in project.events()}) == 1
    project.make()
    assert len({event["trace_id"] for event in project.events()}) == 2


@pytest.mark.parametrize("option", ["-n", "-q", "-t"])
def test_a_makefile_that_is_remade_without_recipes(project: MakeProject, option: str) -> None:
    """With -n, -q and -t, make still remakes an included makefile, so its wrapper records events."""
    project.write(REMADE)
    project.make(option)
    assert (project.root / "part.mk").read_text() == "X=made\n"
    assert project.told() == ended("part.mk", "BUILD")


def test_a_system_that_tells_nothing_of_processes(project: MakeProject) -> None:
    """Without /proc, the id of each run is random."""
    project.write("include tasks.mk\nall: ; @echo $$TRACEPARENT\n")
    project.file("bin/readlink", "#!/bin/sh\nexit 1\n", 0o755)
    said = [project.make(PATH=f"{project.root}/bin:{os.environ['PATH']}").stdout for _ in range(2)]
    assert said[0] != said[1]
    assert all(re.fullmatch(r"00-[0-9a-f]{32}-00000000[0-9a-f]{8}-01\n", text) for text in said)


def test_what_a_bare_export_passes_on(project: MakeProject) -> None:
    """With a bare `export` above it, a sub-make keeps its own targets, and finds the Python of the make above."""
    project.write(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', "bin/python")
    (project.root / "bin" / "python").chmod(0o755)
    project.write(
        "export\nTASKS_PYTHON := bin/python\nTASKS_STANDARD_TARGETS := 1\nTASKS_BUILD = echo built above\n"
        "include tasks.mk\nall: build ; @$(MAKE) --no-print-directory -C sub test build\n"
    )
    project.write(
        "test: ; @$(call task-run,$@,echo my own test)\nbuild: ; @echo my own build\ninclude ../tasks.mk\n",
        "sub/Makefile",
    )
    done = project.make(TASKS_PYTHON=None)
    assert (done.stdout, done.stderr) == ("built above\nmy own test\nmy own build\n", "")
    assert sorted(project.told()) == sorted(ended("make_build", "BUILD") + ended("test"))


QUOTED = [
    "'v env/bin/python'",
    '"v env/bin/python" -X dev',
    "'v env'/bin/python",
    "v' 'env/bin/python",
    r"v\ env/bin/python",
    r"'v env/it'\''s a python' -X 'dev'",
    """'v env/it'"'"'s a python'""",
    '''"v env/it's a python"''',
]


@pytest.mark.parametrize("python", QUOTED)
def test_a_quoted_relative_python(project: MakeProject, python: str) -> None:
    """After a cd and in a sub-make, a quoted relative `TASKS_PYTHON` records, and the recipe runs its commands."""
    for name in ("bin/python", "it's a python"):
        project.file(f"v env/{name}", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n', 0o755)
    project.write(
        f"TASKS_PYTHON := {python}\ninclude tasks.mk\nall:\n\t@cd sub && $(call task-run,run,echo ran)\n"
        "\t@cd sub && $(call task-event,TASK_STARTED,event)\n\t@$(MAKE) --no-print-directory -C sub\n"
    )
    project.write("include ../tasks.mk\nbelow: ; @$(call task-run,$@,echo below)\n", "sub/Makefile")
    done = project.make(TASKS_PYTHON=None)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\nbelow\n", "")
    assert sorted(project.told()) == sorted([*ended("run"), ("TASK_STARTED", "event"), *ended("below")])


@pytest.mark.parametrize("python", ["'no python' /x", '"$$HOME"/python', "$$HOME/python", "'/no python' a/b", "~/x"])
def test_a_python_that_is_no_relative_path(project: MakeProject, python: str) -> None:
    """A name, an absolute path and a path that begins with a variable of the shell stay as they are."""
    project.write(f"TASKS_PYTHON := {python}\ninclude tasks.mk\n$(info $(tasks-python))\nall: ; @:\n")
    assert project.make(TASKS_PYTHON=None).stdout == f"{python.replace('$$', '$')}\n"


def test_the_python_is_looked_for_once(project: MakeProject) -> None:
    """A TASKS_PYTHON that calls a shell calls it once, and other `$(shell)` of the project do not repeat it."""
    python = shlex.quote(shlex.quote(sys.executable))
    project.write(
        f"TASKS_PYTHON = $(shell echo x >> count; printf %s {python})\ninclude tasks.mk\n"
        "A := $(shell echo a)\nB := $(shell echo b)\nall: ; @$(call task-run,$@,echo $A$B)\n"
    )
    done = project.make(TASKS_PYTHON=None)
    assert (done.stdout, done.stderr) == ("ab\n", "")
    assert (project.root / "count").read_text() == "x\n"
    assert project.told() == ended("all")


def test_parallel_sub_makes_share_the_jobs(project: MakeProject) -> None:
    """A wrapper passes on make's job server, so a sub-make inside it uses the same `-j`."""
    project.write("include tasks.mk\nall: ; @$(call task-run,$@,$(MAKE) -C sub)\n")
    project.write("include ../tasks.mk\nall: a b\na b: ; @$(call task-run,$@,echo $$MAKEFLAGS)\n", "sub/Makefile")
    done = project.make("-j2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("--jobserver") == 2
    assert paths(project.events()) == [["all"], ["all", "a"], ["all", "b"]]


def test_a_trace_around_goes_on(project: MakeProject) -> None:
    """The span of a wrapper is a child of the span in TRACEPARENT, and the wrapped command gets the wrapper's span."""
    project.write(
        "include tasks.mk\nall: ; @$(call task-run,outer,$(call task-run,inner,echo $$TRACEPARENT) && true)\n"
    )
    done = project.make(TRACEPARENT=f"00-{'ab' * 16}-{'cd' * 8}-01")
    spans = {event["task_id"]: event for event in project.events()}
    assert spans["outer"]["parent_span_id"] == "cd" * 8
    assert spans["inner"]["parent_span_id"] == spans["outer"]["span_id"]
    assert done.stdout == f"00-{'ab' * 16}-{spans['inner']['span_id']}-01\n"


# --- if nothing can be reported --------------------------------------------------------------------------------------

WORK = """include tasks.mk
all: a b
a b:
	@$(call task-event,TASK_STARTED,$@)
	@$(call task-run,$@,echo work of $@)
	@$(call task-event,TASK_COMPLETED,$@) && echo done
all: ; @$(call task-event,TASK_STARTED,$@) && $(MAKE) --no-print-directory a
"""


def test_a_journal_that_cannot_be_written(project: MakeProject) -> None:
    """If the journal cannot be written, recipes still work, and the reason is printed once per run of make."""
    (project.root / ".taskmaster").rmdir()
    project.write("a file", ".taskmaster")
    project.write(WORK)
    done = project.make("-j2")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["done"] * 3 + ["work of a"] * 2 + ["work of b"]
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "swarmtask: " in done.stderr
    assert ".taskmaster" in done.stderr


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A folder that every user can read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_checkout(checkout: Path) -> None:
    """In a project that the user cannot write to, recipes still work, and the reason is printed once."""
    project = MakeProject(checkout / "read only")
    project.write(WORK)
    for path in (project.root / ".taskmaster", project.root):
        path.chmod(stat.S_IREAD | stat.S_IEXEC | 0o55)
    become: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("nothing here makes an ordinary user of root")
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    library = str(Path(pytest_swarmtask.__file__).parents[1])
    for interpreter in (sys.executable, "/usr/bin/python3"):
        python = f"env PYTHONPATH={shlex.quote(library)} {shlex.quote(interpreter)}"
        look = f"{python} -c 'import sys, pytest_swarmtask.recipe; sys.exit(sys.version_info < (3, 10))'; exit $?"
        if subprocess.run([*become, "sh", "-c", look], capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("an ordinary user has no Python here that may read the package")
    command = [*become, "make", "-j2"]
    done = subprocess.run(
        command,
        cwd=project.root,
        env=project.environ(HOME="/nowhere", TASKS_PYTHON=python),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["done"] * 3 + ["work of a"] * 2 + ["work of b"]
    assert re.fullmatch(r"(tasks\.mk: )?swarmtask: .*Permission denied.*\n", done.stderr), done.stderr
    assert read_events(project.root) == []


class TestNotInstalled:
    """If the package is not installed, commands run unchanged."""

    @pytest.mark.parametrize("python", ["no-such-python", "/bin/false"])
    @pytest.mark.parametrize("shell", ["dash", "bash"])
    def test_one_notice(self, project: MakeProject, python: str, shell: str) -> None:
        """A make and its sub-makes print one notice, whether an event or a wrapper comes first."""
        project.write(WORK)
        done = project.make("-j1", f"SHELL={shutil.which(shell)}", TASKS_PYTHON=python)
        assert done.returncode == 0
        assert done.stdout.splitlines() == ["work of a", "done", "work of b", "done", "work of a", "done"]
        assert done.stderr.startswith("tasks.mk: no events: ")
        assert done.stderr.endswith(" (TASKS_QUIET=1 hides this)\n")
        assert len(done.stderr.splitlines()) == 1

    def test_wrappers(self, project: MakeProject) -> None:
        """Nested wrappers change neither the commands, nor the exit code, nor the lines of a script."""
        project.write(
            "include tasks.mk\ndefine SCRIPT\nprintf '%s\\n' \"a'b\\\\n\"\nexit 4\nendef\n"
            "all: ; @$(call task-run,outer,echo 'it''s'; $(call build-run,inner,$(SCRIPT)))\n"
        )
        done = project.make(TASKS_PYTHON="no-such-python")
        assert done.stdout == "its\na'b\\n\n"
        notice, error = done.stderr.splitlines()
        assert notice == "tasks.mk: no events: no-such-python has no pytest-swarmtask (TASKS_QUIET=1 hides this)"
        assert error.endswith("Error 4")

    def test_quiet(self, project: MakeProject) -> None:
        project.write(WORK)
        done = project.make(TASKS_PYTHON="no-such-python", TASKS_QUIET="1")
        assert (done.returncode, done.stderr) == (0, "")
