"""`swarmtask quarantine`: the tests in `quarantine.yaml`, and how they did lately."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_swarmtask.cli.asking import Question, add_from, json_answer
from pytest_swarmtask.cli.common import add_root, add_run_filters, project_of, say, write_file
from pytest_swarmtask.cli.job_log import annotate
from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.project import is_affirmed
from pytest_swarmtask.core.text import neutral, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_swarmtask.cli.common import Subparsers
    from pytest_swarmtask.config.quarantine import QuarantineEntry, QuarantineFile

_DEFAULT_DAYS = 30
"""Days that an entry lasts by default: about as long as a team takes to come to a test that is not urgent."""


def register(subparsers: Subparsers) -> None:
    """Add the command `quarantine` with its actions."""
    parser = subparsers.add_parser(
        "quarantine",
        help="tests whose failures do not count: list, add, suggest, release",
        description="Manage .taskmaster/quarantine.yaml: tests that run, and whose failures do not count until a day "
        "that the file names.",
        example="swarmtask quarantine suggest",
        page="quarantine",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    list_parser = actions.add_parser("list", help="list the entries, and how their tests ended lately")
    list_parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    list_parser.set_defaults(func=list_entries)
    _register_add(actions)
    suggest_parser = actions.add_parser("suggest", help="name flaky tests that are not quarantined, the worst first")
    add_run_filters(suggest_parser, "look for flaky tests in")
    suggest_parser.set_defaults(func=suggest)
    release_parser = actions.add_parser("release", help="remove entries")
    release_parser.add_argument("tests", nargs="*", metavar="TEST", help="what an entry has as its test")
    release_parser.add_argument(
        "--passing", dest="passing", action="store_true", help="remove the entries whose tests passed 20 times in a row"
    )
    release_parser.set_defaults(func=release)
    check_parser = actions.add_parser(
        "check", help="for CI: find entries that are invalid, expired, unknown or unowned"
    )
    check_parser.add_argument("--json", dest="json", action="store_true", help="print one JSON object")
    check_parser.set_defaults(func=check)
    for one in (list_parser, suggest_parser, release_parser, check_parser):
        add_from(one)
        add_root(one)


def _register_add(actions: Subparsers) -> None:
    parser = actions.add_parser("add", help="add an entry")
    parser.add_argument("test", metavar="TEST", help="a node id, or a glob of * and ?")
    parser.add_argument("--reason", dest="reason", required=True, help="why its failures do not count")
    parser.add_argument("--owner", dest="owner", required=True, help="who mends it")
    parser.add_argument("--issue", dest="issue", default="", help="where it is discussed")
    parser.add_argument("--variant", dest="variant", default="", help="only under this variant, or glob of variants")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--until", dest="until", type=_date, metavar="DATE", help="the last day, such as 2026-12-31")
    until.add_argument(
        "--days", dest="days", type=_days, default=_DEFAULT_DAYS, help=f"days from today (default: {_DEFAULT_DAYS})"
    )
    add_root(parser)
    parser.set_defaults(func=add)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-12-31") from None


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 5):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return int(text)


# -- the file and the history --------------------------------------------------------------------------------------


class _EntryState(NamedTuple):
    """An entry, and how its tests did lately.

    Attributes:
        entry: the entry.
        days_left: days until it expires; negative if it has expired.
        tests: how many tests it is about; a test under two variants counts twice.
        results, failed: how many of their last results are known, and how many failed or passed only when repeated.
        is_passing: whether each of its tests passed as often in a row as a release wants.
        is_unknown: whether none of them is in the last complete run.
    """

    entry: QuarantineEntry
    days_left: int
    tests: int
    results: int
    failed: int
    is_passing: bool
    is_unknown: bool

    @property
    def has_expired(self) -> bool:
        return self.days_left < 0


def _today() -> date:
    return datetime.now(timezone.utc).date()


def _path(arguments: argparse.Namespace) -> Path:
    return Path(project_of(arguments).quarantine_file)


def _read(arguments: argparse.Namespace) -> QuarantineFile:
    from pytest_swarmtask.config.quarantine import read_quarantine

    return read_quarantine(str(_path(arguments)), _today())


def _asked(arguments: argparse.Namespace, question: Question) -> Any:
    """Return the object that answers a question to the history."""
    return json.loads(json_answer(arguments, question))


def _states(arguments: argparse.Namespace, entries: Sequence[QuarantineEntry]) -> list[_EntryState]:
    """Return how the tests of entries did lately.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    from pytest_swarmtask.report.last_results import LastResultsRequest, write_last_results

    if not entries:
        return []
    request = LastResultsRequest("\n".join(dict.fromkeys(entry.test for entry in entries)))
    found = _asked(arguments, Question("last-results", request, write_last_results))
    today = _today()
    return [_state(entry, found, (entry.until - today).days) for entry in entries]


