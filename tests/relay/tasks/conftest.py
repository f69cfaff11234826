"""A project with a `tasks.json`, whose relays are killed at the end of each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.relay.tasks.board import Board


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """The project's task file, not written yet."""
    return Board(tmp_path / "project")


@pytest.fixture
def lab(board: Board) -> Iterator[Lab]:
    """The same project, with commands and relays."""
    made = Lab(board.root)
    yield made
    made.kill()
