"""A session as Markdown, for the summary of a GitHub Actions job.

All texts from tests are escaped, so that none becomes markup, a mention or a table cell.
"""

from __future__ import annotations

from pytest_swarmtask.core.markdown import code, table, text
from pytest_swarmtask.core.outcomes import FAILED, first_line, quarantine_note
from pytest_swarmtask.core.project import relative
from pytest_swarmtask.sources.pytest.terminal_lines import shard_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_MAX_SLOWEST = 5
_SLOW = 0.1
"""Seconds from which a test is listed among the slowest."""
_OUTCOMES = ("passed", *FAILED, "quarantined", "skipped", "xfailed", "xpassed")


def markdown(  # noqa: PLR0913 - what a session knows
    *,
    start: Mapping[str, Any],
    end: Mapping[str, Any],
    failures: Sequence[tuple[str, str, str]],
    quarantined: Sequence[tuple[str, str, Mapping[str, str]]],
    events: str,
    undelivered: str,
    root: str,
) -> str:
    """Return the summary of one session.

    Args:
        start: metadata of its start event, redacted.
        end: metadata of its end event, redacted.
        failures: test, message and location of the first failures, redacted. `end` has the number of all.
        quarantined: test, message and what `quarantine.yaml` says of the first failures that do not count, redacted.
        events: the text of the closing line about its events.
        undelivered: why events were not delivered, and what to do; or an empty text.
        root: the folder that locations are relative to.
    """
    parts = [
        f"### {'✅' if end['success'] else '❌'} pytest: {text(_verdict(end))}",
        _totals(end),
        text(shard_line(end["split"])) if "split" in end else "",
        _failures(failures, end["counts"], root),
        _quarantined(quarantined, end["counts"]),
        f"{end['repeated']} passed when repeated" if end.get("repeated") else "",
        _slowest(end["slowest"]),
        f"{text(f'{events}: {undelivered}' if undelivered else events)}<br>\n{_environment(start)}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n\n"


def _verdict(end: Mapping[str, Any]) -> str:
    if end["success"]:
        return "passed"
    return str(end["reason"] if end["error"] == end["reason"] else f"{end['reason']} ({end['error']})")


def _totals(end: Mapping[str, Any]) -> str:
    counts = {**end["counts"], "deselected": end["deselected"]}
    columns = {"tests": str(end["tests"])}
    columns |= {name: str(counts[name]) for name in (*_OUTCOMES, "deselected") if counts.get(name)}
    columns["duration"] = _seconds(end["duration"])
    for key, name in (("coverage_percent", "coverage"), ("branch_percent", "branches")):
        if key in end:
            columns[name] = f"{end[key]:g} %"
    return table(columns, [columns.values()])


def _failures(failures: Sequence[tuple[str, str, str]], counts: Mapping[str, int], root: str) -> str:
    if not failures:
        return ""
    rows = [(code(test), code(first_line(why)), code(relative(location, root))) for test, why, location in failures]
    more = sum(counts.get(outcome, 0) for outcome in FAILED) - len(failures)
    return table(("failed", "message", "place"), rows) + (f"\n\nand {more} more" if more > 0 else "")


def _quarantined(tests: Sequence[tuple[str, str, Mapping[str, str]]], counts: Mapping[str, int]) -> str:
    if not tests:
        return ""
    rows = [(code(test), code(first_line(why)), text(quarantine_note(says))) for test, why, says in tests]
    more = counts.get("quarantined", 0) - len(tests)
    return table(("quarantined", "message", "why"), rows) + (f"\n\nand {more} more" if more > 0 else "")


def _slowest(slowest: Iterable[Any]) -> str:
    rows = [(_seconds(each["duration"]), code(each["test"])) for each in slowest if each["duration"] >= _SLOW]
    return table(("slowest", "test"), rows[:_MAX_SLOWEST]) if rows else ""


def _environment(start: Mapping[str, Any]) -> str:
    parts = [f"Python {text(start['python'])}, pytest {text(start['pytest'])}"]
    if start.get("variant"):
        parts.append(f"variant {code(start['variant'])}")
    if start.get("environment"):
        parts.append(f"environment {code(start['environment'])}")
    if start.get("commit"):
        parts.append(f"commit {code(start['commit'])}")
    if start.get("branch"):
        parts.append(f"branch {code(start['branch'])}")
    if start.get("dirty"):
        parts.append("with uncommitted changes")
    return ", ".join(parts)


def _seconds(duration: float) -> str:
    return f"{duration:.2f} s"
