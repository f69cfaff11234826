"""`swarmtask collect`: take in what other machines have recorded, such as the shards of a CI run."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from pytest_swarmtask.cli.common import add_root, project_of, say
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import neutral, plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.history.session import SegmentCounts
    from pytest_swarmtask.journal.collect import Collected

_TIMEOUT = 60.0
"""Seconds to wait while other processes write the history. Without the history, no collected run could be shown."""


def register(subparsers: Subparsers) -> None:
    """Add the command `collect`."""
    parser = subparsers.add_parser(
        "collect",
        help="take in the journals of other machines, such as those of CI jobs",
        description="Take in the journals of other machines, such as the artifacts of CI jobs. Then one report is "
        "about all of them.",
        example="swarmtask collect artifacts/",
        page="history-in-ci",
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="a folder with journals or archives in it, an archive (zip, tar, tar.gz, tar.xz, tar.bz2), or a segment",
    )
    add_root(parser)
    parser.set_defaults(func=collect)


def collect(arguments: argparse.Namespace) -> int:
    """Collect journals. Return 1 if something could not be read, or if there was nothing, else 0.

    Raises:
        HistoryError: the history cannot be written now. What was collected is in the journal.
        UsageError: a path does not exist.
    """
    from pytest_swarmtask.history.session import query_history, segment_counts
    from pytest_swarmtask.journal.collect import collect as collect_into

    project = project_of(arguments)
    for path in arguments.paths:
        if not os.path.exists(path):
            raise UsageError(f"{path}: there is no such file or folder")
    before = segment_counts(project)
    found = collect_into(project, arguments.paths)
    shards = query_history(
        project, partial(_shards, found.traces), environ=os.environ, timeout=_TIMEOUT, say=say, collected=found
    )
    for line in (*_summary(found, before, segment_counts(project)), *shards):
        print(neutral(line))
    for file, reason in found.problems:
        say(neutral(f"{file}: {reason}"))
    return 1 if found.problems or not (found.segments or found.own) else 0


def _shards(traces: Iterable[str], db: Database) -> list[str]:
    """Return what is wrong with the shards of the runs that were collected."""
    from pytest_swarmtask.history.query import runs_of_traces
    from pytest_swarmtask.history.shards import sharded_suites
    from pytest_swarmtask.report.phrases import shard_problems, short_id

    runs = runs_of_traces(db, traces)
    return [f"run {short_id(run.run)}: {line}" for run in runs for line in shard_problems(sharded_suites(db, run.key))]


def _summary(
    found: Collected, before: Mapping[str, SegmentCounts], after: Mapping[str, SegmentCounts]
) -> Iterator[str]:
    if not (found.segments or found.own):
        yield "nothing was collected: no segment of a journal was found"
    if found.segments:
        counts = [after[name] for name in found.segments if name in after]
        events = sum(count.events for count in counts)
        both = found.segments & before.keys() & after.keys()
        known = sum(min(before[name].events, after[name].events) for name in both)
        origin = f" from {plural(len(found.archives), 'archive')}" if found.archives else ""
        already = f", {known} of them known already" if known else ""
        yield f"collected {plural(len(found.segments), 'segment')}{origin}: {plural(events, 'event')}{already}"
        foreign = sum(count.foreign for count in counts)
        if foreign:
            yield f"{plural(foreign, 'line')} skipped (not events)"
    if found.own:
        yield f"left alone {plural(len(found.own), 'segment')} that this machine recorded itself"
