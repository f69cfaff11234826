"""Channels carry messages: the relay's log, a webhook, Apprise, annotations of GitHub Actions, plug-ins."""

from __future__ import annotations

import json
import logging
import os
from abc import ABC, abstractmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_swarmtask.config import monitoring
from pytest_swarmtask.config.variables import expand, expand_all
from pytest_swarmtask.core.errors import ConfigError
from pytest_swarmtask.core.files import open_own
from pytest_swarmtask.core.service_errors import EndpointError
from pytest_swarmtask.core.text import neutral
from pytest_swarmtask.plugins.sink import Delivered, Retry, Stopped
from pytest_swarmtask.relay.delivery.templates import fill_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_swarmtask.config.workflow import Workflow
    from pytest_swarmtask.plugins.hookspecs import SinkRequest
    from pytest_swarmtask.plugins.sink import SendResult
    from pytest_swarmtask.relay.http.endpoint import HttpEndpoint
    from pytest_swarmtask.relay.notify.message import Message

_log = logging.getLogger("pytest_swarmtask.relay")

_NO_APPRISE = 'Apprise is not installed: pip install "pytest-swarmtask[notify]"'

Definition = TypeVar("Definition", bound=monitoring.Notifier)


class Channel(ABC, Generic[Definition]):
    """Sends the messages of one notifier. There is one class for each `kind` of notifier.

    Args:
        definition: the notifier's configuration.
        workflow: the whole configuration.
        request: the endpoint that sends messages: its project, variables and plug-ins.
    """

    def __init__(self, definition: Definition, workflow: Workflow, request: SinkRequest) -> None:
        self._definition = definition
        self._workflow = workflow
        self._request = request

    @abstractmethod
    def send(self, message: Message) -> SendResult:
        """Send a message. Never raises.

        Returns:
            `Delivered`, `Retry` to be called again later, or anything else if the message cannot be sent.
        """

    def check(self) -> None:
        """Check what can be checked without sending anything.

        Raises:
            ConfigError, EndpointError: no message could be sent.
        """

    def close(self) -> None:
        """Close connections."""


def open_channel(definition: monitoring.AnyNotifier, workflow: Workflow, request: SinkRequest) -> Channel[Any]:
    """Return the channel of a notifier."""
    return _CLASSES[type(definition)](definition, workflow, request)


class LogChannel(Channel[monitoring.LogNotifier]):
    """Writes messages to the relay's log, one line each."""

    def send(self, message: Message) -> SendResult:
        """Log a message. A resolved one says so in its title, so it needs no severity."""
        lines = message.text.splitlines()
        rest = lines[1:] if lines and lines[0] in message.title else lines  # the title already contains the first line
        text = neutral(" | ".join([message.title, *rest]))
        _log.warning("%s", text if message.resolved else f"{message.severity}: {text}")
        return Delivered()


class WebhookChannel(Channel[monitoring.WebhookNotifier]):
    """Posts messages to a configured webhook, signed and answered like a delivery of events."""

    _endpoint: HttpEndpoint | None = None

    def send(self, message: Message) -> SendResult:
        """Post a message."""
        try:
            content = json.dumps(self._body(message), ensure_ascii=False).encode("utf-8", "replace")
            return self._open().post(f"note_{message.id}", "application/json", content, 1)
        except (ConfigError, EndpointError) as error:
            return Stopped(str(error))
        except Exception as error:  # noqa: BLE001 - other notifiers still have to send
            self.close()
            return Retry(f"unexpected {type(error).__name__}")

    def check(self) -> None:
        """Check the variables of the webhook and of the body."""
        self._open()
        expand_all(self._definition.body or {}, self._request.environ)

    def _body(self, message: Message) -> Any:
        template = self._definition.body
        if template is None:
            return as_json(message)
        return fill_all(expand_all(template, self._request.environ), values(message))

    def _open(self) -> HttpEndpoint:
        if self._endpoint is None:
            from pytest_swarmtask.relay.http.endpoint import HttpEndpoint  # an HTTP client, which others do not need

            webhooks = self._workflow.task_integration.webhooks
            webhook = next(one for one in webhooks if one.name == self._definition.webhook)
            self._endpoint = HttpEndpoint(webhook, self._request.environ, self._request.project.root)
        return self._endpoint

    def close(self) -> None:
        """Close the connection; the next message opens it again."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None


class AppriseChannel(Channel[monitoring.AppriseNotifier]):
    """Sends messages to chat and mail services. Their URLs contain secrets, so nothing logs or repeats a URL."""

    _message: Message | None = None
    _delivered: frozenset[int] = frozenset()

    def send(self, message: Message) -> SendResult:
        """Send a message to each service. A second attempt leaves out services that have it already."""
        if message != self._message:
            self._message, self._delivered = message, frozenset()
        for number, url in enumerate(self._definition.urls):
            if number in self._delivered:
                continue
            try:
                problem = self._send_to(url, message)
            except ConfigError as error:
                return Stopped(f"urls[{number}]: {error}")
            except ImportError:
                return Stopped(_NO_APPRISE)
            except Exception as error:  # noqa: BLE001 - from any of a hundred services; its text may contain the URL
                problem = f"unexpected {type(error).__name__}"
            if problem:
                return Retry(f"urls[{number}]: {problem}")
            self._delivered |= {number}
        return Delivered()

    def check(self) -> None:
        """Check the variables of the URLs, and that Apprise is there."""
        if find_spec("apprise") is None:
            raise ConfigError(_NO_APPRISE)
        for url in self._definition.urls:
            expand(url, self._request.environ)

    def _send_to(self, url: str, message: Message) -> str:
        """Send a message to one service. Return why that failed, or an empty text."""
        import apprise

        for name in ("apprise", "requests", "urllib3"):  # each of them logs URLs
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        service = apprise.Apprise()
        if not service.add(expand(url, self._request.environ)):
            raise ConfigError("no URL that Apprise knows, once its variables are filled in")
        kind = {"info": "info", "warning": "warning", "critical": "failure"}[message.severity]
        kind = "success" if message.resolved else kind
        sent = service.notify(body=message.text, title=message.title, notify_type=kind, body_format="text")
        return "" if sent else "the service did not take it"


class PluginChannel(Channel[monitoring.PluginNotifier]):
    """Sends messages with a function of an installed plug-in."""

    _function: Callable[[str, str], None] | None = None

    def send(self, message: Message) -> SendResult:
        """Call the plug-in's function."""
        try:
            self._found()(message.title, message.text)
        except ConfigError as error:
            return Stopped(str(error))
        except Exception as error:  # noqa: BLE001 - foreign code; the text of its error may contain a secret
            return Retry(f"the plug-in raised {type(error).__name__}")
        return Delivered()

    def check(self) -> None:
        """Look for the plug-in's function."""
        self._found()

    def _found(self) -> Callable[[str, str], None]:
        if self._function is None:
            self._function = self._find()
        return self._function

    def _find(self) -> Callable[[str, str], None]:
        name, options = self._definition.plugin, expand_all(self._definition.options, self._request.environ)
        found: Callable[[str, str], None] | None = self._request.plugins.hook.swarmtask_notifier(
            name=name, options=options, environ=self._request.environ
        )
        if found is None:
            raise ConfigError(f"no installed plug-in has the notifier {name!r}")
        return found


