"""Tests are divided among shards so that each is in one, and the slowest shard is close to the ideal."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_swarmtask.sources.pytest.division import divide
from pytest_swarmtask.sources.pytest.sharding import Division, Shard, costs_of, known_costs

COSTS = st.dictionaries(st.text(max_size=5), st.integers(1, 10_000), max_size=60)
SHARDS = st.integers(1, 12)
NAMES = st.text("ab:/[]é", max_size=6)
SECONDS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1, max_value=1e6)
DURATIONS = st.dictionaries(NAMES, st.dictionaries(NAMES, st.dictionaries(NAMES, SECONDS, max_size=4), max_size=4))


def totals(costs: dict[str, int], shard_of: dict[str, int], shards: int) -> list[int]:
    return [sum(cost for unit, cost in costs.items() if shard_of[unit] == shard) for shard in range(shards)]


@given(
    st.dictionaries(NAMES, NAMES, max_size=30),
    st.dictionaries(NAMES, st.integers(1, 10**9), max_size=30),
    SHARDS,
    st.randoms(use_true_random=False),
)
def test_each_test_is_in_one_shard_whatever_the_order(
    units: dict[str, str], known: dict[str, int], shards: int, random: Random
) -> None:
    """The tests of one unit are in the same shard."""
    tests = list(units)
    found: dict[str, list[int]] = {test: [] for test in tests}
    digests = set()
    for number in range(1, shards + 1):
        random.shuffle(tests)
        division = Division({test: units[test] for test in tests}, known, Shard(f"{number}/{shards}", "test"))
        digests.add(division.facts()["digest"])
        for test in tests:
            found[test] += [number] * division.has(test)
    assert all(len(numbers) == 1 for numbers in found.values())
    assert len({(units[test], numbers[0]) for test, numbers in found.items()}) == len(set(units.values()))
    assert len(digests) == 1


@given(COSTS, SHARDS)
def test_the_slowest_shard_is_bounded(costs: dict[str, int], shards: int) -> None:
    """It has at most the mean and one unit more: no shard is given a unit while another one has less."""
    shard_of = divide(costs, shards)
    assert shard_of.keys() == costs.keys()
    assert max(totals(costs, shard_of, shards)) <= sum(costs.values()) / shards + max(costs.values(), default=0)


def test_it_is_better_than_the_longest_first() -> None:
    """LPT alone gives 11 here, and 9 is possible."""
    costs = {"a": 5, "b": 5, "c": 4, "d": 4, "e": 3, "f": 3, "g": 3}
    assert max(totals(costs, divide(costs, 3), 3)) == 9


@given(st.lists(st.integers(1, 100), min_size=1, max_size=8), st.integers(1, 3))
def test_it_is_close_to_the_best(costs: list[int], shards: int) -> None:
    """All ways to divide were tried: MULTIFIT and LPT are at most a fifth worse than the best."""
    best = {(0,) * shards}
    for cost in costs:
        best = {
            tuple(sorted((*done[:shard], done[shard] + cost, *done[shard + 1 :])))
            for done in best
            for shard in range(shards)
        }
    named = {str(number): cost for number, cost in enumerate(costs)}
    assert max(totals(named, divide(named, shards), shards)) <= 1.23 * min(map(max, best))


@given(DURATIONS, NAMES)
def test_what_a_test_costs_is_at_least_a_microsecond(
    durations: dict[str, dict[str, dict[str, float]]], variant: str
) -> None:
    known = known_costs(json.dumps({"version": 1, "durations": durations}).encode(), variant)
    assert known.keys() == {
        file + rest for files in durations.values() for file, tests in files.items() for rest in tests
    }
    assert all(cost >= 1 for cost in known.values())


def test_a_test_costs_what_it_does_under_its_own_variant() -> None:
    """Under a variant that is not known, it costs the median of the others."""
    durations = {
        "a": {"t.py": {"::x": 1.0}},
        "b": {"t.py": {"::x": 2.0}},
        "c": {"t.py": {"::x": 9.0, "::y": 0.0000001}},
    }
    content = json.dumps({"version": 1, "durations": durations}).encode()
    assert known_costs(content, "a") == {"t.py::x": 1_000_000, "t.py::y": 1}
    assert known_costs(content, "new") == {"t.py::x": 2_000_000, "t.py::y": 1}


def test_a_test_that_is_not_known_costs_what_is_usual_in_its_file() -> None:
    known = {"a.py::one": 100, "a.py::two": 300, "a.py::three": 200, "b.py::one": 7, "c.py::one": 9}
    costs = costs_of(["a.py::new", "new.py::one", "b.py::one"], known)
    assert costs == {"a.py::new": 200, "new.py::one": 100, "b.py::one": 7}
    assert costs_of(["a.py::new"], {}) == {"a.py::new": 1}


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"\xff", b"{}", b'{"version": 2}', b'{"version": 1, "durations": [1]}']
)
def test_what_are_no_durations(content: bytes) -> None:
    with pytest.raises(Exception, match=r"\w"):
        known_costs(content, "")


@pytest.mark.parametrize("text", ["", "2", "0/8", "9/8", "2/", "/8", "a/b", "2/8/1", "-1/8", "1/1001", "²/8", "1 / 2"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(pytest.UsageError, match="expected I/N with I from 1 to N, such as 2/8, and N up to 1000"):
        Shard(text, "test")
