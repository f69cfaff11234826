"""A connection goes only to an address that was checked, whatever the name of the endpoint."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address
from typing import Any

import pytest

from pytest_swarmtask.core.service_errors import EndpointError
from pytest_swarmtask.relay.http import address

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "fd00::1",
    "fec0::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "198.18.0.1",
    "240.0.0.1",
]
PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"]
LOOPBACK = ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"]


def resolving(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


class TestRules:
    @pytest.mark.parametrize("found", NEVER)
    def test_link_local_metadata_and_no_hosts_are_never_allowed(self, found: str) -> None:
        with pytest.raises(EndpointError, match="never allowed"):
            address.resolve(found, 443, allow_private=True)

    @pytest.mark.parametrize("found", PRIVATE)
    def test_private_addresses_must_be_asked_for(self, found: str) -> None:
        with pytest.raises(EndpointError, match="allow_private"):
            address.resolve(found, 443, allow_private=False)
        assert address.resolve(found, 443, allow_private=True) == [found]

    @pytest.mark.parametrize("found", PUBLIC)
    def test_public_addresses_are_allowed_but_not_unencrypted(self, found: str) -> None:
        assert address.resolve(found, 443, allow_private=False) == [found]
        with pytest.raises(EndpointError, match="allow_http"):
            address.resolve(found, 80, allow_private=False, allow_http=False)

    @pytest.mark.parametrize("found", LOOPBACK)
    def test_loopback_is_always_allowed(self, found: str) -> None:
        assert address.resolve(found, 80, allow_private=False, allow_http=False) == [found]

    def test_an_address_written_in_another_way_is_the_same_address(self) -> None:
        """Other spellings of a forbidden address are refused too. A resolver reads these as 169.254.169.254."""
        for host in ("0xa9fea9fe", "2852039166", "0251.0376.0251.0376"):
            with pytest.raises(EndpointError, match="never allowed"):
                address.resolve(host, 80, allow_private=True)


class TestNames:
    def test_a_name_is_refused_for_what_it_resolves_to(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolving(monkeypatch, "169.254.169.254", "10.0.0.1")
        with pytest.raises(EndpointError, match=r"169\.254\.169\.254 .*never allowed.* 10\.0\.0\.1 .*allow_private"):
            address.resolve("innocent.example", 443, allow_private=False)

    def test_only_the_allowed_addresses_of_a_name_are_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolving(monkeypatch, "fe80::1%eth0", "93.184.216.34", "93.184.216.34")
        assert address.resolve("mixed.example", 443, allow_private=False) == ["93.184.216.34"]

    @pytest.mark.parametrize("host", ["does-not-exist.invalid", "a" * 64 + ".example", "a..b", ""])
    def test_a_name_without_address_is_an_error_of_the_network(self, host: str) -> None:
        with pytest.raises(OSError, match=r"\w"):
            address.resolve(host, 443, allow_private=True, timeout=20)

    def test_a_resolver_that_hangs_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        release = threading.Event()

        def getaddrinfo(*_: Any, **__: Any) -> None:
            release.wait(30)
            raise OSError("too late")

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="resolver"):
            address.resolve("slow.example", 443, allow_private=True, timeout=0.1)
        release.set()
        assert time.monotonic() - began < 20


class TestProxy:
    @pytest.fixture(autouse=True)
    def proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("https_proxy", "proxy.example:3128")

    def test_it_is_the_one_of_the_environment(self) -> None:
        assert address.proxy_for("https", "receiver.example") == "http://proxy.example:3128"
        assert address.proxy_for("http", "receiver.example") is None

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "::1", "127.9.9.9"])
    def test_loopback_is_reached_directly(self, host: str) -> None:
        assert address.proxy_for("https", host) is None

    def test_no_proxy_is_heeded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("no_proxy", ".example")
        assert address.proxy_for("https", "receiver.example") is None

    def test_a_link_local_address_is_not_asked_of_a_proxy_either(self) -> None:
        with pytest.raises(EndpointError, match="never allowed"):
            address.proxy_for("https", "169.254.169.254")

    def test_other_kinds_of_proxy_are_named_as_the_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", "socks5://user:hunter2@proxy.example")
        with pytest.raises(EndpointError, match="socks5 proxy") as caught:
            address.proxy_for("https", "receiver.example")
        assert "hunter2" not in str(caught.value)


def test_every_listed_address_is_of_its_kind() -> None:
    """The lists above contain only valid addresses, since a test with a typing error would prove nothing."""
    for one in (*NEVER, *PRIVATE, *PUBLIC, *LOOPBACK):
        ip_address(one)
