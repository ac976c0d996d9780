"""`config.yaml` of a LiteLLM proxy: its models, with what stands in for each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from mom_council.councils.importers.foreign import Draft, ModelSection, Report
from mom_council.councils.importers.rosters import catalogue_draft, number_within, why_no_seat
from mom_council.errors import CouncilError
from mom_council.redaction import fault_in_address, quote
from mom_council.vendors import VENDORS

_SERVERS: dict[str, tuple[str, str]] = {
    "together_ai": ("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "fireworks_ai": ("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    "cerebras": ("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "nvidia_nim": ("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    "moonshot": ("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    "lm_studio": ("http://localhost:1234/v1", ""),
    "llamafile": ("http://localhost:8080/v1", ""),
    "huggingface": ("https://router.huggingface.co/v1", "HF_TOKEN"),
    "github": ("https://models.github.ai/inference", "GITHUB_API_KEY"),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "sambanova": ("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
}
"""Servers without a profile of ours that speak OpenAI's protocol: their address, and the variable
of their key."""
_OPEN_SERVERS = ("openai", "hosted_vllm", "vllm", "custom_openai", "openai_like", "litellm_proxy")
_BARE_NAMES = (("claude-", "anthropic"), ("gemini-", "gemini"), ("command-", "cohere"))
"""Whose a model is whose name in a LiteLLM list has no vendor before it; else it is OpenAI's."""
_ALIASES = {"gemini": "google_genai", "ollama_chat": "ollama", "cohere_chat": "cohere"}


_PARAMS = (
    *("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "seed", "stop"),
    *("frequency_penalty", "presence_penalty", "reasoning_effort"),
)
_OTHER_PARAMS = frozenset(
    {"model", "api_key", "api_base", "base_url", "api_version", "custom_llm_provider", "timeout"}
    | {"max_retries", "num_retries", "input_cost_per_token", "output_cost_per_token"}
)
"""What else of a deployment's `litellm_params` is read."""


def read(values: Any, env: Mapping[str, str], origin: str, report: Report) -> Draft:
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
        about = info if isinstance(info, Mapping) else {}
        spec = None if why else _litellm_voice(params, env, where, report)
        if spec is not None:
            spec = {**spec, **_litellm_policy(params, about, values)}
        if why:
            report.leave(f"{where} {name}"[:80], why)
        elif spec is not None:
            by_name.setdefault(name, []).append(voices.key(**spec))
    if not by_name:
        raise CouncilError(f"{origin}: model_list: no model in it can be asked from here")
    _stand_in(values, by_name, voices, report)
    for section in ("litellm_settings", "general_settings", "router_settings"):
        written = values.get(section)
        more = sorted({*map(str, written)} - _READ_SETTINGS) if isinstance(written, Mapping) else []
        if more:
            report.leave(section, f"{', '.join(more)[:200]}: the proxy's own")
    return catalogue_draft({name: keys[0] for name, keys in by_name.items()}, "", voices, report)


_READ_SETTINGS = {"fallbacks", "default_fallbacks", "num_retries", "request_timeout", "timeout"}
"""Of the proxy's own sections."""


_WAYS = ("input", "output")


def _litellm_policy(
    params: Mapping[str, Any], about: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """How long a deployment is waited for, how often it is asked again, its price and its senses.

    What stands in `litellm_params` counts before what stands in the proxy's sections.
    """
    places = [params, *(values.get(name) for name in ("litellm_settings", "router_settings"))]
    policy: dict[str, Any] = {}
    for place in reversed([one for one in places if isinstance(one, Mapping)]):
        for name in ("request_timeout", "timeout"):
            if seconds := number_within(place.get(name), 0, 3600):
                policy["timeout"] = float(seconds)
        for name in ("num_retries", "max_retries"):
            if (times := number_within(place.get(name), 0, 10)) is not None:
                policy["retries"] = int(times)
    cost = {**about, **params}
    dollars = [
        number_within(cost.get(f"{way}_cost_per_token"), 0, 1) for way in ("input", "output")
    ]
    if dollars[0] is not None and dollars[1] is not None:
        price = [round(one * 1e6, 6) for one in dollars if one is not None]
        policy["price"] = {"input": price[0], "output": price[1]}
    for name, ours in (("supports_vision", "vision"), ("supports_function_calling", "tools")):
        if isinstance(about.get(name), bool):
            policy[ours] = about[name]
    return policy


def _read_list(values: Any, key: str) -> Iterator[Mapping[str, Any]]:
    written = values.get(key) if isinstance(values, Mapping) else values
    for one in written if isinstance(written, list) else ():
        if isinstance(one, Mapping):
            yield one


def _litellm_voice(
    params: Mapping[str, Any], env: Mapping[str, str], where: str, report: Report
) -> dict[str, Any] | None:
    head, rest = _split_name(params)
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
    if more := sorted({*map(str, params)} - {*_PARAMS, *_OTHER_PARAMS}):
        report.leave(f"{where}.litellm_params", f"{', '.join(more)[:200]}: has no place here")
    vendor = _ALIASES.get(head, head)
    profile = next((one for one in VENDORS.values() if vendor in (one.name, *one.aliases)), None)
    if head == "azure":
        profile = None  # its addresses of today are OpenAI's protocol as anywhere
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
    if head in _OPEN_SERVERS or (url and profile is None):
        return spec | {"provider": "openai", "base_url": url, "api_key_env": variable}
    if profile is not None:
        return {**profile.found_settings, **spec, "provider": profile.name, "base_url": url}
    report.leave(
        where,
        f"{quote(head)} needs an address, and {params.get('api_base') or 'api_base'} is not set"
        if head == "azure"
        else f"{quote(head)} has no profile here; ask it through the proxy: `provider: openai`, "
        "`base_url: http://localhost:4000`",
    )
    return None


def _split_name(params: Mapping[str, Any]) -> tuple[str, str]:
    """Whose a model is, and what it is called there."""
    model = str(params["model"])
    head, sign, rest = model.partition("/")
    if not sign:
        usual = next((name for part, name in _BARE_NAMES if re.match(part, model)), "openai")
        return str(params.get("custom_llm_provider") or usual), model
    if head == "huggingface" and rest.count("/") == 2:  # its server says owner/model:place
        rest = "{1}/{2}:{0}".format(*rest.split("/"))
    return head, rest


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
    usual: list[str] = []
    for section in ("litellm_settings", "router_settings"):
        part = values.get(section)
        for one in _read_list(part, "fallbacks") if isinstance(part, Mapping) else ():
            for name, others in one.items():
                written.setdefault(str(name), []).extend(_texts(others))
        usual += _texts(part.get("default_fallbacks")) if isinstance(part, Mapping) else []
    passed: set[str] = set()
    for name, keys in by_name.items():
        others = [one for one in (*written.get(name, ()), *usual) if one in by_name]
        spare = [*keys[1:], *(by_name[one][0] for one in others)]
        # A circle of fallbacks would have no end: only later entries stand in for earlier ones.
        passed.add(keys[0])
        for other in written.get(name, ()):
            if other != name and passed & {*by_name.get(other, ())[:1]}:
                says = f"{quote(other)} stands before {quote(name)}, so it cannot stand in for it"
                report.leave(f"fallbacks {name}"[:80], says)
        if spares := [key for key in dict.fromkeys(spare) if key not in passed]:
            voices.written[keys[0]]["fallbacks"] = spares
            report.turn(f"model_list {name}"[:80], "further deployments stand in for the first")


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
