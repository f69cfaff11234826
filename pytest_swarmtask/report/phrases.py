"""Durations, times and phrases, worded in the same way in every form of a report. Plain text, without a terminal."""

from __future__ import annotations

import contextlib
import shlex
from collections import Counter
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING

from pytest_swarmtask.core.outcomes import TEARDOWN
from pytest_swarmtask.core.text import neutral, plural
from pytest_swarmtask.core.timestamps import parse_timestamp
from pytest_swarmtask.history.query import with_variant

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import tzinfo

    from pytest_swarmtask.history.flaky import Flaky
    from pytest_swarmtask.history.query import Failure, QuarantinedTest, Run
    from pytest_swarmtask.history.shards import ShardedSuite
    from pytest_swarmtask.report.failures import ReportedFailure

_SHORT_ID = 12
"""Digits of a run's id that are shown: enough for `report --run`, which takes any beginning of an id."""
_SHORT_COMMIT = 10
"""Digits of a commit that are shown: git takes any unique beginning of a commit."""

_MOST_LATER = 3
"""Runs without tests that are named. The report is not about them."""

_MOST_SHARDS = 10
"""Shards that are named in a line."""

_IN_MILLISECONDS = 0.01
"""Seconds below which a duration is shown in milliseconds: as seconds it would be 0.00 or 0.01."""
_IN_MINUTES = 60.0
"""Seconds from which a duration is shown in minutes, and without fractions."""

_WORDS = {"errors": "error"}
"""Outcomes whose word differs from the name of the column that counts them."""


_zone: ContextVar[tzinfo | None] = ContextVar("zone", default=None)
"""The time zone of the reader; None stands for the zone of this machine."""


@contextlib.contextmanager
def times_in(zone: tzinfo | None) -> Iterator[None]:
    """Show times in a time zone during the block: the reader of a server may be in another one."""
    token = _zone.set(zone)
    try:
        yield
    finally:
        _zone.reset(token)


def short_id(trace_id: str) -> str:
    """Return the beginning of a run's id."""
    return trace_id[:_SHORT_ID]


def short_commit(commit: str | None, dirty: bool | None = None) -> str:  # noqa: FBT001 - it belongs to the commit
    """Return the beginning of a commit; with uncommitted changes it has the suffix of `git describe --dirty`."""
    return f"{commit[:_SHORT_COMMIT]}{'-dirty' if dirty else ''}" if commit else ""


def format_duration(seconds: float) -> str:
    """Return a duration such as ``4.2 ms``, ``1.50 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    if seconds < _IN_MILLISECONDS:
        return f"{seconds * 1000:.1f} ms"
    if seconds < _IN_MINUTES:
        return f"{seconds:.2f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60)} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_elapsed(seconds: float) -> str:
    """Return how long something has been running, in whole seconds: fractions would change too fast to be read."""
    return f"{int(seconds)} s" if seconds < _IN_MINUTES else format_duration(seconds)


def format_time(timestamp: str, *, to_the_second: bool = False) -> str:
    """Return a timestamp in the reader's time, to the minute. A text that is not a timestamp is returned as it is."""
    form = "%Y-%m-%d %H:%M:%S" if to_the_second else "%Y-%m-%d %H:%M"
    try:
        return parse_timestamp(timestamp).astimezone(_zone.get()).strftime(form)
    except (OverflowError, ValueError):
        return neutral(timestamp)


def format_times(timestamps: Collection[str]) -> list[str]:
    """Return timestamps as `format_time` does, but to the second if two of them would look the same."""
    to_the_minute = [format_time(timestamp) for timestamp in timestamps]
    if len(set(to_the_minute)) == len(set(timestamps)):
        return to_the_minute
    return [format_time(timestamp, to_the_second=True) for timestamp in timestamps]


def format_now() -> str:
    """Return the present time in the reader's time, to the minute and with its offset from UTC."""
    return datetime.now(_zone.get()).astimezone(_zone.get()).strftime("%Y-%m-%d %H:%M UTC%z")


