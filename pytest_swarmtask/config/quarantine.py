"""`quarantine.yaml`: the tests whose failures do not count, why, and until when.

What cannot be understood never makes a failure pass: an entry with a problem is not applied.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_swarmtask.config.tree import BROKEN, Node, Problems, shorten
from pytest_swarmtask.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

DEFAULT_MAX_DAYS = 90
"""Days that `until` may be ahead unless the file says otherwise: long enough to mend a test between other work."""
NAME = ".taskmaster/quarantine.yaml"
"""The file, relative to the project's root, as messages name it."""

_MOST_DAYS = 3650
"""The largest `max_days`, ten years: a test that nobody wants to mend is better deleted."""
_REQUIRED = ("test", "reason", "until")
_KEYS = ("test", "variant", "reason", "issue", "owner", "until")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class QuarantineEntry:
    """One entry of the file. Optional texts that are missing are empty.

    Attributes:
        test: a node id, or a glob of ``*`` and ``?``.
        reason: why its failures do not count.
        until: the last day on which they do not.
        variant: the variant to which it is limited, or a glob.
        issue, owner: where it is discussed, and who mends it.
        line: its line in the file, from 1.
        index: its place in the list, from 0.
    """

    test: str
    reason: str
    until: date
    variant: str = ""
    issue: str = ""
    owner: str = ""
    line: int = 0
    index: int = 0

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> QuarantineEntry:
        """Return the entry that `texts` described."""
        return cls(**{**texts, "until": date.fromisoformat(texts["until"])})  # type: ignore[arg-type]

    def is_for(self, variant: str) -> bool:
        """Whether the entry is about tests under a variant."""
        return not self.variant or matches(self.variant, variant)

    def has_expired(self, today: date) -> bool:
        """Whether failures count again."""
        return self.until < today

    def texts(self) -> dict[str, str]:
        """Return what the file says of the entry, without what it leaves open."""
        found = {name: getattr(self, name) for name in _KEYS}
        return {name: str(value) for name, value in found.items() if value}

    def details(self, *names: str) -> str:
        """Return the named texts that the entry has, separated by commas."""
        return ", ".join(str(value) for name in names if (value := getattr(self, name)))


class QuarantineFile:
    """What a file says.

    Attributes:
        entries: the valid entries, in the order of the file.
        problems: a line for each problem, with its place in the file. Problems of entries that are left out, too.
    """

    def __init__(self, entries: Iterable[QuarantineEntry] = (), problems: Iterable[str] = ()) -> None:
        self.entries = list(entries)
        self.problems = list(problems)


def read_quarantine(path: str, today: date) -> QuarantineFile:
    """Return what a file says. If it does not exist, it has no entries. Never raises for what is in the file.

    Args:
        path: the file.
        today: the day from which `until` may be at most so many days ahead.
    """
    from pytest_swarmtask.config.yamlfile import read_text  # PyYAML, which workers of xdist need not load

    try:
        return parse_quarantine(read_text(Path(path)) or "", today)
    except ConfigError as error:
        return QuarantineFile(problems=error.problems)


def parse_quarantine(text: str, today: date) -> QuarantineFile:
    """Return what the text of a file says; see `read_quarantine`."""
    from pytest_swarmtask.config.yamlfile import parse

    problems = Problems(NAME)
    try:
        entries = list(_entries(parse(text, NAME, problems, has_dates=True), today, problems))
    except ConfigError as error:
        return QuarantineFile(problems=error.problems)
    return QuarantineFile(entries, problems.lines())


def find_entry(entries: Iterable[QuarantineEntry], test: str) -> QuarantineEntry | None:
    """Return the entry that decides about a test: the first with its node id, else the first whose glob matches it."""
    matching = [entry for entry in entries if matches(entry.test, test)]
    return next((entry for entry in matching if entry.test == test), matching[0] if matching else None)


def _entries(root: Node, today: date, problems: Problems) -> Iterator[QuarantineEntry]:
    if not isinstance(root.value, dict):
        raise problems.fatal(root.line, "", f"found {_found(root)}, expected a mapping with the key tests")
    _refuse_unknown(root, ("tests", "max_days"), problems)
    max_days = root.at("max_days")
    days: Any = DEFAULT_MAX_DAYS if max_days.value is None else max_days.value
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= _MOST_DAYS:
        expected = f"a number of days from 1 to {_MOST_DAYS}"
        raise problems.fatal(max_days.line, "max_days", f"found {_found(max_days)}, expected {expected}")
    tests = root.at("tests")
    if tests.value is not None and not isinstance(tests.value, list):
        raise problems.fatal(tests.line, "tests", f"found {_found(tests)}, expected a list of entries")
    for index, node in enumerate(root.items("tests")):
        entry = _entry(node, index, today + timedelta(days=days), problems)
        if entry is not None:
            yield entry


def _entry(node: Node, index: int, latest: date, problems: Problems) -> QuarantineEntry | None:
    if not isinstance(node.value, dict):
        problems.add(node.line, node.path, f"found {_found(node)}, expected a mapping with {', '.join(_REQUIRED)}")
        return None
    _refuse_unknown(node, _KEYS, problems)
    texts = {name: _text(node, name, problems) for name in _KEYS if name != "until"}
    until = _until(node, latest, problems)
    if until is None or not problems.is_clean(node.path):
        return None
    return QuarantineEntry(**texts, until=until, line=node.line, index=index)


def _refuse_unknown(node: Node, known: tuple[str, ...], problems: Problems) -> None:
    for key, child in node.value.items():
        if key not in known:
            problems.add(child.line, child.path, f"found an unknown key, expected {', '.join(known)}")


def _text(entry: Node, name: str, problems: Problems) -> str:
    """Return a text on one line. A number is taken as text where it names an issue."""
    node = entry.at(name)
    if node.value is None and name not in _REQUIRED:
        return ""
    if isinstance(node.value, str) and node.value.strip():
        return " ".join(node.value.split())
    if name == "issue" and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.text
    _expect(entry, name, "text on one line", problems)
    return ""


def _until(entry: Node, latest: date, problems: Problems) -> date | None:
    text = entry.at("until").value
    try:
        found = date.fromisoformat(text) if isinstance(text, str) and _DATE.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        _expect(entry, "until", "a date such as 2026-12-31", problems)
    elif found > latest:
        _expect(entry, "until", f"a date up to {latest}", problems)
    return found


def _expect(entry: Node, name: str, expected: str, problems: Problems) -> None:
    node = entry.at(name)
    if node.value is None:
        problems.add(entry.line, f"{entry.path}.{name}", f"found nothing, expected {expected}")
    elif node.value is not BROKEN:
        problems.add(node.line, node.path, f"found {_found(node)}, expected {expected}")


def _found(node: Node) -> str:
    if isinstance(node.value, (dict, list)):
        return "a mapping" if isinstance(node.value, dict) else "a list"
    return shorten(node.text) or "nothing"


def matches(pattern: str, text: str) -> bool:
    """Whether a text is a pattern, or matches it as a glob of ``*`` and ``?``.

    Brackets are plain characters: ``[1]`` of a parametrized test is no set of characters.
    """
    return pattern == text or (is_glob(pattern) and _compiled(pattern).fullmatch(text) is not None)


def is_glob(pattern: str) -> bool:
    """Whether a pattern can match other texts than itself."""
    return "*" in pattern or "?" in pattern


@functools.cache
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(re.escape(glob).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
