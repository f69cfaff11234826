"""The event that ends a failed test says why it failed: traceback, output, earlier attempts, a fingerprint."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from pytest_swarmtask.core.event import EVIDENCE, EVIDENCE_TEXTS, MAX_EVENT, MAX_FACTS
from pytest_swarmtask.journal import orphans
from pytest_swarmtask.redaction.redactor import Redactor
from pytest_swarmtask.sources.pytest.evidence import EvidenceReader
from pytest_swarmtask.sources.pytest.outcome import TestRun
from tests.redaction.corpora import adversary, final_check, other_services, rules_own
from tests.redaction.corpora.written import Written
from tests.suite import Session, Suite

FORMAT = re.compile("[0-9a-f]{16}")

SUITE = """
    import itertools
    import logging
    import pathlib
    import sys
    import unittest

    import pytest

    import helpers

    def tries(name):
        count = pathlib.Path(f"tries-{name}")
        count.write_text(count.read_text() + "x" if count.exists() else "x")
        return len(count.read_text())

    @pytest.fixture
    def noisy():
        print("from the setup")
        yield
        print("from the teardown")

    @pytest.mark.slow
    @pytest.mark.parametrize("number", [1, 22])
    def test_numbers(noisy, number):
        print(f"to stdout: {number}")
        print(f"to stderr: {number}", file=sys.stderr)
        logging.warning("to the log: %d", number)
        assert number == 333

    @pytest.mark.parametrize("name", ["one", "two"])
    def test_words(name):
        assert name == "three"

    def test_chain():
        try:
            int("x")
        except ValueError as error:
            raise RuntimeError("outer") from error

    def test_helper():
        helpers.refuse("/tmp/pytest-of-me/pytest-12/x", 7)

    def test_helper_again():
        helpers.refuse("/tmp/pytest-of-you/pytest-5/y", 19)

    def test_other_helper():
        helpers.refuse_too("/tmp/x", 7)

    def test_library():
        pathlib.Path("nothing/there").read_text()

    def test_fail():
        pytest.fail("given up")

    def test_fail_without_traceback():
        pytest.fail("given up", pytrace=False)

    @pytest.fixture
    def broken():
        raise LookupError("no fixture today")

    def test_broken_fixture(broken):
        pass

    def test_missing_fixture(nowhere):
        pass

    @pytest.fixture
    def broken_end():
        yield
        raise LookupError("no end today")

    def test_both_fail(broken_end):
        raise ValueError("the call")

    @pytest.mark.skip(reason="later")
    def test_skipped():
        pass

    def test_skips_itself():
        pytest.skip("not here")

    @pytest.mark.xfail(reason="known")
    def test_expected():
        print("much output")
        raise ValueError("as known")

    @pytest.mark.xfail(strict=True, reason="known")
    def test_unexpected():
        pass

    class TestUnit(unittest.TestCase):
        def test_equal(self):
            self.assertEqual(1, 2)

    @pytest.mark.flaky(reruns=2)
    def test_third_time(record_property):
        attempt = tries("third")
        print(f"attempt {attempt}")
        record_property("attempts", attempt)
        assert attempt == 3

    @pytest.mark.flaky(reruns=1)
    def test_never():
        raise ValueError(f"attempt {tries('never')}")

    @pytest.mark.flaky(reruns=1)
    def test_shaky_setup(request):
        request.getfixturevalue("shaky")

    @pytest.fixture
    def shaky():
        assert tries("shaky") == 2

    def test_properties(record_property, record_testsuite_property):
        record_property("count", 3)
        record_property("ratio", 0.5)
        record_property("names", ["a", "b"])
        record_property("api_token", "Xk9f3Lq7wT2b")
        record_testsuite_property("region", "north")

    def test_plain():
        print("nobody needs this")

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="no groups of exceptions")
    def test_group():
        raise ExceptionGroup("many", [ValueError("first"), TypeError("second")])
"""
HELPERS = """
    class Refused(Exception):
        pass

    def refuse(path, number):
        raise Refused(f"{path}: line {number} of 0x7f12ab34 at 2026-01-31 10:15:00")

    def refuse_too(path, number):
        raise Refused(f"{path}: line {number} of 0x7f12ab34 at 2026-01-31 10:15:00")
