"""Packages from npm that some tests use. They are installed once and then kept under `.cache`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def installed(package: str, version: str, folder: Path) -> Path:
    """Return a folder in which node finds a package: the kept folder, or a new one in `folder`.
    The test is skipped if npm or its registry is not available. On CI the test fails instead.
    """
    kept = Path(__file__).parents[1] / ".cache" / f"npm-{package}"
    if (kept / "node_modules" / package).is_dir():
        return kept
    if not (shutil.which("node") and shutil.which("npm")):
        _missing("node and npm are not installed")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"{package}@{version}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        _missing(f"npm could not install {package}: {done.stderr[-500:]}")
    try:
        staged = kept.with_name(f"{kept.name}-{os.getpid()}")
        shutil.copytree(folder, staged)
        staged.rename(kept)
    except OSError:
        return folder
    return kept


def _missing(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
