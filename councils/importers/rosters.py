"""Lists of models that other systems keep: who of them takes part; karpathy-style `config.py`.

A list is a catalogue. A few of its models take part, the others stay in `models` as choices.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mom_council.councils.importers.foreign import Draft, ModelSection, Names, Report, plain
from mom_council.councils.importers.python_values import PythonValues
from mom_council.councils.refusals import Problem, refusal
from mom_council.redaction import fault_in_address
from mom_council.vendors import VENDORS

MOST_SEATS = 5
"""Of a catalogue that does not say who takes part, this many do."""

OPENROUTER = "https://openrouter.ai/api/v1"

_DRAWS = "diffusion|sdxl|(^|[/: -])(sd[x3]|flux|imagen|kandinsky)|dall-?e|gpt-image|midjourney"
_NO_CHAT = (
    (rf"{_DRAWS}|text-to-image", "it makes pictures"),
    (r"embed|minilm|(^|[/-])(bge|gte|e5|clip)-|rerank", "it does not write text"),
    (r"whisper|(^|[/:-])(tts|wav2vec|bark)|speech|musicgen", "it hears or speaks"),
)


def why_no_seat(name: str) -> str:
    """Why a model of this name can take no part in a conversation; empty: it can."""
    return next((why for part, why in _NO_CHAT if re.search(part, name.lower())), "")


def choose_seats(names: Mapping[str, str], first: str = "", most: int = MOST_SEATS) -> list[str]:
    """Who of a catalogue takes part: all of a small one, else a few of different groups.

    Args:
        names: who could, with the group of each: its vendor, say.
        first: who takes part in any case.
        most: how many take part.
    """
    if len(names) <= most:
        return [*names]
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda one: one != first):
        groups.setdefault(names[name], []).append(name)
    chosen: list[str] = []
    while len(chosen) < most:
        for waiting in groups.values():
            if waiting and len(chosen) < most:
                chosen.append(waiting.pop(0))
    return [name for name in names if name in chosen]


def tell_of_choices(count: int, seated: Sequence[str], report: Report) -> None:
    """Say who of a catalogue takes part."""
    if count > len(seated):
        says = f"{len(seated)} of {count} take part ({', '.join(seated)}); the others are choices"
        report.turn("models", f"{says}: name them in `characters`, or import with --seats A,B")


def catalogue_draft(
    keys: Mapping[str, str], first: str, voices: ModelSection, report: Report
) -> Draft:
    """A council of a list: some take part, each is compared with the others, one writes."""
    groups = {
        name: str(voices.written[key]["model"]).partition("/")[0] for name, key in keys.items()
    }
    names = Names(report)
    seated = choose_seats(groups, first)
    tell_of_choices(len(keys), seated, report)
    writer = keys.get(first) or keys[seated[0]]
    report.turn("synthesizer", f"the list names none; {writer!r} writes the answer")
    return Draft(
        {
            "models": voices.written,
            "characters": [{"name": names.take(one), "model": keys[one]} for one in seated],
            "synthesizer": {"model": writer},
            "deliberation": {"rounds": {"min": 1, "max": 1}, "quorum": 1.0},
            "thermal": None,
        },
        choices=dict(keys),
    )


# -- karpathy's llm-council -----------------------------------------------------------------------

_MEMBERS = ("COUNCIL_MODELS", "DEFAULT_COUNCIL_MODELS", "LLM_COUNCIL_MODELS", "MODELS")
_CHAIRS = ("CHAIRMAN_MODEL", "DEFAULT_CHAIRMAN_MODEL", "CHAIRMAN", "CHAIR_MODEL")
_ADDRESSES = ("OPENROUTER_API_URL", "OPENROUTER_BASE_URL", "API_URL", "BASE_URL", "API_BASE_URL")


def read_council_py(text: str, env: Mapping[str, str], origin: str, report: Report) -> Draft:
    """A council of the members that a `config.py` lists, whose chairman writes the answer.

    Raises:
        CouncilError: it is no Python, or lists no models that can be read.
    """
    values = PythonValues(text, env, origin)
    members = _entries(_first(values, _MEMBERS))
    if not members:
        says = "cannot be read: write the models out as a list of texts"
        raise refusal(origin, [Problem(("COUNCIL_MODELS",), says)])
    chair = _first(values, _CHAIRS)
    chairs = _entries([chair] if isinstance(chair, str | dict) else chair)
    if not chairs:
        report.turn("CHAIRMAN_MODEL", f"is missing; {members[0]['model']!r} writes the answer")
    opening = _Openings(values, env, report)
    voices, names = ModelSection(), Names(report)
    characters = [_member(one, voices.key(**opening.of(one)), names) for one in members]
    report.turn("deliberation", "all answer, rank each other's answers, and the chairman writes")
    _tell_of_names(values, report)
    rules = {"method": "borda", "rounds": {"min": 1, "max": 1}, "quorum": 1.0, "ballots": "always"}
    return Draft(
        {
            "characters": characters,
            "synthesizer": {"model": voices.key(**opening.of((chairs or members)[0]))},
            "models": voices.written,
            "deliberation": rules,
            "thermal": None,
        }
    )


def _member(entry: Mapping[str, Any], key: str, names: Names) -> dict[str, Any]:
    short = plain(str(entry.get("name") or entry["model"]).rpartition("/")[2], usual="Member")
    member: dict[str, Any] = {"name": names.take(short), "model": key}
    persona = entry.get("persona") or entry.get("system_prompt") or entry.get("role")
    if isinstance(persona, str) and persona.strip():
        member["personality"] = persona.strip()[:20_000]
    if (weight := number_within(entry.get("weight"), 0, 1000)) is not None:
        member["weight"] = weight
    return member


def _tell_of_names(values: PythonValues, report: Report) -> None:
    for name, why in values.unread.items():
        report.leave(name, why)
    for name in values.found:
        if name in _PY_REASONS:
            report.leave(name, _PY_REASONS[name])
        elif re.search(r"^[A-Z0-9_]*(RANK|JUDGE|REVIEW|EVAL|VOTE)[A-Z0-9_]*_MODELS?$", name):
            report.leave(name, "the members rank each other's answers here")
        elif re.search(r"_PROMPT(_TEMPLATE)?$", name):
            report.leave(name, "a council asks in its own words; `prompts` puts others there")


_PY_REASONS = {
    "TITLE_MODEL": "a thread's title is the beginning of its first question; no model is asked",
    "DATA_DIR": "threads are kept in the data folder; --chats brings the conversations there",
    "QUICK_MODEL": "mom ask -m MODEL asks one model alone",
    "MAX_RETRIES": "each model has `retries`",
}


def _first(values: PythonValues, names: Sequence[str]) -> Any:
    """What the first of some names holds, in capitals or as a field of a class."""
    spellings = (spelling for name in names for spelling in (name, name.lower()))
    return next((values.get(one) for one in spellings if values.get(one) not in _NOTHING), None)


_NOTHING: tuple[Any, ...] = (None, "", [], {})


def number_within(value: Any, least: float, most: float) -> float | None:
    """A number within bounds; None: it is none, or not within them."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and least <= value <= most else None