"""
INI = "[pytest]\nmarkers =\n    slow: takes long\n"


@pytest.fixture(scope="module", params=["plain", "xdist"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The session of the suite, without xdist or with a worker."""
    project = Suite(tmp_path_factory.mktemp("evidence")).write(test_suite=SUITE, helpers=HELPERS)
    project.file("pytest.ini", INI)
    return project.pytest(*(["-n1"] if request.param == "xdist" else []))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Another session of the same suite, in another folder and with short tracebacks."""
    project = Suite(tmp_path_factory.mktemp("again")).write(test_suite=SUITE, helpers=HELPERS)
    project.file("pytest.ini", INI)
    return project.pytest("--tb=short")


def facts(session: Session, name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = session.ending(f"::{name}")["metadata"]
    return metadata


def line_of(source: str) -> int:
    """Return the number of the line of the suite that contains this code."""
    return next(number for number, line in enumerate(SUITE.splitlines(), 1) if source in line)


class TestFailure:
    """Traceback and output of a test that failed at once."""

    def test_texts(self, session: Session) -> None:
        found = facts(session, "test_numbers[22]")
        assert "assert 22 == 333" in found["traceback"]
        assert found["traceback"].endswith("AssertionError")
        assert found["stdout"] == "from the setup\nto stdout: 22\n"
        assert found["stderr"] == "to stderr: 22\n"
        assert re.fullmatch(r"WARNING +root:test_suite.py:\d+ to the log: 22", found["log"])

    def test_a_passing_test_pays_nothing(self, session: Session) -> None:
        """The event of a passing test has no evidence, whatever the test printed."""
        found = facts(session, "test_plain")
        assert not found.keys() & {*EVIDENCE, "exception", "fingerprint", "markers", "attempts", "location"}

    @pytest.mark.parametrize(
        ("name", "exception"),
        [
            ("test_numbers[1]", "AssertionError"),
            ("test_chain", "RuntimeError"),
            ("test_helper", "helpers.Refused"),
            ("test_library", "FileNotFoundError"),
            ("test_fail", "Failed"),
            ("test_fail_without_traceback", "Failed"),
            ("test_broken_fixture", "LookupError"),
            ("test_both_fail", "ValueError"),
            ("test_expected", "ValueError"),
            ("TestUnit::test_equal", "AssertionError"),
            ("test_never", "ValueError"),
        ],
    )
    def test_exception(self, session: Session, name: str, exception: str) -> None:
        found = facts(session, name)
        assert found["exception"] == exception
        assert FORMAT.fullmatch(found["fingerprint"])

    def test_chained_exceptions(self, session: Session) -> None:
        """The traceback shows the cause, too."""
        found = facts(session, "test_chain")["traceback"]
        assert found.index("ValueError: invalid literal") < found.index("direct cause") < found.index("outer")

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="no groups of exceptions")
    def test_groups_of_exceptions(self, session: Session) -> None:
        found = facts(session, "test_group")
        assert found["exception"] == "ExceptionGroup"
        assert "ValueError: first" in found["traceback"]

    def test_failing_teardown(self, session: Session) -> None:
        """A test that fails in its call and its teardown has both tracebacks."""
        found = facts(session, "test_both_fail")
        assert "the call" in found["traceback"]
        assert "no end today" in found["teardown_traceback"]
        assert found["teardown_error"] == "LookupError: no end today"

    def test_failing_setup(self, session: Session) -> None:
        found = facts(session, "test_broken_fixture")
        assert (found["outcome"], found["phase"]) == ("error", "setup")
        assert "no fixture today" in found["traceback"]

    def test_unknown_fixture(self, session: Session) -> None:
        """Without an exception in the report, there is no type of one."""
        found = facts(session, "test_missing_fixture")
        assert "exception" not in found
        assert "fixture 'nowhere' not found" in found["traceback"]

    @pytest.mark.parametrize(
        ("name", "code"), [("test_skipped", 'skip(reason="later")'), ("test_skips_itself", '"not here"')]
    )
    def test_skip(self, session: Session, name: str, code: str) -> None:
        """A skipped test has its place, and no evidence."""
        found = facts(session, name)
        assert found["location"] == f"test_suite.py:{line_of(code)}"
        assert not found.keys() & {*EVIDENCE_TEXTS, "exception", "fingerprint"}

    def test_expected_failure(self, session: Session) -> None:
        """A test that fails as expected tells of what, and its reason stays the error. It has no long texts."""
        found = facts(session, "test_expected")
        assert (found["error"], found["exception"]) == ("known", "ValueError")
        assert not found.keys() & set(EVIDENCE_TEXTS)

    def test_markers(self, session: Session) -> None:
        """A failed test names its markers, and neither itself nor its file and the attributes of its function."""
        assert facts(session, "test_numbers[1]")["markers"] == ["parametrize", "slow"]
        assert "markers" not in facts(session, "test_chain")
        assert "markers" not in facts(session, "test_expected")


class TestFingerprint:
    """The same failure has the same fingerprint."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("test_numbers[1]", "test_numbers[22]"),
            ("test_words[one]", "test_words[two]"),
            ("test_helper", "test_helper_again"),
        ],
    )
    def test_same(self, session: Session, one: str, other: str) -> None:
        """Parameters, numbers, paths, addresses and times make no difference."""
        assert facts(session, one)["fingerprint"] == facts(session, other)["fingerprint"]

    def test_different(self, session: Session) -> None:
        """Another type, another message, or another function is another failure."""
        names = ("test_numbers[1]", "test_words[one]", "test_chain", "test_helper", "test_other_helper", "test_fail")
        assert len({facts(session, name)["fingerprint"] for name in names}) == len(names)

    def test_in_another_run(self, session: Session, plain: Session) -> None:
        """Neither the folder, nor xdist, nor the style of tracebacks makes a difference."""
        names = [event["task_id"].rpartition("::")[2] for event in session.of("TEST_FAILED")]
        assert len(names) > 12
        assert {name: facts(session, name)["fingerprint"] for name in names} == {
            name: facts(plain, name)["fingerprint"] for name in names
        }


