"""Every command's help, in docs/cli.md: `python -m mom_council.tests.cli.help_texts`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from unittest import mock

import typer

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
_BLOCK = re.compile(r"(```console\n\$ (mom[^\n]*?) --help\n).*?(```\n)", re.DOTALL)


def help_of(line: str) -> str:
    """What `--help` prints for a command, 80 columns wide and without colours."""
    from mom_council.cli import app

    app.register()
    command: Any = typer.main.get_command(app.app)
    with mock.patch.dict(os.environ, {"COLUMNS": "80", "NO_COLOR": "1"}):
        context = command.make_context("mom", [], resilient_parsing=True)
        for word in line.split()[1:]:
            command = command.commands[word]
            context = type(context)(command, info_name=word, parent=context)
        return str(command.get_help(context)).strip() + "\n"


def lines(command: Any = None, path: str = "mom") -> list[str]:
    """Every command and group there is."""
    if command is None:
        from mom_council.cli import app

        app.register()
        command = typer.main.get_command(app.app)
    found = [path]
    for name, below in getattr(command, "commands", {}).items():
        found += lines(below, f"{path} {name}")
    return found


def with_help(page: str) -> str:
    """The page with the help of every command in its place.

    Raises:
        ValueError: the page has no place for a command, or one for a command that is gone.
    """
    placed = [found[2] for found in _BLOCK.finditer(page)]
    if sorted(placed) != sorted(lines()):
        raise ValueError(f"places in docs/cli.md differ: {sorted(set(placed) ^ set(lines()))}")
    return _BLOCK.sub(lambda found: found[1] + help_of(found[2]) + found[3], page)


if __name__ == "__main__":
    DOCS.write_text(with_help(DOCS.read_text(encoding="utf-8")), encoding="utf-8")
