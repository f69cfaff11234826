"""Full, read-only or vanished disks and a lack of file descriptors never disturb a suite."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_swarmtask.journal.segments import read
from tests.lab import UNRELATED, Lab, Receiver, clean_environ, is_event
from tests.suite import Suite

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and mounts are those of POSIX")

SUITE = """
import os, pytest, shutil

@pytest.mark.parametrize("n", range(50))
def test_a(n):
    assert n != 7
"""
EVENTS = 102


class Done:
    """A session that has ended.

    Attributes:
        count, lost: numbers of events in its closing line.
        warnings: texts after ``swarmtask: warning:``.
        lines: lines of the journal that are whole events.
    """

    def __init__(self, done: subprocess.CompletedProcess[str], journal: Path) -> None:
        self.exit_code = done.returncode
        self.output = done.stdout
        assert done.stderr == ""
        (closing,) = re.findall(r"swarmtask: (\d+) events(?:, (\d+) lost)?", done.stdout)
        self.count, self.lost = (int(number or 0) for number in closing)
        self.warnings = re.findall(r"swarmtask: warning: (.*)", done.stdout)
        segments = journal.glob("*.jsonl")
        self.lines = [line for path in segments for line, _ in read(str(path)) if is_event(line)]


def run_suite(project: Suite, *before: str, **environ: str) -> Done:
    """Run the suite through the command `before`, which runs the rest of its command line."""
    # A thread of rerunfailures accepts connections, and raises where it begins to when no file descriptor is left.
    options = [*UNRELATED, "-pno:rerunfailures", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*before, sys.executable, "-m", "pytest", *options],
        cwd=project.root,
        env=clean_environ(**{"PYTHONDONTWRITEBYTECODE": "1", **environ}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done, project.root / ".taskmaster" / "events")


@contextmanager
def file_system(place: Path, options: str) -> Iterator[None]:
    """Mount a small file system. Skip the test if mounting is not allowed."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"mode=0700,{options}", "none", place], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize(("size", "some"), [(16, False), (40, True)], ids=["at the start", "in the middle"])
def test_a_full_disk(project: Suite, size: int, some: bool) -> None:
    """On a full disk a session keeps its exit code, and one warning names the loss and its cause.

    The closing line counts exactly the recorded and the lost events. Every counted line is whole.
    """
    project.write(test_it=SUITE)
    taskmaster = project.root / ".taskmaster"
    with file_system(taskmaster, f"size={size}k"):
        if not some:
            with pytest.raises(OSError, match="No space"):
                (taskmaster / "filler").write_bytes(b"x" * (size + 1) * 1024)
        done = run_suite(project)
        assert done.exit_code == 1
        assert "1 failed, 49 passed" in done.output
        assert (done.count > 0) is some
        assert (done.count, done.lost) == (len(done.lines), EVENTS - len(done.lines))
        assert len(done.warnings) == 1
        assert "events could not be written to" in done.warnings[0]
        assert "No space left on device" in done.warnings[0]


def test_a_full_disk_with_room_again(project: Suite) -> None:
    """Recording resumes once the disk has room again: only the events in between are lost, and they are counted."""
    project.write(
        test_it="""
        import os, pytest

        @pytest.mark.parametrize("n", range(50))
        def test_a(n):
            if n == 10:
                with pytest.raises(OSError):
                    with open(".taskmaster/filler", "wb", 0) as file:
                        while file.write(b"x" * 4096): pass
            if n == 40:
                os.unlink(".taskmaster/filler")
            assert n != 7
        """
    )
    with file_system(project.root / ".taskmaster", "size=128k"):
        done = run_suite(project)
        assert done.exit_code == 1
        assert 0 < done.lost < 70
        assert (done.count, done.lost) == (len(done.lines), EVENTS - len(done.lines))
        assert b'"TASK_FAILED"' in done.lines[-1]


def test_a_full_disk_and_a_webhook(project: Suite, receiver: Receiver) -> None:
    """Events that fitted on a full disk are delivered once the relay has room for its own files."""
    lab = Lab(project.root, TASKMASTER_WEBHOOK_URL=receiver.url)
    project.write(test_it=SUITE)
    with file_system(lab.root / ".taskmaster", "size=60k"):
        done = run_suite(project, **lab.environ)
        assert done.exit_code == 1
        assert done.lost > 0
        assert len(done.warnings) == 1
        lab.kill()
        subprocess.run(["mount", "-o", "remount,size=8m", lab.root / ".taskmaster"], check=True)
        flushed = lab.run("flush")
        assert flushed.returncode == 0, flushed.stdout + flushed.stderr + lab.log()
        assert {json.loads(line)["id"] for line in done.lines} < set(receiver.ids)
        assert receiver.accepted[-1]["event_type"] == "TASK_FAILED"  # written on behalf of the session


def test_a_read_only_disk(project: Suite) -> None:
    """On a read-only disk nothing is recorded, one warning says so, and the exit code is pytest's own."""
    project.write(test_it=SUITE)
    with file_system(project.root / ".taskmaster", "size=64k,ro"):
        done = run_suite(project)
    assert done.exit_code == 1
    assert (done.count, done.lost, done.lines) == (0, EVENTS, [])
    assert len(done.warnings) == 1
    assert "Read-only file system" in done.warnings[0]


