"""A wrapper runs the command as the recipe would, and the end event describes the result."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import is_process
from tests.make.lab import NEWEST_MAKE, MakeProject, ended
from tests.watched import Terminal, wait_for


@pytest.mark.parametrize(
    ("wrapper", "kind", "passed"),
    [
        ("task", "TASK", "COMPLETED"),
        ("build", "BUILD", "COMPLETED"),
        ("deploy", "DEPLOYMENT", "COMPLETED"),
        ("test", "TEST", "PASSED"),
    ],
)
def test_kinds(project: MakeProject, wrapper: str, kind: str, passed: str) -> None:
    """Each wrapper has its own event types."""
    call = f"$(call {wrapper}-run,$@"
    project.write(f"include tasks.mk\nall: good bad\ngood: ; @{call},true)\nbad: ; -@{call},false)\n")
    assert project.make().returncode == 0
    assert project.told() == ended("good", kind, passed) + ended("bad", kind, "FAILED")


COMMANDS = [
    r"""echo a,b, c  d""",
    r"""printf '<%s>' "two  words" 'it'\''s' "say \"so\"" a\ b""",
    r"""echo '{"a":[1, 2],"b":"it is (so)"}'""",
    r"""name=value; echo $$name "$${name}s" '$$name' $$((6 * 7))""",
    r"""(exit 1) || echo "(b, c)" $$(echo "(d)")""",
    r"""echo é ✓ "$(TEXT)" '$(TEXT)'""",
    r"""echo `echo x` ; echo '`' "\`" \\ '\n' % '#' ! '*' ~ | cat""",
    r"""for n in 1 2 3; do echo $$n; done && { echo group; } && case x in (x) echo case;; esac""",
    r"""cd sub && pwd && cat < ../tasks.mk | head -1""",
    r"""echo $@ $(@F) "$(CURDIR)" $(words $(TEXT))""",
    r"""printf '%s' "$$0 $$#" && test -z "$$1" """,
    r"""A=1 B="2 3" sh -c 'echo $$A $$B' ; echo out && echo err >&2""",
    r"""echo $(MANY)""",
    "echo one && \\\n\techo two \\\n\tthree",
]
HEADER = f"""include tasks.mk
TEXT = one, (two three
MANY = {",".join(map(str, range(200)))}
"""


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_commands_arrive_as_written(project: MakeProject, shell: str) -> None:
    """A command does the same with a wrapper as without it."""
    text = HEADER + f"SHELL = {shell}\n"
    for name, line in (("plain", "{}"), ("wrapped", "$(call task-run,,{})")):
        text += f"{name}: " + " ".join(f"{name}-{number}" for number in range(len(COMMANDS))) + "\n"
        for number, command in enumerate(COMMANDS):
            text += f"{name}-{number}:\n\t@{line.format(command)}\n\t@printf '\\n\\n'\n"
    project.write(text)
    (project.root / "sub").mkdir()
    plain, wrapped = project.make("plain"), project.make("wrapped")
    expected = plain.stdout.replace("plain-", "wrapped-")
    assert wrapped.stdout.split("\n\n") == expected.split("\n\n")
    assert (wrapped.returncode, wrapped.stderr) == (plain.returncode, plain.stderr) == (0, "err\n")
    assert len(project.events()) == 2 * len(COMMANDS)
    assert all(event["metadata"].get("success", True) for event in project.events())


VARIABLES = [
    r"""v='a  b"c'\''d $$x'; {}echo "$$v" '$$v' $$v $${{v%d}} $${{#v}} $$(echo "$$v"){end}""",
    r"""v=1; w=; {}echo "[$$v$$w]$${{u-unset}}$${{w-unset}}$${{w:-empty}}"{end}""",
    r"""X=0; X=1 {}echo $$X{end}""",
    r"""export X=0; X=1 {}echo $$X{end}""",
    r"""set -u; {}echo $${{Y-unset}}{end}""",
    r"""n=5; f() {{ {}echo in a function $$n{end}; }}; f""",
    r"""n=5; {}n=6; echo $$n{end}; echo $$n""",
    r"""for n in 1 2; do {}echo loop $$n; echo "$$n/x"* {end}; done""",
    r"""secret=s; {}env | grep secret || echo not named, not passed{end}""",
]


