"""The parameters of the API: their types, which the OpenAPI document shows, and reading them from a request."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timezone, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from pytest_swarmtask.core.errors import UsageError
from pytest_swarmtask.core.timestamps import named_time
from pytest_swarmtask.report.content import ReportRequest
from pytest_swarmtask.report.explained_run import ExplainRequest
from pytest_swarmtask.report.forms import Form, Kind, SearchedRuns
from pytest_swarmtask.report.gate import GateRequest
from pytest_swarmtask.report.history_of_tests import TestRequest
from pytest_swarmtask.report.runs import RunsRequest
from pytest_swarmtask.report.terminal import Screen, Style

if TYPE_CHECKING:
    from starlette.datastructures import QueryParams

_SHOWN = 40
"""Characters of a wrong value that a message quotes."""
_OFFSET = re.compile(r"[+-][0-9]{4}")

RunId = Annotated[str, Meta(max_length=64, description="A run's id, or a unique beginning of it.")]
Branch = Annotated[str, Meta(max_length=1000, description="Only runs on this branch.")]
Since = Annotated[
    str,
    Meta(
        max_length=40,
        description="Only runs since then: a date or a time (ISO 8601, in UTC unless it has an offset), or how long "
        "ago, such as 7d, 12h or 30m.",
    ),
]
Variant = Annotated[str, Meta(max_length=1000, description="Only runs and tests under this variant.")]
Last = Annotated[int, Meta(ge=1, le=1000, description="The number of runs that are looked at.")]
Limit = Annotated[int, Meta(ge=1, le=1000, description="The number of objects, at most.")]


CiRun = Annotated[str, Meta(max_length=1000, description="The CI run that asks: it goes before the last run.")]


class NoParameters(Struct, frozen=True):
    """A request that has nothing to choose."""


class TestsQuery(Struct, frozen=True, kw_only=True):
    """Which tests are listed."""

    text: Annotated[str, Meta(max_length=10_000, description="Only tests whose node id contains this text.")] = ""
    limit: Limit = 100


class ComparisonQuery(Struct, frozen=True, kw_only=True):
    """Which runs are compared."""

    compare: RunId
    run: RunId | None = None
    branch: Branch | None = None
    since: Since | None = None


class FormQuery(Struct, frozen=True, kw_only=True):
    """How an answer looks, for answers in all forms."""

    full: Annotated[bool, Meta(description="Whether texts and Markdown have tracebacks and output.")] = False
    width: Annotated[int, Meta(ge=1, le=1000, description="For texts, the columns of the terminal.")] | None = None
    style: Annotated[Style, Meta(description="For texts, what the terminal can show.")] = "plain"
    unicode: Annotated[bool, Meta(description="For texts, whether bars have characters beyond ASCII.")] = True
    zone: Annotated[
        str, Meta(max_length=64, description="The time zone of times in texts: Europe/Berlin, or +0100.")
    ] = "UTC"

    def as_form(self, kind: Kind, project: str) -> Form:
        """Return the form of an answer about a project."""
        return Form(kind, self.full, Screen(self.width, self.style, self.unicode), project=project)

    def as_zone(self) -> tzinfo:
        """Return the time zone.

        Raises:
            UsageError: there is none of that name.
        """
        try:
            if _OFFSET.fullmatch(self.zone):
                return datetime.strptime(self.zone, "%z").tzinfo or timezone.utc
            return ZoneInfo(self.zone)
        except (KeyError, OSError, ValueError):
            raise UsageError(_wrong("zone", self.zone, "a name such as Europe/Berlin, or an offset as +0100")) from None


class BriefQuery(FormQuery, frozen=True, kw_only=True):
    """How an answer looks, for answers that commands print in two forms."""

    form: Annotated[Literal["json", "text"], Meta(description="The format of the answer.")] = "json"


class ReportQuery(FormQuery, frozen=True, kw_only=True):
    """Which run is reported on."""

    form: Annotated[Kind, Meta(description="The format of the answer.")] = "json"
    run: RunId | None = None
    compare: RunId | None = None
    branch: Branch | None = None
    since: Since | None = None
    last: Last = 20
    ci_run: CiRun | None = None

    def as_request(self) -> ReportRequest:
        """Return the request."""
        since = moment(self.since)
        return ReportRequest(self.run, self.compare, self.branch, since, self.last, ci_run=self.ci_run)


class ExplainQuery(BriefQuery, frozen=True, kw_only=True):
    """Which failures are explained."""

    run: RunId | None = None
    tests: Annotated[
        str,
        Meta(max_length=100_000, description="Node ids of failed tests, or parts of them, one a line. Default: all."),
    ] = ""
    ci_run: CiRun | None = None

    def as_request(self) -> ExplainRequest:
        """Return the request."""
        return ExplainRequest(self.run, self.tests, self.ci_run)


class GateQuery(Struct, frozen=True, kw_only=True):
    """Which run is judged."""

    run: RunId | None = None
    ci_run: CiRun | None = None

    def as_request(self) -> GateRequest:
        """Return the request."""
        return GateRequest(self.run, self.ci_run)


class StatusQuery(BriefQuery, frozen=True, kw_only=True):
    """Which run is the last one."""

    ci_run: CiRun | None = None


class TestQuery(BriefQuery, frozen=True, kw_only=True):
    """Which test is shown."""

    test: Annotated[str, Meta(max_length=10_000, description="The node id of a test, or any unique part of it.")]
    branch: Branch | None = None
    since: Since | None = None
    last: Last = 20

    def as_request(self) -> TestRequest:
        """Return the request."""
        return TestRequest(self.test, self.branch, moment(self.since), self.last)


class SearchedQuery(BriefQuery, frozen=True, kw_only=True):
    """Which runs are searched, for failures, flaky or slow tests."""

    branch: Branch | None = None
    since: Since | None = None
    last: Last = 20
    variant: Variant | None = None

    def as_request(self) -> SearchedRuns:
        """Return the request."""
        return SearchedRuns(self.branch, moment(self.since), self.last, self.variant)


class RunsQuery(BriefQuery, frozen=True, kw_only=True):
    """Which runs are listed."""

    branch: Branch | None = None
    since: Since | None = None
    limit: Limit = 20
    before: Annotated[str, Meta(max_length=64, description="Only runs before this one: `next` of the last page.")] | (
        None
    ) = None
    variant: Variant | None = None

    def as_request(self) -> RunsRequest:
        """Return the request."""
        return RunsRequest(self.branch, moment(self.since), self.limit, self.before, self.variant)


class TasksQuery(Struct, frozen=True, kw_only=True):
    """Which runs are searched for tests that belong to tasks."""

    branch: Branch | None = None
    since: Since | None = None
    last: Last = 20

    def as_request(self) -> SearchedRuns:
        """Return the request."""
        return SearchedRuns(self.branch, moment(self.since), self.last)


class LastResultsQuery(Struct, frozen=True, kw_only=True):
    """Which tests' last results are asked for."""

    tests: Annotated[str, Meta(description="Node ids, or globs of * and ?, one a line.")] = ""


