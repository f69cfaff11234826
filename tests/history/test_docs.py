"""The commands in docs/history.md run, and its views, fields and options are exactly the existing ones."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pytest_swarmtask.journal.segment_file import compress
from tests.lab import REPOSITORY, clean_environ
from tests.shop import Shop, swarmtask

pytestmark = pytest.mark.slow

LISTS = ("runs", "failures", "flaky", "slow")
TEXT = (REPOSITORY / "docs" / "history.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", TEXT, re.MULTILINE)


def columns(first: str) -> dict[str, list[str]]:
    """Return the code words in the last column of a table, by row."""
    table = TEXT.partition(f"\n| {first} |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", table, re.MULTILINE)
    return {name: re.findall(r"`(\w+)`", rest.rpartition(" | ")[2] if first == "view" else rest) for name, rest in rows}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[:60])
def test_a_command(shop: Shop, command: str, tmp_path: Path) -> None:
    """A documented command succeeds and prints something."""
    tool = command.split(maxsplit=1)[0]
    if tool == "sqlite3" and shutil.which(tool) is None:
        pytest.skip("sqlite3 is not installed")
    if "duckdb" in command and importlib.util.find_spec("duckdb") is None:
        pytest.skip("duckdb is not installed")
    # Tests in other processes read the shop at the same time, and SQLite's log comes and goes with them.
    shutil.copytree(shop.suite.root, tmp_path / "shop", ignore=shutil.ignore_patterns("history.sqlite*"))
    swarmtask(tmp_path / "shop", "report")  # creates the history
    compress(str(min((tmp_path / "shop" / ".taskmaster" / "events").glob("*.jsonl"))))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path / "shop",
        env=clean_environ(PATH=path, PYTHONUTF8="1"),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    target = re.search(r"> (\S+)$", command)
    assert (tmp_path / "shop" / target[1]).read_text("utf-8") if target else done.stdout


def test_the_views_are_as_documented(shop: Shop) -> None:
    shop.swarmtask("report")
    documented = columns("view")
    with closing(sqlite3.connect(shop.project.history)) as db:
        found = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
        assert sorted(found) == sorted(documented)
        for view, names in documented.items():
            cursor = db.execute(f"SELECT * FROM {view}")
            assert [column[0] for column in cursor.description] == names, view
            assert cursor.fetchall(), f"{view} has nothing to show"


def test_the_object_is_as_documented(shop: Shop) -> None:
    documented = columns("field")
    runs = [session.start["trace_id"] for session in shop.sessions]
    found = json.loads(shop.swarmtask("report", "--json", "--compare", runs[0]).stdout)
    assert list(found) == list(documented)
    for name in ("failures", "slowest", "flaky"):
        assert list(found[name][0]) == documented[name]
    flaky = json.loads(shop.swarmtask("report", "--json", "--run", runs[1]).stdout)
    assert list(flaky["repeated"][0]) == documented["repeated"]
    fields = [name for name in documented["run"] if name not in ("completed", "failed", "unfinished")]
    assert sorted(found["run"]) == sorted(found["trend"][0]) == sorted(fields)
    assert [name for name in documented["comparison"] if name != "run"] == list(found["comparison"])


@pytest.mark.parametrize(
    ("part", "command"),
    [
        ("## A run: ", "report"),
        *(("## Options of these lists", name) for name in ("runs", "failures", "flaky", "slow")),
    ],
)
def test_the_options_are_as_documented(shop: Shop, part: str, command: str) -> None:
    section = TEXT.partition(f"\n{part}")[2].partition("\n## ")[0]
    options = set(re.findall(r"(--\w+)", "".join(re.findall(r"^\| (`--.*?) \|", section, re.MULTILINE))))
    assert options == set(re.findall(r"(--\w+)", shop.swarmtask(command, "--help").stdout)) - {"--help"}
