"""How `listen` prints what arrives: one line for each event, or one JSON object."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.core.text import neutral, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLORS = {"STARTED": "36", "COMPLETED": "32", "PASSED": "32", "FAILED": "31", "SKIPPED": "33"}


class Arrival(NamedTuple):
    """One request.

    Attributes:
        verified: whether a signature is valid; None if there is no secret to check it with.
        signed: whether the request has a signature.
        webhook_id: the header ``webhook-id``, or "".
        events: its events in the plain format. An object of an unknown format is as it came.
        refusal: why it was refused, or "".
        again: those of its events that had come before.
    """

    verified: bool | None
    signed: bool
    webhook_id: str
    events: list[dict[str, Any]]
    refusal: str = ""
    again: list[dict[str, Any]] = []  # noqa: RUF012 - never changed


class Printer:
    """Prints to standard output: one line for each event, or one JSON object."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def greet(self, url: str) -> None:
        """Print the URL to send events to."""
        self._write(json.dumps({"listening": url}) if self._json else url)

    def farewell(self, total: dict[str, int]) -> None:
        """Print the totals. As JSON they go to standard error, so that standard output has only events."""
        if self._json:
            print(json.dumps(total), file=sys.stderr)
        else:
            self._write(
                f"{plural(total['events'], 'event')}, {total['verified']} verified, {total['refused']} refused, "
                f"{plural(total['duplicates'], 'duplicate')}"
            )

    def show(self, arrival: Arrival) -> bool:
        """Print the events of a request. Return True if nobody reads standard output any more."""
        try:
            lines = [self._line(arrival, event) for event in arrival.events]
        except RecursionError:
            lines = ["an event too deeply nested to be shown"]
        if arrival.refusal:
            lines.append(self._refusal(arrival))
        return not self._write("\n".join(lines)) if lines else False

    def _line(self, arrival: Arrival, event: dict[str, Any]) -> str:
        if self._json:
            about = {"verified": arrival.verified, "webhook_id": arrival.webhook_id}
            return json.dumps({**about, "duplicate": _is_among(event, arrival.again), "event": event})
        kind = _text(event, "event_type", "type")
        parts = [
            f"{_text(event, 'timestamp', 'time')[11:23]:<12}",
            self._colored(f"{kind:<20}", _COLORS.get(kind.rpartition("_")[2])),
            _text(event, "task_id", "subject"),
            *_facts(event.get("metadata")),
            "verified" if arrival.verified else "unverified" if arrival.signed else "unsigned",
            *(["duplicate"] if _is_among(event, arrival.again) else []),
        ]
        return "  ".join(parts)

    def _colored(self, text: str, color: str | None) -> str:
        return f"\x1b[{color}m{text}\x1b[0m" if color and self._color else text

    def _refusal(self, arrival: Arrival) -> str:
        if self._json:
            about = {"verified": arrival.verified, "webhook_id": arrival.webhook_id, "event": None}
            return json.dumps({**about, "refused": arrival.refusal})
        refused = self._colored(f"{'REFUSED':<20}", _COLORS["FAILED"])
        return f"{'':<12}  {refused}  {neutral(arrival.webhook_id) or '-'}  {neutral(arrival.refusal)}"

    def _write(self, text: str) -> bool:
        """Print in the encoding of the terminal. Return False if the reader of a pipe has ended."""
        encoding = sys.stdout.encoding or "utf-8"
        try:
            print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
        except (BrokenPipeError, ValueError):  # writing to a closed file is a ValueError
            return False
        return True


def _text(event: dict[str, Any], *names: str) -> str:
    """Return the first of these fields that is a text and not empty, made safe for a terminal; else ``-``."""
    return next((neutral(value) for name in names if isinstance(value := event.get(name), str) and value), "-")


def _is_among(event: dict[str, Any], events: list[dict[str, Any]]) -> bool:
    return any(event is other for other in events)  # identity, since a request may have two equal events


def _facts(metadata: object) -> Iterator[str]:
    """Yield the duration of an event, its outcome, and the first line of its error."""
    if not isinstance(metadata, dict):
        return
    duration = metadata.get("duration")
    if isinstance(duration, (int, float)) and abs(duration) < 1e9:  # anybody may have sent it; NaN is not below
        yield f"{duration:.3f}s"
    outcome = metadata.get("outcome")
    error = metadata.get("error")
    first = error.strip().partition("\n")[0][:200] if isinstance(error, str) else ""
    parts = [neutral(part) for part in (outcome, first) if isinstance(part, str) and part]
    if parts:
        yield ": ".join(parts)
