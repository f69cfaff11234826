"""A project with recorded runs of every kind: green, flaky, failing, crashed, slow."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

from pytest_swarmtask.cli.main import main
from pytest_swarmtask.core.project import Project
from tests.lab import clean_environ
from tests.pushed import from_a_server
from tests.suite import Session, Suite

SHOP = """
    import os, time
    import pytest

    def total(items):
        return sum(items) + int(os.environ.get("BUG", "0"))

    @pytest.mark.parametrize("n", range(5))
    def test_many(n): pass

    def test_total():
        assert total([1, 2]) == 3

    class TestCart:
        def test_add(self): time.sleep(float(os.environ.get("SLOW", "0.02")))

        @pytest.mark.skip(reason="no network")
        def test_net(self): pass

        @pytest.mark.xfail
        def test_later(self): assert 0

    def test_flaky(tmp_path_factory):
        if "FLAKY" in os.environ:
            here = os.path.join(os.environ["FLAKY"], "seen")
            if not os.path.exists(here):
                open(here, "w").close()
                raise TimeoutError("the [bold]queue[/bold] \\x1b[31mis slow")

    @pytest.fixture
    def db():
        yield
        if "TEAR" in os.environ: raise RuntimeError("connection lost")

    def test_db(db): assert "TEAR" not in os.environ, "first line\\nsecond line"

    def test_crash():
        if "CRASH" in os.environ: os._exit(3)
"""


class Shop:
    """A project with recorded runs of every kind.
    Attributes:
        suite: the project and its pytest suite.
        sessions: the sessions in order: a green session, a flaky session, a session with a bug from a later commit,
            a parallel session with a crash, and a session with a failing teardown and a slow test.
    """

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        suite.write(test_shop=SHOP)
        self.git("init", "-q", "-b", "main", ".")
        self.commit()
        flaky = suite.root / ".taskmaster" / "flaky"
        flaky.mkdir()
        self.sessions: list[Session] = []
        self.run()
        self.run("--reruns=2", FLAKY=str(flaky))
        self.commit()
        self.run(BUG="1")
        self.run("-n2", BUG="1", CRASH="1")
        self.run(BUG="1", TEAR="1", SLOW="0.4")
        # Without commits, nobody knows their authors. So reports here are like those of a server, which tests compare.
        shutil.rmtree(suite.root / ".git" / "objects")

    def run(self, *arguments: str, **environ: str) -> None:
        """Run a pytest session and keep its result."""
        session = self.suite.pytest(*arguments, **environ)
        assert session.cases, "read now: the next session writes over its JUnit XML"
        self.sessions.append(session)

    @property
    def project(self) -> Project:
        """The `Project` of the package, which names the project's files."""
        return Project(str(self.suite.root))

    @property
    def journal(self) -> Path:
        """The folder of the journal."""
        return self.suite.root / ".taskmaster" / "events"

    def git(self, *arguments: str) -> None:
        """Run a git command in the project."""
        name = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
        subprocess.run(["git", *name, *arguments], cwd=self.suite.root, check=True, capture_output=True)

    def commit(self) -> None:
        """Commit the test module."""
        self.git("add", "test_shop.py")
        self.git("commit", "-q", "--allow-empty", "-m", "one more")

    def swarmtask(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a `swarmtask` command in the project."""
        return swarmtask(self.suite.root, *arguments, **environ)


ASKING = ("report", "explain", "gate", "tests", "runs", "failures", "flaky", "slow")
"""The commands that can ask a server instead of the local history."""


def swarmtask(root: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a `swarmtask` command in a folder. It runs in this process, which is quick, unless `environ` is given.
    With `tests.pushed.ENGINE_VARIABLE`, commands that ask the history ask that of a server.
    """
    if arguments[0] in ASKING and not {"--from", "--help", "--serve"}.intersection(arguments):
        arguments = (*arguments, *from_a_server(root))
    if environ:
        return subprocess.run(
            [sys.executable, "-m", "pytest_swarmtask", *arguments],
            cwd=root,
            env=clean_environ(**environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
    output, errors = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            code = main([*arguments, *([] if "--root" in arguments else ["--root", str(root)])])
        except SystemExit as error:  # argparse exits this way
            code = int(error.code or 0)
    for stream in (output, errors):
        stream.seek(0)
    return subprocess.CompletedProcess(arguments, code, output.read(), errors.read())


def on_terminal(root: Path, columns: int, *arguments: str, **environ: str) -> str:
    """Return the output of our command on a terminal of this width, without the codes of styles if colours are off."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(root)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        command = [sys.executable, "-m", "pytest_swarmtask", *arguments]
        os.execve(sys.executable, command, clean_environ(TERM="xterm-256color", **environ))
    written = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux raises it when the other end is closed
            break
        if not chunk:
            break
        written += chunk
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    text = written.decode().replace("\r\n", "\n")
    return re.sub(r"\x1b\[[0-9;]*m", "", text) if "NO_COLOR" in environ else text


def without_slowest(text: str) -> str:
    """Return a printed report without its slowest tests. On a busy machine, any test takes long enough to be listed."""
    return re.sub(r"\nSlowest\n(?: +.*\n)+", "", text)
