"""The emitter: ``python -m pytest_swarmtask.emit TYPE [TASK_ID] [METADATA_JSON]`` records one event.

Made for recipes and scripts: it imports only the standard library, and ends after a few milliseconds. The exit code is
2 if the arguments are wrong (none, too many, an unknown event type), else 0, because reporting must not break a build.
`swarmtask emit`, which a person calls, also returns 2 if the metadata is not a JSON object, and 3 if the role does not
allow the event. A problem is printed to standard error once in a run.
"""

from __future__ import annotations

import sys

from pytest_swarmtask.core.errors import AccessError, EventTypeError, UsageError
from pytest_swarmtask.core.event import EVENT_TYPES, event_type_name
from pytest_swarmtask.core.fastjson import loads
from pytest_swarmtask.recording.recorder import get_recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pytest_swarmtask.redaction.redactor import Redactor

_DENIED = 3
"""The exit code for an event that the role does not allow."""
USAGE = "usage: swarmtask emit TYPE [TASK_ID] [METADATA_JSON]"
_HELP = """{usage}

Record one event. Recipes of make and scripts call `python -m pytest_swarmtask.emit`, which does the same and never
fails a build: metadata that is not a JSON object is kept as a text.

Types:
  {types}

Example:
  swarmtask emit DEPLOYMENT_STARTED web '{{"version": "1.4"}}'

More: docs/events.md"""


def help_text() -> str:
    """Return the help of `swarmtask emit`."""
    return _HELP.format(usage=USAGE, types="\n  ".join(EVENT_TYPES))


def emit(arguments: Sequence[str], *, by_person: bool = False) -> list[str]:
    """Record one event, and return the problems that occurred.

    Args:
        arguments: event type, task id and metadata as JSON; the last two may be missing or empty.
        by_person: whether metadata that is not a JSON object is an error. Otherwise it is kept as a text.

    Raises:
        UsageError: there are no arguments, or more than three; or the metadata is wrong, and a person has written it.
        EventTypeError: the event type is unknown.
        AccessError: the role does not allow the event.
    """
    if not 1 <= len(arguments) <= 3:
        raise UsageError(f"expected TYPE [TASK_ID] [METADATA_JSON], found {len(arguments)} arguments\n{USAGE}")
    event_type = event_type_name(arguments[0])
    task_id = arguments[1] if len(arguments) > 1 and arguments[1] else None
    recorder = get_recorder()
    metadata, problems = _metadata(arguments[2] if len(arguments) > 2 else "", recorder.redactor)
    if by_person and problems:
        raise UsageError(problems[0])
    if recorder.settings.enabled:
        recorder.settings.access.require(f"emit:{event_type}")
    recorder.trigger(event_type, task_id, None, metadata, ends_elsewhere=True)
    recorder.close()
    if recorder.problem and recorder.is_first_to_say(recorder.problem):
        problems.append(recorder.problem)
    return problems


def _metadata(text: str, redactor: Redactor) -> tuple[dict[str, Any], list[str]]:
    """Return the metadata of a JSON text, and problems. A text that is not a JSON object is kept as a text."""
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


def main(arguments: Sequence[str], *, by_person: bool = True) -> int:
    """Run the emitter. Return 2 if the arguments are wrong, 3 if the role does not allow the event, else 0.

    The code is 0 even if the event could not be recorded.

    Args:
        arguments: see `emit`.
        by_person: see `emit`.
    """
    if list(arguments) in (["-h"], ["--help"]):
        print(help_text())  # noqa: T201 - it is the output of the command
        return 0
    code = 0
    try:
        problems = emit(arguments, by_person=by_person)
    except (UsageError, EventTypeError) as error:
        problems, code = [str(error)], 2
    except AccessError as error:
        problems, code = [str(error)], _DENIED
    except Exception as error:  # noqa: BLE001 - whatever is wrong, such as a deleted working directory, the build goes on
        problems = [f"{type(error).__name__}: {error}"]
    try:
        for problem in problems:
            print(f"swarmtask: {problem}", file=sys.stderr)  # noqa: T201
    except OSError:  # standard error is closed
        sys.stderr = None  # else the interpreter fails at its end, when it flushes the buffer
    return code


def in_recipe(arguments: Sequence[str]) -> int:
    """Run the emitter for a build, which goes on even if the role does not allow the event. Return 2 or 0."""
    code = main(arguments, by_person=False)
    return 0 if code == _DENIED else code


if __name__ == "__main__":
    sys.exit(in_recipe(sys.argv[1:]))
