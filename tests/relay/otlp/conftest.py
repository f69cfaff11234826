"""A receiver of OTLP, and a project that exports to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.relay.otlp.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A live receiver that decodes every request."""
    with collecting() as made:
        yield made


@pytest.fixture
def exporting(tmp_path: Path, collector: Collector) -> Iterator[Lab]:
    """A project whose only webhook has ``format: otlp``. Its relays are killed when the test is over."""
    made = Lab(tmp_path / "project")
    made.webhooks({"name": "spans", "url": collector.base, "format": "otlp", "max_age": 0.2})
    yield made
    collector.closing.set()
    made.kill()
