"""Sessions record the coverage percentages, and do not change the results of coverage."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.lab import clean_environ
from tests.suite import Session, Suite, words

pytestmark = pytest.mark.slow

APP = """
    def sign(number):
        if number > 0:
            return "plus"
        if number < 0:
            return "minus"
        return ""

    def count(limit):
        for number in range(limit):
            if number == 7:
                return number
        return limit
"""
SUITE = """
    from app import count, sign

    def test_sign():
        assert sign(1) == "plus"

    def test_count():
        assert count(3) == 3
"""
NOT_OURS = [f"-pno:{name}" for name in ("hypothesispytest", "anyio", "time_machine")]
RUN = ("-m", "coverage", "run", "--source=.")
PYTEST = ("-m", "pytest", *NOT_OURS, "--junit-xml=junit.xml", "-Werror")


@pytest.fixture
def app(project: Suite) -> Suite:
    """A project with a module that the suite partly runs, and a module that the suite never imports."""
    return project.write(app=APP, never="A = 1\nB = 2\n", test_it=SUITE)


def unmeasured(**environ: str) -> dict[str, str]:
    """Return an environment without the variables that make coverage measure child processes."""
    return {k: v for k, v in clean_environ().items() if not k.startswith(("COVERAGE_", "COV_CORE_"))} | environ


def run(project: Suite, *arguments: str, **environ: str) -> Session:
    """Run a session with these arguments of Python."""
    return project.session([sys.executable, "-Werror::ResourceWarning", *arguments], unmeasured(**environ))


def coverage(project: Suite, *arguments: str) -> str:
    """Run a command of coverage, and return its output."""
    command = [sys.executable, "-m", "coverage", *arguments]
    done = subprocess.run(command, cwd=project.root, env=unmeasured(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def reported(project: Suite) -> dict[str, float]:
    """Return the percentages that coverage itself reports, under the names that our events use."""
    if not (project.root / ".coverage").exists():
        coverage(project, "combine", "--keep", "--quiet")
    coverage(project, "json", "--quiet", "-o", "found.json")
    totals = json.loads((project.root / "found.json").read_text())["totals"]
    found = {"coverage_percent": round(totals["percent_covered"], 2)}
    if "num_branches" in totals:
        found["branch_percent"] = round(100 * totals["covered_branches"] / totals["num_branches"], 2)
    return found


def told(session: Session) -> dict[str, float]:
    """Return the percentages in the end event of the session."""
    return {key: value for key, value in session.end["metadata"].items() if key.endswith("_percent")}


@pytest.mark.parametrize(
    ("arguments", "branches"),
    [
        ((*RUN, *PYTEST), False),
        pytest.param((*RUN, "--branch", *PYTEST), True, marks=pytest.mark.long),
        ((*RUN, "--branch", "--parallel-mode", *PYTEST), True),
        pytest.param((*PYTEST, "--cov=.", "--cov-branch"), True, marks=pytest.mark.long),
        ((*PYTEST, "--cov=.", "--cov-branch", "--cov-report="), True),
        ((*PYTEST, "--cov=.", "--cov-branch", "-n2"), True),
    ],
    ids=words,
)
def test_the_end_tells_what_coverage_reports(app: Suite, arguments: tuple[str, ...], branches: bool) -> None:
    """The percentages equal the report of coverage, and the closing line shows the total."""
    session = run(app, *arguments)
    assert session.exit_code == 0, session.output + session.errors
    assert session.start["metadata"]["coverage"] is session.end["metadata"]["coverage"] is True
    found = told(session)
    assert found == reported(app)
    assert ("branch_percent" in found) is branches
    assert 0 < found["coverage_percent"] < 100
    assert f" swarmtask: 6 events, coverage {found['coverage_percent']:g} %;" in session.output


def without_us(text: str) -> str:
    """Return the output without our lines and without the parts that differ in each run."""
    return re.sub(r"\b\d+\.\d+s|=+", "", "\n".join(line for line in text.splitlines() if "swarmtask:" not in line))


@pytest.mark.parametrize("mode", [("--branch", "--append"), ("--parallel-mode",)], ids=words)
def test_nothing_changes_for_coverage(app: Suite, mode: tuple[str, ...]) -> None:
    """The plugin changes neither reports nor data files, output or warnings of coverage."""
    app.file(".coveragerc", "[run]\nsource = .\nsource_pkgs = missing\n")
    command = ("-m", "coverage", "run", *mode, "-m", "pytest", *NOT_OURS, "-pno:cacheprovider", "--no-header")
    found = []
    for switch in ("-pno:swarmtask", "-pno:unused"):
        for earlier in app.root.glob(".coverage.*"):
            earlier.unlink()
        if "--append" in mode:
            coverage(app, "run", "--branch", "-m", "never")
        session = run(app, *command, switch)
        files = sorted(re.sub(r"(?<=coverage)\..*", "", path.name) for path in app.root.glob(".coverage*"))
        if "--parallel-mode" in mode:
            coverage(app, "combine", "--quiet")
        report = coverage(app, "report", "--show-missing")
        found.append((report, files, without_us(session.output), session.errors))
        (app.root / ".coverage").unlink()
    assert found[0] == found[1]
    assert "never.py" in found[0][0]
    assert found[0][3].count("Module missing was never imported") == 1
    assert told(session)


def test_data_of_an_earlier_run_does_not_count_and_what_is_appended_to_does(app: Suite) -> None:
    coverage(app, *RUN[2:], "never.py")
    fresh = run(app, *RUN, *PYTEST)
    assert told(fresh) == reported(app)
    coverage(app, *RUN[2:], "never.py")
    appended = run(app, *RUN, "--append", *PYTEST)
    assert told(appended) == reported(app)
    assert told(appended)["coverage_percent"] > told(fresh)["coverage_percent"]


def test_data_of_child_processes_counts(app: Suite) -> None:
    """In parallel mode, the measurements of child processes count, as they do after `coverage combine`."""
    app.write(
        test_child="""
            import subprocess, sys

            def test_child():
                command = [sys.executable, "-m", "coverage", "run", "-p", "--source=.", "never.py"]
                subprocess.run(command, check=True)
        """
    )
    session = run(app, *RUN, "--parallel-mode", *PYTEST)
    files = sorted(app.root.glob(".coverage.*"))
    assert len(files) == 2
    assert told(session) == reported(app)
    assert coverage(app, "report", "--include=never.py").splitlines()[-1].endswith("100%")


STARTED_BY_ENVIRONMENT = """
import coverage, sys
coverage.process_startup()
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_a_process_that_the_environment_measures_tells_no_percent_and_keeps_its_data(app: Suite) -> None:
    """A process that is only part of a larger measurement records no percentage and keeps its data."""
    app.file("rc", "[run]\nparallel = true\nsource = .\n")
    session = run(app, "-c", STARTED_BY_ENVIRONMENT, *PYTEST[2:], COVERAGE_PROCESS_START=str(app.root / "rc"))
    assert session.end["metadata"]["coverage"] is True
    assert told(session) == {}
    assert " swarmtask: 6 events; swarmtask report" in session.output
    assert reported(app)["coverage_percent"] > 0


