"""Besides readers, two others fill the history: a relay at its end, and the retention of the journal beforehand."""

from __future__ import annotations

import os
import time

from tests.history.made import event_ids, rows
from tests.lab import Lab, Receiver

DAY = 86400.0


def test_the_relay_at_its_end(lab: Lab, receiver: Receiver) -> None:
    """A relay imports its run into the history at its end, before any reader asks."""
    lab.record(3)
    receiver.wait(3)
    lab.wait_for_end()
    assert event_ids(lab.journal) == sorted(event["id"] for event in receiver.accepted)


def test_before_the_journal_is_pruned(lab: Lab) -> None:
    """Retention imports events into the history before it deletes them from the journal."""
    lab.record(3, TASKMASTER_WEBHOOK_URL="")
    config = lab.root / ".taskmaster" / "config" / "workflow.yaml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(f"monitoring:\n  retention:\n    journal_age: {DAY:.0f}\n")
    for path in lab.journal.glob("*.jsonl"):
        os.utime(path, (time.time() - 3 * DAY,) * 2)
    lab.record(1, TASKMASTER_WEBHOOK_URL="")
    assert not (lab.journal / "history.sqlite").exists()
    lab.run("status")
    assert len(list(lab.journal.glob("*.jsonl"))) == 1
    assert rows(lab.journal, "SELECT count(*) FROM runs") == [(2,)]
    assert len(event_ids(lab.journal)) == 4
