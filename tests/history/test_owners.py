"""The owners of a test are those that GitHub or GitLab would ask for a review of its file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_swarmtask.history.owners import read_owners

GITHUB = """
# everything, unless a later line matches
*                 @acme/all
*.py              @ada  # an @inline comment
/tests/api/       @acme/api qa@example.com
docs/*            @docs
apps/**/test_*    @apps
/tests/free.py
with\\ space.py   @space
"""

GITLAB = """
* @default
api/ @api

[Docs][2] @writers
docs/
docs/test_extra.py @extra

^[Optional] @maybe @@maintainer
*.md
/tests/slow/ @slow
!tests/slow/known/

[DOCS]
/tests/docs.py @late
"""


def owners(root: Path, test: str) -> list[str] | None:
    found = read_owners(str(root))
    return None if found is None else found.of_test(test)


def write(root: Path, place: str, text: str) -> Path:
    file = root / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return root


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    return tmp_path / "repository"


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("tests/test_shop.py::TestCart::test_add[a::b]", ["@ada"]),
        ("tests/api/deep/test_a.py::test_a", ["@acme/api", "qa@example.com"]),
        ("tests/api/deep/test_a.py", ["@acme/api", "qa@example.com"]),
        ("docs/test_a.rst::test_a.rst", ["@docs"]),
        ("docs/deep/test_a.rst::test_a.rst", ["@acme/all"]),
        ("tests/docs/test_a.rst", ["@acme/all"]),
        ("apps/a/b/test_c.yaml", ["@apps"]),
        ("tests/free.py::test_a", []),
        ("lib/with space.py::test_a", ["@space"]),
    ],
)
def test_github(repository: Path, test: str, expected: list[str]) -> None:
    """The last line that matches counts, and a line without owners says that there are none."""
    assert owners(write(repository, ".github/CODEOWNERS", GITHUB), test) == expected


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("tests/test_shop.py::test_add", ["@default"]),
        ("tests/api/test_a.py::test_a", ["@api"]),
        ("docs/test_a.py::test_a", ["@default", "@writers"]),
        ("web/docs/test_a.md", ["@default", "@writers", "@maybe", "@@maintainer"]),
        ("docs/test_extra.py::test_a", ["@default", "@extra"]),
        ("tests/slow/test_a.py", ["@default", "@slow"]),
        ("tests/slow/known/test_a.py", ["@default"]),
        ("tests/docs.py", ["@default", "@late"]),
    ],
)
@pytest.mark.parametrize("place", [".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"])
def test_gitlab(repository: Path, place: str, test: str, expected: list[str]) -> None:
    """Each section has its own owners, a section may have default owners, and paths match in every folder."""
    assert owners(write(repository, place, GITLAB), test) == expected


def test_a_file_without_sections_is_of_the_service_of_the_remote(repository: Path) -> None:
    """On GitLab a path without a slash in front matches in every folder, on GitHub only in the top folder."""
    write(repository, "CODEOWNERS", "api/test_a.py @api")
    assert owners(repository, "tests/api/test_a.py") == []
    write(repository, ".git/config", '[remote "origin"]\nurl = git@gitlab.example.com:a/b.git')
    assert owners(repository, "tests/api/test_a.py") == ["@api"]


def test_where_the_file_is(repository: Path) -> None:
    """GitHub's order of places; the top folder of the repository may be above the project."""
    root = repository / "services" / "api"
    root.mkdir(parents=True)
    assert owners(root, "tests/test_a.py") is None
    for place in (".gitlab/CODEOWNERS", "docs/CODEOWNERS", "CODEOWNERS", ".github/CODEOWNERS"):
        write(repository, place, f"/services/api/tests/ @{place.partition('/')[0].strip('.')}")
        assert owners(root, "tests/test_a.py") == [f"@{place.partition('/')[0].strip('.')}"]
    assert owners(root, "../web/test_a.py") == []


def test_a_folder_without_a_repository(tmp_path: Path) -> None:
    assert owners(write(tmp_path, "CODEOWNERS", "* @me"), "test_a.py") == ["@me"]


def test_a_broken_line_costs_only_itself(repository: Path) -> None:
    """What cannot be parsed is skipped, and the lines around it count."""
    text = "\ufeff* @all\n[ab @x\n/a[z-a].py @y\n[] @z\n!\n@only\n\x00 @w\n^[\n/tests/ @tests \u200b\n"
    write(repository, ".github/CODEOWNERS", text)
    assert owners(repository, "tests/test_a.py") == ["@tests"]
    assert owners(repository, "test_b.py") == ["@all"]


def test_what_is_no_file_of_text(repository: Path) -> None:
    """Neither a folder, nor a pipe, nor bytes that are no text stop a report."""
    (repository / ".github" / "CODEOWNERS").mkdir(parents=True)
    os.mkfifo(repository / "CODEOWNERS")
    assert owners(repository, "test_a.py") is None
    (repository / "docs").mkdir()
    (repository / "docs" / "CODEOWNERS").write_bytes(b"* @all\n\xff\xfe* @bytes\n")
    assert owners(repository, "test_a.py") == ["@all"]