@pytest.mark.parametrize("arguments", [(), ("--cov=.", "--no-cov")], ids=words)
def test_without_a_measurement(app: Suite, arguments: tuple[str, ...]) -> None:
    session = run(app, *PYTEST[:-1], *arguments)
    assert session.exit_code == 0, session.output
    assert session.start["metadata"]["coverage"] is session.end["metadata"]["coverage"] is False
    assert told(session) == {}
    assert ", coverage" not in session.output


def test_coverage_is_not_imported_by_us(app: Suite) -> None:
    app.write(test_it="import sys\ndef test(): assert 'coverage' not in sys.modules")
    assert run(app, *PYTEST, "-pno:pytest_cov").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((*RUN, *PYTEST), set()), ((*PYTEST, "--cov=.", "--cov-report=xml"), {"coverage_percent"})],
    ids=words,
)
def test_what_would_take_too_long_is_left_out(app: Suite, arguments: tuple[str, ...], expected: set[str]) -> None:
    """If an analysis would take too long, only the percentage that pytest-cov has computed is recorded."""
    app.write(conftest="import pytest_swarmtask.sources.pytest.coverage as ours\nours._BYTES_PER_SECOND = 0")
    session = run(app, *arguments)
    assert session.end["metadata"]["coverage"] is True
    assert set(told(session)) == expected


@pytest.mark.parametrize(
    "conftest",
    [
        "import coverage\ncoverage.Coverage.report = None",
        "import sys, types\nsys.modules['coverage'] = types.ModuleType('coverage')",
    ],
    ids=["cannot report", "another module"],
)
def test_a_coverage_that_is_different_does_no_harm(app: Suite, conftest: str) -> None:
    session = run(app.write(conftest=conftest), *RUN, *PYTEST)
    assert session.exit_code == 0
    assert told(session) == {}
    assert "warning" not in session.output


def test_a_session_inside_of_a_test_is_not_what_is_measured(app: Suite) -> None:
    app.write(
        conftest="pytest_plugins = ['pytester']",
        test_it=f"""
            def test_outer(pytester):
                pytester.makepyfile("def test_inner(): pass")
                pytester.runpytest_inprocess(*{[*NOT_OURS, "-p", "swarmtask"]!r})
        """,
    )
    session = run(app, *RUN, *PYTEST[:-1], "--basetemp=inner")
    ends = [event["metadata"]["coverage"] for event in session.of("TASK_COMPLETED")]
    assert ends == [False, True]
