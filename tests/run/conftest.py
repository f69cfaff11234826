"""A project in which commands are watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.run.watched import Terminal, Watched


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A project of its own."""
    return Watched(tmp_path)


@pytest.fixture
def terminal(watched: Watched) -> Iterator[Callable[..., Terminal]]:
    """Starts commands at terminals of their own; what still runs in the end is ended."""
    started: list[Terminal] = []

    def start(*command: str, **options: Any) -> Terminal:
        started.append(watched.terminal(*command, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
