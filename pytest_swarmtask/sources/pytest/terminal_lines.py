"""Our lines in pytest's output: the header, the line on a shard, the closing line, and a note after the first run."""

from __future__ import annotations

from pytest_swarmtask.core.project import ALERTS, RESERVED, TASKS, TRIGGERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pytest_swarmtask.recording.recorder import Recorder

_SHORT_RUN_ID = 8
"""Digits of a run's id that tell it from all others in a history."""

_RESERVED_IN_WORDS = ((TASKS, "task manager"), (TRIGGERS, "triggers"), (ALERTS, "alerts"))


FIRST_RUN = "swarmtask: made .taskmaster/events (git ignores it); to record nothing: --no-swarmtask, swarmtask=false"
"""The line after the first run in a project without a folder `.taskmaster`, because a new folder is a surprise."""


def header_lines(recorder: Recorder, folder: str) -> list[str]:
    """Return the line for pytest's header, and a warning if something is wrong already.

    Args:
        recorder: the recorder of the session.
        folder: where pytest was started. The line names the journal if it is not in this folder.
    """
    project = recorder.settings.project
    journal = "" if project.root == folder else f", journal {project.journal}"
    endpoints = recorder.settings.endpoints
    webhooks = [name for name in endpoints if name not in RESERVED]
    receivers = f", webhooks: {', '.join(webhooks)}" if webhooks else ""
    receivers += "".join(f", {words}" for name, words in _RESERVED_IN_WORDS if name in endpoints)
    lines = [f"swarmtask: run {recorder.trace_id}{receivers}{journal}"]
    if recorder.problem:
        lines.append(f"swarmtask: warning: {recorder.problem}")
        recorder.problem = None  # shown once; the closing line can then show a later problem
    return lines


def shard_line(split: Mapping[str, Any], problem: str = "") -> str:
    """Return what a shard runs, such as ``shard 2/8: 120 of 960 tests, about 41 s of 330 s``.

    Args:
        split: the fact `split` of the session's end event.
        problem: why durations are not known, or an empty text.
    """
    head = f"shard {split['shard']}: "
    if not split["selected"] and split["tests"]:
        return f"{head}none of {split['tests']} tests, the other shards run them all"
    head += f"{split['selected']} of {split['tests']} tests"
    if "seconds" in split:
        return f"{head}, about {_rounded(split['selected_seconds'])} s of {_rounded(split['seconds'])} s"
    reason = f" ({problem})" if problem else ""
    return f"{head}, divided without durations{reason}" if split["digest"] else f"{head}{reason}"


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"


class ClosingLine:
    """Waits for delivery at the end of a session, and writes the line that says what became of its events.

    The session waits twice, before the line and after its own end event, which comes later. Both share one timeout.

    Args:
        recorder: the recorder of the session.
        drain_timeout: seconds to wait for delivery, at most.

    Attributes:
        undelivered: why events were not delivered when they were last summarized, and what to do; or an empty text.
    """

    def __init__(self, recorder: Recorder, drain_timeout: float) -> None:
        self.undelivered = ""
        self._recorder = recorder
        self._seconds_left = drain_timeout
        self._count_before = recorder.count  # a process can have recorded events before its session
        self._all_delivered = False
        self._waiting_before = -1
        self._count_then = 0

    def wait_for_delivery(self) -> None:
        """Wait until all events are delivered or the timeout has passed.

        Raises:
            KeyboardInterrupt: the user pressed Ctrl-C; a later call then does not wait at all.
        """
        begun = self._recorder.clock.now()
        try:
            self._all_delivered = self._recorder.drain(max(0.0, self._seconds_left))
        except KeyboardInterrupt:
            self._seconds_left = 0.0
            raise
        self._seconds_left -= self._recorder.clock.now() - begun

    def summarize_events(self, extra: str, next_event: str | None = None) -> str:
        """Return how many events there are, how many are lost, and how many are not delivered.

        Args:
            extra: a further text, shown before the state of delivery, or an empty string.
            next_event: the type of an event that will be recorded after this line and is counted already, or None.
        """
        recorder = self._recorder
        count, lost = max(0, recorder.count - self._count_before), recorder.lost
        coming = 0
        if next_event is not None:
            # If the last event could not be written, the next one will probably be lost, too.
            coming = int(not recorder.failing and not recorder.denies(next_event))
            count, lost = count + coming, lost + 1 - coming
        delivery = self._describe_delivery(coming)
        parts = [f"{count} events delivered" if delivery == "delivered" else f"{count} events"]
        if lost:
            parts.append(f"{lost} lost")
        if extra:
            parts.append(extra)
        if delivery not in ("", "delivered"):
            parts.append(delivery)
        return ", ".join(parts)

    def report_command(self) -> str:
        """Return the end of the line: the command that shows the report on this session, or "" if it has no events."""
        recorder = self._recorder
        if recorder.count <= self._count_before:
            return ""
        return f"; swarmtask report --run {recorder.trace_id[:_SHORT_RUN_ID]}"

    def refusal(self, next_event: str) -> str | None:
        """Return why the role does not allow the event that follows the line, or None.

        None also if the role has refused an event of this session before: the recorder's own warning says so.
        """
        recorder = self._recorder
        if recorder.refused or not recorder.denies(next_event):
            return None
        return recorder.settings.access.refusal(f"emit:{next_event}")

    def _describe_delivery(self, coming: int) -> str:
        """Return the state of delivery in words; an empty string if no endpoint is configured."""
        recorder = self._recorder
        self.undelivered = ""
        if not recorder.has_pending:
            return ""
        waiting, why = recorder.undelivered()
        if waiting or not self._all_delivered:
            if waiting == self._waiting_before:  # the relay has not published its progress since
                waiting += recorder.count - self._count_then
            else:
                self._waiting_before, self._count_then = waiting, recorder.count
            self.undelivered = why
            return f"{waiting + coming} not delivered yet"
        dead_letters = recorder.dead_letters()
        return f"{dead_letters} refused (see: swarmtask status)" if dead_letters else "delivered"