class TestAttempts:
    """Earlier attempts of tests that pytest-rerunfailures repeats."""

    def test_passed_at_last(self, session: Session) -> None:
        """A test that passes in the third attempt tells of the two that failed, oldest first."""
        found = facts(session, "test_third_time")
        assert (found["outcome"], found["attempt"]) == ("passed", 3)
        first, second = found["attempts"]
        assert (first["outcome"], first["phase"], first["exception"]) == ("failed", "call", "AssertionError")
        assert first["error"].splitlines()[0] == "assert 1 == 3"
        assert second["error"].splitlines()[0] == "assert 2 == 3"
        assert first["fingerprint"] == second["fingerprint"]
        assert first["location"].startswith("test_suite.py:")
        assert 0 <= first["duration"] <= found["duration"]
        assert "assert 1 == 3" in first["traceback"]

    def test_output_of_each_attempt(self, session: Session) -> None:
        """An attempt has its own output, although pytest repeats that of the attempts before."""
        assert [one["stdout"] for one in facts(session, "test_third_time")["attempts"]] == [
            "attempt 1\n",
            "attempt 2\n",
        ]

    def test_failed_at_last(self, session: Session) -> None:
        found = facts(session, "test_never")
        assert found["error"] == "ValueError: attempt 2"
        assert "ValueError: attempt 2" in found["traceback"]
        assert [one["error"] for one in found["attempts"]] == ["ValueError: attempt 1"]

    def test_failed_in_setup(self, session: Session) -> None:
        found = facts(session, "test_shaky_setup")
        assert [one["exception"] for one in found["attempts"]] == ["AssertionError"]
        assert "attempts" not in facts(session, "test_chain")

    def test_a_plugin_that_changes_its_report(self, project: Suite) -> None:
        """An attempt is as it was reported, even if the plug-in makes the report of the next attempt of it.

        pytest-retry does so.
        """
        project.write(
            conftest="""
            import pytest

            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_makereport(item, call):
                report = yield
                if call.when == "call" and report.failed:
                    report.outcome = "retried"
                    item.ihook.pytest_runtest_logreport(report=report)
                    report.outcome, report.longrepr, report.sections = "passed", None, []
                return report
            """,
            test_it="def test_a():\n    print('first')\n    assert 1 == 2\n",
        )
        found = facts(project.pytest(), "test_a")
        assert (found["outcome"], found["attempt"]) == ("passed", 2)
        (attempt,) = found["attempts"]
        assert (attempt["error"], attempt["stdout"]) == ("assert 1 == 2", "first\n")

    def test_a_crash_that_is_repeated(self, project: Suite) -> None:
        """An attempt whose xdist worker died is an earlier attempt, too."""
        project.write(
            conftest="""
            import pytest

            @pytest.hookimpl(tryfirst=True)
            def pytest_handlecrashitem(crashitem, report, sched):
                report.outcome = "rerun"
                sched.mark_test_pending(crashitem)
                return None
            """,
            test_it="""
            import os
            import pathlib

            def test_dies_once():
                before = pathlib.Path("before")
                if not before.exists():
                    before.touch()
                    os._exit(1)

            def test_other():
                pass
            """,
        )
        found = facts(project.pytest("-n1"), "test_dies_once")
        assert (found["outcome"], found["attempt"]) == ("passed", 2)
        (attempt,) = found["attempts"]
        assert attempt["outcome"] == "crashed"
        assert "crashed while running" in attempt["error"]
        assert "exception" not in attempt


