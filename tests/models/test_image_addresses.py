"""An address that somebody gives must not become a way into the house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from mom_council.models.images import PictureError, fetch_picture, is_public
from mom_council.testing.media import picture


def here(address: str) -> bool:
    """What these tests allow in place of public addresses: this machine by one of its names."""
    return address == "127.0.0.1"


@pytest.fixture
async def shop() -> AsyncIterator[Any]:
    """A web server with pictures; it writes down what was fetched."""
    fetched: list[tuple[str, Any]] = []

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        fetched.append((request.path, dict(request.headers)))
        port = request.url.port
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/p.png"})
        if request.path == "/inward":
            return web.Response(status=302, headers={"Location": f"http://[::1]:{port}/p.png"})
        if request.path == "/endless":
            return web.Response(status=302, headers={"Location": "/endless"})
        if request.path == "/large":
            response = web.StreamResponse()
            await response.prepare(request)
            for _ in range(400):
                await response.write(bytes(100_000))
            return response
        if request.path == "/p.png":
            return web.Response(body=picture("x"))
        return web.Response(status=404)

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", fetched
    await runner.cleanup()


async def test_a_picture_is_fetched_without_anything_of_this_machine(shop: Any) -> None:
    url, fetched = shop
    assert await fetch_picture(f"{url}/moved", allowed=here) == picture("x")
    assert [path for path, _ in fetched] == ["/moved", "/p.png"]
    assert not {"Authorization", "Cookie"} & {name for _, sent in fetched for name in sent}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/nothing", "status 404"),
        ("/inward", "no public address"),
        ("/endless", "leads on and on"),
        ("/large", "more than the 20 MB"),
    ],
)
async def test_what_is_no_picture_in_reach_is_refused(shop: Any, path: str, says: str) -> None:
    url, _ = shop
    with pytest.raises(PictureError, match=says):
        await fetch_picture(url + path, allowed=here)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
async def test_this_machine_is_never_asked_by_whatever_name(shop: Any, host: str) -> None:
    url, fetched = shop
    with pytest.raises(PictureError, match="no public address"):
        await fetch_picture(url.replace("127.0.0.1", host) + "/p.png")
    await asyncio.sleep(0)
    assert not fetched


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.example/p.png", "http://u:p@a.example/p.png", "http://["]
)
async def test_only_plain_web_addresses_are_taken(url: str) -> None:
    with pytest.raises(PictureError, match="http and https alone"):
        await fetch_picture(url)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public
