"""The tiny emitter: ``python -m pytest_swarmtask.emit TYPE [TASK_ID] [METADATA_JSON]``.

Made for recipes and scripts: standard library only, done in a few milliseconds, and always exit code 0,
because reporting must not break a build. What is wrong is said once on standard error.
"""

from __future__ import annotations

import json
import os
import sys

from pytest_swarmtask.events import event_type_name
from pytest_swarmtask.journal import private_folder, write_private
from pytest_swarmtask.recorder import recorder
from pytest_swarmtask.trace import derived_span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pytest_swarmtask.recorder import Recorder

USAGE = "usage: python -m pytest_swarmtask.emit TYPE [TASK_ID] [METADATA_JSON]"


def emit(arguments: Sequence[str]) -> list[str]:
    """Record one event given as type, task id and metadata; return what went wrong, nothing if all is well."""
    if not 1 <= len(arguments) <= 3:
        return [f"expected TYPE [TASK_ID] [METADATA_JSON], found {len(arguments)} arguments\n{USAGE}"]
    try:
        event_type = event_type_name(arguments[0])
    except ValueError as error:
        return [str(error)]
    task_id = arguments[1] if len(arguments) > 1 and arguments[1] else None
    metadata, problems = _metadata(arguments[2] if len(arguments) > 2 else "")
    hub = recorder()
    if hub.settings.enabled:
        _carry_duration(hub, event_type, task_id, metadata)
    hub.trigger(event_type, task_id, None, metadata)
    hub.close()
    return [*problems, hub.problem] if hub.problem else problems


def _metadata(text: str) -> tuple[dict[str, Any], list[str]]:
    """Return metadata from its JSON text. What is no JSON object is kept as it came: the event still counts."""
    if not text.strip():
        return {}, []
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {"metadata_text": text}, [f"the metadata is not JSON ({error}): {text!r}"]
    if isinstance(metadata, dict):
        return metadata, []
    return {"metadata_text": text}, [f'the metadata is not a JSON object such as {{"action":"test"}}: {text!r}']


def _carry_duration(hub: Recorder, event_type: str, task_id: str | None, metadata: dict[str, Any]) -> None:
    """Give an ending event its duration, across the two processes that a recipe starts for start and end."""
    if hub.parent_span_id is None:
        return  # no run around: no other process can know the start of this one
    kind, _, verb = event_type.partition("_")
    folder = os.path.join(hub.settings.journal, "spans")
    path = os.path.join(folder, derived_span(hub.trace_id, kind, task_id))
    try:
        if verb == "STARTED":
            private_folder(hub.settings.journal)
            private_folder(folder)
            write_private(path, repr(hub.clock.now()).encode())
        elif "duration" not in metadata:
            with open(path, encoding="ascii") as file:
                started = float(file.read())
            os.unlink(path)
            metadata["duration"] = round(max(0.0, hub.clock.now() - started), 6)
    except (OSError, ValueError):
        pass  # no start in this run: the event stands without a duration


def main(arguments: Sequence[str]) -> int:
    """Run the emitter; return 0 always."""
    for problem in emit(arguments):
        print(f"swarmtask: {problem}", file=sys.stderr)  # noqa: T201 - what a command does
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
