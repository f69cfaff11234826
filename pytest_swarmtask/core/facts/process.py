"""Facts about a process: interpreter and machine, resources used, and its command line without secrets.

Where it finds packages is remembered when this module is imported. So the plugin does that before a project can change
it.
"""

from __future__ import annotations

import os
import sys

from pytest_swarmtask.core.event import MASK
from pytest_swarmtask.core.project import relative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def _folder_of_project() -> str:
    """Return the folder that `python -m pytest` adds: no module of it may take the place of one that a system lacks."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


_OF_PROJECT = _folder_of_project()
PATH_AT_START = [entry for entry in sys.path if os.path.isabs(entry) and entry != _OF_PROJECT]
"""The entries of `sys.path` when the process started."""


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


def usage_reader() -> Callable[[], dict[str, float]]:
    """Return a function that returns CPU seconds of this process and its ended children, and its peak memory in bytes.

    The peak is left out where it is unknown. All that the function needs is bound now, before tests can change it.
    """
    getrusage = _getrusage()
    times = os.times
    unit = 1 if sys.platform == "darwin" else 1024

    def usage() -> dict[str, float]:
        used: dict[str, float] = {"cpu_seconds": round(sum(times()[:4]), 3)}
        if getrusage is not None:
            used["peak_memory"] = getrusage(0).ru_maxrss * unit  # 0 is RUSAGE_SELF
        return used

    return usage


def _getrusage() -> Callable[[int], Any] | None:
    """Return the function of the system's own `resource`. A project may have a `resource.py`, which must not be run."""
    from importlib import machinery, util

    library = os.path.dirname(os.__file__)
    spec = machinery.BuiltinImporter.find_spec("resource") or machinery.PathFinder.find_spec(
        "resource", [os.path.join(library, "lib-dynload"), library]
    )
    if spec is None or spec.loader is None:  # Windows
        return None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "getrusage", None)


def within_project(arguments: Iterable[str], root: str) -> list[str]:
    """Return a command line whose paths in the project are relative to its root, also after ``=``.

    Editors pass absolute paths. They mean nothing on other machines, and they tell the name of a user.
    """
    return [_within_project(argument, root) for argument in arguments]


def _within_project(argument: str, root: str) -> str:
    name, sign, value = argument.rpartition("=")
    return f"{name}{sign}{'.' if value == root else relative(value, root)}"


def without_secrets(
    arguments: Iterable[str], is_secret_key: Callable[[str], bool], hide_values: Callable[[list[str]], None]
) -> list[str]:
    """Return a command line with the values of secrets masked, as in ``--token=…`` and ``--token …``.

    Args:
        arguments: the command line.
        is_secret_key: whether a name, such as ``--token``, is that of a secret.
        hide_values: called with the secrets, since the command may print them later.
    """
    cleaned: list[str] = []
    secrets: list[str] = []
    hide = False
    for argument in arguments:
        signs = [i for i, character in enumerate(argument) if character == "="]
        sign = next((i for i in signs if is_secret_key(argument[:i])), None)
        start = 0 if hide and not argument.startswith("-") else None if sign is None else sign + 1
        if start is not None:
            secrets.append(argument[start:])
        cleaned.append(argument if start is None else f"{argument[:start]}{MASK}")
        hide = argument.startswith("--") and not signs and is_secret_key(argument)
    if secrets:
        hide_values(secrets)
    return cleaned
