"""How answers look, in each form: the commands and the server call the same functions.

Each function here and in `report.history_of_tests`, `report.flaky_tests` and `report.last_run` asks a history, and
writes the answer as bytes, which a command prints and a server sends.
"""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.text import NOTHING_RECORDED, neutral
from pytest_swarmtask.history.query import RunFilter, known_variants, last_runs, recent_branches
from pytest_swarmtask.report.content import ReportRequest, collect_report, requested_run
from pytest_swarmtask.report.phrases import format_time, short_id
from pytest_swarmtask.report.terminal import Screen, drawn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_swarmtask.history.database import Database
    from pytest_swarmtask.report.content import Report
    from pytest_swarmtask.report.page import DeliverySummary

Kind = Literal["text", "json", "markdown", "junit", "html"]

_NOT_THIS_CI_RUN = "This CI run is not in the history. Another run follows."
MOST_ON_PAGE = 200
"""Failures with their messages on the HTML page, as docs/history.md says. Its list of tests has all of them."""
_MOST_FAILURES = {"json": ReportRequest().failures, "html": MOST_ON_PAGE}
_MOST_NAMES = 1000
"""Branches among which a mistyped one is looked for."""
_MOST_READ = 25
"""Failures in a terminal or in Markdown: more would only be scrolled past."""


class Form(NamedTuple):
    """How an answer looks.

    Attributes:
        kind: its format.
        full: whether texts and Markdown have the evidence of failures.
        screen: where a text will be read.
        root: the project's folder, which tells owners and links; empty on a server.
        project: the name of the project.
        say: tells a person what an object for programs cannot say; a server has nobody to tell.
        deliveries: returns how many events each endpoint has received; None on a server.
    """

    kind: Kind = "text"
    full: bool = False
    screen: Screen = Screen()
    root: str = ""
    project: str = ""
    say: Callable[[str], None] = lambda _: None
    deliveries: Callable[[], DeliverySummary] | None = None


class SearchedRuns(NamedTuple):
    """Which of the last runs are searched, such as for flaky tests.

    Attributes:
        branch: only runs on this branch.
        since: only runs that started at this timestamp or later.
        last: the number of runs.
        variant: only runs and tests under this variant.
    """

    branch: str | None = None
    since: str | None = None
    last: int = 20
    variant: str | None = None

    def as_filter(self) -> RunFilter:
        """Return the condition of runs with tests."""
        return RunFilter(self.branch, self.since, with_tests=True, variant=self.variant)


def write_report(db: Database, request: ReportRequest, form: Form, out: BinaryIO) -> str | None:
    """Write the report on a run, and return the id of the run; None if no run matches.

    Raises:
        UsageError: the request names a run that does not exist, or no run matches and the form cannot say so.
    """
    request = request._replace(failures=_MOST_FAILURES.get(form.kind, _MOST_READ))
    if form.kind == "junit":
        return _write_junit(db, request, out)
    if form.kind == "html":
        return _write_page(db, request, form, out)
    found = collect_report(db, request, form.root)
    if found is not None and request.run is None and request.ci_run not in (None, found.run.ci_run):
        tell_of_another_run(form, out)
    if form.kind == "json":
        write_json({"run": None} if found is None else found.as_json(), out)
    elif found is None:
        write_text(f"{no_run(db, request)}\n", out)
    else:
        write_text(_text(found, form), out)
    return found.run.run if found else None


def tell_of_another_run(form: Form, out: BinaryIO) -> None:
    """Tell that an answer is not about the CI run that asks, because the history does not have it."""
    if form.kind == "json":
        form.say(_NOT_THIS_CI_RUN)
    else:  # with the report, because the page of a CI run shows that, and must not pass off another run as its own
        write_text(f"{_NOT_THIS_CI_RUN}\n\n", out)


def write_text(text: str, out: BinaryIO) -> None:
    """Write a text. A half of a surrogate pair, as in the name of a strange folder, is replaced."""
    out.write(text.encode("utf-8", "replace"))


def write_json(content: Any, out: BinaryIO) -> None:
    """Write an object as JSON, in ASCII and in lines that people can read."""
    out.write(f"{json.dumps(content, indent=2)}\n".encode())


def no_match(db: Database, what: str, branch: str | None, since: str | None, variant: str | None = None) -> str:
    """Return that nothing matches some conditions, named by the options of commands; or that there is no run at all.

    If there is no such branch or variant, the nearest name follows, as it is probably what the reader meant.
    """
    given = {"--branch": branch, "--since": since, "--variant": variant}
    named = " ".join(f"{option} {neutral(value)}" for option, value in given.items() if value is not None)
    if not last_runs(db, 1):
        return NOTHING_RECORDED
    if not named:
        return f"{what} was found."
    meant = _nearest(branch, recent_branches(db, _MOST_NAMES)) or _nearest(variant, known_variants(db))
    return f"{what} matches {named}.{meant}"


def _nearest(name: str | None, known: Sequence[str]) -> str:
    """Return a question for the name that is nearest to one that is not known, or an empty text."""
    found = () if name is None or name in known else difflib.get_close_matches(name, known, 1)
    return f" Did you mean {neutral(found[0])}?" if found else ""


def _text(found: Report, form: Form) -> str:
    if form.kind == "markdown":
        from pytest_swarmtask.report.markdown import markdown

        return f"{markdown(found, form.root, full=form.full)}\n"
    from pytest_swarmtask.report.text import print_report

    return drawn(form.screen, lambda console: print_report(found, form.root, console, full=form.full))


def no_run(db: Database, request: ReportRequest) -> str:
    """Return that no run matches a request, and which run is the latest."""
    latest = last_runs(db, 1)
    about = f" Latest run: {short_id(latest[0].run)} of {format_time(latest[0].started)}" if latest else ""
    return f"{no_match(db, 'No run', request.branch, request.since)}{about}"


def _write_junit(db: Database, request: ReportRequest, out: BinaryIO) -> str:
    from pytest_swarmtask.report.junit import write_junit

    run = requested_run(db, request)
    if run is None:
        raise UsageError(no_run(db, request))  # an empty document would look like a run without tests
    write_junit(db, run, out)
    return run.run


def _write_page(db: Database, request: ReportRequest, form: Form, out: BinaryIO) -> str | None:
    from pytest_swarmtask.report.html import html
    from pytest_swarmtask.report.page import collect_page

    page = collect_page(db, request, form.root)
    # Read after the history, because it does not count again what the history has counted.
    delivered = form.deliveries() if form.deliveries else None
    write_text(html(page, form.project, form.root, delivered), out)
    return page.report.run.run if page else None
