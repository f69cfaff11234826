"""Redacted events contain no secret, have a bounded size, and can be encoded as JSON."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.redaction import headers
from pytest_swarmtask.redaction.redactor import Redactor


def redactor(**environ: str) -> Redactor:
    return Redactor(environ)


def fake(prefix: str, size: int) -> str:
    """Return a text in the form of a key, assembled here so that scanners do not report this file as a leak."""
    return prefix + ("a1B2c3D4e5F6g7H8i9J0" * 10)[:size]


# -- by key --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWORD",
        "DB_PASSWORD",
        "dbPassword",
        "db-password",
        "githubToken",
        "GITHUB_TOKEN",
        "x-api-key",
        "apiKey",
        "client_secret",
        "AWS_SECRET_ACCESS_KEY",
        "Authorization",
        "Set-Cookie",
        "passphrase",
        "pwd",
        "private key",
        "credentials",
    ],
)
def test_a_key_that_names_a_secret(key: str) -> None:
    """A value under a secret-looking key is hidden, in any case and style of the key, and the event lists its path."""
    assert redactor().metadata({"ok": 1, key: "hunter2"}) == {"ok": 1, key: MASK, "redacted": [key]}


@pytest.mark.parametrize(
    "value",
    [
        b"hunter2",
        12345678,
        3.14159,
        ["hunter2"],
        {"is": "hunter2"},
        ("hunter2",),
        {"hunter2"},
        bytearray(b"hunter2"),
        PurePosixPath("hunter2"),
    ],
    ids=repr,
)
def test_a_secret_of_any_type(value: Any) -> None:
    """Under a secret-looking key, a value of any type is hidden."""
    assert redactor().metadata({"password": value}) == {"password": MASK, "redacted": ["password"]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("token_count", 5),
        ("password_reset_page", "/reset"),
        ("has_password", True),
        ("password", None),
        ("password", ""),
        ("secretary", "Ms. Jones"),
        ("tokens_used", 12),
        ("cookies_enabled", "yes"),
        ("author", "me"),
        ("key", "value"),
        ("keyboard", "qwerty"),
        ("passed", "12345678"),
    ],
)
def test_a_key_that_only_looks_like_it(key: str, value: Any) -> None:
    """Harmless look-alikes, truth values and empty values stay unchanged."""
    assert redactor().metadata({key: value}) == {key: value}


def test_where_it_was_is_listed() -> None:
    """Hidden values are listed by their path, through mappings and lists."""
    found = redactor(MY_TOKEN="literal-secret").metadata(
        {
            "db": {"password": "x"},
            "list": [1, {"api_key": "y"}, "say literal-secret"],
            "deep": {"a": [{"b": {"cookie": "z"}}]},
        }
    )
    assert found == {
        "db": {"password": MASK},
        "list": [1, {"api_key": MASK}, f"say {MASK}"],
        "deep": {"a": [{"b": {"cookie": MASK}}]},
        "redacted": ["db.password", "list[1].api_key", "list[2]", "deep.a[0].b.cookie"],
    }


def test_the_caller_s_own_redacted_stays() -> None:
    """A caller's own key `redacted` is not overwritten by our list."""
    found = redactor().metadata({"redacted": "mine", "password": "x"})
    assert found["redacted"] == "mine"
    assert ["password"] in found.values()


def test_additions_and_exceptions() -> None:
    """The configuration can add secret keys and exempt harmless ones, in any style."""
    own = Redactor({}, keys=["pin-code"], allow=["csrf_token"])
    assert own.metadata({"customerPinCode": "1234", "csrfToken": "public", "other_token": "x"}) == {
        "customerPinCode": MASK,
        "csrfToken": "public",
        "other_token": MASK,
        "redacted": ["customerPinCode", "other_token"],
    }


# -- by value ------------------------------------------------------------------------------------------------------

SECRETS = [
    fake("ghp_", 36),
    fake("github_pat_", 40),
    fake("glpat-", 20),
    "AKIA" + "IOSFODNN7EXAMPLE",
    fake("xoxb-", 30),
    fake("sk_live_", 24),
    fake("AIza", 35),
    fake("npm_", 36),
    fake("pypi-", 60),
    fake("whsec_", 44),
    ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=")
        for part in (b'{"alg":"HS256"}', b'{"sub":"1234567890"}', b"signature-bytes")
    ),
    "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc\n-----END RSA " + "PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret[:10])
