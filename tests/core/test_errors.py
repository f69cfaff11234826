"""The hierarchy of exceptions."""

from __future__ import annotations

import pytest

from pytest_swarmtask.core import errors


def test_one_tree() -> None:
    """Every error of the package is a `SwarmtaskError`, so one `except` catches all errors."""
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(found) == 19
    assert all(issubclass(error, errors.SwarmtaskError) for error in found)


def test_the_tree_is_drawn() -> None:
    """The module docstring names each exception."""
    drawn = errors.__doc__ or ""
    names = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    assert all(name in drawn for name in names)


@pytest.mark.parametrize("given", ["one", ["one"], ("one",)])
def test_config_error_keeps_one_problem(given: str | list[str] | tuple[str]) -> None:
    """A configuration error keeps a list of problems, also if it was created with a single text."""
    assert errors.ConfigError(given).problems == ["one"]


def test_config_error_says_all() -> None:
    """The message of a configuration error has one line for each problem."""
    assert str(errors.ConfigError(["one", "two"])) == "one\ntwo"
