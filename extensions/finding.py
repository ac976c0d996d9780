"""Find the code that a council's `use` names, and decide whether it may be loaded.

A council is a file that may come from anywhere, and to load an extension is to run code. So its
`use` chooses among what the owner of this machine has put there, and never leads elsewhere: what
the caller hands over, the bundled ones, installed packages (by entry point), folders under
`extensions/` of the data directory, and the folders and modules that MOM_EXTENSIONS names. No path,
and no folder or module beside the council's file, is loaded because a council says so.

An extension's folder is `NAME/{config.json, extension.py, requirements.txt}`. Requirements are
checked and never installed.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mom_council import paths
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.extensions import first_system
from mom_council.extensions.protocol import Extension

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
    def _as_lines(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return tuple(f"{name}{version}" for name, version in value.items())
        return () if value is None else value


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
            raise CouncilError(
                f"{str(self.path)!r} leads out of its folder", cure="put the files into it"
            )
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
                f"{str(self.path)!r} is no extension: it holds no file {name!r}",
                cure="`mom extensions new NAME` writes one to begin from",
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
            raise CouncilError(f"{str(file)!r} is not UTF-8", cure="save it as UTF-8") from None

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
            need = Requirement(line)
        except InvalidRequirement:
            return f"{line!r} among its requirements is none that pip knows"
        if need.marker is not None and not need.marker.evaluate():
            continue
        try:
            here = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            return f"it needs the package {need.name!r}: pip install {str(need)!r}"
        if not need.specifier.contains(here, prereleases=True):
            return f"it needs {str(need)!r} and {here} is here: pip install {str(need)!r}"
    return None


def _asks(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(("#", "-"))


GROUP = "mom_council.extensions"
VARIABLE = "MOM_EXTENSIONS"

BUNDLED = {
    "deep_thinking": "mom_council.extensions.deep_thinking",
    "facts": "mom_council.extensions.facts",
    "retrieval": "mom_council.extensions.retrieval",
    "summary": "mom_council.extensions.summary",
    "transcript": "mom_council.extensions.transcript",
}
"""The bundled extensions: the name in a council, and where it lies."""

Kind = Literal["given", "bundled", "installed", "folder", "module"]
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?")
_HOOKS = ("before", "after", "on_proposal", "on_answer", "rules")


class FoundExtension(NamedTuple):
    """Where an extension is; `load` runs its code."""

    name: str
    kind: Kind
    load: Callable[[], Any]
    manifest: Manifest | None = None
    problem: str | None = None
    """Why it cannot be loaded here, known without running it."""


def find(use: str, from_caller: Mapping[str, Any] | None = None) -> FoundExtension:
    """Find the extension that a council calls `use`.

    Args:
        use: the name in the council.
        from_caller: extensions that the caller hands over, by name.

    Raises:
        UnknownNameError: there is none of that name.
        CouncilError: a council may not name it, or its folder is not what it should be.
    """
    if from_caller and use in from_caller:
        return FoundExtension(use, "given", lambda: from_caller[use])
    # The folder's own name, as other programs write it; never a path from where somebody stands.
    name = use.removeprefix("extensions/")
    if name in BUNDLED:
        return FoundExtension(name, "bundled", lambda: _from_module(BUNDLED[name]))
    for point in entry_points(group=GROUP, name=name):
        return _installed(point)
    if NAME.fullmatch(name):
        for root in roots():
            if (root / name).is_dir():
                return _in_folder(root, name)
    if _MODULE.fullmatch(name) and _is_allowed(name.partition(":")[0]):
        return FoundExtension(name, "module", lambda: _from_module(name))
    raise _refusal(use, name, from_caller or {})


def every() -> Iterator[FoundExtension | CouncilError]:
    """All that a council may name, modules aside; a folder that is not sound is its error."""
    for name, place in BUNDLED.items():
        yield FoundExtension(name, "bundled", lambda place=place: _from_module(place))  # type: ignore[misc]
    for point in entry_points(group=GROUP):
        yield _installed(point)
    for root in roots():
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            if folder.is_dir() and not folder.name.startswith((".", "_")):
                try:
                    yield _in_folder(root, folder.name)
                except CouncilError as error:
                    yield error


def home() -> Path:
    """The folder of one's own extensions."""
    return paths.data_dir() / "extensions"


