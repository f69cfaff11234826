"""The same receiver and project as the relay's tests have."""

from __future__ import annotations

from tests.relay.conftest import lab, receiver

__all__ = ["lab", "receiver"]