def outcome_counts(run: Run) -> dict[str, int]:
    """Return the number of a run's tests by outcome, in words, in the order in which they are shown."""
    counts = {_WORDS.get(name, name): count for name, count in run.counts.items()}
    if run.teardown_errors:
        counts[TEARDOWN] = run.teardown_errors
    return counts


def test_name(test: str, variant: str, run: Run) -> str:
    """Return a node id, with its variant if the run has several."""
    return with_variant(test, variant) if len(run.variants) > 1 else test


def tests_of(run: Run) -> str:
    """Return the number of a run's tests, and whether they are only a part of the suite."""
    return f"{plural(run.tests, 'test')}{', a part of the suite' if run.partial else ''}"


def superseded_in(run: Run) -> str:
    """Return how many results of earlier attempts of CI jobs do not count any more; "" if there are none."""
    return f"{plural(run.superseded, 'result')} of earlier attempts superseded" if run.superseded else ""


def shard_problems(shards: Sequence[ShardedSuite]) -> list[str]:
    """Return what is wrong with the shards of a run, in one line for each variant; nothing if each test is in one."""
    return [_shard_problem(suite) for suite in shards if not suite.is_whole]


def _shard_problem(suite: ShardedSuite) -> str:
    parts = []
    if suite.missing:
        is_ = "is" if len(suite.missing) == 1 else "are"
        parts.append(f"{_named_shards(suite.missing)} of {suite.of} {is_} missing")
    if suite.other_inputs:
        parts.append(f"{_named_shards(suite.other_inputs)} divided other tests or durations than the others")
    if suite.twice:
        parts.append(f"{plural(suite.twice, 'test')} ran twice")
    if suite.never:
        parts.append(f"{plural(suite.never, 'test')} of {suite.tests} ran in no shard")
    under = f" under {neutral(suite.variant)}" if suite.variant else ""
    return f"{', '.join(parts)}{under}"


def _named_shards(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:_MOST_SHARDS]))
    more = f" and {len(numbers) - _MOST_SHARDS} more" if len(numbers) > _MOST_SHARDS else ""
    return f"{'shard' if len(numbers) == 1 else 'shards'} {named}{more}"


def attempts_at(run: Run) -> str:
    """Return the trace ids of a run that has several, as ``2 attempts: 1234567890ab, ba0987654321``; else ""."""
    names = ", ".join(neutral(short_id(trace_id)) for trace_id in run.traces)
    return f"{len(run.traces)} attempts: {names}" if len(run.traces) > 1 else ""


def trend_of(runs: Sequence[Run]) -> str:
    """Return what the runs of a trend have in common, as the end of ``The last 5 runs of …``."""
    last = runs[-1]
    if last.partial:
        return neutral(last.scope or last.what)
    return neutral(last.what) if all(run.what == last.what for run in runs) else "these tests"


def flakiness(test: Flaky) -> str:
    """Return in how many of its runs a test was flaky, and why, the last time."""
    share = f"{test.failed} of its last {test.runs} runs" if test.runs > 1 else "its only run"
    commit = f" {short_commit(test.commit)}" if test.commit and test.why.endswith("commit") else ""
    return f"{share}: {test.why}{commit}"


def last_runs_in_words(number: int) -> str:
    """Return ``the last run`` or ``the last 20 runs``."""
    return "the last run" if number == 1 else f"the last {number} runs"


def later_runs(runs: Sequence[Run], total: int) -> str:
    """Return which runs without tests came after the run that a report is about; "" if there are none."""
    if not runs:
        return ""
    named = [f"{neutral(run.what)} {run.outcome} (run {neutral(short_id(run.run))})" for run in runs[:_MOST_LATER]]
    more = f", and {total - len(named)} more" if total > len(named) else ""
    return f"since then, without tests: {', '.join(named)}{more}"


