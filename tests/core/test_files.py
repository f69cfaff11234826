"""Private folders."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pytest_swarmtask.core.files import private_folder


def test_a_file_in_place_of_a_folder_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o666)
    file.chmod(0o666)
    for path in (file, file / "below"):
        with pytest.raises((NotADirectoryError, FileExistsError)):
            private_folder(str(path))
    assert stat.S_IMODE(file.stat().st_mode) == 0o666
