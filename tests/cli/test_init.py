"""`swarmtask init` sets up a project in one command and never overwrites a user's work."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from pytest_swarmtask.cli.main import main
from pytest_swarmtask.config.load import load
from pytest_swarmtask.config.schema import schema
from pytest_swarmtask.core.project import Project
from tests.cli.set_up import ok, refused, root, run, said, swarmtask
from tests.lab import REPOSITORY, bound_by_modes, clean_environ, read_events
from tests.watched import Terminal

__all__ = ["root"]

CONFIG = ".taskmaster/config/workflow.yaml"
SCHEMA = ".taskmaster/config/workflow.schema.json"
WORKFLOW = ".github/workflows/task_management_integration.yml"
PIPELINE = ".gitlab/task_management_integration.yml"
GITLAB = ".gitlab-ci.yml"
HOOKS = ".pre-commit-config.yaml"
EVERYTHING = [WORKFLOW, SCHEMA, CONFIG, "Makefile", "make/tasks.mk"]


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def on_path(folder: Path) -> str:
    """Return a PATH whose first `swarmtask` is the one under test."""
    folder.mkdir()
    script = folder / "swarmtask"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pytest_swarmtask "$@"\n')
    script.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


# --- what init writes -------------------------------------------------------------------------------------------------


def test_an_empty_project_gets_everything_and_a_second_time_nothing_changes(root: Path) -> None:
    assert said(ok(swarmtask(root, "init"))) == dict.fromkeys(EVERYTHING, "created")
    written = files(root)
    assert sorted(written) == sorted(EVERYTHING)
    for arguments in ((), ("--force",), ("--dry-run",)):
        assert said(ok(swarmtask(root, "init", *arguments))) == dict.fromkeys(EVERYTHING, "unchanged")
    assert files(root) == written


def test_a_dry_run_says_all_and_writes_nothing(root: Path) -> None:
    assert said(ok(swarmtask(root, "init", "--dry-run"))) == dict.fromkeys(EVERYTHING, "would create")
    assert list(root.iterdir()) == []


def test_what_differs_is_kept_and_named_unless_forced(root: Path) -> None:
    ok(swarmtask(root, "init"))
    original = files(root)
    for path in EVERYTHING:
        (root / path).write_bytes(original[path] + b"# mine\n")
    mine = files(root)

    output = ok(swarmtask(root, "init"))
    assert said(output) == {**dict.fromkeys(EVERYTHING, "kept"), "Makefile": "unchanged"}
    assert "--force overwrites it" in output
    assert files(root) == mine

    preview = ok(swarmtask(root, "init", "--dry-run", "--force"))
    assert said(preview) == {**dict.fromkeys(EVERYTHING, "would overwrite"), "Makefile": "unchanged"}
    assert preview.count("-# mine") == 4
    assert files(root) == mine

    forced = ok(swarmtask(root, "init", "--force"))
    assert said(forced) == {**dict.fromkeys(EVERYTHING, "overwritten"), "Makefile": "unchanged"}
    assert files(root) == {**original, "Makefile": mine["Makefile"]}


def test_what_is_missing_is_added_to_a_project_that_has_a_part(root: Path) -> None:
    ok(swarmtask(root, "init"))
    (root / CONFIG).unlink()
    shutil.rmtree(root / "make")
    expected = {**dict.fromkeys(EVERYTHING, "unchanged"), CONFIG: "created", "make/tasks.mk": "created"}
    assert said(ok(swarmtask(root, "init"))) == expected


@pytest.mark.parametrize("name", ["Makefile", "makefile", "GNUmakefile"])
def test_a_makefile_is_never_edited_and_the_line_to_add_is_told(root: Path, name: str) -> None:
    (root / name).write_text("all:\n\t@echo mine\n")
    output = ok(swarmtask(root, "init", "--force"))
    assert said(output)[name] == "kept"
    assert "\n    include make/tasks.mk\n" in output
    assert (root / name).read_text() == "all:\n\t@echo mine\n"
    assert [path.name for path in root.iterdir() if path.is_file()] == [name]
    with (root / name).open("a") as file:
        file.write("include make/tasks.mk\n")
    assert ok(run(["make"], root)) == "mine\n"
    assert said(ok(swarmtask(root, "init")))[name] == "unchanged"


def test_a_makefile_that_cannot_be_read_or_is_shared_is_left_alone(root: Path, tmp_path: Path) -> None:
    (root / "Makefile").symlink_to(tmp_path / "nowhere")
    assert said(ok(swarmtask(root, "init")))["Makefile"] == "kept"
    assert (root / "Makefile").is_symlink()
    (tmp_path / "nowhere").write_text("-include make/tasks.mk\n")
    assert said(ok(swarmtask(root, "init")))["Makefile"] == "unchanged"


def test_the_root_is_the_one_given_else_the_project_around_the_working_directory(root: Path, tmp_path: Path) -> None:
    below = root / "deep" / "down"
    below.mkdir(parents=True)
    (root / ".git").mkdir()
    assert ok(swarmtask(below, "init", "--dry-run")).startswith(f"project    {root}\n")
    output = ok(swarmtask(tmp_path, "init", "--root", "my project/deep"))
    assert output.startswith(f"project    {root / 'deep'}\n")
    assert f"GitHub reads workflows only in the repository's top folder: move {WORKFLOW} there" in output
    assert sorted(files(root / "deep")) == sorted(EVERYTHING)
    assert "GitHub reads" not in ok(swarmtask(root, "init", "--dry-run", "--root", str(root)))


def test_files_have_the_modes_that_the_umask_leaves_and_keep_those_they_have(root: Path) -> None:
    ok(run(["sh", "-c", f'umask 027 && "{sys.executable}" -m pytest_swarmtask init'], root))
    assert {stat.S_IMODE((root / path).stat().st_mode) for path in EVERYTHING} == {0o640}
    (root / CONFIG).write_text("environments:\n")
    (root / CONFIG).chmod(0o600)
    ok(swarmtask(root, "init", "--force"))
    assert stat.S_IMODE((root / CONFIG).stat().st_mode) == 0o600
    assert sorted(files(root)) == sorted(EVERYTHING)


# --- GitHub or GitLab -------------------------------------------------------------------------------------------------


def origin(root: Path, url: str) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')


@pytest.mark.parametrize(
    ("url", "has", "written"),
    [
        ("", [], {WORKFLOW}),
        ("git@github.com:acme/shop.git", [], {WORKFLOW}),
        ("git@github.com:gitlab/shop.git", [], {WORKFLOW}),
        ("https://gitlab.com/acme/shop.git", [], {PIPELINE, GITLAB}),
        ("git@gitlab.example.org:acme/shop.git", [], {PIPELINE, GITLAB}),
        ("git@gitlab.com:acme/shop.git", [".github/"], {WORKFLOW, PIPELINE, GITLAB}),
        ("git@code.example.org:acme/shop.git", [".gitlab/"], {PIPELINE, GITLAB}),
        ("git@code.example.org:acme/shop.git", [GITLAB], {PIPELINE}),
        ("", [".gitlab/", ".github/"], {WORKFLOW, PIPELINE, GITLAB}),
    ],
)
def test_who_runs_the_targets_follows_from_where_the_project_lives(
    root: Path, url: str, has: list[str], written: set[str]
) -> None:
    if url:
        origin(root, url)
    for name in has:
        (root / name).mkdir() if name.endswith("/") else (root / name).write_text("{}\n")
    before = files(root)
    created = said(ok(swarmtask(root, "init")))
    assert {path for path in (WORKFLOW, PIPELINE, GITLAB) if created.get(path) == "created"} == written
    assert files(root).keys() - before.keys() == {*EVERYTHING[1:], *written}
    after = files(root)
    assert set(said(ok(swarmtask(root, "init"))).values()) <= {"unchanged", "kept"}
    assert files(root) == after


def test_the_pipeline_includes_the_jobs(root: Path) -> None:
    (root / ".gitlab").mkdir()
    ok(swarmtask(root, "init"))
    assert yaml.safe_load((root / GITLAB).read_text()) == {"include": [{"local": f"/{PIPELINE}"}]}


def test_a_pipeline_is_never_edited_and_the_lines_to_add_are_told(root: Path) -> None:
    (root / GITLAB).write_text("mine: {script: [make]}\n")
    output = ok(swarmtask(root, "init", "--force"))
    assert said(output)[GITLAB] == "kept"
    assert "it must contain setup, test, in this order" in output
    lines = f"include:\n  - local: /{PIPELINE}\n"
    assert textwrap.indent(lines, "    ") in output
    assert (root / GITLAB).read_text() == "mine: {script: [make]}\n"
    with (root / GITLAB).open("a") as file:
        file.write(lines)
    assert said(ok(swarmtask(root, "init", "--force")))[GITLAB] == "unchanged"


def test_below_the_top_folder_each_host_has_a_note(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / GITLAB).write_text("{}\n")
    output = ok(swarmtask(root, "init", "--root", "."))
    assert "GitLab reads .gitlab-ci.yml only in the repository's top folder" in output
    assert "GitHub reads" not in output


# --- what init looks at -----------------------------------------------------------------------------------------------


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    return ok(run(["git", *identity, *arguments], root))


def jobs(root: Path) -> dict[str, list[str]]:
    """Return what the jobs of the workflow run, without the commands that each workflow has."""
    found = {}
    for name, job in yaml.safe_load((root / WORKFLOW).read_text())["jobs"].items():
        scripts = [step["run"] for step in job["steps"] if "run" in step]
        found[name] = [script for script in scripts if not re.match("python -m pip install pyt|swarmtask [^r]", script)]
    return {name: scripts for name, scripts in found.items() if name != "report"}


INSTALL = "swarmtask run --id dev_setup -- python -m pip install "
WHEEL = "swarmtask run --kind build --id make_build -- python -m pip wheel --no-deps --wheel-dir dist ."


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"Makefile": "lint:\n"}, {"setup": [], "test": ["python -m pytest"]}),
        (
            {"Makefile": "include a.mk\nsetup test:\n", "a.mk": "%.o: %.c\nbuild: ; make it\n"},
            {"setup": ["make setup"], "test": ["make setup", "make test"], "build": ["make setup", "make build"]},
        ),
        ({"Makefile": "all: test\n", "build/a": "", "test/b": ""}, {"setup": [], "test": ["python -m pytest"]}),
        (
            {"Makefile": "test:\n", "pyproject.toml": "[project.optional-dependencies]\ntest = []\n\n[build-system]\n"},
            {
                "setup": [f"{INSTALL}--editable '.[test]'"],
                "test": [f"{INSTALL}--editable '.[test]'", "make test"],
                "build": [f"{INSTALL}--editable '.[test]'", WHEEL],
            },
        ),
        (
            {"makefile": "", "requirements.txt": ""},
            {
                "setup": [f"{INSTALL}--requirement requirements.txt"],
                "test": [f"{INSTALL}--requirement requirements.txt", "python -m pytest"],
            },
        ),
        (
            {"Makefile": "TASKS_STANDARD_TARGETS := 1\ninclude make/tasks.mk\n"},
            {"setup": ["make setup"], "test": ["make setup", "make test"], "build": ["make setup", "make build"]},
        ),
    ],
    ids=["other targets", "included targets", "folders", "library", "requirements", "standard targets"],
)
def test_a_job_runs_a_target_only_if_the_makefile_has_it(
    root: Path, has: dict[str, str], expected: dict[str, list[str]]
) -> None:
    """Real make is asked, which follows includes, and tells a target from a folder of that name."""
    for name, text in has.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    output = ok(swarmtask(root, "init"))
    assert jobs(root) == expected
    shown = [f"{name:<7}{scripts[-1]}\n" for name, scripts in expected.items() if scripts]
    assert f"CI runs    {(' ' * 11).join(shown)}" in output


def test_a_makefile_whose_targets_make_cannot_tell_is_said(root: Path) -> None:
    (root / "Makefile").write_text("test:\n")
    assert "names no target" not in ok(swarmtask(root, "init", "--dry-run"))
    output = ok(swarmtask(root, "init", "--dry-run", PATH=str(root)))
    assert "note       make names no target of Makefile: is it valid, and is make installed?\n" in output
    assert "CI runs    test   python -m pytest\n" in output


def test_looking_at_a_makefile_runs_no_recipe(root: Path) -> None:
    (root / "Makefile").write_text("all test:\n\ttouch $@\n.DEFAULT:\n\ttouch default\n")
    ok(swarmtask(root, "init", "--dry-run"))
    assert list(files(root)) == ["Makefile"]


def test_jobs_for_deployment_are_written_only_if_asked_for_and_then_stay(root: Path) -> None:
    (root / "Makefile").write_text("test:\n")
    ok(swarmtask(root, "init", "--only", "github"))
    assert "deploy" not in jobs(root)
    ok(swarmtask(root, "init", "--only", "github", "--with-deploy", "--force"))
    (command,) = jobs(root)["deploy"]
    assert ok(run(["sh", "-c", command], root)).startswith("nothing is deployed yet")
    assert said(ok(swarmtask(root, "init", "--only", "github")))[WORKFLOW] == "unchanged"


def branches(root: Path) -> list[str]:
    ok(swarmtask(root, "init", "--only", "github", "--force"))
    return branches_in(root)


def branches_in(root: Path) -> list[str]:
    """Return the branches whose pushes run the workflow. YAML 1.1 reads `on` as a boolean."""
    found: list[str] = yaml.safe_load((root / WORKFLOW).read_text())[True]["push"]["branches"]
    return found


def test_the_branch_of_the_workflow_is_the_default_branch_of_the_repository(root: Path, tmp_path: Path) -> None:
    git(root, "init", "-q", "-b", "on")
    assert branches(root) == ["on"]
    git(root, "checkout", "-q", "-b", "c++!")
    assert branches(root) == [r"c\+\+\!"]
    git(root, "checkout", "-q", "-b", "master")
    git(root, "commit", "-q", "--allow-empty", "-m", "one")
    git(root, "checkout", "-q", "-b", "fix/typo")
    assert branches(root) == ["master"]
    git(root, "branch", "-m", "master", "stable")
    git(root, "checkout", "-q", "stable")
    git(tmp_path, "clone", "-q", "my project", "clone")
    git(tmp_path / "clone", "checkout", "-q", "-b", "main")
    assert branches(tmp_path / "clone") == ["stable"]
    ok(swarmtask(root, "init", "--only", "github", "--force", "--branch", "release"))
    assert branches_in(root) == ["release"]


def test_a_file_that_git_ignores_is_told(root: Path) -> None:
    git(root, "init", "-q")
    (root / ".gitignore").write_text("# mine\n.taskmaster/\n*.mk\n!tasks.mk\n")
    output = ok(swarmtask(root, "init"))
    assert f"note       git ignores {CONFIG}, {SCHEMA}\n           remove the rule .gitignore:2:.taskmaster/," in output
    assert "tasks.mk:" not in output
    git(root, "add", "--force", CONFIG, SCHEMA)
    assert "git ignores" not in ok(swarmtask(root, "init"))


@pytest.mark.parametrize(
    ("only", "written"),
    [
        ("config", [SCHEMA, CONFIG]),
        ("make", ["Makefile", "make/tasks.mk"]),
        ("gitlab,github", [WORKFLOW, GITLAB, PIPELINE]),
        ("pre-commit", [HOOKS]),
    ],
)
def test_only_the_parts_that_are_named_are_written(root: Path, only: str, written: list[str]) -> None:
    ok(swarmtask(root, "init", "--only", only))
    assert sorted(files(root)) == sorted(written)


def test_a_part_that_does_not_exist_is_an_error_that_names_the_nearest(root: Path) -> None:
    done = run([sys.executable, "-m", "pytest_swarmtask", "init", "--only", "config,githib"], root)
    assert (done.returncode, done.stdout) == (2, "")
    assert "found 'githib', expected some of config,make,github,gitlab,pre-commit. Did you mean github?" in done.stderr
    assert files(root) == {}


# --- pre-commit -------------------------------------------------------------------------------------------------------


def committed(root: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the hooks on all files as a commit does."""
    git(root, "add", "--all")
    environ = {
        "PATH": on_path(tmp_path / "bin"),
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        "HOME": str(tmp_path),
    }
    return run([str(Path(sys.executable).with_name("pre-commit")), "run"], root, **environ)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["init", "manifest"])
