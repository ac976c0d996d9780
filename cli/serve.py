"""`mom serve` and `mom ui`: the council for programs and for browsers."""

from __future__ import annotations

import importlib.util
import os
import secrets
import socket
import sys
import tomllib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import typer

from mom_council.cli.options import Council, Database, Paid
from mom_council.errors import ProviderNotInstalledError, StorageError
from mom_council.vendors.profile import install_line

if TYPE_CHECKING:
    from mom_council.server.catalogue import Catalogue
    from mom_council.server.state import Keys, ServerSettings


Councils = Annotated[
    list[str] | None,
    typer.Option(
        "--council",
        "-c",
        metavar="NAME|FILE",
        help="A council to offer, the default one first; can be repeated. Default: "
        "the best that this machine can seat.",
    ),
]
Host = Annotated[
    str, typer.Option("--host", help="The address to listen at; other than 127.0.0.1 needs keys.")
]


Limits = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="WHO:WHAT=N,...",
        help="What may be asked and spent in a day: server:usd=20 for all together, each:rate=30 "
        "for each key, NAME:calls=1000 for one. WHAT: calls, tokens, usd, questions, rate "
        "(questions a minute), or at_once (questions under way, in each process). Can be "
        "repeated.",
    ),
]


LogStyle = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
Log = Annotated[
    LogStyle, typer.Option("--log", help="How the log is written to stderr: text or json.")
]

Only = Annotated[
    bool, typer.Option("--only", help="Offer no presets and no councils of the chat page.")
]


def serve(
    council: Councils = None,
    only: Only = False,
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
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse requests with fields that are unknown or cannot be used."
        ),
    ] = False,
    limit: Limits = None,
    drain: Annotated[
        float,
        typer.Option(
            "--drain", min=0, metavar="SECONDS", help="Time for running answers after SIGTERM."
        ),
    ] = 10.0,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=1, max=64, metavar="N", help="Processes that serve at this one port."
        ),
    ] = 1,
    log: Log = "text",
    log_level: Annotated[
        LogLevel,
        typer.Option("--log-level", help="Lowest level that is logged; info has a line a request."),
    ] = "info",
    paid: Paid = False,
    db: Database = None,
) -> None:
    """Serve councils as models of an OpenAI-compatible endpoint.

    It listens at 127.0.0.1. Clients send one of the keys in MOM_SERVER_KEYS as a bearer token;
    without keys it serves only this machine. Ctrl-C ends it.
    """
    need("the endpoint", "server", "fastapi", "uvicorn", "httptools", "orjson", "jsonschema_rs")
    keys, settings = server_rules(
        host, db, at_once=at_once, waiting=waiting, strict=strict, limits=limit, workers=workers
    )
    settings = replace(settings, drain=drain)
    from mom_council.server.request_log import set_up_logging

    set_up_logging(log, log_level)
    if workers > 1 and "MOM_WORKER" not in os.environ:
        run_workers((host, port), workers)
    else:
        run(list(council or ()), only, (host, port), keys, settings)


def need(what: str, extra: str, *packages: str) -> None:
    """See that the packages of an extra are here.

    Raises:
        ProviderNotInstalledError: they are not.
    """
    if any(importlib.util.find_spec(package) is None for package in packages):
        raise ProviderNotInstalledError(
            f"{what} needs packages that are not here", cure=install_line(extra)
        )


