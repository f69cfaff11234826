"""The hierarchy of exceptions."""

from __future__ import annotations

from types import ModuleType

import pytest

from pytest_swarmtask.core import errors, service_errors


def _errors_of(module: ModuleType) -> list[type[Exception]]:
    return [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Exception)]


def test_one_tree() -> None:
    """Every error of the package is a `SwarmtaskError`, so one `except` catches all errors."""
    found = {*_errors_of(errors), *_errors_of(service_errors)}
    assert len(found) == 19
    assert all(issubclass(error, errors.SwarmtaskError) for error in found)


@pytest.mark.parametrize("module", [errors, service_errors])
def test_the_tree_is_drawn(module: ModuleType) -> None:
    """The docstring of a module names each of its exceptions."""
    assert all(error.__name__ in (module.__doc__ or "") for error in _errors_of(module))


@pytest.mark.parametrize("given", ["one", ["one"], ("one",)])
def test_config_error_keeps_one_problem(given: str | list[str] | tuple[str]) -> None:
    """A configuration error keeps a list of problems, also if it was created with a single text."""
    assert errors.ConfigError(given).problems == ["one"]


def test_config_error_says_all() -> None:
    """The message of a configuration error has one line for each problem."""
    assert str(errors.ConfigError(["one", "two"])) == "one\ntwo"
