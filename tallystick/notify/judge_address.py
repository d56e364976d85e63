"""
Judge addresses: where webhooks may go, so that nobody reaches through this server what only this server can reach.

A name is resolved once, its addresses are judged, and the connection is made to one that was judged: what the name says
a moment later changes nothing. Whatever is not on the public internet is refused unless the operator allows its network.
"""

import asyncio
import ipaddress
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from tallystick.errors import InvalidInput

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

_NAMES = ThreadPoolExecutor(32, "webhook-names")
"""Threads of their own, since a name whose servers do not answer holds one for as long as it likes."""
_LONGEST_URL = 2048
_ALWAYS_PORTS = {80, 443}
_FIRST_FREE_PORT = 1024
_URL = re.compile(r"[!-~]+")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")

_REFUSED: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), name)
    for network, name in (
        ("0.0.0.0/8", "an address of this network"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a shared address of a carrier"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "an address of a cloud's metadata"),
        ("169.254.0.0/16", "a link-local address, where clouds keep metadata"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a special address"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "an address of a relay"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for measurements"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an address of this host"),
        ("::1/128", "a loopback address"),
        ("::ffff:0:0/96", "an IPv4 address written as IPv6"),
        ("::/96", "an IPv4 address written as IPv6"),
        ("64:ff9b::/96", "an IPv4 address behind a translator"),
        ("64:ff9b:1::/48", "an IPv4 address behind a translator"),
        ("100::/64", "an address that discards"),
        ("2001::/23", "a special address"),
        ("2001:db8::/32", "an address for documentation"),
        ("2002::/16", "an IPv4 address behind a tunnel"),
        ("3fff::/20", "an address for documentation"),
        ("5f00::/16", "an address of segment routing"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)


class NotReached(Exception):
    """The attempt came to nothing before there was an answer; says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart."""

    tls: bool
    host: str
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """Return the host, and the port where it is not the scheme's own, as the ``Host`` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reach:
    """Where webhooks may go beside the public internet."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Reach":
        """
        Read networks such as ``127.0.0.1/32,10.1.0.0/16``.

        Raises:
            ValueError: one of them is none.
        """
        return cls(tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip()))

    def refusal(self, address: Address, *, tls: bool) -> str | None:
        """Say why nothing may be sent to *address*; None: it may."""
        if any(address in network for network in self.allowed):
            return None
        for network, name in _REFUSED:
            if address in network:
                return name
        if not address.is_global:
            return "no address of the public internet"
        return None if tls else "reached by http, which is for networks of your own"

    async def find(self, target: Target) -> Address:
        """
        Resolve the host and return the first of its addresses that may be connected to.

        Raises:
            NotReached: there is none.
        """
        addresses = await _resolve(target)
        refusals: list[str] = []
        for address in addresses:
            refusal = self.refusal(address, tls=target.tls)
            if refusal is None:
                return address
            refusals.append(f"{address} is {refusal}")
        raise NotReached(f"{'; '.join(refusals[:2])}: TALLYSTICK_WEBHOOK_ALLOW does not allow it")


async def _resolve(target: Target) -> list[Address]:
    try:
        return [ipaddress.ip_address(target.host)]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().run_in_executor(_NAMES, _look_up, target.host, target.port)
    except (OSError, UnicodeError) as error:
        raise NotReached(f"the name {target.host} has no address: {error}") from error
    texts = dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)
    return [ipaddress.ip_address(one) for one in texts]


def _look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def parse_url(url: str) -> Target:
    """
    Take the URL of an endpoint apart.

    Raises:
        InvalidInput: nothing is ever sent to such a URL (``invalid_input``).
    """
    if len(url) > _LONGEST_URL or not _URL.fullmatch(url) or "\\" in url:
        raise _bad(f"Expected at most {_LONGEST_URL} printable ASCII characters; write others as %XX or xn--…")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _bad("Expected a URL such as https://example.com/webhooks") from error
    if parts.scheme not in {"https", "http"}:
        raise _bad("Expected https, or http to a network that TALLYSTICK_WEBHOOK_ALLOW names")
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise _bad("Expected no user and password: the signature says who sends")
    if "#" in url:
        raise _bad("Expected no fragment: it is never sent")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise _bad("Expected the name or address of a host")
    tls = parts.scheme == "https"
    if port is None:
        port = 443 if tls else 80
    if port not in _ALWAYS_PORTS and port < _FIRST_FREE_PORT:
        raise _bad("Expected port 80, 443, or one from 1024: the others are other services'")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(tls, host, port, path)


def _bad(rule: str) -> InvalidInput:
    return InvalidInput(field="url", rule=rule)
