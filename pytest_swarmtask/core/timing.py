"""Waiting times of the relay, and of the readers of a journal, in one place so that tests can shorten them.

Production code uses the defaults. Code in the same process passes a `Timing`. A relay is a process of its own, so it
reads `VARIABLE` when it starts: ``SWARMTASK_TEST_TIMING=linger=0.1,backoff_first=0.02``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

VARIABLE = "SWARMTASK_TEST_TIMING"
"""The environment variable in which a test names the times to shorten. Not for users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Waiting times, all in seconds.

    Attributes:
        poll: between two looks of the relay at its segments. An event waits at most this long before it is sent.
        tick: for which a folder's modification time may stay the same while a file is added to it. The clocks of file
            systems are coarse: the slowest in use count in steps of a few hundredths of a second.
        dead_after: after a writer let go of its segment before its open spans are closed. Letting go is not always
            death. A test suite may close our file; the writer then goes on in another segment, which it needs a
            moment to begin.
        linger: without a living writer until a run counts as over. Must exceed the gap between two recipe lines of
            make, each of which is a process of its own.
        retry_linger: for which a relay goes on with failed deliveries after its run is over. Then it ends, and the
            next relay or `swarmtask flush` delivers the rest.
        backoff_first: the longest wait after the first failed attempt of a delivery; it doubles with each failure.
        backoff_most: the longest wait between two attempts of a delivery.
        save_cursors: after which the cursors are written to the database although few events were delivered since. A
            relay that is killed delivers the events again that came after the last save.
        notify_first: between the first two attempts of a notifier; four times as long after each further failure.
        notify_most: the longest wait between two attempts of a notifier.
        notify_claim: for which an attempt of a notifier belongs to the process that began it. If that dies, another one
            tries after that. Must exceed the time that an attempt can take, 10 seconds for an HTTP request.
        alerts_look: between two checks of the alerts that no event triggers: of silence and of deliveries.
        alerts_retry: until alerts are checked again after an error, such as a locked database.
        tasks_watch: for which the relay restores a status in the tasks file. Task Master overwrites what was set
            since it read the file, and it waits 2.5 seconds for a lock after that.
        tasks_look: between two looks at the tasks file during `tasks_watch`.
        titles_look: between two looks at the tasks file for new titles.
        command_grace: that the command of a trigger has to end by itself after it was asked to, before it is killed.
    """

    poll: float = 0.025
    tick: float = 0.1
    dead_after: float = 0.3
    linger: float = 1.0
    retry_linger: float = 60.0
    backoff_first: float = 0.5
    backoff_most: float = 300.0
    save_cursors: float = 0.2
    notify_first: float = 2.0
    notify_most: float = 128.0
    notify_claim: float = 60.0
    alerts_look: float = 0.5
    alerts_retry: float = 5.0
    tasks_watch: float = 10.0
    tasks_look: float = 0.25
    titles_look: float = 5.0
    command_grace: float = 2.0

    @classmethod
    def parse(cls, text: str) -> Timing:
        """Return the defaults, changed by a text such as ``linger=0.1,backoff_first=0.02``.

        Raises:
            ValueError: the text names a time that does not exist, or its value is not a number.
        """
        pairs = [part.partition("=") for part in text.split(",") if part]
        changes = {name.strip(): float(value) for name, _, value in pairs}
        unknown = changes.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"there is no waiting time named {', '.join(sorted(unknown))}")
        return replace(DEFAULTS, **changes)


DEFAULTS = Timing()
"""The waiting times in production."""
