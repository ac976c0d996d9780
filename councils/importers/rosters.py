"""Lists of models that other systems keep: karpathy-style `config.py`, and LiteLLM's.

A list is a catalogue. A few of its models take part, the others stay in `models` as choices.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from mom_council.councils.importers.foreign import Draft, ModelSection, Names, Report, plain
from mom_council.councils.importers.python_values import PythonValues
from mom_council.councils.refusals import Problem, refusal
from mom_council.errors import CouncilError
from mom_council.redaction import fault_in_address, quote
from mom_council.vendors import VENDORS

MOST_SEATS = 5
"""Of a catalogue that does not say who takes part, this many do."""

OPENROUTER = "https://openrouter.ai/api/v1"
_SERVERS: dict[str, tuple[str, str]] = {
    "together_ai": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks_ai": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "nvidia_nim": ("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    "moonshot": ("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "lm_studio": ("http://localhost:1234/v1", ""),
    "llamafile": ("http://localhost:8080/v1", ""),
}
"""Servers without a profile of ours that speak OpenAI's protocol: their address, and the variable
of their key."""
_OPEN_SERVERS = ("openai", "hosted_vllm", "vllm", "custom_openai", "openai_like", "litellm_proxy")
_BARE_NAMES = (("claude-", "anthropic"), ("gemini-", "gemini"), ("command-", "cohere"))
"""Whose a model is whose name in a LiteLLM list has no vendor before it; else it is OpenAI's."""
_ALIASES = {"gemini": "google_genai", "ollama_chat": "ollama", "cohere_chat": "cohere"}

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
    members = _entries(next((values.get(name) for name in _MEMBERS if values.get(name)), None))
    if not members:
        says = "cannot be read: write the models out as a list of texts"
        raise refusal(origin, [Problem(("COUNCIL_MODELS",), says)])
    chair = next((values.get(name) for name in _CHAIRS if values.get(name)), None)
    chairs = _entries([chair] if isinstance(chair, str | dict) else chair)
    if not chairs:
        report.turn("CHAIRMAN_MODEL", f"is missing; {members[0]['model']!r} writes the answer")
    opening = _Openings(values, env, report)
    voices, names = ModelSection(), Names(report)
    characters = []
    for one in members:
        short = plain(str(one.get("name") or one["model"]).rpartition("/")[2], usual="Member")
        persona = one.get("persona") or one.get("system_prompt") or one.get("role")
        character = {"name": names.take(short), "model": voices.key(**opening.of(one))}
        if isinstance(persona, str) and persona.strip():
            character["personality"] = persona.strip()[:20_000]
        characters.append(character)
    report.turn("deliberation", "all answer, rank each other's answers, and the chairman writes")
    for name in ("TITLE_MODEL", "DATA_DIR", "QUICK_MODEL", "MAX_RETRIES"):
        if values.get(name) is not None:
            report.leave(name, _PY_REASONS[name])
    for name, why in values.unread.items():
        report.leave(name, why)
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


_PY_REASONS = {
    "TITLE_MODEL": "a thread's title is the beginning of its first question; no model is asked",
    "DATA_DIR": "threads are kept in the data folder; --chats brings the conversations there",
    "QUICK_MODEL": "mom ask -m MODEL asks one model alone",
    "MAX_RETRIES": "each model has `retries`",
}


def _entries(value: Any) -> list[dict[str, Any]]:
    """The models of a list: names, or mappings that hold one."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, dict):
        value = [
            {"name": key, **one} if isinstance(one, dict) else {"name": key, "model": one}
            for key, one in value.items()
        ]
    found = []
    for one in value if isinstance(value, list | tuple) else ():
        if isinstance(one, str) and one.strip():
            found.append({"model": one.strip()})
        elif isinstance(one, dict):
            name = next((one[key] for key in ("model", "model_id", "id") if one.get(key)), None)
            if isinstance(name, str):
                found.append({**one, "model": name})
    return found[:64]


class _Openings:
    """How the models of a `config.py` are asked: at OpenRouter, on Ollama, or where it says."""

    def __init__(self, values: PythonValues, env: Mapping[str, str], report: Report) -> None:
        url = next((values.get(name) for name in _ADDRESSES if values.get(name)), OPENROUTER)
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
        self._timeout = next(
            (values.get(n) for n in ("REQUEST_TIMEOUT", "DEFAULT_TIMEOUT") if values.get(n)), None
        )

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
        if isinstance(self._timeout, int | float) and 0 < self._timeout <= 3600:
            spec["timeout"] = float(self._timeout)
        return spec

    def _looks_local(self, name: str) -> bool:
        """Whether a name is Ollama's: without a vendor before it, in a file that names Ollama."""
        return self._ollama is not None and "/" not in name


# -- LiteLLM --------------------------------------------------------------------------------------

_PARAMS = ("temperature", "top_p", "max_tokens", "seed", "frequency_penalty", "presence_penalty")


