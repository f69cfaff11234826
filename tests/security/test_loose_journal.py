"""A journal that others could write to is closed to them, and what they have put into it is neither read nor sent."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.lab import Lab, Receiver

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make the files of another user"
)
STRANGER = 54321


def test_a_planted_segment_is_not_sent(lab: Lab, receiver: Receiver) -> None:
    """A segment that another user has put into a loose folder is set aside, and the folder is closed."""
    lab.emit("TASK_STARTED", "ours")
    receiver.wait(1)
    lab.wait_for_end()
    (segment,) = lab.segments()
    planted = segment.with_name(segment.name.replace(segment.name[:6], "999999", 1))
    shutil.copy(segment, planted)
    planted.write_bytes(planted.read_bytes().replace(b"ours", b"evil"))
    os.chown(planted, STRANGER, STRANGER)
    lab.journal.chmod(0o777)
    lab.emit("TASK_COMPLETED", "ours")
    receiver.wait(2)
    lab.wait_for_end()
    assert lab.run("flush").returncode == 0
    assert {event["task_id"] for event in receiver.accepted} == {"ours"}
    assert "evil" not in lab.run("report").stdout
    assert lab.journal.stat().st_mode & 0o777 == 0o700
    assert (lab.journal / f".foreign-{planted.name}").exists()


def test_a_journal_of_another_user_is_refused(lab: Lab) -> None:
    """A journal folder that another user has made is not written to, and one line says so."""
    lab.journal.mkdir()
    os.chown(lab.journal, STRANGER, STRANGER)
    done = lab.run("emit", "TASK_STARTED", "a")
    assert done.returncode == 0
    assert "belongs to another user" in done.stderr
    assert os.listdir(lab.journal) == []


@pytest.mark.parametrize(
    "name",
    [
        "relay/relay.db",
        pytest.param("relay/relay.log", marks=pytest.mark.long),
        pytest.param("history.sqlite", marks=pytest.mark.long),
    ],
)
def test_no_link_is_followed(lab: Lab, receiver: Receiver, name: str) -> None:
    """A link in the place of a file of ours does not make us write into what it names."""
    victim = lab.root / "victim"
    victim.write_text("precious")
    (lab.journal / "relay").mkdir(parents=True)
    (lab.journal / name).symlink_to(victim)
    lab.run("emit", "TASK_STARTED", "a")
    lab.run("flush")
    lab.run("status")
    lab.run("report")
    assert victim.read_text() == "precious"
    if "log" not in name:
        assert receiver.ids == lab.ids()
