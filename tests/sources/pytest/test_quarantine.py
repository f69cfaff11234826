"""Failures of tests in `.taskmaster/quarantine.yaml` are reported, recorded with their evidence, and do not count."""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.suite import WITH_WORKERS, Session, Suite, words

SUITE = """
    import unittest

    import pytest

    @pytest.fixture
    def broken_setup():
        raise RuntimeError("setup broke")

    @pytest.fixture
    def broken_teardown():
        yield
        raise RuntimeError("teardown broke")

    def test_passes():
        pass

    def test_fails():
        print("what it said")
        assert 1 == 2, "call broke"

    @pytest.mark.parametrize("number", [1, 2])
    def test_parametrized(number):
        assert number == 1

    def test_setup(broken_setup):
        pass

    def test_teardown(broken_teardown):
        pass

    def test_call_and_teardown(broken_teardown):
        raise ValueError("call broke")

    @pytest.mark.xfail(strict=True)
    def test_strict():
        pass

    class TestUnit(unittest.TestCase):
        def test_unit(self):
            self.assertEqual(1, 2)
"""
QUARANTINED = ("fails", "parametrized[2]", "setup", "teardown", "call_and_teardown", "strict")


def today() -> date:
    """Return the day that the plugin goes by."""
    return datetime.now(timezone.utc).date()


def entry(test: str, days: int = 30, **texts: str) -> str:
    """Return an entry of the file that holds for so many more days."""
    texts = {"reason": "it races", **texts}
    lines = [f"  - test: '{test}'", f"    until: {today() + timedelta(days=days)}"]
    return "\n".join([*lines, *(f"    {name}: '{text}'" for name, text in texts.items())]) + "\n"


def quarantine(project: Suite, *entries: str) -> None:
    """Write the file of a project."""
    project.file(".taskmaster/quarantine.yaml", "tests:\n" + "".join(entries))


@pytest.fixture
def suite(project: Suite) -> Suite:
    """A project in which tests fail in every phase, all of them quarantined."""
    project.write(test_all=SUITE)
    quarantine(project, entry("test_all.py::*", issue="#12", owner="anna"))
    return project


def listed(session: Session) -> list[str]:
    """Return the lines about quarantined tests at the end of the output."""
    return [line for line in session.output.splitlines() if line.startswith(("QUARANTINED", "EXPIRED"))]


def summary(session: Session) -> str:
    """Return pytest's own last line."""
    return session.output.splitlines()[-1]


@pytest.mark.parametrize("arguments", [(), WITH_WORKERS], ids=words)
class TestAllEndings:
    """Tests that fail in every phase."""

    def test_none_counts(self, suite: Suite, arguments: tuple[str, ...]) -> None:
        """The exit code and pytest's totals are those of the rest, and `-x` goes on."""
        session = suite.pytest("-x", *arguments)

        assert session.exit_code == 0, session.output
        assert "3 passed" in summary(session)
        assert "7 quarantined" in summary(session)
        assert not any(word in summary(session) for word in ("failed", "error", "xfail"))

    def test_events_tell_the_failure(self, suite: Suite, arguments: tuple[str, ...]) -> None:
        """Each event says `quarantined`, with the phase and the evidence of the failure, and is no TEST_FAILED."""
        session = suite.pytest(*arguments)

        assert not session.of("TEST_FAILED")
        outcomes = {name.rpartition("::")[2]: outcome for name, outcome in session.outcomes().items()}
        bad = {name for name, outcome in outcomes.items() if outcome == "quarantined"}
        assert bad == {*(f"test_{name}" for name in QUARANTINED), "test_unit"}
        fails = session.ending("test_fails")
        metadata = fails["metadata"]
        assert fails["event_type"] == "TEST_SKIPPED"
        assert metadata["error"].startswith("AssertionError: call broke")
        assert metadata["exception"] == "AssertionError"
        assert "assert 1 == 2" in metadata["traceback"]
        assert metadata["stdout"] == "what it said\n"
        assert metadata["quarantine"] == {
            "test": "test_all.py::*",
            "reason": "it races",
            "until": str(today() + timedelta(days=30)),
            "issue": "#12",
            "owner": "anna",
        }
        phases = {name: session.ending(f"test_{name}")["metadata"]["phase"] for name in ("setup", "teardown")}
        assert phases == {"setup": "setup", "teardown": "teardown"}
        assert session.ending("call_and_teardown")["metadata"]["teardown_error"] == "RuntimeError: teardown broke"
        assert session.end["metadata"]["counts"] == {"passed": 2, "quarantined": 7}

    def test_junit_has_them_as_skipped(self, suite: Suite, arguments: tuple[str, ...]) -> None:
        """JUnit XML has one skipped result for each, with the reason."""
        session = suite.pytest(*arguments)

        assert session.junit_counts() == {"passed": 2, "skipped": 7}
        text = session.junit.read_text(encoding="utf-8")
        assert 'errors="0" failures="0" skipped="7"' in text
        assert f"quarantined: it races (until {today() + timedelta(days=30)}, #12)" in text
        assert text.count("<skipped") == 7

    def test_the_rest_is_as_without_them(self, suite: Suite, arguments: tuple[str, ...]) -> None:
        """A failure of another test counts, whether or not the quarantined ones are there."""
        suite.write(test_rest="def test_broken(): assert 0\n")

        session = suite.pytest(*arguments)

        assert session.exit_code == 1
        assert "1 failed" in summary(session)
        assert [event["task_id"] for event in session.of("TEST_FAILED")] == ["test_rest.py::test_broken"]


