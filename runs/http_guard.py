"""What our servers check before they answer: who sent a request, and from where.

A web page that somebody visits can send requests to 127.0.0.1, and a name that its owner points at
127.0.0.1 (DNS rebinding) makes them look like the page's own. So the name in Host must be one of
ours, the page in Origin must be the one that we serve, and what the browser itself says of the
sender (Sec-Fetch-Site) counts. No browser lets a page change these headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope


class BodyTooLargeError(Exception):
    """A body is larger than is taken."""


def is_loopback_host(host: str) -> bool:
    """Whether a host, as Host or an address has it without its port, is this machine's own."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        address = ip_address(host.strip("[]"))
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback
    except ValueError:
        return False


def any_host(host: str) -> bool:
    """Take every host: for a server that asks for a secret which no other site knows."""
    return bool(host)


def fault_in_sender(scope: Scope, is_own_host: Callable[[str], bool]) -> str | None:
    """Say why a request is refused that another site may have sent; None: it may be answered.

    Args:
        scope: of an HTTP request or a websocket.
        is_own_host: whether this server is called by a host, which comes without its port.
    """
    hosts = _values(scope, b"host")
    if len(hosts) != 1:
        return "A request names one host, in one Host header."
    if not is_own_host(_host_of(hosts[0])):
        return "This server does not answer to that name."
    origins = _values(scope, b"origin")
    if any(_place(origin) != hosts[0].lower() for origin in origins):
        return "Another web site sent this request."
    sites = _values(scope, b"sec-fetch-site")
    if any(site not in ("same-origin", "none") for site in sites) and not _opens_a_page(scope):
        return "Another web site sent this request."
    return None


def _opens_a_page(scope: Scope) -> bool:
    """Whether somebody follows a link to here, which only shows the page."""
    mode, goal = _values(scope, b"sec-fetch-mode"), _values(scope, b"sec-fetch-dest")
    return scope.get("method") == "GET" and mode == ["navigate"] and goal == ["document"]


def _values(scope: Scope, name: bytes) -> list[str]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1").strip() for key, value in headers if key.lower() == name]


def _place(origin: str) -> str:
    """Host and port of a web page's origin, as a Host header has them; empty where it is none."""
    scheme, _, place = origin.lower().partition("://")
    return place if scheme in ("http", "https") else ""


_HOST = re.compile(
    r"(?P<host>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?"
)
"""A name or an address with its port, and nothing else: no login, path or zone."""


def _host_of(header: str) -> str:
    """The host in a Host header; empty where it holds anything else beside a port."""
    match = _HOST.fullmatch(header)
    return match["host"] if match and int(match[2] or 0) < 65536 else ""


def limited(receive: Receive, most: int) -> Receive:
    """`receive`, which ends a body that is larger than `most` bytes while it arrives."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > most:
                raise BodyTooLargeError
        return message

    return counted
