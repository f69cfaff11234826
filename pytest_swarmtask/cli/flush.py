"""`swarmtask flush`: send all events that have not been delivered yet."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import add_root, describe_trouble, number_of, project_of, relay_database
from pytest_swarmtask.cli.job_log import print_command
from pytest_swarmtask.core.text import NOTHING_RECORDED, neutral, plural
from pytest_swarmtask.recording.github_annotations import take_annotations

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    from rich.progress import Progress
    from typing_extensions import Self

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.relay.survey import EndpointSurvey


FLUSH_TIMEOUT = 60.0
"""Seconds that a person waits at most, by default."""
_BAR_AFTER = 1.0
"""Seconds before the progress bar appears: a bar that is gone at once is only flicker."""


def register(subparsers: Subparsers) -> None:
    """Add the command `flush`."""
    parser = subparsers.add_parser(
        "flush",
        help="send all waiting events, and wait until they are delivered",
        description="Send all waiting events now, and wait until they are delivered. Use it as the last step of a CI "
        "job.",
        example="swarmtask flush --timeout 60",
        page="delivery",
    )
    parser.add_argument(
        "--timeout",
        dest="timeout",
        type=number_of("seconds"),
        default=FLUSH_TIMEOUT,
        metavar="SECONDS",
        help="give up after this long (default: %(default)g)",
    )
    add_root(parser)
    parser.set_defaults(func=flush)


def flush(arguments: argparse.Namespace) -> int:
    """Send all events that wait. Return 1 if some still wait afterwards, else 0."""
    from pytest_swarmtask.relay import process
    from pytest_swarmtask.relay.survey import survey_endpoints

    project = project_of(arguments)
    if not os.path.isdir(project.journal):
        print(NOTHING_RECORDED)
        return 0
    with relay_database(project):
        before = survey_endpoints(project, os.environ)
    with ProgressBar() as bar:
        process.flush(project, os.environ, arguments.timeout, bar.update)
    with relay_database(project):
        after = survey_endpoints(project, os.environ)
    for line in _summary(before, after):
        print(neutral(line))
    for annotation in take_annotations(project, os.environ):
        print_command(annotation)
    return 0 if not any(endpoint.waiting for endpoint in after.values()) else 1


def _summary(before: Mapping[str, EndpointSurvey], after: Mapping[str, EndpointSurvey]) -> Iterator[str]:
    if not after:
        yield "nothing to send"
    for name, endpoint in after.items():
        earlier = before.get(name)
        sent = endpoint.delivered - (earlier.delivered if earlier else 0)
        yield f"{name}: {sent} delivered now, {endpoint.waiting} waiting, {plural(endpoint.dead, 'dead letter')}"
        if endpoint.waiting and endpoint.state.reason:
            yield f"  {describe_trouble(endpoint.state)}"


class ProgressBar:
    """A progress bar on standard error, which appears only on a terminal and only if sending takes long.

    Attributes:
        update: the function to call with the numbers of settled and of all events; None if there is no terminal.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._progress: Progress | None = None
        self.update: Callable[[int, int], None] | None = self._update if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _update(self, settled: int, total: int) -> None:
        if self._progress is None and time.monotonic() - self._begun > _BAR_AFTER and settled < total:
            from rich.console import Console
            from rich.progress import Progress

            self._progress = Progress(console=Console(stderr=True))
            self._progress.add_task("sending", total=total)
            self._progress.start()
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=settled, total=total)
