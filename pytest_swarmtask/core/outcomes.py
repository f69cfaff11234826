"""Words for outcomes and tests, the same in all forms of a report."""

from __future__ import annotations

FAILED = ("failed", "error", "crashed")
"""The outcomes of a test that are failures."""
_KINDS = {
    **dict.fromkeys((*FAILED, "errors"), "bad"),
    **dict.fromkeys(("passed", "xpassed", "completed"), "good"),
    **dict.fromkeys(("skipped", "xfailed"), "skip"),
}


def kind_of(outcome: str) -> str:
    """Return the kind of an outcome: ``bad``, ``good``, ``skip``, or ``open`` if the test has not ended."""
    return _KINDS.get(outcome, "open")


TEARDOWN = "error in teardown"
ORDER = ("passed", *FAILED, TEARDOWN, "skipped", "xfailed", "xpassed", "unfinished", "started")
"""The order in which reports list the numbers of tests by outcome."""


def first_line(message: str) -> str:
    """Return the first line that is not blank; "" if there is none."""
    return next((line for line in message.splitlines() if line.strip()), "")


def name_in(test: str) -> str:
    """Return a node id without the path of its file."""
    return test.partition("::")[2] or test
