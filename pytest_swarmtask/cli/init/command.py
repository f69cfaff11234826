"""`swarmtask init`: set a project up. It looks first, asks at a terminal, and overwrites nobody's changes unasked."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_swarmtask.cli import tasksmk
from pytest_swarmtask.cli.common import add_root, project_of, write_file
from pytest_swarmtask.cli.init import files
from pytest_swarmtask.cli.init.existing import GITLAB, PIPELINE, PRE_COMMIT, WORKFLOW, ignored_by_git, look
from pytest_swarmtask.cli.init.files import PARTS, Choices
from pytest_swarmtask.cli.parser import nearest
from pytest_swarmtask.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.cli.init.existing import ExistingProject
    from pytest_swarmtask.cli.init.files import PlannedFile


_NOTES = {
    "github": f"note       GitHub reads workflows only in the repository's top folder: move {WORKFLOW} there",
    "gitlab": f"note       GitLab reads {GITLAB} only in the repository's top folder, and takes paths from there",
}
"""What to do in a project below the top folder of its repository."""


def register(subparsers: Subparsers) -> None:
    """Add the command `init`."""
    parser = subparsers.add_parser(
        "init",
        help="set up a project: configuration, make, GitHub Actions or GitLab CI, pre-commit",
        description="Write the files that a project needs: the configuration, make/tasks.mk and a CI workflow. It "
        "looks at the project first. At a terminal it asks, and shows what would change. Elsewhere it never asks, and "
        "files that exist are not changed without --force.",
        example="swarmtask init --only config,github --dry-run",
        page="ci",
    )
    add_root(parser)
    parser.add_argument(
        "--only", dest="parts", type=_parts, metavar="PARTS", help=f"only these parts, with commas: {','.join(PARTS)}"
    )
    parser.add_argument("--branch", dest="branch", help="whose pushes run CI on GitHub (default: the default branch)")
    parser.add_argument("--with-deploy", dest="deploy", action="store_true", help="write jobs for deployment, too")
    parser.add_argument("--yes", dest="yes", action="store_true", help="ask nothing, also at a terminal")
    parser.add_argument("--dry-run", dest="dry_run", action="store_true", help="only print what would be done")
    parser.add_argument(
        "--force",
        dest="force",
        action="store_true",
        help=f"overwrite files that differ (but never a Makefile, {GITLAB} or {PRE_COMMIT})",
    )
    parser.add_argument(
        "--include",
        dest="include",
        action="store_true",
        help=f"make the Makefile include the installed tasks.mk, instead of a copy in {tasksmk.COPY}",
    )
    parser.set_defaults(func=init)


def init(arguments: argparse.Namespace) -> int:
    """Write the missing files, and print a line for each file. Return 0.

    Raises:
        UsageError: the folder does not exist, a file in it cannot be read or written, or there is no answer.
    """
    project = look(Path(project_of(arguments).root))
    may_ask = sys.stdin.isatty() and sys.stdout.isatty() and not (arguments.yes or arguments.dry_run)
    heading = f"project    {project.root}\nfound      {_found(project)}"
    if may_ask:
        print(heading)
    choices = _choices(project, arguments, may_ask=may_ask)
    # All files are read before the first one is written, so that an error leaves the project as it was.
    planned = files.plan(project, choices)
    advice = list(_advice(project, choices, planned))
    if not may_ask:
        print(heading)
    wanted = _wanted(planned, force=arguments.force, may_ask=may_ask)
    for file in planned:
        print(_line(file, is_wanted=file in wanted, dry_run=arguments.dry_run))
        if file.replaces and (arguments.dry_run or file in wanted) and not may_ask:
            print(file.difference)
        if file in wanted and not arguments.dry_run:
            write_file(project.root / file.path, file.content)
    for line in advice:
        print(line)
    return 0


# -- what the user wants -------------------------------------------------------------------------------------------


def _parts(text: str) -> tuple[str, ...]:
    """Return the parts that a text names, in the order of `PARTS`."""
    named = text.replace(",", " ").split()
    unknown = next((name for name in named if name not in PARTS), None)
    if unknown is not None or not named:
        meant = nearest(unknown, PARTS) if unknown else ""
        raise argparse.ArgumentTypeError(f"found {unknown or text!r}, expected some of {','.join(PARTS)}{meant}")
    return tuple(part for part in PARTS if part in named)


def _choices(project: ExistingProject, arguments: argparse.Namespace, *, may_ask: bool) -> Choices:
    parts = arguments.parts or (
        "config",
        "make",
        *project.services,
        *(["pre-commit"] if project.has_pre_commit else []),
    )
    if may_ask and arguments.parts is None:
        parts = _asked_for_parts(parts)
    branch = arguments.branch or project.branch
    if may_ask and arguments.branch is None and "github" in parts and not project.is_branch_known:
        branch = _answer("the default branch", branch)
    deploy = arguments.deploy or project.deploys
    if may_ask and not deploy and not {"github", "gitlab"}.isdisjoint(parts):
        deploy = _agrees("write jobs for deployment, too?", default=False)
    return Choices(parts, branch, deploy, arguments.include)


def _asked_for_parts(default: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return _parts(_answer(f"what to set up, of {','.join(PARTS)}", ",".join(default)))
    except argparse.ArgumentTypeError as error:
        print(error)
        return _asked_for_parts(default)


def _wanted(planned: list[PlannedFile], *, force: bool, may_ask: bool) -> list[PlannedFile]:
    """Return the files to write. A terminal shows each difference, and asks about it."""
    wanted = []
    for file in (file for file in planned if not file.unchanged):
        if may_ask and file.replaces:
            print(file.difference)
        if not file.replaces or (_agrees(f"overwrite {file.path}?", default=force) if may_ask else force):
            wanted.append(file)
    if may_ask and wanted:
        print(*(f"           {file.path}" for file in wanted), sep="\n")
        return wanted if _agrees("write these files?", default=True) else []
    return wanted


def _agrees(question: str, *, default: bool) -> bool:
    answers = {"y": True, "yes": True, "n": False, "no": False}
    while True:
        answer = _answer(f"{question} y or n", "y" if default else "n").lower()
        if answer in answers:
            return answers[answer]


def _answer(question: str, default: str) -> str:
    """Return what the user types, or the default if the user types nothing.

    Raises:
        UsageError: the user has ended the input.
    """
    try:
        return input(f"{question} [{default}]: ").strip() or default
    except EOFError:
        print()
        raise UsageError("no answer: nothing was written") from None


# -- what is printed -----------------------------------------------------------------------------------------------


def _found(project: ExistingProject) -> str:
    """Return what `init` has seen, in one line."""
    targets = ", ".join(stage for stage in files.STAGES if stage in project.targets) or "no target for CI"
    makefile = f"{project.makefile} with {targets}" if project.makefile else "no Makefile"
    return f"{makefile}; {'a package' if project.is_package else 'no package'}; branch {project.branch}"


def _line(file: PlannedFile, *, is_wanted: bool, dry_run: bool) -> str:
    if file.unchanged:
        return f"unchanged  {file.path}"
    if not is_wanted:
        return f"left out   {file.path}" if file.former is None else f"kept       {file.path} (differs; {file.advice})"
    done = ("would create", "would overwrite") if dry_run else ("created   ", "overwritten")
    return f"{done[file.former is not None]} {file.path}"


def _advice(project: ExistingProject, choices: Choices, planned: list[PlannedFile]) -> Iterator[str]:
    """Yield what is left for a person to do, and what CI will run."""
    if project.makefile and not project.targets:
        yield f"note       make names no target of {project.makefile}: is it valid, and is make installed?"
    if "make" in choices.parts and project.makefile:
        yield _makefile_line(project, include=choices.include)
    if "gitlab" in choices.parts:
        yield from _pipeline_lines(project, choices)
    if "pre-commit" in choices.parts:
        yield from _pre_commit_lines(project)
    services = [part for part in choices.parts if part in _NOTES]
    if services:
        runs = [f"{stage:<7}{command}" for stage, command in files.commands(project, choices).items() if command]
        yield "CI runs    " + "\n           ".join(runs)
    if not (project.root / ".git").exists() and any((parent / ".git").exists() for parent in project.root.parents):
        yield from (_NOTES[service] for service in services)
    for rule, paths in ignored_by_git(project.root, [file.path for file in planned]).items():
        yield f"note       git ignores {', '.join(paths)}\n           remove the rule {rule}, or use git add --force"


def _makefile_line(project: ExistingProject, *, include: bool) -> str:
    """Return the line about the project's own Makefile, which is never edited."""
    if project.includes_tasks:
        return f"unchanged  {project.makefile} (it includes tasks.mk)"
    line = files.INSTALLED if include else files.COPIED
    return f"kept       {project.makefile} (it is never edited; add this line to it)\n\n    {line}\n"


def _pipeline_lines(project: ExistingProject, choices: Choices) -> Iterator[str]:
    """Yield the line about the project's own pipeline, which is never edited, if it has one."""
    former = files.read(project.root, GITLAB)
    if former is not None and PIPELINE in former.decode(errors="replace"):
        yield f"unchanged  {GITLAB} (it includes {PIPELINE})"
    elif former is not None:
        yield (
            f"kept       {GITLAB} (it is never edited; add these lines to it, or the last one to its list "
            f"`include`)\n\n{textwrap.indent(files.PIPELINE_INCLUDED, '    ')}\n"
            f"           If it has a list of stages, it must contain {files.stages(project, choices)}, in this order"
        )


def _pre_commit_lines(project: ExistingProject) -> Iterator[str]:
    """Yield the line about the project's own hooks, which are never edited, if it has some."""
    former = files.read(project.root, PRE_COMMIT)
    if former is not None and b"swarmtask" in former:
        yield f"unchanged  {PRE_COMMIT} (it has the hooks)"
    elif former is not None:
        lines = textwrap.indent(files.hooks(), "    ")
        yield f"kept       {PRE_COMMIT} (it is never edited; add these lines to its list `repos`)\n\n{lines}"
