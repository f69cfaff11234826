"""Projects in which things die: one that reports to a receiver, and one that reports to nobody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.relay.conftest import lab, receiver
from tests.relay.lab import Lab

__all__ = ["lab", "lone", "receiver"]


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Lab]:
    """A project without any webhook, and so without a relay."""
    made = Lab(tmp_path / "lone")
    yield made
    made.kill()