def test_properties(session: Session) -> None:
    """A passing test has its properties: scalars as they are, other values as text, and no secrets."""
    assert facts(session, "test_properties")["properties"] == [
        ["count", 3],
        ["ratio", 0.5],
        ["names", "['a', 'b']"],
        ["api_token", "[REDACTED]"],
    ]
    assert facts(session, "test_third_time")["properties"][-1] == ["attempts", 3]


def test_properties_of_the_suite(plain: Session) -> None:
    """The end of the session has what `record_testsuite_property` was given, as pytest writes it to its JUnit XML."""
    assert plain.end["metadata"]["properties"] == [["region", "north"]]


DIES = "import os\n\ndef test_dies():\n    os._exit(3)\n\ndef test_lives():\n    pass\n"


def test_crash_of_the_session(project: Suite) -> None:
    """A test whose process died has an end event, and nothing that only a report could tell."""
    project.write(test_it=DIES).pytest()
    orphans.close_orphaned_spans(project.project)
    (end,) = [event["metadata"] for event in project.events() if event["event_type"] == "TEST_FAILED"]
    assert end["outcome"] == "crashed"
    assert not end.keys() & {*EVIDENCE, "exception", "fingerprint"}


def test_crash_of_a_worker(project: Suite) -> None:
    """A test whose xdist worker died has no exception; its fingerprint is that of its function."""
    found = facts(project.write(test_it=DIES).pytest("-n1"), "test_dies")
    assert found["outcome"] == "crashed"
    assert "crashed while running" in found["traceback"]
    assert FORMAT.fullmatch(found["fingerprint"])
    assert "exception" not in found


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=str)
def test_collection_error(project: Suite, options: tuple[str, ...]) -> None:
    """A module that cannot be collected has the full text of the error."""
    project.write(
        test_import="import nothing_of_this_name\n",
        test_syntax="def test_a(:\n    pass\n",
        test_raises="raise ValueError('at import')\n",
        test_skips="import pytest\n\npytest.skip('no module today', allow_module_level=True)\n",
    )
    session = project.pytest(*options)
    missing = session.ending("test_import.py")["metadata"]
    assert missing["exception"] == "ModuleNotFoundError"
    assert "ImportError while importing test module" in missing["traceback"]
    assert "nothing_of_this_name" in missing["traceback"]
    assert session.ending("test_syntax.py")["metadata"]["exception"] == "SyntaxError"
    raised = session.ending("test_raises.py")["metadata"]
    assert (raised["exception"], raised["location"]) == ("ValueError", "test_raises.py:1")
    assert session.ending("test_skips.py")["metadata"]["location"] == "test_skips.py:3"


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="subtests came with pytest 9")
def test_subtests(project: Suite) -> None:
    """The evidence is that of the first subtest that failed; their number stays a number."""
    project.write(
        test_it="""
        def test_parts(subtests):
            for number in range(4):
                with subtests.test(number=number):
                    print(f"part {number}")
                    assert number < 2, f"too large: {number}"
        """
    )
    found = facts(project.pytest(), "test_parts")
    assert found["failed_subtests"] == 2
    assert found["error"].startswith("AssertionError: too large: 2")
    assert "too large: 2" in found["traceback"]
    assert "too large: 3" not in found["traceback"]
    assert found["stdout"] == "part 2\n"


