"""The same receiver and project as the relay's tests have, and the terminals of those of `run`."""

from __future__ import annotations

from tests.relay.conftest import lab, receiver
from tests.run.conftest import terminal, watched

__all__ = ["lab", "receiver", "terminal", "watched"]
