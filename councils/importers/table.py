"""Foreign files as plain values: JSON read strictly, YAML as ours is, `.env` literally.

The table of foreign formats, and how a file is recognised as one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from mom_council.councils.importers import (
    characters_json,
    config_py,
    moa_yaml,
    model_config,
    two_servers_env,
)
from mom_council.councils.importers.foreign import Draft, Imported, Report, plain
from mom_council.councils.loader import load_council, read_text
from mom_council.councils.yaml import read_yaml
from mom_council.errors import CouncilError
from mom_council.redaction import quote, secrets_in


def read_json(text: str, origin: str) -> Any:
    """Read one JSON document, in which no key stands twice.

    Raises:
        CouncilError: it is no JSON, with its line.
    """
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        says = f"{origin}: {place}: {error.msg[:80]}; look at the quotes and commas there"
        raise CouncilError(says) from None
    except RecursionError:
        raise CouncilError(
            f"{origin}: is nested too deeply; no such file of that system is"
        ) from None
    except ValueError as error:
        raise CouncilError(f"{origin}: {error}") from None


def read_mapping(text: str, origin: str) -> Any:
    """Read YAML, or JSON where it begins like it."""
    if text.lstrip()[:1] in ("{", "["):
        return read_json(text, origin)
    return read_yaml(text, origin)


def read_env(text: str, name: str, report: Report) -> dict[str, str]:
    """Read the lines of a `.env` file; nothing in them is expanded, empty ones are left out."""
    from dotenv.parser import parse_stream

    found: dict[str, str] = {}
    for line in parse_stream(StringIO(text)):
        if line.error:
            report.leave(f"{name} line {line.original.line}", "is no line of the form NAME=value")
        elif line.key and line.value and line.value.strip():
            found[line.key] = line.value.strip()
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{quote(twice)} stands twice in one mapping; keep one")
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON knows; write a finite one")


class ImportFormat(NamedTuple):
    """A foreign format."""

    system: str
    read: Callable[[Any, Mapping[str, str], str, Report], Draft]
    marks: frozenset[str] = frozenset()
    """Keys of which one stands at the top of such a file."""
    file: str = ""
    """What such a file is called, where its keys say nothing."""


FORMATS: dict[str, ImportFormat] = {
    "characters.json": ImportFormat(
        "MixtureOfModels",
        characters_json.read,
        frozenset({"characters", "conclusion_thinker", "human_output"}),
        "characters.json",
    ),
    "moa_config.yaml": ImportFormat(
        "moa-llm",
        moa_yaml.read,
        frozenset({"proposal_layers", "aggregation_layer", "use_annotator"}),
        "moa_config",
    ),
    "model_config.json": ImportFormat(
        "memories-dev",
        model_config.read,
        frozenset({"models", "provider_groups", "default_model"}),
        "model_config.json",
    ),
}
"""Files that are mappings, in the order they are tried."""

CONFIG_PY = "config.py"
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, str], Report], Draft]]] = {
    "MixtureOfModels .env": (characters_json.KEYS, characters_json.read_environment),
    "AI for Web Devs .env": (two_servers_env.KEYS, two_servers_env.read),
    "moa-llm .env": (moa_yaml.KEYS, moa_yaml.read_environment),
}
"""Which variables tell whose `.env` it is."""

_OURS = frozenset({"characters", "models", "synthesizer"})
_KNOWN = "characters.json, moa_config.yaml, model_config.json, config.py and .env"


def import_council(path: Path | str, name: str | None = None) -> Imported:
    """Read another system's file as a council.

    The `.env.local` or `.env` in the same folder is read along, for addresses and limits; never for
    keys.

    Args:
        path: the file.
        name: what the council is called; left out, as the file is.

    Raises:
        CouncilError: the file is none of those formats, or something in it cannot be right; each
            line names a place and the cure.
    """
    path = Path(path)
    text, report = read_text(path), Report()
    format_, draft = _read(path, text, report)
    wanted = name or path.stem.lstrip(".") or "env"
    head = {"name": plain(wanted, usual="imported"), "description": f"Imported from {path.name}."}
    return _seated(format_, head, draft, str(path), report)


def import_moa(config: str | Mapping[str, Any], env: Mapping[str, str]) -> Imported:
    """Read moa-llm's configuration from its YAML text or its values.

    Args:
        config: the text, or the values.
        env: where `BASE_URL` may stand.

    Raises:
        CouncilError: as `import_council`.
    """
    name, report = "moa_config.yaml", Report()
    values = read_mapping(config, name) if isinstance(config, str) else config
    draft = moa_yaml.read(values, env, name, report)
    return _seated(name, {"name": "moa_config"}, draft, name, report)


def _seated(
    format_: str, head: dict[str, str], draft: Draft, origin: str, report: Report
) -> Imported:
    values = {**head, **draft.values}
    if kept := next(secrets_in({**values, "user_query": draft.questions}), None):
        raise CouncilError(
            f"{origin}: {kept}: holds what may be a key", cure="take it out of the file"
        )
    council = load_council(values)
    return Imported(format_, council, tuple(report.turned), tuple(report.left), draft.questions)


def _read(path: Path, text: str, report: Report) -> tuple[str, Draft]:
    if path.name.startswith(".env") or path.suffix == ".env":
        return _environment(path, read_env(text, path.name, report), report)
    if path.suffix == ".py":
        return CONFIG_PY, config_py.read(text, {}, str(path), report)
    values = read_mapping(text, str(path))
    found = _recognised(path, values)
    return found, FORMATS[found].read(values, _beside(path, report), str(path), report)


def _recognised(path: Path, values: Any) -> str:
    keys = {key for key in values if isinstance(key, str)} if isinstance(values, Mapping) else set()
    if keys >= _OURS:
        raise CouncilError(
            f"{path}: is a council already", cure=f"ask it with mom ask -c {path.name}"
        )
    for name, format_ in FORMATS.items():
        if keys & format_.marks or path.name.startswith(format_.file):
            return name
    raise CouncilError(f"{path}: is none of the files that can be imported: {_KNOWN}")


def _environment(path: Path, env: Mapping[str, str], report: Report) -> tuple[str, Draft]:
    for name, (keys, read) in ENVIRONMENTS.items():
        if any(key in env for key in keys):
            return name, read(env, report)
    raise CouncilError(f"{path}: holds no variable of a system that can be imported: {_KNOWN}")


def _beside(path: Path, report: Report) -> dict[str, str]:
    """What the environment's file in the same folder says."""
    for name in (".env.local", ".env"):
        file = path.parent / name
        if file.is_file():
            report.turn(name, "is read along")
            return read_env(read_text(file), name, report)
    return {}
