"""Counts words."""

from __future__ import annotations

import re
import sys
from collections import Counter

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def count(text: str) -> Counter[str]:
    """Return how often each word occurs, whatever its case."""
    return Counter(word.casefold() for word in _WORD.findall(text))


def main() -> None:
    """Print the ten most common words of standard input."""
    for word, number in count(sys.stdin.read()).most_common(10):
        print(f"{number:6} {word}")
