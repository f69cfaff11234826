"""A receiver and a project that reports to it."""

from __future__ import annotations

from tests.relay.conftest import lab, receiver

__all__ = ["lab", "receiver"]
