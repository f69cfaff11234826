"""Where the messages of a server's alerts lead people: to its pages, and to commands that ask it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pytest_swarmtask.relay.alerts.messages import ci_link, is_about_test
from pytest_swarmtask.server.links import ProjectLinks

if TYPE_CHECKING:
    from pytest_swarmtask.relay.alerts.evaluation import Evaluation


class ServerGuide:
    """Leads to the page on the test or the run, see `relay.alerts.messages.Guide`.

    Args:
        project: the name of the project.
        url: the address at which people reach the server, or empty if it is not known.
    """

    def __init__(self, project: str, url: str) -> None:
        self._project = project
        self._url = url
        self._links = ProjectLinks(url, project)

    def project(self, _: Evaluation) -> str:
        """Return the name of the project."""
        return self._project

    def link(self, evaluation: Evaluation) -> str:
        """Return the address of the page, or of the CI run if the address of the server is not known."""
        return self._page(evaluation) if self._url else ci_link(evaluation)

    def next(self, evaluation: Evaluation) -> str:
        """Return the command that asks the server, or which page to look at."""
        if not self._url:
            return f"look at {self._page(evaluation)} on the server"
        event = evaluation.event
        if event is not None and is_about_test(event):
            return f"swarmtask tests {shlex.quote(event.task_id or '')} --from {shlex.quote(self._links.page())}"
        return f"swarmtask report --from {shlex.quote(self._page_of_run(evaluation))}"

    def _page(self, evaluation: Evaluation) -> str:
        event = evaluation.event
        page = self._links.test(event.task_id or "") if event is not None and is_about_test(event) else None
        return page or self._page_of_run(evaluation)

    def _page_of_run(self, evaluation: Evaluation) -> str:
        if evaluation.run is not None:
            return self._links.run(evaluation.run.run)
        return self._links.run(evaluation.event.trace_id) if evaluation.event else self._links.page()
