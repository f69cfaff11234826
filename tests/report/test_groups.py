"""Failures with one fingerprint are one block: what they share is said once, and each is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.report.test_evidence import write
from tests.report.test_html import page
from tests.shop import swarmtask

ERROR = {"error": "ConnectionError: refused", "location": "tests/conftest.py:9", "fingerprint": "aa00"}
OTHER = {"error": "assert 4 == 3", "location": "tests/test_shop.py:5", "fingerprint": "f00d"}


@pytest.fixture
def root(journal: Path) -> Path:
    """A project in whose last run twelve tests failed with one cause, and one with another."""
    tests = {f"tests/test_db.py::test_{number:02}": ERROR for number in range(12)}
    write(journal, 1, {**tests, "tests/test_shop.py::test_total": OTHER})
    return journal.parents[1]


def test_in_the_terminal(root: Path) -> None:
    lines = swarmtask(root, "report").stdout.splitlines()
    at = lines.index("  12 failures with one cause")
    assert lines[at + 1 : at + 3] == ["    ConnectionError: refused", "    tests/conftest.py:9"]
    named = [line for line in lines[at:] if line.startswith("    tests/test_db.py::test_")]
    assert named == [
        f"    tests/test_db.py::test_{number:02}  failed  new: first result on this branch" for number in range(10)
    ]
    assert lines[lines.index(named[-1]) + 1] == "    and 2 more"
    assert lines.index("  tests/test_shop.py::test_total  failed") > lines.index("    and 2 more")
    (again,) = [line for line in lines if line.startswith("  again: pytest ")]
    tests = [f"tests/test_db.py::test_{number:02}" for number in range(12)]
    assert again.split()[2:] == [*tests, "tests/test_shop.py::test_total"]


def test_each_with_its_evidence(root: Path) -> None:
    """`--full` shows every failure on its own, because each has its own traceback."""
    text = swarmtask(root, "report", "--full").stdout
    assert "with one cause" not in text
    assert text.count("ConnectionError: refused") == 12


def test_on_the_page(root: Path) -> None:
    text = page(root).text
    assert text.count("ConnectionError: refused") == 1 + 12  # in the block, and in the list of all tests
    assert "12 failures with one cause" in text
    assert "and 2 more" in text
    assert all(f"failed tests/test_db.py::test_{number:02} " in text for number in range(12))


def test_the_json_is_as_before(root: Path) -> None:
    failures = json.loads(swarmtask(root, "report", "--json").stdout)["failures"]
    assert len(failures) == 13
