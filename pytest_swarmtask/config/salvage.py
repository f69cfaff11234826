"""What can be read of a `workflow.yaml` that is not valid.

A file that cannot be understood must never make us do more than it says. So the few values that forbid something are
looked for in the YAML itself, up to its first error and without its checks.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import yaml

from pytest_swarmtask.config.yamlfile import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from pytest_swarmtask.core.files import only_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

_ON = ("true", "yes", "on", "1", "y", "~", "null", "")
"""Words by which people may mean that something is on, or leave it at its default. All others switch it off."""
_ENABLED = ("task_integration", "enabled")
_KEYS = ("task_integration", "redact", "keys")


class ReadableValues(NamedTuple):
    """The values that forbid something.

    Attributes:
        enabled: whether events may be recorded.
        redact_keys: further endings of keys that name a secret.
    """

    enabled: bool
    redact_keys: list[str]


def readable_values(path: str, environment: str | None) -> ReadableValues:
    """Return what can be read of a file. Never raises: what cannot be read is not there.

    Args:
        path: the file.
        environment: the environment whose values replace those of the file, or None.
    """
    overlay = ("environments", environment or "")
    everywhere, here = True, None
    keys = []
    for place, value in _scalars(path):
        within = place[2:] if place[:2] == overlay else place
        if within[:3] == _KEYS:
            keys.append(value)
        elif place == _ENABLED:
            everywhere = value.lower() in _ON
        elif within == _ENABLED:
            here = value.lower() in _ON
    return ReadableValues(everywhere if here is None else here, keys)


def _scalars(path: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the plain values of a YAML file with their key paths, up to the first error. An item's key is empty."""
    try:
        with open(path, "rb", opener=only_regular) as file:
            text = file.read(MAX_BYTES).decode("utf-8-sig", "replace")
        yield from _walked(text)
    except (OSError, ValueError, OverflowError, RecursionError, yaml.YAMLError):
        return


def _walked(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    place: list[str | None] = []  # the key in each mapping around; None where a key is expected, "" in a list
    is_key: list[bool] = []  # whether each collection around is itself a key, as in `? [a, b] : c`
    for event in islice(yaml.parse(text, Loader=yaml.SafeLoader), 2 * MAX_VALUES):
        if len(place) > MAX_DEPTH:
            return  # PyYAML would take minutes for a file of brackets
        if isinstance(event, yaml.CollectionStartEvent):
            is_key.append(bool(place) and place[-1] is None)
            place.append(None if isinstance(event, yaml.MappingStartEvent) else "")
        elif isinstance(event, yaml.CollectionEndEvent):
            place.pop()
            _go_on(place, key="?" if is_key.pop() else None)
        elif isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent)):
            value = event.value if isinstance(event, yaml.ScalarEvent) else ""
            if place and place[-1] is None:
                place[-1] = value or "?"
            else:
                yield tuple(key or "" for key in place), value
                _go_on(place, key=None)


def _go_on(place: list[str | None], key: str | None) -> None:
    """Expect what follows in the collection around: a value after a key, else a key; in a list another item."""
    if place and place[-1] != "":
        place[-1] = key
