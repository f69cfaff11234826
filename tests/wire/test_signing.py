"""Signatures follow Standard Webhooks: its own libraries accept our signatures and reject every change."""

from __future__ import annotations

import base64
import datetime as dt
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks

from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.service_errors import SignatureError
from pytest_swarmtask.wire import signing
from tests.lab import REPOSITORY
from tests.npm import installed

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
KEYS = {"": [signing.decode_secret(SECRET)]}
BODY = '{"id":"ab-1","task_id":"tests/test_ünïcode.py::test_ok","metadata":{"note":"a.b.c"}}'.encode()


def signed(
    body: bytes = BODY, message_id: str = "ab-1", timestamp: int | None = None, secrets: tuple[str, ...] = (SECRET,)
) -> dict[str, str]:
    timestamp = int(time.time()) if timestamp is None else timestamp
    keys = [signing.decode_secret(secret) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign(keys, message_id, timestamp, body),
    }


def changed(headers: dict[str, str], **changes: str) -> dict[str, str]:
    """Return the headers with some replaced; a value like ``+7`` is added to the present number."""
    replaced = dict(headers)
    for name, value in changes.items():
        header = name.replace("_", "-")
        replaced[header] = str(int(headers[header]) + int(value)) if value.startswith("+") else value
    return replaced


TAMPERED = [
    pytest.param({}, BODY + b" ", id="a byte more"),
    pytest.param({}, BODY.replace(b"ok", b"no"), id="a byte changed"),
    pytest.param({"webhook_id": "ab-2"}, BODY, id="another id"),
    pytest.param({"webhook_timestamp": "+7"}, BODY, id="another timestamp"),
    pytest.param({"webhook_signature": "v1," + base64.b64encode(bytes(32)).decode()}, BODY, id="another signature"),
]


class TestOfficialLibraries:
    def test_pypi_accepts_a_whsec_secret(self) -> None:
        standardwebhooks.Webhook(SECRET).verify(BODY, signed())

    def test_pypi_accepts_a_raw_secret_given_as_bytes(self) -> None:
        standardwebhooks.Webhook(b"just a passphrase").verify(BODY, signed(secrets=("just a passphrase",)))

    def test_pypi_signs_the_same(self) -> None:
        at = dt.datetime(2024, 1, 15, 10, 30, tzinfo=dt.timezone.utc)
        theirs = standardwebhooks.Webhook(SECRET).sign("ab-1", at, BODY.decode())
        assert signed(timestamp=int(at.timestamp()))["webhook-signature"] == theirs

    @pytest.mark.parametrize("secret", [SECRET, OLD])
    def test_pypi_accepts_either_secret_during_rotation(self, secret: str) -> None:
        standardwebhooks.Webhook(secret).verify(BODY, signed(secrets=(SECRET, OLD)))

    @pytest.mark.parametrize(("changes", "body"), TAMPERED)
    def test_pypi_refuses_what_was_changed(self, changes: dict[str, str], body: bytes) -> None:
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(SECRET).verify(body, changed(signed(), **changes))

    def test_pypi_refuses_another_secret(self) -> None:
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(OLD).verify(BODY, signed())

    def test_npm_accepts_ours_and_refuses_what_was_changed(self, npm_library: Path) -> None:
        good, rotated = signed(), signed(secrets=(OLD, SECRET))
        cases: list[tuple[str, dict[str, str], bytes]] = [
            (SECRET, good, BODY),
            (SECRET, rotated, BODY),
            (OLD, rotated, BODY),
            (OLD, good, BODY),
            (SECRET, good, BODY + b" "),
            (SECRET, changed(good, webhook_id="ab-2"), BODY),
            (SECRET, changed(good, webhook_timestamp="+7"), BODY),
        ]
        assert verified_by_npm(npm_library, cases) == [True, True, True, False, False, False, False]


class TestDocumentation:
    """The code for receivers in `docs/webhooks.md` works unchanged."""

    @staticmethod
    def snippet(language: str) -> str:
        page = (REPOSITORY / "docs" / "webhooks.md").read_text("utf-8")
        return page.partition(f"```{language}\n")[2].partition("```")[0]

    def test_the_python_receiver(self) -> None:
        written: dict[str, Any] = {}
        exec(self.snippet("python"), written)
        assert written["handle"](signed(), BODY, SECRET) == json.loads(BODY)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            written["handle"](signed(), BODY + b" ", SECRET)

    def test_the_javascript_receiver(self, npm_library: Path) -> None:
        program = self.snippet("js") + (
            "const [headers, body, secret] = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
            "console.log(JSON.stringify(handle(headers, body, secret)));"
        )
        given = json.dumps([signed(), BODY.decode(), SECRET]).encode()
        done = subprocess.run(["node", "-e", program], input=given, cwd=npm_library, capture_output=True, check=True)
        assert json.loads(done.stdout) == json.loads(BODY)


NODE_PROGRAM = """
const { Webhook } = require("standardwebhooks");
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(({ secret, headers, body }) => {
  try { new Webhook(secret).verify(body, headers); return true; } catch (error) { return false; }
})));
"""


