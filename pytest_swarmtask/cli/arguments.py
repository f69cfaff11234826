"""What arguments of several commands are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def port(text: str) -> int:
    """Return the port that an argument names.

    Raises:
        argparse.ArgumentTypeError: it names none.
    """
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, expected 0 to 65535")
    return int(text)


def number_of(unit: str) -> Callable[[str], float]:
    """Return what reads an argument that is a number of these, at least 0; any other is an `ArgumentTypeError`."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit}")
        return value

    return number
