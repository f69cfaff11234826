"""The metrics of a server process, for Prometheus. Each process counts for itself."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Bounds of the histogram. A sender gives up after 10 seconds."""


class ServerMetrics:
    """What a server process counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "swarmtask_requests", "Requests, by kind and status.", ["kind", "status"], registry=self._registry
        )
        self.events = Counter(
            "swarmtask_events", "Events in accepted requests, repeated ones included.", registry=self._registry
        )
        self.seconds = Histogram(
            "swarmtask_request_seconds", "Seconds to answer.", ["kind"], buckets=_SECONDS, registry=self._registry
        )
        self.running = Gauge("swarmtask_requests_running", "Requests being answered.", registry=self._registry)
        self.refresh_seconds = Counter(
            "swarmtask_refresh_seconds", "Seconds spent on the totals of runs.", registry=self._registry
        )
        self.messages = Counter(
            "swarmtask_messages",
            "Messages of alerts, by notifier and result.",
            ["notifier", "result"],
            registry=self._registry,
        )

    def count_message(self, notifier: str, is_sent: bool) -> None:  # noqa: FBT001 - a callback
        """Count a message that was sent, or that has failed for good."""
        self.messages.labels(notifier, "sent" if is_sent else "failed").inc()

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
