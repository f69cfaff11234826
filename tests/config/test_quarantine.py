"""What `quarantine.yaml` may say, and what is refused, with its place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pytest_swarmtask.config.quarantine import QuarantineFile, find_entry, read_quarantine

TODAY = date(2026, 12, 1)
VALID = """
# Each entry is reviewed like code.
max_days: 30
tests:
  - test: tests/test_a.py::test_b[x]
    reason: >
      it races
      with the cache
    until: 2026-12-31  # a date needs no quotes
    issue: 4711
    owner: "@team/web"
    variant: linux-*
  - {test: tests/test_*.py::*, reason: slow disk, until: "2026-12-05"}
"""


def read(folder: Path, text: str) -> QuarantineFile:
    """Return what a file with this text says."""
    path = folder / "quarantine.yaml"
    path.write_text(text, encoding="utf-8")
    return read_quarantine(str(path), TODAY)


def test_all_keys(tmp_path: Path) -> None:
    """Each key is read; a reason is one line, an issue may be a number, and a date needs no quotes."""
    file = read(tmp_path, VALID)

    assert not file.problems
    first, second = file.entries
    assert first.texts() == {
        "test": "tests/test_a.py::test_b[x]",
        "variant": "linux-*",
        "reason": "it races with the cache",
        "issue": "4711",
        "owner": "@team/web",
        "until": "2026-12-31",
    }
    assert (first.line, first.index, second.line, second.index) == (5, 0, 13, 1)
    assert [entry.has_expired(date(2026, 12, 6)) for entry in file.entries] == [False, True]
    assert not second.has_expired(date(2026, 12, 5))


def test_a_file_that_is_missing_or_empty_has_no_entries(tmp_path: Path) -> None:
    """That is no problem."""
    for file in (read_quarantine(str(tmp_path / "none.yaml"), TODAY), read(tmp_path, ""), read(tmp_path, "tests:\n")):
        assert (file.entries, file.problems) == ([], [])


def test_the_node_id_comes_first_then_the_first_glob(tmp_path: Path) -> None:
    """Brackets are plain characters, also in a glob."""
    tests = ("a.py::*", "a.py::test_?", "a.py::test_b[1]", "b.py::test[??]")
    file = read(tmp_path, "tests:\n" + "".join(f"- {{test: '{t}', reason: r, until: 2026-12-02}}\n" for t in tests))

    found = {test: find_entry(file.entries, test) for test in ("a.py::test_b[1]", "a.py::test_c", "b.py::test[12]")}

    assert [entry.test if entry else None for entry in found.values()] == ["a.py::test_b[1]", "a.py::*", tests[3]]
    assert find_entry(file.entries, "b.py::test1") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- test: a", ":1: found a list, expected a mapping with the key tests"),
        ("tests: a", ":1: tests: found a, expected a list of entries"),
        ("entries: []", ":1: entries: found an unknown key, expected tests, max_days"),
        ("max_days: soon", ":1: max_days: found soon, expected a number of days from 1 to 3650"),
        ("max_days: true", ":1: max_days: found true, expected a number of days from 1 to 3650"),
        ("tests: [", ":1: found invalid YAML"),
        ("tests:\n- a", ":2: tests[0]: found a, expected a mapping with test, reason, until"),
        ("tests:\n- {reason: r, until: 2026-12-02}", ":2: tests[0].test: found nothing, expected text on one line"),
        ("tests:\n- {test: a, until: 2026-12-02}", ":2: tests[0].reason: found nothing, expected text on one line"),
        ("tests:\n- {test: a, reason: r}", ":2: tests[0].until: found nothing, expected a date such as 2026-12-31"),
        ("tests:\n- {test: a, reason: ' ', until: 2026-12-02}", ":2: tests[0].reason: found  , expected text on one"),
        ("tests:\n- {test: [a], reason: r, until: 2026-12-02}", ":2: tests[0].test: found a list, expected text on"),
        ("tests:\n- {test: a, reason: r, until: 2026-02-30}", ":2: tests[0].until: found 2026-02-30, expected a date"),
        ("tests:\n- {test: a, reason: r, until: 20261231}", ":2: tests[0].until: found 20261231, expected a date"),
        ("tests:\n- {test: a, reason: r, until: 2027-03-02}", "found 2027-03-02, expected a date up to 2027-03-01"),
        ("tests:\n- {test: a, reason: r, until: 2026-12-02, owners: b}", "tests[0].owners: found an unknown key"),
        ("tests:\n- {test: a, reason: r, until: 2026-12-02, owner: 7}", "tests[0].owner: found 7, expected text"),
        ("tests:\n- {test: a, test: b, reason: r, until: 2026-12-02}", "tests[0].test: found this key twice"),
        ("tests:\n- {test: a, reason: !!python/name:os r, until: 2026-12-02}", "tests[0].reason: found the YAML tag"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    """A problem names the place, what was found and what is expected, and its entry is left out."""
    file = read(tmp_path, text)

    assert not file.entries
    assert len(file.problems) == 1, file.problems
    assert problem in file.problems[0]


def test_one_wrong_entry_leaves_the_others(tmp_path: Path) -> None:
    """The eleventh entry is not taken for the first because of its number."""
    right = "- {test: a, reason: r, until: 2026-12-02}\n"
    file = read(tmp_path, "tests:\n" + right * 10 + "- {test: a, reason: r, until: never}\n" + right)

    assert [entry.index for entry in file.entries] == [*range(10), 11]
    assert len(file.problems) == 1
