"""A project with tasks.mk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.make.lab import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project in a folder with spaces, quotes and parentheses in its name."""
    return Project(tmp_path / 'a project\'s (own) "folder"')
