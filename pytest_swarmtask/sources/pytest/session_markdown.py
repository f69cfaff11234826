"""A session as Markdown, for the summary of a GitHub Actions job.

Whatever a test says stands in it as text: no markup, mention or table cell can be made by it.
"""

from __future__ import annotations

from pytest_swarmtask.core.markdown import code, table, text
from pytest_swarmtask.core.outcomes import FAILED, first_line, relative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

_MOST_SLOWEST = 5
_WORTH_TELLING = 0.1
_OUTCOMES = ("passed", *FAILED, "skipped", "xfailed", "xpassed")


def markdown(
    *,
    start: Mapping[str, Any],
    end: Mapping[str, Any],
    failures: Sequence[tuple[str, str, str]],
    events: str,
    root: str,
) -> str:
    """Return the summary of a session.

    Args:
        start: metadata of its first event, redacted.
        end: metadata of its last event, redacted.
        failures: test, message and place of the tests to be listed, redacted; there may have been more.
        events: what became of its events, in words.
        root: the folder that places are told from.
    """
    parts = [
        f"### {'✅' if end['success'] else '❌'} pytest: {text(_verdict(end))}",
        _totals(end),
        _failures(failures, end["counts"], root),
        _slowest(end["slowest"]),
        f"{_events(events)}<br>\n{_surroundings(start)}",
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
    rows = [(code(test), code(first_line(why)), code(relative(place, root))) for test, why, place in failures]
    more = sum(counts.get(outcome, 0) for outcome in FAILED) - len(failures)
    return table(("failed", "message", "place"), rows) + (f"\n\nand {more} more" if more > 0 else "")


def _slowest(slowest: Iterable[Any]) -> str:
    rows = [(_seconds(each["duration"]), code(each["test"])) for each in slowest if each["duration"] >= _WORTH_TELLING]
    return table(("slowest", "test"), rows[:_MOST_SLOWEST]) if rows else ""


def _events(events: str) -> str:
    told, _, command = events.partition("; send them with: ")
    return f"{text(told)}; send them with: `{command}`" if command else text(told)


def _surroundings(start: Mapping[str, Any]) -> str:
    said = [f"Python {text(start['python'])}, pytest {text(start['pytest'])}"]
    if start.get("environment"):
        said.append(f"environment {code(start['environment'])}")
    if start.get("commit"):
        said.append(f"commit {code(start['commit'])}")
    if start.get("branch"):
        said.append(f"branch {code(start['branch'])}")
    if start.get("dirty"):
        said.append("with uncommitted changes")
    return ", ".join(said)


def _seconds(duration: float) -> str:
    return f"{duration:.2f} s"
