"""Adds entries to the text of `quarantine.yaml`, and removes some. All other lines stay as they are, byte for byte.

The file is reviewed like code, so a change must be no larger than what it says. ruamel.yaml 0.19, which writes the
whole file anew, takes away the comment below an entry with that entry, and changes the indentation of lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from pytest_swarmtask.config.quarantine import NAME
from pytest_swarmtask.config.yamlfile import compose
from pytest_swarmtask.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_swarmtask.config.quarantine import QuarantineEntry

_HEAD = "# Tests whose failures do not count for now. Each needs a reason and a last day: swarmtask quarantine check\n"
_INDENT = 2
_WIDE = 1 << 30
"""Columns of a line that is written: a reason is not broken."""


def with_entry(text: str, entry: QuarantineEntry) -> str:
    """Return the text of the file with one more entry, the last one.

    Args:
        text: the text, empty for a file that is to be made.
        entry: the entry.

    Raises:
        ConfigError: the entries are not written each on lines of its own, or the text is no YAML.
    """
    lines, entries = _read(text or _HEAD)
    if entries is not None:
        place, indent = list(_spans(lines, entries))[-1][1], entries.start_mark.column
    else:
        key = [number for number, line in enumerate(lines, 1) if line.startswith("tests:")]
        lines += [] if key else ["tests:\n"]
        place, indent = (key[0] if key else len(lines)), _INDENT
    facts: dict[str, Any] = {**entry.texts(), "until": entry.until}
    lines[place:place] = _written(facts, indent)
    before, after = _loaded(text), _loaded("".join(lines))
    return _checked(lines, after == {**before, "tests": [*(before.get("tests") or ()), facts]})


def without_entries(text: str, removed: Collection[int]) -> str:
    """Return the text of the file without some entries. Comments inside of them go with them, others stay.

    Args:
        text: the text.
        removed: the places of the entries in the list, from 0.

    Raises:
        ConfigError: as in `with_entry`.
    """
    lines, entries = _read(text)
    spans = [] if entries is None else list(_spans(lines, entries))
    for index in sorted(removed, reverse=True):
        start, end = spans[index]
        del lines[start:end]
    before, after = _loaded(text), _loaded("".join(lines))
    left = [facts for index, facts in enumerate(before["tests"]) if index not in removed]
    return _checked(lines, after == {**before, "tests": left or None})


def _read(text: str) -> tuple[list[str], yaml.SequenceNode | None]:
    """Return the lines of a text, and the node of the list of entries; None if there are none."""
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    try:
        root = compose("".join(lines))
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{NAME} cannot be edited, because it is no YAML: {error}") from None
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == "tests" and isinstance(value, yaml.SequenceNode) and value.value:
            return lines, value
    return lines, None


def _spans(lines: list[str], entries: yaml.SequenceNode) -> Iterator[tuple[int, int]]:
    """Yield the first line of each entry, from 0, and the one behind its last.

    Raises:
        ConfigError: the entries are not written each on lines of its own.
    """
    indent = entries.start_mark.column
    dash = f"{' ' * indent}-"
    starts = [
        number for number, line in enumerate(lines) if line.startswith(dash) and number >= entries.start_mark.line
    ]
    if entries.flow_style or len(starts) < len(entries.value):
        raise _uneditable()
    ends = [*starts[1 : len(entries.value)], entries.end_mark.line]
    for start, end in zip(starts, ends, strict=False):
        while _is_outside(lines[end - 1], indent):
            end -= 1  # noqa: PLW2901 - blank lines and comments belong to what follows
        yield start, end


def _is_outside(line: str, indent: int) -> bool:
    """Whether a line is blank, or a comment that is not indented like the keys of an entry."""
    text = line.lstrip()
    return not text or (text.startswith("#") and len(line) - len(text) <= indent)


def _written(facts: dict[str, Any], indent: int) -> list[str]:
    text = yaml.safe_dump(facts, allow_unicode=True, sort_keys=False, width=_WIDE)
    lead = " " * indent
    return [f"{lead}{'  ' if number else '- '}{line}" for number, line in enumerate(text.splitlines(keepends=True))]


def _loaded(text: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checked(lines: list[str], is_as_wanted: bool) -> str:  # noqa: FBT001 - the condition that is checked
    """Return the text of lines.

    Raises:
        ConfigError: the text does not say what it should.
    """
    if not is_as_wanted:
        raise _uneditable()
    return "".join(lines)


def _uneditable() -> ConfigError:
    return ConfigError(f"{NAME} cannot be edited by this command: write each entry on lines of its own, after a dash")
