"""`mom serve`: the council as an OpenAI-compatible endpoint."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from mixture_of_models.cli.options import Database
from mixture_of_models.errors import ProviderNotInstalledError, StorageError

Councils = Annotated[
    list[str] | None,
    typer.Option(
        "--council",
        "-c",
        metavar="NAME|FILE",
        help="A council to offer, the default one first; may be given again and again. Left out: "
        "the best that this machine can seat.",
    ),
]
Host = Annotated[
    str, typer.Option("--host", help="The address to listen at; beyond 127.0.0.1 with keys alone.")
]


def serve(
    council: Councils = None,
    only: Annotated[
        bool, typer.Option("--only", help="Offer no preset and no council of the chat page.")
    ] = False,
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")
    ] = 8000,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, metavar="N", help="Questions answered at once.")
    ] = 256,
    waiting: Annotated[
        int, typer.Option("--waiting", min=0, metavar="N", help="Questions that may wait.")
    ] = 256,
    db: Database = None,
) -> None:
    """Serve councils as models of an OpenAI-compatible endpoint.

    It listens at 127.0.0.1. Clients send one of the keys in MOM_SERVER_KEYS as a bearer token;
    beyond this machine nothing is served without. Ctrl-C ends it.
    """
    need("the endpoint", "server", "fastapi", "uvicorn", "httptools", "orjson", "jsonschema_rs")
    from mixture_of_models.cli.options import place
    from mixture_of_models.server.house import Settings
    from mixture_of_models.server.keys import Keys, is_loopback

    keys = Keys.from_environment()
    near = is_loopback(host)
    refuse_open_door(near, bool(keys))
    settings = Settings(
        database=place(db), at_once=at_once, waiting=waiting, candid=near and not keys
    )
    run(list(council or ()), only, host, port, keys, settings)


def need(what: str, extra: str, *packages: str) -> None:
    """See that the packages of an extra are here.

    Raises:
        ProviderNotInstalledError: they are not.
    """
    if any(importlib.util.find_spec(package) is None for package in packages):
        raise ProviderNotInstalledError(
            f"{what} needs packages that are not here: pip install 'mixture-of-models[{extra}]'"
        )


def refuse_open_door(near: bool, keys: bool) -> None:
    """Let nobody serve strangers without keys.

    Raises:
        typer.BadParameter: somebody would.
    """
    if not near and not keys:
        raise typer.BadParameter(
            "--host: beyond 127.0.0.1 keys are needed; set MOM_SERVER_KEYS, for example to what "
            "`openssl rand -hex 24` prints"
        )


def run(named: list[str], only: bool, host: str, port: int, keys: object, settings: object) -> None:
    """Open the socket and serve on it."""
    import asyncio

    from mixture_of_models.cli.failure import say, tell_warnings
    from mixture_of_models.cli.session import _loop_factory
    from mixture_of_models.server.serving import offer_of, open_socket
    from mixture_of_models.server.serving import serve as serve_at

    try:
        sock = open_socket(host, port)
    except OSError as error:
        raise StorageError(
            f"nothing can listen at {host}:{port} ({error.strerror or error}); name another --port"
        ) from None
    tell_warnings()
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{sock.getsockname()[1]}/v1"

    def ready() -> None:
        print(f"The council answers at {address} (Ctrl-C ends it)", flush=True)

    async def main() -> None:
        offer = await offer_of(named, only=only, say=say)
        await serve_at(sock, offer, keys, settings, ready)  # type: ignore[arg-type]

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())
