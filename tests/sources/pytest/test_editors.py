"""The command lines of editors: nothing is in the way of their own plugins, and discovery records nothing.

The stand-in plugin uses the hooks that the plugins of VS Code (`vscode_pytest`) and PyCharm (`teamcity.pytest_plugin`)
use, and writes down what an editor would show.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.suite import Suite

SUITE = """
    import pytest

    class TestCart:
        @pytest.mark.parametrize("n", [1, 2])
        def test_add(self, n):
            assert n == 1

    def test_skip():
        pytest.skip("not here")

    @pytest.fixture
    def broken():
        raise RuntimeError("no database")

    def test_error(broken): ...
"""
EDITOR = """
    import json, os
    import pytest

    seen = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(session):
        seen.append(["collected", [item.nodeid for item in session.items]])

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_protocol(item, nextitem):
        seen.append(["begin", item.nodeid])
        yield
        seen.append(["end", item.nodeid])

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(report, config):
        if report.when == "call" or report.outcome != "passed":
            seen.append(["status", report.nodeid, report.when, report.outcome])

    def pytest_exception_interact(node, call, report):
        seen.append(["exception", node.nodeid, call.excinfo.exconly()])

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_sessionfinish(session, exitstatus):
        yield
        seen.append(["exit", int(exitstatus)])
        with open(os.environ["EDITOR_FILE"], "w") as file:
            json.dump(seen, file)
"""


@pytest.fixture
def shown(project: Suite, tmp_path: Path) -> Any:
    """A function that runs pytest as an editor does, and returns what the editor would show, and the session."""
    project.write(test_shop=SUITE, editor=EDITOR)
    file = tmp_path / "editor.json"

    def run(*arguments: str) -> tuple[Any, Any]:
        session = project.pytest("-p", "editor", *arguments, PYTHONPATH=str(project.root), EDITOR_FILE=str(file))
        assert session.errors == ""
        return json.loads(file.read_text()), session

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        (
            "--rootdir={root}",
            "{root}/test_shop.py::TestCart::test_add[1]",
            "{root}/test_shop.py::TestCart::test_add[2]",
        ),
        ("--rootdir={root}", "{root}"),
        ("{root}/test_shop.py", "--no-header", "--no-summary", "-q"),
    ],
    ids=["some tests", "all", "a file, quietly"],
)
def test_a_run(shown: Any, project: Suite, arguments: tuple[str, ...]) -> None:
    """The editor sees the same with and without our plugin, and the run is recorded."""
    given = [argument.format(root=project.root) for argument in arguments]
    without, _ = shown("-pno:swarmtask", *given)
    with_ours, session = shown(*given)
    assert with_ours == without
    assert session.outcomes().keys() == {seen[1] for seen in without if seen[0] == "status"}
    assert str(project.root) not in json.dumps(session.start["metadata"]["arguments"])


def test_discovery(shown: Any, project: Suite) -> None:
    """Editors collect the tests at each save. That is no run, and leaves nothing behind."""
    seen, session = shown("--collect-only", f"--rootdir={project.root}", str(project.root))
    assert len(seen[0][1]) == 4
    assert session.events == []
    assert not project.journal.exists()
