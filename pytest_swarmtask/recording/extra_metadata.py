"""Metadata that plug-ins add to every event, and the names of the triggers that led to this process.

Only loaded if there is something to add. Plug-ins are foreign code in the watched process, so each runs in a thread of
its own: if it hangs, recording goes on without it after a second.
"""

from __future__ import annotations

import _thread
import contextvars
import os
import queue
import sys

from pytest_swarmtask.core.trace import CAUSED_BY, CAUSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pytest_swarmtask.redaction.redactor import Redactor

_PATIENCE = 1.0
"""Seconds to wait for a plug-in, at most. A plug-in that hung is not asked again, so a process waits so long only once.
"""


def causes(environ: Mapping[str, str]) -> list[str]:
    """Return the names of the triggers that led to this process, oldest first."""
    return [name for name in environ.get(CAUSES, "").split(",") if name]


class ExtraMetadata:
    """Adds to the metadata of events. Never raises.

    Args:
        plugins: name and entry point of each plug-in that implements the hook.
        causes: the triggers that led to this process.
        redactor: redacts what plug-ins add.
        complain: called once for each plug-in that fails, with the reason.
    """

    def __init__(
        self,
        plugins: Sequence[Sequence[str]],
        causes: list[str],
        redactor: Redactor,
        complain: Callable[[str], None],
    ) -> None:
        self._fixed = {CAUSED_BY: causes} if causes else {}
        self._redactor = redactor
        self._complain = complain
        self._hooks: dict[str, _Hook] = {}
        for name, entry_point in plugins:
            self._open(name, entry_point)

    def _open(self, name: str, entry_point: str) -> None:
        try:
            self._hooks[name] = _Hook(name, entry_point)
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self._drop(name, f"{type(error).__name__}: {error}")

    def apply(self, event_type: str, task_id: str | None, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Return the metadata with the additions. A plug-in cannot change a value that the event already has."""
        added: dict[str, Any] = {}
        for name in list(self._hooks):
            added.update(self._asked(name, event_type=event_type, task_id=task_id, metadata=dict(metadata)))
        return {**added, **metadata, **self._fixed}

    def _asked(self, name: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = self._hooks[name].ask(**arguments)
            return self._redactor.metadata(answer) if answer else {}
        except queue.Empty:
            self._drop(name, f"no answer within {_PATIENCE:g} s")
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self._drop(name, f"{type(error).__name__}: {error}")
        return {}

    def _drop(self, name: str, problem: str) -> None:
        """Stop asking a plug-in in this process, and say why."""
        self._hooks.pop(name, None)
        self._complain(self._redactor.text(f"plug-in {name} adds no metadata any more: {problem}", 300))


class _Hook:
    """The hook of one plug-in, and the thread in which it runs."""

    def __init__(self, name: str, entry_point: str) -> None:
        if sys.flags.no_site:  # started by `recipe.py` without `site`, but plug-ins are in site-packages
            import site

            site.main()
        from pytest_swarmtask.plugins.registry import single_plugin

        own = single_plugin(name, entry_point)
        (self._implementation,) = own.hook.swarmtask_event_metadata.get_hookimpls()
        self._process = 0
        self._calls: queue.SimpleQueue[Any]

    def ask(self, **arguments: Any) -> Any:
        if self._process != os.getpid():  # at first, and in the child of a fork, which has none of the threads
            self._process, self._calls = os.getpid(), queue.SimpleQueue()
            _thread.start_new_thread(_work, (self._calls,))
        known = {name: arguments[name] for name in self._implementation.argnames}
        answer: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self._calls.put((contextvars.copy_context(), self._implementation.function, known, answer))
        value, error = answer.get(timeout=_PATIENCE)
        if error is not None:
            raise error
        return value


def _work(calls: queue.SimpleQueue[Any]) -> None:
    while True:
        context, function, arguments, answer = calls.get()
        try:
            answer.put((context.run(function, **arguments), None))
        except BaseException as error:  # noqa: BLE001 - `ask` raises it
            answer.put((None, error if isinstance(error, Exception) else RuntimeError(repr(error))))
