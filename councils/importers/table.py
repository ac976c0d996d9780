"""The table of foreign formats: how a file is recognised, read, and turned into a council.

JSON is read strictly, YAML as our own is, `.env` literally.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mom_council.councils.importers import (
    characters_json,
    checkout,
    config_py,
    litellm_yaml,
    moa_yaml,
    model_config,
    openrouter,
    rosters,
    two_servers_env,
)
from mom_council.councils.importers.checkout import Docker, read_env
from mom_council.councils.importers.foreign import Draft, Imported, Report, near, plain
from mom_council.councils.loader import load_council, read_text
from mom_council.councils.yaml import read_yaml
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.redaction import fault_in_address, quote, secrets_in
from mom_council.vendors import vendor_of


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


_COMMENT = re.compile(r"//[^\"\n]*$", re.MULTILINE)
"""A comment, which JSON does not know; in a text the quote that ends it would follow."""


def read_mapping(text: str, origin: str) -> Any:
    """Read YAML, or JSON where it begins like it."""
    if text.lstrip()[:1] in ("{", "["):
        return read_json(_COMMENT.sub("", text), origin)
    return read_yaml(text, origin)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{quote(twice)} stands twice in one mapping; keep one")
    return mapping


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON knows; write a finite one")


class ImportFormat(NamedTuple):
    """A foreign format."""

    system: str
    read: Callable[[Any, Mapping[str, str], str, Report], Draft]
    marks: frozenset[str] = frozenset()
    """Keys of which one stands at the top of such a file."""
    file: str = "\0"
    """What such a file is called, where its keys say nothing."""
    all_of: frozenset[str] = frozenset()
    """Keys that all stand at the top of such a file in a folder of other files."""


FORMATS: dict[str, ImportFormat] = {
    "characters.json": ImportFormat(
        "MixtureOfModels",
        characters_json.read,
        frozenset({"characters", "conclusion_thinker", "human_output"}),
        "characters.json",
        frozenset({"characters", "conclusion_thinker"}),
    ),
    "moa_config.yaml": ImportFormat(
        "moa-llm",
        moa_yaml.read,
        frozenset({"proposal_layers", "aggregation_layer", "use_annotator"}),
        "moa_config",
        frozenset({"proposal_layers", "aggregation_layer"}),
    ),
    "model_config.json": ImportFormat(
        "memories-dev",
        model_config.read,
        frozenset({"models", "provider_groups", "default_model"}),
        "model_config.json",
        frozenset({"models", "default_model"}),
    ),
    "LiteLLM config.yaml": ImportFormat(
        "LiteLLM",
        litellm_yaml.read,
        frozenset({"model_list"}),
        all_of=frozenset({"model_list"}),
    ),
}
"""Files that are mappings, in the order they are tried."""

CONFIG_PY = "config.py"
COUNCIL_PY = "llm-council config.py"
OPENROUTER = "OpenRouter list"
ENVIRONMENTS: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, str], Report], Draft]]] = {
    "MixtureOfModels .env": (characters_json.KEYS, characters_json.read_environment),
    "AI for Web Devs .env": (two_servers_env.KEYS, two_servers_env.read),
    "moa-llm .env": (moa_yaml.KEYS, moa_yaml.read_environment),
}
"""Which variables tell whose `.env` it is."""

_OURS = frozenset({"characters", "models", "synthesizer"})
_READABLE = (
    "characters.json, moa_config.yaml, model_config.json, config.py, .env, LiteLLM's config.yaml "
    "and OpenRouter's lists"
)


def import_council(
    path: Path | str, name: str | None = None, seats: Sequence[str] = ()
) -> Imported:
    """Read another system's file, or a checkout of it, as a council.

    The `.env.local` or `.env` beside it is read along, for addresses and limits, never for keys;
    and a compose file, for the ports that its services publish.

    Args:
        path: the file, or the folder of the checkout.
        name: what the council is called; left out, as the file or the folder is.
        seats: who takes part, by the names that characters and choices have; left out, all
            characters, or a few of a catalogue.

    Raises:
        CouncilError: the file is none of those formats, or something in it cannot be right; each
            line names a place and the cure.
        UnknownNameError: there is nobody of a name in `seats`.
    """
    path, report = Path(path), Report()
    top = path if path.is_dir() else path.parent
    file = _file_in(path, report) if path.is_dir() else path
    text = read_text(file, cure="`mom import --help` says what can be read")
    env = {} if _is_env(file) else checkout.environment_of(file.parent, top, report)
    docker = checkout.read_docker((file.parent, top), env, report)
    env = {**{k: v for k, v in docker.environment.items() if k.startswith(_TAKEN)}, **env}
    if file.name in checkout.COMPOSE_NAMES:
        format_, draft = _environment(file, _compose_variables(docker, env), report)
    else:
        format_, draft = _read(file, text, env, report, {**docker.environment, **env})
    if path.is_dir():
        checkout.tell_of_extensions(top, report)
        is_env = _is_env(file) or file.name in checkout.COMPOSE_NAMES
        draft = two_servers_env.with_painter(draft, top, report) if is_env else draft
    title = name or (path.resolve().name if path.is_dir() else path.stem.lstrip(".")) or "env"
    origin = str(file.relative_to(path)) if path.is_dir() else path.name
    head = {"name": plain(title, usual="imported"), "description": f"Imported from {origin}."}
    draft = _with_seats(draft, seats, str(path))
    return _build_import(format_, head, _outside_docker(draft, docker, report), str(file), report)


_TAKEN = ("OLLAMA_", "GPU_TEMP", "INFERENCE_", "BASE_URL", "OPENROUTER_", "COUNCIL", "CHAIRMAN")
"""How variables begin that a compose file may set, where the `.env` does not."""


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
    return _build_import(name, {"name": "moa_config"}, draft, name, report)


def _build_import(
    format_: str, head: dict[str, str], draft: Draft, origin: str, report: Report
) -> Imported:
    values = {**head, **draft.values}
    if secret := next(secrets_in({**values, "user_query": draft.questions}), None):
        raise CouncilError(
            f"{origin}: {secret}: holds what may be a key", cure="take it out of the file"
        )
    council = load_council(values)
    seated = {who.model for who in council.characters}
    choices = tuple(one for one, key in draft.choices.items() if key not in seated)
    return Imported(
        format_,
        council,
        tuple(report.turned),
        tuple(report.left),
        draft.questions,
        choices,
        origin,
    )


def _with_seats(draft: Draft, seats: Sequence[str], origin: str) -> Draft:
    if not seats:
        return draft
    written = {who["name"]: who for who in draft.values["characters"]}
    models = {key: {"name": key, "model": key} for key in draft.values["models"]}
    choices = {name: {"name": plain(name), "model": key} for name, key in draft.choices.items()}
    members = {**models, **choices, **written}
    for name in seats:
        if name not in members:
            meant = near(name, [*members])
            raise UnknownNameError(
                f"{origin}: there is no {quote(name)} to take part; there are {[*members][:40]}",
                cure=f"did you mean {meant!r}?" if meant else "name some of them",
            )
    values = {**draft.values, "characters": [members[name] for name in dict.fromkeys(seats)]}
    values.pop("layers", None)
    return Draft(values, draft.questions, draft.choices)


def _outside_docker(draft: Draft, docker: Docker, report: Report) -> Draft:
    """The council with addresses that are reached from this machine, each told once."""
    reported: set[str] = set()

    def tell(says: str) -> None:
        if says not in reported:
            reported.add(says)
            report.turn("base_url", says)

    for spec in draft.values["models"].values():
        url = spec.get("base_url")
        if not isinstance(url, str) or fault_in_address(url):
            continue
        spec["base_url"] = docker.on_this_machine(url, tell)
        usual = vendor_of(spec["provider"]).usual_address
        if usual and spec["base_url"].rstrip("/").replace("//localhost", "//127.0.0.1") == usual:
            del spec["base_url"]
    return draft


def _is_env(path: Path) -> bool:
    return path.name.startswith(".env") or path.suffix == ".env" or path.name == "env.example"


def _compose_variables(docker: Docker, env: Mapping[str, str]) -> dict[str, str]:
    """What stands in a compose file for a `.env`; the servers' own arguments are none of it."""
    names = {key for keys, _ in ENVIRONMENTS.values() for key in keys}
    written = {k: v for k, v in {**docker.environment, **env}.items() if k.startswith(_TAKEN)}
    return written if names & {*written} else two_servers_env.variables_of(docker)


