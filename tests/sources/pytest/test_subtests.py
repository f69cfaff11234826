"""Subtests of pytest 9, and of the plugin pytest-subtests on earlier versions."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.suite import Session, Suite

pytestmark = pytest.mark.skipif(
    pytest.version_tuple < (9,) and find_spec("pytest_subtests") is None, reason="neither pytest 9 nor pytest-subtests"
)

SUITE = """
    import unittest

    import pytest

    @pytest.fixture
    def broken_teardown():
        yield
        raise RuntimeError("teardown broke")

    def test_pass(subtests):
        for number in range(3):
            with subtests.test("counted", number=number):
                pass

    def test_two_fail(subtests):
        for number in range(4):
            with subtests.test("counted", number=number):
                assert number % 2, "subtest broke"

    def test_parent_fails_too(subtests):
        with subtests.test("first"):
            raise ValueError("subtest broke")
        raise RuntimeError("parent broke")

    def test_only_parent_fails(subtests):
        with subtests.test("first"):
            pass
        raise RuntimeError("parent broke")

    def test_parent_skips(subtests):
        with subtests.test("first"):
            raise ValueError("subtest broke")
        pytest.skip("enough")

    def test_subtest_skips(subtests):
        with subtests.test("first"):
            pytest.skip("not this one")

    def test_teardown_breaks(subtests, broken_teardown):
        with subtests.test("first"):
            raise ValueError("subtest broke")

    class TestUnit(unittest.TestCase):
        def test_sub(self):
            for number in range(4):
                with self.subTest(number=number):
                    self.assertTrue(number % 2, "subtest broke")
"""


@pytest.fixture(scope="module", params=["plain", "xdist"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The session of the suite, without xdist or with two workers."""
    project = Suite(tmp_path_factory.mktemp("subtests")).write(test_suite=SUITE)
    return project.pytest(*(["-n2"] if request.param == "xdist" else []))


@pytest.mark.parametrize(
    ("name", "outcome", "failed", "error"),
    [
        ("test_pass", "passed", None, None),
        ("test_two_fail", "failed", 2, "AssertionError: subtest broke"),
        ("test_parent_fails_too", "failed", 1, "ValueError: subtest broke"),
        ("test_only_parent_fails", "failed", None, "RuntimeError: parent broke"),
        ("test_parent_skips", "failed", 1, "ValueError: subtest broke"),
        ("test_subtest_skips", "passed", None, None),
        ("test_teardown_breaks", "failed", 1, "ValueError: subtest broke"),
        ("TestUnit::test_sub", "failed", 2, "AssertionError: "),
    ],
)
def test_outcome_of_the_parent(
    session: Session, name: str, outcome: str, failed: int | None, error: str | None
) -> None:
    """A test fails if one of its subtests fails, and its end event has their number and the first error.
    This also applies if pytest reports the test itself as passed or skipped.
    """
    metadata = session.ending(f"::{name}")["metadata"]
    assert metadata["outcome"] == outcome
    assert metadata.get("failed_subtests") == failed
    assert str(metadata.get("error")).startswith(str(error))


def test_one_ending_for_each_test(session: Session) -> None:
    """A subtest has no start or end event of its own."""
    assert len(session.of("TEST_STARTED")) == len(session.outcomes()) == 8
    assert session.exit_code == 1
