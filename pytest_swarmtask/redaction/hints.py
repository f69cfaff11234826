"""Whether a text may hold a secret: cheap questions that are asked of every text, so that few need a pattern."""

from __future__ import annotations

# What a name says of its value:
NO = 0
"""The name tells of no secret."""
KEY = 1
"""Some key; a secret if the value is long and looks as if a machine had made it."""
MAYBE = 2
"""A secret unless the value is plain."""
YES = 3
"""A secret that a machine makes: `api_key`, `token`."""
PASSWORD = 4
"""A secret that a person may have made up, so that it can look like anything."""

SHORTEST = 20
"""Tokens have a word of at least so many characters, ..."""
VARIED = 5
"""... of which at least so many are digits or capitals."""

_PLAIN = bytes(code for code in range(256) if not (0x30 <= code <= 0x39 or 0x41 <= code <= 0x5A))
"""All that is no digit and no capital letter."""
_WORDS = bytes(code if code < 0x80 and (chr(code).isalnum() or chr(code) in "_-.~+=%") else 0x20 for code in range(256))
_SHAPE = bytes(0x20 if code == 0x20 else 0x77 for code in _WORDS)
_LONG = b"w" * SHORTEST

_RARE = (
    "jwt", "conn", "bearer", "phrase", "psk", "mnemonic",
    "kennwort", "contrase", "senha", "mdp", "wachtwoord", "hasło", "lösenord", "parola",
)  # fmt: skip
"""Looked for in the keys of metadata only: those come again and again, so what is found out about them is kept."""


def may_hold_token(text: str) -> bool:
    """Tell whether a text may hold what `secret_formats.without_tokens` hides."""
    octets = text.encode("utf-8", "replace")
    if len(octets.translate(None, _PLAIN)) < VARIED or _LONG not in octets.translate(_SHAPE):
        return False
    words = octets.translate(_WORDS).split()
    return any(len(word) >= SHORTEST and len(word.translate(None, _PLAIN)) >= VARIED for word in words)


def may_hold_credentials(lowered: str) -> bool:
    """Tell whether a text, in lower case, may hold what `secret_formats.without_credentials` hides."""
    return (  # not a loop: this is asked of every text
        "://" in lowered
        or "@tcp(" in lowered
        or ":5432:" in lowered
        or ("%" in lowered and ("%3a" in lowered or "bearer%20" in lowered))
        or ("=" in lowered and ("sig=" in lowered or "ature=" in lowered or "code=" in lowered or "key=" in lowered))
        or (
            " " in lowered
            and (
                " -" in lowered
                or "'-" in lowered
                or "basic " in lowered
                or "bearer " in lowered
                or "identified " in lowered
                or "password for " in lowered
                or "rabbitmqctl " in lowered
                or "snyk auth " in lowered
                or ("key" in lowered and "private" in lowered)
                or ("pass" in lowered and ("login " in lowered or "sshpass" in lowered))
            )
        )
    )


def may_name_secret(lowered: str) -> bool:
    """Tell whether a text, in lower case, may hold the name of a secret."""
    return (  # not a loop: this is asked of every text
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


def may_be_secret_name(name: str) -> bool:
    """Tell whether a name may be one of a secret."""
    lowered = name.lower()
    return may_name_secret(lowered) or any(word in lowered for word in _RARE)