def verified_by_npm(folder: Path, cases: list[tuple[str, dict[str, str], bytes]]) -> list[bool]:
    given = [{"secret": secret, "headers": headers, "body": body.decode()} for secret, headers, body in cases]
    done = subprocess.run(
        ["node", "-e", NODE_PROGRAM], input=json.dumps(given).encode(), cwd=folder, capture_output=True, check=True
    )
    found: list[bool] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def npm_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which node finds `standardwebhooks`."""
    return installed("standardwebhooks", "1", tmp_path_factory.mktemp("npm"))


class TestSecrets:
    def test_a_new_secret_is_whsec_and_32_random_bytes(self) -> None:
        secret = signing.new_secret()
        assert secret.startswith("whsec_")
        assert len(signing.decode_secret(secret)) == 32
        assert secret != signing.new_secret()

    def test_base64_may_lack_its_padding(self) -> None:
        assert signing.decode_secret(SECRET.rstrip("=")) == bytes(range(32))

    def test_any_other_text_is_taken_as_it_is(self) -> None:
        assert signing.decode_secret("a long pässword") == "a long pässword".encode()

    @pytest.mark.parametrize("around", ['"{}"', "'{}'", " {}", "{} ", "{}\n", "\ufeff{}", "\r\n{}"])
    @pytest.mark.parametrize("text", [SECRET, "a long password"])
    def test_what_stands_around_a_secret_is_an_error(self, text: str, around: str) -> None:
        with pytest.raises(
            ConfigError, match="starts or ends with a space, a line break, a quote or a byte order mark"
        ):
            signing.decode_secret(around.format(text))

    @pytest.mark.parametrize("before", ["v1,", "export KEY=", "whsec_"])
    def test_what_stands_before_the_prefix_is_an_error(self, before: str) -> None:
        with pytest.raises(ConfigError, match="has something before whsec_"):
            signing.decode_secret(before + SECRET)

    @pytest.mark.parametrize("text", ["a", "1234567", "whsec_MDEyMzQ1Ng=="])
    def test_a_secret_that_can_be_guessed_is_an_error(self, text: str) -> None:
        with pytest.raises(ConfigError, match="bytes, expected at least 8"):
            signing.decode_secret(text)

    @pytest.mark.parametrize("text", ["whsec_", "whsec_!!!", "whsec_abcde", "", '""', " ", "whsec_ä"])
    def test_a_malformed_secret_is_an_error_that_does_not_show_it(self, text: str) -> None:
        with pytest.raises(ConfigError) as caught:
            signing.decode_secret(text)
        assert "!!!" not in str(caught.value)
        assert "abcde" not in str(caught.value)


class TestVerify:
    def test_accepts_what_was_signed(self) -> None:
        signing.verify(signed(), BODY, KEYS)

    def test_accepts_header_names_in_any_case(self) -> None:
        headers = {name.title(): value for name, value in signed().items()}
        signing.verify(headers, BODY, KEYS)

    def test_accepts_what_the_official_library_signed(self) -> None:
        now = dt.datetime.now(dt.timezone.utc)
        theirs = standardwebhooks.Webhook(SECRET).sign("m1", now, BODY.decode())
        headers = {
            "webhook-id": "m1",
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": f"v1a,unknown {theirs}",
        }
        signing.verify(headers, BODY, KEYS)

    @pytest.mark.parametrize("accepted", [(SECRET,), (OLD,), (OLD, SECRET)])
    def test_one_matching_secret_of_several_is_enough(self, accepted: tuple[str, ...]) -> None:
        keys = {"": [signing.decode_secret(secret) for secret in accepted]}
        signing.verify(signed(secrets=(SECRET, OLD)), BODY, keys)

    @pytest.mark.parametrize(("changes", "body"), TAMPERED)
    def test_refuses_what_was_changed(self, changes: dict[str, str], body: bytes) -> None:
        with pytest.raises(SignatureError, match="no signature matches"):
            signing.verify(changed(signed(), **changes), body, KEYS)

    def test_refuses_everything_without_a_secret(self) -> None:
        with pytest.raises(SignatureError, match="no signature matches"):
            signing.verify(signed(), BODY, {})

    @pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
    def test_names_the_missing_header(self, name: str) -> None:
        headers = signed()
        del headers[name]
        with pytest.raises(SignatureError, match=f"{name} is missing"):
            signing.verify(headers, BODY, KEYS)

    @pytest.mark.parametrize(
        ("age", "words"), [(301, "stale"), (-301, "in the future"), (10**9, "stale"), (-(10**9), "in the future")]
    )
    def test_refuses_an_attempt_of_another_time(self, age: int, words: str) -> None:
        with pytest.raises(SignatureError, match=words):
            signing.verify(signed(timestamp=2 * 10**9), BODY, KEYS, now=2 * 10**9 + age)

    @pytest.mark.parametrize("age", [299, -299])
    def test_accepts_clocks_that_are_a_little_apart(self, age: int) -> None:
        signing.verify(signed(timestamp=10**9), BODY, KEYS, now=10**9 + age)

    @pytest.mark.parametrize("text", ["", "soon", "1e9", "-1", "1.5", "٣", "9" * 400, "nan", "0x10", "1_000"])
    def test_refuses_a_malformed_timestamp(self, text: str) -> None:
        with pytest.raises(SignatureError, match="webhook-timestamp"):
            signing.verify(changed(signed(), webhook_timestamp=text), BODY, KEYS)

    @pytest.mark.parametrize("text", ["v1", "v1,", ",", "v2,abc", "v1,ä\udcff", "v1, " * 10_000, "\x00"])
    def test_refuses_a_malformed_signature(self, text: str) -> None:
        with pytest.raises(SignatureError):
            signing.verify(changed(signed(), webhook_signature=text), BODY, KEYS)

    def test_refuses_an_id_whose_dot_would_move_the_parts_of_the_signed_content(self) -> None:
        with pytest.raises(SignatureError, match="holds a"):
            signing.verify(signed(message_id="a.1700000000"), BODY, KEYS)


def test_a_body_of_any_bytes_can_be_signed() -> None:
    body = bytes(range(256)) * 4
    signing.verify(signed(body), body, KEYS)
