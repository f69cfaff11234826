"""The address of an endpoint, with its variables filled in."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from pytest_swarmtask.core.errors import ConfigError

_PORTS = {"http": 80, "https": 443}
# Characters that a path or a query may contain as they are (RFC 3986, sections 3.3 and 3.4), and "%" of those that are
# quoted already.
_AS_THEY_ARE = "%/:@!$&'()*+,;=-._~?"


class Url(NamedTuple):
    """A URL for HTTP.

    Attributes:
        scheme: ``http`` or ``https``.
        userinfo: ``user:password``, percent-encoded, or empty.
        host: the name in ASCII, or the address without brackets.
        port: the port, also if it is the usual one.
        target: path and query.
    """

    scheme: str
    userinfo: str
    host: str
    port: int
    target: str

    @property
    def bracketed_host(self) -> str:
        """The host as URLs have it, with brackets around an IPv6 address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def netloc(self) -> str:
        """The host, with the port unless it is the usual one."""
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.bracketed_host}{port}"

    @property
    def origin(self) -> str:
        """Scheme and host, for messages: path and query of a webhook's URL may be secret."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def absolute(self) -> str:
        """The whole URL without user and password, as a proxy gets it."""
        return f"{self.origin}{self.target}"

    def credentials(self) -> tuple[str, str] | None:
        """Return user and password of the URL, or None if it has none."""
        if not self.userinfo:
            return None
        user, _, password = self.userinfo.partition(":")
        return unquote(user), unquote(password)


def parse_url(text: str) -> Url:
    """Return a URL.

    Raises:
        ConfigError: it is no URL for HTTP; the message does not quote it.
    """
    try:
        parts = urlsplit(text.strip())
        host = parts.hostname or ""
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    except ValueError:
        raise ConfigError("url is not a valid URL once its variables are filled in") from None
    if parts.scheme not in _PORTS or not host:
        raise ConfigError("url must start with https:// or http:// and a host once its variables are filled in")
    if not host.isprintable() or any(character in host for character in ' <>^`{|}\\"%'):
        raise ConfigError("url is not a valid URL once its variables are filled in")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ConfigError("url names a port that there is not, expected 1 to 65535")
    target = quote(parts.path or "/", safe=_AS_THEY_ARE) + (
        f"?{quote(parts.query, safe=_AS_THEY_ARE)}" if parts.query else ""
    )
    userinfo = parts.netloc.rpartition("@")[0]
    return Url(parts.scheme, userinfo, host, port or _PORTS[parts.scheme], target)