def test_without_the_option_all_count(suite: Suite) -> None:
    """`--no-swarmtask-quarantine` and `--no-swarmtask` switch it off."""
    for option in ("--no-swarmtask-quarantine", "--no-swarmtask"):
        session = suite.pytest(option)

        assert session.exit_code == 1
        assert "quarantine" not in session.output


@pytest.mark.parametrize("arguments", [("-q",), ("-qq",), ("-v",)], ids=words)
def test_each_is_listed_with_its_reason(suite: Suite, arguments: tuple[str, ...]) -> None:
    """The end of the output names each once, with reason, date, owner and issue."""
    session = suite.pytest(*arguments, "-k", "call_and_teardown")

    until = today() + timedelta(days=30)
    assert listed(session) == [f"QUARANTINED test_all.py::test_call_and_teardown - it races (until {until}, anna, #12)"]


def test_an_expired_entry_counts_again_and_says_so(suite: Suite) -> None:
    """`until` is the last day; then the failure counts, and a test that passes is named as well."""
    quarantine(suite, entry("*::test_fails", 0), entry("*::test_setup", -1), entry("*::test_passes", -1))

    session = suite.pytest("-k", "test_fails or test_setup or test_passes")

    assert session.exit_code == 1
    assert session.outcomes() == {
        "test_all.py::test_passes": "passed",
        "test_all.py::test_fails": "quarantined",
        "test_all.py::test_setup": "error",
    }
    assert listed(session)[1:] == [
        f"EXPIRED test_all.py::{name} - counts again since {today()} (it races)"
        for name in ("test_passes", "test_setup")
    ]


def test_a_wrong_entry_is_not_applied(suite: Suite) -> None:
    """A date beyond the limit is named with its line, and the other entries hold."""
    quarantine(suite, entry("*::test_fails"), entry("*::test_setup", 91))

    session = suite.pytest("-q", "-k", "test_fails or test_setup")

    assert session.exit_code == 1
    assert session.outcomes()["test_all.py::test_fails"] == "quarantined"
    latest = today() + timedelta(days=90)
    assert (
        f"swarmtask: warning: .taskmaster/quarantine.yaml:6: tests[1].until: found {today() + timedelta(days=91)}, "
        f"expected a date up to {latest}: not applied\n" in session.output
    )


def test_a_file_that_is_no_yaml_applies_nothing(suite: Suite) -> None:
    """All failures count, and the session says why."""
    suite.file(".taskmaster/quarantine.yaml", "tests: [\n")

    session = suite.pytest("-q", "-k", "test_fails")

    assert session.exit_code == 1
    assert "swarmtask: warning: .taskmaster/quarantine.yaml:2: found invalid YAML" in session.output


def test_only_the_variant_that_is_named(suite: Suite) -> None:
    """An entry with a variant holds for sessions of this variant only."""
    quarantine(suite, entry("*::test_fails", variant="linux-*"))

    assert suite.pytest("-k", "test_fails", "--swarmtask-variant=linux-arm").exit_code == 0
    assert suite.pytest("-k", "test_fails", "--swarmtask-variant=macos").exit_code == 1


@pytest.mark.skipif(sys.platform == "win32", reason="modes of Unix")
def test_it_works_where_nothing_can_be_recorded(suite: Suite) -> None:
    """A journal that cannot be written does not turn the suite red."""
    suite.file(".taskmaster/events", "in its place")

    session = suite.pytest("-k", "test_fails")

    assert session.exit_code == 0
    assert "1 quarantined" in summary(session)


def test_a_file_that_others_can_write_is_not_obeyed(suite: Suite) -> None:
    """The file is trusted as `workflow.yaml` is."""
    (suite.root / ".taskmaster" / "quarantine.yaml").chmod(0o666)

    session = suite.pytest("-q", "-k", "test_fails")

    assert session.exit_code == 1
    assert "quarantine.yaml is not obeyed, because it is writable by all users" in session.output


def test_a_failed_collection_counts(project: Suite) -> None:
    """What could not be collected is no test."""
    project.write(test_broken="import nothing_of_this_name\n")
    quarantine(project, entry("*"))

    session = project.pytest()

    assert session.exit_code == 2
    assert session.outcomes() == {"test_broken.py": "error"}


def test_a_session_inside_of_a_test_has_its_own_file(project: Suite) -> None:
    """What `pytester` runs is judged without the quarantine around it, also in a folder of that project."""
    project.write(
        conftest='pytest_plugins = "pytester"\n',
        test_outer="""
            def test_outer(pytester):
                pytester.makepyfile(test_inside="def test_inner(): assert 0")
                pytester.runpytest().assert_outcomes(failed=1)
        """,
    )
    quarantine(project, entry("*::test_inner"))

    assert project.pytest("--basetemp=below").exit_code == 0


