"""A project with a `tasks.json`, and a project whose relays are gone when a test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.relay.tasks.board import Board


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A project's file of tasks, still to be written."""
    return Board(tmp_path / "project")


@pytest.fixture
def lab(board: Board) -> Iterator[Lab]:
    """The same project, with commands and relays."""
    made = Lab(board.root)
    yield made
    made.kill()
