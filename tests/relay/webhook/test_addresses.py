"""A webhook connects only to an address that it has checked, and only to a server with a valid certificate."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from pytest_swarmtask.plugins.sink import Delivered, Retry, Stopped
from tests.relay.webhook.servers import OK, ONE, Serve, Server, SinkTo

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_proxy")


class TestAddresses:
    @pytest.mark.parametrize(
        "url", ["http://169.254.169.254/latest", "https://[fe80::1]/", "http://[::ffff:169.254.169.254]/", "http://0/"]
    )
    def test_link_local_is_refused_even_when_all_is_allowed(self, sink_to: SinkTo, url: str) -> None:
        verdict = sink_to(url, allow_http=True, allow_private=True).send(ONE)
        assert isinstance(verdict, Stopped)
        assert "never allowed" in verdict.reason

    def test_private_and_plain_http_must_be_asked_for(self, sink_to: SinkTo) -> None:
        verdict = sink_to("https://10.255.255.1/").send(ONE)
        assert isinstance(verdict, Stopped)
        assert "allow_private" in verdict.reason
        verdict = sink_to("http://93.184.216.34/").send(ONE)
        assert isinstance(verdict, Stopped)
        assert "allow_http" in verdict.reason

    def test_localhost_is_found_on_whichever_address_listens(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve()
        naming(monkeypatch, {"localhost": ["::1", "127.0.0.1"]})
        sink = sink_to(f"http://localhost:{server.port}/")
        assert [sink.send(ONE), sink.send(ONE)] == [Delivered(), Delivered()]
        assert server.requests[0].headers["host"] == f"localhost:{server.port}"

    def test_a_name_that_changes_its_mind_cannot_slip_through(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The connection goes to the checked address, since no second lookup takes place."""
        server = serve()
        asked = naming(monkeypatch, {"rebind.example": ["127.0.0.1"]})
        sink = sink_to(f"http://rebind.example:{server.port}/")
        assert sink.send(ONE) == Delivered()
        assert asked == ["rebind.example"]
        assert server.requests[0].headers["host"] == f"rebind.example:{server.port}"

    def test_a_name_is_checked_again_when_it_is_resolved_again(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(lambda connection: connection.sendall(OK) and None)
        names = {"rebind.example": ["127.0.0.1"]}
        naming(monkeypatch, names)
        sink = sink_to(f"http://rebind.example:{server.port}/", allow_http=True, allow_private=True)
        assert sink.send(ONE) == Delivered()
        names["rebind.example"] = ["169.254.169.254"]
        sink.close()
        assert isinstance(sink.send(ONE), Stopped)

    def test_the_next_address_gets_its_turn_when_the_first_is_silent(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve()
        naming(monkeypatch, {"two.example": ["127.0.0.2", "127.0.0.1"]})
        real = socket.create_connection
        tried: list[str] = []

        def create_connection(address: tuple[str, int], timeout: float, **options: Any) -> socket.socket:
            tried.append(address[0])
            if address[0] == "127.0.0.2":
                time.sleep(timeout)
                raise TimeoutError("timed out")
            return real(address, timeout, **options)

        monkeypatch.setattr(socket, "create_connection", create_connection)
        sink = sink_to(f"http://two.example:{server.port}/", timeout=1.0)
        assert sink.send(ONE) == Delivered()
        assert tried == ["127.0.0.2", "127.0.0.1"]

    def test_a_proxy_of_the_environment_is_used_and_gets_the_name(
        self, serve: Serve, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        proxy = serve()
        monkeypatch.setenv("http_proxy", f"http://user:pw@127.0.0.1:{proxy.port}")
        sink = sink_to("http://receiver.invalid/hook", allow_http=True)
        assert sink.send(ONE) == Delivered()
        (request,) = proxy.requests
        assert request.line == "POST http://receiver.invalid/hook HTTP/1.1"
        assert request.headers["proxy-authorization"] == "Basic dXNlcjpwdw=="

    def test_a_proxy_that_refuses_the_tunnel_is_named(self, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch) -> None:
        with RefusingProxy() as port:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            verdict = sink_to("https://receiver.invalid/hook").send(ONE)
        assert isinstance(verdict, Retry)
        assert "proxy" in verdict.reason

    def test_plain_http_through_a_proxy_must_be_asked_for_too(
        self, sink_to: SinkTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        verdict = sink_to("http://receiver.invalid/").send(ONE)
        assert isinstance(verdict, Stopped)
        assert "allow_http" in verdict.reason


def naming(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    """Let names resolve as given, and return a list that records the requested names."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        if host not in names:
            return list(real(host, port, *args, **options))
        asked.append(host)
        return [found for name in names[host] for found in real(name, port, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


class RefusingProxy:
    """A proxy that answers every CONNECT with 403."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_error(403)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    def __enter__(self) -> int:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return int(self._server.server_port)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + path.with_suffix(".pem.crt").read_bytes())
    return path


class TestTls:
    @pytest.fixture
    def port(self, serve: Serve, certificate: Path) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server: Server = serve(context=context)
        return server.port

    def test_a_certificate_that_nobody_trusts_is_refused(self, sink_to: SinkTo, port: int) -> None:
        verdict = sink_to(f"https://localhost:{port}/").send(ONE)
        assert isinstance(verdict, Retry)
        assert "certificate" in verdict.reason.lower()

    def test_a_trusted_certificate_is_checked_against_the_name_not_the_address(
        self, sink_to: SinkTo, port: int, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
        naming(monkeypatch, {"other.example": ["127.0.0.1"]})
        assert sink_to(f"https://localhost:{port}/").send(ONE) == Delivered()
        verdict = sink_to(f"https://other.example:{port}/").send(ONE)
        assert isinstance(verdict, Retry)
        assert "certificate" in verdict.reason.lower()

    def test_plain_http_where_tls_is_spoken_and_the_reverse_are_tried_again(
        self, serve: Serve, sink_to: SinkTo, port: int
    ) -> None:
        assert isinstance(sink_to(f"http://localhost:{port}/", timeout=1.0).send(ONE), Retry)
        assert isinstance(sink_to(serve().url.replace("http", "https"), timeout=1.0).send(ONE), Retry)
