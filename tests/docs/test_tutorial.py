"""docs/tutorial.md: a reader who does what it says, in its order, sees what it shows."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_swarmtask.core.timing import VARIABLE
from tests.lab import QUICK, REPOSITORY, UNRELATED, WAIT, ProjectFolder, clean_environ
from tests.shop import without_slowest

pytestmark = [pytest.mark.local, pytest.mark.slow]

TEXT = (REPOSITORY / "docs" / "tutorial.md").read_text("utf-8")
NEUTRAL = (
    (r"\b[0-9a-f]{8,32}\b", "ID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "TIME"),
    (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"),
    (r"\b\d+(\.\d+)? ?(ms|s|min)\b", "DURATION"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"Python [\w.+]+, \S+", "Python, host"),
    (r"[▁▂▃▄▅▆▇█]+", "BARS"),
    (r"[-=]{3,}", "---"),
)
"""What differs in each run, and what stands for it in a comparison."""


class Block(NamedTuple):
    """A block of the page.
    Attributes:
        lead: the line above it.
        language: the language that it names, such as ``console``.
        text: its lines.
    """

    lead: str
    language: str
    text: str


BLOCKS = [Block(*found) for found in re.findall(r"^([^\n]*)\n\n```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)]


def neutral(text: str) -> str:
    """Return an output in one line, without what differs in each run. Terminals and pipes break lines differently."""
    for pattern, stand_in in NEUTRAL:
        text = re.sub(pattern, stand_in, text)
    return " ".join(text.split())


def check(shown: str, found: str) -> None:
    """Check that an output is the one that the page shows, in which `...` stands for any text."""
    pattern = ".*?".join(re.escape(part.strip()) for part in neutral(shown).split("..."))
    assert re.fullmatch(pattern, neutral(found)), f"{found}\nis not\n{shown}"


class Shell:
    """A terminal in which the reader types commands. What one command exports, the next ones have.
    Args:
        root: the project's folder.
        exports: a file for what the commands export.
    """

    def __init__(self, root: Path, exports: Path) -> None:
        self._root = root
        self._exports = exports
        exports.touch()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        who = {f"GIT_{role}_{fact}": "me@example.com" for role in ("AUTHOR", "COMMITTER") for fact in ("NAME", "EMAIL")}
        options = " ".join([*UNRELATED, f"--swarmtask-drain-timeout={WAIT:g}"])
        self._environ = clean_environ(
            PATH=path, PYTHONUTF8="1", PYTEST_ADDOPTS=options, GIT_CONFIG_GLOBAL=os.devnull, **who, **{VARIABLE: QUICK}
        )

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        script = f". {self._exports}\n{command}\ncode=$?; export -p > {self._exports}; exit $code"
        return subprocess.run(
            ["sh", "-c", script],
            cwd=self._root,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=2 * WAIT,
            check=False,
        )

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start one command that goes on until Ctrl-C."""
        script = f". {self._exports}\nexec {command}"
        return subprocess.Popen(
            ["sh", "-c", script], cwd=self._root, env=self._environ, stdout=subprocess.PIPE, encoding="utf-8"
        )


class Reader:
    """Does what the page says, and checks what the page shows.
    Attributes:
        root: the project's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "shop"
        self.root.mkdir()
        self._first, self._second = (Shell(self.root, folder / f"exports-{number}") for number in (1, 2))
        self._receiver: subprocess.Popen[str] | None = None
        self._secret = self._url = ""

    def follow(self, block: Block) -> None:
        """Follow one block of the page."""
        if block.language == "python":
            (name,) = re.findall(r"`(\w+\.py)`:$", block.lead)
            (self.root / name).write_text(block.text)
        elif block.language == "text":
            check(block.text, self._interrupted())
        elif block.language == "console":
            shell = self._second if block.lead == "In the second terminal:" else self._first
            for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
                self._type(shell, command, shown)

    def _type(self, shell: Shell, command: str, shown: str) -> None:
        if command == "swarmtask listen":
            self._receiver = shell.start(f"{command} --port 0")
            assert self._receiver.stdout is not None
            self._url = self._receiver.stdout.readline().strip()
            check(shown, self._url)
            return
        command = command.replace("whsec_...", self._secret).replace("http://127.0.0.1:8017/", self._url)
        done = shell.run(command)
        fails = command == "pytest" and " failed, " in shown
        assert done.returncode == int(fails), f"{command}\n{done.stdout}{done.stderr}"
        check(shown, without_slowest(done.stdout).replace(str(self.root), "/home/ada/shop"))
        secret = re.search(r"whsec_\S+", done.stdout)
        self._secret = secret[0] if secret else self._secret

    def _interrupted(self) -> str:
        """Press Ctrl-C where the receiver runs, and return what it has printed since its first line."""
        assert self._receiver is not None
        self._receiver.send_signal(signal.SIGINT)
        return self._receiver.communicate(timeout=WAIT)[0]

    def close(self) -> None:
        """End the processes that are left."""
        if self._receiver is not None and self._receiver.poll() is None:
            self._receiver.kill()
            self._receiver.communicate()
        ProjectFolder(self.root).kill()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    yield made
    made.close()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_reader_sees_what_the_page_shows(reader: Reader) -> None:
    for block in BLOCKS:
        reader.follow(block)
    files = re.findall(r"^\| (`[^|]*) \|", TEXT, re.MULTILINE)
    assert files
    assert [name for name in re.findall(r"`([^`]+)`", " ".join(files)) if not (reader.root / name).is_file()] == []


def test_every_block_is_followed() -> None:
    """The page has no block that the test passes over, but for the installation."""
    assert len(BLOCKS) == len(re.findall(r"^```\w+$", TEXT, re.MULTILINE))
    assert [block.language for block in BLOCKS if block.language not in ("python", "console", "text")] == ["sh"]
    commands = [line for line in TEXT.splitlines() if line.startswith("$ ")]
    assert len(commands) > 20
    assert not [line for line in commands if line.endswith("\\")]