def failing_since(failure: Failure, author: str | None = None) -> str:
    """Return since when a test has been failing, such as ``since 2026-01-31 08:04 at d60ae3d9d6, 4 runs in a row``.

    Args:
        failure: the failure.
        author: who wrote the commit; None if unknown.
    """
    known = short_commit(failure.since_commit, failure.since_dirty)
    commit = f" at {neutral(known)}" if known else ""
    commit += f" by {neutral(author)}" if known and author else ""
    if failure.streak == 1:
        return "new: it passed before" if failure.passed_before else "new: first result on this branch"
    never_passed = "" if failure.passed_before else " (no pass on this branch)"
    return f"since {format_time(failure.since)}{commit}, {failure.streak} runs in a row{never_passed}"


def since_of(failure: ReportedFailure) -> str:
    """Return since when and since whom a test has been failing."""
    return failing_since(failure, failure.since_author)


def same_error_of(failure: ReportedFailure) -> str:
    """Return where else a failure was seen: ``same error in 2 other tests of this run, and in 1 other run``, or ""."""
    tests = failure.same_error or 0
    here = f"same error in {plural(tests, 'other test')} of this run" if tests else ""
    elsewhere = same_error_in_runs(failure)
    return f"{here}, and {elsewhere.removeprefix('same error ')}" if here and elsewhere else here or elsewhere


def same_error_in_runs(failure: ReportedFailure) -> str:
    """Return in how many other runs a failure was seen: ``same error in 1 other run``, or ""."""
    runs = failure.same_error_runs or 0
    return f"same error in {plural(runs, 'other run')}" if runs else ""


_BESIDE = ("variant", "software")
"""Reasons that reports show beside the verdict ``yours``, because they tell where to look. Reports show the other
reasons elsewhere."""


def whose(failure: ReportedFailure) -> str:
    """Return whose a failure is, such as ``not yours: fails on main since abc1234``; "" if nothing is known of that."""
    why = failure.explanation
    if why is None or why.verdict == "unknown":
        return ""
    beside = [reason.text for reason in why.reasons if reason.kind in _BESIDE] if why.verdict == "yours" else []
    return "; ".join([why.headline, *beside])


_VERDICTS = {"yours": "yours", "unknown": "unknown", "not_yours": "not yours", "flaky": "flaky"}
"""Words for the verdicts on failures, in the order in which they are shown."""


def verdicts_of(failures: Sequence[ReportedFailure]) -> dict[str, int]:
    """Return the number of failures by verdict, in words."""
    counts = Counter(one.explanation.verdict for one in failures if one.explanation is not None)
    return {words: counts[verdict] for verdict, words in _VERDICTS.items() if counts[verdict]}


def rerun_command(tests: Iterable[str]) -> str:
    """Return the command that runs these tests again, to be copied into a shell."""
    return f"pytest {' '.join(shlex.quote(neutral(test)) for test in dict.fromkeys(tests))}"


def rerun_of(failures: Sequence[ReportedFailure]) -> str:
    """Return the command that runs the tests of these failures again; "" if no test is among them."""
    tests = [one.task_id for one in failures if one.kind == "TEST"]
    return rerun_command(tests) if tests else ""


def owners_of(failure: ReportedFailure) -> str:
    """Return who owns the test of a failure, such as ``owner: @shop, @ada``; "" if nobody is known."""
    return owners_in_words(failure.owners)


def owners_in_words(owners: Sequence[str] | None) -> str:
    """Return owners such as ``owner: @shop, @ada``; "" if nobody is known."""
    return f"owner: {neutral(', '.join(owners))}" if owners else ""


def quarantine_of(test: QuarantinedTest) -> str:
    """Return why a failure does not count, such as ``it races (until 2026-12-31, @ada, #12)``."""
    return f"{test.reason} (until {', '.join(filter(None, (test.until, test.owner, test.issue)))})"
