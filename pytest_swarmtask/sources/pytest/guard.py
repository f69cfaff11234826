"""Guards around the hooks of a session: against our own failures, and for an end that the project's code cuts short.

Recording must never change a session. A decorated method that raises ends there: its object remembers the exception,
and the closing line in the terminal shows the first one.
"""

from __future__ import annotations

import contextlib
import functools
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Concatenate, NoReturn, ParamSpec, Protocol, TypeVar

    class _RemembersProblems(Protocol):
        def remember_problem(self, error: BaseException) -> None: ...

    Owner = TypeVar("Owner", bound=_RemembersProblems)
    Argument = TypeVar("Argument")
    Arguments = ParamSpec("Arguments")


def never_raises(method: Callable[[Owner, Argument], None]) -> Callable[[Owner, Argument], None]:
    """Return a method that passes an exception to `remember_problem` of its object instead of raising it.

    Args:
        method: a method with one argument: pytest calls some for each file or test, and ``*arguments`` would make each
            of these calls cost four times as much.
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


def exit_code_of(error: BaseException, exit_status: int) -> int:
    """Return the exit code of a process that an exception ends while the session ends, see `sys.exit`."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    code = getattr(error, "returncode", 1)  # `pytest.exit` can bring an exit code
    return exit_status if code is None else int(code)


@contextlib.contextmanager
def before_exit(call: Callable[[int], None]) -> Iterator[None]:
    """Call a function with the exit code if `os._exit` ends the process meanwhile.

    Suites do so at the end of a session, in order not to wait for threads that never end. No hook runs after that.
    Elsewhere it is a crash.

    Args:
        call: must not raise.
    """
    real = os._exit

    def leave(status: int) -> NoReturn:
        os._exit = real
        if isinstance(status, int):
            call(status)
        real(status)

    os._exit = leave
    try:
        yield
    finally:
        if os._exit is leave:
            os._exit = real
