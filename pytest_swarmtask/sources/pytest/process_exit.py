"""Exit codes of a process that the project's code ends while its pytest session ends."""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn


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
