"""Facts about a process: interpreter and machine, resources used, and its command line without secrets."""

from __future__ import annotations

import os
import sys

from pytest_swarmtask.core.event import MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def process_facts() -> dict[str, Any]:
    """Return Python, platform, host and process id."""
    return {
        "python": sys.version.partition(" ")[0],
        "implementation": sys.implementation.name,
        "platform": sys.platform,
        "host": host(),
        "pid": os.getpid(),
    }


def host() -> str:
    """Return the machine's own name."""
    if sys.platform == "win32":
        return os.environ.get("COMPUTERNAME", "")
    return os.uname().nodename


def usage() -> dict[str, float]:
    """Return CPU seconds of this process and its ended children, and its peak memory in bytes if known."""
    times = os.times()
    used: dict[str, float] = {"cpu_seconds": round(sum(times[:4]), 3)}
    if sys.platform == "win32":
        return used
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
    used["peak_memory"] = peak if sys.platform == "darwin" else peak * 1024
    return used


def without_secrets(arguments: Iterable[str], is_secret_key: Callable[[str], bool]) -> list[str]:
    """Return a command line with the values of secrets masked, as in ``--token=…`` and ``--token …``.

    Args:
        arguments: the command line.
        is_secret_key: whether a name, such as ``--token``, is that of a secret.
    """
    cleaned: list[str] = []
    hide = False
    for argument in arguments:
        signs = [i for i, character in enumerate(argument) if character == "="]
        sign = next((i for i in signs if is_secret_key(argument[:i])), None)
        if hide and not argument.startswith("-"):
            cleaned.append(MASK)
        else:
            cleaned.append(argument if sign is None else f"{argument[: sign + 1]}{MASK}")
        hide = argument.startswith("--") and not signs and is_secret_key(argument)
    return cleaned
