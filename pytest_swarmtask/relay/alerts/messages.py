"""The text of alerts: what happened, how it compares, where, whose it is, since when, a link, and the next step."""

from __future__ import annotations

import shlex
import uuid
from typing import TYPE_CHECKING, Protocol

import msgspec

from pytest_swarmtask.relay.delivery.templates import fill, variables
from pytest_swarmtask.relay.notify.message import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_swarmtask.config.monitoring import Alert
    from pytest_swarmtask.core.event import Event
    from pytest_swarmtask.history.query import Run
    from pytest_swarmtask.relay.alerts.evaluation import Evaluation

_TITLE = 150
"""Characters of a title."""
_SHORT = 12
"""Digits of a commit or a run in a message: enough to be unique in a project."""


class Guide(Protocol):
    """Tells people where they learn more."""

    def project(self, evaluation: Evaluation) -> str:
        """Return the name of the project that an evaluation is about."""

    def link(self, evaluation: Evaluation) -> str:
        """Return an address to read more at, or an empty text."""

    def next(self, evaluation: Evaluation) -> str:
        """Return the next step: a command that shows more."""


class LocalGuide:
    """Leads to the CI run, and to commands that ask the history of this machine.

    Args:
        source: the name of the project for evaluations without an event, which would have it.
    """

    def __init__(self, source: str) -> None:
        self._source = source

    def project(self, evaluation: Evaluation) -> str:
        """Return the source of the event."""
        return evaluation.event.source if evaluation.event else self._source

    def link(self, evaluation: Evaluation) -> str:
        """Return the address of the CI run."""
        return ci_link(evaluation)

    def next(self, evaluation: Evaluation) -> str:
        """Return the command for the test or the run."""
        if evaluation.event is None:
            return "swarmtask status"
        if is_about_test(evaluation.event):
            return f"swarmtask tests {shlex.quote(evaluation.event.task_id or '')}"
        return f"swarmtask report --run {evaluation.event.trace_id[:_SHORT]}"


def ci_link(evaluation: Evaluation) -> str:
    """Return the address of the CI run of an evaluation, or an empty text."""
    return (evaluation.run.ci_url or "") if evaluation.run else ""


def is_about_test(event: Event) -> bool:
    """Whether an event is about a test with a name."""
    return event.event_type.startswith("TEST_") and bool(event.task_id)


def message(alert: Alert, evaluation: Evaluation, guide: Guide, since: str) -> Message:
    """Return the message of an active alert.

    Args:
        alert: the alert.
        evaluation: why it is active.
        guide: tells where people learn more.
        since: since when it is active, as UTC in RFC 3339.
    """
    title = f"{guide.project(evaluation)}: {evaluation.text}"
    title = title if len(title) <= _TITLE else f"{title[:_TITLE]}…"
    link = guide.link(evaluation)
    text = "\n".join(_lines(alert, evaluation, since, link, evaluation.next or guide.next(evaluation)))
    place = evaluation.event.metadata.get("location") if evaluation.event else None
    made = Message(
        name=alert.name,
        title=title,
        text=text,
        severity=alert.severity,
        subject=evaluation.subject,
        since=since,
        link=link,
        place=place if isinstance(place, str) else "",
        values=variables(evaluation.event) if evaluation.event else {"task_id": evaluation.subject, "metadata": {}},
    )
    if alert.message is None:
        return made
    known = {**made.values, "name": alert.name, "title": title, "text": text, "since": since, "link": link}
    return msgspec.structs.replace(made, text=fill(alert.message, known))


def _lines(alert: Alert, evaluation: Evaluation, since: str, link: str, step: str) -> Iterator[str]:
    yield evaluation.text
    if evaluation.compared:
        yield f"compared: {evaluation.compared}"
    where = _where(evaluation.run)
    if where:
        yield f"where: {where}"
    if evaluation.owners:
        yield f"owner: {', '.join(evaluation.owners)}"
    yield f"since: {since}"
    if link:
        yield f"link: {link}"
    yield f"next: {step}"
    yield f"alert: {alert.name} ({alert.severity})"


def _where(run: Run | None) -> str:
    """Return where the event happened, as far as it is known."""
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


def resolved(sent: Message, evaluation: Evaluation, guide: Guide, now: str) -> Message:
    """Return the message of a resolved alert.

    Args:
        sent: the message that was sent when the alert was active.
        evaluation: why it is no longer active.
        guide: tells where people learn more.
        now: the time of that, as UTC in RFC 3339.
    """
    lines = [f"all is well again: {evaluation.text or sent.subject}", f"it was: {sent.title}"]
    lines += [f"from: {sent.since}", f"to: {now}"]
    link = guide.link(evaluation)
    lines += [f"link: {link}"] if link else []
    lines.append(f"alert: {sent.name} ({sent.severity})")
    return msgspec.structs.replace(
        sent,
        id=uuid.uuid4().hex,  # a message of its own: receivers drop a second one with the same id
        title=f"resolved: {sent.title}",
        text="\n".join(lines),
        resolved=True,
        link=link,
        place="",
    )