def read_litellm(values: Any, env: Mapping[str, str], origin: str, report: Report) -> Draft:
    """A council of a LiteLLM proxy's `model_list`; deployments of one name stand in for each other.

    Raises:
        CouncilError: no model of it can be asked from here.
    """
    voices = ModelSection()
    by_name: dict[str, list[str]] = {}
    for place, entry in enumerate(_read_list(values, "model_list")):
        where = f"model_list[{place}]"
        params = entry.get("litellm_params")
        if not isinstance(params, Mapping) or not isinstance(params.get("model"), str):
            report.leave(where, "names no model in `litellm_params`")
            continue
        name = str(entry.get("model_name") or params["model"])
        info = entry.get("model_info")
        mode = str(info.get("mode") or "chat") if isinstance(info, Mapping) else "chat"
        why = why_no_seat(str(params["model"])) if mode == "chat" else f"its mode is {mode}"
        if "*" in str(params["model"]):
            why = "it is a pattern of many models; name the one that you want"
        spec = None if why else _litellm_voice(params, env, where, report)
        if why:
            report.leave(f"{where} {name}"[:80], why)
        elif spec is not None:
            by_name.setdefault(name, []).append(voices.key(**spec))
    if not by_name:
        raise CouncilError(f"{origin}: model_list: no model in it can be asked from here")
    _stand_in(values, by_name, voices, report)
    for section in ("litellm_settings", "general_settings", "router_settings"):
        if isinstance(values.get(section), Mapping) and values[section]:
            report.leave(
                section, "the proxy's own; a council has `timeout`, `retries` and `budget`"
            )
    return catalogue_draft({name: keys[0] for name, keys in by_name.items()}, "", voices, report)


def _read_list(values: Any, key: str) -> Iterator[Mapping[str, Any]]:
    written = values.get(key) if isinstance(values, Mapping) else values
    for one in written if isinstance(written, list) else ():
        if isinstance(one, Mapping):
            yield one


def _litellm_voice(
    params: Mapping[str, Any], env: Mapping[str, str], where: str, report: Report
) -> dict[str, Any] | None:
    model = str(params["model"])
    head, sign, rest = model.partition("/")
    if not sign:
        usual = next((name for part, name in _BARE_NAMES if re.match(part, model)), "openai")
        head, rest = str(params.get("custom_llm_provider") or usual), model
    url = _variable_value(params.get("api_base") or params.get("base_url"), env)
    if url and fault_in_address(url):
        report.leave(f"{where}.litellm_params.api_base", "is no address that can be read")
        return None
    key = params.get("api_key")
    variable = str(key)[11:] if str(key).startswith("os.environ/") else None
    if key and variable is None:
        report.leave(f"{where}.litellm_params.api_key", "a key is never copied")
    settings = {name: params.get(name) for name in _PARAMS}
    spec: dict[str, Any] = {"model": rest, "params": settings, "api_key_env": variable}
    seconds = params.get("timeout")
    if isinstance(seconds, int | float) and 0 < seconds <= 3600:
        spec["timeout"] = float(seconds)
    vendor = _ALIASES.get(head, head)
    known = next((one for one in VENDORS.values() if vendor in (one.name, *one.aliases)), None)
    if head == "azure":
        known = None  # its addresses of today are OpenAI's protocol as anywhere
        if url:
            at = _azure_address(url, _variable_value(params.get("api_version"), env), settings)
            return spec | at | {"api_key_env": variable or "AZURE_API_KEY"}
    if head in _SERVERS:
        usual, usual_key = _SERVERS[head]
        return spec | {
            "provider": "openai",
            "base_url": url or usual,
            "api_key_env": variable or usual_key or None,
        }
    if head in _OPEN_SERVERS or (url and known is None):
        return spec | {"provider": "openai", "base_url": url, "api_key_env": variable}
    if known is not None:
        return spec | {"provider": known.name, "base_url": url}
    report.leave(
        where,
        f"{quote(head)} needs an address, and {params.get('api_base') or 'api_base'} is not set"
        if head == "azure"
        else f"{quote(head)} has no profile here; ask it through the proxy: `provider: openai`, "
        "`base_url: http://localhost:4000`",
    )
    return None


def _azure_address(url: str, version: str | None, settings: dict[str, Any]) -> dict[str, str]:
    """Where Azure is asked: at addresses of one version, or at OpenAI's protocol without any."""
    parts = urlsplit(url)
    root = f"{parts.scheme}://{parts.netloc}"
    if version is None:
        return {"provider": "openai", "base_url": f"{root}/openai/v1"}
    settings["api_version"] = version
    return {"provider": "azure", "base_url": root}


def _variable_value(written: Any, env: Mapping[str, str]) -> str | None:
    if isinstance(written, str) and written.startswith("os.environ/"):
        written = env.get(written[11:])
    return written.rstrip("/") if isinstance(written, str) and written else None


def _stand_in(
    values: Mapping[str, Any],
    by_name: Mapping[str, list[str]],
    voices: ModelSection,
    report: Report,
) -> None:
    """Deployments of one name, and the router's `fallbacks`, become fallbacks of the first."""
    written: dict[str, list[str]] = {}
    for section in ("litellm_settings", "router_settings"):
        part = values.get(section)
        for one in _read_list(part, "fallbacks") if isinstance(part, Mapping) else ():
            for name, others in one.items():
                written.setdefault(str(name), []).extend(_texts(others))
    passed: set[str] = set()
    for name, keys in by_name.items():
        spare = [*keys[1:], *(by_name[one][0] for one in written.get(name, ()) if one in by_name)]
        # A circle of fallbacks would have no end: only later entries stand in for earlier ones.
        passed.add(keys[0])
        if kept := [key for key in dict.fromkeys(spare) if key not in passed]:
            voices.written[keys[0]]["fallbacks"] = kept
            report.turn(f"model_list {name}"[:80], "further deployments stand in for the first")


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


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


def looks_like_council_py(text: str) -> bool:
    """Whether a Python file names a council's models at its top level."""
    if "COUNCIL_MODELS" not in text:
        return False
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # so that the one who reads it says what is wrong
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return any(name.endswith("COUNCIL_MODELS") for name in names)
