"""`mom mcp`: the council for programs that speak the Model Context Protocol."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mom_council.cli.failure import tell_warnings
from mom_council.cli.options import Database, Paid
from mom_council.cli.serve import (
    Councils,
    Host,
    Limits,
    Log,
    LogLevel,
    Only,
    need,
    run,
    server_rules,
)
from mom_council.errors import ProviderNotInstalledError
from mom_council.vendors.profile import install_line

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def mcp(
    context: typer.Context,
    council: Councils = None,
    only: Only = False,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over streamable HTTP, at /mcp.")
    ] = False,
    host: Host = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0 takes any that is free.")
    ] = 8001,
    limit: Limits = None,
    log: Log = "text",
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            "--log-level",
            help="Lowest level that is logged; info has a line a call. Default: info with --http, "
            "else warning, since programs show what comes from stderr as errors.",
        ),
    ] = None,
    paid: Paid = False,
    db: Database = None,
) -> None:
    """Serve the council as MCP tools: ask, list_councils, explain_last_verdict.

    Over stdin and stdout, as agents start it; with --http at 127.0.0.1, with keys as `mom serve`.
    """
    if context.invoked_subcommand is not None:
        return
    need("MCP", "server,mcp", "mcp", "fastapi", "uvicorn", "httptools", "orjson", "jsonschema_rs")
    _refuse_other_major_version()
    tell_warnings()
    from mom_council.server.request_log import set_up_logging

    set_up_logging(log, log_level or ("info" if http else "warning"))
    keys, settings = server_rules(host if http else "127.0.0.1", db, limits=limit)
    run(list(council or ()), only, (host, port) if http else None, keys, settings, tools=True)


def _refuse_other_major_version() -> None:
    """See that the SDK is of the version that this is written for.

    Raises:
        ProviderNotInstalledError: it is of another; a later one has other modules.
    """
    version = importlib.metadata.version("mcp")
    if version.partition(".")[0] != "1":
        raise ProviderNotInstalledError(
            f"MCP needs version 1 of the package mcp, and {version} is installed",
            cure=install_line("server,mcp"),
        )


def _as_servers(command: list[str], key: str = "mcpServers", **more: Any) -> str:
    entry = {**more, "command": command[0], "args": command[1:]}
    return json.dumps({key: {"council": entry}}, indent=2)


def _opencode(command: list[str]) -> str:
    entry = {"type": "local", "command": command, "enabled": True, "timeout": 60_000}
    return json.dumps({"mcp": {"council": entry}}, indent=2)


def _codex(command: list[str]) -> str:
    program, arguments = json.dumps(command[0]), json.dumps(command[1:])
    return (
        f"[mcp_servers.council]\ncommand = {program}\nargs = {arguments}\n"
        "startup_timeout_sec = 60\ntool_timeout_sec = 900"
    )


PROGRAMS: dict[str, tuple[str, str, Callable[[list[str]], str]]] = {
    "claude-code": (
        "Claude Code",
        "run this",
        lambda command: f"claude mcp add council -- {shlex.join(command)}",
    ),
    "claude-desktop": (
        "Claude Desktop",
        "Settings, Developer, Edit Config: claude_desktop_config.json",
        _as_servers,
    ),
    "cursor": ("Cursor", "~/.cursor/mcp.json, or .cursor/mcp.json of a project", _as_servers),
    "vscode": (
        "VS Code",
        ".vscode/mcp.json, or `MCP: Open User Configuration`",
        lambda command: _as_servers(command, "servers", type="stdio"),
    ),
    "codex": ("Codex", "~/.codex/config.toml", _codex),
    "opencode": ("opencode", "~/.config/opencode/opencode.json, or of a project", _opencode),
    "zed": (
        "Zed",
        "settings.json",
        lambda command: _as_servers(command, "context_servers", source="custom", env={}),
    ),
}
"""By name: what people call it, where its entry belongs, and how the entry is written."""


@app.command()
def install(
    program: Annotated[
        str | None,
        typer.Argument(metavar="PROGRAM", help=f"{', '.join(PROGRAMS)}; left out: all."),
    ] = None,
    council: Councils = None,
    only: Only = False,
) -> None:
    """Print the entry that makes the council a tool of a program; nothing is changed."""
    if program is not None and program not in PROGRAMS:
        raise typer.BadParameter(f"{program!r}: there are {', '.join(PROGRAMS)}")
    command, variables = _command(list(council or ()), only=only)
    for name in [program] if program else PROGRAMS:
        title, where, entry = PROGRAMS[name]
        # What belongs into the file stands alone on stdout where one program is named.
        print(f"{title} ({where}):", file=sys.stderr if program else sys.stdout)
        print(entry(command), end="\n" if program else "\n\n")
    if variables:
        print(
            f"The program must know {', '.join(variables)} too: start it where they are set, or "
            "set them in the entry's `env`.",
            file=sys.stderr,
        )


def _command(named: list[str], *, only: bool) -> tuple[list[str], list[str]]:
    """The whole command that a program starts, and the variables that its councils need.

    Programs with windows know no PATH of a shell, and start it in another folder.

    Raises:
        MixtureError: a council cannot be read, or is not trusted: no program could ask then.
    """
    from mom_council.councils.trust import load_trusted_council
    from mom_council.vendors import vendor_of

    variables: list[str] = []
    options = ["--only"] if only else []
    for name in named:
        loaded = load_trusted_council(name)
        for model in loaded.models.values():
            vendor = vendor_of(model.provider)
            variables.append(model.api_key_env or vendor.key_env or "")
        if loaded.tools:
            variables.append("MOM_TOOLS")
        file = Path(name).expanduser()
        options += ["-c", str(file.absolute()) if file.is_file() else name]
    beside = Path(sys.executable).with_name("mom.exe" if os.name == "nt" else "mom")
    program = str(beside) if beside.exists() else shutil.which("mom")
    start = [program] if program else [sys.executable, "-m", "mom_council"]
    needed = [one for one in dict.fromkeys(variables) if one and os.environ.get(one)]
    return [*start, "mcp", *options], needed
