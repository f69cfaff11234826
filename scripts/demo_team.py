"""`make demo-team`: twelve machines of one CI run report to two servers on PostgreSQL, while parts of it are killed.

Each machine has a share of a real suite, a journal and a relay of its own. At the end, the run on the servers is
compared with what pytest counted, and the lines of the journals with the rows in the database. On a terminal, the
servers then go on until Ctrl-C, so that one can look at the pages.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from pytest_swarmtask.core.text import plural
from pytest_swarmtask.relay.survey import EndpointSurvey, survey
from pytest_swarmtask.server.links import ProjectLinks
from scripts import lab
from tests.lab import ProjectFolder, clean_environ, wait_until
from tests.postgres import NEWEST, Cluster, programs
from tests.team import SECRET, Server

MACHINES = 12
AT_ONCE = 4
"""Machines that start together. The others start later, so that there are new events after each kill."""
SOME = 4
"""Events that have to arrive between two kills; a machine with one test has as many."""
LIMIT = 120.0
"""Seconds that may pass until the next event, or the last one, is where it should be."""
OUTCOMES = {
    "passed": "passed",
    "xpassed": "passed",
    "failed": "failed",
    "failure": "failed",
    "error": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
    "quarantined": "skipped",
}
"""The outcomes of the server and of JUnit XML, in the words that both have."""


class Machine:
    """A machine of the CI run, with a checkout of its own.

    Args:
        folder: where the checkout is made.
        source: the project.
        number: its number, from 1.
        tests: the node ids of its share of the suite.
        hook: where its events go.
    """

    def __init__(self, folder: Path, source: Path, number: int, tests: list[str], hook: str) -> None:
        root = folder / f"machine-{number}" / _name(source)
        shutil.copytree(source, root, ignore=shutil.ignore_patterns(".taskmaster", "__pycache__", ".*_cache"))
        self.checkout = ProjectFolder(root)
        self.tests = tests
        self.number = number
        self._xml = root.with_name("junit.xml")
        self._environ = clean_environ(TASKMASTER_WEBHOOK_URL=hook, AUTOMATION_SECRET_KEY=SECRET, **_job(number))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start to run the tests."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={self._xml}"]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, *self.tests],
                cwd=self.checkout.root,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def is_started(self) -> bool:
        """Whether it has started."""
        return self._process is not None

    @property
    def _output(self) -> Path:
        return self.checkout.root.with_name("output")

    def journal(self) -> list[str]:
        """Return the ids of all events in its journal."""
        return [event["id"] for event in lab.journal(self.checkout.root)]

    def is_done(self) -> bool:
        """Whether all its tests have run.

        Raises:
            LabError: pytest could not run them.
        """
        if self._process is None or self._process.poll() is None:
            return False
        if self._process.returncode not in (0, 1):
            raise lab.LabError(f"pytest on machine {self.number} failed\n{lab.tail(self._output.read_text())}")
        return True

    def counts(self) -> Counter[str]:
        """Return what pytest has counted: the number of tests of each outcome."""
        return Counter(OUTCOMES[outcome] for _, outcome in lab.junit(self._xml))

    def delivery(self) -> EndpointSurvey:
        """Return how far its relay has come."""
        return survey(self.checkout.project, self._environ).endpoints.get("default", EndpointSurvey(waiting=1))

    def deliver(self) -> None:
        """Deliver what waits, as the end of a CI job does: the relay of a run that is over does not try for ever."""
        flush = [sys.executable, "-m", "pytest_swarmtask", "flush", f"--timeout={LIMIT:g}"]
        if self.delivery().waiting:
            lab.run(flush, self.checkout.root, LIMIT + 60, self._environ)

    def close(self) -> None:
        """End its tests and its relay, if they run."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.checkout.kill(signal.SIGTERM)