def test_doctest(project: Suite) -> None:
    """A failed doctest has its text, and the type that pytest shows."""
    project.write(shop='"""\n>>> 1 + 1\n3\n"""\n')
    found = facts(project.pytest("--doctest-modules"), "shop")
    assert found["exception"] == "DocTestFailure"
    assert "Expected:" in found["traceback"]


@pytest.mark.parametrize("style", ["long", "short", "line", "native", "no"])
def test_styles_of_tracebacks(project: Suite, style: str) -> None:
    """The traceback has the style of the session, without colours; type and place are known in each style."""
    project.write(test_it="def test_a():\n    raise ValueError('broken')\n")
    found = facts(project.pytest(f"--tb={style}", "--color=yes", FORCE_COLOR="1", PY_COLORS="1"), "test_a")
    assert (found["exception"], found["location"]) == ("ValueError", "test_it.py:2")
    assert "broken" in found["traceback"]
    assert "\x1b" not in json.dumps(found)
    assert ("Traceback (most recent call last)" in found["traceback"]) is (style == "native")


LONG = """
    import logging

    import pytest

    @pytest.mark.flaky(reruns=1)
    def test_much():
        text = "".join(f"line {number} of the output\\n" for number in range(200_000))
        print(text, end="")
        for number in range(3000):
            logging.warning('"%s" in \\t the log', number)
        raise ValueError("\\n".join(f"line {number} of the message" for number in range(5000)))
"""


@pytest.mark.parametrize("size", [1024, 32 * 1024, 48 * 1024])
def test_size(project: Suite, size: int) -> None:
    """However much a test writes, its texts take no more than was configured, and the event stays below its limit."""
    project.file(".taskmaster/config/workflow.yaml", f"task_integration: {{evidence: {{bytes: {size}}}}}")
    found = facts(project.write(test_it=LONG).pytest(), "test_much")
    texts = [one[key] for one in (found, *found["attempts"]) for key in EVIDENCE_TEXTS if key in one]
    written = sum(len(json.dumps(text, ensure_ascii=False).encode()) for text in texts)
    assert size // 3 < written <= size
    assert max(map(len, b"".join(path.read_bytes() for path in project.segments()).splitlines())) < MAX_EVENT
    assert (
        len(json.dumps({key: value for key, value in found.items() if key not in {*EVIDENCE, "attempts"}})) < MAX_FACTS
    )


def test_what_is_kept(project: Suite) -> None:
    """Output keeps whole lines at its end; a traceback keeps both ends, and says how many lines are missing."""
    found = facts(project.write(test_it=LONG).pytest(), "test_much")
    assert re.fullmatch(r"(line \d+ of the output\n)+", found["stdout"])
    assert found["stdout"].endswith("line 199999 of the output\n")
    assert found["log"].endswith('"2999" in \t the log')
    lines = found["traceback"].splitlines()
    assert "def test_much" in found["traceback"]
    assert re.fullmatch(r"test_it.py:\d+: ValueError", lines[-1])
    (gap,) = [line for line in lines if line.startswith("…")]
    left_out = int(re.fullmatch(r"… ([\d,]+) lines left out …", gap)[1].replace(",", ""))  # type: ignore[index]
    assert 4000 < left_out < 5100


@pytest.mark.parametrize(
    ("section", "kept"),
    [
        ("{traceback: false}", {"stdout", "exception"}),
        ("{output: false}", {"traceback", "exception"}),
        ("{traceback: false, output: false}", {"exception"}),
    ],
)
def test_switched_off(project: Suite, section: str, kept: set[str]) -> None:
    project.file(".taskmaster/config/workflow.yaml", f"task_integration: {{evidence: {section}}}")
    project.write(test_it="def test_a():\n    print('text')\n    assert 0\n")
    assert facts(project.pytest(), "test_a").keys() & {*EVIDENCE_TEXTS, "exception"} == kept


@pytest.mark.parametrize("text", ["task_integration: {evidence: {traceback: flase}}", "task_integration: [", "x: 1"])
def test_invalid_configuration(project: Suite, text: str) -> None:
    """A configuration that is not valid may say that there shall be no evidence, so there is none."""
    project.file(".taskmaster/config/workflow.yaml", text)
    project.write(
        test_it="def test_a(record_property):\n    record_property('a', 1)\n    print('text')\n    assert 0\n"
    )
    found = facts(project.pytest(), "test_a")
    assert not found.keys() & set(EVIDENCE)
    assert found["exception"] == "AssertionError"


