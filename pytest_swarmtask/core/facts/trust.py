"""Whether the code of the project is a stranger's, so that its configuration is obeyed only where it does no harm."""

from __future__ import annotations

from pytest_swarmtask.core.project import is_under_ci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "SWARMTASK_UNTRUSTED"
_OF_FORKS = ("pull/", "merge-requests/")
"""How the branch of a fork begins where its owner is not known, see `change_request`."""


def is_untrusted(environ: Mapping[str, str]) -> bool:
    """Whether `SWARMTASK_UNTRUSTED` or else the CI service says that the code comes from a stranger.

    GitHub, Gitea, GitLab, Azure, Buildkite, CircleCI, Jenkins, Travis and AppVeyor tell whether a pull request comes
    from a fork. Where one of them should tell and does not, it counts as one. So do all pull requests on Woodpecker and
    Drone, which run them for forks and never tell.
    """
    said = environ.get(VARIABLE, "")
    if said:
        return said != "0"
    if not is_under_ci(environ):
        return False
    from pytest_swarmtask.core.facts import ci  # only under CI

    service = ci.provider(environ)
    branch = service.change(environ).get("branch", "") if service else ""
    return ":" in branch or branch.startswith(_OF_FORKS)
