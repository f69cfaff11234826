"""How tests ended lately, as an object: what `swarmtask quarantine` asks of a history."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pytest_swarmtask.config.quarantine import matches
from pytest_swarmtask.history.last_results import LastResults, last_results_of
from pytest_swarmtask.report.forms import write_json

if TYPE_CHECKING:
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form


class LastResultsRequest(NamedTuple):
    """Which tests are asked about.

    Attributes:
        tests: node ids, or globs as in `quarantine.yaml`, one a line.
    """

    tests: str = ""


@dataclass(frozen=True)
class LastResultsOfTests:
    """The answer.

    Attributes:
        tests: the tests, each under each of its variants.
        has_complete_run: whether a complete run is known, so that a test can be missing in it.
    """

    tests: list[LastResults]
    has_complete_run: bool


def find_last_results(db: Database, request: LastResultsRequest) -> LastResultsOfTests:
    """Return the last results of tests."""
    patterns = request.tests.splitlines()
    found, has_complete_run = last_results_of(db, lambda test: any(matches(pattern, test) for pattern in patterns))
    return LastResultsOfTests(found, has_complete_run)


def write_last_results(db: Database, request: LastResultsRequest, _: Form, out: BinaryIO) -> None:
    """Write the last results as JSON."""
    write_json(asdict(find_last_results(db, request)), out)
