"""The relay's memory survives restarts, and an unreadable database is replaced without losing an event."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from pytest_swarmtask.history.sqlite_file import use_wal
from pytest_swarmtask.relay.delivery import store as store_module
from pytest_swarmtask.relay.delivery.store import EXPIRED, PURGED, DeadLetter, EndpointState, Position, Store


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "relay.db")


def fill(path: str, count: int = 300) -> None:
    store = Store(path)
    for number in range(count):
        store.settle("hook", {f"segment {number}": Position(number, 1, 1)})
    store.set_state("hook", EndpointState("retrying", "it answered 500", 3, 12.5))
    store.close()


def test_nothing_is_known_at_first(path: str) -> None:
    """For a new segment nothing is settled, and the state of a new endpoint is ok."""
    store = Store(path)
    assert store.position("hook", "a") == Position(0, 0, 0, 0, 0)
    assert store.state("hook") == EndpointState("ok", "", 0, 0.0)
    assert list(store.positions()) == []
    assert list(store.dead_letters()) == []
    assert store.states() == {}
    store.close()


def test_it_is_remembered(path: str) -> None:
    """Positions, states and dead letters survive the process, separately for each endpoint and segment."""
    store = Store(path)
    letter = DeadLetter("hook", "w-1", b'{"id":"w-1"}', "it answered 404", 5.0)
    store.settle("hook", {"a": Position(10, 2, 1, 1, 0)}, [letter])
    store.settle("hook", {"a": Position(20, 3, 2, 1, 0), "b": Position(5, 1, 1)})
    store.settle("other", {"a": Position(1, 1, 1)})
    store.set_state("hook", EndpointState("retrying", "it answered 500", 3, 12.5))
    store.close()
    store = Store(path)
    assert store.position("hook", "a") == Position(20, 3, 2, 1, 0)
    assert {(endpoint, segment): position.offset for endpoint, segment, position in store.positions()} == {
        ("hook", "a"): 20,
        ("hook", "b"): 5,
        ("other", "a"): 1,
    }
    assert store.states() == {"hook": EndpointState("retrying", "it answered 500", 3, 12.5)}
    assert list(store.dead_letters()) == [letter]
    store.close()


def test_a_dead_letter_is_kept_once(path: str) -> None:
    """An event that an endpoint refuses twice is one dead letter."""
    store = Store(path)
    for at in (1.0, 2.0):
        store.settle("hook", {}, [DeadLetter("hook", "w-1", b"{}", "no", at)])
    assert [letter.at for letter in store.dead_letters()] == [2.0]
    store.close()


def letters(store: Store, count: int) -> None:
    """Store dead letters of ten bytes each. The oldest is w0-0."""
    made = [DeadLetter("hook", f"w{n}-{n}", b"0123456789", "no", float(n)) for n in range(count)]
    store.settle("hook", {}, made)


def test_the_oldest_letters_are_in_excess(path: str) -> None:
    """A dead letter is in excess if it is too old, or among the oldest beyond the size limit."""
    with closing(Store(path)) as store:
        assert store.excess_letters(1.0, 0) == []
        letters(store, 6)
        assert sorted(store.excess_letters(2.0, 1000)) == [("hook", "w0-0"), ("hook", "w1-1")]
        assert sorted(store.excess_letters(0.0, 45)) == [("hook", "w0-0"), ("hook", "w1-1")]
        assert len(store.excess_letters(0.0, 0)) == 6


def test_what_is_dropped_is_counted(path: str) -> None:
    """Dropped dead letters are counted, by writer as long as the journal holds segments of the writer."""
    with closing(Store(path)) as store:
        letters(store, 4)
        assert store.drop([("hook", "w0-0"), ("hook", "w9-9"), ("other", "w1-1")], PURGED) == 1
        assert store.drop([("hook", "w0-0"), ("hook", "w1-1"), ("hook", "w2-2")], EXPIRED) == 2
        assert [letter.event_id for letter in store.dead_letters()] == ["w3-3"]
        expected = {("hook", "w0", PURGED, 1), ("hook", "w1", EXPIRED, 1), ("hook", "w2", EXPIRED, 1)}
        assert set(store.dropped()) == expected
        for _ in range(2):
            store.forget_all_but([], ["w2"])
            expected = {("hook", "", PURGED, 1), ("hook", "", EXPIRED, 1), ("hook", "w2", EXPIRED, 1)}
            assert set(store.dropped()) == expected
        store.forget_all_but([], [])
        assert set(store.dropped()) == {("hook", "", PURGED, 1), ("hook", "", EXPIRED, 2)}


@pytest.mark.parametrize("damage", ["dropped SET letters = 'many'", "dead_letters SET line = 5, event_id = x'ff'"])
def test_damaged_counts_and_letters(path: str, damage: str) -> None:
    """Values of a wrong type are found when the database is opened, and the database is moved aside."""
    with closing(Store(path)) as store:
        letters(store, 2)
        store.drop([("hook", "w0-0")], PURGED)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE {damage}")
    with closing(Store(path)) as store:
        assert (store.dropped(), store.dead_ids()) == ([], [])
    assert len(list(Path(path).parent.glob("*.corrupt-*"))) == 1


def test_a_database_of_the_first_version(path: str) -> None:
    """A database of the first version gets the new table, and keeps its content."""
    fill(path, 3)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE dropped; PRAGMA user_version = 1")
    with closing(Store(path)) as store:
        assert len(list(store.positions())) == 3
        assert store.dropped() == []
    assert aside(path) == []


def test_it_is_private(path: str) -> None:
    """Only the owner can access the database and its companion files, under any umask."""
    mask = os.umask(0)
    try:
        store = Store(path)
        store.settle("hook", {"a": Position(1)})
        modes = {
            name: oct(os.stat(os.path.join(os.path.dirname(path), name)).st_mode & 0o777)
            for name in os.listdir(os.path.dirname(path))
        }
        store.close()
    finally:
        os.umask(mask)
    assert set(modes.values()) == {"0o600"}
    assert len(modes) >= 2


def test_threads_and_connections(path: str) -> None:
    """Several connections can write at once, and all their data is kept."""

    def write(name: str) -> None:
        store = Store(path)
        for number in range(50):
            store.settle(name, {"a": Position(number + 1)})
        store.close()

    threads = [threading.Thread(target=write, args=(f"hook {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Store(path)
    assert {endpoint: position.offset for endpoint, _, position in store.positions()} == {
        f"hook {n}": 50 for n in range(6)
    }
    store.close()


def _open_and_write(path: str, name: str) -> None:
    store = Store(path)
    store.settle(name, {"a": Position(1)})
    store.close()


def test_processes_make_it_at_once(path: str) -> None:
    """Relays that create the database at the same moment share one database."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_open_and_write, args=(path, f"hook {n}")) for n in range(12)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 12
    store = Store(path)
    assert len(list(store.positions())) == 12
    store.close()


