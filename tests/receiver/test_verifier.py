"""The verifier accepts genuine, fresh and permitted events, recognises duplicates, and gives reasons for refusals."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
import standardwebhooks

from pytest_swarmtask.core import errors
from pytest_swarmtask.core.event import EVENT_TYPES, Event
from pytest_swarmtask.plugins.sink import PendingEvent
from pytest_swarmtask.receiver import (
    AgeError,
    BodyError,
    Seen,
    SenderError,
    SignatureError,
    SizeError,
    Verifier,
    WebhookError,
)
from pytest_swarmtask.wire import cloudevents, formats, signing

OLD, NEW, DEPLOYER = (signing.new_secret() for _ in range(3))
ROLES = {"developer": (NEW, ["emit:TASK_*", "emit:TEST_*"]), "deployer": ([DEPLOYER, OLD], ["*"])}


def record(number: int = 0, event_type: str = "TASK_STARTED", event_id: str = "", **metadata: str) -> PendingEvent:
    event = Event(
        event_id or f"ab-{number}", event_type, f"task {number}", "started", "2024-01-15T10:30:00.250Z", "project",
        "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", None, metadata,
    )  # fmt: skip
    line = event.encode().rstrip(b"\n")
    return PendingEvent(line, event, "segment", len(line) + 1)


def signed(body: bytes, *secrets: str, webhook_id: str = "w1", at: float | None = None) -> dict[str, str]:
    timestamp = int(time.time() if at is None else at)
    keys = [signing.decode_secret(secret) for secret in secrets or (NEW,)]
    return {
        "Webhook-Id": webhook_id,
        "Webhook-Timestamp": str(timestamp),
        "Webhook-Signature": signing.sign(keys, webhook_id, timestamp, body),
    }


def body_of(*records: PendingEvent, form: str = "cloudevents", batch: bool = False) -> bytes:
    return formats.by_name(form).body(records, batch=batch)


class TestWhatIsLetIn:
    @pytest.mark.parametrize("batch", [False, True])
    @pytest.mark.parametrize("form", ["cloudevents", "cdevents", "plain"])
    def test_the_events_of_every_format_come_out_as_they_were(self, form: str, batch: bool) -> None:
        records = [record(n, name) for n, name in enumerate(EVENT_TYPES)]
        verifier = Verifier(NEW)
        for some in [records] if batch else [[one] for one in records]:
            body = body_of(*some, form=form, batch=batch)
            received = verifier.verify(signed(body), body)
            assert received.events == received.new == [json.loads(one.line) for one in some]
            assert (received.webhook_id, received.roles, received.duplicates) == ("w1", (), 0)

    @pytest.mark.parametrize(
        "accepted",
        [NEW, [OLD, NEW], [signing.decode_secret(NEW)], (b"other", NEW)],
        ids=["one", "several", "bytes", "both"],
    )
    def test_one_of_several_secrets_is_enough(self, accepted: Any) -> None:
        body = body_of(record())
        assert Verifier(accepted).verify(signed(body), body).new

    def test_what_the_official_library_signs_is_let_in(self) -> None:
        import datetime as dt

        now = dt.datetime.now(dt.timezone.utc)
        body = body_of(record())
        headers = {"webhook-id": "w1", "webhook-timestamp": str(int(now.timestamp()))}
        headers["webhook-signature"] = standardwebhooks.Webhook(NEW).sign("w1", now, body.decode())
        assert Verifier(NEW).verify(headers, body).new

    def test_a_ping_is_nothing_to_act_on(self) -> None:
        for batch in (False, True):
            body = cloudevents.ping("ping_1", "project", time.time(), batch=batch)
            received = Verifier(roles=ROLES).verify(signed(body), body)
            assert (len(received.events), received.new, received.duplicates) == (1, [], 0)

    def test_what_is_not_ours_comes_as_it_is(self) -> None:
        received = Verifier(NEW).verify(signed(b'{"a": 1}'), b'{"a": 1}')
        assert received.new == [{"a": 1}]


class TestWhatIsRefused:
    def test_a_forged_request(self) -> None:
        body = body_of(record())
        for headers, given in (
            (signed(body, OLD), body),
            (signed(body), body + b" "),
            ({**signed(body), "Webhook-Id": "w2"}, body),
            ({}, body),
        ):
            with pytest.raises(SignatureError) as caught:
                Verifier(NEW).verify(headers, given)
            assert caught.value.status == 401
            assert not isinstance(caught.value, AgeError)

    @pytest.mark.parametrize("webhook_id", ["\ud800", "a\x00", "a\nb", "a.b", "", " "])
    def test_an_id_that_the_standard_forbids(self, webhook_id: str) -> None:
        with pytest.raises(SignatureError, match="webhook-id"):
            Verifier(NEW).verify({**signed(b"{}"), "Webhook-Id": webhook_id}, b"{}")

    @pytest.mark.parametrize(("age", "accepted"), [(299, True), (-299, True), (302, False), (-302, False)])
    def test_a_request_of_another_time(self, age: int, accepted: bool) -> None:
        body = body_of(record())
        headers = signed(body, at=time.time() - age)
        if accepted:
            assert Verifier(NEW).verify(headers, body).new
            return
        with pytest.raises(AgeError) as caught:
            Verifier(NEW).verify(headers, body)
        assert caught.value.status == 401
        assert Verifier(NEW, tolerance=1000).verify(headers, body).new

    @pytest.mark.parametrize(
        "body",
        [b"", b"{", b"\xff\xfe", b"1", b'"text"', b"[1]", b"null", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000],
        ids=lambda body: repr(body[:8]),
    )
    def test_a_body_that_is_no_json_object(self, body: bytes) -> None:
        with pytest.raises(BodyError) as caught:
            Verifier(NEW).verify(signed(body), body)
        assert caught.value.status == 400

    def test_the_signature_is_checked_before_the_body_is_read(self) -> None:
        with pytest.raises(SignatureError):
            Verifier(NEW).verify(signed(b"{", OLD), b"{")

    def test_a_body_that_is_too_large(self) -> None:
        body = body_of(record())
        with pytest.raises(SizeError) as caught:
            Verifier(NEW, max_body=len(body) - 1).verify(signed(body), body)
        assert caught.value.status == 413
        assert Verifier(NEW, max_body=len(body)).verify(signed(body), body).new

    def test_every_refusal_is_one_kind_of_error(self) -> None:
        assert all(
            issubclass(one, WebhookError) for one in (AgeError, BodyError, SenderError, SignatureError, SizeError)
        )
        assert issubclass(WebhookError, errors.SwarmtaskError)


class TestTwice:
    def test_an_event_that_comes_again_is_a_duplicate_and_no_forgery(self) -> None:
        verifier, body = Verifier(NEW), body_of(record())
        assert verifier.verify(signed(body), body).new
        again = verifier.verify(signed(body, at=time.time() + 1), body)
        assert (len(again.events), again.new, again.duplicates) == (1, [], 1)

    def test_in_another_batch_it_is_one_too(self) -> None:
        verifier = Verifier(NEW)
        for numbers, expected in (((0, 1), [0, 1]), ((1, 2), [2]), ((0, 2, 2), [])):
            body = body_of(*map(record, numbers), batch=True)
            received = verifier.verify(signed(body, webhook_id=f"b{numbers}".replace(" ", "")), body)
            assert [event["task_id"] for event in received.new] == [f"task {n}" for n in expected]

    def test_what_has_no_id_is_known_by_its_request(self) -> None:
        verifier, body = Verifier(NEW), b'[{"a": 1}, {"a": 1}]'
        assert len(verifier.verify(signed(body), body).new) == 2
        assert verifier.verify(signed(body), body).duplicates == 2
        assert len(verifier.verify(signed(body, webhook_id="w2"), body).new) == 2

    def test_a_refused_request_is_not_remembered(self) -> None:
        verifier = Verifier(roles=ROLES)
        body = body_of(record(1), record(2, "BUILD_STARTED"), batch=True)
        with pytest.raises(SenderError):
            verifier.verify(signed(body), body)
        body = body_of(record(1))
        assert verifier.verify(signed(body), body).new

    def test_what_could_not_be_kept_is_new_again(self) -> None:
        verifier = Verifier(NEW)
        body = body_of(record(1))
        verifier.verify(signed(body), body)
        body = body_of(record(1), record(2), batch=True)
        received = verifier.verify(signed(body), body)
        verifier.forget(received)
        again = verifier.verify(signed(body), body)
        assert ([event["id"] for event in again.new], again.duplicates) == (["ab-2"], 1)

    def test_roles_do_not_use_up_each_other_s_ids(self) -> None:
        verifier, body = Verifier(roles=ROLES), body_of(record())
        assert verifier.verify(signed(body), body).new
        received = verifier.verify(signed(body, DEPLOYER), body)
        assert received.new
        verifier.forget(received)
        assert verifier.verify(signed(body, DEPLOYER), body).new

    def test_the_memory_is_bounded_in_time_and_number(self) -> None:
        now = [0.0]
        seen = Seen(10.0, 3, lambda: now[0])
        assert [seen.add(name) for name in ("a", "b", "a", "c")] == [True, True, False, True]
        assert seen.add("d")
        assert len(seen) == 3
        assert seen.add("b")  # `b` was the oldest id and was removed for `d`
        now[0] = 10.0
        assert seen.add("a")
        assert len(seen) == 1

    def test_ids_of_any_length_take_the_same_room(self) -> None:
        seen = Seen()
        seen.add("x" * 1_000_000 + "\ud800")
        assert max(map(len, seen._until)) == 16

    def test_of_many_threads_one_gets_it_as_new(self) -> None:
        verifier, body = Verifier(NEW), body_of(record())
        headers, found = signed(body), []
        barrier = threading.Barrier(8)

        def run() -> None:
            barrier.wait()
            found.append(len(verifier.verify(headers, body).new))

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [0] * 7 + [1]

    def test_a_body_of_very_many_objects_is_refused(self) -> None:
        body = b"[" + b",".join([b"{}"] * 10_001) + b"]"
        with pytest.raises(SizeError, match="has 10001 events, at most 10000 are accepted") as caught:
            Verifier(NEW).verify(signed(body), body)
        assert caught.value.status == 413


class TestRoles:
    @pytest.mark.parametrize("form", ["cloudevents", "cdevents", "plain"])
    def test_a_role_may_send_what_it_is_allowed(self, form: str) -> None:
        for number, name in enumerate(EVENT_TYPES):
            body = body_of(record(number, name), form=form)
            deployer = Verifier(roles=ROLES).verify(signed(body, DEPLOYER), body)
            assert (deployer.roles, len(deployer.new)) == (("deployer",), 1)
            if name.startswith(("TASK_", "TEST_")):
                assert Verifier(roles=ROLES).verify(signed(body, NEW), body).roles == ("developer",)
                continue
            with pytest.raises(SenderError, match=f"the role developer may not send '{name}'") as caught:
                Verifier(roles=ROLES).verify(signed(body, NEW), body)
            assert caught.value.status == 403

    def test_one_forbidden_event_refuses_its_whole_batch(self) -> None:
        body = body_of(record(1), record(2, "DEPLOYMENT_COMPLETED"), batch=True)
        with pytest.raises(SenderError, match="DEPLOYMENT_COMPLETED"):
            Verifier(roles=ROLES).verify(signed(body), body)

    def test_what_two_roles_have_signed_either_may_send(self) -> None:
        """An event signed by two roles is accepted if either role has the permission.

        The relay signs in this way, with the webhook's secret and with the role's.
        """
        body = body_of(record(1, "DEPLOYMENT_STARTED"))
        received = Verifier(roles=ROLES).verify(signed(body, NEW, DEPLOYER), body)
        assert (received.roles, len(received.new)) == (("developer", "deployer"), 1)

    def test_the_former_secret_of_a_role_holds_while_it_is_named(self) -> None:
        body = body_of(record(1, "DEPLOYMENT_STARTED"))
        assert Verifier(roles=ROLES).verify(signed(body, OLD), body).roles == ("deployer",)

    @pytest.mark.parametrize(
        "forged",
        [
            {"type": "dev.swarmtask.deployment.completed", "data": {"event_type": "TASK_STARTED"}},
            {"type": "dev.swarmtask.task.started", "data": {"event_type": "DEPLOYMENT_COMPLETED"}},
            {"type": "x.y", "data": {"event_type": "TASK_STARTED"}},
            {"event_type": "DEPLOYMENT_STARTED", "data": {"event_type": "TASK_STARTED"}},
            {"event_type": "TASK_STARTED", "type": "dev.swarmtask.build.started"},
            {"type": "dev.cdevents.taskrun.started.0.3.0", "data": {"customData": {"event_type": "BUILD_STARTED"}}},
            {"type": "dev.cdevents.build.started.0.3.0", "data": {}},
            {"type": "dev.cdevents.service.deployed.0.3.0", "data": {"customData": {"event_type": "TASK_STARTED"}}},
            {"type": "dev.cdevents.build.started.0.3.0", "data": {"customData": {"event_type": "TASK_STARTED"}}},
            {"type": "dev.cdevents.", "data": {"customData": {"event_type": "TASK_STARTED"}}},
            {"event_type": "TASK_\nDEPLOYMENT"},
            {"event_type": "TASK_STARTED\n"},
            {"event_type": "TASK_*"},
            {"event_type": "TASK_ STARTED"},
            {"type": "dev.swarmtask.ping", "data": {"event_type": "DEPLOYMENT_STARTED"}},
            {"type": "dev.swarmtask.ping", "event_type": "DEPLOYMENT_STARTED"},
            {"type": ["dev.swarmtask.task.started"]},
            {"event_type": ["TASK_STARTED"]},
            {"event_type": {"TASK_STARTED": 1}, "type": "dev.swarmtask.task.started"},
            {"type": "something.else"},
            {"type": "DEV.SWARMTASK.TASK.STARTED"},
            {},
        ],
    )  # fmt: skip
    def test_nothing_is_said_on_the_quiet(self, forged: dict[str, Any]) -> None:
        body = json.dumps(forged).encode()
        with pytest.raises(SenderError):
            Verifier(roles=ROLES).verify(signed(body), body)
        assert Verifier(roles=ROLES).verify(signed(body, DEPLOYER), body).events

    @pytest.mark.parametrize("event_type", [name for name in EVENT_TYPES if name.startswith("TASK_")])
    def test_a_session_is_a_test_suite_in_cdevents(self, event_type: str) -> None:
        body = body_of(record(1, event_type, workflow="pytest", action="session"), form="cdevents")
        assert b"dev.cdevents.testsuiterun." in body
        assert Verifier(roles=ROLES).verify(signed(body, NEW), body).roles == ("developer",)

    def test_a_type_of_a_later_version_is_one_that_a_glob_can_name(self) -> None:
        body = json.dumps({"event_type": "TASK_POSTPONED"}).encode()
        assert Verifier(roles=ROLES).verify(signed(body, NEW), body).roles == ("developer",)

    def test_a_long_type_is_not_repeated_whole(self) -> None:
        body = json.dumps({"event_type": "X" * 100_000}).encode()
        with pytest.raises(SenderError) as caught:
            Verifier(roles=ROLES).verify(signed(body), body)
        assert len(str(caught.value)) < 200


class TestMaking:
    @pytest.mark.parametrize("secrets", [(), "", [""], None])
    def test_without_a_secret_there_is_no_verifier(self, secrets: Any) -> None:
        with pytest.raises(errors.ConfigError, match="no secret"):
            Verifier(secrets or ())
        with pytest.raises(errors.ConfigError, match="no secret"):
            Verifier(roles={"a": (NEW, ["*"]), "b": (secrets or (), ["*"])})

    def test_a_secret_beside_roles_would_allow_everything(self) -> None:
        with pytest.raises(errors.ConfigError, match="both secrets and roles"):
            Verifier(NEW, roles=ROLES)

    def test_a_malformed_secret_is_not_repeated(self) -> None:
        with pytest.raises(errors.ConfigError) as caught:
            Verifier("whsec_hunter2!")
        assert "hunter2" not in str(caught.value)
        assert NEW not in repr(Verifier(NEW))
