"""`swarmtask purge` drops dead letters only on request and never counts them as delivered."""

from __future__ import annotations

import sqlite3

import pytest

from tests.cli.test_replay import refused
from tests.lab import Json, Lab, Receiver

__all__ = ["refused"]


def counts(lab: Lab) -> tuple[int, int, int, int]:
    found = lab.status()["endpoints"]["default"]
    return found["delivered"], found["waiting"], found["dead"], found["purged"]


def test_nothing_goes_unasked(lab: Lab, refused: list[str]) -> None:
    """Without `--yes`, `purge` lists what it would drop and drops nothing."""
    done = lab.run("purge")
    assert (done.returncode, done.stderr) == (0, "")
    *listed, last = done.stdout.splitlines()
    assert [line.split(": ")[1] for line in listed] == refused
    assert last == "drop them for good with: --yes"
    assert counts(lab) == (3, 0, 2, 0)


@pytest.mark.long
def test_what_is_purged_is_counted(lab: Lab, receiver: Receiver, refused: list[str]) -> None:
    """Dropped events count as purged, and the total always equals the journaled events, also after a replay."""
    assert lab.run("purge", "--yes", "--id", refused[0]).stdout == "1 dropped\n"
    assert counts(lab) == (3, 0, 1, 1)
    receiver.answer = lambda _: 200
    assert lab.run("replay", "--all").stdout == "1 of 1 delivered\n"
    assert receiver.ids[-1] == refused[1]
    assert counts(lab) == (4, 0, 0, 1)
    assert lab.run("purge", "--yes").stdout == "0 dropped\n"
    text = lab.run("status")
    assert text.returncode == 0
    assert "default: 4 delivered, 0 waiting, 0 dead letters, 1 purged" in text.stdout
    lab.run("flush")
    assert refused[0] not in receiver.ids


@pytest.mark.long
def test_only_some(lab: Lab, refused: list[str]) -> None:
    """`purge` selects by age and webhook; an invalid age or an unknown id is a usage error that drops nothing."""
    assert lab.run("purge", "--yes", "--endpoint", "other").stdout == "0 dropped\n"
    assert lab.run("purge", "--yes", "--older-than", "1").stdout == "0 dropped\n"
    assert lab.run("purge", "--yes", "--older-than", "soon").returncode == 2
    assert lab.run("purge", "--yes", "--id", "nonsense").returncode == 2
    assert counts(lab) == (3, 0, 2, 0)
    with sqlite3.connect(lab.journal / "relay" / "relay.db") as db:
        db.execute("UPDATE dead_letters SET at = at - 2 * 86400 WHERE event_id = ?", (refused[1],))
    db.close()
    assert lab.run("purge", "--yes", "--older-than", "1").stdout == "1 dropped\n"
    assert counts(lab) == (3, 0, 1, 1)


def test_counts_outlive_the_journal(lab: Lab, refused: list[str]) -> None:
    """Once the journal's events are deleted, `status` still counts the purged dead letters and nothing else."""
    assert lab.run("purge", "--yes").stdout == "2 dropped\n"
    lab.webhooks(monitoring={"retention": {"journal_bytes": 1}})
    assert counts(lab) == (0, 0, 0, 2)
    assert lab.segments() == []


@pytest.mark.long
@pytest.mark.parametrize("allowed", [[], ["delivery:replay"], ["delivery:purge"]])
def test_the_control(lab: Lab, refused: list[str], allowed: list[str]) -> None:
    """Dropping needs the permission `delivery:purge`; listing needs none."""
    roles: Json = {"someone": {"allow": ["emit:*", *allowed]}}
    lab.webhooks(access_control={"default_role": "someone", "roles": roles})
    assert lab.run("purge").returncode == 0
    done = lab.run("purge", "--yes")
    if "delivery:purge" in allowed:
        assert (done.returncode, done.stdout) == (0, "2 dropped\n")
    else:
        assert (done.returncode, done.stdout) == (3, "")
        assert "the role someone may not delivery:purge" in done.stderr
        assert len(lab.run("replay").stdout.splitlines()) == 3
