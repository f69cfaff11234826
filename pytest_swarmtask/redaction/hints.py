"""Whether a text may hold a secret: cheap questions that are asked of every text, so that few texts need a pattern.

A wrong yes costs a search in vain, a wrong no would show a secret: these questions ask for less than the patterns do.
"""

from __future__ import annotations

# The levels: what a name says of its value. The more a name says, the less is asked of the value.
NO = 0
"""The name is not that of a secret."""
KEY = 1
"""The name is that of some key, such as `stripe_key`: the value is a secret if it is long and looks random."""
MAYBE = 2
"""The name may mean something else, such as `tokens` or `auth`: the value is a secret if it looks random."""
YES = 3
"""The name is that of a secret that a machine makes, such as `api_key` or `token`."""
PASSWORD = 4
"""The name is that of a secret that a person may have made up: the value can look like anything."""

_SHORTEST = 20
"""The tokens that `formats` and `prefixes` know have a word of at least so many characters, ..."""
_VARIED = 5
"""... of which at least so many are digits or capitals: words, paths and node ids seldom have both."""

_PLAIN = bytes(code for code in range(256) if not (0x30 <= code <= 0x39 or 0x41 <= code <= 0x5A))
"""All bytes that are no digit and no capital letter: without them the varied characters of a text are left."""
# Tables for `bytes.translate`, the cheapest way to look at all characters of a text. The first keeps the characters
# that tokens have and makes spaces of all others; the second makes `w` of them, so that a long word is `_LONG`.
_WORDS = bytes(code if code < 0x80 and (chr(code).isalnum() or chr(code) in "_-.~+=%") else 0x20 for code in range(256))
_SHAPE = bytes(0x20 if code == 0x20 else 0x77 for code in _WORDS)
_LONG = b"w" * _SHORTEST

_RARE = (
    "jwt", "conn", "bearer", "phrase", "psk", "mnemonic",
    "kennwort", "contrase", "senha", "mdp", "wachtwoord", "hasło", "lösenord", "parola",
)  # fmt: skip
"""Parts of rarer names, looked for only in the keys of metadata. Keys come again and again, and what is found out about
one is kept; in every text the search for all of these would cost too much."""

_CALLS = (
    "connect", "jwt.", "hmac", "bind", "crypt(", "ftp(", "pdo(", "mysqli(", "fernet(", "create_user(", "begin(",
    "sequelize(", "newdialer(",
)  # fmt: skip
"""Functions of `notations` that take a secret without naming it."""


def may_hold_token(text: str) -> bool:
    """Whether a text may hold what `formats.without_tokens` and `prefixes` hide."""
    octets = text.encode("utf-8", "replace")
    if len(octets.translate(None, _PLAIN)) < _VARIED or _LONG not in octets.translate(_SHAPE):
        return False
    words = octets.translate(_WORDS).split()
    return any(len(word) >= _SHORTEST and len(word.translate(None, _PLAIN)) >= _VARIED for word in words)


def may_hold_credentials(lowered: str) -> bool:
    """Whether a text, in lower case, may hold what `formats.without_credentials` hides."""
    return (  # not a loop over a table: this is asked of every text
        "://" in lowered
        or ("@" in lowered and "@tcp(" in lowered)
        or ":5432:" in lowered
        or ("%" in lowered and ("%3a" in lowered or "bearer%20" in lowered))
        or ("=" in lowered and ("sig=" in lowered or "ature=" in lowered or "code=" in lowered or "key=" in lowered))
        or (" " in lowered and ("basic " in lowered or "bearer " in lowered or "identified " in lowered))
    )


def may_hold_named_credentials(lowered: str) -> bool:
    """Whether a text with a secret's name, in lower case, may hold what `formats.without_credentials` hides."""
    return "private" in lowered or "login " in lowered or may_hold_credentials(lowered)


def may_hold_command(lowered: str) -> bool:
    """Whether a text in lower case, without a secret's name, may hold what `commands.without_arguments` hides."""
    return ("@" in lowered and "/" in lowered) or (  # not a loop over a table: this is asked of every text
        " " in lowered
        and (
            ("-" in lowered and (" -" in lowered or "'-" in lowered))
            or "login" in lowered
            or ("k" in lowered and "kinit" in lowered)  # one letter first: that is half as dear
            or ("q" in lowered and "mqctl " in lowered)
            or (
                "/" in lowered
                and (
                    "sqlplus" in lowered
                    or "pdp " in lowered  # `expdp`, `impdp`
                    or "net us" in lowered
                    or "/rp " in lowered
                    or "/p:" in lowered
                )
            )
        )
    )


def may_name_secret(lowered: str) -> bool:
    """Whether a text, in lower case, may hold the name of a secret."""
    return (  # not a loop over a table: this is asked of every text
        "pass" in lowered
        or "secret" in lowered
        or "token" in lowered
        or "key" in lowered
        or "pw" in lowered
        or "cred" in lowered
        or "auth" in lowered
        or "cookie" in lowered
        or ("conn" in lowered and "str" in lowered)
        or ("sess" in lowered and ("sessid" in lowered or "sessionid" in lowered))
    )


def may_be_cut(text: str) -> bool:
    """Whether something may have been cut out of the middle of a text, and `cuts` has to look at it."""
    return "..." in text or "…" in text or " chars]" in text


def may_be_secret_name(name: str) -> bool:
    """Whether a name may be that of a secret."""
    lowered = name.lower()
    return may_name_secret(lowered) or any(word in lowered for word in _RARE)


def may_take_secret(lowered: str) -> bool:
    """Whether a text in lower case may hold what `notations` hides, though it does not name it."""
    if " " not in lowered and "(" not in lowered and "=" not in lowered:
        return False  # a node id or another name
    return (  # not a loop over a table: this is asked of every text
        "psk" in lowered
        or ("(" in lowered and any(call in lowered for call in _CALLS))
        or ("user " in lowered and ("net user " in lowered or " using " in lowered or " >" in lowered))
        or ("com" in lowered and ("community " in lowered or "com2sec " in lowered))
        or "unseal " in lowered
        or ("-" in lowered and "http-b" in lowered)  # `http-basic`
    )