# -- damage --------------------------------------------------------------------------------------------------------


def aside(path: str) -> list[str]:
    folder = os.path.dirname(path)
    return [name for name in os.listdir(folder) if ".corrupt-" in name and not name.endswith(("-wal", "-shm"))]


@pytest.mark.parametrize(
    "content",
    [b"this is no database, but a text that is long enough" * 100, b"\0" * 8192, os.urandom(8192)],
    ids=["text", "zeros", "noise"],
)
def test_what_is_no_database(path: str, content: bytes) -> None:
    """A file that is not a database is moved aside and kept, and a new database replaces it."""
    Path(path).write_bytes(content)
    store = Store(path)
    store.settle("hook", {"a": Position(1)})
    store.close()
    (moved,) = aside(path)
    assert Path(os.path.dirname(path), moved).read_bytes() == content


def test_an_empty_file_is_a_new_database(path: str) -> None:
    """An empty file, as a full disk leaves behind, becomes a database."""
    Path(path).touch()
    Store(path).close()
    assert aside(path) == []


def test_damage_inside(path: str) -> None:
    """Damage in the middle of a database is found when the database is opened, even if the beginning is intact."""
    fill(path)
    content = bytearray(Path(path).read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 2000] = b"\xa5" * 2000
    Path(path).write_bytes(content)
    store = Store(path)
    assert list(store.positions()) == []
    store.settle("hook", {"a": Position(1)})
    store.close()
    assert len(aside(path)) == 1


