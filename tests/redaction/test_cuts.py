"""What programs leave of a secret when they shorten a text is hidden, too."""

from __future__ import annotations

import json
import random
import string

import pytest

from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.redaction.redactor import Redactor
from tests.suite import Suite

SECRET = "Xk9_f3Lq7w"
ALPHABET = f"{string.ascii_letters}{string.digits}_"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor({})


@pytest.mark.parametrize(
    "text",
    [
        "assert 'host=db port...rd=Xk9_f3Lq7w' == ''\n+ host=db port=5432 password=Xk9_f3Lq7w",
        "assert 'host=db port...rd=Xk9_f3Lq7w' == ''",
        "assert ['TZ=UTC', 'LA...k9_f3Lq7w'] == []",
        "assert 'psql --host ...rd Xk9_f3Lq7w' == 'psql'",
        "assert 'x' in 'https://files...=Xk9_f3Lq7w'",
        "'[23 chars]9_f3Lq7w' != 'x'\npassword=Xk9_f3Lq7w",
        "'password=Xk9_f3Lq7w' != 'Xk9_f[12 chars]'",
        "{'a': 'b…f3Lq7w'} token=Xk9_f3Lq7w",
        "'Xk9_f3...Lq7w': password=Xk9_f3Lq7w, user=Xk9_f3Lq7w",
    ],
)
def test_nothing_is_left(redactor: Redactor, text: str) -> None:
    """A cut that takes the name or a part of a secret away does not save the rest, whether it stands whole or not."""
    shown = redactor.text(text)
    left = [SECRET[i : i + 3] for i in range(len(SECRET) - 2) if SECRET[i : i + 3] in shown]
    assert not left, shown


@pytest.mark.parametrize(
    "text",
    [
        "git diff 1f2e3d4...a9b8c7d",
        "loading...done in 12 s",
        "tests...v1.2.3 and ...src/foo_bar.py, ...test_it[a1]",
        "assert 'one two thre... nine ten eleven' == ''",
        "assert 'tests/report/...t_which_runs.py' == 1",
        "'[12 chars]test_report_2' != 'x'",
        "assert [1, 2, 3, 4, 5, 6, ...] == []",
        "def f(*args: int, ...) -> None: ...",
        "assert {'name': 'Ad...', 'key': 'primary'} == {}",
        "2024-01-15T...10:30:00.250Z",
    ],
)
def test_what_else_is_cut_stays(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text


def test_what_is_found_once_is_hidden_everywhere_in_the_event(redactor: Redactor) -> None:
    """In other fields, in lists, in names, and where only its beginning or end is left."""
    cleaned = redactor.metadata(
        {
            "seen": f"connected as {SECRET}",
            "settings": {"password": SECRET},
            "command": ["psql", "--password", SECRET, SECRET],
            "lines": [f"bad ...{SECRET[-5:]}'", f"{SECRET[:5]}…"],
        }
    )
    shown = json.dumps(cleaned, ensure_ascii=False)
    assert SECRET not in shown
    assert SECRET[-5:] not in shown
    assert SECRET[:5] not in shown
    assert {"seen", "settings.password", "lines[0]", "lines[1]"} <= set(cleaned["redacted"])


def test_what_is_too_common_is_hidden_in_its_place_only(redactor: Redactor) -> None:
    cleaned = redactor.metadata({"password": "required", "error": "a name is required, token: on"})
    assert cleaned["error"] == "a name is required, token: on"


def test_a_word_is_hidden_as_a_word_only(redactor: Redactor) -> None:
    """A password that is a part of other words does not tear holes into them."""
    text = redactor.text("password='grasshopper'\ngrasshoppers of grasshopper")
    assert text == f"password='{MASK}'\ngrasshoppers of {MASK}"


def test_the_secrets_of_a_command_line(redactor: Redactor) -> None:
    redactor.hide_values([SECRET, "x", "/run/secrets/password"])
    assert redactor.text(f"x {SECRET} /run/secrets/password") == f"x {MASK} /run/secrets/password"


def made(number: int) -> tuple[str, str]:
    """Return a secret and a test that shows it as programs shorten texts."""
    chance = random.Random(number)
    secret = "".join(chance.choice(ALPHABET) for _ in range(chance.choice([10, 16, 24])))
    words = ["host=db", "port=5432", "user=app", "dbname=shop", "sslmode=require"]
    text = " ".join(chance.choice(words) for _ in range(chance.randint(2, 7)))
    ways = [
        f'assert "{text} password={secret}" == ""',
        f"assert {[*text.split(), f'DB_PASSWORD={secret}']!r} == []",
        f'assert "tool {text} --token {secret}" == "tool"',
        f'unittest.TestCase().assertEqual("{text} {text} password={secret}", "{text} {text} password={secret[:-1]}-")',
        f'raise ValueError(reprlib.repr("{text} password={secret}"))',
        f'assert dict(host="db", options="{text}", password="{secret}") == dict(host="x")',
    ]
    return secret, ways[number % len(ways)]


@pytest.mark.long
def test_as_pytest_and_others_shorten_texts(project: Suite) -> None:
    """Of 300 random secrets, the cuts of pytest, unittest and reprlib show five characters or more of at most 1 %.

    A tail without a name can look like the end of a word: that is all that is left.
    """
    cases = [made(number) for number in range(300)]
    tests = "".join(f"\n\ndef test_{number}():\n    {body}\n" for number, (_, body) in enumerate(cases))
    project.file("test_it.py", f"import reprlib\nimport unittest\n{tests}")
    session = project.pytest("-q")
    assert session.exit_code == 1
    errors = {event["task_id"]: json.dumps(event["metadata"]) for event in session.of("TEST_FAILED")}
    shown = [
        secret
        for number, (secret, _) in enumerate(cases)
        if any(secret[i : i + 5] in errors[f"test_it.py::test_{number}"] for i in range(len(secret) - 4))
    ]
    assert len(shown) <= 3, shown
