"""The files that `swarmtask init` wants a project to have, made for what the project has already."""

from __future__ import annotations

import difflib
import json
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest_swarmtask
from pytest_swarmtask.cli import tasksmk
from pytest_swarmtask.cli.init.existing import GITLAB, PIPELINE, PRE_COMMIT, WORKFLOW
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import neutral

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.cli.init.existing import ExistingProject


COPIED = f"include {tasksmk.COPY}"
INSTALLED = (
    "include $(or $(shell swarmtask make-include),"
    "$(error pytest-swarmtask is not installed: python -m pip install pytest-swarmtask))"
)
PIPELINE_INCLUDED = f"include:\n  - local: /{PIPELINE}\n"
PARTS = ("config", "make", "github", "gitlab", "pre-commit")
"""What `--only` can name."""
STAGES = ("setup", "test", "build", "deploy")
"""The stages of CI in their order, and the targets of a Makefile that they run."""

_CONFIG = ".taskmaster/config/workflow.yaml"
_SCHEMA = ".taskmaster/config/workflow.schema.json"
_OVERWRITE = "--force overwrites it"
_NO_DEPLOYMENT = 'echo "nothing is deployed yet; put swarmtask run --kind deployment -- and your command here"'
_WHEEL = "python -m pip wheel --no-deps --wheel-dir dist ."


class Choices(NamedTuple):
    """What the user wants.

    Attributes:
        parts: some of `PARTS`.
        branch: the branch whose pushes run the workflow.
        deploy: whether CI has jobs for deployment.
        include: whether the Makefile includes the installed tasks.mk instead of a copy.
    """

    parts: tuple[str, ...]
    branch: str
    deploy: bool
    include: bool


class PlannedFile(NamedTuple):
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

    @property
    def replaces(self) -> bool:
        """Whether there is such a file, with another content."""
        return self.former is not None and not self.unchanged

    @property
    def difference(self) -> str:
        """The difference between the file and its new content, indented."""
        former, content = ((text or b"").decode(errors="replace").splitlines() for text in (self.former, self.content))
        lines = difflib.unified_diff(former, content, self.path, f"{self.path} (new)", n=1, lineterm="")
        return "\n".join(f"    {neutral(line)}" for line in lines)


def plan(project: ExistingProject, choices: Choices) -> list[PlannedFile]:
    """Return the files that belong to the chosen parts.

    Raises:
        UsageError: a file cannot be read, or leads out of the project.
    """
    return list(_files(project, choices))


def commands(project: ExistingProject, choices: Choices) -> dict[str, str]:
    """Return what the job of each stage runs: a target that the Makefile has, or else pip or pytest; "" if nothing."""
    targets = project.targets
    if project.makefile is None and "make" in choices.parts:
        targets = frozenset(STAGES) - (frozenset() if project.is_package else {"build"})
    setup = f"swarmtask run --id dev_setup -- python -m pip install {project.requirements}"
    wheel = f"swarmtask run --kind build --id make_build -- {_WHEEL}"
    otherwise = {
        "setup": setup if project.requirements else "",
        "test": "python -m pytest",
        "build": wheel if project.is_package else "",
        "deploy": _NO_DEPLOYMENT,
    }
    found = {stage: f"make {stage}" if stage in targets else otherwise[stage] for stage in STAGES}
    return found if choices.deploy else {**found, "deploy": ""}


def hooks() -> str:
    """Return the hooks of pre-commit, as an entry of its list `repos`."""
    return _template("pre-commit.yaml").decode().partition("repos:\n")[2]


def stages(project: ExistingProject, choices: Choices) -> str:
    """Return the stages of CI, with commas between them. There is always a `setup`, which checks the configuration."""
    return ", ".join(stage for stage, command in commands(project, choices).items() if command or stage == "setup")


def _files(project: ExistingProject, choices: Choices) -> Iterator[PlannedFile]:
    root, parts = project.root, choices.parts
    values = {
        "branch": _pattern(choices.branch),
        "stages": stages(project, choices),
        **commands(project, choices),
    }
    if "config" in parts:
        from pytest_swarmtask.config.schema import schema

        yield _file(root, _CONFIG, _template("workflow.yaml"))
        text = json.dumps(schema(), indent=2) + "\n"
        yield _file(root, _SCHEMA, text.encode(), f"update it with: swarmtask config schema > {_SCHEMA}")
    if "make" in parts and not choices.include:
        yield _copy(root)
    if "make" in parts and project.makefile is None:
        yield _file(root, "Makefile", _makefile(project, choices))
    if "github" in parts:
        yield _file(root, WORKFLOW, _filled("github.yml", **values))
    if "gitlab" in parts:
        yield _file(root, PIPELINE, _filled("gitlab.yml", **values))
        if not os.path.lexists(root / GITLAB):
            yield _file(root, GITLAB, PIPELINE_INCLUDED.encode())
    if "pre-commit" in parts and not project.has_pre_commit:
        yield _file(root, PRE_COMMIT, _template("pre-commit.yaml"))


def _makefile(project: ExistingProject, choices: Choices) -> bytes:
    return _filled(
        "Makefile",
        include=INSTALLED if choices.include else COPIED,
        requirements=project.requirements or "pytest-swarmtask",
        is_package=project.is_package,
        deploy=choices.deploy,
    )


def _pattern(branch: str) -> str:
    """Return a branch as a quoted pattern of GitHub. Of the special signs of patterns, git allows only these two."""
    return json.dumps(re.sub(r"[!+]", r"\\\g<0>", branch))


def _file(root: Path, path: str, content: bytes, advice: str = _OVERWRITE) -> PlannedFile:
    former = read(root, path)
    return PlannedFile(path, content, former, former == content, advice)


def _copy(root: Path) -> PlannedFile:
    former = read(root, tasksmk.COPY)
    found = tasksmk.compare(root / tasksmk.COPY)
    advice = f"update it with: {tasksmk.UPDATE}" if found.replaceable else _OVERWRITE
    return PlannedFile(tasksmk.COPY, tasksmk.stamped(), former, found.state == "current", advice)


def _template(name: str) -> bytes:
    path = Path(pytest_swarmtask.__file__).parent / "templates" / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): install pytest-swarmtask again") from None


def _filled(name: str, **values: Any) -> bytes:
    """Return a template with values. Its marks are comments of YAML and make, so editors know its language."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        block_start_string="#%",
        block_end_string="%#",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML and make, no HTML
    )
    return environment.from_string(_template(name).decode()).render(values).encode()


def read(root: Path, path: str) -> bytes | None:
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
