"""`swarmtask init`: write the files that a project needs to record events. Nobody's changes are overwritten."""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest_swarmtask
from pytest_swarmtask.cli import tasksmk
from pytest_swarmtask.cli.common import add_root, project_of, write_file
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.facts.git import top_folder
from pytest_swarmtask.core.facts.remote import origin

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_swarmtask.cli.common import Subparsers


WORKFLOW = ".github/workflows/task_management_integration.yml"
PIPELINE = ".gitlab/task_management_integration.yml"
_GITLAB = ".gitlab-ci.yml"
_PIPELINE_INCLUDED = f"include:\n  - local: /{PIPELINE}\n"
_CONFIG = ".taskmaster/config/workflow.yaml"
_SCHEMA = ".taskmaster/config/workflow.schema.json"
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
"""In the order in which GNU make looks for them."""
_COPIED = f"include {tasksmk.COPY}"
_INSTALLED = (
    "include $(or $(shell swarmtask make-include),"
    "$(error pytest-swarmtask is not installed: python -m pip install pytest-swarmtask))"
)
_OVERWRITE = "--force overwrites it"
_INCLUDES = re.compile(r"^[ \t]*[-s]?include\b.*(tasks\.mk|make-include)", re.MULTILINE)


_NOTES = {
    "github": f"note       GitHub reads workflows only in the repository's top folder: move {WORKFLOW} there",
    "gitlab": f"note       GitLab reads {_GITLAB} only in the repository's top folder, and takes paths from there",
}
"""What to do in a project below the top folder of its repository."""


class Item(NamedTuple):
    """A file that the project should have.

    Attributes:
        path: its path, relative to the project.
        content: the content that it should have.
        former: the content that it has, or None if there is no such file.
        unchanged: whether it is as it should be.
        advice: what a person can do if it differs, and is kept.
    """

    path: str
    content: bytes
    former: bytes | None
    unchanged: bool
    advice: str


def register(subparsers: Subparsers) -> None:
    """Add the command `init`."""
    parser = subparsers.add_parser(
        "init",
        help="set up a project: configuration, make, GitHub Actions or GitLab CI",
        description="Write the files that a project needs: the configuration, make/tasks.mk and a CI workflow. Files "
        "that exist are not changed without --force.",
        example="swarmtask init --dry-run",
        page="ci",
    )
    add_root(parser)
    parser.add_argument("--dry-run", dest="dry_run", action="store_true", help="only print what would be done")
    parser.add_argument(
        "--force",
        dest="force",
        action="store_true",
        help="overwrite files that differ (but never a Makefile or .gitlab-ci.yml)",
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
        UsageError: the folder does not exist, or a file in it cannot be read or written.
    """
    root = Path(project_of(arguments).root)
    makefile = next((name for name in _MAKEFILES if os.path.lexists(root / name)), None)
    hosts = _hosts(root)
    # All files are read before the first one is written, so that an error leaves the project as it was.
    items = list(_items(root, makefile, hosts, include=arguments.include))
    pipeline = _pipeline_line(root) if "gitlab" in hosts else ""
    print(f"project    {root}")
    for item in items:
        print(_write(root, item, force=arguments.force, dry_run=arguments.dry_run))
        if arguments.dry_run and item.former is not None and not item.unchanged:
            print(_difference(item))
    if makefile:
        print(_makefile_line(root / makefile, include=arguments.include))
    if pipeline:
        print(pipeline)
    if _is_below_repository(root):
        print(*(_NOTES[host] for host in hosts), sep="\n")
    return 0


def _hosts(root: Path) -> list[str]:
    """Return who is to run the targets: GitHub, unless the project is evidently one of GitLab's alone, and GitLab."""
    folders = {root, Path(top_folder(str(root)) or root)}
    remote = origin(str(root))
    on_gitlab = any(os.path.lexists(folder / name) for folder in folders for name in (_GITLAB, ".gitlab"))
    on_gitlab = on_gitlab or (remote is not None and "gitlab" in remote.host)
    on_github = not on_gitlab or any((folder / ".github").is_dir() for folder in folders)
    return [*(["github"] if on_github else []), *(["gitlab"] if on_gitlab else [])]


def _items(root: Path, makefile: str | None, hosts: list[str], *, include: bool) -> Iterator[Item]:
    from pytest_swarmtask.config.schema import schema

    yield _item(root, _CONFIG, _template("workflow.yaml"))
    schema_text = json.dumps(schema(), indent=2) + "\n"
    yield _item(root, _SCHEMA, schema_text.encode(), f"update it with: swarmtask config schema > {_SCHEMA}")
    if not include:
        yield _copy(root)
    if makefile is None:
        text = _template("Makefile").decode()
        yield _item(root, "Makefile", (text.replace(_COPIED, _INSTALLED) if include else text).encode())
    if "github" in hosts:
        yield _item(root, WORKFLOW, _template("github.yml"))
    if "gitlab" in hosts:
        yield _item(root, PIPELINE, _template("gitlab.yml"))
        if not os.path.lexists(root / _GITLAB):
            yield _item(root, _GITLAB, _PIPELINE_INCLUDED.encode())


def _item(root: Path, path: str, content: bytes, advice: str = _OVERWRITE) -> Item:
    former = _read(root, path)
    return Item(path, content, former, former == content, advice)


def _copy(root: Path) -> Item:
    former = _read(root, tasksmk.COPY)
    found = tasksmk.compare(root / tasksmk.COPY)
    advice = f"update it with: {tasksmk.UPDATE}" if found.replaceable else _OVERWRITE
    return Item(tasksmk.COPY, tasksmk.stamped(), former, found.state == "current", advice)


def _template(name: str) -> bytes:
    path = Path(pytest_swarmtask.__file__).parent / "templates" / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): install pytest-swarmtask again") from None


