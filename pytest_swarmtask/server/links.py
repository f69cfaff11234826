"""The addresses of the server's pages, as paths on its host."""

from __future__ import annotations

from urllib.parse import quote, urlencode

_LONGEST = 4000
"""Characters of a name in an address, percent-encoded. Servers in front of ours take 8,000 at least."""


class ProjectLinks:
    """The addresses of the pages on a project.

    Args:
        root: the path below which a reverse proxy shows the server; empty for none.
        project: the name of the project.
    """

    def __init__(self, root: str, project: str) -> None:
        self.base = f"{root}/p/{quote(project, safe='')}"

    @property
    def test_base(self) -> str:
        """The address of the page on a test, up to its node id."""
        return f"{self.base}/test?name="

    def test(self, name: str) -> str | None:
        """Return the address of the page on a test; None if its node id cannot stand in an address."""
        return f"{self.test_base}{quote(name, safe='')}" if _can_stand(name) else None

    def run(self, trace_id: str) -> str:
        """Return the address of the page on a run."""
        return f"{self.base}/runs/{quote(trace_id, safe='')}"

    def compared(self, trace_id: str, other: str) -> str:
        """Return the address of the page on a run, compared with another run."""
        return f"{self.run(trace_id)}?{urlencode({'compare': other})}#changes"

    def version(self, trace_id: str) -> str:
        """Return the address of the version of the page on a run."""
        return f"{self.run(trace_id)}/version"

    def page(self, name: str = "", **parameters: str | None) -> str:
        """Return the address of another page, or of the runs, with the parameters that are not empty."""
        given = urlencode({key: value for key, value in parameters.items() if value})
        return f"{self.base}/{name}{'?' if given else ''}{given}"

    def branch(self, name: str) -> str | None:
        """Return the address of the runs on a branch; None if its name cannot stand in an address."""
        return self.page(branch=name) if _can_stand(name) else None


def _can_stand(name: str) -> bool:
    """Whether a name can be a parameter. PostgreSQL has no texts with NUL."""
    return len(quote(name[: _LONGEST + 1], safe="")) <= _LONGEST and "\0" not in name
