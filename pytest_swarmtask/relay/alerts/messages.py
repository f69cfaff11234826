"""What people are told of a case: what, where, since when, how it compares, a link, and the next step."""

from __future__ import annotations

import shlex
import uuid
from typing import TYPE_CHECKING

import msgspec

from pytest_swarmtask.relay.delivery.templates import fill, variables
from pytest_swarmtask.relay.notify.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.config.monitoring import Alert
    from pytest_swarmtask.history.query import Run
    from pytest_swarmtask.relay.alerts.evaluation import Evaluation

_TITLE = 150
_SHORT = 12
"""Digits of a commit or a run that people are shown."""


def message(alert: Alert, case: Evaluation, project: str, since: str) -> Message:
    """Return what is told when a case holds.

    Args:
        alert: the alert.
        case: what its condition says.
        project: who reports.
        since: since when it holds, UTC, RFC 3339.
    """
    title = f"{project}: {case.text}"
    title = title if len(title) <= _TITLE else f"{title[:_TITLE]}…"
    link = (case.run.ci_url or "") if case.run else ""
    text = "\n".join(_lines(alert, case, since, link))
    place = case.event.metadata.get("location") if case.event else None
    made = Message(
        name=alert.name,
        title=title,
        text=text,
        severity=alert.severity,
        subject=case.subject,
        since=since,
        link=link,
        place=place if isinstance(place, str) else "",
        values=variables(case.event) if case.event else {"task_id": case.subject, "metadata": {}},
    )
    if alert.message is None:
        return made
    known = {**made.values, "name": alert.name, "title": title, "text": text, "since": since, "link": link}
    return msgspec.structs.replace(made, text=fill(alert.message, known))


def _lines(alert: Alert, case: Evaluation, since: str, link: str) -> Iterator[str]:
    yield case.text
    if case.compared:
        yield f"compared: {case.compared}"
    where = _where(case.run)
    if where:
        yield f"where: {where}"
    yield f"since: {since}"
    if link:
        yield f"link: {link}"
    yield f"next: {case.next or _next(case)}"
    yield f"alert: {alert.name} ({alert.severity})"


def _where(run: Run | None) -> str:
    if run is None:
        return ""
    facts = (
        ("branch", run.branch),
        ("commit", run.commit[:_SHORT] if run.commit else None),
        ("environment", run.environment),
        ("host", run.host),
        ("CI", run.ci),
    )
    return ", ".join(f"{name} {value}" for name, value in facts if value)


def _next(case: Evaluation) -> str:
    if case.event is None:
        return "swarmtask status"
    if case.event.event_type.startswith("TEST_") and case.event.task_id:
        return f"swarmtask tests {shlex.quote(case.event.task_id)}"
    return f"swarmtask report --run {case.event.trace_id[:_SHORT]}"


def resolved(told: Message, case: Evaluation, now: str) -> Message:
    """Return what is told when all is well again, after what was told before."""
    lines = [f"all is well again: {case.text or told.subject}", f"it was: {told.title}"]
    lines += [f"from: {told.since}", f"to: {now}"]
    link = (case.run.ci_url or "") if case.run else ""
    lines += [f"link: {link}"] if link else []
    lines.append(f"alert: {told.name} ({told.severity})")
    return msgspec.structs.replace(
        told,
        id=uuid.uuid4().hex,
        title=f"resolved: {told.title}",
        text="\n".join(lines),
        resolved=True,
        link=link,
        place="",
    )
