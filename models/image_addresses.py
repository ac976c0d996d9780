"""Fetching a picture that lies somewhere else, where the council allows it.

The address comes from whoever asks, so it must not become a way into the house: every address that
a name stands for is looked at, and the connection goes to just those; only public ones are taken,
at every step of a redirect, without the proxy or the credentials of this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from mom_council.models.images import MEGABYTES, PictureError

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from aiohttp.abc import AbstractResolver

SECONDS = 20.0
"""For a picture, redirects included."""
_REDIRECTS = 3
_MOST = MEGABYTES * 1_000_000


def is_public(address: str) -> bool:
    """Whether a number is an address of the open internet.

    Raises:
        ValueError: it is no number.
    """
    found = ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
    return found.is_global and inner.is_global and not found.is_multicast


async def fetch_picture(url: str, *, allowed: Callable[[str], bool] = is_public) -> bytes:
    """The bytes that lie at an address; `allowed` says to which numbers a connection may go.

    Raises:
        PictureError: it is no public web address, or nothing came from it.
    """
    import aiohttp

    shown = _shown(url)
    try:
        async with (
            asyncio.timeout(SECONDS),
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=_only(allowed)),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            ) as session,
        ):
            for _ in range(_REDIRECTS + 1):
                _look_at(url, allowed)
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers:
                        url = urljoin(url, answer.headers["location"])
                        continue
                    if answer.status != 200:
                        raise PictureError(f"{shown} answered with status {answer.status}")
                    return await _read(answer, shown)
    except PictureError:
        raise
    except TimeoutError:
        raise PictureError(f"{shown} sent no whole picture in {SECONDS:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError):
        raise PictureError(f"{shown} cannot be fetched; attach the picture itself") from None
    raise PictureError(f"{shown} leads on and on; attach the picture itself")


def _look_at(url: str, allowed: Callable[[str], bool]) -> None:
    """See that an address is one of the web, and where it is a number, a public one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        raise PictureError("a picture's address is taken from http and https alone; attach it")
    try:
        public = allowed(host)
    except ValueError:  # a name, which the resolver looks at
        return
    if not public:
        raise _private(url)


def _only(allowed: Callable[[str], bool]) -> AbstractResolver:
    """The system's resolver, which refuses a name that stands for any other address."""
    from aiohttp.abc import AbstractResolver, ResolveResult
    from aiohttp.resolver import ThreadedResolver

    class Only(AbstractResolver):
        def __init__(self) -> None:
            self._all = ThreadedResolver()

        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            found = await self._all.resolve(host, port, family)  # type: ignore[arg-type]
            if not found or not all(allowed(one["host"]) for one in found):
                raise _private(host)
            return found

        async def close(self) -> None:
            await self._all.close()

    return Only()


async def _read(answer: ClientResponse, shown: str) -> bytes:
    content = bytearray()
    async for piece in answer.content.iter_chunked(65_536):
        content += piece
        if len(content) > _MOST:
            raise PictureError(f"{shown} has more than the {MEGABYTES} MB that are taken")
    return bytes(content)


def _private(url: str) -> PictureError:
    return PictureError(f"{_shown(url)} is no public address, and others are never fetched")


def _shown(url: str) -> str:
    """An address without what may be secret in it."""
    try:
        host = urlsplit(url).hostname or url
    except ValueError:
        host = "the address"
    return repr("".join(sign for sign in host if sign.isprintable())[:80])
