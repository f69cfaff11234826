"""`swarmtask make-include`: print the path of the installed tasks.mk, or copy it into a project.

The first line of a copy names its version and the hash of its content. So an old copy, which may be replaced, differs
from a copy that somebody has changed by hand.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest_swarmtask
from pytest_swarmtask import __version__
from pytest_swarmtask.cli.common import write_file
from pytest_swarmtask.core.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from pytest_swarmtask.cli.common import Subparsers


COPY = "make/tasks.mk"
"""The path of a project's own copy, relative to the project."""

UPDATE = f"swarmtask make-include --copy {COPY}"

_STAMP = re.compile(rb"# tasks\.mk of pytest-swarmtask (\S+), sha256 ([0-9a-f]{16})[^\n]*\n")


class Copy(NamedTuple):
    """How a file compares with the installed tasks.mk.

    Attributes:
        state: ``missing``: there is no file. ``current``: it is the same, apart from the first line. ``older``,
            ``newer``: it is an unchanged copy of another version. ``other``: it is an unchanged copy of this version
            with another content, as from a checkout. ``edited``: it was changed after it was copied. ``foreign``: it is
            not a copy of tasks.mk.
        version: the version that it is a copy of, or "".
    """

    state: str
    version: str = ""

    @property
    def replaceable(self) -> bool:
        """Whether it can be replaced without losing anybody's changes."""
        return self.state not in ("edited", "foreign")


def register(subparsers: Subparsers) -> None:
    """Add the command `make-include`."""
    parser = subparsers.add_parser(
        "make-include",
        help="print the path of tasks.mk, or copy it into a project",
        description="Print the path of tasks.mk, or copy it into a project.",
        example="swarmtask make-include --copy",
        page="make",
    )
    parser.add_argument(
        "--copy",
        dest="copy",
        metavar="FILE",
        help=f"write or update a copy, such as {COPY}, instead of printing the path",
    )
    parser.add_argument("--force", dest="force", action="store_true", help="replace a copy that was changed by hand")
    parser.set_defaults(func=make_include)


def make_include(arguments: argparse.Namespace) -> int:
    """Print the path of the installed tasks.mk, or copy it. Return 1 if that would lose somebody's changes, else 0.

    Raises:
        UsageError: a file does not exist, or cannot be read or written.
    """
    if arguments.copy is None:
        if arguments.force:
            raise UsageError("make-include: --force goes with --copy FILE")
        print(str(installed()).replace(" ", "\\ "))  # make splits what it includes at spaces
        return 0
    target = Path(arguments.copy)
    former = compare(target)
    if former.state == "current":
        print(f"unchanged  {target} (pytest-swarmtask {__version__})")
        return 0
    if not (former.replaceable or arguments.force):
        what = "changed by hand since it was copied" if former.state == "edited" else "no copy of tasks.mk"
        print(f"kept       {target}: it is {what}; --force replaces it")
        return 1
    write_file(target, stamped())
    done = "created  " if former.state == "missing" else "updated  "
    print(f"{done}  {target} ({f'{former.version} → ' if former.version else ''}{__version__})")
    return 0


def installed() -> Path:
    """Return the path of the tasks.mk of this package. In a checkout, it is beside the package, not inside of it.

    Raises:
        UsageError: there is no such file.
    """
    package = Path(os.path.abspath(pytest_swarmtask.__file__)).parent
    candidates = (package / "make" / "tasks.mk", package.parent / "make" / "tasks.mk")
    for path in candidates:
        if path.is_file():
            return path
    raise UsageError(
        f"tasks.mk is not at {candidates[0]}: the installation of pytest-swarmtask is incomplete, install it again"
    )


def stamped() -> bytes:
    """Return the content of a copy: a first line with version and hash, then the installed file.

    Raises:
        UsageError: the installed file cannot be read.
    """
    body = _read(installed())
    stamp = f"# tasks.mk of pytest-swarmtask {__version__}, sha256 {_digest(body)}: a copy, updated by `{UPDATE}`\n"
    return stamp.encode() + body


def compare(path: Path) -> Copy:
    """Return how a file compares with the installed tasks.mk.

    Raises:
        UsageError: the file cannot be read.
    """
    if not os.path.lexists(path):
        return Copy("missing")
    text, body = _read(path), _read(installed())
    stamp = _STAMP.match(text)
    copied = text[stamp.end() :] if stamp else text
    version = stamp[1].decode(errors="replace") if stamp else ""
    if copied == body:
        return Copy("current", version)
    if stamp is None:
        return Copy("foreign")
    if stamp[2].decode() != _digest(copied):
        return Copy("edited", version)
    theirs, ours = _order(version), _order(__version__)
    return Copy("older" if theirs < ours else "newer" if theirs > ours else "other", version)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def _order(version: str) -> tuple[list[int], bool, str]:
    """Return the sort key of a version, by which 1.2rc1 comes before 1.2."""
    release = "".join(itertools.takewhile("0123456789.".__contains__, version))
    rest = version[len(release) :]
    return [int(number) for number in release.split(".") if number], not rest, rest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
