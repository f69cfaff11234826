"""`make acceptance`: test suites of other projects, from their PyPI sources, without and with the plugin.

Each suite runs plain and with two xdist workers. Each of these runs twice without the plugin and once with it, and the
plugin sends its events to a live receiver. The plugin must not change pytest's results (outcome of every test, order,
exit code). Its events must agree with them: one end event for each test, the same counts as the JUnit XML, and the
whole journal received with verified signatures.

In two of the suites, `scripts.quarantined` then makes three tests fail at random, and quarantines them.

A test whose outcome differs between the two runs without the plugin is unstable by itself. It is named and excluded
from the comparison.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from scripts import lab, quarantined

TIMEOUT = 300.0
PYTEST = "pytest==9.2.0"

# httpx serves its tests from one fixed port, so all tests that use it must share a worker.
ONE_SERVER = """

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if "server" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("server"))
"""


class Suite(NamedTuple):
    """A project and the way to run its tests.

    Attributes:
        source: the source distribution, pinned.
        needs: packages that its tests need besides pytest and xdist.
        extras: extras of its own that its tests need.
        arguments: arguments for pytest.
        distribution: further arguments under xdist.
        conftest: text to add to its `tests/conftest.py`.
    """

    source: str
    needs: tuple[str, ...] = ()
    extras: str = ""
    arguments: tuple[str, ...] = ()
    distribution: tuple[str, ...] = ()
    conftest: str = ""
    pytest: str = PYTEST

    @property
    def name(self) -> str:
        """The project's name."""
        return self.source.partition("==")[0]


SUITES = (
    Suite("attrs==26.1.0", needs=("cloudpickle", "hypothesis", "pympler", "psutil")),
    Suite("click==8.5.1"),
    Suite("pluggy==1.6.0", needs=("pytest-benchmark", "coverage")),
    Suite(
        "httpx==0.28.1",
        extras="[brotli,cli,http2,socks,zstd]",
        # The tests were written for these versions: later ones log and detect differently.
        needs=("chardet==5.2.0", "click==8.1.7", "uvicorn==0.32.1", "cryptography", "trio", "trustme"),
        pytest="pytest==8.4.2",
        # "network" needs the internet. pytest reports a socket left open by one test in whatever test is running when
        # the garbage collector finds it.
        arguments=("-m", "not network", "-W", "ignore::pytest.PytestUnraisableExceptionWarning"),
        distribution=("--dist", "loadgroup"),
        conftest=ONE_SERVER,
    ),
)


class Outcomes(NamedTuple):
    """The results of a pytest run: its exit code, and each test's outcome in order."""

    exit_code: int
    tests: list[tuple[lab.Test, str]]

    def count(self, outcome: str | None = None) -> int:
        """Return the number of tests, or of tests with the given outcome."""
        return sum(outcome in (None, word) for _, word in self.tests)


class Trial:
    """One suite in its environment, ready to run.

    Attributes:
        suite: the suite.
        folder: its sources, which are a separate project for the plugin.
        python: the Python of its environment.
    """

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        home = lab.CACHE / "acceptance" / suite.name
        self.folder = lab.sdist(suite.source, home / "source")
        if suite.conftest:
            with (self.folder / "tests" / "conftest.py").open("a") as file:
                file.write(suite.conftest)
        requirements = [
            f"{suite.name}{suite.extras} @ {self.folder.as_uri()}",
            suite.pytest,
            "pytest-xdist",
            *suite.needs,
        ]
        self.python = lab.venv(home / "venv", requirements)
        lab.install_wheel(self.python)

    def pytest(self, *arguments: str, **environ: str) -> Outcomes:
        """Run the suite and return pytest's results."""
        xml = self.folder / "outcomes.xml"
        xml.unlink(missing_ok=True)
        options = ["-q", "-p", "no:cacheprovider", f"--junitxml={xml}", *self.suite.arguments, *arguments]
        # With CI set, hypothesis sets no deadlines, and the plugin waits longer for delivery.
        env = lab.environ(CI="1", **environ)
        done = lab.run([self.python, "-m", "pytest", *options], self.folder, TIMEOUT, env)
        if not xml.exists():
            raise lab.LabError(f"{self.suite.name}: pytest did not get to its end\n{lab.tail(done.stdout)}")
        return Outcomes(done.returncode, list(lab.junit(xml)))

    def reporting(self, *arguments: str) -> tuple[Outcomes, list[lab.Event], list[lab.Event]]:
        """Run the suite with the plugin and a receiver; return pytest's results, the journal and the deliveries."""
        lab.fresh_journal(self.folder)
        with lab.receiver(self.python, self.folder) as receiver:
            outcomes = self.pytest(*arguments, **receiver.environ)
            flush = [self.python, "-m", "pytest_swarmtask", "flush"]
            lab.run(flush, self.folder, TIMEOUT, lab.environ(**receiver.environ))
            lab.relays_end(self.folder)
            return outcomes, lab.journal(self.folder), receiver.arrivals()


