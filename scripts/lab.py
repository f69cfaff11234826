"""Common parts of the scripts: interpreters, environments, suites to run, a live receiver, reading a journal."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_swarmtask.core.project import Project
from pytest_swarmtask.journal.locks import is_locked
from pytest_swarmtask.journal.segments import read, segments

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
EXAMPLE = ROOT / "examples" / "wordcount"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
"""The supported versions of Python, the oldest first."""
_WAIT = 60.0
"""Seconds after which `wait_for` gives up."""
Event = dict[str, Any]
Test = tuple[str, str]
"""The name of a test in JUnit XML: class name and name."""

# Variables of this package, pytest and make: their values in the present run must not reach the runs inside it.
_OWN = (
    "AUTOMATION_",
    "COVERAGE_",
    "MAKE",
    "MFLAGS",
    "PYTEST_",
    "PYTHONPATH",
    "SWARMTASK_",
    "TASK",
    "TRACE",
    "WORKFLOW_",
)


class LabError(Exception):
    """A trial cannot run because something is missing; the message names it and the reason."""


def say(text: str) -> None:
    """Print a step."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def environ(**more: str) -> dict[str, str]:
    """Return the present environment without variables that affect us, pytest or make, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **more}


def run(
    command: Sequence[str],
    folder: Path,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without standard input, and return it with its output (both streams as one).

    Raises:
        LabError: it took longer than `timeout` seconds.
    """
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environ() if env is None else env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        output = error.output.decode(errors="replace") if isinstance(error.output, bytes) else error.output or ""
        raise LabError(f"not done after {timeout:.0f} s: {' '.join(command)}\n{tail(output)}") from None


def must(
    command: Sequence[str], folder: Path = ROOT, timeout: float = 600, env: Mapping[str, str] | None = None
) -> str:
    """Run a command that has to succeed and return its output.

    Raises:
        LabError: it failed, or took longer than `timeout` seconds.
    """
    done = run(command, folder, timeout, env)
    if done.returncode:
        raise LabError(f"exit code {done.returncode}: {' '.join(command)}\n{tail(done.stdout)}")
    return done.stdout


def tail(output: str, lines: int = 15) -> str:
    """Return the last lines of an output, indented."""
    return "\n".join(f"    {line}" for line in output.rstrip().splitlines()[-lines:])


def _candidates(version: str) -> Iterator[Path]:
    """Yield possible paths of an interpreter of a version such as 3.12: on PATH, and among pyenv's versions."""
    for place in os.get_exec_path():
        yield Path(place) / f"python{version}"
    root = os.environ.get("PYENV_ROOT") or _pyenv_root()
    if root:
        for folder in sorted(Path(root, "versions").glob(f"{version}*"), reverse=True):
            yield folder / "bin" / "python"


def _pyenv_root() -> str:
    if not shutil.which("pyenv"):
        return ""
    return subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()


def interpreter(version: str) -> str | None:
    """Return the path of a working interpreter of that version, or None."""
    ask = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2], sys.executable)"
    for path in _candidates(version):
        if not os.access(path, os.X_OK):
            continue
        # A shim of pyenv may exist without an installed version.
        answer = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False).stdout.split(maxsplit=1)
        if answer and answer[0] == version:
            return answer[1].strip()
    return None