@pytest.mark.parametrize("how", ["recorded", "idle", "without the package"])
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_variables_of_the_recipe_reach_the_command(project: MakeProject, shell: str, how: str) -> None:
    """A wrapped command sees the variables that the recipe's shell has set, as the same command without a wrapper."""
    text = f"include tasks.mk\nSHELL = {shell}\n"
    for name, start, end in (("plain", "( ", " )"), ("wrapped", "$(call task-run,x,", ")")):
        recipe = "".join(f"\t{'+' if how == 'idle' else ''}@{line.format(start, end=end)}\n" for line in VARIABLES)
        text += f"{name}:\n{recipe}"
    project.write(text.replace("X=1 ( ", "( X=1; "))  # a shell takes no assignment before a list
    options = ["-q"] if how == "idle" else []  # runs only lines with a plus sign
    environ = {"TASKS_PYTHON": "no-python", "TASKS_QUIET": "1"} if how == "without the package" else {}
    plain, wrapped = (project.make(*options, name, **environ) for name in ("plain", "wrapped"))
    assert (wrapped.stdout, wrapped.stderr) == (plain.stdout, plain.stderr)
    assert plain.returncode == wrapped.returncode == 0
    assert bool(project.events()) is (how == "recorded")


PLAIN = [
    r"""env printf '<%s>\n' 'two  words' it\'s a,b A=1 'x;y' %d @""",
    r"""'./a script' of 'several  words'""",
    r"""./without-interpreter x""",
    r"""./missing""",
    r"""missing""",
    r"""./sub""",
    r"""./not-executable""",
    r"""exit 9""",
    r"""cd sub""",
    r"""cd missing""",
    r"""'cd' sub""",
    r"""\cd sub""",
    r""". ./sourced""",
    r"""ulimit -n""",
    r"""exec env printf 'replaced\n'""",
    r"""A=1 env printf 'A\n'""",
    r"""-missing""",
    r"""''""",
    r"""kill -9 0x""",
]


@pytest.mark.parametrize("how", ["recorded", "idle", "without the package"])
@pytest.mark.parametrize("oneshell", ["", ".ONESHELL:\n"], ids=["a shell for each line", "one shell"])
def test_commands_that_need_no_shell(project: MakeProject, oneshell: str, how: str) -> None:
    """Output and exit codes of plain commands, which replace their shell, and of builtins are those of `sh -c`."""
    project.file("a script", '#!/bin/sh\necho "$0 $# $2"\necho err >&2\nexit 3\n', 0o755)
    project.file("without-interpreter", 'echo "$0 $1"\n', 0o755)
    project.file("not-executable", "#!/bin/sh\n")
    project.file("sourced", "echo sourced\n")
    (project.root / "sub").mkdir()
    text = f"include tasks.mk\n{oneshell}"
    for name in ("plain", "wrapped"):
        text += f"{name}: {' '.join(f'{name}-{number}' for number in range(len(PLAIN)))}\n"
        for number, command in enumerate(PLAIN):
            line = f"/bin/sh -c {shlex.quote(command)}" if name == "plain" else f"$(call task-run,x,{command})"
            text += f"{name}-{number}: ; {'+' if how == 'idle' else ''}@{line}; echo code $$?\n"
    project.write(text)
    options = ["-q"] if how == "idle" else []
    environ = {"TASKS_PYTHON": "no-python", "TASKS_QUIET": "1"} if how == "without the package" else {}
    plain, wrapped = (project.make(*options, name, **environ) for name in ("plain", "wrapped"))
    assert wrapped.stdout == plain.stdout
    assert wrapped.stderr.replace("exec: ", "") == plain.stderr
    assert "code 126\n" in plain.stdout
    assert "code 127\n" in plain.stdout
    assert bool(project.events()) is (how == "recorded")


@pytest.mark.skipif(os.path.basename(os.path.realpath("/bin/sh")) != "dash", reason="other shells replace themselves")
def test_no_builtin_replaces_the_shell(project: MakeProject) -> None:
    """A command that begins with a word that the shell knows itself stays a command of the shell."""
    every = "compgen -b; compgen -k; echo chdir"
    known = (
        f"for word in $(bash -c '{every}'); do type $word | grep -Eq 'is a .*(builtin|keyword)' && echo $word; done; :"
    )
    words = subprocess.run(["/bin/sh", "-c", known], capture_output=True, text=True, check=True).stdout.split()
    assert len(words) > 40
    project.write(
        "include tasks.mk\n"
        "$(info <$(strip $(foreach word,$(WORDS) true-program,$(if $(call tasks-is-plain,$(word) x),$(word))))>)\n"
        "all: ; @:\n"
    )
    assert project.make(f"WORDS={' '.join(words)}").stdout == "<true-program>\n"


def test_functions_do_not_reach_the_command(project: MakeProject) -> None:
    """As the documentation says. The recipe fails, rather than that something else runs."""
    project.write("include tasks.mk\nall:\n\t@f() { echo f; }; $(call task-run,x,f)\n")
    done = project.make()
    assert done.returncode == 2
    assert "f: not found" in done.stderr


