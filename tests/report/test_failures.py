"""What reports say about a failure in addition to its message: whose test it is, and where its code is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_swarmtask.report.commit_authors import commit_authors
from tests.history.made import BASE, Process, run
from tests.shop import swarmtask

pytestmark = pytest.mark.local

COMMIT = "0123456789" * 4
LINK = f"https://github.com/acme/shop/blob/{COMMIT}/t.py#L1"


@pytest.fixture
def root(journal: Path) -> Path:
    """A checkout in which a test with an owner and one without have failed."""
    root = journal.parents[1]
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text('[remote "origin"]\n\turl = https://u:secret@github.com/acme/shop.git\n')
    (root / "CODEOWNERS").write_text("tests/ @acme/shop @ada\n")
    run(journal, 1, {"tests/t.py::test_a": "failed", "web/t.py::test_b": "failed"}, commit=COMMIT, branch="main")
    return root


def test_as_json(root: Path) -> None:
    failures = json.loads(swarmtask(root, "report", "--json").stdout)["failures"]
    assert [failure["owners"] for failure in failures] == [["@acme/shop", "@ada"], []]
    assert [failure["link"] for failure in failures] == [LINK, LINK]
    (root / "CODEOWNERS").unlink()
    (root / ".git" / "config").unlink()
    (failure, _) = json.loads(swarmtask(root, "report", "--json").stdout)["failures"]
    assert failure["owners"] is failure["link"] is None


def test_left_out_tests_have_owners_and_no_link(root: Path, journal: Path) -> None:
    """The line of a test that failed in an earlier run says nothing about the commit of this one."""
    later = Process(journal, f"{2:032x}", BASE + 2000)
    events = later.session({"web/t.py::test_b": "failed"}, commit=COMMIT, branch="main")
    events[-1].metadata.update(tests=1, partial=True)
    later.write(events)
    (left,) = json.loads(swarmtask(root, "report", "--json").stdout)["open"]
    assert (left["task_id"], left["owners"], left["link"]) == ("tests/t.py::test_a", ["@acme/shop", "@ada"], None)


def test_in_the_terminal(root: Path) -> None:
    lines = swarmtask(root, "report").stdout.splitlines()
    at = lines.index("  tests/t.py::test_a  failed")
    assert lines[at + 2] == "    t.py:1, new: first result on this branch, owner: @acme/shop, @ada"
    assert "owner" not in lines[lines.index("  web/t.py::test_b  failed") + 2]


def test_since_whom(journal: Path) -> None:
    """Where the repository has the commit since which a test fails, reports name its author; else they do not."""
    root = journal.parents[1]
    author = ("-c", "user.name=Ada \033[2J Lovelace", "-c", "user.email=ada@example.org")
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "a change"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True).stdout
    for number in (1, 2):
        run(journal, number, {"t.py::test_a": "failed", "t.py::test_b": "passed"}, commit=commit.strip(), branch="main")
    since = f" at {commit[:10]} by Ada \\x1b[2J Lovelace, 2 runs in a row"
    assert since in swarmtask(root, "report").stdout
    assert f" at {commit[:10]} by Ada" in swarmtask(root, "report", "--markdown").stdout
    assert f" at {commit[:10]} by Ada" in swarmtask(root, "report", "--html", "-").stdout
    for number in (3, 4):
        run(journal, number, {"t.py::test_a": "failed", "t.py::test_b": "failed"}, commit=COMMIT, branch="main")
    known, unknown = json.loads(swarmtask(root, "report", "--json").stdout)["failures"]
    assert (known["since_author"], unknown["since_author"]) == ("Ada \x1b[2J Lovelace", None)
    assert f" at {COMMIT[:10]}, 2 runs in a row" in swarmtask(root, "report").stdout


def test_in_markdown(root: Path) -> None:
    """The place is a link, and the owners are told from mentions: nobody is notified by a report."""
    lines = swarmtask(root, "report", "--markdown").stdout.splitlines()
    assert "| failed | message | place | since | owner |" in lines
    (row,) = [line for line in lines if line.startswith("| <code>tests/t.py::test_a</code>")]
    assert f"| [<code>t.py:1</code>]({LINK}) | new: first result on this branch | &#64;acme/shop, &#64;ada |" in row
    (root / "CODEOWNERS").unlink()
    assert "owner" not in swarmtask(root, "report", "--markdown").stdout


def test_in_html(root: Path) -> None:
    page = swarmtask(root, "report", "--html", "-").stdout
    assert f'<a href="{LINK}" rel="noopener noreferrer" title="the code at commit 0123456789">' in page
    assert page.count("<span>owner: @acme/shop, @ada</span>") == 1
    assert "secret" not in page


def test_owners_steer_no_terminal_and_no_page(root: Path) -> None:
    (root / "CODEOWNERS").write_text("tests/ @\x1b[31m<b>red</b>|\n")
    assert "owner: @\\x1b[31m<b>red</b>|" in swarmtask(root, "report").stdout
    assert "owner: @\\x1b[31m&lt;b&gt;red&lt;/b&gt;|" in swarmtask(root, "report", "--html", "-").stdout
    assert "&#64;&#60;b&#62;red&#60;/b&#62;&#124; |" in swarmtask(root, "report", "--markdown").stdout


def spied(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """Return a list to which the commands that are started from now on are added."""
    started = []
    real = subprocess.run

    def noted(command: Sequence[str], **more: Any) -> Any:
        started.append(command)
        return real(command, **more)

    monkeypatch.setattr(subprocess, "run", noted)
    return started


def test_one_git_process_for_all_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits that the repository does not have, and texts that are no commits, leave those that it has."""
    commits = []
    for name in ("Ada", "Grace"):
        author = ("-c", f"user.name={name}", "-c", "user.email=a@example.org")
        for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "a change"]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True)
        told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, check=True, capture_output=True, text=True)
        commits.append(told.stdout.strip())
    started = spied(monkeypatch)
    asked = [COMMIT, *commits, "f" * 40, None, "", "--all", f"{commits[0]}\n--all"]
    assert commit_authors(str(tmp_path), asked) == dict(zip(commits, ("Ada", "Grace"), strict=True))
    assert commit_authors(str(tmp_path), [COMMIT]) == {}
    assert len(started) == 2
    assert commit_authors(str(tmp_path), [None, "x"]) == commit_authors("", commits) == {}
    assert len(started) == 2


def test_explanations_ask_for_no_author(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`explain` and `gate` start no git, as they name no author. `report` starts one."""
    started = spied(monkeypatch)
    assert "test_a" in swarmtask(root, "explain").stdout
    assert "test_a" in swarmtask(root, "gate").stdout
    assert started == []
    swarmtask(root, "report")
    assert [command[0] for command in started] == ["git"]
