"""A session writes its job summary for GitHub Actions to `GITHUB_STEP_SUMMARY`."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_swarmtask.sources.pytest.session_markdown import markdown
from tests.lab import REPOSITORY, clean_environ
from tests.suite import Session, Suite

DOCUMENT = (REPOSITORY / "docs" / "ci.md").read_text("utf-8")
EXAMPLE = """
    import time

    import pytest

    @pytest.mark.parametrize("user", ["admin", "guest"])
    def test_login(user):
        time.sleep(0.3 if user == "admin" else 0.15)
        assert user == "admin"

    def test_logout(connection):
        pass

    @pytest.fixture
    def connection():
        raise ConnectionError("no server at db|5432")

    @pytest.mark.skip(reason="later")
    def test_later():
        pass
"""


@pytest.fixture
def path(project: Suite) -> Path:
    return project.root / "summary.md"


def summarised(project: Suite, path: Path, *arguments: str, **environ: str) -> Session:
    return project.pytest(*arguments, GITHUB_STEP_SUMMARY=str(path), **environ)


def rows(text: str, header: str) -> list[list[str]]:
    """Return the displayed cells of the table whose first column has this header."""
    (body,) = re.findall(rf"^\| {header} \|[^\n]*\n\|[ |-]+\|\n((?:\|[^\n]*\|\n)*)", text, re.MULTILINE)
    lines = [line.strip("|").split("|") for line in body.splitlines()]
    return [[html.unescape(re.sub("</?code>", "", cell)).strip() for cell in line] for line in lines]


def same_for_all_runs(text: str) -> str:
    """Return a summary without the parts that differ in each run."""
    text = re.sub(r"\| slowest .*?\n\n", "", text, flags=re.DOTALL)
    text = re.sub(r"\d+\.\d\d s", "0.00 s", text)
    text = re.sub(r"variant <code>[\w.-]+</code>", "variant", text)
    return re.sub(r"Python [\d.]+\w*, pytest [\w.]+", "Python 3, pytest 9", text)


def test_the_example_of_the_document(project: Suite, path: Path) -> None:
    """docs/ci.md shows exactly the summary of this session."""
    shown = "\n".join(re.findall(r"^> ?(.*)$", DOCUMENT, re.MULTILINE))
    project.file("tests/test_api.py", EXAMPLE)
    session = summarised(project, path, WORKFLOW_ENVIRONMENT="staging")
    assert session.exit_code == 1
    assert same_for_all_runs(path.read_text()).strip() == same_for_all_runs(shown).strip()
    slowest, slowest_shown = ({test for _, test in rows(text, "slowest")} for text in (path.read_text(), shown))
    assert slowest >= slowest_shown


def test_what_passed_when_repeated(project: Suite, path: Path) -> None:
    """Tests that passed only when they were repeated are counted, and the last line names the variant."""
    project.write(
        test_it="""
            runs = []

            def test_flaky():
                runs.append(1)
                assert len(runs) > 2

            def test_good(): pass
        """
    )
    session = summarised(project, path, "--reruns=2", SWARMTASK_VARIANT="py | postgres")
    assert session.exit_code == 0
    assert session.end["metadata"]["repeated"] == 1
    text = path.read_text()
    assert "\n\n1 passed when repeated\n\n" in text
    assert ", variant <code>py &#124; postgres</code>\n" in text
    path.unlink()
    session = summarised(project, path, "-k", "good")
    assert "repeated" not in session.end["metadata"]
    assert "repeated" not in path.read_text()


def test_a_long_list_is_cut(project: Suite, path: Path) -> None:
    project.write(
        test_it="""
            import pytest

            @pytest.mark.parametrize("n", range(25))
            def test_it(n):
                raise ValueError("long " * 1000)
        """
    )
    summarised(project, path)
    text = path.read_text()
    listed = rows(text, "failed")
    assert [cells[0] for cells in listed] == [f"test_it.py::test_it[{n}]" for n in range(20)]
    assert all(len(message) < 400 and message.endswith("…") for _, message, _ in listed)
    assert "\nand 5 more\n" in text
    assert len(text) < 20_000


def test_what_tests_say_stays_text(project: Suite, path: Path) -> None:
    """In names and messages, markup is displayed as text, secrets are hidden, and control characters are removed."""
    project.write(
        test_it=r"""
            import os, pytest

            NASTY = "|a|`b`<script>*c*_d_[e](f)\\|@g\x1b[31m\x07\u202eh"

            @pytest.mark.parametrize("n", [0], ids=["<b>|`x`"])
            def test_it(n):
                raise ValueError(NASTY + os.environ["MY_TOKEN"] + "\nsecond line")
        """
    )
    summarised(project, path, "-n1", MY_TOKEN="hunter2hunter2")
    text = path.read_text()
    assert rows(text, "failed")[0][:2] == [
        "test_it.py::test_it[<b>|`x`]",
        r"ValueError: |a|`b`<script>*c*_d_[e](f)\|@g  h[REDACTED]",
    ]
    assert not re.search(r"<(?!/?code>|br>)|[\x00-\x09\x0b-\x1f`@]", text)
    assert text.count("###") == 1


FACTS: dict[str, Any] = {
    "start": {"python": "3", "pytest": "9"},
    "end": {
        "success": False,
        "reason": "tests failed",
        "error": "tests failed",
        "tests": 1,
        "counts": {"failed": 1},
        "deselected": 0,
        "duration": 0.5,
        "slowest": [],
    },
    "events": "4 events",
    "undelivered": "",
    "root": "/root",
}


@given(st.text(), st.text(), st.text())
@settings(deadline=None)
def test_any_text_is_one_cell(test: str, message: str, place: str) -> None:
    """Any text in the table gives three cells of printable text."""
    text = markdown(failures=[(test, message, place)], quarantined=[], **FACTS)
    ((*cells,),) = rows(text, "failed")
    assert len(cells) == 3
    assert all(cell.isprintable() for cell in cells)


def test_sessions_append_and_stop_far_below_the_limit_of_github(project: Suite, path: Path) -> None:
    path.write_text("# before\n")
    project.write(test_it="def test(): pass")
    summarised(project, path)
    summarised(project, path, "-k", "nothing")
    text = path.read_text()
    assert text.startswith("# before\n### ✅ pytest: passed\n")
    assert "\n\n### ❌ pytest: no tests were collected\n" in text
    path.write_text("x" * 512 * 1024)
    summarised(project, path)
    assert path.stat().st_size == 512 * 1024


def test_what_is_left_comes_with_the_command_that_sends_it(project: Suite, path: Path) -> None:
    project.write(test_it="def test(): pass")
    url = "http://127.0.0.1:9/"
    summarised(project, path, "--swarmtask-drain-timeout=0", TASKMASTER_WEBHOOK_URL=url, AUTOMATION_SECRET_KEY="k" * 32)
    text = path.read_text()
    assert re.search(r"^4 events, 4 not delivered yet: .*; send them with: swarmtask flush<br>$", text, re.MULTILINE)


def test_coverage_and_surroundings(project: Suite, path: Path) -> None:
    project.write(test_it="def test(): pass")
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "c" * 40, "GITHUB_REF_NAME": "fix|it"}
    command = project.command("-ppytest_cov", "--cov=.", "--cov-branch")
    command.remove("-pno:pytest_cov")
    project.session(command, clean_environ(GITHUB_STEP_SUMMARY=str(path), **environ))
    text = path.read_text()
    assert "| coverage |" in text
    assert "| 100 % |" in text
    assert f"commit <code>{'c' * 40}</code>, branch <code>fix&#124;it</code>" in text


@pytest.mark.parametrize("place", ["missing/summary.md", "."])
def test_a_summary_that_cannot_be_written_is_one_line(project: Suite, place: str) -> None:
    project.write(test_it="def test(): pass")
    session = summarised(project, project.root / place, "-Werror")
    assert session.exit_code == 0
    assert session.output.count("GITHUB_STEP_SUMMARY cannot be written: ") == 1
    assert session.errors == ""
    assert len(session.events) == 4


def test_sessions_inside_of_a_test_write_nothing(project: Suite, path: Path) -> None:
    project.write(
        conftest="pytest_plugins = ['pytester']",
        test_it="""
            def test_outer(pytester):
                pytester.makepyfile("def test_inner(): pass")
                pytester.runpytest_inprocess("-pno:hypothesispytest")
        """,
    )
    summarised(project, path)
    assert path.read_text().count("###") == 1
