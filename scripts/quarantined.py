"""A part of `make acceptance`: quarantine in the test suites of other projects.

Three tests of a suite are made to fail at random. They must be suggested, can be added with the suggested commands, and
then a run in which all three fail must equal a run without them: the outcome and the order of all other tests, the exit
code, and the totals of the JUnit XML.
"""

from __future__ import annotations

import random
import shlex
import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scripts import lab

if TYPE_CHECKING:
    from scripts.acceptance import Outcomes, Trial

SUITES = ("attrs", "click")
_TIMEOUT = 300.0
_ROUNDS = 8
"""Runs of the three tests. Each then fails and passes at least once, but for one seed in forty."""
_PLUGIN = """
import os
import random

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    if item.nodeid in os.environ["UNRELIABLE"].splitlines():
        assert random.Random(item.nodeid + os.environ["ROUND"]).random() < 0.5, "by chance"
"""


def problems(trial: Trial, *distribution: str) -> Iterator[str]:
    """Yield what is wrong with quarantine in a suite.

    Args:
        trial: the suite.
        distribution: arguments for a run with two xdist workers.
    """
    lab.fresh_journal(trial.folder)
    (trial.folder / "unreliable.py").write_text(_PLUGIN)
    _commit(trial)
    without, again = (trial.pytest("-p", "no:swarmtask") for _ in range(2))
    unsteady = {test for test, _ in (Counter(without.tests) - Counter(again.tests))}
    tests = _chosen(trial, without)
    for number in range(_ROUNDS):
        _run(trial, tests, number, *tests)
    lab.relays_end(trial.folder)
    yield from _suggested(trial, tests)
    number = next(number for number in range(_ROUNDS, 10_000) if all(_fails(test, number) for test in tests))
    deselected = [f"--deselect={test}" for test in tests]
    for arguments in ((), ("-n", "2", *distribution)):
        label = " ".join(arguments) or "plain"
        applied = _run(trial, tests, number, *arguments)
        totals = _totals(trial)
        rest = trial.pytest(*deselected, *arguments)
        for problem in _differences(applied, rest, tests, unsteady, ordered=not arguments):
            yield f"quarantine, {label}: {problem}"
        expected = {**_totals(trial)}
        expected["tests"] += len(tests)
        expected["skipped"] += len(tests)
        if totals != expected and not unsteady:
            yield f"quarantine, {label}: the totals of the JUnit XML are {totals}, expected {expected}"
    counted = _run(trial, tests, number, "--no-swarmtask-quarantine")
    if counted.exit_code != 1 or counted.count("failure") != without.count("failure") + len(tests):
        yield "quarantine: with --no-swarmtask-quarantine the failures do not count"


def _commit(trial: Trial) -> None:
    """Make the sources a checkout without uncommitted changes: git knows no file, as runs change and leave some."""
    shutil.rmtree(trial.folder / ".git", ignore_errors=True)
    lab.must(["git", "init", "-q"], trial.folder)
    (trial.folder / ".git" / "info" / "exclude").write_text("*\n")
    identity = ("-c", "user.name=acceptance", "-c", "user.email=acceptance@example.com")
    lab.must(["git", *identity, "commit", "-q", "--allow-empty", "-m", "sources"], trial.folder)


def _chosen(trial: Trial, outcomes: Outcomes) -> list[str]:
    """Return the node ids of three tests that pass, from the first, the second and the last third of the suite."""
    from scripts.acceptance import junit_name

    listed = lab.run(
        [trial.python, "-m", "pytest", "--collect-only", "-q", *trial.suite.arguments], trial.folder, _TIMEOUT
    )
    passed = {test for test, outcome in outcomes.tests if outcome == "passed"}
    found = [line for line in listed.stdout.splitlines() if "::" in line and junit_name(line) in passed]
    return [found[len(found) * part // 6] for part in (1, 3, 5)]


def _fails(test: str, number: int) -> bool:
    return random.Random(f"{test}{number}").random() >= 0.5  # noqa: S311 - as in `_PLUGIN`


def _run(trial: Trial, tests: list[str], number: int, *arguments: str) -> Outcomes:
    """Run the suite, in which the tests are unreliable."""
    environ = {"UNRELIABLE": "\n".join(tests), "ROUND": str(number), "PYTHONPATH": str(trial.folder)}
    return trial.pytest("-p", "unreliable", *arguments, **environ)


def _suggested(trial: Trial, tests: list[str]) -> Iterator[str]:
    """Add the tests with the commands that are suggested."""
    suggested = _swarmtask(trial, "suggest")
    commands = [shlex.split(line) for line in suggested.splitlines() if line.startswith("    swarmtask quarantine add")]
    if sorted(command[3] for command in commands) != sorted(tests):
        yield f"quarantine: suggested were {[command[3] for command in commands]}, expected {tests}"
    for command in commands:
        _swarmtask(trial, *command[2:-1], "@acceptance")
    listed = _swarmtask(trial, "list")
    if not listed.startswith(f"{len(tests)} entries in quarantine"):
        yield f"quarantine: the list is {listed}"


def _swarmtask(trial: Trial, *arguments: str) -> str:
    return lab.must([trial.python, "-m", "pytest_swarmtask", "quarantine", *arguments], trial.folder)


def _totals(trial: Trial) -> dict[str, int]:
    """Return the numbers of the last JUnit XML."""
    suite = ET.parse(trial.folder / "outcomes.xml").getroot()[0]  # noqa: S314 - pytest has written it
    return {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}


def _differences(
    applied: Outcomes, rest: Outcomes, tests: list[str], unsteady: set[lab.Test], *, ordered: bool
) -> Iterator[str]:
    """Yield each difference between a run with quarantined failures and one without these tests."""
    from scripts.acceptance import junit_name

    names = {junit_name(test) for test in tests}
    hidden = [outcome for test, outcome in applied.tests if test in names]
    if hidden != ["skipped"] * len(tests):
        yield f"the quarantined tests are {hidden}"
    others = [entry for entry in applied.tests if entry[0] not in names | unsteady]
    expected = [entry for entry in rest.tests if entry[0] not in unsteady]
    if Counter(others) != Counter(expected):
        yield f"other outcomes: {sorted((Counter(others) - Counter(expected)) + (Counter(expected) - Counter(others)))}"
    elif ordered and others != expected:
        yield "another order"
    if applied.exit_code != rest.exit_code and not unsteady:
        yield f"exit code {applied.exit_code}, without the tests {rest.exit_code}"
