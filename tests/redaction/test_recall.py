"""How many secrets of published kinds are found, how many that commands and documents name, and what is left alone."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest

from pytest_swarmtask.redaction import commands as command_tables
from pytest_swarmtask.redaction import formats, hints, prefixes
from pytest_swarmtask.redaction.redactor import Redactor
from tests.redaction.corpora import commands, identifiers, notations, published
from tests.redaction.corpora.parts import Maker, Secret

SEEDS = (1, 2)
ALPHABETS = {
    "d": "0123456789", "x": "0123456789abcdef", "l": "abcdghkxyz0123456789", "U": "ABCDGHKXYZ0123456789",
    "w": "abcdghkxABCDGHKX01234567", "u": "abcdghkxABCDGHKX01234567-", "e": "abcdghkxABCDGHKX01234567=",
    "v": "abcdghkxABCDGHKX01234567.", "b": "abcdghkxABCDGHKX01234567+", "t": "abcdghkxABCDGHKX01234567+",
}  # fmt: skip
"""Characters that the alphabets of the table allow."""
PART = r"([dxlUwuevbt])(\d+)(?:\.\.(\d+)|(\+))?|(#)|(.)"
"""A part of a form: an alphabet with a length, a UUID, or something that stands for itself."""

NEXT_TO_A_NAME = """
    addprinc attach clear_and_type consul create echo enable fill fill_in info input input_value isakmp mount
    neighbor netlify ntl patch pdfimages pdfinfo pdftk pdftoppm pdftotext pragma press_sequentially printf radius-server
    read send sendline set-output snyk tacacs-server type username value wmic
"""
"""Words of rows that only hold together with the name of a secret. Texts that name one are searched in any case."""

NAMES = (
    "tests/test_audio.py::test_lip_sync_model_v2_weights_are_loaded",
    "tests/test_model.py::test_sk_learn_pipeline_v2_is_fitted_twice",
    "tests/test_pay.py::test_re_try_of_payment_2_is_refused[live_mode_2_of_3]",
    "build-sk-learn-model-v2-for-release-3",
    "src/api_key_rotation_v2/test_key_handling_of_old_clients_3.py:12",
    "tests/test_key.py::test_pat_matching_rules_of_version_2[secret_name_2_of_a_user]",
    "tests/test_hf_transformers_v4.py::TestHFTokenizerFast2::test_encode_plus_batch_16",
    "tests/test_s3.py::test_upload[prf_of_concept_number_2_with_long_name]",
    "test_token_refresh_after_3600_seconds_with_2_clients",
    "make deploy-api-gateway-v2-to-staging-eu-west-1",
)
"""Names of tests and tasks that begin like tokens."""


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor({})


def missed(redactor: Redactor, secrets: list[Secret]) -> list[str]:
    """Return the texts in which a secret is still to be seen."""
    return [secret.given for secret in secrets if secret.secret in redactor.text(secret.given, 100_000)]


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_that_published_lists_name_are_found_bare(redactor: Redactor, seed: int) -> None:
    """At least 97 of 100 secrets of published kinds are found by their form alone."""
    make = Maker(seed)
    secrets = [Secret(value, value) for form in published.KINDS.values() for value in [published.made(make, form)]]
    assert len(secrets) > 400
    assert len(missed(redactor, secrets)) <= len(secrets) * 3 / 100, missed(redactor, secrets)


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_that_published_lists_name_are_found_in_carriers(redactor: Redactor, seed: int) -> None:
    """The same holds for diffs, command lines, YAML, JSON, XML, connection strings, URLs and logs."""
    secrets = published.secrets(seed)
    assert len(published.CARRIERS) == 20
    assert len(missed(redactor, secrets)) <= len(secrets) * 3 / 100, missed(redactor, secrets)


@pytest.mark.parametrize("seed", SEEDS)
def test_kinds_that_published_lists_name_are_found_percent_encoded(redactor: Redactor, seed: int) -> None:
    """The same holds in a query string, where `/`, `:`, `+`, `=`, `|` and `$` are written as `%2F` and so on."""
    make = Maker(seed)
    encoded = [quote(published.made(make, form), safe="") for form in published.KINDS.values()]
    secrets = [Secret(f"GET https://api.example.com/v1?x={value}&page=2", value) for value in encoded]
    assert len(missed(redactor, secrets)) <= len(secrets) * 3 / 100, missed(redactor, secrets)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_commands_and_documents_name_is_found(redactor: Redactor, seed: int) -> None:
    """At least 98 of 100 secrets are found that a program, a connection string, a link or a document names."""
    secrets = commands.secrets(seed)
    assert len(secrets) > 500
    assert len(missed(redactor, secrets)) <= len(secrets) * 2 / 100, missed(redactor, secrets)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_other_notations_name_is_found(redactor: Redactor, seed: int) -> None:
    """At least 97 of 100 are found in settings, source code, logs and messages that nobody wrote for the rules."""
    secrets = notations.secrets(seed)
    assert len(secrets) > 4000
    assert len(missed(redactor, secrets)) <= len(secrets) * 3 / 100, missed(redactor, secrets)


def test_each_word_of_the_tables_is_looked_for() -> None:
    """`hints` has the word of each row, or the row demands a secret's name. Else it would never be tried."""
    unseen = {word.decode() for word in command_tables._ROWS if word not in hints._COMMANDS}
    assert {word for word in unseen if not hints.may_name_secret(word)} == set(NEXT_TO_A_NAME.split())
    assert hints._COMMANDS - {b"assword"} <= command_tables._ROWS.keys()  # half a word, as scripts of `expect` have


