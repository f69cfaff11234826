"""Ages are measured so that a jump of the clock expires nothing at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_swarmtask.relay.delivery.age_clock import RetentionClock

DAY = 86400.0
START = 1_700_000_000.0
Look = Callable[[float], float]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """Return a function that makes a check on a given day, and returns the day by which ages are measured."""

    def look(days: float) -> float:
        monkeypatch.setattr(time, "time", lambda: START + days * DAY)
        return (RetentionClock(str(tmp_path / "clock")).limit(7 * DAY) + 7 * DAY - START) / DAY

    return look


NEVER = -START / DAY


def test_who_looks_first_finds_nothing_old(look: Look) -> None:
    assert look(0) == pytest.approx(NEVER)
    assert look(0.9) == pytest.approx(NEVER)


def test_as_of_a_look_at_least_a_day_ago(look: Look) -> None:
    assert [round(look(n / 4), 2) for n in range(13)][4:] == [0, 0, 0, 0, 1, 1, 1, 1, 2]


def test_who_looks_seldom(look: Look) -> None:
    assert [round(look(days)) for days in (0, 10, 25, 60)][1:] == [0, 10, 25]


def test_a_jump_ahead(look: Look) -> None:
    """For a day after a jump ahead, ages are measured by a check before the jump."""
    for days in (0, 1, 2, 2.5):
        look(days)
    assert [round(look(days)) for days in (300, 300.5, 300.9)] == [2, 2, 2]
    assert round(look(301)) == 300


def test_a_jump_ahead_that_is_mended(look: Look) -> None:
    for days in (0, 1, 2, 300, 301):
        look(days)
    assert round(look(3)) == 3
    assert round(look(3.5)) == 3
    assert round(look(300)) == 3


def test_less_than_a_day(tmp_path: Path) -> None:
    """An age limit below a day is measured by the present time."""
    assert RetentionClock(str(tmp_path / "clock")).limit(3600.0) == pytest.approx(time.time() - 3600, abs=60)


@pytest.mark.parametrize("content", ["", "x y", "1", "nan nan", "9 1", "-1 5", "inf 1e999", "\0"])
def test_damaged_notes(tmp_path: Path, look: Look, content: str) -> None:
    """Damaged notes count as missing, and are replaced."""
    (tmp_path / "clock").write_text(content)
    assert look(0) == pytest.approx(NEVER)
    assert round(look(1)) == 0


def test_where_nothing_can_be_noted(tmp_path: Path) -> None:
    """If the notes cannot be stored, nothing expires and nothing raises."""
    assert RetentionClock(str(tmp_path / "none")).limit(7 * DAY) == -7 * DAY