def _state(entry: QuarantineEntry, found: Any, days_left: int) -> _EntryState:
    from pytest_swarmtask.config.quarantine import matches
    from pytest_swarmtask.history.last_results import MOST

    tests = [each for each in found["tests"] if matches(entry.test, each["test"]) and entry.is_for(each["variant"])]
    return _EntryState(
        entry,
        days_left,
        len(tests),
        sum(each["results"] for each in tests),
        sum(each["failed"] for each in tests),
        is_passing=bool(tests) and all(each["passed_in_a_row"] >= MOST for each in tests),
        is_unknown=found["has_complete_run"] and not any(each["is_in_last_run"] for each in tests),
    )


# -- list ----------------------------------------------------------------------------------------------------------


def list_entries(arguments: argparse.Namespace) -> int:
    """List the entries. Return 0.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    file = _read(arguments)
    states = _states(arguments, file.entries)
    if arguments.json:
        print(json.dumps({"tests": [_as_json(state) for state in states], "problems": file.problems}, indent=2))
        return 0
    print(f"{_number_of_entries(states)} in quarantine" if states else "No test is quarantined.")
    for state in states:
        entry = state.entry
        details = ", ".join(filter(None, (str(entry.until), entry.owner or "nobody", entry.issue)))
        print(neutral(f"  {_name(entry)}  {entry.reason} (until {details})"))
        print(f"    {_time_left(state)}; {_results(state)}")
    for problem in file.problems:
        say(f"{problem}: not applied")
    return 0


def _number_of_entries(entries: Sequence[Any]) -> str:
    return "1 entry" if len(entries) == 1 else f"{len(entries)} entries"


def _as_json(state: _EntryState) -> dict[str, Any]:
    facts = {**state._asdict(), "has_expired": state.has_expired}
    entry: QuarantineEntry = facts.pop("entry")
    texts = dict.fromkeys(("test", "variant", "reason", "issue", "owner", "until"), "")
    return {**texts, **entry.texts(), "line": entry.line, **facts}


def _name(entry: QuarantineEntry) -> str:
    return f"{entry.test} ({entry.variant})" if entry.variant else entry.test


def _time_left(state: _EntryState) -> str:
    if state.has_expired:
        return f"expired {plural(-state.days_left, 'day')} ago, and counts again"
    return f"{plural(state.days_left, 'day')} left" if state.days_left else "today is the last day"


def _results(state: _EntryState) -> str:
    from pytest_swarmtask.history.last_results import MOST

    if not state.results:
        return "no result yet"
    if state.is_passing:
        return f"{MOST} passes in a row: release it"
    of_tests = f" of {state.tests} tests" if state.tests > 1 else ""
    return f"last results{of_tests}: {state.failed} of {state.results} failed"


# -- add and release -----------------------------------------------------------------------------------------------


def add(arguments: argparse.Namespace) -> int:
    """Add an entry to the file, which is made if there is none. Return 0.

    Raises:
        ConfigError: the file is not valid, or cannot be edited.
        UsageError: there is such an entry already, the entry is not valid, or the file cannot be written.
    """
    from pytest_swarmtask.config.quarantine import NAME, QuarantineEntry, parse_quarantine
    from pytest_swarmtask.config.quarantine_edit import with_entry

    until = arguments.until or _today() + timedelta(days=arguments.days)
    if until < _today():
        raise UsageError(f"--until {until} is in the past, so the entry would have no effect")
    texts = {
        name: " ".join(getattr(arguments, name).split()) for name in ("test", "reason", "owner", "issue", "variant")
    }
    entry = QuarantineEntry.of({**texts, "until": str(until)})
    text = _text(arguments)
    former = parse_quarantine(text, _today())
    for other in former.entries:
        if (other.test, other.variant) == (entry.test, entry.variant):
            raise UsageError(f"{entry.test} is quarantined already: {NAME}:{other.line}")
    changed = with_entry(text, entry)
    found = parse_quarantine(changed, _today())
    problems = [problem for problem in found.problems if problem not in former.problems]
    if problems:
        raise UsageError("\n".join(problems))
    write_file(_path(arguments), changed.encode())
    print(neutral(f"quarantined {_name(entry)} until {until}: {NAME}:{found.entries[-1].line}"))
    return 0


def release(arguments: argparse.Namespace) -> int:
    """Remove entries from the file. Return 0, also if there is nothing to release.

    Raises:
        ConfigError: the file cannot be edited.
        HistoryError: the history cannot be read now.
        UsageError: there is no such entry, the server does not answer, or the file cannot be written.
    """
    from pytest_swarmtask.config.quarantine_edit import without_entries

    if bool(arguments.tests) == arguments.passing:
        raise UsageError("name the tests to release, or give --passing")
    entries = _read(arguments).entries
    for test in arguments.tests:
        if not any(entry.test == test for entry in entries):
            raise UsageError(f"{test} is not quarantined: swarmtask quarantine list")
    if arguments.passing:
        released = [state.entry for state in _states(arguments, entries) if state.is_passing]
    else:
        released = [entry for entry in entries if entry.test in arguments.tests]
    if released:
        changed = without_entries(_text(arguments), {entry.index for entry in released})
        write_file(_path(arguments), changed.encode())
    for entry in released:
        print(neutral(f"released {_name(entry)}"))
    if not released:
        print("No quarantined test passed 20 times in a row.")
    return 0


def _text(arguments: argparse.Namespace) -> str:
    from pytest_swarmtask.config.yamlfile import read_text

    return read_text(_path(arguments)) or ""


# -- suggest -------------------------------------------------------------------------------------------------------


def suggest(arguments: argparse.Namespace) -> int:
    """Print a command for each flaky test that is not quarantined. Return 0.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    from pytest_swarmtask.config.quarantine import find_entry
    from pytest_swarmtask.history.owners import read_owners
    from pytest_swarmtask.report.flaky_tests import write_flaky
    from pytest_swarmtask.report.forms import SearchedRuns

    request = SearchedRuns(arguments.branch, arguments.since, arguments.last)
    flaky = _asked(arguments, Question("flaky", request, write_flaky))["flaky"]
    entries = _read(arguments).entries
    owners = read_owners(project_of(arguments).root)
    found: dict[str, Any] = {}
    for test in flaky:
        known = [entry for entry in entries if entry.is_for(test["variant"])]
        if find_entry(known, test["test"]) is None:
            found.setdefault(test["test"], test)  # the worst of its variants
    words = plural(len(found), "flaky test")
    print(f"{words} not in quarantine" if found else "No flaky test is left outside of quarantine.")
    for name, test in found.items():
        owner = (owners.of_test(name) if owners else []) or ["NAME"]
        command = ("swarmtask", "quarantine", "add", name, "--reason", f"flaky: {test['why']}", "--owner", owner[0])
        print(neutral(f"  {name}  {test['failed']} of its last {plural(test['runs'], 'run')}: {test['why']}"))
        print(neutral(f"    {shlex.join(command)}"))
    return 0


