"""A history on a server, asked over HTTP: the address, the request, and what its answer means.

The rules for connections are the same as for webhooks: certificates are verified, the address is checked, redirects are
not followed, and time and size of an answer are limited.
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.core.errors import ConfigError, UsageError
from pytest_swarmtask.core.service_errors import EndpointError
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.history.database import project_name
from pytest_swarmtask.recording.settings import read_settings
from pytest_swarmtask.relay.http import address
from pytest_swarmtask.relay.http.endpoint import request_headers, transport
from pytest_swarmtask.relay.http.head import NoAnswerError
from pytest_swarmtask.relay.http.transport import AnswerLimits
from pytest_swarmtask.relay.http.url import Url, parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_swarmtask.core.project import Project
    from pytest_swarmtask.relay.http.transport import Answer
    from pytest_swarmtask.report.forms import Form

TOKEN_VARIABLE = "SWARMTASK_READ_TOKEN"  # noqa: S105 - the variable's name
API_VERSION = "1"
_TIMEOUT = 30.0
"""Seconds that a whole request may take. The largest report takes a server about a second."""
_LIMITS = AnswerLimits(256 * 1024 * 1024, _TIMEOUT)
"""Bytes of the longest answer that is read. JUnit XML of half a million tests has so many."""
_PAGE = re.compile(r"(?P<base>.*?)/p/(?P<project>[^/]+)(?:/runs/(?P<run>[^/]+))?(?:/.*)?")
"""The path of a page about a project."""
_OF_A_RUN = ("report", "explain", "gate")
"""The questions about one run. It is the run of the page, unless another one is named."""
_TOKEN = re.compile(r"[!-~]+")


class RemoteHistory:
    """The history of a project on a server.

    Args:
        base: the address below which the server answers, without a slash at its end.
        project: the name of the project.
        run: the run that the address names; None for none.
        token: the token of a reader, or an empty text.
    """

    def __init__(self, base: Url, project: str, run: str | None, token: str) -> None:
        self.page = f"{base.absolute}/p/{quote(project)}/"
        self._base = base
        self._project = project
        self._run = run
        self._token = token

    def get(self, resource: str, given: Mapping[str, Any], form: Form) -> tuple[bytes, str | None]:
        """Return the answer to a question, and the id of the run that it is about, if it has one.

        Raises:
            UsageError: there is no answer, or it is an error.
        """
        named = {"run": self._run} if self._run and resource in _OF_A_RUN else {}
        query = urlencode({**named, **given, **_look(form)})
        target = f"{self._base.target}/api/v{API_VERSION}/projects/{quote(self._project, safe='')}/{resource}?{query}"
        answer = self._request(self._base._replace(target=target))
        problem = self._problem(answer)
        if problem:
            raise UsageError(problem)
        return answer.body, answer.headers.get("swarmtask-run")

    def _request(self, url: Url) -> Answer:
        # The user names the server, so it may be in a private network, as most are.
        definition = Webhook(name="server", url=url.absolute, timeout=_TIMEOUT, allow_http=True, allow_private=True)
        headers = request_headers({}, {}, url)
        if self._token:
            headers.append(("authorization", f"Bearer {self._token}"))
        try:
            connection = transport(definition, url, {}, os.curdir)
            try:
                return connection.request("GET", url, headers, b"", _LIMITS)
            finally:
                connection.close()
        except (EndpointError, NoAnswerError) as error:
            raise UsageError(f"{url.origin} cannot be asked: {error}") from None

    def _problem(self, answer: Answer) -> str:
        """Return what is wrong with an answer, or an empty text."""
        where, version = self._base.absolute, answer.headers.get("swarmtask-api")
        if version is None:
            return f"{where} is not the address of a swarmtask server: {_described(answer)}"
        if version != API_VERSION:
            spoken = f"{where} speaks version {neutral(version[:20])} of the API, this command {API_VERSION}"
            return f"{spoken}: update pytest-swarmtask where it is older"
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return self._unauthorized(where)
        if answer.status != HTTPStatus.OK:
            return _detail(answer.body) or f"{where} answered {answer.status}"
        if not answer.body:
            return f"{where}: the answer did not arrive in {_TIMEOUT:.0f} s, or has more than {_LIMITS.size >> 20} MB"
        return ""

    def _unauthorized(self, where: str) -> str:
        if self._token:
            return f"{where} does not accept the token in {TOKEN_VARIABLE}"
        return f"{where} wants a token: set {TOKEN_VARIABLE} to one for readers"


def _detail(body: bytes) -> str:
    """Return the text of an error as RFC 9457 has it; empty if the body is none."""
    try:
        found = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return ""
    return str(found.get("detail", ""))


def _described(answer: Answer) -> str:
    location = answer.headers.get("location")
    if location is not None and 300 <= answer.status < 400:
        to = urlsplit(location)
        return f"it redirects to {neutral(to._replace(query='', fragment='').geturl()[:200])}"
    kind = answer.headers.get("content-type", "no type").partition(";")[0]
    return f"it answered {answer.status} with {neutral(kind[:60])}"


def remote_history(text: str, option: str, project: Callable[[], Project], environ: Mapping[str, str]) -> RemoteHistory:
    """Return the history that an address names.

    Args:
        text: the address of a server, or of one of its pages.
        option: where it was given, for messages.
        project: returns the local project, whose name is asked for if the address names none.
        environ: the variables with the token and of the project.

    Raises:
        UsageError: the address or the token is malformed, or would send the token unencrypted.
    """
    try:
        url = parse_url(text)
    except ConfigError as error:
        raise UsageError(f"{option}: {error}".replace(" once its variables are filled in", "")) from None
    if url.userinfo:
        raise UsageError(f"{option} has a user or a password: put the token into {TOKEN_VARIABLE} instead")
    token = environ.get(TOKEN_VARIABLE, "").strip()
    if token and not _TOKEN.fullmatch(token):
        raise UsageError(f"{TOKEN_VARIABLE} has a character that no token has, such as a space")
    if token and url.scheme == "http" and not address.is_loopback(url.host):
        raise UsageError(f"{url.origin} would get the token of {TOKEN_VARIABLE} unencrypted: use https")
    path = url.target.partition("?")[0].rstrip("/")
    page = _PAGE.fullmatch(path)
    base = url._replace(target=page["base"] if page else path)
    if page:
        return RemoteHistory(base, unquote(page["project"]), page["run"], token)
    return RemoteHistory(base, project_name(read_settings(project(), environ).source), None, token)


def _look(form: Form) -> dict[str, str]:
    """Return the parameters for the form of an answer. Objects are the default, and look the same to everybody."""
    if form.kind == "json":
        return {}
    look = {"form": form.kind, "zone": _zone(os.environ)}
    if form.full:
        look["full"] = "1"
    if form.kind == "text":
        look |= {"style": form.screen.style, "unicode": str(int(form.screen.unicode))}
        if form.screen.width is not None:
            look["width"] = str(form.screen.width)
    return look


def _zone(environ: Mapping[str, str]) -> str:
    """Return the name of the local time zone, as ``Europe/Berlin``; or if it has none the present offset from UTC."""
    named = environ.get("TZ")
    path = os.path.realpath("/etc/localtime") if named is None else named.removeprefix(":") or "UTC"
    name = path.rpartition("/zoneinfo/")[2]
    try:
        return ZoneInfo(name).key
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return datetime.now().astimezone().strftime("%z")