def server_rules(
    host: str,
    db: str | None,
    *,
    at_once: int = 256,
    waiting: int = 256,
    strict: bool = False,
    limits: list[str] | None = None,
    workers: int = 1,
) -> tuple[Keys, ServerSettings]:
    """The keys in the environment, and how to behave towards those who come from `host`.

    Raises:
        typer.BadParameter: somebody would serve strangers without keys.
        MixtureError: a key is too short, or a limit is none.
    """
    from mom_council.cli.options import place
    from mom_council.server.limits import VARIABLE, read_limits
    from mom_council.server.state import Keys, ServerSettings, is_loopback

    keys, near = Keys.from_environment(), is_loopback(host)
    Keys.of_operator()  # one that is too short is said now
    if not near and not keys:
        raise typer.BadParameter(
            "--host: beyond 127.0.0.1 keys are needed; set MOM_SERVER_KEYS, for example to what "
            "`openssl rand -hex 24` prints"
        )
    candid = near and not keys
    written = [*os.environ.get(VARIABLE, "").split(), *(limits or ())]
    return keys, ServerSettings(
        database=place(db),
        at_once=-(-at_once // workers),
        waiting=-(-waiting // workers),
        workers=workers,
        candid=candid,
        strict=strict,
        limits=read_limits(written, keys.names),
    )


def run(
    named: list[str],
    only: bool,
    at: tuple[str, int] | None,
    keys: Keys,
    settings: ServerSettings,
    *,
    tools: bool = False,
) -> None:
    """Open the socket and serve on it; without an address, on stdin and stdout."""
    import asyncio

    from mom_council.cli.failure import say
    from mom_council.cli.session import _loop_factory
    from mom_council.server import serve as serving

    place = serving.WorkerPlace.from_environment()
    sock = place.open_socket() if place else serving.open_socket(*at) if at else None

    def ready() -> None:
        if place:
            place.say_ready()
        elif at and sock:
            _print_address(at[0], sock, "mcp" if tools else "v1")

    async def reopen() -> tuple[Catalogue, Keys]:
        from mom_council.cli.trust import reread_env
        from mom_council.server.state import Keys

        reread_env()
        return await serving.open_catalogue(named, only=only), Keys.from_environment()

    async def main() -> None:
        catalogue = await serving.open_catalogue(named, only=only, say=say)
        if tools:
            await serving.serve_tools(sock, catalogue, keys, settings, ready)
        elif sock:
            await serving.serve(sock, catalogue, keys, settings, ready, reopen, place)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner, sock or nullcontext():
        runner.run(main())


def run_workers(at: tuple[str, int], count: int) -> None:
    """Open the socket, and have several processes of this same command serve on it.

    Raises:
        typer.BadParameter: this system cannot hand a socket on.
    """
    import asyncio
    import signal
    import tempfile

    from mom_council.cli.trust import hand_on_env
    from mom_council.server import serve as serving

    hand_on_env()
    if sys.platform == "win32":
        raise typer.BadParameter("--workers: Windows has no way for it; start several servers")
    command = [sys.executable, "-m", "mom_council", *sys.argv[1:]]
    with (
        serving.open_socket(*at) as sock,
        tempfile.TemporaryDirectory(prefix="mom-metrics-") as folder,
    ):
        group = serving.WorkerGroup(command, count, sock, folder)
        code = asyncio.run(group.run(lambda: _print_address(at[0], sock, "v1")))
    if code < 0:
        signal.raise_signal(-code)
    raise typer.Exit(code)


def _print_address(host: str, sock: socket.socket, path: str) -> None:
    host = f"[{host}]" if ":" in host else host
    address = f"http://{host}:{sock.getsockname()[1]}/{path}"
    print(f"The council answers at {address} (Ctrl-C ends it)", flush=True)


FIRST_PORT = 8501
TOKEN = "MOM_UI_TOKEN"  # noqa: S105 - a variable's name
SHORTEST_TOKEN = 16

_FLAGS = {
    "browser.gatherUsageStats": "false",  # nothing leaves the machine
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "runner.postScriptGC": "false",  # a full collection after each redraw held every thread up
    "server.fileWatcherType": "none",
    "server.headless": "true",  # opens no browser, asks for no email address
    "server.maxUploadSize": "64",
}


def ui(
    council: Council = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="8501, or the next free one.")
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="The address to listen at; beyond 127.0.0.1 the printed address has a token.",
        ),
    ] = "127.0.0.1",
    db: Database = None,
) -> None:
    """Open the chat in a browser: watch the council think. Ctrl-C ends it.

    On 127.0.0.1 alone, unless --host says otherwise (0.0.0.0 for a home network). Then only who
    opens the address with its token gets in; MOM_UI_TOKEN keeps the same token.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise ProviderNotInstalledError("the chat page needs Streamlit", cure=install_line("ui"))
    written = os.environ.get("GRADIO_PORT", "").strip()
    source = "--port"
    if port is None and written.isdecimal() and 0 < int(written[:6]) < 65536:
        port, source = int(written), "GRADIO_PORT"
    chosen = free_port() if port is None else port
    if not _is_free(chosen, host):
        raise StorageError(
            f"port {chosen} is taken", cure=f"leave {source} out, and a free one is found"
        )
    for name, value in (("MOM_COUNCIL", council), ("MOM_DATABASE", db)):
        if value:
            os.environ[name] = value
    print(f"The council is at {_page_address(host, chosen)} (Ctrl-C ends it)", flush=True)
    serve_page(chosen, host)


def _page_address(host: str, port: int) -> str:
    """Where the page is; beyond this machine with its token, which is made where there is none.

    Raises:
        typer.BadParameter: MOM_UI_TOKEN is too short to be one.
    """
    from mom_council.runs.http_guard import is_loopback_host

    if is_loopback_host(host):
        os.environ.pop(TOKEN, None)
        return f"http://{_in_address(host)}:{port}"
    token = os.environ.setdefault(TOKEN, secrets.token_urlsafe(24))
    if len(token) < SHORTEST_TOKEN:
        raise typer.BadParameter(f"{TOKEN} has fewer than {SHORTEST_TOKEN} characters")
    named = _own_address() if host in ("0.0.0.0", "::") else host  # noqa: S104 - a comparison
    return f"http://{_in_address(named)}:{port}/?token={quote(token, safe='')}"


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _own_address() -> str:
    """This machine's address in its network; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def serve_page(port: int, host: str = "127.0.0.1") -> None:
    """Run Streamlit in place of this process."""
    root = Path(__file__).resolve().parent.parent
    script = root / "streamlit_app.py"
    with (root / "ui" / "theme.toml").open("rb") as file:
        colours = dict(_flatten("theme", tomllib.load(file)))
    flags = {**_FLAGS, **colours, "server.address": host, "server.port": str(port)}
    options = [f"--{name}={value}" for name, value in flags.items()]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell


def _flatten(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The settings of a table of tables, by their dotted names."""
    if not isinstance(value, dict):
        yield name, str(value)
        return
    for key, one in value.items():
        yield from _flatten(f"{name}.{key}", one)


def free_port(first: int = FIRST_PORT) -> int:
    """The first free port from `first` on."""
    for port in range(first, first + 100):
        if _is_free(port):
            return port
    raise StorageError(f"no port from {first} to {first + 99} is free", cure="name one with --port")


def _is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
