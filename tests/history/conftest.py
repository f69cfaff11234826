"""The engines that hold histories."""

from __future__ import annotations

import pytest

from tests import postgres
from tests.history import made


@pytest.fixture(
    params=[
        made.SQLITE,
        pytest.param(postgres.NEWEST, marks=pytest.mark.long),
        pytest.param(postgres.OLDEST, marks=pytest.mark.long),
    ],
    ids=lambda engine: engine if engine == made.SQLITE else f"postgres{engine}",
)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test once for each engine."""
    monkeypatch.setattr(made, "engine", request.param)
    return str(request.param)