def test_broken_imports(project: Suite) -> None:
    """A test that breaks the import system and fails has its evidence all the same."""
    project.write(
        test_it="""
        import sys

        def test_a():
            sys.meta_path.clear()
            sys.path.clear()
            print("text")
            assert 1 == 2
        """
    )
    found = facts(project.pytest(), "test_a")
    assert (found["stdout"], found["exception"]) == ("text\n", "AssertionError")


class OddReport:
    """A report of a plug-in, in which nothing is as pytest makes it."""

    outcome = "failed"
    when = "call"
    sections = (("Captured stdout", 5), None)
    user_properties = (("a",), 7)

    class longrepr:  # noqa: N801 - the name of the attribute
        """A representation that cannot be shown."""

        reprcrash = None

        def __str__(self) -> str:
            raise RuntimeError("cannot be shown")


def test_reports_of_a_plugin() -> None:
    """Reports whose parts are of odd types cost at most the evidence, never the event."""
    problems: list[BaseException] = []
    settings = {"traceback": True, "output": True, "bytes": 2000}
    reader = EvidenceReader(settings, Redactor({}), "/project", "/project", lambda _: [], problems.append)
    run = TestRun("test_it.py::test_a", "test_it.py::test_a", "0" * 16)
    report: Any = OddReport()
    report.longrepr = OddReport.longrepr()
    run.report = run.last_report = report
    metadata = {"error": "broken"}
    reader.add(metadata, run, "failed", ())
    assert metadata == {"error": "broken"}
    assert problems


CORPORA: list[Any] = [rules_own, other_services, adversary, final_check, Written("unseen_python_and_npm", 5)]


def test_no_secret_in_any_evidence(project: Suite) -> None:
    """A secret that a test prints, logs, compares or holds in a local variable is in no event, whole or in part."""
    samples = [one for corpus in CORPORA for one in corpus.secrets() if isinstance(one.given, str)][::9]
    project.file("samples.json", json.dumps([one.given for one in samples]))
    project.write(
        test_it="""
        import json
        import logging
        import pathlib

        import pytest

        SAMPLES = json.loads(pathlib.Path(__file__).with_name("samples.json").read_text())

        @pytest.mark.parametrize("number", range(len(SAMPLES)))
        def test_sample(number, record_property):
            held = SAMPLES[number]
            print(held)
            logging.warning(held)
            record_property("note", held)
            raise ValueError(held)
        """
    )
    session = project.pytest("--showlocals", "-vv")
    text = "\n".join(json.dumps(event, ensure_ascii=False) for event in session.of("TEST_FAILED"))
    assert len(samples) >= 50
    shown = [one.secret for one in samples if one.secret in text or json.dumps(one.secret)[1:-1] in text]
    assert len(shown) <= len(samples) / 100, shown
    assert text.count("[REDACTED]") > 3 * len(samples)


def test_a_secret_that_one_text_names(project: Suite) -> None:
    """A secret that only the traceback names is hidden in the error and the output, too, where it stands alone."""
    secret = "Xk9f3-Lq7wT2b-Zr5"
    project.file("word", secret)
    project.write(
        test_it="""
        import pathlib

        def test_a():
            password = pathlib.Path("word").read_text()
            print(password)
            assert password == "other"
        """
    )
    found = facts(project.pytest("--showlocals"), "test_a")
    assert secret not in json.dumps(found)
    assert found["stdout"] == "[REDACTED]\n"
    assert {"error", "stdout", "traceback"} <= set(found["redacted"])


@pytest.mark.parametrize("shift", range(0, 42, 6))
def test_secrets_at_the_cuts(project: Suite, shift: int) -> None:
    """A secret across the place where a text is cut leaves no part of itself."""
    secret = "gh" + "p_" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1cD3"
    project.file(".taskmaster/config/workflow.yaml", "task_integration: {evidence: {bytes: 1024}}")
    project.file("text", f"{'x' * shift} " + f"{secret} " * 400 + "y" * shift)
    project.write(
        test_it="""
        import pathlib

        def test_a():
            text = pathlib.Path("text").read_text()
            print(text)
            raise ValueError(text)
        """
    )
    found = json.dumps(facts(project.pytest("--tb=native"), "test_a"))
    assert not [start for start in range(4, 33) if secret[start : start + 8] in found]
    assert '"stdout"' in found