def test_the_hooks_refuse_a_configuration_and_a_quarantine_that_are_not_valid(
    root: Path, tmp_path: Path, source: str
) -> None:
    git(root, "init", "-q")
    ok(swarmtask(root, "init", "--only", "config,pre-commit"))
    if source == "manifest":  # what others get by `repo:` and `rev:`, without an environment of its own
        hooks = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
        local = {"repo": "local", "hooks": [{**hook, "language": "system"} for hook in hooks]}
        (root / HOOKS).write_text(yaml.safe_dump({"repos": [local]}))
    assert committed(root, tmp_path).returncode == 0
    (root / CONFIG).write_text("monitoring: 7\n")
    (root / ".taskmaster" / "quarantine.yaml").write_text("tests: 7\n")
    shutil.rmtree(tmp_path / "bin")
    done = committed(root, tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("Failed") == 2, done.stdout
    assert "monitoring" in done.stdout


def test_hooks_of_the_project_are_never_edited_and_the_lines_to_add_are_told(root: Path) -> None:
    (root / HOOKS).write_text("repos:\n")
    output = ok(swarmtask(root, "init", "--force"))
    assert said(output)[HOOKS] == "kept"
    assert (root / HOOKS).read_text() == "repos:\n"
    lines = output.partition("`repos`)\n\n")[2].partition("\n\n")[0] + "\n"
    (root / HOOKS).write_text(f"repos:\n{textwrap.dedent(lines)}")
    (one,) = yaml.safe_load((root / HOOKS).read_text())["repos"]
    assert [hook["entry"] for hook in one["hooks"]] == ["swarmtask config validate", "swarmtask quarantine check"]
    assert said(ok(swarmtask(root, "init")))[HOOKS] == "unchanged"


# --- at a terminal ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def asked(root: Path, *options: str) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "pytest_swarmtask", "init", *options]
    terminal = Terminal(command, root, clean_environ(TERM="xterm"), 24, 100)
    try:
        yield terminal
    finally:
        terminal.stop()


def answer(terminal: Terminal, question: bytes, text: bytes) -> None:
    terminal.until(question)
    terminal.shown = b""
    terminal.type(text + b"\n")


def test_a_terminal_is_asked_for_what_cannot_be_seen(root: Path) -> None:
    with asked(root) as terminal:
        answer(terminal, b"what to set up, of config,make,github,gitlab,pre-commit [config,make,github]: ", b"githup")
        answer(terminal, b"Did you mean github?\r\nwhat to set up", b"github")
        answer(terminal, b"the default branch [main]: ", b"trunk")
        answer(terminal, b"write jobs for deployment, too? y or n [n]: ", b"perhaps")
        answer(terminal, b"write jobs for deployment, too? y or n [n]: ", b"y")
        answer(terminal, b"write these files? y or n [y]: ", b"")
        assert terminal.end() == 0
    assert sorted(files(root)) == [WORKFLOW]
    assert list(jobs(root)) == ["setup", "test", "deploy"]
    assert branches_in(root) == ["trunk"]


def test_a_terminal_shows_each_difference_before_it_asks_to_overwrite(root: Path) -> None:
    ok(swarmtask(root, "init", "--only", "config"))
    original = files(root)
    for path in original:
        (root / path).write_text("# mine\n")
    with asked(root, "--only", "config") as terminal:
        terminal.until(b"    -# mine\r\n")
        answer(terminal, f"overwrite {CONFIG}? y or n [n]: ".encode(), b"y")
        answer(terminal, f"overwrite {SCHEMA}? y or n [n]: ".encode(), b"")
        assert (root / CONFIG).read_text() == "# mine\n"
        answer(terminal, b"write these files? y or n [y]: ", b"y")
        assert terminal.end() == 0
    assert files(root) == {**original, SCHEMA: b"# mine\n"}


@pytest.mark.parametrize(
    ("typed", "code", "shown"),
    [(b"n\n", 0, b"left out"), (b"\x04", 2, b"no answer: nothing was written"), (b"\x03", 130, b"[y]: ")],
    ids=["no", "end of input", "interrupt"],
)
def test_who_says_no_or_nothing_gets_no_file(root: Path, typed: bytes, code: int, shown: bytes) -> None:
    with asked(root, "--only", "config") as terminal:
        terminal.until(b"write these files? y or n [y]: ")
        assert terminal.insist(typed) == code
        assert shown in terminal.shown
    assert files(root) == {}


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
def test_a_terminal_is_not_asked_if_it_need_not_be(root: Path, option: str) -> None:
    with asked(root, option) as terminal:
        assert terminal.end() == 0
    assert sorted(files(root)) == (sorted(EVERYTHING) if option == "--yes" else [])


# --- what init refuses ------------------------------------------------------------------------------------------------


def test_a_root_that_is_no_folder_is_bad_usage(root: Path) -> None:
    assert "--root nowhere: there is no such folder" in refused(swarmtask(root, "init", "--root", "nowhere"))


@pytest.mark.parametrize("link", [CONFIG, ".github", "make"])
def test_a_link_out_of_the_project_is_not_followed(root: Path, tmp_path: Path, link: str) -> None:
    """A link in a foreign checkout must not redirect the writes of `--force` to a file outside the project."""
    outside = tmp_path / "outside"
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    if link == CONFIG:
        outside.write_text("mine")
    else:
        outside.mkdir()
    (root / link).symlink_to(outside)
    before = files(tmp_path)
    assert f"leads out of the project, to {outside}" in refused(swarmtask(root, "init", "--force"))
    assert files(tmp_path) == before


def test_a_link_within_the_project_is_followed_and_stays(root: Path) -> None:
    (root / "settings").mkdir()
    (root / ".taskmaster").mkdir()
    (root / ".taskmaster" / "config").symlink_to("../settings")
    assert said(ok(swarmtask(root, "init")))[CONFIG] == "created"
    assert (root / "settings" / "workflow.yaml").is_file()
    assert (root / ".taskmaster" / "config").is_symlink()


@pytest.mark.parametrize("obstacle", [CONFIG, WORKFLOW, "make/tasks.mk"])
def test_something_else_in_the_place_of_a_file_stops_everything(root: Path, obstacle: str) -> None:
    (root / obstacle).mkdir(parents=True)
    assert f"{root / obstacle} is no file" in refused(swarmtask(root, "init", "--force"))
    assert files(root) == {}


def test_a_file_in_the_place_of_a_folder_stops_everything(root: Path) -> None:
    (root / "make").write_text("mine")
    assert "cannot be read" in refused(swarmtask(root, "init"))
    assert files(root) == {"make": b"mine"}


def test_a_folder_that_cannot_be_written_to_is_said(root: Path) -> None:
    command = [*bound_by_modes(), sys.executable, "-m", "pytest_swarmtask", "init"]
    root.chmod(0o500)
    try:
        done = run(command, root)
    finally:
        root.chmod(0o700)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "cannot be written: Permission denied" in done.stderr


def test_writing_that_fails_leaves_what_was_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ok(swarmtask(root, "init"))
    (root / CONFIG).write_text("environments:\n")
    before = files(root)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert main(["init", "--root", str(root), "--force"]) == 2
    monkeypatch.undo()
    assert files(root) == before


# --- contents of the files --------------------------------------------------------------------------------------------


def test_the_configuration_is_valid_without_any_variable_and_in_each_environment(root: Path) -> None:
    ok(swarmtask(root, "init"))
    for environment in ("", "dev", "staging", "prod"):
        assert ok(swarmtask(root, "config", "validate", WORKFLOW_ENVIRONMENT=environment)).startswith("valid: ")
        assert load(Project(str(root)), {"WORKFLOW_ENVIRONMENT": environment}).environments == (
            "dev",
            "staging",
            "prod",
        )
    (webhook,) = load(Project(str(root)), {}).workflow.task_integration.webhooks
    assert (webhook.url, webhook.secret_env) == ("${TASKMASTER_WEBHOOK_URL}", "AUTOMATION_SECRET_KEY")


def test_the_configuration_stays_valid_when_its_comments_come_into_force(root: Path) -> None:
    ok(swarmtask(root, "init"))
    text = (root / CONFIG).read_text()
    option = re.compile(r"^( *)# ( *(?:- )?[a-z_]+:(?: |$))", re.MULTILINE)
    assert len(option.findall(text)) > 15
    (root / CONFIG).write_text(option.sub(r"\1\2", text))
    workflow = load(Project(str(root)), {}).workflow
    assert workflow.task_integration.source == "my-project"
    assert [rule.name for rule in workflow.automation_triggers.rules] == ["tell-about-failed-deployments"]
    assert [alert.name for alert in workflow.monitoring.alerts] == ["broken-build"]


def test_editors_find_the_schema_that_the_configuration_names(root: Path) -> None:
    ok(swarmtask(root, "init"))
    first = (root / CONFIG).read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    written = yaml.safe_load((root / CONFIG).parent.joinpath(named).read_text())
    assert written == schema()
    jsonschema.Draft202012Validator(written).validate(yaml.safe_load((root / CONFIG).read_text()))


# --- the Makefile -----------------------------------------------------------------------------------------------------


def test_the_written_makefile_includes_the_copy_also_where_the_package_is_not_installed(root: Path) -> None:
    ok(swarmtask(root, "init"))
    with (root / "Makefile").open("a") as file:
        file.write("hello:\n\t@$(call task-event,TASK_STARTED,hello) && echo hello\n")
    done = run(["make", "hello", "TASKS_PYTHON=/nowhere/python"], root)
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert "no events" in done.stderr


def test_the_written_makefile_has_every_target_that_the_workflow_runs(root: Path) -> None:
    """A bare `make` lists them, and the target `deploy` records no deployment before it has a command."""
    (root / "setup.py").touch()
    ok(swarmtask(root, "init", "--with-deploy"))
    targets = set(re.findall(r"run: make (\S+)$", (root / WORKFLOW).read_text(), re.MULTILINE))
    assert targets == {"setup", "test", "build", "deploy"}
    for target in targets:
        ok(run(["make", "-n", target], root, WORKFLOW_ENVIRONMENT="staging"))
    environ = {"TASKS_PYTHON": f'"{sys.executable}"', "WORKFLOW_ENVIRONMENT": "staging"}
    assert "make setup   install what the project needs\n" in ok(run(["make"], root, **environ))
    assert "nothing is deployed: set DEPLOY" in ok(run(["make", "deploy"], root, **environ))
    assert read_events(root) == []
    assert ok(run(["make", "deploy", "DEPLOY=echo one, two"], root, **environ)) == "one, two\n"
    failing = run(["make", "build", "PYTHON=false"], root, **environ)
    assert failing.returncode == 2
    kinds = [event["event_type"] for event in read_events(root)]
    assert kinds == ["DEPLOYMENT_STARTED", "DEPLOYMENT_COMPLETED", "BUILD_STARTED", "BUILD_FAILED"]


def test_the_makefile_may_include_the_installed_file_instead_of_a_copy(root: Path, tmp_path: Path) -> None:
    output = ok(swarmtask(root, "init", "--include"))
    assert "make/tasks.mk" not in said(output)
    assert not (root / "make").exists()
    with (root / "Makefile").open("a") as file:
        file.write("hello:\n\t@$(call task-event,TASK_STARTED,hello) && echo hello\n")
    environ = {"PATH": on_path(tmp_path / "bin"), "TASKS_PYTHON": f'"{sys.executable}"'}
    assert ok(run(["make", "hello"], root, **environ)) == "hello\n"
    assert [path.suffix for path in (root / ".taskmaster" / "events").glob("*.jsonl")] == [".jsonl"]
    assert said(ok(swarmtask(root, "init", "--include")))["Makefile"] == "unchanged"

    shell_only = tmp_path / "shell"
    shell_only.mkdir()
    (shell_only / "sh").symlink_to("/bin/sh")
    done = run([shutil.which("make") or "make", "hello"], root, PATH=str(shell_only))
    assert done.returncode == 2
    assert "pytest-swarmtask is not installed: python -m pip install pytest-swarmtask" in done.stderr
