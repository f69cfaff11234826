"""The modules that add commands. `main` imports this module only if it needs all of them."""

from __future__ import annotations

from pytest_swarmtask.cli import (
    clean,
    collect,
    completion,
    config,
    doctor,
    durations,
    explain,
    export,
    flush,
    gate,
    lists,
    mcp,
    quarantine,
    replay,
    report,
    secret,
    serve,
    status,
    sync,
    tasksmk,
    tests,
    triggers,
    watch,
)
from pytest_swarmtask.cli.init import command as init
from pytest_swarmtask.cli.listen import command as listen

COMMANDS = (
    init,
    status,
    flush,
    collect,
    report,
    explain,
    gate,
    tests,
    lists,
    quarantine,
    durations,
    export,
    watch,
    replay,
    clean,
    sync,
    triggers,
    doctor,
    listen,
    serve,
    mcp,
    config,
    secret,
    completion,
    tasksmk,
)
"""In the order of `--help`."""
