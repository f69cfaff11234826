"""The meaning of a receiver's answer to an OTLP request, as the specification of OTLP/HTTP says.

Only 429, 502, 503 and 504 are about the moment. See https://opentelemetry.io/docs/specs/otlp/#otlphttp-response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_swarmtask.plugins.sink import Delivered, Rejected, Retry, SendResult, Split, Stopped
from pytest_swarmtask.relay.http import answers
from pytest_swarmtask.wire.otlp.requests import partial_success

if TYPE_CHECKING:
    from pytest_swarmtask.relay.http.transport import Answer

_RETRIED = (429, 502, 503, 504)
_STOPPING = {
    401: "it wants credentials: check headers, or the variable with the headers",
    403: "it does not let this sender in: check headers, or the variable with the headers",
    404: "nobody takes OTLP at this address; correct its url",
    405: "nobody takes OTLP at this address; correct its url",
    415: "it does not take OTLP in protobuf: use the address of one that does, such as a Collector",
}
"""What stops an endpoint: another event would get the same answer."""


def result_of(answer: Answer, count: int, where: str, *, is_single: bool) -> SendResult:
    """Return the meaning of an answer.

    Args:
        answer: the answer.
        count: how many events were sent.
        where: the endpoint for messages, without secrets.
        is_single: whether a refusal can only be about one event.
    """
    status = answer.status
    said = f"{where} answered {answers.phrase(status)}"
    if status in _STOPPING:
        return Stopped(f"{said}: {_STOPPING[status]}")
    if 200 <= status < 300:
        return _accepted(answer, count, where, is_single=is_single)
    found = answers.result_of(answer, 1 if is_single else 2, where)
    if isinstance(found, Retry) and status not in _RETRIED:  # other senders of webhooks may retry it
        return Rejected(said) if is_single else Split(said)
    return found


def _accepted(answer: Answer, count: int, where: str, *, is_single: bool) -> SendResult:
    """Return what an accepted request means. What the receiver has refused of it must not be sent again."""
    rejected, message = partial_success(answer.headers.get("content-type", ""), answer.body)
    if not rejected:
        return Delivered()
    reason = f"{where} accepted the request but refused {rejected} of its items: {message or 'it does not say why'}"
    return Rejected(reason) if is_single else Delivered(min(rejected, count), reason)
