"""`swarmtask make-include` prints the path of tasks.mk, or keeps a copy of it that nobody has changed up to date."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

import pytest_swarmtask
from pytest_swarmtask.cli import tasksmk
from tests.cli.set_up import ok, refused, root, run, said, swarmtask

__all__ = ["root"]


def test_make_include_prints_the_path_of_the_installed_file(root: Path) -> None:
    path = Path(ok(swarmtask(root, "make-include")).removesuffix("\n"))
    assert path.is_absolute()
    assert path == tasksmk.installed()
    assert "task-event =" in path.read_text()


@pytest.mark.parametrize("place", ["wheel/pytest_swarmtask/make/tasks.mk", "check out/make/tasks.mk"])
def test_tasks_mk_is_found_in_the_wheel_and_beside_a_checkout(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text("V := included\n")
    package = tmp_path / Path(place).parts[0] / "pytest_swarmtask"
    left_out = shutil.ignore_patterns("make", "__pycache__")
    shutil.copytree(Path(pytest_swarmtask.__file__).parent, package, ignore=left_out, dirs_exist_ok=True)
    command = f'PYTHONPATH="{package.parent}" "{sys.executable}" -m pytest_swarmtask make-include'
    printed = ok(run(["sh", "-c", command], tmp_path))
    assert printed == str(tmp_path / place).replace(" ", "\\ ") + "\n"
    (tmp_path / "Makefile").write_text(f"include {printed}all:\n\t@echo $(V)\n")
    assert ok(run(["make"], tmp_path)) == "included\n"


def test_a_package_without_its_data_says_so(tmp_path: Path) -> None:
    package = tmp_path / "pytest_swarmtask"
    shutil.copytree(
        Path(pytest_swarmtask.__file__).parent, package, ignore=shutil.ignore_patterns("make", "templates", "__py*")
    )
    for command in ("make-include", "init"):
        python = [sys.executable, "-m", "pytest_swarmtask", command]
        message = refused(run(python, tmp_path, PYTHONPATH=str(tmp_path)))
        assert "install" in message
        assert str(package) in message


def test_a_copy_is_created_and_then_unchanged(root: Path) -> None:
    assert ok(swarmtask(root, "make-include", "--copy", "make/tasks.mk")).startswith("created    make/tasks.mk")
    assert (root / "make" / "tasks.mk").read_bytes() == tasksmk.stamped()
    assert ok(swarmtask(root, "make-include", "--copy", "make/tasks.mk")).startswith("unchanged  make/tasks.mk")


def aged(root: Path, version: str = "0.0.9", body: bytes = b"# of old\n") -> Path:
    """Write an unmodified `tasks.mk` of another version into the project."""
    path = root / "make" / "tasks.mk"
    path.parent.mkdir(exist_ok=True)
    digest = tasksmk._digest(body)
    path.write_bytes(f"# tasks.mk of pytest-swarmtask {version}, sha256 {digest}: a copy\n".encode() + body)
    return path


def test_an_old_copy_is_noticed_by_doctor_kept_by_init_and_updated_by_one_command(root: Path) -> None:
    ok(swarmtask(root, "init"))
    path = aged(root)
    version = pytest_swarmtask.__version__

    report = ok(swarmtask(root, "doctor", "--no-ping"))
    assert f"make/tasks.mk is from pytest-swarmtask 0.0.9, but {version} is installed" in report
    (command,) = re.findall(r"→ update it with: swarmtask (make-include .*)", report)
    assert f"(differs; update it with: swarmtask {command})" in ok(swarmtask(root, "init"))
    assert path.read_bytes().endswith(b"# of old\n")

    assert ok(swarmtask(root, *command.split())) == f"updated    make/tasks.mk (0.0.9 → {version})\n"
    assert path.read_bytes() == tasksmk.stamped()
    assert "make/tasks.mk is up to date" in ok(swarmtask(root, "doctor", "--no-ping"))
    assert set(said(ok(swarmtask(root, "init"))).values()) == {"unchanged"}


def test_a_copy_of_a_newer_version_has_doctor_name_the_package_as_what_is_old(root: Path) -> None:
    aged(root, "99.1")
    assert "→ install the newer one: python -m pip install --upgrade" in ok(swarmtask(root, "doctor", "--no-ping"))


def test_a_new_version_with_the_same_tasks_mk_leaves_copies_as_they_are(root: Path) -> None:
    path = aged(root, "0.0.9", tasksmk.installed().read_bytes())
    before = path.read_bytes()
    assert ok(swarmtask(root, "make-include", "--copy", "make/tasks.mk")).startswith("unchanged")
    assert "is up to date" in ok(swarmtask(root, "doctor", "--no-ping"))
    assert path.read_bytes() == before


@pytest.mark.parametrize(("text", "why"), [(b"changed", "changed by hand"), (None, "no copy of tasks.mk")])
def test_what_somebody_wrote_is_replaced_only_by_force(root: Path, text: bytes | None, why: str) -> None:
    path = aged(root)
    path.write_bytes(path.read_bytes() + text if text else b"all:\n")
    before = path.read_bytes()
    done = swarmtask(root, "make-include", "--copy", "make/tasks.mk")
    assert (done.returncode, done.stderr, path.read_bytes()) == (1, "", before)
    assert why in done.stdout
    assert ("changed by hand" in ok(swarmtask(root, "doctor", "--no-ping"))) is (text is not None)
    assert "--force overwrites it" in ok(swarmtask(root, "init"))
    ok(swarmtask(root, "make-include", "--copy", "make/tasks.mk", "--force"))
    assert path.read_bytes() == tasksmk.stamped()


def test_a_copy_that_cannot_be_read_or_written_is_said(root: Path) -> None:
    (root / "file").write_text("")
    assert "is a directory" in refused(swarmtask(root, "make-include", "--copy", ".")).lower()
    assert "cannot be written" in refused(swarmtask(root, "make-include", "--copy", "file/tasks.mk"))
    assert "--force goes with --copy" in refused(swarmtask(root, "make-include", "--force"))
    (root / "make" / "tasks.mk").mkdir(parents=True)
    done = swarmtask(root, "doctor", "--no-ping")
    assert done.returncode == 1
    assert "cannot be read: Is a directory" in done.stdout


@pytest.mark.parametrize(
    ("older", "newer"), [("0.9", "0.10"), ("1.0rc1", "1.0"), ("1.0.dev3", "1.0"), ("1.0a1", "1.0b1"), ("", "0.1")]
)
def test_versions_are_told_apart(older: str, newer: str) -> None:
    assert tasksmk._order(older) < tasksmk._order(newer)