def moment(since: str | None) -> str | None:
    """Return the timestamp that the parameter `since` names.

    Raises:
        UsageError: it is no time.
    """
    try:
        return None if since is None else named_time(since, timezone.utc)
    except ValueError as error:
        raise UsageError(f"since: {error}") from None


Parameters = TypeVar("Parameters", bound=Struct)


def read(kind: type[Parameters], given: QueryParams) -> Parameters:
    """Return the parameters of a request.

    Raises:
        UsageError: one is unknown, missing, given twice or wrong; the message says what is expected.
    """
    known = described(kind)
    for name, times in Counter(name for name, _ in given.multi_items()).items():
        if name not in known:
            choices = ", ".join(known) or "none"
            raise UsageError(f"there is no parameter {name[:_SHOWN]!r} here, expected: {choices}")
        if times > 1:
            raise UsageError(f"{name} is given {times} times, expected once")
        if "\0" in given[name]:
            raise UsageError(f"{name} has the character U+0000, which nothing in a history has")
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(_explained(str(error), known, given)) from None


@cache
def described(kind: type[Struct]) -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of parameters by name."""
    _, components = msgspec.json.schema_components([kind])
    found: dict[str, dict[str, Any]] = components[kind.__name__]["properties"]
    return found


def _explained(problem: str, known: dict[str, dict[str, Any]], given: QueryParams) -> str:
    """Return what is wrong with a parameter, from the message of msgspec, which says where the problem is."""
    where = re.search(r"at `\$\.(\w+)`", problem)
    if where is None:
        return f"a parameter is missing: {problem.rpartition(' ')[2].strip('`')}"
    name = where[1]
    return _wrong(name, given[name], _expected(known[name]))


def _wrong(name: str, value: str, expected: str) -> str:
    return f"{name} is {value[:_SHOWN]!r}, expected {expected}"


def _expected(schema: dict[str, Any]) -> str:
    """Return in words what a schema accepts."""
    for choice in schema.get("anyOf", [schema]):
        if "enum" in choice:
            return f"one of: {', '.join(map(str, choice['enum']))}"
        if choice.get("type") == "integer":
            return f"a number from {choice['minimum']} to {choice['maximum']}"
        if choice.get("type") == "boolean":
            return "1 or 0"
        if "maxLength" in choice:
            return f"at most {choice['maxLength']} characters"
    return "another value"
