"""The pytest plugin: its options, and the decision whether to record the session.

Every start of pytest loads this module, also where nothing is recorded. So what a recorded session needs is in
`sources.pytest.registration`.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import spec_from_file_location

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_OPTIONS: dict[str, dict[str, Any]] = {
    "--no-swarmtask": {
        "dest": "swarmtask_off",
        "action": "store_true",
        "help": "do not record this session (also: SWARMTASK_DISABLED=1, ini swarmtask=false)",
    },
    "--swarmtask-task-id": {
        "dest": "swarmtask_task_id",
        "metavar": "ID",
        "help": "task id of the session (ini swarmtask_task_id; default: pytest_run)",
    },
    "--swarmtask-variant": {
        "dest": "swarmtask_variant",
        "metavar": "NAME",
        "help": "what tells this session from others of the same tests "
        "(also: SWARMTASK_VARIANT; default: CI job and interpreter)",
    },
    "--swarmtask-drain-timeout": {
        "dest": "swarmtask_drain_timeout",
        "metavar": "SECONDS",
        "help": "seconds the end of the session waits for delivery, at most "
        "(ini swarmtask_drain_timeout; default: 2, under CI 10)",
    },
    "--swarmtask-report": {
        "dest": "swarmtask_report",
        "metavar": "FILE.html",
        "help": "write an HTML report on the run to this file at the end (ini swarmtask_report)",
    },
    "--swarmtask-shard": {
        "dest": "swarmtask_shard",
        "metavar": "I/N",
        "help": "run part I of N of the suite, such as 2/8: all parts take about equally long, as the history tells",
    },
    "--swarmtask-shard-by": {
        "dest": "swarmtask_shard_by",
        "choices": ("file", "class", "test"),
        "default": "test",
        "help": "what stays together in one part (default: test)",
    },
    "--no-swarmtask-quarantine": {
        "dest": "swarmtask_quarantine_off",
        "action": "store_true",
        "help": "failures of tests in .taskmaster/quarantine.yaml count",
    },
}
_INI: dict[str, dict[str, Any]] = {
    "swarmtask": {
        "type": "bool",
        "default": True,
        "help": "record the session as workflow events (default: true)",
    },
    "swarmtask_task_id": {
        "type": "string",
        "default": "",
        "help": "task id of the session (default: session_task_id of workflow.yaml, pytest_run)",
    },
    "swarmtask_drain_timeout": {
        "type": "string",
        "default": "",
        "help": "seconds the end of the session waits for delivery, at most (default: 2, under CI 10)",
    },
    "swarmtask_report": {
        "type": "string",
        "default": "",
        "help": "write an HTML report to this file at the end; below the root folder",
    },
}


class _OurFinder:
    """Finds our modules as Python itself does, so that their bytecode is used.

    pytest's import hook loads all modules of a package that has a plugin, to rewrite their assertions. Our modules have
    no assertions. The hook reads its own bytecode slowly, and where it may not write any, it compiles the source.
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of one of our modules; None for all others, which the next finders look for."""
        if not name.startswith("pytest_swarmtask."):
            return None
        for folder in path or ():  # Python would list the folder and try all kinds of modules
            file = os.path.join(folder, f"{name.rpartition('.')[2]}.py")
            if os.path.isfile(file):
                return spec_from_file_location(name, file)
        return PathFinder.find_spec(name, path, target)  # a package, or an archive

    @classmethod
    def use(cls, config: pytest.Config) -> None:
        """Find our modules until the session is over.

        The hook has loaded this module, so a finder that stays keeps the hook, and with it all objects of pytest, until
        Python clears each module by itself. That takes longer than loading our modules.
        """
        sys.meta_path.insert(0, cls)
        config.add_cleanup(cls._remove)

    @classmethod
    def _remove(cls) -> None:
        if cls in sys.meta_path:  # a test may have replaced the finders
            sys.meta_path.remove(cls)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options in one group. Most have an ini key with the same meaning."""
    group = parser.getgroup("swarmtask", "workflow events (pytest-swarmtask)")
    for option, attributes in _OPTIONS.items():
        group.addoption(option, **attributes)
    for key, attributes in _INI.items():
        parser.addini(key, **attributes)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Load what must be bound before a conftest can change `sys.path`, or patch `os` and `time`.

    These modules remember where packages are found, and bind functions that start processes and tell time.
    """
    option = early_config.known_args_namespace
    if option.swarmtask_shard is not None or _is_wanted(early_config, option):
        _OurFinder.use(early_config)
        import pytest_swarmtask.core.facts.git
        import pytest_swarmtask.core.facts.process
        import pytest_swarmtask.core.trace  # noqa: F401


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Declare our marker, and register the hooks that record, unless recording is switched off."""
    config.addinivalue_line(
        "markers", "task(id): the test belongs to this task of the task manager; may be given several times"
    )
    option: Any = config.option
    is_wanted = _is_wanted(config, option)
    if option.swarmtask_shard is None and not is_wanted:
        return
    _OurFinder.use(config)
    from pytest_swarmtask.sources.pytest.registration import register_recording, register_shard

    # Also where nothing is recorded: otherwise each shard would run all tests.
    if option.swarmtask_shard is not None:
        register_shard(config)
    if is_wanted:
        register_recording(config)


def _is_wanted(config: pytest.Config, option: Any) -> bool:
    if (
        option.swarmtask_off
        or os.environ.get("SWARMTASK_DISABLED", "") not in ("", "0")
        or not config.getini("swarmtask")
    ):
        return False
    # A session inside of a test (pytester) is recorded only if the test asks for it. The variable says that a test is
    # running; it is gone once the inner session runs tests of its own, so it must be read here.
    nested = "PYTEST_CURRENT_TEST" in os.environ and not hasattr(config, "workerinput")
    return not nested or "swarmtask" in (option.plugins or ())
