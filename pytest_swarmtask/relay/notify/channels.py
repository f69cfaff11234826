"""The ways in which a notifier tells: the relay's log, a webhook, Apprise, annotations of GitHub Actions."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Protocol

from pytest_swarmtask.config.monitoring import AppriseNotifier, GithubNotifier, PluginNotifier, WebhookNotifier
from pytest_swarmtask.config.variables import expand
from pytest_swarmtask.core.errors import ConfigError, EndpointError
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.plugins.sink import Delivered, Retry, Stopped
from pytest_swarmtask.relay.delivery.templates import fill_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_swarmtask.config.monitoring import Notifier
    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import SendResult
    from pytest_swarmtask.relay.http.endpoint import HttpEndpoint
    from pytest_swarmtask.relay.notify.message import Message

_log = logging.getLogger("pytest_swarmtask.relay")


class Channel(Protocol):
    """What the pace-keeping part needs of a way of telling."""

    def send(self, message: Message) -> SendResult:
        """Tell it, and say what became of it. Never raises."""

    def close(self) -> None:
        """Let go of connections."""


def open_channel(definition: Notifier, workflow: Workflow, request: SinkRequest) -> Channel:
    """Return the channel of a notifier."""
    if isinstance(definition, WebhookNotifier):
        return _Webhook(definition, workflow, request)
    if isinstance(definition, AppriseNotifier):
        return _Apprise(definition, request.environ)
    if isinstance(definition, PluginNotifier):
        return _Plugin(definition, request)
    if isinstance(definition, GithubNotifier):
        return _Github(request)
    return _Log()


class _Log:
    def send(self, message: Message) -> SendResult:
        lines = message.text.splitlines()
        told = lines[1:] if lines and lines[0] in message.title else lines  # the title has said that already
        text = neutral(" | ".join([message.title, *told]))
        _log.warning("%s", text if message.resolved else f"{message.severity}: {text}")
        return Delivered()

    def close(self) -> None:
        pass


class _Webhook:
    """One of the configured webhooks, with a body of our own: signed like any delivery, and answered like one."""

    def __init__(self, definition: WebhookNotifier, workflow: Workflow, request: SinkRequest) -> None:
        self._webhook = next(one for one in workflow.task_integration.webhooks if one.name == definition.webhook)
        self._body = definition.body
        self._root = request.project.root
        self._environ = request.environ
        self._endpoint: HttpEndpoint | None = None

    def send(self, message: Message) -> SendResult:
        body = as_json(message) if self._body is None else fill_all(self._body, values(message))
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        try:
            return self._opened().post(f"note_{message.id}", "application/json", content, 1)
        except (ConfigError, EndpointError) as error:
            return Stopped(str(error))
        except Exception as error:  # noqa: BLE001 - whatever one notifier does, the others are told
            self.close()
            return Retry(f"unexpected {type(error).__name__}")

    def _opened(self) -> HttpEndpoint:
        if self._endpoint is None:
            from pytest_swarmtask.relay.http.endpoint import HttpEndpoint  # an HTTP client that others can do without

            self._endpoint = HttpEndpoint(self._webhook, self._environ, self._root)
        return self._endpoint

    def close(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None


class _Apprise:
    """Chat and mail services. Their URLs hold secrets, so neither we nor Apprise's own log repeat them."""

    def __init__(self, definition: AppriseNotifier, environ: Mapping[str, str]) -> None:
        self._urls = definition.urls
        self._environ = environ
        self._message: Message | None = None
        self._told: set[int] = set()

    def send(self, message: Message) -> SendResult:
        if message != self._message:  # else it is tried again, at those services that did not take it
            self._message, self._told = message, set()
        left = [number for number in range(len(self._urls)) if number not in self._told]
        for number in left:
            try:
                problem = self._tell(self._urls[number], message)
            except ConfigError as error:
                return Stopped(f"urls[{number}]: {error}")
            except ImportError:
                return Stopped('Apprise is not installed: pip install "pytest-swarmtask[notify]"')
            except Exception as error:  # noqa: BLE001 - of a hundred services; the message may hold the URL
                problem = f"unexpected {type(error).__name__}"
            if problem:
                return Retry(f"urls[{number}]: {problem}")
            self._told.add(number)
        return Delivered()

    def _tell(self, url: str, message: Message) -> str:
        """Tell one service; return why it could not be told."""
        import apprise

        for name in ("apprise", "requests", "urllib3"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        service = apprise.Apprise()
        if not service.add(expand(url, self._environ)):
            raise ConfigError("no URL that Apprise knows, once its variables are filled in")
        kind = {"info": "info", "warning": "warning", "critical": "failure"}[message.severity]
        kind = "success" if message.resolved else kind
        told = service.notify(body=message.text, title=message.title, notify_type=kind, body_format="text")
        return "" if told else "the service did not take it"

    def close(self) -> None:
        pass


class _Plugin:
    """What an installed plug-in brings."""

    def __init__(self, definition: PluginNotifier, request: SinkRequest) -> None:
        self._definition = definition
        self._request = request
        self._tell: Callable[[str, str], None] | None = None

    def send(self, message: Message) -> SendResult:
        try:
            if self._tell is None:
                self._tell = self._found()
            self._tell(message.title, message.text)
        except ConfigError as error:
            return Stopped(str(error))
        except Exception as error:  # noqa: BLE001 - somebody else's code; its message may hold a secret
            return Retry(f"the plug-in raised {type(error).__name__}")
        return Delivered()

    def _found(self) -> Callable[[str, str], None]:
        name, options = self._definition.plugin, self._definition.options
        found: Callable[[str, str], None] | None = self._request.plugins.hook.swarmtask_notifier(
            name=name, options=options, environ=self._request.environ
        )
        if found is None:
            raise ConfigError(f"no installed plug-in has the notifier {name!r}")
        return found

    def close(self) -> None:
        pass


class _Github:
    """Workflow commands, put where whoever prints into the job's log finds them; nothing outside GitHub Actions."""

    def __init__(self, request: SinkRequest) -> None:
        self._path = request.project.annotations
        self._on = request.environ.get("GITHUB_ACTIONS") == "true"
        self._root = request.project.root
        self._workspace = os.path.abspath(request.environ.get("GITHUB_WORKSPACE") or self._root)

    def send(self, message: Message) -> SendResult:
        if not self._on:
            return Delivered()
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(fd, f"{annotation(message, self._inside)}\n".encode("utf-8", "replace"))
            finally:
                os.close(fd)
        except OSError as error:
            return Retry(f"{self._path}: {error.strerror}")
        return Delivered()

    def _inside(self, file: str) -> str:
        """Return a file's path as seen from the workspace, which is what GitHub knows it by."""
        path = os.path.join(self._root, file)
        return os.path.relpath(path, self._workspace) if path.startswith(self._workspace + os.sep) else file

    def close(self) -> None:
        pass


def annotation(message: Message, inside: Callable[[str], str] = str) -> str:
    """Return a message as a workflow command of GitHub Actions; `inside` makes paths what GitHub knows them by.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    kind = {"info": "notice", "warning": "warning", "critical": "error"}[message.severity]
    kind = "notice" if message.resolved else kind
    file, _, line = message.place.rpartition(":")
    place = f"file={_property(inside(file))},line={line}," if file and line.isdigit() else ""
    return f"::{kind} {place}title={_property(message.title)}::{_data(message.text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_json(message: Message) -> dict[str, object]:
    """Return a message as the JSON object that webhooks get."""
    return {
        "name": message.name,
        "state": "resolved" if message.resolved else "firing",
        "severity": message.severity,
        "subject": message.subject,
        "title": message.title,
        "text": message.text,
        "since": message.since,
        "link": message.link,
    }


def values(message: Message) -> dict[str, object]:
    """Return what templates may name about a message: its own fields, and those of its event."""
    return {**message.values, **as_json(message)}
