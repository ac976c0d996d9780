"""How `--help` lists commands: by what they are for, each with its whole sentence."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

SECTIONS = {
    "Ask": ("ask", "chat", "resume", "batch", "ui"),
    "Set up": ("councils", "import", "extensions", "doctor", "probe", "download"),
    "Serve": ("serve", "mcp"),
    "Measure": ("eval", "record", "revote", "audit", "keeps", "weights"),
    "What is kept": ("threads", "trace", "cache"),
}
"""Of `mom` itself. A command that stands in none of them is listed under `Commands`."""


class Listed(TyperGroup):
    """A group whose commands' sentences are wrapped, and not cut."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write every section that has commands."""
        left = self.list_commands(ctx)
        for heading, names in self.sections().items():
            here = [name for name in names if name in left]
            left = [name for name in left if name not in here]
            self._write(heading, here, formatter)
        self._write("Commands", left, formatter)

    def sections(self) -> dict[str, tuple[str, ...]]:
        """The commands under their headings; what is left out comes last."""
        return {}

    def _write(self, heading: str, names: list[str], formatter: Any) -> None:
        if names:
            with formatter.section(heading):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(limit=200)) for name in names]
                )


class Mom(Listed):
    """`mom` itself."""

    def sections(self) -> dict[str, tuple[str, ...]]:
        """By what they are for."""
        return SECTIONS
