"""Words for outcomes and tests, the same in all forms of a report."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FAILED = ("failed", "error", "crashed")
"""The outcomes of a test that are failures."""
_KINDS = {
    **dict.fromkeys((*FAILED, "errors"), "bad"),
    **dict.fromkeys(("passed", "xpassed", "completed"), "good"),
    **dict.fromkeys(("skipped", "xfailed", "quarantined"), "skip"),
}


def kind_of(outcome: str) -> str:
    """Return the kind of an outcome: ``bad``, ``good``, ``skip``, or ``open`` if the test has not ended."""
    return _KINDS.get(outcome, "open")


TEARDOWN = "error in teardown"
ORDER = ("passed", *FAILED, TEARDOWN, "quarantined", "skipped", "xfailed", "xpassed", "unfinished", "started")
"""The order in which reports list the numbers of tests by outcome."""


def quarantine_note(quarantine: Mapping[str, str]) -> str:
    """Return why a failure does not count, such as ``quarantined: it races (until 2026-12-31, #12)``.

    Args:
        quarantine: what `quarantine.yaml` says of the test, as texts.
    """
    known = ", ".join(filter(None, (quarantine["until"], quarantine.get("issue"))))
    return f"quarantined: {quarantine['reason']} (until {known})"


def first_line(message: str) -> str:
    """Return the first line that is not blank; "" if there is none."""
    return next((line for line in message.splitlines() if line.strip()), "")


def function_of(test: str) -> str:
    """Return a node id without its parameters, which pytest puts in brackets at its end."""
    file, colons, name = test.partition("::")
    return f"{file}{colons}{name.partition('[')[0]}"


def name_in(test: str) -> str:
    """Return a node id without the path of its file."""
    return test.partition("::")[2] or test
