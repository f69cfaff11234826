"""Which names say that what they name is a secret: `x-api-key`, `githubToken`, `DB_PASSWORD_PROD`, not `token_count`.

A name is read as its words, whatever the style. A word such as `token` makes it a secret's name, unless what
follows says that it is about the secret (`token_count`, `password_reset_page`), or what stands before denies it.
"""

from __future__ import annotations

from pytest_swarmtask.redaction.hints import KEY, MAYBE, NO, PASSWORD, YES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PASSWORDS = (
    "password", "passwd", "passphrase", "passcode", "passwort", "pwd", "pw", "creds", "passwords", "kennwort",
    "passwörter", "contraseña", "contrasena", "senha", "mdp", "wachtwoord", "hasło", "lösenord", "parola", "psk",
    "mnemonic",
)  # fmt: skip
_PREFIXED = (
    "db", "user", "my", "ftp", "sftp", "smtp", "imap", "mail", "email", "admin", "root", "sql", "mysql", "pg", "psql",
    "postgres", "redis", "mongo", "rabbit", "ldap", "proxy", "ssh", "key", "store", "keystore", "cert", "become",
    "sudo", "wifi", "test", "login", "auth", "http", "web", "rpc", "app", "api", "svc", "service", "db2", "ora",
    "tls", "ssl", "vault", "bind", "require",
)  # fmt: skip
"""What stands before `pass` in one word: `dbpass`, unlike `minipass`."""
_TOKENS = (
    "secret", "secrets", "credential", "credentials", "token", "authorization", "cookie", "cookies", "jwt",
    "bearer", "phpsessid", "jsessionid", "sessionid",
)  # fmt: skip
_ENDINGS = ("password", "passwd", "passphrase", "pwd")
_TOKEN_ENDINGS = ("secret", "token", "apikey", "accesskey", "secretkey", "privatekey", "signingkey", "authkey")
_PAIRS = {
    "key": (
        "api", "apikey", "access", "secret", "private", "priv", "signing", "sign", "encryption", "encrypt",
        "decryption",
        "crypto", "auth", "authentication", "account", "shared", "master", "consumer", "session", "hmac", "aes", "jwt",
        "unseal", "recovery", "subscription", "service", "deploy", "admin", "webhook", "storage", "root",
    ),
    "string": ("connection", "conn"),
    "str": ("connection", "conn"),
    "phrase": ("pass", "seed", "recovery"),
    "word": ("pass",),
    "code": ("pass",),
    "id": ("phpsess", "jsession"),
}  # fmt: skip
_PUBLIC_KEYS = (
    "public", "pub", "primary", "foreign", "cache", "sort", "partition", "shard", "idempotency", "object", "row",
    "dedup", "deduplication", "lookup", "hash", "index", "group", "routing", "message", "translation",
    "publishable", "redis", "json", "dict", "map", "host", "unique", "natural", "surrogate", "composite", "range",
    "order", "query", "metric", "step", "arrow", "hot", "short", "enter", "no",
)  # fmt: skip
_NUMBERED = ("first", "second", "last", "single", "all", "test")
"""In `first_pass` and the like it is no word for a password."""