class Team:
    """Two servers on one PostgreSQL, and the machines that report to them.

    Args:
        folder: for the files of all.
        source: the project whose suite is run.
        ends: what has to be closed in the end; everything that is started enters it.
    """

    def __init__(self, folder: Path, source: Path, ends: contextlib.ExitStack) -> None:
        shares = _shares(source)
        self.cluster = Cluster(programs(NEWEST))
        ends.callback(self.cluster.remove)
        self.servers = [Server(folder / f"server-{number}", self.cluster.url()) for number in (1, 2)]
        for server in self.servers:
            ends.callback(server.close)
            server.start()
        hooks = [self.servers[number % 2].hook for number in range(len(shares))]
        self.machines = [
            Machine(folder, source, number, tests, hook)
            for number, (tests, hook) in enumerate(zip(shares, hooks, strict=True), 1)
        ]
        for machine in self.machines:
            ends.callback(machine.close)
        self.project = _name(source)
        self._began = time.monotonic()

    def journaled(self) -> list[str]:
        """Return the ids of all events in the journals."""
        return [name for machine in self.machines for name in machine.journal()]

    def stored(self) -> list[str] | None:
        """Return the ids of all events in the database, or None if that is away."""
        try:
            with psycopg.connect(self.cluster.url(), options="-c search_path=swarmtask") as connection:
                return [name for (name,) in connection.execute("SELECT id FROM events")]
        except psycopg.OperationalError:
            return None

    def tell(self, what: str) -> None:
        """Print what has happened, and how many events there are by now."""
        stored = self.stored()
        rows = "away" if stored is None else len(stored)
        print(f"  {time.monotonic() - self._began:5.1f} s  {what:<41}{len(self.journaled()):>11}{rows:>14}", flush=True)

    def start(self, what: str) -> None:
        """Print what has happened, and start the next machines."""
        new = [machine for machine in self.machines if not machine.is_started][:AT_ONCE]
        self.tell(f"{what}start of {plural(len(new), 'machine')}")
        for machine in new:
            machine.start()

    def more_stored(self) -> None:
        """Wait until some more events are in the database than now."""
        before = len(self.stored() or ())
        wait_until(lambda: len(self.stored() or ()) >= before + SOME, "more events in the database", LIMIT)

    def run(self) -> None:
        """Let all machines run their tests, and kill a server and PostgreSQL meanwhile."""
        print(f"  {'':7}  {'':<41}{'in journals':>11}{'in PostgreSQL':>14}")
        self.start("")
        self.more_stored()
        self.servers[0].kill()
        self.start("kill -9 for server 1; ")
        self.more_stored()
        self.cluster.stop("immediate")
        self.start("PostgreSQL crashes; ")
        wait_until(lambda: all(machine.journal() for machine in self.machines), "events of all machines", LIMIT)
        self.tell("all machines record, and nobody answers")
        self.cluster.start()
        self.servers[0].start()
        self.tell("both run again")
        wait_until(lambda: all(machine.is_done() for machine in self.machines), "the machines", LIMIT)
        self.tell("all tests have run")
        for machine in self.machines:
            machine.deliver()
        self.tell("all machines have delivered")

    def last_run(self, server: Server, tests: int) -> dict[str, Any]:
        """Return the last run by a server, as soon as it has that many tests: totals follow the events."""
        path = f"/api/v1/projects/{self.project}/runs"

        def runs() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = server.json(path)["runs"]
            return found

        with contextlib.suppress(AssertionError):  # another number is shown, and told as a defect
            wait_until(lambda: [run["tests"] for run in runs() if run["ended"]] == [tests], timeout=20)
        return {"runs": len(runs()), **runs()[0]}


def _name(source: Path) -> str:
    """Return the name of a project; the folder of a source distribution has the version behind it."""
    return source.name.partition("-")[0]


def _job(number: int) -> dict[str, str]:
    """Return what GitLab tells a machine: its part of a job that runs on `MACHINES` machines at once."""
    return {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_SERVER_URL": "https://gitlab.com",
        "CI_PIPELINE_ID": "7",
        "CI_JOB_ID": str(number),
        "CI_JOB_NAME": f"test {number}/{MACHINES}",
        "CI_NODE_INDEX": str(number),
        "CI_NODE_TOTAL": str(MACHINES),
    }


