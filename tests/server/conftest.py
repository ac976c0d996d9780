"""A served council: the real application behind the real uvicorn, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import pytest
from openai import OpenAI

from mom_council.councils.schema import Council
from mom_council.server.app import make_app
from mom_council.server.catalogue import Catalogue
from mom_council.server.serve import open_socket, server_of
from mom_council.server.state import Keys, ServerSettings, ServerState
from mom_council.tests.graph.desk import desk
from mom_council.tests.stage import Stage

KEY = "a-key-that-is-long-enough"


@dataclass
class Served:
    """A running server, as a client sees it."""

    url: str
    server: ServerState
    http: httpx.Client

    @cached_property
    def openai(self) -> OpenAI:
        """The official client, which does not ask twice; making one reads all certificates."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=30)

    def close(self) -> None:
        """Close what was opened to the server."""
        self.http.close()
        if "openai" in self.__dict__:
            self.openai.close()

    def post(self, body: Any, path: str = "/v1/chat/completions", **how: Any) -> httpx.Response:
        """One request by hand."""
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {"content-type": "application/json", **how.pop("headers", {})}
        return self.http.post(self.url + path, headers=headers, **given, **how)

    def get(self, path: str, **how: Any) -> httpx.Response:
        """One look."""
        return self.http.get(self.url + path, **how)


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves councils until the test is over."""
    with contextlib.ExitStack() as stack:

        def start(
            *councils: Council,
            keys: str = "",
            only: bool = True,
            make: Callable[[ServerState], Any] = make_app,
            **settings: Any,
        ) -> Served:
            return stack.enter_context(served(councils, keys, only, settings, make))

        yield start


@pytest.fixture(scope="module")
def closed() -> Iterator[Served]:
    """A strict server that is asked what it must refuse; nobody sits behind it."""
    with Stage() as stage, served((desk(stage),), "", True, {"strict": True}) as one:
        yield one
        assert not stage.calls, "nobody is asked for what is refused"


@contextlib.contextmanager
def served(
    councils: tuple[Council, ...],
    keys: str,
    only: bool,
    settings: dict[str, Any],
    make: Callable[[ServerState], Any] = make_app,
) -> Iterator[Served]:
    """One server."""
    sock = open_socket("127.0.0.1", 0)
    more: dict[str, Any] = {"presets": False, "saved": None} if only else {}
    up = threading.Event()
    found: list[Any] = []

    async def main() -> None:
        server = ServerState(Catalogue(councils, **more), Keys(keys), ServerSettings(**settings))
        await server.open()
        uvicorn = server_of(make(server))
        found.extend([server, uvicorn])
        up.set()
        try:
            await uvicorn.serve([sock])
        finally:
            await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="server")
    thread.start()
    assert up.wait(30)
    server, uvicorn = found
    try:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        http = httpx.Client(timeout=30, trust_env=False, verify=False)
        with contextlib.closing(Served(url, server, http)) as one:
            yield one
    finally:
        uvicorn.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
