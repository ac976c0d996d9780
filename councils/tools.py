"""The tools of a council, as they are written: what a model may call, and under which rules.

A council's file is untrusted input. It says which code it would like to run; whether that code
runs is decided outside of it (`models.tools.toolset`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from mom_council.councils.models import Section, names_a_variable
from mom_council.redaction import fault_in_address, refuse_secrets

VARIABLE = "MOM_TOOLS"

BUNDLED = ("calculator", "clock")
"""Tools that come along. They are safe, and may be named without an entry in `tools:`."""


class Server(Section):
    """An MCP server: a program that is started here, or an address."""

    LABELS: ClassVar = {
        "url": "Address",
        "env": "Variables",
        "key_env": "Variable with the key",
        "only": "Only these tools",
    }

    command: tuple[str, ...] = Field(
        default=(),
        max_length=64,
        description="the program and its arguments; it is spoken to over stdio",
    )
    url: str | None = Field(
        default=None, description="the address of a server that speaks streamable HTTP"
    )
    env: tuple[str, ...] = Field(
        default=(), max_length=64, description="environment variables that the program may see"
    )
    key_env: str | None = Field(
        default=None,
        description="the environment variable with the key for `url`; never the key itself",
    )
    only: tuple[str, ...] = Field(
        default=(), description="the tools of the server that may be used; empty: all of them"
    )

    @field_validator("command")
    @classmethod
    def _holds_no_secret(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        refuse_secrets({"command": list(command)}, "name its variable in `env`")
        return command

    @field_validator("env", "key_env", mode="before")
    @classmethod
    def _are_variables_not_keys(cls, names: object) -> object:
        # Before pydantic looks at it: whatever stands here by mistake may be the key itself.
        for name in names if isinstance(names, list | tuple) else [names]:
            if name is not None and not (isinstance(name, str) and names_a_variable(name)):
                raise ValueError("must be the name of an environment variable, like FAR_KEY")
        return names

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and (fault := fault_in_address(url)):
            raise ValueError(fault)
        return url

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("an MCP server has either a `command` or a `url`")
        if self.command and self.key_env:
            raise ValueError("`key_env` goes with a `url`; a program gets its keys through `env`")
        return self

    @property
    def permission(self) -> str:
        """The server, as it stands in the list of what is allowed."""
        return f"mcp:{self.url or shlex.join(self.command)}"


class Tool(Section):
    """One tool, or one MCP server's tools. Without a source, the caller hands it over in Python."""

    LABELS: ClassVar = {
        "python": "Python function",
        "mcp": "MCP server",
        "timeout": "Timeout (seconds)",
        "longest": "Longest result",
        "approve": "Ask before each call",
    }
    EXPERT: ClassVar = "longest"

    bundled: Literal["calculator", "clock"] | None = Field(
        default=None, description="a tool that comes with this package"
    )
    python: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        description="module:function, if MOM_TOOLS allows the module",
    )
    mcp: Server | None = Field(default=None, description="a server, if MOM_TOOLS allows it")
    timeout: float = Field(default=20, gt=0, le=3600, description="longest time for one call")
    longest: int = Field(
        default=8_000,
        ge=100,
        le=200_000,
        description="characters of a result that a model is shown",
    )
    approve: bool = Field(default=False, description="a person is asked before each call")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        named = [name for name in ("bundled", "python", "mcp") if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"a tool has one source, this has {' and '.join(named)}")
        return self

    @property
    def permission(self) -> str | None:
        """What `MOM_TOOLS` must allow; empty where nothing must, None where there is no source."""
        if self.bundled:
            return ""
        return self.mcp.permission if self.mcp else self.python

    def is_allowed(self, env: Mapping[str, str]) -> bool:
        """Whether the environment allows the code of the tool, or nothing needs to."""
        if not self.permission:
            return True
        allowed = {part.strip() for part in env.get(VARIABLE, "").split(",")}
        enough = {self.permission}
        if not self.mcp:
            enough.add(self.permission.partition(":")[0])
        return bool(allowed & enough)