@pytest.mark.parametrize(
    "around", ["{}", "error: {} was refused", "'{}'", "(x={})", "first line\n{}\nlast line", "ü {}"]
)
def test_a_known_format(secret: str, around: str) -> None:
    """A text in the form of a known kind of key is hidden anywhere, and the text around it stays."""
    before, after = around.split("{}")
    assert redactor().text(around.format(secret)) == f"{before}{MASK}{after}"


def test_headers_and_urls() -> None:
    """Credentials in headers and URLs are hidden, and the rest of the header or URL stays."""
    assert redactor().text("Authorization: Bearer abcdef1234567890") == f"Authorization: {MASK}"
    assert redactor().text("get https://bob:s3cret@example.com/x?y=1") == f"get https://{MASK}@example.com/x?y=1"
    assert redactor().text("https://hooks.slack.com/services/T0/B0/XYZ") == f"https://hooks.slack.com/services/{MASK}"


@pytest.mark.parametrize(
    "text",
    [
        "tests/test_api.py::test_login[admin-https://example.com]",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "550e8400-e29b-41d4-a716-446655440000",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "basic configuration of the bearer protocol",
        "token_count: 5",
        "see https://example.com:8080/a@b",
        "user@example.com",
        "2024-01-15T10:30:00.000Z",
        "C:\\Users\\me\\AppData",
        "npm_config_registry",
        "AssertionError: assert 'a' == 'b'",
    ],
)
def test_harmless_text(text: str) -> None:
    """Hashes, identifiers, node ids, addresses and prose stay unchanged."""
    assert redactor(PATH="/usr/bin:/bin").text(text) == text


# -- by the environment --------------------------------------------------------------------------------------------


def test_literal_values_of_the_environment() -> None:
    """The value of a secret-looking variable is hidden everywhere: in keys, values, bytes and exceptions."""
    own = redactor(MY_API_KEY="correct-horse-battery")
    found = own.metadata(
        {
            "command": "deploy --key correct-horse-battery now",
            "raw": b"x correct-horse-battery",
            "error": ValueError("correct-horse-battery"),
            "for correct-horse-battery": 1,
        }
    )
    assert "correct-horse" not in json.dumps(found)
    assert found["command"] == f"deploy --key {MASK} now"
    assert own.text("tests/x.py::test[correct-horse-battery]") == f"tests/x.py::test[{MASK}]"


def test_short_values_and_other_variables_are_no_literals() -> None:
    """A variable hides nothing if its value is too short for a secret or its name is harmless."""
    own = redactor(MY_TOKEN="test", EDITOR="some-editor")
    assert own.text("a test with some-editor") == "a test with some-editor"


def test_the_working_directory_is_no_secret() -> None:
    """`PWD` is the shell's working directory, not a password, so paths stay readable."""
    own = redactor(PWD="/home/me/project", OLDPWD="/home/me/elsewhere", DB_PWD="a-real-password")
    assert own.text("/home/me/project/a.py, /home/me/elsewhere") == "/home/me/project/a.py, /home/me/elsewhere"
    assert own.text("a-real-password") == MASK


def test_the_longer_of_two_literals() -> None:
    """If one secret is the beginning of another, no part of the longer one remains."""
    assert redactor(A_TOKEN="abcdefgh", B_TOKEN="abcdefgh-and-more").text("x abcdefgh-and-more y") == f"x {MASK} y"


# -- bounds --------------------------------------------------------------------------------------------------------


def test_long_text_is_cut() -> None:
    """A long text is truncated and says how much is missing."""
    cut = redactor().text("x" * 10_000)
    assert cut.startswith("x" * 2048)
    assert cut.endswith("… (7952 more characters)")


def test_a_secret_across_the_cut() -> None:
    """If the truncation falls inside a secret, no part of the secret remains."""
    secret = fake("ghp_", 36)
    for position in range(2000, 2060):
        assert "a1B2" not in redactor().text("x" * position + " " + secret + " " + "y" * 100)