def unsteady(first: Outcomes, second: Outcomes) -> set[lab.Test]:
    """Return the tests whose outcome varies even without the plugin."""
    differing = Counter(first.tests) - Counter(second.tests) + (Counter(second.tests) - Counter(first.tests))
    return {test for test, _ in differing}


def plugin_shows(without: Outcomes, plugin: Outcomes, leave_out: set[lab.Test], *, ordered: bool) -> Iterator[str]:
    """Yield each difference between a run with the plugin and a run without it."""
    if plugin.exit_code != without.exit_code and not leave_out:
        yield f"exit code {plugin.exit_code}, without the plugin {without.exit_code}"
    before = [entry for entry in without.tests if entry[0] not in leave_out]
    after = [entry for entry in plugin.tests if entry[0] not in leave_out]
    for (test, outcome), number in sorted((Counter(after) - Counter(before)).items()):
        yield f"{'::'.join(test)}: {outcome} with the plugin only ({number} times)"
    for (test, outcome), number in sorted((Counter(before) - Counter(after)).items()):
        yield f"{'::'.join(test)}: {outcome} without the plugin only ({number} times)"
    if ordered and Counter(before) == Counter(after) and before != after:
        yield "the order of the tests differs"


MASK = "[REDACTED]"
WORD_OF_JUNIT = {
    "passed": "passed",
    "xpassed": "passed",
    "failed": "failure",
    "error": "error",
    "crashed": "failure",
    "skipped": "skipped",
    "xfailed": "skipped",
    "quarantined": "skipped",
}


def junit_name(task_id: str) -> lab.Test:
    """Return the name of a node id in JUnit XML."""
    path, bracket, parameters = task_id.partition("[")
    *names, last = path.split("::")
    names[0] = names[0].replace("/", ".").removesuffix(".py")
    return ".".join(names), last + bracket + parameters


def without_parameters(test: lab.Test) -> lab.Test:
    """Return a test's name without its parameters."""
    return test[0], test[1].partition("[")[0]


def events_disagree(outcomes: Outcomes, journal: list[lab.Event]) -> Iterator[str]:
    """Yield each disagreement between the journal and pytest's results."""
    tests = [event for event in journal if event["event_type"].startswith("TEST_")]
    started = Counter(event["span_id"] for event in tests if event["event_type"] == "TEST_STARTED")
    endings = [event for event in tests if event["event_type"] != "TEST_STARTED"]
    ended = Counter(event["span_id"] for event in endings)
    if started != ended or set(started.values()) - {1}:
        missing, excess = (sum(difference.values()) for difference in (started - ended, ended - started))
        yield f"{missing} tests without an ending, {excess} endings too many"
    told = [(junit_name(event["task_id"]), WORD_OF_JUNIT[event["metadata"]["outcome"]]) for event in endings]
    # A parameter that looks like a password is redacted, so such a test is compared without its parameters.
    masked = {without_parameters(test) for test, _ in told if MASK in test[1]}
    said, pytest_said = (
        Counter((bare if (bare := without_parameters(test)) in masked else test, outcome) for test, outcome in tests)
        for tests in (told, outcomes.tests)
    )
    for (test, outcome), number in sorted((said - pytest_said).items()):
        yield f"{'::'.join(test)}: {outcome} among the events only ({number} times)"
    for (test, outcome), number in sorted((pytest_said - said).items()):
        yield f"{'::'.join(test)}: {outcome} in the JUnit XML only ({number} times)"
    closing = [event for event in journal if event["event_type"] in {"TASK_COMPLETED", "TASK_FAILED"}]
    ends = [(event["event_type"], event["metadata"]["exit_code"]) for event in closing]
    if ends != [("TASK_FAILED" if outcomes.exit_code else "TASK_COMPLETED", outcomes.exit_code)]:
        yield f"the session ended as {ends}"


