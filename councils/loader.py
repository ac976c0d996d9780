"""Councils from a name, a file or a mapping, checked; and back to YAML.

A user's own councils are YAML files in `councils/` of the data directory. The text of any file is
bounded and decoded, and refused with its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from mom_council import paths
from mom_council.councils import coherence
from mom_council.councils.refusals import Problem, in_words, nearest, refusal
from mom_council.councils.schema import Council, Model
from mom_council.councils.yaml import MOST_CHARACTERS, as_plain
from mom_council.errors import CouncilError, StorageError, UnknownNameError
from mom_council.redaction import keys_in, quote

# Names that a Windows disk keeps for itself.
_TAKEN = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_LONGEST = 60


def councils_folder() -> Path:
    """Where they lie; it need not exist yet."""
    return paths.data_dir() / "councils"


def safe_name(name: str) -> str:
    """A file's name, without its ending, for a council of that name: no path can come of it."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    word = re.sub(r"[^\w]+", "-", plain).strip("-_")[:_LONGEST].rstrip("-_")
    return f"council-{word}" if not word or _TAKEN.fullmatch(word) else word


def saved_councils() -> dict[str, Path]:
    """What is kept, by the file's name."""
    try:
        return {
            file.stem: file for file in sorted(councils_folder().glob("*.yaml")) if file.is_file()
        }
    except (OSError, StorageError):
        return {}


def save_council(council: Council, *, replace: bool = False) -> Path:
    """Write a council down; whole or not at all.

    Raises:
        StorageError: there is one of that name and `replace` is off, or it cannot be written.
    """
    file = paths.ensure(councils_folder()) / f"{safe_name(council.name)}.yaml"
    if file.exists() and not replace:
        raise StorageError(
            f"there is a council {file.stem!r} already", cure="replace it, or rename yours"
        )
    draft = file.with_name(f".{file.stem}.{secrets.token_hex(4)}")
    try:
        with draft.open("x", encoding="utf-8") as opened:
            draft.chmod(0o600)
            opened.write(to_yaml(council))
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise StorageError(
            f"{str(file)!r} cannot be written ({error.strerror})",
            cure="look at the disk and the folder",
        ) from error
    return file


START = "start from a preset: `mom councils`"


def read_text(path: Path, *, cure: str = START) -> str:
    """The text of a file, a byte order mark left out; `cure` helps where there is none.

    Raises:
        CouncilError: it cannot be read, is no UTF-8, or is far larger than any council.
    """
    try:
        path = path.expanduser()
        if path.is_dir():
            raise CouncilError(f"{path}: is a folder", cure="name the council's file in it")
        if path.exists() and not path.is_file():
            raise CouncilError(f"{path}: is no regular file", cure="write the council to one")
        with path.open("rb") as file:
            content = file.read(MOST_CHARACTERS + 1)
        return _decode(content, path)
    except CouncilError:
        raise
    except FileNotFoundError:
        raise CouncilError(f"{path}: there is no such file", cure=cure) from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no path"
        says = f"cannot be read ({reason}); look at its name and its permissions"
        raise CouncilError(f"{quote(str(path))}: {says}") from None


def _decode(content: bytes, path: Path) -> str:
    if len(content) > MOST_CHARACTERS:
        raise CouncilError(f"{path}: is larger than 1 MB; a council fits on a screen")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CouncilError(
            f"{path}: line {line} is not UTF-8", cure="save the file as UTF-8"
        ) from None


_PRESETS = Path(__file__).parent / "presets"


def load_council(source: str | PathLike[str] | Mapping[str, Any] | Council) -> Council:
    """Load a council from the name of a preset, a path, or a mapping; a `Council` is checked again.

    A string with a slash, or that ends in .yaml, .yml or .json, is a path. Any other is a preset's
    name, and failing that a file's.

    Whoever calls this says by it that the source is trusted: its keys, addresses and code are used
    as they are written. Where somebody else may have written it, `trust.load_trusted_council`
    looks first whether the user has accepted it, as the command, the page and the server do.

    Raises:
        CouncilError: there is no such file, or the council in it cannot sit; each line of the
            message names a place, what stands there, and what would be right.
        UnknownNameError: there is no such preset, or nothing but unknown names keeps the council
            from sitting.
    """
    if isinstance(source, Council):
        return _check_council(source, f"council {quote(source.name)}")
    if isinstance(source, Mapping):
        return _build_council(source, "council")
    if isinstance(source, PathLike):
        name = os.fsdecode(source)
        return council_from_yaml(read_text(Path(name)), name)
    if not isinstance(source, str):
        raise CouncilError(
            f"a council is a preset's name, a path or a mapping, not {quote(source)}"
        )
    file = find_council(source)
    return council_from_yaml(file.text, file.origin)


