"""Address checks: to which addresses an endpoint may be connected.

A webhook's URL may come from someone else, and its host name may get another address at any time. So addresses are
checked, not names, and the connection goes to the very address that was checked (see `transport`).
"""

from __future__ import annotations

import queue
import socket
import threading
import urllib.request
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from pytest_swarmtask.core.service_errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = IPv4Address | IPv6Address

# Metadata services of clouds outside of the link-local range (AWS, Google Cloud, Alibaba Cloud, Azure, Oracle Cloud).
# They give the machine's credentials to anyone on it.
_METADATA = frozenset(
    map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
_THIS_NETWORK = IPv4Network("0.0.0.0/8")  # RFC 6890: addresses of no other host; 0.0.0.0 often reaches this one
_BROADCAST = IPv4Address("255.255.255.255")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052; the last 32 bits are an IPv4 address
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, section 2.5.5.1; the same, deprecated


def resolve(
    host: str, port: int, *, allow_private: bool, allow_http: bool = True, timeout: float | None = None
) -> list[str]:
    """Return the addresses of a host that may be connected to, in the resolver's order.

    Args:
        host: a name, or an address without brackets.
        port: TCP port.
        allow_private: the endpoint may be in a private network.
        allow_http: whether requests may leave this machine, because they are encrypted or the webhook has `allow_http`.
        timeout: seconds to wait for the resolver.

    Raises:
        EndpointError: every address of the host is refused; the message says why, and which setting would allow it.
        OSError: the host has no address, or the resolver did not answer in time.
    """
    allowed, refusals = [], []
    for found in lookup(host, port, timeout):
        refusal = refused(ip_address(found), allow_private=allow_private, allow_http=allow_http)
        if refusal:
            refusals.append(f"{found} {refusal}")
        else:
            allowed.append(found)
    if not allowed:
        raise EndpointError(f"{host} may not be connected to: {'; '.join(refusals)}")
    return allowed


def refused(address: Address, *, allow_private: bool, allow_http: bool) -> str:
    """Return the reason why an address may not be connected to, or an empty text if it may be."""
    return next(filter(None, (_refused(one, allow_private, allow_http) for one in _meanings(address))), "")


def _refused(address: Address, allow_private: bool, allow_http: bool) -> str:  # noqa: FBT001
    if address.is_link_local or address in _METADATA:
        return "is a link-local or metadata address, which is never allowed"
    if address.is_unspecified or address.is_multicast or address == _BROADCAST or address in _THIS_NETWORK:
        return "is not the address of one host, which is never allowed"
    if address.is_loopback:
        return ""
    if not allow_private and not _is_public(address):
        return "is a private address: set allow_private: true on the webhook if it is meant"
    if not allow_http:
        return "would get the events unencrypted: use https, or set allow_http: true on the webhook"
    return ""


def _is_public(address: Address) -> bool:
    return address.is_global and not (isinstance(address, IPv6Address) and address.is_site_local)


def _meanings(address: Address) -> Iterator[Address]:
    """Yield the addresses that traffic to an address may reach: itself, or the IPv4 address inside an IPv6 address."""
    if isinstance(address, IPv4Address):
        yield address
        return
    inner = address.ipv4_mapped
    if inner is None and address in _COMPATIBLE and int(address) > 1:  # ``::`` and ``::1`` are IPv6 addresses
        inner = IPv4Address(int(address))
    if inner is None:
        yield address
        inner = address.sixtofour
    if inner is None and address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        yield inner


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address alone; no resolver is asked."""
    if host.lower().rstrip(".").rpartition(".")[2] == "localhost":
        return True
    literal = _literal(host)
    return literal is not None and any(one.is_loopback for one in _meanings(literal))


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def lookup(host: str, port: int, timeout: float | None = None) -> list[str]:
    """Return all addresses of a host, without duplicates, in the resolver's order.

    `getaddrinfo` has no timeout, so it runs in a thread, which is left behind if it takes too long.

    Raises:
        OSError: the host has no address, or the resolver did not answer in time.
    """
    if _literal(host) is not None:
        return [host]
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(host, port, answers), name="swarmtask-resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError(f"no answer from the resolver within {timeout:g} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _ask(host: str, port: int, answers: queue.SimpleQueue[list[str] | OSError]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answers.put(list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)))
    except OSError as error:
        answers.put(error)
    except UnicodeError:  # a label that is empty or longer than 63 characters
        answers.put(OSError("not a host name"))


def proxy_for(scheme: str, host: str) -> str | None:
    """Return the URL of the proxy that the environment sets for a host, or None. Loopback never goes through a proxy.

    Raises:
        EndpointError: as `proxy_url`.
    """
    if is_loopback(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(host):
        return None
    return proxy_url(proxy, host)


def proxy_url(proxy: str, host: str) -> str:
    """Return the URL of a proxy, if a host may be reached through it.

    The proxy resolves names itself, so only a host that is an address can be checked here.

    Raises:
        EndpointError: the host is an address that is never allowed, or the proxy is no HTTP proxy.
    """
    literal = _literal(host)
    if literal is not None and (refusal := refused(literal, allow_private=True, allow_http=True)):
        raise EndpointError(f"{host} {refusal}")
    proxy = proxy.strip()
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if not proxy.startswith(("http://", "https://")):
        raise EndpointError(f"a {proxy.partition('://')[0]} proxy is not supported, only http is")
    return proxy


def resolve_proxy(host: str, port: int, timeout: float) -> list[str]:
    """Return the addresses of a proxy. Unlike webhooks, proxies usually have private addresses, so these are allowed.

    Raises:
        EndpointError, OSError: as `resolve`.
    """
    return resolve(host, port, allow_private=True, timeout=timeout)
