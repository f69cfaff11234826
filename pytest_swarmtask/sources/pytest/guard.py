"""Decorators that keep our own failures out of a user's session.

Recording must never change a session. A decorated method that raises ends there: its object remembers the exception,
and the closing line in the terminal shows the first one.
"""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Concatenate, ParamSpec, Protocol, TypeVar

    class _RemembersProblems(Protocol):
        def remember_problem(self, error: BaseException) -> None: ...

    Owner = TypeVar("Owner", bound=_RemembersProblems)
    Argument = TypeVar("Argument")
    Arguments = ParamSpec("Arguments")


def never_raises(method: Callable[[Owner, Argument], None]) -> Callable[[Owner, Argument], None]:
    """Return a method that passes an exception to `remember_problem` of its object instead of raising it.

    Args:
        method: a method with one argument. Each test goes through five of these calls, and ``*arguments`` would make
            each of them cost four times as much.
    """

    @functools.wraps(method)  # pluggy reads the names of a hook's arguments through `__wrapped__`
    def guarded(self: Owner, argument: Argument) -> None:
        try:
            method(self, argument)
        except Exception as error:  # noqa: BLE001 - any failure of ours
            self.remember_problem(error)

    return guarded


def never_raises_while_waiting(
    method: Callable[Concatenate[Owner, Arguments], None],
) -> Callable[Concatenate[Owner, Arguments], None]:
    """Return a method that, in addition, ends at a Ctrl-C without raising `KeyboardInterrupt`.

    For methods that wait for delivery: there, Ctrl-C means that the user does not want to wait. The tests are over, so
    it must not change the session's exit code.
    """

    @functools.wraps(method)
    def guarded(self: Owner, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> None:
        try:
            method(self, *arguments, **named)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - any failure of ours
            self.remember_problem(error)

    return guarded
