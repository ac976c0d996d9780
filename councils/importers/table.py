"""The table of foreign formats, and how a file is recognised as one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mom_council.councils.files import read_text
from mom_council.councils.importers import (
    characters_json,
    config_py,
    moa_env,
    moa_yaml,
    model_config,
    ollama_env,
    two_servers_env,
)
from mom_council.councils.importers.findings import Draft, Imported, Report
from mom_council.councils.importers.reading import read_env, read_mapping
from mom_council.councils.importers.voices import plain
from mom_council.councils.loader import load_council
from mom_council.councils.secrecy import secrets_in
from mom_council.errors import CouncilError


class Format(NamedTuple):
    """A foreign format."""

    system: str
    read: Callable[[Any, Mapping[str, str], str, Report], Draft]
    marks: frozenset[str] = frozenset()
    """Keys of which one stands at the top of such a file."""
    file: str = ""
    """What such a file is called, where its keys say nothing."""


FORMATS: dict[str, Format] = {
    "characters.json": Format(
        "MixtureOfModels",
        characters_json.read,
        frozenset({"characters", "conclusion_thinker", "human_output"}),
        "characters.json",
    ),
    "moa_config.yaml": Format(
        "moa-llm",
        moa_yaml.read,
        frozenset({"proposal_layers", "aggregation_layer", "use_annotator"}),
        "moa_config",
    ),
    "model_config.json": Format(
        "memories-dev",
        model_config.read,
        frozenset({"models", "provider_groups", "default_model"}),
        "model_config.json",
    ),
}
"""Files that are mappings, in the order they are tried."""

CONFIG_PY = "config.py"
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, str], Report], Draft]]] = {
    "MixtureOfModels .env": (ollama_env.KEYS, ollama_env.read),
    "AI for Web Devs .env": (two_servers_env.KEYS, two_servers_env.read),
    "moa-llm .env": (moa_env.KEYS, moa_env.read),
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
        raise CouncilError(f"{origin}: {kept}: holds what may be a key; take it out of the file")
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
        raise CouncilError(f"{path}: is a council already; ask it with mom ask -c {path.name}")
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