def _read(root: Path, path: str) -> bytes | None:
    """Return the content of a file of the project, or None if there is no such file.

    Raises:
        UsageError: the file cannot be read, or a symbolic link leads out of the project, where `init` changes nothing.
    """
    target = root / path
    real = os.path.realpath(target)
    if os.path.commonpath([real, os.path.realpath(root)]) != os.path.realpath(root):
        raise UsageError(f"{target} leads out of the project, to {real}: nothing was written")
    try:
        if not stat.S_ISREG(os.stat(target).st_mode):
            raise UsageError(f"{target} is no file: nothing was written")
        return target.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{target} cannot be read: {error.strerror or error}; nothing was written") from None


def _write(root: Path, item: Item, *, force: bool, dry_run: bool) -> str:
    """Write an item if it should be written, and return a line about it."""
    if item.unchanged:
        return f"unchanged  {item.path}"
    if item.former is not None and not force:
        return f"kept       {item.path} (differs; {item.advice})"
    if not dry_run:
        write_file(root / item.path, item.content)
    done = ("would create", "would overwrite") if dry_run else ("created   ", "overwritten")
    return f"{done[item.former is not None]} {item.path}"


def _difference(item: Item) -> str:
    """Return the difference between a file and its new content."""
    former, content = ((text or b"").decode(errors="replace").splitlines() for text in (item.former, item.content))
    lines = difflib.unified_diff(former, content, item.path, f"{item.path} (new)", n=1, lineterm="")
    return "\n".join(f"    {line}" for line in lines)


def _makefile_line(path: Path, *, include: bool) -> str:
    """Return the line about the project's own Makefile, which is never edited."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    if _INCLUDES.search(text):
        return f"unchanged  {path.name} (it includes tasks.mk)"
    line = _INSTALLED if include else _COPIED
    return (
        f"kept       {path.name} (it is never edited; add this line to it)\n\n    {line}\n\n"
        "           CI will run its targets setup, test, build and deploy"
    )


def _pipeline_line(root: Path) -> str:
    """Return the line about the project's own pipeline, which is never edited; "" if it has none."""
    former = _read(root, _GITLAB)
    if former is None:
        return ""
    if PIPELINE in former.decode(errors="replace"):
        return f"unchanged  {_GITLAB} (it includes {PIPELINE})"
    lines = textwrap.indent(_PIPELINE_INCLUDED, "    ")
    return (
        f"kept       {_GITLAB} (it is never edited; add these lines to it, or the last one to its list `include`)\n\n"
        f"{lines}\n"
        "           If it has a list of stages, it must contain setup, test, build and deploy, in this order"
    )


def _is_below_repository(root: Path) -> bool:
    return not (root / ".git").exists() and any((parent / ".git").exists() for parent in root.parents)