def deliveries_disagree(journal: list[lab.Event], arrivals: list[lab.Event]) -> Iterator[str]:
    """Yield each disagreement between the received events and the journal."""
    verified = {arrival["event"]["id"] for arrival in arrivals if arrival["verified"]}
    recorded = {event["id"] for event in journal}
    if len(recorded) != len(journal):
        yield f"{len(journal) - len(recorded)} ids occur twice in the journal"
    if verified != recorded:
        yield f"{len(recorded - verified)} events did not arrive, {len(verified - recorded)} are not in the journal"
    if not all(arrival["verified"] for arrival in arrivals):
        yield "a signature was wrong"


def compare(trial: Trial, label: str, *arguments: str) -> list[str]:
    """Compare one suite in one mode, print the row of the table, and return the problems."""
    began = time.monotonic()
    without, again = (trial.pytest("-p", "no:swarmtask", *arguments) for _ in range(2))
    plugin, journal, arrivals = trial.reporting(*arguments)
    leave_out = unsteady(without, again)
    problems = [
        *plugin_shows(without, plugin, leave_out, ordered=not arguments),
        *events_disagree(plugin, journal),
        *deliveries_disagree(journal, arrivals),
    ]
    counts = [plugin.count(), *(plugin.count(word) for word in ("passed", "failure", "error", "skipped"))]
    figures = [*counts, plugin.exit_code, len(journal), len(arrivals), len(leave_out)]
    row(trial.suite.source, label, *figures, f"{time.monotonic() - began:.0f} s", "DIFFERS" if problems else "same")
    for test in sorted(leave_out):
        print(f"    unsteady without the plugin too: {'::'.join(test)}")
    return [f"{trial.suite.name} {label}: {problem}" for problem in problems]


def row(source: object, label: object, *figures: object) -> None:
    """Print a row of the table."""
    print(f"{source:<15} {label:<6}" + "".join(f"{figure!s:>10}" for figure in figures), flush=True)


def main() -> int:
    """Run all suites or the named ones, and return 1 if anything differs."""
    parser = argparse.ArgumentParser(description="Suites of other projects, without and with the plugin.")
    parser.add_argument(
        "names", nargs="*", metavar="SUITE", help=f"default: {' '.join(suite.name for suite in SUITES)}"
    )
    names = parser.parse_args().names
    problems = []
    heads = ("tests", "passed", "failed", "errors", "skipped", "exit", "journal", "arrived", "unsteady", "time", "")
    row("suite", "run", *heads)
    for suite in SUITES:
        if names and suite.name not in names:
            continue
        try:
            trial = Trial(suite)
            problems += compare(trial, "plain")
            problems += compare(trial, "-n 2", "-n", "2", *suite.distribution)
            if suite.name in quarantined.SUITES:
                problems += [f"{suite.name}: {each}" for each in quarantined.problems(trial, *suite.distribution)]
        except lab.LabError as error:
            problems.append(f"{suite.name}: {error}")
    for problem in problems:
        print(problem)
    print(
        f"{len(problems)} differences" if problems else "No difference: the plugin shows nowhere, and its events agree."
    )
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