def _entries(value: Any) -> list[dict[str, Any]]:
    """The models of a list: names, or mappings that hold one."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, dict):
        value = [
            {"name": key, **one} if isinstance(one, dict) else {"name": key, "model": one}
            for key, one in value.items()
        ]
    entries = []
    for one in value if isinstance(value, list | tuple) else ():
        if isinstance(one, str) and one.strip() and not one.strip().startswith("#"):
            entries.append({"model": one.strip()})
        elif isinstance(one, dict):
            name = next((one[key] for key in ("model", "model_id", "id") if one.get(key)), None)
            if isinstance(name, str):
                entries.append({**one, "model": name})
    return entries[:64]


_USUAL_FIELDS = {
    "timeout": ("REQUEST_TIMEOUT", "DEFAULT_TIMEOUT", "MODEL_TIMEOUT", "TIMEOUT"),
    "temperature": ("TEMPERATURE", "DEFAULT_TEMPERATURE", "MODEL_TEMPERATURE"),
    "max_tokens": ("MAX_TOKENS", "DEFAULT_MAX_TOKENS", "MAX_OUTPUT_TOKENS"),
}
"""Names that say how every model is asked."""


class _Openings:
    """How the models of a `config.py` are asked: at OpenRouter, on Ollama, or where it says."""

    def __init__(self, values: PythonValues, env: Mapping[str, str], report: Report) -> None:
        url = _first(values, _ADDRESSES) or OPENROUTER
        self._url = str(url).rstrip("/").removesuffix("/chat/completions").rstrip("/")
        if fault_in_address(self._url):
            report.leave(
                "OPENROUTER_API_URL", "is no address that can be read; OpenRouter's is used"
            )
            self._url = OPENROUTER
        written = values.variables.get("OPENROUTER_API_KEY") or values.variables.get("API_KEY")
        self._key = written or "OPENROUTER_API_KEY"
        ollama = values.get("OLLAMA_BASE_URL") or values.get("OLLAMA_API_URL")
        ollama = ollama or env.get("OLLAMA_BASE_URL")
        self._ollama = str(ollama).rstrip("/").removesuffix("/v1") if ollama else None
        self._usual = {field: _first(values, names) for field, names in _USUAL_FIELDS.items()}

    def of(self, one: Mapping[str, Any]) -> dict[str, Any]:
        name = str(one["model"])
        head, sign, rest = name.partition("/" if "/" in name else ":")
        spec: dict[str, Any] = {"provider": "openai", "model": name, "base_url": self._url}
        spec["api_key_env"] = self._key
        vendor = str(one.get("provider") or "").lower()
        if vendor in ("ollama", "local") or head == "ollama" or self._looks_local(name):
            model = rest if head == "ollama" and sign else name
            spec = {"provider": "ollama", "model": model, "base_url": self._ollama, "timeout": 300}
            spec |= {"lane": "gpu", "concurrency": 1}
        elif ":" in name and "/" not in name and head in VENDORS:
            spec = {"provider": head, "model": rest}
        written = {**self._usual, **one}
        if seconds := number_within(written.get("timeout"), 0, 3600):
            spec["timeout"] = float(seconds)
        spec["params"] = {
            "temperature": number_within(written.get("temperature"), 0, 2),
            "top_p": number_within(written.get("top_p"), 0, 1),
            "max_tokens": number_within(written.get("max_tokens"), 1, 10_000_000),
        }
        return spec

    def _looks_local(self, name: str) -> bool:
        """Whether a name is Ollama's: without a vendor before it, in a file that names Ollama."""
        return self._ollama is not None and "/" not in name


def looks_like_council_py(text: str) -> bool:
    """Whether a Python file names a council's models at its top level."""
    if "COUNCIL_MODELS" not in text.upper():
        return False
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # so that the one who reads it says what is wrong
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return any(name.upper().endswith("COUNCIL_MODELS") for name in names)
