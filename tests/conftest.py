"""A project of its own for each test, and real pytest sessions in it."""

from __future__ import annotations

import pytest

from tests.sessions import Project


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An empty project with a `.taskmaster` folder."""
    return Project(tmp_path_factory.mktemp("project"))
