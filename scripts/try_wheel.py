"""`make try-wheel`: a new user's first steps, with only the wheel and its requirements installed.

A clean environment gets the wheel. A copy of the bundled example then runs pytest with the plugin activated by its
entry point, a Makefile that includes `tasks.mk`, and the commands that a new user tries.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from scripts import lab

EXAMPLE = lab.ROOT / "examples" / "wordcount"
HOME = lab.CACHE / "try-wheel"
MAKEFILE = """\
TASKS_PYTHON = '{python}'
include make/tasks.mk
all:
	@$(call task-run,greeting,echo hello)
"""


def example() -> Path:
    """Return a fresh copy of the example, as a separate project."""
    folder = HOME / "wordcount"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".taskmaster", "build", "__pycache__"))
    (folder / ".taskmaster").mkdir()
    return folder


def swarmtask(folder: Path, *arguments: str, expected: int = 0) -> str:
    """Run our command as a user does and return its output.

    Raises:
        LabError: it ended with another exit code than expected.
    """
    command = HOME / "venv" / "bin" / "swarmtask"
    done = lab.run([str(command), *arguments], folder, 60)
    print(f"$ swarmtask {' '.join(arguments)}", flush=True)
    if done.returncode != expected:
        raise lab.LabError(f"swarmtask {arguments[0]} ended with {done.returncode}\n{lab.tail(done.stdout)}")
    return done.stdout


def expect(*, fact: bool, what: str) -> None:
    """Raise `LabError` unless the fact is true."""
    if not fact:
        raise lab.LabError(f"expected {what}")


def use(python: str, folder: Path) -> None:
    """Take a new user's first steps.

    Raises:
        LabError: a step failed.
    """
    print("$ pytest", flush=True)
    xml = folder / "junit.xml"
    output = lab.must([python, "-m", "pytest", f"--junitxml={xml}"], folder)
    print(lab.tail(output, 4))
    outcomes = [outcome for _, outcome in lab.junit(xml)]
    endings = [event for event in lab.journal(folder) if event["event_type"].startswith("TEST_")]
    ended = [event for event in endings if event["event_type"] != "TEST_STARTED"]
    expect(fact=bool(outcomes) and len(ended) == len(outcomes), what=f"{len(outcomes)} tests, found {len(ended)} ends")
    swarmtask(folder, "emit", "BUILD_STARTED", "app", '{"version": "1.4"}')
    swarmtask(folder, "emit", "BUILD_COMPLETED", "app")
    swarmtask(folder, "run", "--id", "seven", "--", "sh", "-c", "exit 7", expected=7)
    swarmtask(folder, "emit", "NONSENSE", expected=2)
    swarmtask(folder, "init")
    swarmtask(folder, "config", "validate")
    (folder / "Makefile").write_text(MAKEFILE.format(python=python))
    expect(fact=lab.must(["make"], folder).strip() == "hello", what="make to print hello")
    recorded = {(event["event_type"], event["task_id"]) for event in lab.journal(folder)}
    wanted = {("BUILD_COMPLETED", "app"), ("TASK_FAILED", "seven"), ("TASK_COMPLETED", "greeting")}
    expect(fact=wanted <= recorded, what=f"{wanted - recorded} in the journal")
    swarmtask(folder, "status")
    expect(fact="test_numbers_are_words" in swarmtask(folder, "tests", "numbers"), what="the history of a test")
    swarmtask(folder, "report", "--html", "report.html")
    expect(fact=(folder / "report.html").stat().st_size > 1000, what="an HTML report")
    print(swarmtask(folder, "doctor"))


def main() -> int:
    """Install the wheel and use it; return 0 if everything worked."""
    HOME.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(HOME / "venv", ignore_errors=True)
    try:
        python = lab.venv(HOME / "venv", [str(lab.wheel())])
        use(python, example())
    except (lab.LabError, subprocess.SubprocessError, OSError) as error:
        print(f"The wheel does not work as installed: {error}", file=sys.stderr)
        return 1
    print("The wheel works as installed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