def _read(
    path: Path,
    text: str,
    env: Mapping[str, str],
    report: Report,
    variables: Mapping[str, str],
) -> tuple[str, Draft]:
    if _is_env(path):
        values = read_env(text, path.name, report)
        report_only = {k: v for k, v in env.items() if k not in values}
        return _environment(path, {**report_only, **values}, report)
    if path.suffix == ".py":
        if rosters.looks_like_council_py(text):
            return COUNCIL_PY, rosters.read_council_py(text, env, str(path), report)
        return CONFIG_PY, config_py.read(text, {}, str(path), report)
    if names := openrouter.names_in_lines(text):
        return OPENROUTER, openrouter.read_openrouter(names, env, str(path), report)
    values = read_mapping(text, str(path))
    values = checkout.fill_variables(values, variables, str(path))
    format_ = _recognise_format(path, values)
    if format_ == OPENROUTER:
        return format_, openrouter.read_openrouter(values, env, str(path), report)
    return format_, FORMATS[format_].read(values, env, str(path), report)


# -- which file of a folder -----------------------------------------------------------------------


def _file_in(folder: Path, report: Report) -> Path:
    """The file of a checkout that describes its models; others like it are listed."""
    candidates = sorted(
        (rank, len(file.relative_to(folder).parts), str(file), kind)
        for file in checkout.files_in(folder)
        for rank, kind in _kinds(file)
    )
    if candidates:
        for rank, _, other, kind in candidates[1:]:
            name = str(Path(other).relative_to(folder))
            says = f"is a {kind} too: import it by its own name"
            report.leave(name[:80], f"cannot be read as a {kind}" if rank >= _BROKEN else says)
        return Path(candidates[0][2])
    for place in (folder, *sorted(one for one in folder.iterdir() if one.is_dir())):
        for name in (*checkout.ENV_NAMES, *checkout.TEMPLATES):
            file = place / name
            if file.is_file() and not file.is_symlink() and _env_is_known(file):
                return file
        docker = checkout.read_docker((place,), {}, Report())
        if docker.files and _compose_variables(docker, {}):
            return place / docker.files[0]
    raise CouncilError(
        f"{folder}: is a folder that holds none of the files that can be imported: {_READABLE}"
    )


