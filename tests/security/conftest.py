"""A receiver and a project that reports to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.relay.lab import Lab, Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A live webhook that verifies all it gets."""
    with receiving() as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path, receiver: Receiver) -> Iterator[Lab]:
    """A project that reports to the receiver; its relays are gone when the test is over."""
    made = Lab(tmp_path / "project", TASKMASTER_WEBHOOK_URL=receiver.url)
    yield made
    receiver.closing.set()
    made.kill()