def wheel() -> Path:
    """Return the wheel in `dist/`.

    Raises:
        LabError: there is none.
    """
    found = sorted((ROOT / "dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise LabError("no wheel in dist/: make build")
    return found[-1]


def venv(folder: Path, requirements: Sequence[str], python: str = sys.executable) -> str:
    """Return the Python of a virtual environment with `requirements`; an environment of an earlier call is reused."""
    inside = str(folder / "bin" / "python")
    stamp = folder / "requirements.txt"
    wanted = "\n".join([python, *requirements])
    if not (stamp.exists() and stamp.read_text() == wanted):
        must([python, "-m", "venv", "--clear", str(folder)])
        must([inside, "-m", "pip", "install", "-qq", *requirements], timeout=1200)
        stamp.write_text(wanted)
    return inside


def install_wheel(python: str) -> None:
    """Install the present wheel into the environment of that Python."""
    built = str(wheel())
    must([python, "-m", "pip", "install", "-qq", built])
    must([python, "-m", "pip", "install", "-qq", "--force-reinstall", "--no-deps", built])


def sdist(requirement: str, folder: Path) -> Path:
    """Download a source distribution such as `attrs==26.1.0` with pip, unpack it, and return its folder.

    Raises:
        LabError: pip could not get it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    name = requirement.partition("==")[0]
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--timeout", "20", "--retries", "2", "--no-deps"]
    must([*pip, "--no-binary", name, "--dest", str(folder), requirement])
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        _extract(file, folder)
    return next(path for path in folder.iterdir() if path.is_dir())


def pluggy() -> Path | None:
    """Return the sources of the pluggy that pytest uses, with its own suite, or None if PyPI cannot be reached."""
    wanted = f"pluggy=={importlib.metadata.version('pluggy')}"
    say(f"The sources of {wanted}, from PyPI, with its own test suite.")
    try:
        return sdist(wanted, CACHE / "pluggy")
    except LabError as error:
        print(f"cannot be had, so the bundled example has to do.\n{error}")
        return None


def _extract(file: tarfile.TarFile, folder: Path) -> None:
    if hasattr(tarfile, "data_filter"):
        file.extractall(folder, filter="data")
    else:  # an early 3.10 or 3.11; pip has already unpacked and checked the file to read its metadata
        file.extractall(folder)  # noqa: S202


class Receiver:
    """`swarmtask listen` in a process of its own, on loopback, and its output.

    Attributes:
        url: the URL for events.
        environ: variables that make a run send its events to this receiver.
    """

    def __init__(self, process: subprocess.Popen[bytes], output: Path, secret: str) -> None:
        self._process = process
        self._output = output
        self.url: str = self._listening()["listening"]
        self.environ = {"TASKMASTER_WEBHOOK_URL": self.url, "AUTOMATION_SECRET_KEY": secret}

    def _listening(self) -> Event:
        for _ in range(200):
            said = self._said()
            if said:
                return said[0]
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise LabError("the receiver did not start")

    def _said(self) -> list[Event]:
        # A line without its newline is still incomplete.
        whole = self._output.read_text(errors="replace").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def arrivals(self) -> list[Event]:
        """Return the events received so far: objects with `verified`, `webhook_id` and the plain `event`."""
        return self._said()[1:]


@contextlib.contextmanager
def receiver(python: str, folder: Path) -> Iterator[Receiver]:
    """Run a receiver with a fresh secret until the context ends."""
    secret = must([python, "-m", "pytest_swarmtask", "secret"], folder).split()[-1]
    output = folder / "received.jsonl"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [python, "-m", "pytest_swarmtask", "listen", "--json", "--port", "0"],
            cwd=folder,
            env=environ(AUTOMATION_SECRET_KEY=secret),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.DEVNULL,
        )
    try:
        yield Receiver(process, output, secret)
    finally:
        process.terminate()
        process.wait(10)


def fresh_journal(folder: Path) -> None:
    """Make a folder the root of a separate project with an empty journal."""
    shutil.rmtree(folder / ".taskmaster" / "events", ignore_errors=True)
    (folder / ".taskmaster").mkdir(exist_ok=True)


def relays_end(folder: Path) -> None:
    """Wait until no relay serves a project's folder any more.

    Raises:
        LabError: a relay still runs after half a minute.
    """
    for _ in range(600):
        if not any(is_locked(str(lock)) for lock in (folder / ".taskmaster" / "events" / "relay").glob("*.lock")):
            return
        time.sleep(0.05)
    raise LabError(f"a relay goes on and on in {folder}")


def journal(folder: Path) -> list[Event]:
    """Return all recorded events of a project's folder, segment by segment."""
    project = Project(str(folder))
    names = [segment.name for segment in segments(project.journal)]
    return [json.loads(line) for name in names for line, _ in read(project.segment(name))]


def junit(xml: Path) -> Iterator[tuple[Test, str]]:
    """Yield each test of a JUnit XML file with its outcome: passed, failure, error or skipped."""
    for case in ET.parse(xml).iter("testcase"):  # noqa: S314 - pytest has just written it
        words = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
        yield (case.get("classname", ""), case.get("name", "")), words[0] if words else "passed"


def check(what: str, found: object, expected: object) -> None:
    """Print whether a value is as expected.

    Raises:
        LabError: it is not.
    """
    if found != expected:
        raise LabError(f"{what}: found {found!r}, expected {expected!r}")
    print(f"  as it should be: {what}", flush=True)


def trial(attempt: Callable[[], object]) -> int:
    """Run a trial, and say how it has ended. Return 0, or 1 if something was not as it should be."""
    began = time.monotonic()
    try:
        attempt()
    except LabError as error:
        print(f"That is not as it should be: {error}", file=sys.stderr)
        return 1
    print(f"All is as it should be, after {time.monotonic() - began:.0f} s.")
    return 0


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, but not forever."""
    deadline = time.monotonic() + _WAIT
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
