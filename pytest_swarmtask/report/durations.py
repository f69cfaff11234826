"""How long tests usually take, as the file that `pytest --swarmtask-shard` reads: `swarmtask durations`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pytest_swarmtask.history.durations import usual_durations
from pytest_swarmtask.report.forms import write_json

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form

VERSION = 1
_DIGITS = 3
"""Significant digits. Durations vary by more than a thousandth, and a short file is quicker to cache."""


class DurationsRequest(NamedTuple):
    """A request for all tests."""


@dataclass(frozen=True)
class UsualDurations:
    """The object of `swarmtask durations`.

    Attributes:
        version: the version of this format.
        durations: seconds by variant, file and the rest of the node id.
    """

    version: int
    durations: dict[str, dict[str, dict[str, float]]]


def find_durations(db: Database) -> UsualDurations:
    """Return the durations of all tests of the last complete runs."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for variant, tests in usual_durations(db).items():
        files = found.setdefault(variant, {})
        for test, seconds in tests.items():
            file, _, _ = test.partition("::")
            files.setdefault(file, {})[test[len(file) :]] = float(f"{seconds:.{_DIGITS}g}")
    return UsualDurations(VERSION, found)


def write_durations(db: Database, _: DurationsRequest, __: Form, out: BinaryIO) -> None:
    """Write the durations as JSON."""
    write_json(asdict(find_durations(db)), out)