# -- check ---------------------------------------------------------------------------------------------------------


class _Finding(NamedTuple):
    """Something wrong with an entry: its line, the entry, and what is wrong. A problem of the file has no test."""

    line: int
    test: str
    problem: str

    def __str__(self) -> str:
        return f"{self.test}: {self.problem}" if self.test else self.problem


def check(arguments: argparse.Namespace) -> int:
    """Print what is wrong with the entries. Return 1 if something is, else 0.

    Raises:
        HistoryError: the history cannot be read now.
        UsageError: the server does not answer.
    """
    from pytest_swarmtask.config.quarantine import NAME

    file = _read(arguments)
    findings = [*_invalid(file.problems), *_wrong(_states(arguments, file.entries))]
    findings.sort()
    if arguments.json:
        print(json.dumps({"findings": [finding._asdict() for finding in findings]}, indent=2))
    elif is_affirmed(os.environ, "GITHUB_ACTIONS"):
        for finding in findings:
            annotate(project_of(arguments).root, "quarantine", f"{NAME}:{finding.line}", neutral(str(finding)))
    else:
        for finding in findings:
            print(neutral(f"{NAME}:{finding.line}: {finding}"))
    if not findings and not arguments.json:
        print(f"{_number_of_entries(file.entries)} in order")
    return int(bool(findings))


def _invalid(problems: Sequence[str]) -> Iterator[_Finding]:
    for problem in problems:
        place, _, text = problem.partition(": ")
        line = place.rpartition(":")[2]
        yield _Finding(int(line) if line.isdecimal() else 1, "", text)


def _wrong(states: Sequence[_EntryState]) -> Iterator[_Finding]:
    for state in states:
        line, test = state.entry.line, _name(state.entry)
        if state.has_expired:
            yield _Finding(line, test, f"expired on {state.entry.until}, and counts again: mend it, or extend until")
        if state.is_unknown:
            yield _Finding(line, test, "no such test is in the last complete run: correct the entry, or release it")
        if not state.entry.owner:
            yield _Finding(line, test, "has no owner")
