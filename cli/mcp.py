"""`mom mcp`: the council as tools of other agents."""

from __future__ import annotations

from typing import Annotated

import typer

from mom_council.cli.options import Database
from mom_council.cli.serve import Councils, Host, Only, house_rules, need, run


def mcp(
    council: Councils = None,
    only: Only = False,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over streamable HTTP, at /mcp.")
    ] = False,
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")
    ] = 8001,
    db: Database = None,
) -> None:
    """Serve the council as MCP tools: ask, list_councils, explain_last_verdict.

    Over stdin and stdout, as agents start it; with --http at 127.0.0.1, with keys as `mom serve`.
    """
    need("MCP", "mcp", "mcp")
    need("MCP", "server", "fastapi", "uvicorn", "httptools", "orjson", "jsonschema_rs")
    keys, settings = house_rules(host if http else "127.0.0.1", db)
    run(list(council or ()), only, (host, port) if http else None, keys, settings, tools=True)
