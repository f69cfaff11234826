"""Small things that all forms of a report say in the same way. Imported by the plugin, too: nothing heavy."""

from __future__ import annotations

import os

FAILED = ("failed", "error", "crashed")
"""The outcomes of a test that are failures."""
_KINDS = {
    **dict.fromkeys((*FAILED, "errors"), "bad"),
    **dict.fromkeys(("passed", "xpassed", "completed"), "good"),
    **dict.fromkeys(("skipped", "xfailed"), "skip"),
}


def kind_of(outcome: str) -> str:
    """Return what an outcome comes to: ``bad``, ``good``, ``skip``, or ``open`` where it has not ended."""
    return _KINDS.get(outcome, "open")


TEARDOWN = "error in teardown"
ORDER = ("passed", *FAILED, TEARDOWN, "skipped", "xfailed", "xpassed", "unfinished", "started")
"""In which order numbers of tests by outcome are told; one that has not ended yet has started."""


def first_line(message: str) -> str:
    """Return the first line that is not blank, or ""."""
    return next((line for line in message.splitlines() if line.strip()), "")


def relative(place: str, root: str) -> str:
    """Return a place as told from a folder that it is in."""
    return place.removeprefix(root.rstrip(os.sep) + os.sep)


def name_in(test: str) -> str:
    """Return a node id without the path of its file."""
    return test.partition("::")[2] or test
