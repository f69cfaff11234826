"""A failure links to its line on the site of the repository, at the commit of the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_swarmtask.report.source_links import linker

COMMIT = "0123456789" * 4


def checkout(root: Path, url: str) -> Path:
    """Make what a checkout has: the configuration of its remote."""
    (root / ".git").mkdir(parents=True)
    (root / ".git" / "config").write_text(f'[remote "origin"]\n\turl = {url}\n')
    return root


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("git@github.com:acme/shop.git", f"https://github.com/acme/shop/blob/{COMMIT}/tests/a.py#L12"),
        ("https://u:p@github.acme.com/x/y", f"https://github.acme.com/x/y/blob/{COMMIT}/tests/a.py#L12"),
        ("git@gitlab.com:a/b/shop.git", f"https://gitlab.com/a/b/shop/-/blob/{COMMIT}/tests/a.py#L12"),
        ("ssh://git@gitlab.acme.com:22/a/b", f"https://gitlab.acme.com/a/b/-/blob/{COMMIT}/tests/a.py#L12"),
        ("https://codeberg.org/a/b.git", f"https://codeberg.org/a/b/src/commit/{COMMIT}/tests/a.py#L12"),
        ("http://gitea.lan:3000/a/b.git", f"http://gitea.lan:3000/a/b/src/commit/{COMMIT}/tests/a.py#L12"),
        ("https://forgejo.acme.com/a/b", f"https://forgejo.acme.com/a/b/src/commit/{COMMIT}/tests/a.py#L12"),
        ("git@bitbucket.org:a/b.git", f"https://bitbucket.org/a/b/src/{COMMIT}/tests/a.py#lines-12"),
        ("https://git.acme.com/a/b.git", None),
        ("/srv/git/shop.git", None),
    ],
)
def test_services(tmp_path: Path, url: str, link: str | None) -> None:
    """Each known service has its own form of address; an unknown one has no link."""
    assert linker(str(checkout(tmp_path, url)), COMMIT)("tests/a.py:12") == link


def test_paths(tmp_path: Path) -> None:
    """Paths are those in the repository, whose top folder may be above the project."""
    top = checkout(tmp_path / "top", "git@github.com:acme/shop.git")
    root = top / "api"
    root.mkdir()
    link = linker(str(root), COMMIT)
    base = f"https://github.com/acme/shop/blob/{COMMIT}"
    assert link("tests/a.py:1") == f"{base}/api/tests/a.py#L1"
    assert link(f"{top}/web/a.py:2") == f"{base}/web/a.py#L2"
    assert link("../web/a.py:3") == f"{base}/web/a.py#L3"
    assert link('tests/a b(#)?%\u00e9"<.py:4') == f"{base}/api/tests/a%20b%28%23%29%3F%25%C3%A9%22%3C.py#L4"


@pytest.mark.parametrize(
    "place",
    [
        *(None, "", "tests/a.py", "tests/a.py:0", "/usr/lib/python3/ast.py:50", "../../other/a.py:1"),
        ".venv/lib/python3.12/site-packages/x.py:3",
    ],
)
def test_what_is_not_in_the_repository_has_no_link(tmp_path: Path, place: str | None) -> None:
    root = checkout(tmp_path / "top", "git@github.com:acme/shop.git") / "api"
    root.mkdir()
    assert linker(str(root), COMMIT)(place) is None


@pytest.mark.parametrize("commit", [None, "", "main", "0123456/../x", "0123456\n"])
def test_without_a_commit_there_is_no_link(tmp_path: Path, commit: str | None) -> None:
    root = checkout(tmp_path, "git@github.com:acme/shop.git")
    assert linker(str(root), commit)("tests/a.py:12") is None


def test_without_a_repository_there_is_no_link(tmp_path: Path) -> None:
    assert linker(str(tmp_path), COMMIT)("tests/a.py:12") is None
