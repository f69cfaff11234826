"""`make demo`: record a real test suite and a real build, send the events to a live receiver, and compare the numbers.

The suite is pluggy's own, with its sources from PyPI. Without access to PyPI, only the bundled example runs. At the
end, a small suite fails, and the demo shows what a person looks at then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scripts import lab

SHOWN = 4
SHOP = """
def total(prices, discount=0):
    return sum(prices) * (1 - discount)


def test_total():
    assert total([10, 20]) == 30


def test_discount():
    assert total([10, 20], discount={discount}) == 27


def test_nothing():
    assert total([]) == 0
"""


class Part(NamedTuple):
    """The results of the commands in one folder.

    Attributes:
        name: name in the table.
        tests: number of tests that pytest ran.
        journal: the recorded events.
    """

    name: str
    tests: int
    journal: list[lab.Event]

    def endings(self) -> int:
        """Return the number of ended tests according to the events."""
        return sum(event["event_type"] in {"TEST_PASSED", "TEST_FAILED", "TEST_SKIPPED"} for event in self.journal)


def work(name: str, command: Sequence[str], folder: Path, receiver: lab.Receiver) -> Part:
    """Run a command in a folder with its output shown, and wait until its events are delivered.

    Raises:
        LabError: the command failed.
    """
    xml = lab.CACHE / "demo" / f"{name}.xml"
    env = lab.environ(**receiver.environ, PYTEST_ADDOPTS=f"--junitxml='{xml}' -p no:cacheprovider")
    print(f"$ {' '.join('python' if word == sys.executable else word for word in command)}", flush=True)
    if subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, check=False).returncode:
        raise lab.LabError(f"{name}: that failed")
    lab.run([sys.executable, "-m", "pytest_swarmtask", "flush"], folder, 60, env)
    lab.relays_end(folder)
    return Part(name, len(list(lab.junit(xml))), lab.journal(folder))


def show(arrivals: list[lab.Event]) -> None:
    """Show the first, some middle and the last few of the received events."""
    middle = len(arrivals) // 2
    for number, arrival in enumerate(arrivals):
        if min(number, abs(number - middle), len(arrivals) - 1 - number) >= SHOWN:
            continue
        event = arrival["event"]
        duration = event["metadata"].get("duration")
        took = "" if duration is None else f"{duration:.3f} s"
        verified = "verified" if arrival["verified"] else "NOT VERIFIED"
        kind, task_id = event["event_type"], event["task_id"][:66]
        print(f"  {event['timestamp'][11:23]}  {kind:<15} {task_id:<66} {took:>9}  {verified}")


def compare(parts: list[Part], arrivals: list[lab.Event]) -> bool:
    """Print the totals and return whether they agree."""
    verified = {arrival["event"]["id"] for arrival in arrivals if arrival["verified"]}
    print(f"  {'':<10}{'pytest':>8}{'endings':>9}{'journal':>9}{'delivered and verified':>24}")
    agreed = True
    for part in parts:
        delivered = len(verified & {event["id"] for event in part.journal})
        print(f"  {part.name:<10}{part.tests:>8}{part.endings():>9}{len(part.journal):>9}{delivered:>24}")
        agreed = agreed and part.tests == part.endings() and len(part.journal) == delivered
    return agreed


def fail(home: Path) -> None:
    """Run a suite that passes, then one that fails, and show the report and what to try next.

    Raises:
        LabError: a command did not do what it should.
    """
    project = home / "shop"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    (project / "pytest.ini").write_text("[pytest]\n")  # so that it is no part of the project around it
    git = ["git", "-c", "user.name=demo", "-c", "user.email=demo@example.invalid"]
    lab.must([*git, "init", "-q", "-b", "main"], project)
    env = lab.environ(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ours = [sys.executable, "-m", "pytest_swarmtask"]
    for discount, wanted in ((0.1, 0), (0.01, 1)):
        (project / "test_shop.py").write_text(SHOP.format(discount=discount))
        lab.must([*git, "add", "."], project)
        lab.must([*git, "commit", "-q", "-m", f"a discount of {discount}"], project)
        done = lab.run(pytest, project, 60, env)
        if done.returncode != wanted:
            raise lab.LabError(f"exit code {done.returncode} instead of {wanted}\n{lab.tail(done.stdout)}")
    print("$ swarmtask report\n" + lab.must([*ours, "report"], project, env=env), end="")
    lab.must([*ours, "report", "--html", "report.html"], project, env=env)
    print(f"\nThe same as a page, to open in a browser: {project / 'report.html'}")
    print(
        f"""
Three things to try next, in {project}:
  swarmtask explain        is the failure mine?
  swarmtask tests total    the history of one test
  swarmtask watch          in another terminal, while pytest runs"""
    )


def main() -> int:
    """Run the demo and return 0 if all numbers agree."""
    home = lab.CACHE / "demo"
    home.mkdir(parents=True, exist_ok=True)
    parts = []
    try:
        with lab.receiver(sys.executable, home) as receiver:
            lab.say(f"A receiver listens on {receiver.url} and checks every signature.")
            source = lab.pluggy()
            if source:
                lab.fresh_journal(source)
                parts.append(work("pluggy", [sys.executable, "-m", "pytest", "-q"], source, receiver))
            lab.say("An example whose Makefile includes make/tasks.mk tests and builds itself:")
            lab.fresh_journal(lab.EXAMPLE)
            parts.append(
                work("example", ["make", "--no-print-directory", f"PYTHON={sys.executable}"], lab.EXAMPLE, receiver)
            )
            arrivals = receiver.arrivals()
    except lab.LabError as error:
        print(f"The demo did not get to its end: {error}", file=sys.stderr)
        return 1
    lab.say(f"What arrived, some of {len(arrivals)} events:")
    show(arrivals)
    lab.say("What pytest counted, the tests that ended by their events, and what came of all events:")
    agreed = compare(parts, arrivals)
    print("\nThey agree." if agreed else "\nThey do not agree: that is a defect.")
    lab.say("A run in which a test fails, after one in which it passed:")
    try:
        fail(home)
    except lab.LabError as error:
        print(f"The demo did not get to its end: {error}", file=sys.stderr)
        return 1
    return not agreed


if __name__ == "__main__":
    sys.exit(main())
