"""Many names combined with many surroundings: secret names with secrets, harmless names with their usual values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.redaction.corpora.parts import ALNUM, HEX, URLSAFE, Maker, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORDS = ["password", "db_password", "user_passwd", "smtp_pass", "admin_password", "passphrase", "ftp_pw"]
MADE_UP = ["hunter2", "S3cret!pw", "Tr0ub4dor-3", "p4ssw0rd", "Zx9kk21!", "correct-horse-9", "Winter2024!", "letmein99"]
TOKENS = [
    "secret", "client_secret", "app_secret", "secret_key", "aws_secret_access_key", "api_key", "github_api_key",
    "jwt_secret", "access_token", "refresh_token", "auth_token", "bot_token", "session_token", "private_key",
    "signing_key", "vault_token", "encryption_key", "webhook_secret", "account_key", "master_key", "shared_secret",
    "bearer_token", "deploy_token",
]  # fmt: skip
HARMLESS = {
    "token_count": ["5", "117"], "max_tokens": ["4096"], "token_type": ["bearer"], "token_expiry": ["2024-05-01"],
    "token_url": ["https://a.example.com/token"], "tokens_used": ["88"], "tokenizer": ["bpe"], "has_token": ["true"],
    "password_reset_page": ["/reset", "reset.html"], "password_policy": ["strong"], "password_length": ["12"],
    "password_changed_at": ["2024-05-01T10:00:00Z"], "password_required": ["true"], "no_password": ["1"],
    "secret_santa": ["draw", "2024"], "secret_name": ["prod/db"], "secret_version": ["3"], "secretary": ["Jane"],
    "auth_method": ["basic"], "auth_type": ["oauth2"], "author": ["Ann"], "authority": ["example.com"],
    "key": ["user:5", "id"], "sort_key": ["created_at"], "cache_key": ["user:5:profile", "v1-deps-3f2a9c"],
    "primary_key": ["42"], "public_key": ["ssh-ed25519"], "foreign_key": ["orders.id"], "partition_key": ["tenant-7"],
    "api_key_id": ["key-17"], "key_id": ["alias/app"], "key_size": ["2048"], "key_type": ["rsa"],
    "keyboard": ["qwerty"], "keyword": ["python"], "monkey": ["george"], "passed": ["12"], "bypass": ["no"],
    "compass": ["north"], "passport": ["required"], "passenger": ["bob"], "pass_count": ["7"],
    "commit": ["9fceb02d0ae598e95dc970b74767f19372d61af8"], "checksum": ["d41d8cd98f00b204e9800998ecf8427e"],
    "trace_id": ["4bf92f3577b34da6a3ce929d0e0e4736"], "request_id": ["b3f1c2de-7a0f-4c4e-9c1e-1f6a0f8f2a11"],
    "etag": ["33a64df551425fcc"], "version": ["1.2.3-rc.4"], "color": ["#ff00aa"], "cookie_domain": [".example.com"],
    "credential_type": ["user"], "credentials_file": ["/etc/app/creds.json"], "private_key_path": ["certs/app.pem"],
    "password": ["None", "***", "${DB_PASSWORD}", "<hidden>", "required", "{{ password }}"],
    "api_key": ["None", "YOUR_API_KEY", "${API_KEY}", "<your-api-key>"],
    "token": ["None", "$TOKEN", "{{ token }}", "expired", "missing"], "secret": ["true", "${SECRET}", "[hidden]"],
    "idempotency_key": ["7d0b5a1e-2d0e-4a6c-8f61-3f1d7c9b2c11"], "next_page_token": ["CAUQAA"],
    "access_level": ["admin"], "signing_algorithm": ["HS256"], "encryption_type": ["aes-256-gcm"],
}  # fmt: skip


def _words(name: str) -> list[str]:
    return [word.title() for word in name.split("_")]


def _camel(name: str) -> str:
    return name[0] + "".join(_words(name))[1:]


def _kebab(name: str) -> str:
    return name.replace("_", "-")


SURROUNDINGS: list[Callable[[str, str], Any]] = [
    lambda n, v: f'{{"{_camel(n)}": "{v}", "id": 7}}',
    lambda n, v: f'{{"user": "ann", "{n}":"{v}"}}',
    lambda n, v: f'body={{\\"{n}\\": \\"{v}\\"}}',
    lambda n, v: f"E   AssertionError: assert {{'{n}': '{v}'}} == {{}}",
    lambda n, v: f"E   TypeError: connect(host='db', {n}='{v}') failed",
    lambda n, v: f"E     -  '{n}': '{v}',",
    lambda n, v: f"Settings(host='db', {n}='{v}')",
    lambda n, v: f'{n} = "{v}"',
    lambda n, v: f"export {n.upper()}={v}",
    lambda n, v: f"{n.upper()}={v} make test",
    lambda n, v: f"  {n}: {v}",
    lambda n, v: f"  {_kebab(n)}: '{v}'",
    lambda n, v: f"[app]\n{n} = {v}\nx = 1",
    lambda n, v: f"app.{n.replace('_', '.')}={v}",
    lambda n, v: f"app run --{_kebab(n)} {v} --verbose",
    lambda n, v: f"app run --{_kebab(n)}={v}",
    lambda n, v: f"> X-{'-'.join(_words(n))}: {v}",
    lambda n, v: f"GET https://api.example.com/v1?a=1&{n}={v}&page=2 401",
    lambda n, v: f"<{_camel(n)}>{v}</{_camel(n)}>",
    lambda n, v: f'level=info msg="ok" {n}={v} dur=3ms',
    lambda n, v: f"tests/test_a.py::test_b[{n}={v}]",
    lambda n, v: {_camel(n): v},
    lambda n, v: {"cfg": {n.upper(): v}},
    lambda n, v: ["app", f"--{_kebab(n)}", v],
]


def secrets() -> list[Secret]:
    """Return each secret name in each of the surroundings, with a secret of its own."""
    make = Maker(12)
    named = [(name, make.pick(MADE_UP), around) for name in PASSWORDS for around in SURROUNDINGS]
    named += [(name, _made(make), around) for name in TOKENS for around in SURROUNDINGS]
    return [Secret(around(name, value), value) for name, value, around in named]


def _made(make: Maker) -> str:
    size, alphabet = make.pick([(32, ALNUM), (40, HEX), (43, URLSAFE), (20, ALNUM)])
    return make.text(size, alphabet)


def harmless() -> list[Any]:
    """Return each harmless name, and placeholder values, in the same surroundings."""
    return [around(name, value) for name, values in HARMLESS.items() for value in values for around in SURROUNDINGS]