class CouncilText(NamedTuple):
    """The text of a council, and where it stands."""

    text: str
    origin: str
    """What heads the problems that are found in it: the preset, or the file."""
    path: Path | None
    """The file; None for a preset."""


def find_council(name: str) -> CouncilText:
    """Read the text of a preset or of a file; `load_council` says which a name is.

    Raises:
        CouncilError: there is no such file, or it is no text.
        UnknownNameError: there is no such preset.
    """
    if "/" in name or os.sep in name or name.lower().endswith((".yaml", ".yml", ".json")):
        return CouncilText(read_text(Path(name)), name, Path(name))
    if name in preset_names():
        return CouncilText(read_text(preset_path(name)), f"preset {name!r}", None)
    if name and _is_file(name):
        return CouncilText(read_text(Path(name)), name, Path(name))
    raise _no_preset(name)


def load_model(values: Mapping[str, Any]) -> Model:
    """Load one entry of `models:` that stands in no council.

    Raises:
        CouncilError: it cannot be asked as it is written; each line names a place.
    """
    problems, plain = as_plain(values)
    if problems:
        raise refusal("model", problems)
    try:
        return Model.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise refusal("model", in_words(error, Model)) from None


def preset_names() -> tuple[str, ...]:
    """The names of the councils that come with the package, in order."""
    return tuple(sorted(file.stem for file in _PRESETS.glob("*.yaml")))


def preset_path(name: str) -> Path:
    """Where the preset called `name` is.

    Raises:
        UnknownNameError: there is none of that name.
    """
    if name not in preset_names():
        raise _no_preset(name)
    return _PRESETS / f"{name}.yaml"


def council_from_yaml(text: str, origin: str = "council") -> Council:
    """Read a council from the text of a YAML (or JSON) file; `origin` heads what is told of it.

    Raises:
        CouncilError: see `load_council`.
    """
    from mom_council.councils.yaml import read_yaml

    return _build_council(read_yaml(text, origin), origin)


def to_yaml(council: Council) -> str:
    """Write `council` as YAML, defaults left out, that loads to an equal council."""
    from mom_council.councils.yaml import written

    return written(council)


def _build_council(values: Any, origin: str) -> Council:
    if values is None or values == {}:
        raise CouncilError(f"{origin}: is empty", cure=START)
    if not isinstance(values, Mapping):
        # What it is instead is not quoted: it may be any file of this machine.
        kind = "a list" if isinstance(values, list) else "a single text or number"
        is_a = f"is {kind}, and a council is a mapping of name, models, characters, ..."
        raise CouncilError(f"{origin}: {is_a}", cure=START)
    problems, plain = as_plain(values)
    if problems:
        raise refusal(origin, problems)
    try:
        # JSON, because pydantic is strict there without refusing a list where we keep a tuple.
        council = Council.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as error:
        raise refusal(origin, in_words(error)) from None
    if keys := [*_keys_written_out(plain)]:
        raise refusal(origin, keys)
    return _check_council(council, origin)


def _keys_written_out(values: Any) -> Iterator[Problem]:
    for path in keys_in(values):
        cure = "take it out; a model's key is named by its variable, in `api_key_env`"
        yield Problem(path, "is written like a key", cure=cure)


def _check_council(council: Council, origin: str) -> Council:
    problems = coherence.problems(council)
    if first := next(problems, None):
        raise refusal(origin, chain([first], problems))
    return council


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _is_folder(name: str) -> bool:
    try:
        return bool(name) and Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _no_preset(name: object) -> UnknownNameError:
    if isinstance(name, str) and _is_folder(name):
        return UnknownNameError(f"{quote(name)} is a folder", cure="name a council's file in it")
    return UnknownNameError(
        f"there is no council {quote(name)}", cure=nearest(name, preset_names())
    )
