"""The remote of a checkout is found without a git process, and its address has no credentials."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_swarmtask.core.facts import git
from pytest_swarmtask.core.facts.remote import origin, parse


def run_git(folder: Path, *arguments: str) -> None:
    name = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit and the remote of a colleague, but without `origin`."""
    root = tmp_path / "shop"
    root.mkdir()
    run_git(root, "init", "-q", "-b", "main", ".")
    run_git(root, "commit", "-q", "--allow-empty", "-m", "one")
    run_git(root, "remote", "add", "ada", "git@github.com:ada/shop.git")
    return root


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("https://github.com/acme/shop.git", "https://github.com", "acme/shop"),
        ("https://github.com/acme/shop/", "https://github.com", "acme/shop"),
        ("https://ada:s3cret@GitHub.com/acme/shop", "https://github.com", "acme/shop"),
        ("https://gitlab-ci-token:glcbt-64_abc@gitlab.example.com/a/b/c.git", "https://gitlab.example.com", "a/b/c"),
        ("http://git.example.com:3000/acme/shop.git", "http://git.example.com:3000", "acme/shop"),
        ("git@github.com:acme/shop.git", "https://github.com", "acme/shop"),
        ("github.com:acme/shop", "https://github.com", "acme/shop"),
        ("org-17@github.com:/acme/shop.git", "https://github.com", "acme/shop"),
        ("ssh://git@gitlab.example.com:2222/acme/shop.git", "https://gitlab.example.com", "acme/shop"),
        ("ssh://git@ssh.github.com:443/acme/shop.git", "https://github.com", "acme/shop"),
        ("git://codeberg.org/acme/shop.git", "https://codeberg.org", "acme/shop"),
    ],
)
def test_urls_of_git(url: str, address: str, path: str) -> None:
    """Every way to write a remote leads to its pages. User, password and port of ssh are no part of the address."""
    found = parse(url)
    assert found is not None
    assert (found.address, found.path) == (address, path)
    assert found.host in address


@pytest.mark.parametrize(
    "url",
    [
        *("", "/srv/git/shop.git", "../shop", "file:///srv/git/shop.git", "shop", "https://github.com"),
        *("https://[half/a/b", "https://github.com:port/a/b", "https://bad host/a/b", "javascript://a/b/c"),
        *("ext::sh -c touch%20x", "https://github.com/shop", 'https://git"><b>.com/a/b'),
    ],
)
def test_what_is_no_page(url: str) -> None:
    assert parse(url) is None


def test_the_origin_of_a_checkout(checkout: Path) -> None:
    """`origin` is found from every folder, in a worktree and in a submodule, as git itself finds it."""
    assert origin(str(checkout)) is None
    run_git(checkout, "remote", "add", "origin", "https://me:secret@github.com/acme/shop.git")
    run_git(checkout, "remote", "set-url", "--push", "origin", "git@github.com:me/fork.git")
    (checkout / "src" / "deep").mkdir(parents=True)
    run_git(checkout, "worktree", "add", "-q", "../beside")
    expected = ("github.com", "https://github.com", "acme/shop")
    assert origin(str(checkout)) == origin(str(checkout / "src" / "deep")) == expected
    assert origin(str(checkout.parent / "beside")) == expected
    assert git.top_folder(str(checkout.parent / "beside")) == str(checkout.parent / "beside")
    run_git(checkout, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(checkout), "inner")
    run_git(checkout / "inner", "remote", "set-url", "origin", "git@gitlab.com:acme/inner.git")
    assert origin(str(checkout / "inner")) == ("gitlab.com", "https://gitlab.com", "acme/inner")
    assert git.top_folder(str(checkout / "src" / "deep")) == str(checkout)


@pytest.mark.parametrize(
    "config",
    [
        '[Remote "origin"]\n\tURL = "https://github.com/acme/shop" ; a comment\n',
        '[core]\nbare = false\n[remote "origin"] url=https://github.com/acme/shop\n[remote "x"]\nurl = git@h:a/b\n',
        '\ufeff[remote "Origin"]\nurl = git@h:a/b\n[remote "origin"]\n# url = git@h:a/b\nurl = ssh://github.com/acme/shop',
    ],
)
def test_configurations_that_people_have_written(checkout: Path, config: str) -> None:
    (checkout / ".git" / "config").write_text(config, "utf-8")
    found = origin(str(checkout))
    assert found is not None
    assert found.path == "acme/shop"


def test_what_cannot_be_read_is_no_remote(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".git" / "config").write_bytes(b'\xff[remote "origin\nurl = = =\n[[[')
    assert origin(str(checkout)) is None
    (checkout / ".git" / "config").unlink()
    assert origin(str(checkout)) is None
    assert origin(str(tmp_path)) is None
