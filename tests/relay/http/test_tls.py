"""TLS with real servers and a real proxy is verified by default, and otherwise follows the configuration."""

from __future__ import annotations

import datetime as dt
import json
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_swarmtask.config.workflow import Webhook
from pytest_swarmtask.plugins.sink import Delivered, Retry, Stopped
from pytest_swarmtask.relay.webhook.sink import WebhookSink
from tests.lab import SECRET, Lab
from tests.receiver.test_verifier import record

ONE = [record()]
ENVIRON = {"AUTOMATION_SECRET_KEY": SECRET}
Send = Callable[..., Any]


class Handler(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.served.append(self.headers["host"])  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def do_CONNECT(self) -> None:
        """Act as a proxy: open the requested tunnel, always to the same server."""
        proxy: Proxy = self.server  # type: ignore[assignment]
        proxy.served.append(self.path)
        proxy.credentials.append(self.headers["proxy-authorization"])
        with socket.create_connection(("127.0.0.1", proxy.target), timeout=10) as there:
            self.send_response(200)
            self.end_headers()
            sockets = [self.connection, there]
            while True:
                for one in select.select(sockets, [], [], 10)[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    sockets[one is sockets[0]].sendall(data)

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def log_message(self, *args: object) -> None: ...


class Server(ThreadingHTTPServer):
    """A server on loopback that uses TLS if it has a context."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context
        self.served: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def finish_request(self, request: Any, client_address: Any) -> None:
        with suppress(OSError):
            request.settimeout(10)
            tls = self.context.wrap_socket(request, server_side=True) if self.context else request
            super().finish_request(tls, client_address)
            if self.context:
                tls.close()


class Proxy(Server):
    def __init__(self, target: int) -> None:
        self.target = target
        self.credentials: list[str | None] = []
        super().__init__()


class Authority:
    """A certificate authority and its servers. The project's folder contains the trusted certificate."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ca = trustme.CA()
        self.servers: list[Server] = []
        self.ca.cert_pem.write_to_path(str(root / "ca.pem"))

    def context(self, *names: str, clients: trustme.CA | None = None, **more: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, **more).configure_cert(context)
        if clients is not None:
            clients.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def serve(self, *names: str, **more: Any) -> Server:
        self.servers.append(Server(self.context(*names or ("localhost",), **more)))
        return self.servers[-1]

    def proxy(self, target: Server) -> Proxy:
        self.servers.append(Proxy(target.server_port))
        return self.servers[-1]  # type: ignore[return-value]

    def client(self, name: str = "client", ca: trustme.CA | None = None) -> None:
        """Write the certificate and key of a client, both as separate files and as one file."""
        issued = (ca or self.ca).issue_cert("client@example")
        issued.cert_chain_pems[0].write_to_path(str(self.root / f"{name}.crt"))
        issued.private_key_pem.write_to_path(str(self.root / f"{name}.key"))
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.root / f"{name}.pem"))


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    made = Authority(tmp_path)
    yield made
    for server in made.servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def send(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Send:
    """Return a function that sends one event to a URL or a server, with the options of a webhook."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def sending(to: Server | str, environ: dict[str, str] | None = None, **options: Any) -> Any:
        url = to if isinstance(to, str) else f"https://localhost:{to.server_port}/hook"
        definition = Webhook(**{"name": "hook", "url": url, "timeout": 5.0, **options})
        sink = WebhookSink(definition, {**ENVIRON, **(environ or {})}, tmp_path)
        try:
            return sink.send(ONE)
        finally:
            sink.close()

    return sending


def refused(verdict: Any, *words: str) -> None:
    """Check that nothing was delivered because of the certificate."""
    assert isinstance(verdict, Retry)
    assert any(word in verdict.reason.lower() for word in words or ("certificate",)), verdict.reason


class TestServers:
    def test_an_authority_that_nobody_trusts_is_refused(self, authority: Authority, send: Send) -> None:
        server = authority.serve()
        refused(send(server))
        assert server.served == []

    def test_one_that_the_configuration_trusts_is_accepted(self, authority: Authority, send: Send) -> None:
        server = authority.serve()
        assert send(server, ca_file="ca.pem") == Delivered()
        assert send(server, {"AUTHORITIES": str(authority.root)}, ca_file="${AUTHORITIES}/ca.pem") == Delivered()

    def test_it_is_then_trusted_alone(self, authority: Authority, send: Send, tmp_path: Path) -> None:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        refused(send(authority.serve(), ca_file="other.pem"))

    def test_a_certificate_for_another_host_is_refused(self, authority: Authority, send: Send) -> None:
        server = authority.serve("other.example")
        refused(send(server, ca_file="ca.pem"))
        assert server.served == []

    def test_an_expired_certificate_is_refused(self, authority: Authority, send: Send) -> None:
        server = authority.serve(not_after=dt.datetime.now(dt.timezone.utc) - dt.timedelta(hours=1))
        refused(send(server, ca_file="ca.pem"))
        assert server.served == []


class TestClients:
    @pytest.mark.parametrize(
        "files", [{"client_cert": "client.pem"}, {"client_cert": "client.crt", "client_key": "client.key"}]
    )
    def test_our_certificate_lets_us_in(self, authority: Authority, send: Send, files: dict[str, str]) -> None:
        authority.client()
        server = authority.serve(clients=authority.ca)
        assert send(server, ca_file="ca.pem", **files) == Delivered()

    def test_without_one_or_with_a_stranger_s_we_stay_outside(self, authority: Authority, send: Send) -> None:
        authority.client("stranger", trustme.CA())
        server = authority.serve(clients=authority.ca)
        for files in ({}, {"client_cert": "stranger.pem"}):
            assert isinstance(send(server, ca_file="ca.pem", **files), Retry)
        assert server.served == []


@pytest.fixture
def bad_files(authority: Authority) -> Authority:
    """An authority whose folder contains all kinds of unusable files."""
    authority.client()
    authority.client("other")
    root = authority.root
    (root / "text.pem").write_text("hello")
    (root / "empty.pem").write_text("")
    encrypted = root / "encrypted.key"
    openssl = shutil.which("openssl")
    assert openssl, "openssl is not installed"
    options = ["-in", root / "client.key", "-aes256", "-passout", "pass:hunter2", "-out", encrypted]
    subprocess.run([openssl, "pkey", *map(str, options)], check=True, capture_output=True)
    return authority


BAD = [
    ({"ca_file": "gone.pem"}, "ca_file", "gone.pem cannot be read: No such file"),
    ({"ca_file": "."}, "ca_file", "cannot be read: not a regular file"),
    ({"ca_file": "text.pem"}, "ca_file", "text.pem holds no certificate"),
    ({"ca_file": "empty.pem"}, "ca_file", "empty.pem holds no certificate"),
    ({"client_cert": "gone.pem"}, "client_cert", "gone.pem cannot be read: No such file"),
    ({"client_cert": "text.pem"}, "client_cert", "text.pem cannot be used, expected a certificate and its key in PEM"),
    ({"client_cert": "client.crt"}, "client_cert", "expected a certificate and its key in PEM, or client_key"),
    ({"client_cert": "client.crt", "client_key": "gone.key"}, "client_key", "gone.key cannot be read"),
    ({"client_cert": "client.crt", "client_key": "text.pem"}, "client_key", "text.pem holds no key"),
    ({"client_cert": "client.crt", "client_key": "other.key"}, "client_key", "a key that is not the one of"),
    ({"client_cert": "client.crt", "client_key": "encrypted.key"}, "client_key", "encrypted.key is encrypted"),
]


class TestFiles:
    @pytest.mark.parametrize(("files", "key", "words"), BAD)
    def test_a_file_that_cannot_be_used_stops_the_endpoint_and_is_named(
        self, bad_files: Authority, send: Send, files: dict[str, str], key: str, words: str
    ) -> None:
        verdict = send("https://localhost:9/", **files)
        assert isinstance(verdict, Stopped)
        assert verdict.reason.startswith(f"{key}: ")
        assert words in verdict.reason

    def test_a_variable_that_is_not_set_is_named(self, send: Send) -> None:
        verdict = send("https://localhost:9/", ca_file="${UNSET}/ca.pem")
        assert isinstance(verdict, Stopped)
        assert "UNSET is not set" in verdict.reason

    def test_validate_and_doctor_find_it_in_every_environment(self, lab: Lab) -> None:
        good = {"name": "a", "url": "https://a.example/"}
        bad = {**good, "ca_file": "gone.pem"}
        lab.webhooks(good, environments={"prod": {"task_integration": {"webhooks": [bad]}}})
        done = lab.run("config", "validate")
        assert done.returncode == 2
        assert "environments.prod (workflow.yaml:1): task_integration.webhooks[0].ca_file: " in done.stderr
        assert f"{lab.root}/gone.pem cannot be read: No such file" in done.stderr
        assert "Traceback" not in done.stderr
        done = lab.run("doctor", "--no-ping", WORKFLOW_ENVIRONMENT="prod")
        assert done.returncode == 1
        assert f"BAD  webhook a: ca_file: {lab.root}/gone.pem cannot be read" in done.stdout
        assert lab.run("doctor", "--no-ping").returncode == 0

    def test_a_missing_file_does_not_make_a_run_go_by_the_defaults(self, lab: Lab) -> None:
        """If a file of a webhook is missing, its events stay pending until the file exists."""
        lab.environ.pop("TASKMASTER_WEBHOOK_URL")
        lab.webhooks({"name": "a", "url": "https://a.example/", "ca_file": "gone.pem"})
        lab.emit("TASK_STARTED", "x")
        lab.wait_for_end()
        assert "ca_file" in lab.run("status").stdout
        assert lab.status()["endpoints"]["a"]["waiting"] == 1

    def test_a_key_without_its_certificate_is_a_problem_of_the_configuration(self, lab: Lab) -> None:
        lab.webhooks({"name": "a", "url": "https://a.example/", "client_key": "a.key"})
        done = lab.run("config", "validate")
        assert done.returncode == 2
        assert "webhooks[0].client_cert: found nothing, expected the certificate of client_key" in done.stderr


class TestProxy:
    def test_it_is_gone_through_and_tls_is_with_the_receiver(self, authority: Authority, send: Send) -> None:
        server = authority.serve("receiver.example")
        proxy = authority.proxy(server)
        environ = {"PROXY": f"http://user:p%40ss@127.0.0.1:{proxy.server_port}"}
        assert send("https://receiver.example/hook", environ, proxy="${PROXY}", ca_file="ca.pem") == Delivered()
        assert proxy.served == ["receiver.example:443"]
        assert proxy.credentials == ["Basic dXNlcjpwQHNz"]
        assert server.served == ["receiver.example"]

    def test_the_receiver_is_verified_behind_it_too(self, authority: Authority, send: Send) -> None:
        server = authority.serve("other.example")
        proxy = f"http://127.0.0.1:{authority.proxy(server).server_port}"
        refused(send("https://receiver.example/", proxy=proxy, ca_file="ca.pem"))
        refused(send("https://other.example/", proxy=proxy))
        assert server.served == []

    def test_our_certificate_is_shown_to_the_receiver(self, authority: Authority, send: Send) -> None:
        authority.client()
        server = authority.serve("receiver.example", clients=authority.ca)
        options = {"proxy": f"http://127.0.0.1:{authority.proxy(server).server_port}", "ca_file": "ca.pem"}
        assert send("https://receiver.example/", **options, client_cert="client.pem") == Delivered()
        assert isinstance(send("https://receiver.example/", **options), Retry)

    def test_the_configuration_s_comes_before_the_environment_s(
        self, authority: Authority, send: Send, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        proxy = authority.proxy(authority.serve("localhost"))
        verdict = send("https://localhost/", proxy=f"http://127.0.0.1:{proxy.server_port}", ca_file="ca.pem")
        assert (verdict, proxy.served) == (Delivered(), ["localhost:443"])

    @pytest.mark.parametrize("proxy", ["http://169.254.169.254:80", "http://[fe80::1]:3128", "http://0.0.0.0:1"])
    def test_it_may_not_be_at_a_metadata_address(self, send: Send, proxy: str) -> None:
        verdict = send("https://receiver.example/", proxy=proxy)
        assert isinstance(verdict, Stopped)
        assert "never allowed" in verdict.reason

    def test_it_is_not_asked_for_a_metadata_address(self, authority: Authority, send: Send) -> None:
        proxy = authority.proxy(authority.serve())
        url = f"http://127.0.0.1:{proxy.server_port}"
        verdict = send("https://169.254.169.254/", proxy=url, allow_private=True)
        assert isinstance(verdict, Stopped)
        assert proxy.served == []

    @pytest.mark.parametrize(
        "proxy", ["socks5://user:hunter2@127.0.0.1:1", "http://user:hunter2@[::1", "http://user:hunter2@host:port"]
    )
    def test_one_that_cannot_be_used_stops_the_endpoint_and_is_not_repeated(self, send: Send, proxy: str) -> None:
        verdict = send("https://receiver.example/", {"PROXY": proxy}, proxy="${PROXY}")
        assert isinstance(verdict, Stopped)
        assert "proxy" in verdict.reason
        assert "hunter2" not in verdict.reason

    def test_a_password_may_not_stand_in_the_file(self, lab: Lab) -> None:
        lab.webhooks({"name": "a", "url": "https://a.example/", "proxy": "http://user:hunter2@proxy.example"})
        done = lab.run("config", "validate")
        assert done.returncode == 2
        assert "webhooks[0].proxy" in done.stderr
        assert "hunter2" not in done.stderr


def test_a_relay_delivers_through_proxy_and_tls_as_configured(lab: Lab, authority: Authority) -> None:
    """A relay delivers through the configured proxy and TLS, with paths relative to the project."""
    authority.client()
    for name in ("ca.pem", "client.crt", "client.key"):
        shutil.copy(authority.root / name, lab.root)
    server = authority.serve("receiver.example", clients=authority.ca)
    proxy = authority.proxy(server)
    files = {"ca_file": "ca.pem", "client_cert": "client.crt", "client_key": "${KEYS:-.}/client.key"}
    lab.webhooks({"name": "a", "url": "https://receiver.example/", "proxy": "${PROXY}", **files})
    url = f"http://user:hunter2@127.0.0.1:{proxy.server_port}"
    lab.environ.pop("TASKMASTER_WEBHOOK_URL")
    (lab.root / "below").mkdir()
    lab.python(
        "import os; os.chdir('below'); from pytest_swarmtask.emit import emit; emit(['TASK_STARTED'])", PROXY=url
    )
    lab.wait_for_end()
    assert lab.status()["endpoints"]["a"]["delivered"] == 1, lab.log()
    assert (proxy.served, server.served) == (["receiver.example:443"], ["receiver.example"])
    written = [path.read_bytes() for path in lab.journal.rglob("*") if path.is_file()]
    assert b"hunter2" not in b"".join(written)
    assert "hunter2" not in json.dumps(lab.status())
