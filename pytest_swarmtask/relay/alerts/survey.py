"""The alerts part of `swarmtask status`: which alerts are active, and which messages could not be sent."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_swarmtask.core.text import plural
from pytest_swarmtask.relay.alerts.state import ActiveAlert, active_alerts
from pytest_swarmtask.relay.delivery.memory import RelayMemory
from pytest_swarmtask.relay.notify.notifiers import failed_notifications

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.core.project import Project

_SHOWN = 5
"""Active alerts that are listed as text; `--json` has all."""


@dataclass
class AlertsSurvey:
    """The active alerts; and by notifier how many messages failed, and why the last one did."""

    active: list[ActiveAlert] = field(default_factory=list)
    failed: dict[str, tuple[int, str]] = field(default_factory=dict)

    def as_text(self) -> Iterator[str]:
        """Yield lines for people, or none if all is well."""
        for one in self.active[:_SHOWN]:
            yield f"firing     {one.alert} ({one.message.severity}): {one.message.title}, since {one.message.since}"
        if len(self.active) > _SHOWN:
            yield f"           and {len(self.active) - _SHOWN} more, see: swarmtask status --json"
        for name, (count, reason) in self.failed.items():
            messages = plural(count, "message")
            yield f"not told   {name}: {messages} failed; the last one: {reason}"

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON objects."""
        shown = [
            {
                "alert": one.alert,
                "subject": one.subject,
                "environment": one.environment or None,
                "severity": one.message.severity,
                "title": one.message.title,
                "since": one.message.since,
                "times": one.times,
            }
            for one in self.active
        ]
        failed = {name: {"failed": count, "reason": reason} for name, (count, reason) in self.failed.items()}
        return {"alerts_firing": shown, "notifications_failed": failed}


def survey_alerts(project: Project) -> AlertsSurvey:
    """Return the survey of a project. It is empty if no relay has run yet.

    Raises:
        sqlite3.Error: the relay's database cannot be read.
    """
    path = project.database
    if not os.path.exists(path):
        return AlertsSurvey()
    with contextlib.closing(RelayMemory(path)) as memory:
        return AlertsSurvey(active_alerts(memory), failed_notifications(memory))
