"""Entries are added to `quarantine.yaml` and removed, and every other line stays as it is."""

from __future__ import annotations

from datetime import date

import pytest

from pytest_swarmtask.config.quarantine import QuarantineEntry, parse_quarantine
from pytest_swarmtask.config.quarantine_edit import with_entry, without_entries
from pytest_swarmtask.core.errors import ConfigError

TODAY = date(2026, 12, 1)
NEW = QuarantineEntry("a.py::test[x: #1]", 'it\'s slow: "disk"', date(2026, 12, 24), owner="@me", issue="7")
FIRST = """\
    - test: a.py::test_a   # the first
      reason: >-
        it races
        with the cache
      until: '2026-12-24'
      # a comment inside
"""
SECOND = """\
    - {test: "b.py::*", reason: b, until: 2026-12-25}
"""
THIRD = """\
    -
      until: 2026-12-26
      test: c.py::test_c
      reason: "c"
"""
HEAD = "# Reviewed by @team.\nmax_days: 60\n\ntests:\n    # about the first\n"
BETWEEN = "\n    # about the second\n"
END = "\n# the end\n"
TEXT = HEAD + FIRST + BETWEEN + SECOND + THIRD + END


def test_entries_are_removed_with_their_lines_only() -> None:
    """Comments outside of an entry stay, in each combination."""
    assert without_entries(TEXT, {0}) == HEAD + BETWEEN + SECOND + THIRD + END
    assert without_entries(TEXT, {1}) == HEAD + FIRST + BETWEEN + THIRD + END
    assert without_entries(TEXT, {0, 2}) == HEAD + BETWEEN + SECOND + END
    assert without_entries(TEXT, {0, 1, 2}) == HEAD + BETWEEN + END


@pytest.mark.parametrize(
    "text",
    [
        *("", "tests:\n", "# only a comment\n", "max_days: 30\n", "tests:\n- {test: a, reason: b, until: 2026-12-02}"),
        *(TEXT, TEXT + "max_days_of_others: 3\n", without_entries(TEXT, {0, 1, 2})),
    ],
)
def test_an_entry_is_added_behind_the_others(text: str) -> None:
    """Whatever the file has before: the new entry is the last one, and no line is lost."""
    changed = with_entry(text, NEW)

    before, after = (parse_quarantine(each, TODAY).entries for each in (text, changed))
    assert [entry.texts() for entry in after] == [*(entry.texts() for entry in before), NEW.texts()]
    left = iter(changed.splitlines())
    assert all(line in left for line in text.splitlines())


def test_what_was_added_can_be_removed() -> None:
    """The file is then as before."""
    assert without_entries(with_entry(TEXT, NEW), {3}) == TEXT


@pytest.mark.parametrize(
    "text", ["tests: [{test: a, reason: b, until: 2026-12-02}]\n", "{tests: []}\n", "tests: [\n", "- a"]
)
def test_what_cannot_be_edited_is_refused(text: str) -> None:
    """A list on one line is left to people."""
    with pytest.raises(ConfigError, match="cannot be edited"):
        with_entry(text, NEW)
