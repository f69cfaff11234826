"""What an installation makes every start of pytest load. Each module of ours costs about 0.7 million instructions."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

import pytest_swarmtask
from pytest_swarmtask import core, plugin
from tests.lab import clean_environ
from tests.suite import Suite

TELL = """
    import atexit, sys

    def tell():
        with open("loaded", "w") as file:
            print(*sys.modules, file=file)

    atexit.register(tell)
"""


def loaded(project: Suite, *options: str, **environ: str) -> set[str]:
    """Return the modules that a session with one test has loaded at its end."""
    project.write(conftest=TELL, test_it="def test_a(): pass")
    # A CI service and coverage need further modules, and a plugin may have loaded what ours would load otherwise.
    alone = dict.fromkeys(("CI", "GITHUB_ACTIONS", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"), "")
    session = project.pytest("-pno:xdist", "-pno:pytest_cov", "-pno:rerunfailures", *options, **alone, **environ)
    assert session.exit_code == 0
    return set(Path(project.root, "loaded").read_text("utf-8").split())


def ours(modules: set[str]) -> set[str]:
    return {name.removeprefix("pytest_swarmtask.") for name in modules if name.startswith("pytest_swarmtask")}


def test_a_session_loads_few_modules_of_ours(project: Suite) -> None:
    """A session loads what each session needs, and nothing for CI, coverage, xdist, tasks, secrets or endpoints."""
    modules = ours(loaded(project))
    assert len(modules) <= 41, sorted(modules)
    assert not modules & {
        "core.facts.change_request",
        "core.facts.ci",
        "recording.deliveries",
        "recording.github_annotations",
        "recording.relay_launcher",
        "redaction.formats",
        "sources.pytest.coverage",
        "sources.pytest.division",
        "sources.pytest.report_file",
        "sources.pytest.sharding",
        "sources.pytest.step_summary",
        "sources.pytest.task_events",
        "sources.pytest.task_tests",
        "sources.pytest.worker",
    }


@pytest.mark.parametrize("how", ["option", "variable", "ini"])
def test_a_session_that_is_switched_off_loads_the_plugin_alone(project: Suite, how: str) -> None:
    if how == "ini":
        project.file("pytest.ini", "[pytest]\nswarmtask = false\n")
    options = ["--no-swarmtask"] if how == "option" else []
    modules = loaded(project, *options, SWARMTASK_DISABLED="1" if how == "variable" else "")
    assert ours(modules) == {"pytest_swarmtask", "plugin"}


def test_clock_and_paths_are_bound_before_a_conftest(project: Suite) -> None:
    """A conftest may change `sys.path` and patch `os` and `time`: the modules that remember these are loaded before."""
    project.write(
        conftest="""
            import sys

            bound = {"core.facts.git", "core.facts.process", "core.trace"}
            assert sys.modules.keys() >= {f"pytest_swarmtask.{name}" for name in bound}
        """,
        test_it="def test_a(): pass",
    )
    assert project.pytest().exit_code == 0


def test_a_session_loads_no_package_of_others(project: Suite) -> None:
    """Beside the standard library and what pytest itself loads, only our own package is loaded."""
    more = loaded(project) - loaded(project, "-pno:swarmtask")
    packages = {name.partition(".")[0] for name in more}
    assert packages - sys.stdlib_module_names == {"pytest_swarmtask"}


def test_pytest_does_not_compile_our_modules(project: Suite) -> None:
    """Python's own loader loads our modules, where the package is installed and pytest's hook would claim them."""
    project.write(
        test_it="""
            import sys

            def test_a():
                names = [name for name in sys.modules if name.startswith("pytest_swarmtask.") and name.count(".") > 1]
                loaders = {type(sys.modules[name].__spec__.loader).__name__ for name in names}
                assert loaders == {"SourceFileLoader"}
        """
    )
    assert project.pytest().exit_code == 0


@pytest.mark.parametrize(("body", "sessions"), [("pass", 2), ("sys.meta_path[:] = []", 1)])
def test_the_finder_of_our_modules_goes_with_the_session(project: Suite, body: str, sessions: int) -> None:
    """After a session, `sys.meta_path` is as before, or as a test has left it.

    A finder that stayed would keep all modules of pytest alive until Python clears them one by one.
    """
    project.write(
        test_it=f"import sys\ndef test_a(): {body}",
        program=f"""
            import sys, pytest

            before = list(sys.meta_path)
            for _ in range({sessions}):
                assert pytest.main(["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "test_it.py"]) == 0
            assert sys.meta_path in (before, [])
        """,
    )
    session = project.session([sys.executable, "program.py"], clean_environ())
    assert session.exit_code == 0, session.errors
    assert len(session.events) == 4 * sessions


@pytest.mark.parametrize(
    "name", ["pytest_swarmtask.core", "pytest_swarmtask.core.event", "pytest_swarmtask.core.missing"]
)
def test_the_finder_of_our_modules_finds_what_python_finds(name: str) -> None:
    path = core.__path__ if name.count(".") > 1 else pytest_swarmtask.__path__
    found, expected = plugin._OurFinder.find_spec(name, path), PathFinder.find_spec(name, path)
    assert found == expected