@pytest.mark.parametrize("length", [0, 1, 16, 99, 100, 1000, 4096, 5000, 8192, 12_000])
def test_cut_off(path: str, length: int) -> None:
    """A truncated database stays usable, with the rest of its content or as a new database."""
    fill(path)
    os.truncate(path, length)
    store = Store(path)
    store.settle("hook", {"new": Position(1)})
    assert store.position("hook", "new") == Position(1)
    list(store.positions())
    store.close()


def test_one_mends_what_another_is_opening(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one process replaces a damaged database while another opens it, the writes of both are kept.

    The slow process must not combine the old file with the log of the new one, since its writes would be lost.
    """
    Path(path).write_bytes(b"no database " * 1000)

    def slowly(db: sqlite3.Connection, timeout: float) -> None:
        if threading.current_thread() is slow:
            time.sleep(0.3)
        use_wal(db, timeout)

    def settle_late() -> None:
        with closing(Store(path)) as store:
            quick_is_done.wait(60)
            store.settle("slow", {"a": Position(1)})

    quick_is_done = threading.Event()
    slow = threading.Thread(target=settle_late)
    monkeypatch.setattr(store_module, "use_wal", slowly)
    slow.start()
    time.sleep(0.1)
    with closing(Store(path)) as quick:
        quick.settle("quick", {"a": Position(1)})
        time.sleep(0.4)
    quick_is_done.set()
    slow.join()
    with closing(Store(path)) as store:
        assert sorted(endpoint for endpoint, _, _ in store.positions()) == ["quick", "slow"]


def test_one_makes_it_while_another_opens_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one process creates the database while another opens it, the log in use is not removed.

    The slow process must not get the locks of the quick one, since its close would remove the log.
    """
    has_looked, is_open = threading.Event(), threading.Event()
    slow = threading.Thread(target=lambda: Store(path).close())

    lexists = os.path.lexists

    def look(path: str) -> bool:
        there = lexists(path)
        if threading.current_thread() is slow and not has_looked.is_set():
            has_looked.set()
            is_open.wait(0.5)
        return there

    monkeypatch.setattr(os.path, "lexists", look)
    slow.start()
    assert has_looked.wait(60)
    with closing(Store(path)) as quick:
        is_open.set()
        slow.join()
        quick.settle("quick", {"a": Position(1)})
        program = (
            "from pytest_swarmtask.relay.delivery.store import Store\n"
            f"s = Store({path!r}); print(*s.positions()); s.close()"
        )
        seen = [subprocess.check_output([sys.executable, "-c", program], text=True) for _ in range(2)]
        assert ["quick" in positions for positions in seen] == [True, True]
        assert os.path.exists(f"{path}-wal"), "the log has been removed under a connection"


def test_two_find_the_damage(path: str) -> None:
    """Deliveries of one relay that open a damaged database at once all get the same new database."""
    for attempt in range(10):
        Path(path).write_bytes(b"no database " * 1000)
        ready = threading.Barrier(4)
        failed: list[Exception] = []

        def work(name: str, ready: threading.Barrier, failed: list[Exception]) -> None:
            ready.wait()
            try:
                store = Store(path)
                store.settle(name, {"a": Position(1)})
                store.close()
            except (sqlite3.Error, OSError) as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(f"hook {n}", ready, failed)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        store = Store(path)
        assert len(list(store.positions())) == 4, f"attempt {attempt}"
        store.close()


def test_a_newer_version(path: str) -> None:
    """A database of a newer version stays untouched, and the message says so."""
    fill(path, 1)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    before = Path(path).read_bytes()
    with pytest.raises(sqlite3.OperationalError, match=r"relay\.db was written by a newer version of pytest-swarmtask"):
        Store(path)
    assert aside(path) == []
    assert Path(path).read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """If the database cannot be created, the store raises an error that the deliveries handle."""
    with pytest.raises((sqlite3.Error, OSError)):
        Store(str(tmp_path / "none" / "relay.db"))