class GithubChannel(Channel[monitoring.GithubNotifier]):
    """Writes annotations of GitHub Actions into a file. Outside of GitHub Actions it drops messages.

    GitHub reads annotations from the output of a job's step, where a relay cannot print. So the next pytest session
    that ends, or `swarmtask flush`, prints the file.
    """

    def send(self, message: Message) -> SendResult:
        """Append one annotation to the file."""
        if self._request.environ.get("GITHUB_ACTIONS") != "true":
            return Delivered()
        path = self._request.project.annotations
        try:
            fd = open_own(path, os.O_WRONLY | os.O_APPEND)
            try:  # one write: several relays and the printing process use the file at the same time
                os.write(fd, f"{annotation(message, self._inside)}\n".encode("utf-8", "replace"))
            finally:
                os.close(fd)
        except OSError as error:
            return Retry(f"{path}: {error.strerror}")
        return Delivered()

    def check(self) -> None:
        """Check that there is a job to annotate."""
        if self._request.environ.get("GITHUB_ACTIONS") != "true":
            raise ConfigError("found kind github, which annotates a job of GitHub Actions, and this is none")

    def _inside(self, file: str) -> str:
        return in_workspace(file, self._request.project.root, self._request.environ)


def in_workspace(file: str, root: str, environ: Mapping[str, str]) -> str:
    """Return the path of a project's file relative to GitHub's workspace, of which the project may be a subfolder."""
    workspace = os.path.abspath(environ.get("GITHUB_WORKSPACE") or root)
    path = os.path.join(root, file)
    return os.path.relpath(path, workspace) if path.startswith(workspace + os.sep) else file


_CLASSES: dict[type[monitoring.Notifier], type[Channel[Any]]] = {
    monitoring.LogNotifier: LogChannel,
    monitoring.WebhookNotifier: WebhookChannel,
    monitoring.AppriseNotifier: AppriseChannel,
    monitoring.PluginNotifier: PluginChannel,
    monitoring.GithubNotifier: GithubChannel,
}


def annotation(message: Message, inside: Callable[[str], str] = str) -> str:
    """Return a message as a workflow command of GitHub Actions.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands

    Args:
        message: the message.
        inside: turns a path of the project into a path of GitHub's workspace.
    """
    kind = {"info": "notice", "warning": "warning", "critical": "error"}[message.severity]
    kind = "notice" if message.resolved else kind
    file, _, line = message.place.rpartition(":")
    place = f"file={_property(inside(file))},line={line}," if file and line.isdigit() else ""
    return f"::{kind} {place}title={_property(message.title)}::{_data(message.text)}"


def _data(text: str) -> str:
    """Escape the message of a workflow command, as GitHub's own toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Escape a property of a workflow command."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_json(message: Message) -> dict[str, object]:
    """Return a message as the JSON object that is sent to webhooks without a `body` of their own."""
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
    """Return what templates may name: the fields of the message, and the fields of its event."""
    return {**message.values, **as_json(message)}