def test_one_shot(project: MakeProject) -> None:
    """With .ONESHELL a command uses what earlier lines of its recipe have set."""
    project.write(
        "include tasks.mk\n.ONESHELL:\nclean:\n\t@build=$$(mktemp -d); touch $$build/x\n"
        '\t$(call task-run,clean,rm -r "$$build/"* && rmdir $$build && echo removed)\n'
    )
    done = project.make("clean")
    assert (done.returncode, done.stdout, done.stderr) == (0, "removed\n", "")


def test_ids(project: MakeProject) -> None:
    """Task ids are quoted where necessary. An empty shell variable as the id does not stop the command."""
    calls = {'it\'s  "my" task': 'it\'s  "my" task', "'a quoted id'": "a quoted id", "part-$$word": "part-one  two"}
    calls |= {"$@-$(MAKELEVEL)": "all-0", "": "sh", "$$nothing": "sh"}
    project.write("include tasks.mk\nall:\n" + "".join(f"\t@$(call task-run,{call},true)\n" for call in calls))
    assert project.make(word="one  two").stderr == ""
    assert [task_id for kind, task_id in project.told() if kind == "TASK_STARTED"] == list(calls.values())


def test_many_commas_and_no_command(project: MakeProject) -> None:
    """A command may have 61 commas. More commas, and a missing command, are errors with a hint."""
    fits, longer = (",".join(map(str, range(count))) for count in (62, 63))
    project.write(
        f"include tasks.mk\nfits: ; @$(call task-run,$@,echo {fits})\nlonger: ; @$(call task-run,$@,echo {longer})\n"
        "nothing: ; @$(call task-run,$@)\n"
    )
    assert project.make("fits").stdout == f"{fits}\n"
    assert "longer: the command has more than 61 commas: put it into a variable" in project.make("longer").stderr
    assert "task nothing: found no command, expected one after the id" in project.make("nothing").stderr


def test_inside_a_function_of_the_project(project: MakeProject) -> None:
    """Arguments of a surrounding function do not get into the command."""
    project.write("include tasks.mk\nmine = $(call build-run,$(1),echo $(2),x)\nall: ; @$(call mine,a,b,3,4,5,6)\n")
    assert project.make().stdout == "b,x\n"


def test_the_end(project: MakeProject) -> None:
    """The end event of a failure has exit code, duration and the last lines of stderr. Both outputs are unchanged."""
    project.write("include tasks.mk\nall: ; @$(call build-run,$@,echo out; echo oh, no >&2; sleep 0.1; exit 7)\n")
    done = project.make()
    assert (done.returncode, done.stdout) == (2, "out\n")
    first, error = done.stderr.splitlines()
    assert first == "oh, no"
    assert error.endswith("Error 7")
    end = project.end("all")
    assert end["event_type"] == "BUILD_FAILED"
    assert end.items() >= {"exit_code": 7, "success": False, "error": "exit code 7", "stderr_tail": "oh, no"}.items()
    assert 0.1 < end["duration"] < 30


def test_killed_by_a_signal(project: MakeProject) -> None:
    """A command that a signal kills fails with 128 plus the signal number, and the end event names the signal."""
    project.write("include tasks.mk\nall: ; @$(call task-run,$@,kill -9 $$$$)\n")
    assert "Error 137" in project.make().stderr
    assert project.end("all").items() >= {"exit_code": 137, "signal": "SIGKILL"}.items()


def test_standard_input(project: MakeProject) -> None:
    """The command gets all of the standard input, also if two wrapped commands follow each other."""
    project.write(
        'include tasks.mk\nall:\n\t@$(call task-run,$@,read line; echo "<$$line>")\n\t@$(call task-run,$@,cat)\n'
    )
    assert project.make(stdin="one\ntwo\nthree").stdout == "<one>\ntwo\nthree"


def test_around_a_wrapper(project: MakeProject) -> None:
    """A wrapper works as a simple command: with assignments, redirections, lists, conditions and pipes."""
    project.write(
        """include tasks.mk
all:
	@NAME=value $(call task-run,1,echo $$NAME) > file; cat file
	@$(call task-run,2,cat) < file | $(call task-run,3,tr a-z A-Z)
	@if $(call task-run,4,false); then :; else echo no; fi
	@($(call task-run,5,true) && exit 0) || echo never
"""
    )
    done = project.make()
    assert (done.returncode, done.stdout, done.stderr) == (0, "value\nVALUE\nno\n", "")
    assert {task_id for _, task_id in project.told()} == set("12345")