def _shares(source: Path) -> list[list[str]]:
    """Return the node ids of a suite in a share for each machine; the bundled example has fewer tests than machines.

    Raises:
        LabError: pytest cannot collect the suite.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only"]
    tests = [line for line in lab.must(command, source, env=clean_environ()).splitlines() if "::" in line]
    return [tests[number::MACHINES] for number in range(min(MACHINES, len(tests)))]


def compare(team: Team) -> tuple[bool, str]:
    """Print the numbers. Return whether they agree, and the path of the run's page."""
    counted = sum((machine.counts() for machine in team.machines), Counter[str]())
    rows = {"pytest": (1, counted)}
    for number, server in enumerate(team.servers, 1):
        run = team.last_run(server, counted.total())
        found = Counter[str]()
        for outcome, tests in run["counts"].items():
            found[OUTCOMES[outcome]] += tests
        rows[f"server {number}"] = (run["runs"], found)
    words = ("passed", "failed", "skipped")
    print(f"  {'':<10}{'runs':>6}{'tests':>8}{''.join(f'{word:>9}' for word in words)}")
    for name, (runs, counts) in rows.items():
        print(f"  {name:<10}{runs:>6}{counts.total():>8}{''.join(f'{counts[word]:>9}' for word in words)}")
    journaled, stored = team.journaled(), team.stored() or []
    deliveries = [machine.delivery() for machine in team.machines]
    waiting, dead = sum(one.waiting for one in deliveries), sum(one.dead for one in deliveries)
    print(f"\n  {len(journaled)} lines in {len(team.machines)} journals, {len(stored)} rows in PostgreSQL,")
    print(f"  {waiting} waiting, {dead} dead letters")
    agreed = len({tuple(sorted((runs, *counts.items()), key=str)) for runs, counts in rows.values()}) == 1
    agreed = agreed and sorted(journaled) == sorted(stored) and waiting == dead == 0
    return agreed, ProjectLinks("", team.project).run(run["run"])


def demo(team: Team) -> bool:
    """Run the demo, and return whether all numbers agree."""
    tests = sum(len(machine.tests) for machine in team.machines)
    ports = " and ".join(str(server.port) for server in team.servers)
    lab.say(f"PostgreSQL {NEWEST} runs, with two servers on it, on ports {ports}.")
    lab.say(f"{len(team.machines)} machines of one CI run have {tests} tests to run, and each a journal and a relay:")
    team.run()
    lab.say("What pytest counted, what the servers show, and what came of all events:")
    agreed, page = compare(team)
    print("\nThey agree." if agreed else "\nThey do not agree: that is a defect.")
    print(f"The page of the run:\n  {team.servers[0].url}{page}", flush=True)
    return agreed


@contextlib.contextmanager
def team_of(source: Path) -> Iterator[Team]:
    """Have a team until the context ends; then all its processes end, and its files are removed."""
    with tempfile.TemporaryDirectory(prefix="swarmtask-demo-") as folder, contextlib.ExitStack() as ends:
        yield Team(Path(folder), source, ends)


def main() -> int:
    """Run the demo and return 0 if all numbers agree."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # then, too, what was started is ended
        signal.signal(number, signal.default_int_handler)
    ended = False
    try:
        with team_of(lab.pluggy() or lab.EXAMPLE) as team:
            agreed = demo(team)
            ended = True
            if sys.stdout.isatty():
                print("Ctrl-C ends it.", flush=True)
                threading.Event().wait()
    except KeyboardInterrupt:
        if not ended:
            return 130
    except (lab.LabError, AssertionError, OSError, psycopg.Error, subprocess.SubprocessError) as error:
        print(f"The demo did not get to its end: {error}", file=sys.stderr)
        return 1
    return not agreed


if __name__ == "__main__":
    sys.exit(main())
