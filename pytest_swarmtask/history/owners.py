"""The owners of tests: the file `CODEOWNERS` of a repository, as GitHub and GitLab read it."""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.facts.git import top_folder
from pytest_swarmtask.core.facts.remote import origin
from pytest_swarmtask.core.files import only_regular

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codeowners import CodeOwners

_PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""Where the file may be. The first one counts: GitHub looks in this order, and only GitLab in its own folder."""
_MOST_CHARACTERS = 3 << 20
"""Characters of the file that are read. GitHub ignores a file of more than three megabytes."""
_HEADING = re.compile(r"\^?\[(?P<name>[^\]]+)\](?:\[[0-9]+\])?(?:\s+(?P<owners>.*))?")
"""A section of GitLab: `[Docs]`, `^[Docs]` if its approval is optional, `[Docs][2]` if it needs two approvals."""
_SPACES = re.compile(r"(?<!\\)\s+")
"""What stands between a pattern and its owners. A space in a pattern is written with a backslash."""
_ESCAPED_SPACE = "\\ "
_SPACE_IN_NAME = "\x1a"
"""A character that stands for a space in patterns and paths. The parser would take a pattern with a space for a path
from the top folder.
"""


class _Rule:
    """One line of the file. It is parsed when it is first asked: of thousands of lines, the last ones often decide.

    Args:
        line: a pattern and its owners.
    """

    def __init__(self, line: str) -> None:
        self._line = line

    @cached_property
    def _parsed(self) -> CodeOwners | None:
        """The rule, or None if it cannot be parsed. One mistake must not cost the owners of all other files."""
        from codeowners import CodeOwners  # loaded only where there is such a file

        try:
            return CodeOwners(self._line)
        except Exception:  # noqa: BLE001 - a range without an end, a bracket that is not closed: the file is anybody's
            return None

    def owners(self, file: str) -> list[str] | None:
        """Return the owners that the rule gives a file; None if it does not match."""
        if self._parsed is None or self._parsed.matching_line(file)[1] is None:
            return None
        return [name for _, name in self._parsed.of(file)]


class _Section(NamedTuple):
    """The rules of one section; a file without sections has one.

    Attributes:
        rules: patterns with their owners. The last one that matches a file counts.
        exclusions: patterns of files to which the section does not apply.
    """

    rules: list[_Rule]
    exclusions: list[_Rule]

    def owners(self, file: str) -> list[str]:
        """Return the owners of a file in this section."""
        file = file.replace(" ", _SPACE_IN_NAME)
        if any(rule.owners(file) is not None for rule in self.exclusions):
            return []
        found = (rule.owners(file) for rule in reversed(self.rules))
        return next((owners for owners in found if owners is not None), [])


class Owners:
    """Answers which owners the tests of a project have.

    Args:
        sections: the sections of the file.
        below: the project's folder relative to the top folder of the repository.
    """

    def __init__(self, sections: list[_Section], below: str) -> None:
        self._sections = sections
        self._below = below
        self._known: dict[str, list[str]] = {}

    def of_test(self, test: str) -> list[str]:
        """Return the owners of the file of a test, in the order of the file; empty if it has none."""
        file = os.path.normpath(os.path.join(self._below, test.partition("::")[0])).replace(os.sep, "/")
        if file not in self._known:  # tests of one file are many
            found = (name for section in self._sections for name in section.owners(file))
            self._known[file] = list(dict.fromkeys(found))
        return list(self._known[file])


def read_owners(root: str) -> Owners | None:
    """Return the owners of the tests of a project; None if its repository has no file `CODEOWNERS`.

    Args:
        root: the project's folder, which the names of tests are relative to.
    """
    top = top_folder(root) or os.path.abspath(root)
    for place in _PLACES:
        text = _text(os.path.join(top, place))
        if text is not None:
            lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
            anywhere = _is_of_gitlab(root, place, lines)
            return Owners(_sections(lines, anywhere=anywhere), os.path.relpath(root, top))
    return None


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8-sig", errors="replace", opener=only_regular) as file:
            return file.read(_MOST_CHARACTERS)
    except OSError:
        return None


def _is_of_gitlab(root: str, place: str, lines: Iterable[str]) -> bool:
    """Whether a file is written for GitLab, where `docs/*.md` matches in every folder, and not only in the top one."""
    if place.startswith(".git"):
        return place.startswith(".gitlab")
    remote = origin(root)
    return (remote is not None and "gitlab" in remote.host) or any(map(_HEADING.fullmatch, lines))


def _sections(lines: Iterable[str], *, anywhere: bool) -> list[_Section]:
    """Return the sections. Sections of one name are one, however it is written."""
    sections: dict[str, _Section] = {}
    name = owners = ""
    for line in lines:
        heading = _HEADING.fullmatch(line)
        if heading:
            name, owners = heading["name"].lower(), heading["owners"] or ""
            continue
        rules, exclusions = sections.setdefault(name, _Section([], []))
        rule = _Rule(_completed(line.removeprefix("!"), owners, anywhere=anywhere))
        if not line.startswith("!"):
            rules.append(rule)
        elif anywhere:  # GitHub has no exclusions, and skips such a line
            exclusions.append(rule)
    return list(sections.values())


def _completed(line: str, owners: str, *, anywhere: bool) -> str:
    """Return a line without its comment, with the owners of its section if it names none."""
    pattern, *words = _SPACES.split(line)
    comment = next((number for number, word in enumerate(words) if word.startswith("#")), len(words))
    if anywhere and not pattern.startswith(("/", "**/")):
        pattern = f"**/{pattern}"
    return f"{pattern.replace(_ESCAPED_SPACE, _SPACE_IN_NAME)} {' '.join(words[:comment]) or owners}"
