"""Where the events of this process must be delivered to, and the relays that deliver them.

Loaded only where there is an endpoint: most processes have none, and this would be a tenth of their start.
"""

from __future__ import annotations

from pytest_swarmtask.core.project import BACKGROUND
from pytest_swarmtask.core.trace import Clock
from pytest_swarmtask.journal.segments import LOCAL, SUFFIX
from pytest_swarmtask.recording.relay_launcher import RelayLauncher
from pytest_swarmtask.recording.routing import Routing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from pytest_swarmtask.journal.segments import Journal
    from pytest_swarmtask.recording.settings import Settings

_SEND = "send them with: swarmtask flush"


class Deliveries:
    """Routes a journal to its endpoints, starts a relay for each route, and waits for the relays.

    Args:
        settings: the configured endpoints.
        environ: the variables that deliveries depend on; also the environment of relays.
        writer: the writing end of the journal; what it writes is routed.
        complain: called with the reason if events cannot be routed.

    Attributes:
        needs_relay: whether a relay has to be started, or found at work, after the next event.
    """

    __slots__ = ("_awaited", "_complain", "_environ", "_launchers", "_project", "_routing", "_writer", "needs_relay")

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], writer: Journal, complain: Callable[[str], None]
    ) -> None:
        self._project = settings.project
        self._environ = environ
        self._complain = complain
        self._routing = Routing(settings, environ)
        self.follow(writer)

    def follow(self, writer: Journal) -> None:
        """Route another writer from now on, and forget what the one before has written."""
        self._writer = writer
        self._launchers: dict[str, RelayLauncher] = {}
        self._awaited: set[str] = set()  # the routes with an endpoint that the end of a run waits for
        self.needs_relay = False
        self._reroute()

    def register(self, definition: Mapping[str, Any], variables: Iterable[str]) -> None:
        """Deliver what is written from now on to one more endpoint, see `Routing.register`."""
        self._routing.register(definition, variables)
        self._reroute()

    def unregister(self, name: str) -> None:
        """Deliver what is written from now on no longer to this endpoint."""
        self._routing.unregister(name)
        self._reroute()

    def _reroute(self) -> None:
        try:
            route, relay, is_awaited = self._routing.save()
        except OSError as error:
            self._complain(f"events cannot be routed to an endpoint: {error}")
            return
        if route == LOCAL:
            self.needs_relay = False
        elif route != self._writer.route:
            self._launchers[route] = RelayLauncher(self._project, relay)
            if is_awaited:
                self._awaited.add(route)
            self.needs_relay = True
        self._writer.reroute(route)

    def start_relay(self) -> None:
        """Start a relay for the present route, unless one is at work. Never raises."""
        self.needs_relay = False
        launcher = self._launchers.get(self._writer.route)
        if launcher is not None:  # else another thread has just unregistered the last endpoint
            launcher.start(self._environ)

    def forked(self) -> None:
        """Go on as a child of a fork: the relay may end with the parent's run."""
        self.needs_relay = self._writer.route != LOCAL

    # -- the end of a run --------------------------------------------------------------------------------------

    @property
    def problem(self) -> str | None:
        """Why a relay could not be started, or could not deliver; None if all is well."""
        return next((launcher.problem for launcher in self._launchers.values() if launcher.problem), None)

    def pending(self) -> dict[str, int]:
        """Return the segments that the end of a run waits for, with their sizes in bytes."""
        segments = self._writer.pending().items()
        return {segment: size for segment, size in segments if _route_of(segment) in self._awaited}

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until all pending segments are settled; return whether they are."""
        now = Clock().now
        deadline = now() + timeout
        settled = True
        for route, launcher in self._launchers.items():
            pending = {segment: size for segment, size in self.pending().items() if _route_of(segment) == route}
            left = max(0.0, deadline - now())
            settled = (not pending or launcher.wait(pending, left, self._environ)) and settled
        return settled

    def undelivered(self, trace_id: str, count: int) -> tuple[int, str]:
        """Return how many events of the run wait for the endpoint that is furthest behind, and why and what to do.

        Args:
            trace_id: the run.
            count: the number of its events, which all wait if no relay has reported anything yet.
        """
        waiting, name, state = 0, "", None
        for progress in self._progress():
            for endpoint, counts in progress["runs"].get(trace_id, {}).items():
                if not endpoint.startswith(BACKGROUND) and (state is None or counts["waiting"] > waiting):
                    waiting, name, state = counts["waiting"], endpoint, progress["endpoints"][endpoint]
        if state is None:
            return count, f"no relay has answered yet; {_SEND}"
        if not state["reason"]:
            return waiting, f"{name} is behind; {_SEND}"
        # A flush before that would end in the same refusal.
        return waiting, f"{name}: {state['reason']}; {f'then {_SEND}' if state['state'] == 'stopped' else _SEND}"

    def dead_letters(self, trace_id: str) -> int:
        """Return how many events of the run were refused for good."""
        runs = (progress["runs"].get(trace_id, {}) for progress in self._progress())
        return sum(counts["dead"] for run in runs for counts in run.values())

    def _progress(self) -> Iterator[dict[str, Any]]:
        return (launcher.progress() for launcher in self._launchers.values())


def _route_of(segment: str) -> str:
    return segment.rpartition("-")[2].removesuffix(SUFFIX)
