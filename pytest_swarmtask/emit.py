"""The tiny emitter: ``python -m pytest_swarmtask.emit TYPE [TASK_ID] [METADATA_JSON]``.

Made for recipes and scripts: standard library only, done in a few milliseconds. The exit code is 2 where the call is
wrong (no or too many arguments, no event type) and else 0, because reporting must not break a build; `swarmtask emit`,
which a person calls, also has 3 for what the role does not allow. What is wrong is said once in a run on standard
error.
"""

from __future__ import annotations

import sys

from pytest_swarmtask.core.errors import AccessError, EventTypeError, UsageError
from pytest_swarmtask.core.event import event_type_name
from pytest_swarmtask.core.fastjson import loads
from pytest_swarmtask.recording.recorder import get_recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pytest_swarmtask.redaction.redactor import Redactor

_DENIED = 3
USAGE = "usage: python -m pytest_swarmtask.emit TYPE [TASK_ID] [METADATA_JSON]"


def emit(arguments: Sequence[str]) -> list[str]:
    """Record one event given as type, task id and metadata; return what went wrong, nothing if all is well.

    Raises:
        UsageError: the arguments are not one to three.
        EventTypeError: the first is no event type.
        AccessError: the role of whoever runs this does not allow it.
    """
    if not 1 <= len(arguments) <= 3:
        raise UsageError(f"expected TYPE [TASK_ID] [METADATA_JSON], found {len(arguments)} arguments\n{USAGE}")
    event_type = event_type_name(arguments[0])
    task_id = arguments[1] if len(arguments) > 1 and arguments[1] else None
    recorder = get_recorder()
    metadata, problems = _metadata(arguments[2] if len(arguments) > 2 else "", recorder.redactor)
    if recorder.settings.enabled:
        recorder.settings.access.require(f"emit:{event_type}")
    recorder.trigger(event_type, task_id, None, metadata, ends_elsewhere=True)
    recorder.close()
    if recorder.problem and recorder.is_first_to_say(recorder.problem):
        problems.append(recorder.problem)
    return problems


def _metadata(text: str, redactor: Redactor) -> tuple[dict[str, Any], list[str]]:
    """Return metadata from its JSON text. What is no JSON object is kept as it came: the event still counts."""
    if not text.strip():
        return {}, []
    try:
        metadata = loads(text)
    except (ValueError, RecursionError) as error:
        return {"metadata_text": text}, [f"the metadata is not JSON ({error}): {redactor.text(text, 200)!r}"]
    if isinstance(metadata, dict):
        return metadata, []
    shown = redactor.text(text, 200)
    return {"metadata_text": text}, [f'the metadata is not a JSON object such as {{"action":"test"}}: {shown!r}']


def main(arguments: Sequence[str]) -> int:
    """Run the emitter; return 2 where the call is wrong, 3 where it is not permitted, else 0, whatever was recorded."""
    if list(arguments) in (["-h"], ["--help"]):
        print(USAGE)  # noqa: T201 - what a command does
        return 0
    code = 0
    try:
        problems = emit(arguments)
    except (UsageError, EventTypeError) as error:
        problems, code = [str(error)], 2
    except AccessError as error:
        problems, code = [str(error)], _DENIED
    except Exception as error:  # noqa: BLE001 - the working directory is gone, anything: the build goes on
        problems = [f"{type(error).__name__}: {error}"]
    try:
        for problem in problems:
            print(f"swarmtask: {problem}", file=sys.stderr)  # noqa: T201
    except OSError:  # nobody can be told; what is left in the buffer must not fail the interpreter's end, either
        sys.stderr = None
    return code


def in_recipe(arguments: Sequence[str]) -> int:
    """Run the emitter for a build, which goes on where the role does not allow an event; return 2 or 0."""
    code = main(arguments)
    return 0 if code == _DENIED else code


if __name__ == "__main__":
    sys.exit(in_recipe(sys.argv[1:]))
