"""A strip: the last outcomes of a test as a row of blocks, whose heights tell them apart without colours."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from pytest_swarmtask.core.outcomes import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_swarmtask.history.outcomes import PastOutcome

_BLOCKS = {"good": "▂", "bad": "█", "skip": "▁", "open": "▄"}


class Strip(NamedTuple):
    """A strip.

    Attributes:
        words: what it shows, for people who cannot see it.
        parts: kinds of outcomes and their blocks, oldest first. Equal neighbours are one part.
    """

    words: str
    parts: list[tuple[str, str]]


def strip_of(outcomes: Sequence[PastOutcome]) -> Strip:
    """Return the strip of outcomes, given oldest first."""
    kinds = [kind_of(one.outcome) for one in outcomes]
    words = f"{kinds.count('bad')} of the last {len(kinds)} results failed"
    return Strip(words, [(kind, _BLOCKS[kind] * len(list(group))) for kind, group in groupby(kinds)])