SECRET = "aB3dE6gH" * 8
LONG_SECRETS = (
    f"token={SECRET * 40} is refused",
    "\n".join(["-----" + "BEGIN RSA PRIVATE KEY-----", *[SECRET] * 40, "-----" + "END RSA PRIVATE KEY-----"]),
    "\n".join(["data:", *(f"  key{number}: {SECRET}" for number in range(30)), "kind: Secret"]),
)


@pytest.mark.parametrize("given", LONG_SECRETS, ids=["word", "private key", "Secret"])
@pytest.mark.parametrize("position", [1700, 2030])
def test_a_long_secret_across_the_cut(given: str, position: int) -> None:
    """The same holds for a secret of thousands of characters, or of many lines."""
    assert SECRET[:8] not in redactor().text("x " * (position // 2) + "\n" + given)


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


class Endless(Mapping[str, Any]):
    """An infinite mapping."""

    def __getitem__(self, key: str) -> Any:
        return self

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            yield f"key {number}"
            number += 1

    def __len__(self) -> int:
        return 1_000_000


LONG = "password: x1y2 " * 400
MANY: list[dict[str, Any]] = [
    {"logs": [LONG] * 100},
    {f"k{number}": [LONG] * 100 for number in range(10)},
    {"bytes": [LONG.encode() * 20] * 100},
    {f"a{outer}": [f"{LONG[:180]}{outer}{inner}" for inner in range(100)] for outer in range(100)},
    {f"a{outer}": {f"{LONG[:180]}{outer}{inner}": "v" for inner in range(100)} for outer in range(100)},
]


@pytest.mark.parametrize("values", MANY)
def test_the_search_of_an_event_is_bounded(values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """However many texts an event has, only so many characters are searched, and the event says what was left out."""
    searched = 0
    chain = Redactor._chain

    def counted(self: Redactor, text: str) -> str:
        nonlocal searched
        searched += len(text)
        return chain(self, text)

    monkeypatch.setattr(Redactor, "_chain", counted)
    found = redactor().metadata(values)
    assert searched < 30_000
    assert found["truncated"] is True
    assert re.search(r"… \(\d+ more characters\)|'…': '\d+ more'", str(found))
    assert "x1y2" not in str(found)


def test_an_ordinary_event_is_searched_whole() -> None:
    """Three long texts, as a failed command has them, are no reason to leave anything out."""
    found = redactor().metadata(dict.fromkeys(("error", "stdout", "stderr"), f"{LONG} end"))
    assert "truncated" not in found
    assert all(text.startswith("password: [REDACTED]") for text in (found["error"], found["stdout"], found["stderr"]))


def test_cookies_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line with hundreds of cookie headers is not read to its end for each of them; a secret in it is found."""
    looked_at = 0
    judge = headers._is_key_to_something

    def counted(cookie: str) -> bool:
        nonlocal looked_at
        looked_at += 1
        return judge(cookie)

    monkeypatch.setattr(headers, "_is_key_to_something", counted)
    harmless = "Cookie: a=b; " * 400
    assert redactor().text(harmless, 10_000) == harmless
    assert looked_at < 1000
    assert "x1y2z3w4" not in redactor().text(f"{harmless} Cookie: sid=x1y2z3w4", 10_000)


def test_endless_values_are_bounded() -> None:
    """An infinite mapping, a cycle and a deep nest become finite in a moment."""
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: Any = "end"
    for _ in range(100_000):
        deep = [deep]
    begun = time.process_time()
    found = redactor().metadata(
        {"endless": Endless(), "cycle": cycle, "deep": deep, "wide": [["y" * 3000] * 100] * 100}
    )
    assert time.process_time() - begun < 5
    assert len(json.dumps(found)) < 5_000_000


def test_what_was_left_out_is_told() -> None:
    """A truncated list or mapping says how many items are missing."""
    found = redactor().metadata({"list": list(range(250)), "mapping": {f"{n}": n for n in range(150)}})
    assert found["list"][-1] == "… (150 more)"
    assert len(found["list"]) == 101
    assert found["mapping"]["…"] == "50 more"


# -- values for JSON -----------------------------------------------------------------------------------------------


def test_keys_of_any_type() -> None:
    """Keys that are not strings become strings, and no key replaces another."""
    found = redactor().metadata(
        {1: "x", "1": "str", None: "none", (1, 2): "tuple", b"b": "bytes", Hostile(): "hostile"}
    )
    assert sorted(map(str, found.values())) == sorted(["str", "none", "tuple", "bytes", "hostile", "x"])
    assert all(type(key) is str for key in found)


def test_long_keys_that_begin_alike() -> None:
    """If two long keys become equal by truncation, both values are kept."""
    found = redactor().metadata({"k" * 300 + "a": 1, "k" * 300 + "b": 2})
    assert sorted(found.values()) == [1, 2]


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_can_be_encoded(text: str) -> None:
    """Any text, even with lone surrogates, becomes a text that UTF-8 can encode."""
    redactor().text(text).encode()


@given(st.text(max_size=300))
def test_plain_text_is_left_alone(text: str) -> None:
    """Text without a secret stays exactly as it is."""
    if not any(mark in text for mark in ("://", "earer", "asic")):
        assert redactor().text(text) == text


@pytest.mark.parametrize(
    "hostile",
    [
        "://" * 2000,
        "://a:" * 1500,
        "bearer " * 1000,
        "eyJ" + "a" * 6000,
        "eyJaaaaaaaa." * 600,
        "-----BEGIN " * 600,
        "xoxb-" * 1200,
        "basic " + "a" * 6000,
        "ghp_" * 1500,
    ],
    ids=lambda text: text[:8],
)
def test_hostile_text_takes_no_time(hostile: str) -> None:
    """A text designed to make the patterns slow is processed in a moment."""
    begun = time.thread_time()
    redactor().text(hostile, 10_000)
    assert time.thread_time() - begun < 0.5


# -- names in texts, command lines and documents -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password=hunter2", f"password={MASK}"),
        ("password='hunter2', user='bob'", f"password='{MASK}', user='bob'"),
        ('{"apiKey": "a1b2c3", "n": 1}', f'{{"apiKey": "{MASK}", "n": 1}}'),
        ('say {\\"password\\": \\"hunter2\\"}', f'say {{\\"password\\": \\"{MASK}\\"}}'),
        ("tool --password hunter2 --force", f"tool --password {MASK} --force"),
        ("['tool', '--token', 'a1b2c3d4']", f"['tool', '--token', '{MASK}']"),
        ("db:\n  password: hunter2\n  user: bob", f"db:\n  password: {MASK}\n  user: bob"),
        ("- name: DB_PASSWORD\n  value: hunter2", f"- name: DB_PASSWORD\n  value: {MASK}"),
        ("<password>hunter2</password>", f"<password>{MASK}</password>"),
        ("Authorization: Basic dXNlcjpwYXNz", f"Authorization: {MASK}"),
        ("Cookie: sid=a1b2; theme=dark\nHost: x", f"Cookie: {MASK}\nHost: x"),
        ("CREATE USER bob PASSWORD 'hunter2'", f"CREATE USER bob PASSWORD '{MASK}'"),
        ("mysql -uroot -phunter2 app", f"mysql -uroot -p{MASK} app"),
        ("tests/test_a.py::test_b[password=hunter2]", f"tests/test_a.py::test_b[password={MASK}]"),
        ("password=\x1b[31mhunter2\x1b[0m", f"password={MASK}"),
        ("Server=db;Password=hunter2;Encrypt=true", f"Server=db;Password={MASK};Encrypt=true"),
    ],
)
def test_what_a_text_names(text: str, left: str) -> None:
    """In a text, redaction hides the value after a secret's name and nothing else."""
    assert redactor().text(text) == left


def test_redacting_again_changes_nothing() -> None:
    """Redacting a redacted text again changes nothing."""
    for text in ("password=hunter2", "Authorization: Bearer a1b2c3d4e5f6", '{"token": "a1b2c3d4"}', "x://u:p@h"):
        once = redactor().text(text)
        assert redactor().text(once) == once


def test_json_in_a_text() -> None:
    """A text that is JSON is redacted by its structure, so values nested under a secret's name are hidden."""
    text = json.dumps({"credentials": {"user": "bob", "value": "swordfish"}, "n": [1, {"auth": "bob:a1b2c3"}]})
    found = redactor().metadata({"body": text})
    assert json.loads(found["body"]) == {"credentials": MASK, "n": [1, {"auth": MASK}]}
    assert found["redacted"] == ["body"]


def test_command_lines_as_lists() -> None:
    """In a list, an item that announces a secret hides the next item."""
    command = ["tool", "--password", "swordfish", "--user", "bob:swordfish", "--verbose", "x"]
    assert redactor().metadata({"command": command}) == {
        "command": ["tool", "--password", MASK, "--user", MASK, "--verbose", "x"],
        "redacted": ["command[2]", "command[4]"],
    }


def test_a_value_named_beside_it() -> None:
    """In `{"name": …, "value": …}`, the name decides whether the value is hidden."""
    found = redactor().metadata({"env": [{"name": "DB_PASSWORD", "value": "x1"}, {"name": "HOME", "value": "/root"}]})
    assert found["env"] == [{"name": "DB_PASSWORD", "value": MASK}, {"name": "HOME", "value": "/root"}]


@pytest.mark.parametrize(
    "key",
    ["SECRET_KEY_BASE", "DB_PASSWORD_PROD", "GITHUB_TOKEN_2", "passwordConfirmation", "SMTP_PASS", "user.password"],
)
def test_words_within_keys(key: str) -> None:
    """Words that only tell one secret from another do not make its key harmless."""
    assert redactor().metadata({key: "hunter2"})[key] == MASK


def test_keys_that_leave_it_to_the_value() -> None:
    """Under some keys a value is hidden only if it looks like a secret."""
    plain = {"tokens": 512, "stripe_key": "default", "auth": "none", "token": 5, "api_keys": 3, "pass": 12}
    assert redactor().metadata(plain) == plain
    made = {"tokens": ["a1b2c3d4e5"], "stripe_key": "a1B2c3D4e5F6g7H8i9", "auth": "bob:a1b2c3", "token": 123456}
    assert {value for key, value in redactor().metadata(made).items() if key != "redacted"} == {MASK}


# -- more of the environment ---------------------------------------------------------------------------------------


def test_forms_of_a_literal() -> None:
    """A variable's value is also hidden in its forms in a URL, in JSON and in a repr, and line by line."""
    value = 'p&ss "w/rd"\nsecond-line-of-the-secret'
    own = redactor(MY_SECRET=value)
    forms = ["p%26ss%20%22w%2Frd%22%0Asecond-line-of-the-secret", json.dumps(value), repr(value), value.split("\n")[1]]
    for form in forms:
        assert "second-line" not in own.text(f"x {form} y")


def test_variables_that_hold_urls() -> None:
    """Only the secret parts of a variable's URL are hidden elsewhere; of a webhook's URL also parts of the path."""
    own = redactor(
        DATABASE_URL="postgres://app:swordfish-1@db/app",
        MY_WEBHOOK_URL="https://example.com/hooks/a1b2c3d4e5f6g7h8?key=topsecret",
    )
    text = "db app swordfish-1 example.com hooks a1b2c3d4e5f6g7h8 topsecret"
    assert own.text(text) == f"db app {MASK} example.com hooks {MASK} {MASK}"


def test_configured_variables() -> None:
    """Values configured for a webhook are secrets under any name, even if the webhook is registered later."""
    environ = {"SIGNING": "swordfish-1", "LATER": "swordfish-2"}
    own = Redactor(environ, variables=["SIGNING"])
    assert own.text("swordfish-1 swordfish-2") == f"{MASK} swordfish-2"
    own.hide(environ, ["LATER"])
    assert own.text("swordfish-1 swordfish-2") == f"{MASK} {MASK}"


def test_common_words_are_no_literals() -> None:
    """A password that is a common word does not hide that word everywhere."""
    assert redactor(DB_PASSWORD="postgres").text("postgres is up") == "postgres is up"


@pytest.mark.parametrize("value", ["Pa$$w0rd", "!QAZ2wsx", "Ab$cd", "#Summer24", "p@ss.w0rd", "c0rrect-horse"])
@pytest.mark.parametrize("text", ["DB_PASSWORD={}", "password={}", "password: {}", "--password {}", "password='{}'"])
def test_passwords_that_look_like_code(value: str, text: str) -> None:
    """A password with characters that also occur in code is hidden."""
    assert value not in redactor().text(text.format(value))
