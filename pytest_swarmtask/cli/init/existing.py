"""What `swarmtask init` finds in a project before it writes: its Makefile, its package, its branch, its CI service."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from pytest_swarmtask.cli import tasksmk
from pytest_swarmtask.core.facts.git import default_branch, head, read_text, top_folder
from pytest_swarmtask.core.facts.remote import origin

GITLAB = ".gitlab-ci.yml"
PRE_COMMIT = ".pre-commit-config.yaml"
WORKFLOW = ".github/workflows/task_management_integration.yml"
PIPELINE = ".gitlab/task_management_integration.yml"

_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
"""In the order in which GNU make looks for them."""
_INCLUDES = re.compile(r"^[ \t]*[-s]?include\b.*(tasks\.mk|make-include)", re.MULTILINE)
_RULE = re.compile(r"^(?P<not># Not a target:\n)?(?P<name>[A-Za-z0-9_.-]+):(?![:=])", re.MULTILINE)
"""A rule in what `make --print-data-base` prints. It lists folders such as `build/`, too, and says so."""
_PACKAGE = re.compile(r"^\[build-system\]", re.MULTILINE)
_METADATA = re.compile(r"^\[project\]", re.MULTILINE)
_EXTRAS = re.compile(r"^\[project\.optional-dependencies\]\n(?P<extras>(?:(?!\[)[^\n]*\n?)*)", re.MULTILINE)
_TEST_EXTRA = re.compile(r"^(test|tests|testing|dev)\s*=", re.MULTILINE)
_DEPLOYS = re.compile(r"^(  deploy|\.task-deploy):", re.MULTILINE)
_MOST_TEXT = 1 << 20
"""Characters of a file that are read; long Makefiles have a tenth of that."""
_USUAL_BRANCHES = ("main", "master", "trunk")
_PATIENCE = 20
"""Seconds to wait for make and git, at most. A Makefile may start slow programs to set its variables."""


class ExistingProject(NamedTuple):
    """A project as it is before `swarmtask init` writes anything.

    Attributes:
        root: the project's folder.
        makefile: the name of its Makefile; None if it has none.
        includes_tasks: whether the Makefile includes tasks.mk.
        targets: the targets that the Makefile has.
        is_package: whether pip can build a wheel of the project.
        requirements: what `pip install` needs to prepare the project, as words for a shell; "" if there is nothing.
        branch: the default branch, or the best guess.
        is_branch_known: whether the remote repository has named that branch.
        services: who runs CI: `github`, `gitlab`, or both.
        has_pre_commit: whether it uses pre-commit.
        deploys: whether the CI definition of an earlier `swarmtask init` has jobs for deployment.
    """

    root: Path
    makefile: str | None
    includes_tasks: bool
    targets: frozenset[str]
    is_package: bool
    requirements: str
    branch: str
    is_branch_known: bool
    services: tuple[str, ...]
    has_pre_commit: bool
    deploys: bool


def look(root: Path) -> ExistingProject:
    """Return what there is in a project. Nothing is written; make is asked for the targets of the Makefile."""
    makefile = next((name for name in _MAKEFILES if os.path.lexists(root / name)), None)
    text = _text(root / makefile) if makefile else ""
    known = default_branch(str(root))
    metadata = _text(root / "pyproject.toml")
    is_package = _PACKAGE.search(metadata) is not None or (root / "setup.py").is_file()
    return ExistingProject(
        root=root,
        makefile=makefile,
        includes_tasks=_INCLUDES.search(text) is not None,
        targets=_targets(root) if makefile else frozenset(),
        is_package=is_package,
        requirements=_requirements(root, metadata, is_package=is_package),
        branch=known or _usual_branch(root),
        is_branch_known=bool(known),
        services=_services(root),
        has_pre_commit=os.path.lexists(root / PRE_COMMIT),
        deploys=any(_DEPLOYS.search(_text(root / path)) for path in (WORKFLOW, PIPELINE)),
    )


def ignored_by_git(root: Path, paths: list[str]) -> dict[str, list[str]]:
    """Return the files that git would not commit, by rule: its place and its text, such as `.gitignore:1:build/`."""
    found: dict[str, list[str]] = {}
    for line in _output("git", "check-ignore", "--verbose", *paths, folder=root):
        rule, _, path = line.partition("\t")
        if not re.fullmatch(r".*:\d+:!.*", rule):  # such a rule takes a file out again
            found.setdefault(rule, []).append(path)
    return found


def _text(path: Path) -> str:
    return read_text(str(path), _MOST_TEXT)


def _targets(root: Path) -> frozenset[str]:
    """Return the targets of the Makefile. `:` is no target, so make prints what it knows and runs no recipe."""
    # The copy of tasks.mk may not be there yet.
    include = f"--include-dir={tasksmk.installed().parent.parent}"
    printed = _output("make", include, "--question", "--print-data-base", "--no-builtin-rules", ":", folder=root)
    rules = _RULE.finditer("\n".join(printed))
    return frozenset(rule["name"] for rule in rules if not rule["not"] and rule["name"][0] != ".")


def _requirements(root: Path, metadata: str, *, is_package: bool) -> str:
    extras = _EXTRAS.search(metadata)
    extra = _TEST_EXTRA.search(extras["extras"]) if extras else None
    words = [f"--requirement {name}" for name in ("requirements.txt", "requirements-dev.txt") if (root / name).exists()]
    if is_package or _METADATA.search(metadata):
        words.append(f"--editable '.[{extra[1]}]'" if extra else "--editable .")
    return " ".join(words)


def _usual_branch(root: Path) -> str:
    branches = _output("git", "for-each-ref", "--format=%(refname:short)", "refs/heads", folder=root)
    usual = next((name for name in _USUAL_BRANCHES if name in branches), None)
    return usual or head(str(root)).get("branch", "main")


def _services(root: Path) -> tuple[str, ...]:
    """Return GitHub, unless the project is evidently one of GitLab's alone, and GitLab if it is there."""
    folders = {root, Path(top_folder(str(root)) or root)}
    remote = origin(str(root))
    on_gitlab = any(os.path.lexists(folder / name) for folder in folders for name in (GITLAB, ".gitlab"))
    on_gitlab = on_gitlab or (remote is not None and "gitlab" in remote.host)
    on_github = not on_gitlab or any((folder / ".github").is_dir() for folder in folders)
    return (*(["github"] if on_github else []), *(["gitlab"] if on_gitlab else []))


def _output(*command: str, folder: Path) -> list[str]:
    """Return the lines that a program prints; none if it is not installed or takes too long."""
    import subprocess  # only this command needs it, and each command imports this module

    environ = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode(errors="replace").splitlines()
