"""What memories-dev calls its vendors and their settings, and what they are called here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mom_council.councils.importers.findings import Report

PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "deepseek-ai": "deepseek",
    "mistral": "mistralai",
    "mistralai": "mistralai",
    "mistral-ai": "mistralai",
    "cohere": "cohere",
    "ollama": "ollama",
}
"""Its vendors that answer over the network."""

_NAMES: dict[str, dict[str, str]] = {
    "openai": {"max_length": "max_tokens", "temperature": "temperature", "top_p": "top_p"},
    "deepseek": {"max_length": "max_tokens", "temperature": "temperature", "top_p": "top_p"},
    "mistralai": {"max_length": "max_tokens", "temperature": "temperature", "top_p": "top_p"},
    "anthropic": {
        "max_length": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
    },
    "cohere": {"max_length": "max_tokens", "temperature": "temperature"},
    "ollama": {
        "max_length": "num_predict",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "repetition_penalty": "repeat_penalty",
    },
    "huggingface": {
        "max_length": "max_new_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "repetition_penalty": "repetition_penalty",
    },
}
"""Provider -> what it calls each setting; what is not there, it does not take."""

_SETTINGS = ("max_length", "temperature", "top_p", "top_k", "repetition_penalty")
_LEFT = {
    "use_gpu": "the first GPU that there is, is taken",
    "batch_size": "questions are asked one by one; mom batch --concurrency asks several at a time",
    "device_map": "a model lies on one device: device: cuda:1, or the first GPU that there is",
    "torch_dtype": "whoever serves the model decides that",
    "trust_remote_code": "code that comes with a model's weights is not run",
}


def provider_named(name: str, kind: str, place: str, report: Report) -> str:
    """The provider of a model: Hugging Face for what runs here, else the vendor by our name."""
    if kind == "local" and name.lower() not in ("ollama",):
        report.turn(f"{place}.type", "local, so its provider is huggingface")
        return "huggingface"
    known = PROVIDERS.get(name.lower())
    if known is None:
        report.turn(f"{place}.provider", f"{name!r} is taken as it is; mom councils check knows it")
        return name
    return known


def params_of(
    provider: str, config: Mapping[str, Any], place: str, report: Report
) -> dict[str, Any]:
    """The parameters of a model, as its provider calls them."""
    names = _NAMES.get(provider, _NAMES["openai"])
    params = {}
    for setting in _SETTINGS:
        value = config.get(setting)
        if value is None:
            continue
        if setting in names:
            params[names[setting]] = value
        else:
            report.leave(f"{place}.{setting}", f"{provider} takes no such parameter")
    placed = _placed(config) if provider == "huggingface" else {}
    params |= placed
    for setting, reason in _LEFT.items():
        kept = _PLACES.get(setting) in placed
        if config.get(setting) not in (None, False) and not kept:
            report.leave(f"{place}.{setting}", reason)
    if config.get("supports_streaming") is False:
        report.leave(f"{place}.supports_streaming", "an answer is always streamed")
    return params


_PLACES = {"use_gpu": "device", "device_map": "device", "torch_dtype": "dtype"}
"""Settings of where and how a local model is loaded, and what they are called here."""


def _placed(config: Mapping[str, Any]) -> dict[str, str]:
    """Where and how a local model is loaded, where the file says so plainly."""
    placed = {}
    where, kind = config.get("device_map"), config.get("torch_dtype")
    if isinstance(where, str) and re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", where):
        placed["device"] = where
    elif config.get("use_gpu") is False:
        placed["device"] = "cpu"
    if isinstance(kind, str) and kind.removeprefix("torch.") in ("float16", "bfloat16", "float32"):
        placed["dtype"] = kind.removeprefix("torch.")
    return placed
