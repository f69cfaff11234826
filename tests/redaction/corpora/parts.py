"""Made-up secrets in the form of real ones, assembled here so that scanners do not report this repository as a leak."""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Iterator
from typing import Any, NamedTuple

LOWER, DIGITS, HEX = string.ascii_lowercase, string.digits, "0123456789abcdef"
ALNUM = string.ascii_letters + DIGITS
URLSAFE = ALNUM + "-_"
BASE32 = string.ascii_uppercase + "234567"
BASE64 = ALNUM + "+/"


class Secret(NamedTuple):
    """A text, command line or metadata with a secret in it.

    Attributes:
        given: a text, a command line as a list, or metadata.
        secret: the text that redaction must remove completely.
    """

    given: Any
    secret: str


class Maker:
    """Makes secrets from a seed, the same ones each time."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def text(self, size: int, alphabet: str = ALNUM) -> str:
        """Return random characters."""
        return "".join(self._random.choices(alphabet, k=size))

    def of(self, *parts: str) -> str:
        """Return a secret made of parts: fixed texts, and `SIZE:NAME OF ALPHABET` for random characters."""
        return "".join(self._part(part) for part in parts)

    def _part(self, part: str) -> str:
        size, _, name = part.partition(":")
        return self.text(int(size), ALPHABETS[name]) if name in ALPHABETS and size.isdigit() else part

    def base64(self, size: int) -> str:
        """Return random bytes in Base64."""
        return base64.b64encode(self._random.randbytes(size)).decode()

    def hex(self, size: int) -> str:
        """Return random hexadecimal digits."""
        return self.text(size, HEX)

    def uuid(self) -> str:
        """Return a random text in the form of a UUID."""
        return "-".join(self.hex(size) for size in (8, 4, 4, 4, 12))

    def jwt(self, algorithm: str = "HS256", **claims: object) -> str:
        """Return a JSON Web Token."""
        head = {"alg": algorithm, "typ": "JWT"}
        body = {"sub": self.text(8, DIGITS), "iat": 1700000000, **claims}
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (head, body)]
        return ".".join([*parts, self.text(43, URLSAFE)])

    def pem(self, kind: str = "RSA PRIVATE KEY", newline: str = "\n", lines: int = 6) -> tuple[str, str]:
        """Return a private key, and a line from its middle."""
        body = [self.base64(48) for _ in range(lines)]
        marks = ["-----" + f"{word} {kind}" + "-----" for word in ("BEGIN", "END")]
        return newline.join([marks[0], *body, marks[1]]), body[lines // 2]

    def pick(self, values: list[Any]) -> Any:
        """Return one of the values."""
        return self._random.choice(values)


ALPHABETS = {
    "a": LOWER,
    "A": string.ascii_uppercase,
    "0": DIGITS,
    "x": HEX,
    "X": "0123456789ABCDEF",
    "w": ALNUM,
    "u": URLSAFE,
    "A0": string.ascii_uppercase + DIGITS,
    "a0": LOWER + DIGITS,
    "32": BASE32,
    "32a": LOWER + "234567",
    "L": string.ascii_letters,
    "64": BASE64,
}


def spread(values: list[Any], surroundings: list[str], each: int) -> Iterator[tuple[Any, str]]:
    """Pair each value with `each` of the surroundings in rotation, so that all surroundings are used."""
    position = 0
    for value in values:
        for _ in range(each):
            yield value, surroundings[position % len(surroundings)]
            position += 1
        position += 1 if len(surroundings) % each == 0 else 0
