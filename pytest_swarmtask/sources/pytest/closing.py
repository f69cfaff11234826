"""What a session says of itself in the terminal, and the wait for delivery at its end."""

from __future__ import annotations

from pytest_swarmtask.core.project import ALERTS, RESERVED, TASKS, TRIGGERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_swarmtask.recording.recorder import Recorder

_SHORT = 8
"""Digits of a run's id that tell it from all others of a history."""


_WORDS = ((TASKS, "task manager"), (TRIGGERS, "triggers"), (ALERTS, "alerts"))


def header(recorder: Recorder) -> list[str]:
    """Return our line of pytest's header, and a warning where the configuration could not be followed."""
    endpoints = [name for name in recorder.settings.endpoints if name not in RESERVED]
    where = f", webhooks: {', '.join(endpoints)}" if endpoints else ""
    where += "".join(f", {words}" for name, words in _WORDS if name in recorder.settings.endpoints)
    lines = [f"swarmtask: run {recorder.trace_id}{where}"]
    if recorder.problem:
        lines.append(f"swarmtask: warning: {recorder.problem}")
        recorder.problem = None  # is said once; the closing line has room for what comes later
    return lines


class Closing:
    """Waits for delivery, within what is left of the time for it, and tells what became of the session's events."""

    def __init__(self, recorder: Recorder, drain_timeout: float) -> None:
        self._recorder = recorder
        self._left = drain_timeout
        self._earlier = recorder.count
        self._drained = False
        self._seen = (-1, 0)

    def drain(self) -> None:
        """Wait until all is delivered or the time is over."""
        begun = self._recorder.clock.now()
        try:
            self._drained = self._recorder.drain(max(0.0, self._left))
        except KeyboardInterrupt:
            self._left = 0.0  # the user does not want to wait
            raise
        self._left -= self._recorder.clock.now() - begun

    def words(self, more: str, coming: str | None = None) -> str:
        """Return how many events there are, and what is left to deliver and how to send it.

        Args:
            more: what else is to be said.
            coming: the type of the event that will follow, if one will.
        """
        recorder = self._recorder
        count, lost = max(0, recorder.count - self._earlier), recorder.lost
        ahead = 0
        if coming is not None:
            ahead = int(not recorder.failing and not recorder.denies(coming))  # it fails as the last one did
            count, lost = count + ahead, lost + 1 - ahead
        fate = self._fate(ahead)
        said = [f"{count} events delivered" if fate == "delivered" else f"{count} events"]
        if lost:
            said.append(f"{lost} lost")
        if more:
            said.append(more)
        if fate not in ("", "delivered"):
            said.append(fate)
        return ", ".join(said)

    def command(self) -> str:
        """Return how the report on this session is got, as the end of the closing line; "" where there will be none."""
        recorder = self._recorder
        return f"; swarmtask report --run {recorder.trace_id[:_SHORT]}" if recorder.count > self._earlier else ""

    def refusal(self, coming: str) -> str | None:
        """Return why the event that will follow is not recorded, where the role is what forbids it, and first here."""
        recorder = self._recorder
        if recorder.refused or not recorder.denies(coming):
            return None
        return recorder.settings.access.refusal(f"emit:{coming}")

    def _fate(self, coming: int) -> str:
        recorder = self._recorder
        if not recorder.owed:
            return ""
        waiting, why = recorder.undelivered()
        if waiting or not self._drained:
            if waiting == self._seen[0]:  # the relay has not looked since
                waiting += recorder.count - self._seen[1]
            else:
                self._seen = (waiting, recorder.count)
            return f"{waiting + coming} not delivered yet ({why}); send them with: swarmtask flush"
        dead = recorder.dead_letters()
        return f"{dead} refused (see: swarmtask status)" if dead else "delivered"
