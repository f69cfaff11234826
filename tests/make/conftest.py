"""The fixture of a project with tasks.mk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.make.lab import MakeProject


@pytest.fixture
def project(tmp_path: Path) -> MakeProject:
    """A project in a folder with spaces, quotes and parentheses in its name."""
    return MakeProject(tmp_path / 'a project\'s (own) "folder"')