def test_reruns_happen_as_always(project: Suite) -> None:
    """A quarantined test is tried again, and each attempt has its evidence."""
    pytest.importorskip("pytest_rerunfailures")
    project.write(test_it="def test_it(): raise ValueError('broke')\n")
    quarantine(project, entry("test_it.py::test_it"))

    session = project.pytest("--reruns=2")

    assert session.exit_code == 0
    assert "2 rerun, 1 quarantined" in summary(session)
    metadata = session.ending("test_it")["metadata"]
    assert (metadata["outcome"], metadata["attempt"]) == ("quarantined", 3)
    assert [attempt["outcome"] for attempt in metadata["attempts"]] == ["failed", "failed"]


@pytest.mark.slow
def test_a_crashed_worker_does_not_count(project: Suite) -> None:
    """The test that a worker of xdist died of is quarantined, and the others run."""
    project.write(
        test_it="""
            import os

            import pytest

            def test_dies(): os._exit(9)

            @pytest.mark.parametrize("number", range(4))
            def test_lives(number): pass
        """
    )
    quarantine(project, entry("test_it.py::test_dies"))

    session = project.pytest("-n2")

    assert session.exit_code == 0, session.output
    outcomes = session.outcomes()
    assert outcomes.pop("test_it.py::test_dies") == "quarantined"
    assert set(outcomes.values()) == {"passed"}
    assert session.ending("test_dies")["metadata"]["error"].startswith("worker 'gw")


SUBTESTS = """
    def test_subtests(subtests):
        for number in range(4):
            with subtests.test("counted", number=number):
                assert number % 2, "subtest broke"
"""


@pytest.mark.parametrize("arguments", [(), WITH_WORKERS], ids=words)
def test_subtests_are_of_the_test(project: Suite, arguments: tuple[str, ...]) -> None:
    """Failed subtests make one quarantined test, which pytest's terminal does not make fail afterwards."""
    if pytest.version_tuple < (9,):
        pytest.importorskip("pytest_subtests")
    project.write(test_it=SUBTESTS)
    quarantine(project, entry("test_it.py::test_subtests"))

    session = project.pytest(*arguments)

    assert session.exit_code == 0, session.output
    assert "1 quarantined" in summary(session)
    assert "failed" not in summary(session)
    metadata = session.ending("test_subtests")["metadata"]
    assert (metadata["outcome"], metadata["failed_subtests"]) == ("quarantined", 2)
    assert 'failures="0"' in session.junit.read_text(encoding="utf-8")


def test_a_doctest(project: Suite) -> None:
    """A doctest has a node id as any test."""
    project.write(calc='"""\n>>> 1 + 1\n3\n"""\n')
    quarantine(project, entry("calc.py::calc"))

    session = project.pytest("--doctest-modules")

    assert session.exit_code == 0
    assert session.outcomes() == {"calc.py::calc": "quarantined"}


def test_it_is_not_among_the_last_failures(suite: Suite) -> None:
    """`--lf` and `--sw` go by what failed and counts; `--pdb` is quiet."""
    suite.write(test_rest="def test_broken(): assert 0\n")
    options: Any = ("-p", "cacheprovider", "-p", "stepwise") if "no:cacheprovider" in str(suite.command()) else ()

    assert suite.pytest(*options, "--sw", "--pdb", "-k", "not broken").exit_code == 0
    suite.pytest(*options)
    assert list(suite.pytest(*options, "--lf").outcomes()) == ["test_rest.py::test_broken"]


def test_fixtures_see_the_failure(project: Suite) -> None:
    """A fixture that takes a screenshot of a failed test in its teardown does so."""
    project.write(
        conftest="""
            import pytest

            @pytest.hookimpl(hookwrapper=True)
            def pytest_runtest_makereport(item):
                report = (yield).get_result()
                setattr(item, f"rep_{report.when}", report)

            @pytest.fixture
            def screenshot(request):
                yield
                if request.node.rep_call.failed:
                    print("a picture of it")
        """,
        test_it="def test_it(screenshot): assert 0\n",
    )
    quarantine(project, entry("test_it.py::test_it"))

    assert "a picture of it" in project.pytest("-s").output


def test_without_the_terminal(suite: Suite) -> None:
    """The exit code does not depend on pytest's terminal."""
    assert suite.pytest("-p", "no:terminal").exit_code == 0


def test_without_a_file_nothing_is_loaded(suite: Suite) -> None:
    """A project without the file pays for none of this."""
    (suite.root / ".taskmaster" / "quarantine.yaml").unlink()
    suite.write(
        test_modules="""
            import sys

            def test_modules():
                assert not [name for name in sys.modules if "quarantine" in name or name == "yaml"]
        """
    )

    assert suite.pytest("test_modules.py").exit_code == 0