_GRAMMAR = (
    "next", "page", "continuation", "pagination", "starting", "idempotency", "lock", "sync", "cursor", "progress",
    "wait", "eos", "bos", "pad", "unk", "cls", "sep", "special", "stop", "start", "end", "skip", "mask", "input",
    "output", "prompt", "completion", "num", "lexer", "parser", "first", "last", "prev", "previous",
)  # fmt: skip
"""What stands before `token` where it lets nobody in: it marks a place in a list, or is a part of a text."""
_DENIALS = (
    "no", "non", "has", "is", "needs", "need", "requires", "require", "use", "uses", "without", "forgot",
    "masked", "redacted",
)  # fmt: skip
_NEUTRAL = (
    "value", "val", "raw", "plain", "plaintext", "clear", "cleartext", "string", "str", "text", "hash", "hashed",
    "base", "encoded", "decoded", "encrypted", "confirm", "confirmation", "confirmed", "again", "repeat",
    "retype", "verify", "key", "header", "data", "bytes", "json", "pem", "content", "old", "new", "prev",
    "previous", "current", "next", "backup", "default", "primary", "secondary", "tertiary", "main", "master",
    "prod", "production", "prd", "staging", "stage", "stg", "dev", "development", "test", "testing", "tests",
    "qa", "uat", "live", "sandbox", "ci", "local", "demo", "beta", "eu", "us", "east", "west", "north", "south",
    "ro", "rw", "write", "read", "admin", "root", "v", "override", "fallback", "global", "shared", "b", "secret",
    "tmp", "temp",
)  # fmt: skip
_ABOUT = (
    "count", "counts", "counter", "type", "types", "url", "urls", "uri", "endpoint", "id", "ids", "name", "names",
    "file", "files", "path", "paths", "dir", "directory", "folder", "env", "at", "on", "date", "time", "timeout",
    "ttl", "age", "expiry", "expires", "expired", "expire", "expiration", "in", "exp", "length", "len", "size", "min",
    "max", "limit", "limits", "policy", "page", "reset", "field", "fields", "label", "format", "method", "mode",
    "status", "state", "total", "used", "usage", "provider", "source", "class", "algorithm", "alg", "algo", "version",
    "arn", "ref", "issuer", "audience", "scope", "scopes", "hint", "strength", "rotation", "manager", "store",
    "storage", "backend", "required", "enabled", "disabled", "valid", "present", "exists", "changed", "created",
    "updated", "index", "position", "bucket", "budget", "rate", "prefix", "suffix", "pattern", "regex", "rules",
    "rule", "kind", "location", "helper", "engine", "domain", "samesite", "secure", "httponly", "lifetime",
    "generator", "validator", "handler", "error", "errors", "test", "tests", "cache", "stdin", "fd", "prompt",
    "command", "cmd", "script", "per", "ratio", "price", "cost", "set", "is", "was", "not", "for", "to", "of", "and",
    "or", "by", "from", "py", "js", "ts", "md", "html", "txt", "yml", "yaml", "rs", "go", "rb", "java", "list", "map",
    "ring", "board", "word", "words", "frame", "code", "codes", "less", "window", "pair", "strategy", "management",
    "fingerprint", "thumbprint", "comment", "owner", "user", "username", "bits", "purpose", "title", "description",
    "role", "group", "settings", "santa", "checker", "factory", "attempts", "level", "flag", "scanning", "number",
    "change", "schema", "info", "service", "server", "client", "consent", "banner", "jar", "agent",
)  # fmt: skip


def words(name: str) -> list[str]:
    """Return the words of a name in lower case, from any style: `dbPassword`, `DB_PASSWORD`, `APIKey2`."""
    found: list[str] = []
    start = 0
    before = ""
    for i, character in enumerate(name):
        kind = "a" if character.islower() else "A" if character.isupper() else "0" if character.isdigit() else "-"
        if kind != before and (before, kind) != ("A", "a"):
            _add(found, name[start:i], before)
            start = i
        elif before == "A" and kind == "a" and i - start > 1:  # in `APIKey` the `K` begins the next word
            _add(found, name[start : i - 1], before)
            start = i - 1
        before = kind
    _add(found, name[start:], before)
    return found


def _add(found: list[str], word: str, kind: str) -> None:
    if kind in ("a", "A"):
        found.append(word.lower())


def meaning(name: str) -> int:
    """Return what a name says of its value: `NO`, `KEY`, `MAYBE`, `YES` or `PASSWORD`. Any text is a name."""
    parts = words(name)
    for i in range(len(parts) - 1, -1, -1):
        found = _head(parts, i)
        if found:
            return found if i == len(parts) - 1 else min(found, _after(parts[i + 1 :], found))
    return NO


def _head(parts: Sequence[str], i: int) -> int:
    """Return what the word at this place, with the one before it, makes of a name that ends with it."""
    word, before = parts[i], parts[i - 1] if i else ""
    if (
        before in _DENIALS
        or (before in _GRAMMAR and word in ("token", "tokens"))
        or (before in _PUBLIC_KEYS and word.endswith("key"))
    ):
        return NO
    if _is_password(word, before):
        return PASSWORD
    if word in _TOKENS or word.endswith(_TOKEN_ENDINGS) or before in _PAIRS.get(word, ()):
        return YES
    if word in ("pass", "tokens", "auth", "apikeys") or (word == "keys" and before in _PAIRS["key"]):
        return MAYBE
    return KEY if word == "key" and before else NO


def _is_password(word: str, before: str) -> bool:
    if word == "pass":
        return bool(before) and before not in _NUMBERED
    prefix = word.removesuffix("pass").removesuffix("pw")
    return (
        word in _PASSWORDS
        or word.endswith(_ENDINGS)
        or (prefix != word and prefix in _PREFIXED)
        or (word == "passe" and before == "de")  # French: mot de passe
    )


def _after(rest: Sequence[str], found: int) -> int:
    if all(word in _NEUTRAL for word in rest):
        return found
    return NO if any(word in _ABOUT for word in rest) else MAYBE
