"""Whether a run may pass: `swarmtask gate`. What the history knows, and the policy that decides by it.

The history may be on a server, which has no policy and no checkout. So `gate_facts` asks the history, and `judge`
decides on the machine that has the code.
"""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pytest_swarmtask.config.quarantine import find_entry, read_quarantine
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.files import only_regular
from pytest_swarmtask.core.outcomes import function_of
from pytest_swarmtask.core.project import Project
from pytest_swarmtask.core.text import plural
from pytest_swarmtask.history.explain import broken_sessions, default_branch, last_complete, missing_tests
from pytest_swarmtask.history.past import earlier_coverage
from pytest_swarmtask.history.query import with_variant
from pytest_swarmtask.history.shards import sharded_suites
from pytest_swarmtask.report.content import ReportRequest, requested_run
from pytest_swarmtask.report.explained_run import ExplainedFailure, explained_failures
from pytest_swarmtask.report.explanation import QUARANTINED, UNKNOWN, YOURS
from pytest_swarmtask.report.forms import no_run, write_json
from pytest_swarmtask.report.phrases import shard_problems, short_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_swarmtask.config.quarantine import QuarantineEntry
    from pytest_swarmtask.config.workflow import Gate
    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.forms import Form

_MOST_MISSING = 10_000
"""Tests that are looked for in the checkout. A run that lacks more tests has other problems."""
_MOST_NAMED = 3
"""Tests that a line names as examples."""
_MOST_CHARACTERS = 4 << 20
"""Characters of a test file that are searched."""
_FUNCTION = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)


class GateRequest(NamedTuple):
    """Which run is judged.

    Attributes:
        run: the beginning of the run's id; None for the CI run, or else the last run.
        ci_run: the CI run that asks. If no run is named, it must be in the history.
    """

    run: str | None = None
    ci_run: str | None = None


@dataclass(frozen=True)
class MissingTest:
    """A test that ran in a run of the default branch, and in this run with none of its parameters."""

    test: str
    variant: str


@dataclass(frozen=True)
class GateFacts:
    """What the history knows that `swarmtask gate` decides by.

    Attributes:
        run: the id of the run.
        branch: its branch.
        variants: its variants, by name.
        tests, unfinished: the number of its tests, and of those that have not ended.
        partial: whether only a part of a suite ran.
        broken: what is wrong with its pytest sessions beside failed tests, and with its shards.
        failures: its failures, at most 1000, and as many quarantined tests; `failures_total` in all.
        default_branch: the default branch; None if it is not known.
        base: the id of the last complete run of the default branch before it; None if there is none.
        missing: tests that `base` has and the run has not, by name; `missing_total` in all.
        coverage, coverage_before: in percent: of the run, and of the last run of the same tests on the default branch.
    """

    run: str
    branch: str | None
    variants: list[str]
    tests: int
    unfinished: int
    partial: bool
    broken: list[str]
    failures: list[ExplainedFailure]
    failures_total: int
    default_branch: str | None
    base: str | None
    missing: list[MissingTest]
    missing_total: int
    coverage: float | None
    coverage_before: float | None

    def name(self, test: str, variant: str) -> str:
        """Return a node id, with its variant if the run has several."""
        return with_variant(test, variant) if len(self.variants) > 1 else test


def gate_facts(db: Database, request: GateRequest, root: str) -> GateFacts:
    """Return what the history knows of a run.

    Args:
        db: the history.
        request: which run is judged.
        root: the project's folder; empty if it is not known, as on a server.

    Raises:
        UsageError: there is no such run. Another one would pass or fail for things that this one has not done.
    """
    asked = ReportRequest(request.run, ci_run=request.ci_run)
    run = requested_run(db, asked)
    if run is None:
        raise UsageError(no_run(db, asked))
    if request.run is None and request.ci_run not in (None, run.ci_run):
        raise UsageError(f"this CI run ({request.ci_run}) is not in the history, so there is nothing to judge")
    main = default_branch(db, run)
    base = last_complete(db, run, main) if main else None
    missing = missing_tests(db, run, base) if base is not None and not run.partial else []
    failures, total = explained_failures(db, run, root)
    return GateFacts(
        run.run,
        run.branch,
        run.variants,
        run.tests,
        run.counts.get("unfinished", 0),
        run.partial,
        [*broken_sessions(db, run), *shard_problems(sharded_suites(db, run.key))],
        failures,
        total,
        main,
        base.run if base else None,
        [MissingTest(*each) for each in missing[:_MOST_MISSING]],
        len(missing),
        run.coverage,
        earlier_coverage(db, run, main) if main else None,
    )


def write_gate_facts(db: Database, request: GateRequest, form: Form, out: BinaryIO) -> str:
    """Write what the history knows, as JSON, and return the id of the run.

    Raises:
        UsageError: as in `gate_facts`.
    """
    found = gate_facts(db, request, form.root)
    write_json(asdict(found), out)
    return found.run


@dataclass(frozen=True)
class GateLine:
    """A finding that keeps a run from passing, or that was let pass.

    Attributes:
        policy: the key of the section `gate` that decides it, or ``run`` for what no policy lets pass.
        text: what it is.
        place: file and line, or None.
    """

    policy: str
    text: str
    place: str | None = None


