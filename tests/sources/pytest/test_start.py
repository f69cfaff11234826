"""What an installation makes every start of pytest load. Each module of ours costs about two million instructions."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.suite import Suite

TELL = """
    import atexit, sys

    def tell():
        with open("loaded", "w") as file:
            print(*sys.modules, file=file)

    atexit.register(tell)
"""


def loaded(project: Suite, *options: str) -> set[str]:
    """Return the modules that a session with one test has loaded at its end."""
    project.write(conftest=TELL, test_it="def test_a(): pass")
    # A CI service and coverage need further modules, and a plugin may have loaded what ours would load otherwise.
    alone = dict.fromkeys(("CI", "GITHUB_ACTIONS", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"), "")
    session = project.pytest("-pno:xdist", "-pno:pytest_cov", "-pno:rerunfailures", *options, **alone)
    assert session.exit_code == 0
    return set(Path(project.root, "loaded").read_text("utf-8").split())


def ours(modules: set[str]) -> set[str]:
    return {name.removeprefix("pytest_swarmtask.") for name in modules if name.startswith("pytest_swarmtask")}


def test_a_session_loads_few_modules_of_ours(project: Suite) -> None:
    """A session loads what each session needs, and nothing for CI, coverage, xdist, tasks, secrets or endpoints."""
    modules = ours(loaded(project))
    assert len(modules) <= 47, sorted(modules)
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


def test_a_session_that_is_switched_off_loads_next_to_nothing(project: Suite) -> None:
    modules = ours(loaded(project, "--no-swarmtask"))
    assert not {name.partition(".")[0] for name in modules} - {"pytest_swarmtask", "plugin", "core"}
    assert len(modules) <= 9, sorted(modules)


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
