"""Corpora in text files: one text per line, each in its own surroundings.

`@SIZE:ALPHABET@` stands for random characters, `«…»` encloses the secret, `⏎` is a new line, and `meta: ` precedes
metadata or a command line as JSON.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.redaction.corpora.parts import Maker, Secret

_META = "meta: "
_RANDOM = re.compile(r"@(\d+:\w+)@")


class Written:
    """A corpus in a text file: the lines `# harmless` and `# secrets` head its two parts."""

    def __init__(self, name: str, seed: int) -> None:
        self.__name__ = name
        text = Path(__file__).with_name(f"{name}.txt").read_text("utf-8")
        make = Maker(seed)
        text = _RANDOM.sub(lambda found: make.of(found[1]), text)
        self._harmless, self._secrets = text.removeprefix("# harmless\n").split("# secrets\n")

    def harmless(self) -> list[Any]:
        """Return the harmless look-alikes."""
        return [_read(line) for line in self._harmless.splitlines()]

    def secrets(self) -> list[Secret]:
        """Return texts and metadata with one secret each."""
        return [
            Secret(_read(re.sub("[«»]", "", line)), re.split("[«»]", line)[1]) for line in self._secrets.splitlines()
        ]


def _read(line: str) -> Any:
    return json.loads(line.removeprefix(_META)) if line.startswith(_META) else line.replace("⏎", "\n")