def _env_is_known(file: Path) -> bool:
    values = read_env(read_text(file), file.name, Report())
    return any(key in values for keys, _ in ENVIRONMENTS.values() for key in keys)


_BROKEN = 10
"""What a file's rank counts more that is one of a system by its name or its keys, and has a fault.

Where no sound one is there it is read, so that its fault is told.
"""
_LIST_NAME = re.compile(r"model|openrouter|council|llm", re.IGNORECASE)


def _kinds(file: Path) -> list[tuple[int, str]]:
    """What a file of a checkout is, with how much that counts; nothing for other files."""
    if file.suffix == ".py":
        return _kinds_of_python(file) if "test" not in file.name else []
    is_list_name = bool(_LIST_NAME.search(file.name))
    if file.suffix not in (".json", ".yaml", ".yml"):
        is_list = is_list_name and file.suffix in (".txt", ".csv", ".jsonl")
        return [(_LIST_RANK, OPENROUTER)] if is_list and _names_in(file) else []
    try:
        text = read_text(file)
    except CouncilError:
        return _faulty(file, "")
    if not is_list_name and not any(m in text for one in FORMATS.values() for m in one.all_of):
        return _faulty(file, "")
    try:
        values = read_mapping(text, str(file))
    except CouncilError:
        return _faulty(file, text)
    keys = set(values) if isinstance(values, Mapping) else set()
    if keys >= _OURS:
        return []
    for rank, (name, one) in enumerate(FORMATS.items()):
        if one.all_of and keys >= one.all_of:
            return [(rank, name)]
    if is_list_name and openrouter.is_openrouter_list(values):
        return [(_LIST_RANK, OPENROUTER)]
    return [one for one in _faulty(file, "") if keys & FORMATS[one[1]].marks]


_LIST_RANK = 5


def _names_in(file: Path) -> bool:
    try:
        return bool(openrouter.names_in_lines(read_text(file)))
    except CouncilError:
        return False


def _faulty(file: Path, text: str) -> list[tuple[int, str]]:
    """Whose file it would be, by its name, or by the keys that stand in its text."""
    for rank, (name, one) in enumerate(FORMATS.items()):
        written = [mark for mark in one.all_of if re.search(rf"^\W*{mark}\b\W*:", text, re.M)]
        if file.name.startswith(one.file) or (written and len(written) == len(one.all_of)):
            return [(_BROKEN + rank, name)]
    return []


def _kinds_of_python(file: Path) -> list[tuple[int, str]]:
    try:
        text = read_text(file)
    except CouncilError:
        return []
    if "layer1_model_ids" in text:
        if config_py.names_models(text):
            return [(3, CONFIG_PY)]
        if file.name == CONFIG_PY:
            return [(_BROKEN + 3, CONFIG_PY)]
    if not rosters.looks_like_council_py(text):
        return []
    try:
        rosters.read_council_py(text, {}, str(file), Report())
    except CouncilError:
        return [(_BROKEN + 4, COUNCIL_PY)] if file.name == CONFIG_PY else []
    return [(4, COUNCIL_PY)]


def _recognise_format(path: Path, values: Any) -> str:
    keys = {key for key in values if isinstance(key, str)} if isinstance(values, Mapping) else set()
    if keys >= _OURS:
        raise CouncilError(
            f"{path}: is a council already", cure=f"ask it with mom ask -c {path.name}"
        )
    for name, format_ in FORMATS.items():
        if keys & format_.marks or path.name.startswith(format_.file):
            models = values.get("models") if isinstance(values, Mapping) else None
            is_list = isinstance(models, list) or not keys - {"models", "model"}
            is_list = is_list and name == "model_config.json"
            return OPENROUTER if is_list and openrouter.is_openrouter_list(values) else name
    if openrouter.is_openrouter_list(values):
        return OPENROUTER
    raise CouncilError(f"{path}: is none of the files that can be imported: {_READABLE}")


def _environment(path: Path, env: Mapping[str, str], report: Report) -> tuple[str, Draft]:
    for name, (keys, read) in ENVIRONMENTS.items():
        if any(key in env for key in keys):
            return name, read(env, report)
    raise CouncilError(f"{path}: holds no variable of a system that can be imported: {_READABLE}")
