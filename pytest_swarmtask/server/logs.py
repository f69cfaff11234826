"""The log of the server: one line for each entry on standard error, as ``name=value`` or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.core.trace import Clock

_LEVELS = {
    "swarmtask": logging.INFO,
    "pytest_swarmtask.relay": logging.INFO,  # alerts and notifiers, here as in a relay
    "uvicorn": logging.WARNING,
    "psycopg.pool": logging.ERROR,
}


class _Lines(logging.Formatter):
    """Writes an entry with its facts."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._clock = Clock()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an entry."""
        entry: dict[str, Any] = {
            "time": self._clock.timestamp(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        if self._as_json:
            return json.dumps(entry)
        return neutral(" ".join(f"{name}={_quoted(value)}" for name, value in entry.items()))


def _quoted(value: Any) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(sign in text for sign in ' ="') else text


def set_up_log(*, as_json: bool) -> None:
    """Send the entries of the server and of uvicorn to standard error. Accepted webhooks are not listed one by one."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(as_json=as_json))
    for name, level in _LEVELS.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