def roots() -> list[Path]:
    """The folders in which extensions are looked for, one's own first.

    Not one's own where a `.env` file beside a council moved it.
    """
    named = [Path(one).expanduser().absolute() for one in _permitted_names() if _is_path(one)]
    return named if os.environ.get("MOM_DATA_DIR_FROM") else [home(), *named]


def _permitted_names() -> list[str]:
    return [one.strip() for one in os.environ.get(VARIABLE, "").split(os.pathsep) if one.strip()]


def _is_path(one: str) -> bool:
    return os.sep in one or "/" in one or one.startswith((".", "~"))


def _is_allowed(module: str) -> bool:
    trusted = [one for one in _permitted_names() if not _is_path(one)]
    return any(module == one or module.startswith(f"{one}.") for one in trusted)


def _refusal(use: str, name: str, from_caller: Mapping[str, Any]) -> CouncilError:
    if not NAME.fullmatch(name) and not _MODULE.fullmatch(name):
        return CouncilError(
            f"{use!r} is no extension's name: a council names one and never a path",
            cure=f"put the folder into {str(home())!r}, or name its parent in {VARIABLE}",
        )
    if "." in name or ":" in name:
        return CouncilError(
            f"{use!r} is a module, and a council may only name modules that {VARIABLE} allows: "
            f"set {VARIABLE}={name.partition(':')[0]} if you trust it"
        )
    installed = [point.name for point in entry_points(group=GROUP)]
    near = get_close_matches(name, [*from_caller, *BUNDLED, *installed], n=1)
    meant = (
        f"; did you mean {near[0]!r}?"
        if near
        else f"; `mom extensions list` shows all, and a module must stand in {VARIABLE}"
    )
    return UnknownNameError(f"there is no extension {use!r}{meant}")


def _installed(point: EntryPoint) -> FoundExtension:
    return FoundExtension(
        point.name, "installed", lambda: _choose_extension(point.load(), point.value)
    )


def _in_folder(root: Path, name: str) -> FoundExtension:
    folder = Folder(root, name)
    problem = lacking(folder.requires())
    return FoundExtension(name, "folder", lambda: _from_folder(folder), folder.manifest, problem)


def _from_module(place: str) -> Any:
    module, _, attribute = place.partition(":")
    loaded = importlib.import_module(module)
    return _choose_extension(getattr(loaded, attribute) if attribute else loaded, place)


def _from_folder(folder: Folder) -> Any:
    # A name of its own for each place, so that two folders of one name do not meet.
    mark = hashlib.sha256(str(folder.path.resolve()).encode()).hexdigest()[:8]
    name = f"mom_extension_{folder.path.name.replace('-', '_')}_{mark}"
    spec = importlib.util.spec_from_file_location(
        name, folder.code, submodule_search_locations=[str(folder.path)]
    )
    if spec is None or spec.loader is None:
        raise CouncilError(f"{str(folder.code)!r} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _first_systems_names():
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return _choose_extension(module, str(folder.code))


@contextmanager
def _first_systems_names() -> Iterator[None]:
    """Let an extension of system 1 find the modules that it imports."""
    lent = first_system.modules()
    before = {name: sys.modules.get(name) for name in lent}
    sys.modules.update(lent)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _choose_extension(value: Any, place: str) -> Any:
    """The one extension in a module; a class or an instance is itself.

    Raises:
        CouncilError: there is none, or there are several.
    """
    if not isinstance(value, ModuleType):
        return value
    here = [
        each
        for each in vars(value).values()
        if inspect.isclass(each) and each.__module__ == value.__name__ and is_extension(each)
    ]
    if len(here) != 1:
        names = [each.__name__ for each in here]
        says = f"holds several extensions {names}: name one" if here else "holds no extension"
        raise CouncilError(f"{place!r} {says}")
    return here[0]


def is_extension(kind: type) -> bool:
    """Whether a class has a hook of ours, or is one of system 1's."""
    if first_system.is_one(kind):
        return True
    return any(
        callable(own := getattr(kind, name, None)) and own is not getattr(Extension, name)
        for name in _HOOKS
    )