def test_identifiers_and_digests_are_left_alone(redactor: Redactor) -> None:
    """At most 5 of 1000 harmless texts with long words in them are changed."""
    texts = identifiers.harmless()
    changed = [text for text in texts if redactor.text(text, 100_000) != text]
    assert len(texts) > 2500
    assert len(changed) <= len(texts) * 5 / 1000, changed


def test_what_only_looks_like_a_notation_is_left_alone(redactor: Redactor) -> None:
    """At most 5 of 1000 texts are changed that have the words and options of such notations, but no secret."""
    texts = notations.harmless()
    changed = [text for text in texts if redactor.text(text, 100_000) != text]
    assert len(texts) >= 400
    assert len(changed) <= len(texts) * 5 / 1000, changed


def test_identities_are_never_hidden(redactor: Redactor) -> None:
    """Ids of tests, tasks and spans, commits, files and lines stay as they are."""
    texts = [*identifiers.identities(), *NAMES]
    changed = [text for text in texts if redactor.text(text, 100_000) != text]
    assert not changed


@pytest.mark.parametrize("row", prefixes.KINDS, ids=lambda row: row[0])
def test_each_row_of_the_table_finds_what_it_describes(redactor: Redactor, row: tuple[str, str, str, str]) -> None:
    """A token made from a row's own prefix and form is found: a slip in a new row fails here."""
    _, written, form, source = row
    assert source in ("gitleaks", "trufflehog", "kingfisher", "github", "vendor")
    make = Maker(7)
    for prefix in written.split():
        token = prefix + "".join(_made(make, part) for part in re.findall(PART, form))
        assert token not in redactor.text(f"refused {token} twice"), token


def _made(make: Maker, part: tuple[str, ...]) -> str:
    alphabet, least, most, more, uuid, itself = part
    if not alphabet:
        return make.uuid() if uuid else itself
    return make.text(max(int(most or least), 22 if more else 0), ALPHABETS[alphabet])


def test_no_kind_is_written_twice() -> None:
    """A prefix with the same form stands in one row only, and no pattern repeats what a row says."""
    seen = [(prefix, form) for _, written, form, _ in prefixes.KINDS for prefix in written.split()]
    assert len(seen) == len(set(seen))
    triggers = {trigger for trigger, _ in formats._PATTERNS}
    assert not triggers & {prefix for prefix, _ in seen}


@pytest.mark.parametrize(
    ("command", "secret"),
    [
        (["ldapsearch", "-x", "-D", "cn=admin", "-w", "hunter2"], 5),
        (["sudo", "-u", "ann", "docker", "login", "-p", "hunter2"], 6),
        (["C:\\tools\\PsExec64.exe", "\\\\host", "-p", "hunter2"], 3),
        (["schtasks", "/create", "/rp", "hunter2"], 3),
        (["rabbitmqctl", "change_password", "guest", "Winter-2024"], 3),
        (["sudo", "vault", "login", "hunter-2024"], 3),
        (["smbclient", "//host/share", "-U", "ann%Winter-2024"], 3),
        (["pytest", "-p", "no:cacheprovider", "-k", "login"], None),
        (["docker", "run", "-p", "8080:80"], None),
        (["ls", "-w", "80"], None),
    ],
)
def test_options_in_lists(redactor: Redactor, command: list[str], secret: int | None) -> None:
    """The table of programs and options holds for command lines as lists, too."""
    shown: list[Any] = redactor.metadata({"command": command})["command"]
    assert [i for i, (given, left) in enumerate(zip(command, shown, strict=True)) if given != left] == (
        [] if secret is None else [secret]
    )


def test_programs_stand_in_one_row_only() -> None:
    programs = [name for names, _ in command_tables.OPTIONS for name in names.split()]
    assert len(programs) == len(set(programs))


def test_a_secret_of_kubernetes_as_metadata(redactor: Redactor) -> None:
    """All data of a Secret is hidden, whatever it is called; that of a ConfigMap is shown."""
    secret = {"kind": "Secret", "metadata": {"name": "db"}, "data": {"value": "aHVudGVyMg=="}}
    shown = redactor.metadata({"a": secret, "b": {**secret, "kind": "ConfigMap"}})
    assert "aHVudGVyMg==" not in str(shown["a"])
    assert shown["a"]["metadata"] == {"name": "db"}
    assert shown["b"] == {**secret, "kind": "ConfigMap"}


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: ConfigMap\ndata:\n  value: aHVudGVyMnh5eg==\n",
        "kind: Secret is not allowed here",
        "GET /api/v1/login/test_user_can_log_in_twice_2 404",
        "vault login is needed first",
        "Usage: sqlplus user/<password>@host",
        "ldapsearch -w <password> -b dc=example",
        "docker run -p 8080:80 -u 1000:1000 app",
        "https://app.example.com/reset-password/form-with-a-very-long-name",
        "echo 'all tests passed' | tee result.txt",
        "net use is a command of Windows",
        "exports.RFC3161TimestampVerificationError = void 0;",
        "htpasswd -b takes a file and a user",
        "client.login('user', 'pass')",
        "MAX_SECRET_2_BYTES = 1048576",
        'secrets: ["db_password", "api_token"]',
        "docker exec -u root app mkdir -p build-2",
        "python -u script.py -p test_2",
        'ApiKeyId: PassThroughProp | None = apikey("ApiKeyId")',
        'assert_equal "expected", user.password_hint',
        "INSERT INTO users (name, password_reset_at) VALUES ('ann', '2026-01-02')",
        'let(:password) { "secret" }',
        "auth.connect('localhost', 'user', 'pass')",
    ],
)
def test_what_only_looks_like_a_command_stays(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text
