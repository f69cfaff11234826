"""A project, and a folder on the import path for installing plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import Lab


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder for installed plug-ins."""
    made = tmp_path / "site"
    made.mkdir()
    return made


@pytest.fixture
def lab(tmp_path: Path, folder: Path) -> Iterator[Lab]:
    """The project; its relays are stopped after the test."""
    made = Lab(tmp_path / "project", PYTHONPATH=str(folder))
    made.webhooks()
    yield made
    made.kill()


@pytest.fixture
def install(folder: Path) -> Callable[[str, str], None]:
    """Return a function that installs a one-module plug-in as an installer does: module, metadata, entry point."""

    def installed(name: str, code: str) -> None:
        module = f"swarmtask_{name}"
        (folder / f"{module}.py").write_text(code)
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: swarmtask-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[swarmtask]\n{name} = {module}\n")

    return installed
