"""The fixtures that several test folders share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.lab import Lab, Receiver, once, receiving
from tests.relay.alerts.world import World
from tests.shop import Shop
from tests.suite import Suite
from tests.watched import Terminal, Watched

# Hypothesis tries 25 examples of each property, which keeps the suite quick. `make check-all` asks for 200 and 2,000.
hypothesis.settings.register_profile("suite", max_examples=int(os.environ.get("SWARMTASK_FUZZ", "25")), deadline=None)
hypothesis.settings.load_profile("suite")

# A script that starts the suite in the background makes the suite ignore Ctrl-C, and `nohup` makes it ignore the end of
# its terminal. The commands of the tests would inherit that.
for _name in ("SIGINT", "SIGQUIT", "SIGHUP"):
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, _name), signal.default_int_handler if _name == "SIGINT" else signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers of ``-n auto``: two a core, because most tests wait for processes they started."""
    return 2 * (os.cpu_count() or 1)


def pytest_unconfigure() -> None:
    """End the PostgreSQL servers of this process."""
    postgres = sys.modules.get("tests.postgres")  # loaded only where a test needs a server
    if postgres is not None:
        postgres.remove_all()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A live webhook that verifies every request."""
    with receiving() as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path, receiver: Receiver) -> Iterator[Lab]:
    """A project that sends its events to the receiver. Its relays are killed when the test is over."""
    made = Lab(tmp_path / "project", TASKMASTER_WEBHOOK_URL=receiver.url)
    yield made
    receiver.closing.set()
    made.kill()


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Lab]:
    """A project without a webhook, and therefore without a relay."""
    made = Lab(tmp_path / "lone")
    yield made
    made.kill()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A project whose alerts are sent to a receiver. Its relays are killed when the test is over."""
    with receiving() as receiver:
        made = World(tmp_path / "project", receiver)
        yield made
        receiver.closing.set()
        made.kill()


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """An empty project for pytest sessions."""
    return Suite(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A project with a past, which tests only read."""
    return once(tmp_path_factory, "shop", lambda folder: Shop(Suite(folder)))


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine stands between the test and its server."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The folder of an empty journal."""
    folder = tmp_path / ".taskmaster" / "events"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """A project in which commands are run by `swarmtask run`."""
    return Watched(tmp_path)


@pytest.fixture
def terminal(watched: Watched) -> Iterator[Callable[..., Terminal]]:
    """Return a function that starts a command at its own terminal. Running commands are killed after the test."""
    started: list[Terminal] = []

    def start(*command: str, **options: Any) -> Terminal:
        started.append(watched.terminal(*command, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