# --- signals and terminals --------------------------------------------------------------------------------------------

WAITING = """include tasks.mk
%.out: ; @$(call task-run,$@,echo started > $@; echo ready; exec sleep 60)
"""


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_make_is_told_to_end(project: MakeProject, shell: str) -> None:
    """SIGTERM reaches the command through make, and no process is left running."""
    project.write(WAITING)
    process = subprocess.Popen(
        ["make", "a.out", f"SHELL=/bin/{shell}"],
        cwd=project.root,
        env=project.environ(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGTERM)
    process.stdout.read()  # returns when the last process with this pipe has ended
    process.stdout.close()
    assert process.wait(30) in (2, -signal.SIGTERM)
    wait_for(lambda: len(project.events()) == 2)
    assert project.end("a.out")["signal"] == "SIGTERM"
    assert not (project.root / "a.out").exists()


@pytest.mark.parametrize("how", ["recorded", "without the package"])
@pytest.mark.parametrize("command", ["./waiting 'a  b'", "$(MAKE) -s -C sub below"])
@pytest.mark.parametrize(
    "program", ["make", pytest.param(NEWEST_MAKE, marks=pytest.mark.slow)], ids=["system", "newest"]
)
def test_a_plain_command_ends_with_make(project: MakeProject, program: str, command: str, how: str) -> None:
    """SIGTERM to make ends a wrapped command or sub-make that needs no shell, whichever shell /bin/sh is."""
    project.file("waiting", "#!/bin/sh\necho $$\nexec sleep 300\n", 0o755)
    project.write(f"include tasks.mk\nall: ; @$(call task-run,$@,{command})\n")
    project.write("below: ; @../waiting\n", "sub/Makefile")
    environ = project.environ(**({} if how == "recorded" else {"TASKS_PYTHON": "no-python", "TASKS_QUIET": "1"}))
    process = subprocess.Popen(
        [program], cwd=project.root, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    pid = int(process.stdout.readline())
    try:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (2, -signal.SIGTERM)
        wait_for(lambda: not is_process(pid))
    finally:
        if is_process(pid):
            os.kill(pid, signal.SIGKILL)
        process.stdout.close()
    if how == "recorded":
        wait_for(lambda: len(project.events()) == 2)
        assert project.end("all")["event_type"] == "TASK_FAILED"


@pytest.fixture
def terminal(project: MakeProject) -> Iterator[Terminal]:
    """A shell at its own terminal, in which a test runs make."""
    project.write(
        WAITING + "streams:\n\t@$(call task-run,$@,$(TASKS_PYTHON) streams.py)\n"
        "ask:\n\t@$(call task-run,$@,printf 'name? ' >&2; read name; echo \"hello $$name\")\n"
    )
    project.write("import os; print(*(os.isatty(fd) for fd in range(3)), *os.get_terminal_size(2))", "streams.py")
    made = Terminal(["/bin/sh"], project.root, project.environ(PS1="$ "), 17, 71)
    yield made
    made.stop()


def test_a_terminal_stays_one(terminal: Terminal) -> None:
    """The command has the terminal as all three standard files, so colours and questions work."""
    terminal.type(b"make streams ask\n")
    terminal.until(b"True True True 71 17")
    terminal.until(b"name? ")
    terminal.type(b"Ada\n")
    terminal.until(b"hello Ada")


def test_ctrl_c(terminal: Terminal, project: MakeProject) -> None:
    """Ctrl-C ends the command and make, and make deletes the incomplete target, as without a wrapper.

    What make says then is not looked at: if the signal meets it while it collects the child, it complains of a lack of
    children instead.
    """
    terminal.type(b"make -j2 a.out\n")
    terminal.until(b"ready")
    terminal.type(b"\x03")
    terminal.type(b"echo back $((40 + 2))\n")
    terminal.until(b"back 42")
    wait_for(lambda: len(project.events()) == 2)
    assert project.end("a.out").items() >= {"signal": "SIGINT", "exit_code": 130}.items()
    assert not (project.root / "a.out").exists()


def test_error_output_comes_at_once(project: MakeProject, tmp_path: Path) -> None:
    """The standard error of the command appears while the command runs."""
    project.write(f"include tasks.mk\nall: ; @$(call task-run,$@,echo now >&2; cat '{tmp_path}/fifo')\n")
    os.mkfifo(tmp_path / "fifo")
    process = subprocess.Popen(
        ["make"], cwd=project.root, env=project.environ(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr
    assert process.stderr.readline() == b"now\n"
    (tmp_path / "fifo").write_text("go on")
    assert process.wait(30) == 0
    process.stderr.close()
