"""An extension in a folder of its own: `NAME/{config.json, extension.py, requirements.txt}`.

Requirements are looked for and never installed.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mom_council.errors import CouncilError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_LARGEST = 64_000


class Manifest(BaseModel):
    """What config.json says; keys of other programs are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(min_length=1, max_length=200)
    version: str = Field(default="", max_length=100)
    description: str = Field(default="", max_length=2_000)
    author: str = Field(default="", max_length=200)
    requires: tuple[str, ...] = Field(default=(), max_length=100, description="as pip writes them")

    @field_validator("requires", mode="before")
    @classmethod
    def _as_lines(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return tuple(f"{name}{version}" for name, version in given.items())
        return () if given is None else given


class Folder:
    """A folder that holds an extension.

    Raises:
        CouncilError: it is not what it should be; the message names the file.
    """

    def __init__(self, root: Path, name: str) -> None:
        if NAME.fullmatch(name) is None:
            raise CouncilError(
                f"{name!r} cannot name an extension's folder: letters, digits, - and _, at most 64"
            )
        self.path = root / name
        real = self.path.resolve()
        if real.parent != root.resolve():
            raise CouncilError(f"{str(self.path)!r} leads out of its folder; put the files into it")
        self.code = self._inside("extension.py")
        self.manifest = self._read()

    def requires(self) -> Iterable[str]:
        """What it needs, from config.json and requirements.txt."""
        yield from self.manifest.requires
        if (self.path / "requirements.txt").is_file():
            lines = self._text("requirements.txt").splitlines()
            yield from (line.partition(" #")[0].strip() for line in lines if _asks(line))

    def _inside(self, name: str) -> Path:
        file = self.path / name
        if not file.is_file() or file.resolve().parent != self.path.resolve():
            raise CouncilError(
                f"{str(self.path)!r} is no extension: it holds no file {name!r}; "
                "`mom extensions new NAME` writes one to begin from"
            )
        return file

    def _text(self, name: str) -> str:
        file = self._inside(name)
        try:
            with file.open("rb") as opened:
                content = opened.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise CouncilError(f"{str(file)!r} is larger than {_LARGEST // 1000} kB")
            return content.decode("utf-8-sig")
        except OSError as error:
            raise CouncilError(f"{str(file)!r} cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise CouncilError(f"{str(file)!r} is not UTF-8; save it as UTF-8") from None

    def _read(self) -> Manifest:
        where = str(self.path / "config.json")
        try:
            return Manifest.model_validate(json.loads(self._text("config.json")))
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            at = ".".join(map(str, first["loc"])) or "it"
            raise CouncilError(f"{where!r}: {at}: {first['msg']}") from None
        except (ValueError, RecursionError):
            raise CouncilError(f"{where!r} is no JSON") from None


def lacking(requires: Iterable[str]) -> str | None:
    """The first requirement that this Python does not meet, in one line; None when all are met."""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in requires:
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            return f"{line!r} among its requirements is none that pip knows"
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            here = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            return f"it needs the package {wanted.name!r}: pip install {str(wanted)!r}"
        if not wanted.specifier.contains(here, prereleases=True):
            return f"it needs {str(wanted)!r} and {here} is here: pip install {str(wanted)!r}"
    return None


def _asks(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(("#", "-"))
