"""`make try-wheel`: a new user's first steps, with only the wheel and its requirements installed.

A clean environment gets the wheel, once with the Python that runs this script and once with the newest one on the
machine. A copy of the bundled example then runs pytest with the plugin activated by its entry point, a Makefile that
includes `tasks.mk`, and the commands that a new user tries. A receiver has to get every event.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from scripts import lab

EXAMPLE = lab.ROOT / "examples" / "wordcount"
HOME = lab.CACHE / "try-wheel"
MAKEFILE = """\
TASKS_PYTHON = '{python}'
include make/tasks.mk
all:
	@$(call task-run,greeting,echo hello)
"""


class User(NamedTuple):
    """A new user with a project.

    Attributes:
        python: the Python of the environment that has the wheel.
        folder: the project's folder.
        environ: variables of the user's shell.
    """

    python: str
    folder: Path
    environ: dict[str, str]

    def run(self, *command: str) -> str:
        """Run a command that has to succeed and return its output."""
        return lab.must(command, self.folder, env=self.environ)

    def swarmtask(self, *arguments: str, expected: int = 0) -> str:
        """Run our command and return its output.

        Raises:
            LabError: it ended with another exit code than expected.
        """
        command = Path(self.python).with_name("swarmtask")
        done = lab.run([str(command), *arguments], self.folder, 60, self.environ)
        print(f"$ swarmtask {' '.join(arguments)}", flush=True)
        if done.returncode != expected:
            raise lab.LabError(f"swarmtask {arguments[0]} ended with {done.returncode}\n{lab.tail(done.stdout)}")
        return done.stdout


def example(home: Path) -> Path:
    """Return a copy of the example in `home`, as a separate project."""
    folder = home / "wordcount"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".taskmaster", "build", "__pycache__"))
    (folder / ".taskmaster").mkdir()
    return folder


def expect(*, fact: bool, what: str) -> None:
    """Raise `LabError` unless the fact is true."""
    if not fact:
        raise lab.LabError(f"expected {what}")


def use(user: User) -> None:
    """Take a new user's first steps.

    Raises:
        LabError: a step failed.
    """
    folder = user.folder
    print("$ pytest", flush=True)
    xml = folder / "junit.xml"
    print(lab.tail(user.run(user.python, "-m", "pytest", f"--junitxml={xml}"), 4))
    outcomes = [outcome for _, outcome in lab.junit(xml)]
    endings = [event for event in lab.journal(folder) if event["event_type"].startswith("TEST_")]
    ended = [event for event in endings if event["event_type"] != "TEST_STARTED"]
    expect(fact=bool(outcomes) and len(ended) == len(outcomes), what=f"{len(outcomes)} tests, found {len(ended)} ends")
    user.swarmtask("emit", "BUILD_STARTED", "app", '{"version": "1.4"}')
    user.swarmtask("emit", "BUILD_COMPLETED", "app")
    user.swarmtask("run", "--id", "seven", "--", "sh", "-c", "exit 7", expected=7)
    user.swarmtask("emit", "NONSENSE", expected=2)
    user.swarmtask("init")
    user.swarmtask("config", "validate")
    (folder / "Makefile").write_text(MAKEFILE.format(python=user.python))
    expect(fact=user.run("make").strip() == "hello", what="make to print hello")
    recorded = {(event["event_type"], event["task_id"]) for event in lab.journal(folder)}
    wanted = {("BUILD_COMPLETED", "app"), ("TASK_FAILED", "seven"), ("TASK_COMPLETED", "greeting")}
    expect(fact=wanted <= recorded, what=f"{wanted - recorded} in the journal")
    user.swarmtask("status")
    expect(fact="test_numbers_are_words" in user.swarmtask("tests", "numbers"), what="the history of a test")
    user.swarmtask("report", "--html", "report.html")
    expect(fact=(folder / "report.html").stat().st_size > 1000, what="an HTML report")
    print(user.swarmtask("doctor"))
    user.swarmtask("flush", "--timeout", "30")


def pythons() -> dict[str, str]:
    """Return the newest supported Python on the machine and the one that runs this script: paths by version."""
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = ((version, lab.interpreter(version)) for version in reversed(lab.PYTHONS))
    newest, path = next(((version, path) for version, path in found if path), (own, sys.executable))
    return {newest: path, own: sys.executable}


def try_with(interpreter: str, home: Path) -> None:
    """Install the wheel into an environment of that Python, use it, and compare what a receiver got with the journal.

    Raises:
        LabError: the wheel cannot be installed, a step failed, or an event did not arrive.
    """
    python = lab.venv(home / "venv", [str(lab.wheel())], interpreter)
    folder = example(home)
    with lab.receiver(python, home) as receiver:
        use(User(python, folder, lab.environ(**receiver.environ)))
        lab.relays_end(folder)
        verified = {arrival["event"]["id"] for arrival in receiver.arrivals() if arrival["verified"]}
    missing = [event["event_type"] for event in lab.journal(folder) if event["id"] not in verified]
    expect(fact=not missing, what=f"every event to arrive; these did not: {', '.join(missing)}")


def main() -> int:
    """Try the wheel with each of `pythons`; return 0 if everything worked."""
    shutil.rmtree(HOME, ignore_errors=True)
    for version, interpreter in pythons().items():
        print(f"Python {version}:", flush=True)
        home = HOME / version
        home.mkdir(parents=True)
        try:
            try_with(interpreter, home)
        except (lab.LabError, subprocess.SubprocessError, OSError) as error:
            print(f"The wheel does not work as installed with Python {version}: {error}", file=sys.stderr)
            return 1
        print(f"The wheel works as installed with Python {version}.\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