LIMITED = """
import os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_quota(project: Suite) -> None:
    """If a quota limits the size of a file, the counts stay exact, one warning appears, and the exit code stays."""
    project.write(test_it=SUITE)
    done = run_suite(project, sys.executable, "-c", LIMITED, COVERAGE_PROCESS_CONFIG="")  # coverage writes files too
    assert done.exit_code == 1
    assert 0 < done.count < EVENTS
    assert (done.count, done.lost) == (len(done.lines), EVENTS - len(done.lines))
    assert len(done.warnings) == 1
    assert "events could not be written to" in done.warnings[0]


@pytest.mark.parametrize("home", ["/dev/null/home", ""], ids=["cannot be", "is empty"])
def test_an_unwritable_home(project: Suite, home: str) -> None:
    """An unusable home folder costs no event and no warning, since the package stores nothing there."""
    project.write(test_it=SUITE)
    done = run_suite(project, HOME=home, XDG_CACHE_HOME=home, XDG_CONFIG_HOME=home)
    assert (done.exit_code, done.count, done.lost) == (1, EVENTS, 0)
    assert done.warnings == []
    assert len(done.lines) == EVENTS


@pytest.mark.parametrize("folder", [".taskmaster", ".taskmaster/events"])
def test_a_folder_that_vanishes(project: Suite, folder: str) -> None:
    """If the journal's folder vanishes during a run, all events of the session count as lost, with the reason."""
    vanish = SUITE.replace("assert", f"n == 20 and shutil.rmtree({folder!r})\n    assert")
    done = run_suite(project.write(test_it=vanish))
    assert done.exit_code == 1
    assert (done.count, done.lost, done.lines) == (0, EVENTS, [])
    assert len(done.warnings) == 1
    assert "was removed while events were written to it" in done.warnings[0]


EXHAUSTED = """
    import os, resource
    import pytest

    held = []

    def exhaust():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (80, hard))
        with pytest.raises(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))

    def give_back():
        while held:
            os.close(held.pop())
"""


def test_no_file_descriptors_in_tests(project: Suite) -> None:
    """A suite that uses up all file descriptors loses no event and leaks no secret.

    Its segment is already open. Redaction works although its code cannot be loaded any more.
    """
    project.write(
        conftest=EXHAUSTED,
        test_it="""
        import conftest, pytest

        @pytest.mark.parametrize("n", range(50))
        def test_a(n):
            if n == 5: conftest.exhaust()
            if n == 45: conftest.give_back()
            assert n != 7, "the password=correct-horse of ghp_" + "a1B2" * 9
        """,
    )
    done = run_suite(project)
    assert (done.exit_code, done.count, done.lost) == (1, EVENTS, 0)
    assert done.warnings == []
    assert len(done.lines) == EVENTS
    assert not any(secret in line for line in done.lines for secret in (b"correct-horse", b"ghp_"))


def test_no_file_descriptors_at_the_start(project: Suite) -> None:
    """If no file descriptor is free for the journal, the unwritten events are counted and later events are recorded."""
    begin = """
    @pytest.hookimpl(trylast=True)
    def pytest_configure():
        exhaust()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart():
        give_back()
    """
    project.write(conftest=EXHAUSTED + begin, test_it=SUITE)
    done = run_suite(project)
    assert done.exit_code == 1
    assert (done.count, done.lost) == (EVENTS - 1, 1)
    assert len(done.lines) == EVENTS - 1
    assert len(done.warnings) == 1
    assert "Too many open files" in done.warnings[0]


def test_no_file_descriptors_and_a_webhook(lab: Lab, receiver: Receiver) -> None:
    """If no file descriptor is free to start a relay, the events wait, and the next `flush` sends them."""
    (lab.root / "test_it.py").write_text(
        "import os, resource\n"
        "from pytest_swarmtask import AutomationIntegrator\n"
        "def test_a():\n"
        "    integrator = AutomationIntegrator()\n"
        "    integrator.register_webhook('${TASKMASTER_WEBHOOK_URL}', name='late')\n"
        "    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (60, hard))\n"
        "    held = []\n"
        "    try:\n"
        "        while True: held.append(os.dup(0))\n"
        "    except OSError: pass\n"
        "    given = [integrator.trigger_event('TASK_STARTED', str(n)) for n in range(5)]\n"
        "    for fd in held: os.close(fd)\n"
        "    assert integrator.trigger_event('TASK_STARTED', 'last')\n"
    )
    done = lab.pytest("--swarmtask-drain-timeout=0.1")
    assert done.returncode == 0, done.stdout
    assert "5 lost" in done.stdout
    assert "Too many open files" in done.stdout
    flushed = lab.run("flush")
    assert flushed.returncode == 0, flushed.stdout + lab.log()
    assert set(receiver.ids) == set(lab.ids())
    assert len(receiver.ids) >= 5
