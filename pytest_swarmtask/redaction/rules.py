"""Loads the rules of redaction, each module when the first text or value needs it."""

from __future__ import annotations

from pytest_swarmtask.redaction.hints import NO, PASSWORD, may_be_secret_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


class _RuleModules:
    """The modules with the rules, each imported by the first text that needs it.

    Most events need none of them. An emitter lives for a few milliseconds, and `re` alone would take one of these.
    """

    def __getattr__(self, name: str) -> Any:
        """Import a module and keep it. Python calls this only for an attribute that is not there yet."""
        module: ModuleType
        if name == "commands":
            from pytest_swarmtask.redaction import commands

            module = commands
        elif name == "cuts":
            from pytest_swarmtask.redaction import cuts

            module = cuts
        elif name == "formats":
            from pytest_swarmtask.redaction import formats

            module = formats
        elif name == "names":
            from pytest_swarmtask.redaction import names

            module = names
        elif name == "prefixes":
            from pytest_swarmtask.redaction import prefixes

            module = prefixes
        elif name == "texts":
            from pytest_swarmtask.redaction import texts

            module = texts
        elif name == "values":
            from pytest_swarmtask.redaction import values

            module = values
        else:
            raise AttributeError(name)
        setattr(self, name, module)
        return module


rules = _RuleModules()


def load_rules() -> None:
    """Load all rules now, for a process that may redact while the interpreter ends, too late for an import."""
    for name in ("commands", "cuts", "formats", "names", "prefixes", "texts", "values"):
        getattr(rules, name)


def meaning(key: str) -> int:
    """Return what a key says of its value: one of the levels of `hints`. Any text can be a key."""
    if not may_be_secret_name(key):
        return NO
    try:
        level: int = rules.names.meaning(key)
    except (ImportError, OSError):  # the rules cannot be loaded: rather too much is hidden
        return PASSWORD
    return level