@dataclass(frozen=True)
class GateVerdict:
    """The object of `gate --json`.

    Attributes:
        run: the id of the run.
        branch: its branch.
        default_branch: the branch that it is compared with; None if none is known.
        base: the id of the run of that branch whose tests it is compared with; None if there is none.
        passed: whether the run may pass.
        against: what keeps it from passing.
        let_pass: what was let pass, and why.
    """

    run: str
    branch: str | None
    default_branch: str | None
    base: str | None
    passed: bool
    against: list[GateLine]
    let_pass: list[GateLine]


def judge(facts: GateFacts, policy: Gate, root: str) -> GateVerdict:
    """Return whether a run may pass.

    If something about the run itself is unknown, the run does not pass: a session was killed, for example, or nobody
    knows where a failure comes from. If something about the run to compare with is unknown, the result only says so.

    Args:
        facts: what the history knows.
        policy: the section `gate` of the configuration.
        root: the project's folder, where the code of the tests is.
    """
    against: list[GateLine] = []
    let_pass: list[GateLine] = []
    for counts, line in _lines(facts, policy, root):
        (against if counts else let_pass).append(line)
    return GateVerdict(facts.run, facts.branch, facts.default_branch, facts.base, not against, against, let_pass)


def _lines(facts: GateFacts, policy: Gate, root: str) -> Iterator[tuple[bool, GateLine]]:
    """Yield lines, each with whether it keeps the run from passing."""
    yield from ((True, GateLine("run", text)) for text in _of_run(facts))
    yield from _failures(facts, policy, root)
    if policy.lost_tests:
        yield from _lost(facts, root)
    if policy.coverage_drop is not None:
        yield _coverage(facts, policy.coverage_drop)


def _of_run(facts: GateFacts) -> Iterator[str]:
    yield from facts.broken
    if not facts.tests:
        yield "no test ran"
    if facts.unfinished:
        yield f"{plural(facts.unfinished, 'test')} not ended"
    if facts.failures_total > len(facts.failures):
        yield f"{facts.failures_total} failures, of which only {len(facts.failures)} are looked at"


def _failures(facts: GateFacts, policy: Gate, root: str) -> Iterator[tuple[bool, GateLine]]:
    expired = _expired(root) if policy.expired_quarantine and facts.failures else []
    for failure in facts.failures:
        name = facts.name(failure.test, failure.variant)
        entry = find_entry([one for one in expired if one.is_for(failure.variant)], failure.test)
        if entry is not None and failure.verdict != QUARANTINED:
            text = f"{name}: counts again since its quarantine ended on {entry.until} ({entry.reason})"
            yield True, GateLine("expired_quarantine", text, failure.place)
        else:
            counts = policy.new_failures and failure.verdict in (YOURS, UNKNOWN)
            yield counts, GateLine("new_failures", f"{name}: {failure.headline}", failure.place)


def _expired(root: str) -> list[QuarantineEntry]:
    """Return the entries of `quarantine.yaml` that hold no more."""
    today = datetime.now(timezone.utc).date()
    entries = read_quarantine(Project(root).quarantine_file, today).entries
    return [entry for entry in entries if entry.has_expired(today)]


def _lost(facts: GateFacts, root: str) -> Iterator[tuple[bool, GateLine]]:
    if facts.partial:
        yield False, GateLine("lost_tests", "only a part of the suite ran, so no test is looked for")
        return
    if facts.base is None:
        main = facts.default_branch or "main"
        yield False, GateLine("lost_tests", f"no earlier complete run of {main} is known, so no test is looked for")
        return
    has_code = _code_reader(root)
    lost = [each for each in facts.missing if has_code(each.test)]
    removed = [each.test for each in facts.missing if not has_code(each.test)]
    ran = f"ran in run {short_id(facts.base)} of {facts.default_branch}, did not run here, and is still in the code"
    for each in lost:
        yield True, GateLine("lost_tests", f"{facts.name(each.test, each.variant)}: {ran}")
    if facts.missing_total > len(facts.missing):
        more = facts.missing_total - len(facts.missing)
        yield True, GateLine("lost_tests", f"{more} more tests of {facts.default_branch} did not run here")
    if removed:
        names = ", ".join(removed[:_MOST_NAMED]) + (", …" if len(removed) > _MOST_NAMED else "")
        yield False, GateLine("lost_tests", f"{plural(len(removed), 'test')} no longer in the code: {names}")


def _code_reader(root: str) -> Callable[[str], bool]:
    """Return a function that returns whether the code of a test is still in its file, as far as that can be seen.

    A doctest, or a test that a plug-in collects, has no function, and counts as removed.
    """

    @cache  # tests of one file are many
    def functions(file: str) -> frozenset[str]:
        try:
            with open(os.path.join(root, file), encoding="utf-8", errors="replace", opener=only_regular) as code:
                return frozenset(_FUNCTION.findall(code.read(_MOST_CHARACTERS)))
        except OSError:
            return frozenset()

    def has_code(test: str) -> bool:
        return function_of(test).rpartition("::")[2] in functions(test.partition("::")[0])

    return has_code


def _coverage(facts: GateFacts, drop: float) -> tuple[bool, GateLine]:
    main, now, before = facts.default_branch or "main", facts.coverage, facts.coverage_before
    if facts.partial:
        return False, GateLine("coverage_drop", "only a part of the suite ran, so its coverage is not compared")
    if before is None:
        return False, GateLine("coverage_drop", f"no coverage of the same tests on {main} is known")
    if now is None:
        return True, GateLine("coverage_drop", f"coverage was not measured; it is {before:.1f} % on {main}")
    text = f"coverage {now:.1f} %, {before:.1f} % on {main}"
    return before - now > drop, GateLine("coverage_drop", text)
