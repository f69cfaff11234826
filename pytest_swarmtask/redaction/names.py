"""Which names are names of secrets: `x-api-key`, `githubToken` and `DB_PASSWORD_PROD` are, `token_count` is not.

A name is read as its words, in whatever style it is written. Its head is the last word that names a secret, such as
`token` or `password`. A word before the head can deny it (`next_token`, `public_key`). The words after it say either
which secret it is (`token_prod`), or that the name is about a secret (`token_count`, `password_reset_page`).
"""

from __future__ import annotations

from pytest_swarmtask.redaction.hints import KEY, MAYBE, NO, PASSWORD, YES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PASSWORDS = (
    "password", "passwd", "passphrase", "passcode", "passwort", "pwd", "pw", "creds", "passwords", "kennwort",
    "passwörter", "contraseña", "contrasena", "senha", "mdp", "wachtwoord", "hasło", "lösenord", "parola", "psk",
    "mnemonic", "authtok",
)  # fmt: skip
"""Words for a secret that a person may have chosen, so that its value can look like anything."""
_PREFIXED = (
    "db", "user", "my", "ftp", "sftp", "smtp", "imap", "mail", "email", "admin", "root", "sql", "mysql", "pg", "psql",
    "postgres", "redis", "mongo", "rabbit", "ldap", "proxy", "ssh", "key", "store", "keystore", "cert", "become",
    "sudo", "wifi", "test", "login", "auth", "http", "web", "rpc", "app", "api", "svc", "service", "db2", "ora",
    "tls", "ssl", "vault", "bind", "require", "truststore", "srcstore", "deststore", "srckey", "destkey",
    "remote", "repl", "replication", "imap4", "pop", "net", "sys",
)  # fmt: skip
"""What stands before `pass` or `pw` in one word: `dbpass`, unlike `minipass`, which is a package."""
_TOKENS = (
    "secret", "secrets", "credential", "credentials", "token", "authorization", "cookie", "cookies", "jwt",
    "bearer", "phpsessid", "jsessionid", "sessionid",
)  # fmt: skip
"""Words for what a machine makes."""
_PASSWORD_ENDINGS = ("password", "passwd", "passphrase", "pwd")
_TOKEN_ENDINGS = ("secret", "token", "apikey", "accesskey", "secretkey", "privatekey", "signingkey", "authkey")
"""How one word ends that is two, as in `githubtoken` and `APIKEY`."""
_PAIRS = {
    "key": (
        "api", "apikey", "access", "secret", "private", "priv", "signing", "sign", "encryption", "encrypt",
        "decryption",
        "crypto", "auth", "authentication", "account", "shared", "master", "consumer", "session", "hmac", "aes", "jwt",
        "unseal", "recovery", "subscription", "service", "deploy", "admin", "webhook", "storage", "root",
        "validation", "preshared", "principal", "fernet",
    ),
    "string": ("connection", "conn"),
    "str": ("connection", "conn"),
    "phrase": ("pass", "seed", "recovery"),
    "word": ("pass",),
    "code": ("pass",),
    "id": ("phpsess", "jsession"),
}  # fmt: skip
"""Words that name a secret only together: `key` and what stands before it where it opens something, and so on."""
_PUBLIC_KEYS = (
    "public", "pub", "primary", "foreign", "cache", "sort", "partition", "shard", "idempotency", "object", "row",
    "dedup", "deduplication", "lookup", "hash", "index", "group", "routing", "message", "translation",
    "publishable", "redis", "json", "dict", "map", "host", "unique", "natural", "surrogate", "composite", "range",
    "order", "query", "metric", "step", "arrow", "hot", "short", "enter", "no",
)  # fmt: skip
"""What stands before `key` where everybody may see it: of a database, a cache, a keyboard, a mapping."""
_NUMBERED = ("first", "second", "last", "single", "all", "test")
"""After these words `pass` is a round, as in `first_pass`, and no password."""

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
"""What stands before a secret's name that then says whether there is a secret, or what is done with it."""
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
"""What follows a secret's name and says which one it is, or in which form it is: the value is still the secret."""
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
    "change", "chars", "alphabet", "charset", "schema", "info", "service", "server", "client", "consent", "banner",
    "jar", "agent",
)  # fmt: skip
"""What follows a secret's name where the value is not the secret but something about it."""


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
    """Return what a name says of its value: one of the levels of `hints`. Any text can be given as a name."""
    parts = words(name.removeprefix("cls."))  # Python's class; `cls_token` is a part of a text
    for i in range(len(parts) - 1, -1, -1):
        found = _head(parts, i)
        if found:
            return min(found, _after(parts[i + 1 :], found))
    return NO


def _head(parts: Sequence[str], i: int) -> int:
    """Return what the word at this place, with the one before it, makes of a name that ends with it."""
    word, before = parts[i], parts[i - 1] if i else ""
    for is_such, level in _HEADS:
        if is_such(word, before):
            return level
    return NO


def _is_denied(word: str, before: str) -> bool:
    return (
        before in _DENIALS
        or (before in _GRAMMAR and word in ("token", "tokens"))
        or (before in _PUBLIC_KEYS and word.endswith("key"))
    )


def _is_password(word: str, before: str) -> bool:
    if word == "pass":
        return bool(before) and before not in _NUMBERED  # alone it is more often a verb or a result
    return (
        word in _PASSWORDS
        or word.endswith(_PASSWORD_ENDINGS)
        or _is_prefixed_pass(word)
        or (word == "passe" and before == "de")  # French: mot de passe
    )


def _is_prefixed_pass(word: str) -> bool:
    prefix = word.removesuffix("pass").removesuffix("pw")
    return prefix != word and prefix in _PREFIXED


def _is_token(word: str, before: str) -> bool:
    return word in _TOKENS or word.endswith(_TOKEN_ENDINGS) or before in _PAIRS.get(word, ())


def _is_ambiguous(word: str, before: str) -> bool:
    # `tokens` are also the words of a text, and `auth` and `pass` say how somebody is let in, or that a test passed. A
    # salt is often stored for all to see, but those of WordPress and Rails are secrets.
    return word in ("pass", "tokens", "auth", "apikeys", "salt") or (word == "keys" and before in _PAIRS["key"])


def _is_some_key(word: str, before: str) -> bool:
    return word == "key" and bool(before)  # `stripe_key`; `key` alone is that of any mapping


_HEADS = (
    (_is_denied, NO),  # first: `no_password`, `next_token`, `public_key`
    (_is_password, PASSWORD),
    (_is_token, YES),
    (_is_ambiguous, MAYBE),
    (_is_some_key, KEY),
)
"""What makes a word the head of a secret's name, and what such a name says of its value."""


def _after(rest: Sequence[str], found: int) -> int:
    """Return what is left of what a name's head says, given the words that follow it."""
    if all(word in _NEUTRAL for word in rest):
        return found
    return NO if any(word in _ABOUT for word in rest) else MAYBE  # an unknown word leaves it to the value
