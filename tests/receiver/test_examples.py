"""The receivers in `docs/webhooks.md` work unchanged in their frameworks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from pytest_swarmtask.receiver import Verifier, WebhookError
from pytest_swarmtask.wire import cloudevents
from tests.lab import REPOSITORY
from tests.receiver.test_verifier import DEPLOYER, NEW, body_of, record, signed

PAGE = (REPOSITORY / "docs" / "webhooks.md").read_text("utf-8")
Post = Callable[[bytes, dict[str, str]], tuple[int, str]]


def example(sign: str) -> str:
    """Return the only Python block that contains this text."""
    (found,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if sign in block]
    return str(found)


def flask() -> Post:
    written: dict[str, Any] = {"__name__": "example"}
    exec(example("from flask"), written)
    client = written["app"].test_client()

    def post(body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        answer = client.post("/hook", data=body, headers=headers)
        return answer.status_code, answer.text

    return post


def fastapi() -> Post:
    written: dict[str, Any] = {"__name__": "example"}
    exec(compile(example("from fastapi"), "example", "exec", dont_inherit=True), written)

    async def send(body: bytes, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(written["app"])
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver.example") as client:
            return await client.post("/hook", content=body, headers=headers)

    def post(body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        answer = asyncio.run(send(body, headers))
        return answer.status_code, answer.text

    return post


@pytest.mark.parametrize("framework", [flask, fastapi])
def test_a_receiver(
    framework: Callable[[], Post], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A receiver handles an event once, accepts repetitions and pings with 2xx, and refuses forged or invalid ones."""
    monkeypatch.setenv("AUTOMATION_SECRET_KEY", NEW)
    post = framework()
    body = body_of(record())
    assert post(body, signed(body)) == (204, "")
    assert post(body, signed(body)) == (204, "")
    ping = cloudevents.ping("ping_1", "project", 0, batch=False)
    assert post(ping, signed(ping)) == (204, "")
    assert capsys.readouterr().out == "TASK_STARTED task 0\n"
    status, text = post(body, signed(body, DEPLOYER))
    assert (status, text[:20]) == (401, "no signature matches")
    assert post(b"{", signed(b"{"))[0] == 400
    assert post(b" " * 5_000_001, signed(b" " * 5_000_001))[0] == 413


def test_the_receiver_with_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOMATION_SECRET_KEY", NEW)
    monkeypatch.setenv("DEPLOYER_SECRET_KEY", DEPLOYER)
    written: dict[str, Any] = {"Verifier": Verifier}
    exec("import os\n" + example("roles={"), written)
    body = body_of(record(event_type="DEPLOYMENT_STARTED"))
    with pytest.raises(WebhookError, match="the role developer may not send"):
        written["verifier"].verify(signed(body), body)
    assert written["verifier"].verify(signed(body, DEPLOYER), body).new


def test_the_table_names_every_error_with_its_status() -> None:
    from pytest_swarmtask import receiver

    rows = dict(re.findall(r"^\| `(\w+Error)`.*\| (\d+) \|$", PAGE, re.MULTILINE))
    errors = [name for name in receiver.__all__ if name.endswith("Error") and name != "WebhookError"]
    assert rows == {name: str(getattr(receiver, name).status) for name in errors}
