"""A project: its root and the paths of its files.

Every path that more than one package uses is built here, and only here.
"""

from __future__ import annotations

import os

from pytest_swarmtask.core.fastjson import loads
from pytest_swarmtask.core.files import only_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FOLDER = ".taskmaster"
"""The folder that marks a project's root. Task Master uses the same one."""

TASKS = "task:sync"
"""The endpoint of the task manager."""
TRIGGERS = "trigger:run"
"""The endpoint of the triggers."""
ALERTS = "monitoring:alerts"
"""The endpoint of the alerts."""
RESERVED = (TASKS, TRIGGERS, ALERTS)
"""Endpoints of ours, whose names no webhook can have.

The first two are also permissions: without it, the events of a role are not delivered to that endpoint.
"""
BACKGROUND = (TRIGGERS, ALERTS)
"""Endpoints that the end of a run does not wait for, because a trigger's command may take long."""

CI_VARIABLES = (
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "BUILDKITE",
    "CIRCLECI",
    "TF_BUILD",
    "JENKINS_URL",
    "BITBUCKET_BUILD_NUMBER",
    "TEAMCITY_VERSION",
    "TRAVIS",
    "APPVEYOR",
    "DRONE",
)
"""One of these is set by each service that `core.facts.ci` knows. Azure, TeamCity and old versions of Jenkins set no
`CI`."""

NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""The pattern of names in `workflow.yaml`, such as those of webhooks. 64 characters fit into file names and headers."""
NAME_IN_WORDS = "a name of at most 64 letters, digits, '.', '_' and '-' that starts with a letter or digit"


class Project:
    """One project, named by its root. Immutable; two with the same root are equal.

    Attributes:
        root: the folder that holds `.taskmaster`.
        journal: the folder of the journal's segments.
        notice: what was found on the way to this project and not obeyed, or an empty text.
        refusal: why nothing may be read, made or recorded there without being asked to, or an empty text.
    """

    __slots__ = ("journal", "notice", "refusal", "root")

    root: str
    journal: str
    notice: str
    refusal: str

    def __init__(self, root: str, *, notice: str = "", refusal: str = "") -> None:
        set_once = object.__setattr__
        set_once(self, "root", root)
        set_once(self, "journal", os.path.join(root, FOLDER, "events"))
        set_once(self, "notice", notice)
        set_once(self, "refusal", refusal)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Project is immutable, so {name} cannot be set")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Project) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __repr__(self) -> str:
        return f"Project({self.root!r})"

    @property
    def workflow_file(self) -> str:
        """The configuration."""
        return os.path.join(self.root, FOLDER, "config", "workflow.yaml")

    @property
    def quarantine_file(self) -> str:
        """The list of quarantined tests."""
        return os.path.join(self.root, FOLDER, "quarantine.yaml")

    @property
    def compiled_config(self) -> str:
        """The compiled form of the configuration, which the watched process reads."""
        return os.path.join(self.journal, "config.json")

    @property
    def history(self) -> str:
        """The history's SQLite database."""
        return os.path.join(self.journal, "history.sqlite")

    @property
    def durations(self) -> str:
        """The file with usual durations that shards are divided by, if somebody has written it."""
        return os.path.join(self.journal, "durations.json")

    @property
    def server_history(self) -> str:
        """The SQLite database of a server that runs here, with the histories of its projects."""
        return os.path.join(self.root, FOLDER, "server", "history.sqlite")

    @property
    def server_secret(self) -> str:
        """The file with the secret that a server which runs here has made for its senders."""
        return os.path.join(self.root, FOLDER, "server", "secret")

    @property
    def routes(self) -> str:
        """The folder of route files, which say which endpoints a segment must be delivered to."""
        return os.path.join(self.journal, "routes")

    @property
    def spans(self) -> str:
        """The folder where one process leaves an open span for the process that ends it."""
        return os.path.join(self.journal, "spans")

    @property
    def relay_folder(self) -> str:
        """The folder where relays keep their locks, progress, database and log."""
        return os.path.join(self.journal, "relay")

    @property
    def database(self) -> str:
        """The relay's SQLite database: cursors, dead letters, and what rules and alerts remember."""
        return os.path.join(self.relay_folder, "relay.db")

    @property
    def relay_log(self) -> str:
        """The log of all relays."""
        return os.path.join(self.relay_folder, "relay.log")

    @property
    def alerts_lock(self) -> str:
        """The file whose lock a relay holds while it checks alerts, so that no alert is sent twice."""
        return os.path.join(self.relay_folder, "alerts.lock")

    @property
    def retention_clock(self) -> str:
        """The file that records when retention ran, see `relay.delivery.age_clock`."""
        return os.path.join(self.relay_folder, "clock")

    @property
    def compression_lock(self) -> str:
        """The file whose lock a process holds while it compresses old segments. They may be there without any relay."""
        return os.path.join(self.journal, "compression.lock")

    @property
    def collect_lock(self) -> str:
        """The file whose lock a process holds while it collects segments of other machines."""
        return os.path.join(self.journal, "collect.lock")

    @property
    def annotations(self) -> str:
        """The file where relays leave annotations for the log of a GitHub Actions job."""
        return os.path.join(self.relay_folder, "annotations")

    def segment(self, name: str) -> str:
        """Return the path of a segment."""
        return os.path.join(self.journal, name)

    def route(self, name: str) -> str:
        """Return the file of a route."""
        return os.path.join(self.routes, f"{name}.json")

    def lock(self, relay: str) -> str:
        """Return the file whose lock a relay holds while it lives."""
        return os.path.join(self.relay_folder, f"{relay}.lock")

    def progress(self, relay: str) -> str:
        """Return the file in which a relay publishes its progress."""
        return os.path.join(self.relay_folder, f"{relay}.json")

    def hurry_request(self, relay: str) -> str:
        """Return the file whose existence tells a relay that somebody waits for the last events."""
        return os.path.join(self.relay_folder, f"{relay}.hurry")

    def yield_request(self, relay: str) -> str:
        """Return the file whose existence asks a relay whose runs are over to leave the rest to another relay."""
        return os.path.join(self.relay_folder, f"{relay}.yield")

    def read_progress(self, relay: str) -> dict[str, Any]:
        """Return the progress that a relay published last; empty if there is none.

        ``segments``: name to bytes settled; ``endpoints``: name to ``state`` and ``reason``; ``runs``: trace id to
        endpoint to ``waiting`` and ``dead``, numbers of events; ``problem``: why the relay could not work, if so.
        """
        nothing: dict[str, Any] = {"segments": {}, "endpoints": {}, "runs": {}}
        try:
            with open(self.progress(relay), encoding="utf-8", opener=only_regular) as file:
                progress = loads(file.read())
        except (OSError, ValueError):
            return nothing
        return {**nothing, **progress} if isinstance(progress, dict) else nothing


def relative(place: str, root: str) -> str:
    """Return a place, such as a path with a line number, relative to a folder if it is in that folder.

    An empty folder is one that is not known, as on a server.
    """
    return place.removeprefix(root.rstrip(os.sep) + os.sep) if root else place


def is_under_ci(environ: Mapping[str, str]) -> bool:
    """Whether a CI service runs this process. Without one, `core.facts.ci` need not be loaded."""
    return any(is_affirmed(environ, name) for name in CI_VARIABLES)


def is_affirmed(environ: Mapping[str, str], name: str) -> bool:
    """Whether a variable of a CI service is set, and not to a word for no."""
    return environ.get(name, "").lower() not in ("", "0", "false", "no")


def is_met(need: str, environ: Mapping[str, str]) -> bool:
    """Whether a variable that an endpoint needs is set and not empty; of ``A or B``, one of them."""
    return any(environ.get(name) for name in need.split(" or "))


def is_switched_off(environ: Mapping[str, str]) -> bool:
    """Whether `SWARMTASK_DISABLED` switches recording off."""
    return environ.get("SWARMTASK_DISABLED", "") not in ("", "0")
