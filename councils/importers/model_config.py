"""`model_config.json` of memories-dev: models by key, vendors by group, one of them the default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from mom_council.councils.importers.foreign import (
    Draft,
    Foreign,
    ModelSection,
    Names,
    Report,
    plain,
    seen,
)
from mom_council.councils.importers.rosters import choose_seats, tell_of_choices, why_no_seat
from mom_council.councils.refusals import Problem, nearest, refusal
from mom_council.redaction import quote
from mom_council.vendors import VENDORS, vendor_of
from mom_council.vendors.local import HUGGINGFACE

_SETTINGS = ("max_length", "temperature", "top_p", "top_k", "repetition_penalty")
_LEFT = {
    "use_gpu": "the first GPU that there is, is taken",
    "batch_size": "questions are asked one by one; mom batch --concurrency asks several at a time",
    "device_map": "a model lies on one device: device: cuda:1, or the first GPU that there is",
    "torch_dtype": "the server of the model decides that",
    "trust_remote_code": "code that comes with a model's weights is not run",
}


def provider_named(name: str, kind: str, place: str, report: Report) -> str:
    """The provider of a model: Hugging Face for what runs here, else the vendor by our name."""
    vendor = next((one for one in VENDORS.values() if name.lower() in one.aliases), None)
    if kind == "local" and (vendor is None or not vendor.is_loaded):
        report.turn(f"{place}.type", f"local, so its provider is {HUGGINGFACE.name}")
        return HUGGINGFACE.name
    if vendor is None:
        report.turn(f"{place}.provider", f"{name!r} is taken as it is; mom councils check knows it")
        return name
    return vendor.name


def params_of(
    provider: str, config: Mapping[str, Any], place: str, report: Report
) -> dict[str, Any]:
    """The parameters of a model, as its provider calls them."""
    vendor = vendor_of(provider)
    names = vendor.imported_params
    params = {}
    for setting in _SETTINGS:
        value = config.get(setting)
        if value is None:
            continue
        if setting in names:
            params[names[setting]] = value
        else:
            report.leave(f"{place}.{setting}", f"{provider} takes no such parameter")
    placed = _read_placement(config) if vendor.from_files and not vendor.is_loaded else {}
    params |= placed
    for setting, reason in _LEFT.items():
        is_placed = _PLACES.get(setting) in placed
        if config.get(setting) not in (None, False) and not is_placed:
            report.leave(f"{place}.{setting}", reason)
    if config.get("supports_streaming") is False:
        report.leave(f"{place}.supports_streaming", "an answer is always streamed")
    return params


_PLACES = {"use_gpu": "device", "device_map": "device", "torch_dtype": "dtype"}
"""Settings of where and how a local model is loaded, and what they are called here."""


def _read_placement(config: Mapping[str, Any]) -> dict[str, str]:
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


class Config(Foreign):
    """The settings of one model."""

    max_length: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    repetition_penalty: float | None = Field(default=None, gt=0)
    timeout: float | None = Field(default=None, gt=0, le=3600)
    use_gpu: bool | None = None
    batch_size: int | None = None
    device_map: Any = None
    torch_dtype: Any = None
    trust_remote_code: bool | None = None
    supports_streaming: bool | None = None
    supports_function_calling: bool | None = None
    supports_vision: bool | None = None
    fallback: str | tuple[str, ...] | None = None


class ModelEntry(Foreign):
    """One model."""

    name: str = Field(min_length=1, description="the model's name at its provider")
    provider: str = Field(min_length=1, description="openai, anthropic, deepseek-ai, ...")
    type: Literal["local", "api"] = "api"
    config: Config = Config()


class GlobalConfig(Foreign):
    """The settings of its process."""

    cache_dir: str | None = None
    offload_dir: str | None = None
    log_level: str | None = None
    use_auth_token: Any = None
    fallback_to_cpu: bool | None = None


class ModelConfig(Foreign):
    """The file."""

    models: dict[str, ModelEntry] = Field(
        min_length=1, max_length=64, description="the models by key"
    )
    provider_groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    default_model: str | None = None
    supported_providers: tuple[str, ...] = ()
    deployment_types: tuple[str, ...] = ()
    global_config: GlobalConfig = GlobalConfig()


_GLOBAL = {
    "cache_dir": "the libraries' own variables say where weights are kept: HF_HOME",
    "offload_dir": "the engine that runs a local model decides that",
    "log_level": "there is no log of that kind; mom ask --debug shows every prompt",
    "use_auth_token": "a key is never copied; set HF_TOKEN",
    "fallback_to_cpu": "the engine that runs a local model decides that",
}


def read(values: Any, env: Mapping[str, str], origin: str, report: Report) -> Draft:
    """A council in which each model has a seat, answers are compared, and the default writes."""
    config = seen(ModelConfig, values, origin, report)
    if problems := [*_pointing_nowhere(config)]:
        raise refusal(origin, problems)
    voices, names = ModelSection(), Names(report)
    silent = {
        key: why
        for key, entry in config.models.items()
        if (why := why_no_seat(f"{entry.name} {entry.provider} {key}"))
    }
    talking = {key: entry for key, entry in config.models.items() if key not in silent}
    if not talking:
        raise refusal(origin, [Problem(("models",), "holds none that writes text")])
    keys = {key: _voice(key, entry, config, voices, report) for key, entry in talking.items()}
    for key, entry in talking.items():
        for one in _fallbacks(entry):
            if one in keys and keys[one] != keys[key]:
                _stand_in(keys[key], keys[one], f"models.{key}.config.fallback", voices, report)
    for key, why in silent.items():
        _take_silent(key, config.models[key], why, voices, report)
    default = config.default_model or next(iter(talking))
    if default in silent:
        report.turn("default_model", f"{silent[default]}; the first that writes text is it")
        default = next(iter(talking))
    if config.default_model is None:
        report.turn("default_model", f"is missing; {default!r} writes the answer")
    _tell(config, report)
    groups = {key: _group(key, config) or entry.provider for key, entry in talking.items()}
    seated = choose_seats(groups, default)
    tell_of_choices(len(talking), seated, report)
    values = {
        "models": voices.written,
        "characters": [
            {"name": names.take(key, f"models.{key}"), "model": keys[key]} for key in seated
        ],
        "deliberation": {"method": "similarity", "rounds": {"min": 1, "max": 1}, "quorum": 1.0},
        "synthesizer": {"model": keys[default]},
        "thermal": None,
    }
    return Draft(values, choices=keys)


def _stand_in(key: str, spare: str, place: str, voices: ModelSection, report: Report) -> None:
    """A model becomes another's fallback; a circle of fallbacks would have no end."""
    reached, waiting = set(), [spare]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += voices.written[one].get("fallbacks", ())
    if key in reached:
        report.leave(place, f"{quote(spare)} falls back to {quote(key)} already")
    else:
        voices.written[key].setdefault("fallbacks", []).append(spare)


def _take_silent(
    key: str, entry: ModelEntry, why: str, voices: ModelSection, report: Report
) -> None:
    """What becomes of a model that cannot talk; one that draws here is a choice for `painter`."""
    if entry.type == "local" and "picture" in why:
        name = voices.key(provider="diffusers", model=entry.name)
        report.turn(f"models.{key}", f"{why}: `painter: {{model: {name}}}` has it draw")
    else:
        report.leave(f"models.{key}", f"{why}, so it takes no part in a conversation")


def _group(key: str, config: ModelConfig) -> str | None:
    return next((name for name, keys in config.provider_groups.items() if key in keys), None)


def _pointing_nowhere(config: ModelConfig) -> Any:
    keys = tuple(config.models)

    def lost(path: tuple[str | int, ...], name: str) -> Problem:
        says = f"{quote(name)} is no key of `models`"
        return Problem(path, says, True, nearest(name, keys))

    if config.default_model is not None and config.default_model not in keys:
        yield lost(("default_model",), config.default_model)
    for group, members in config.provider_groups.items():
        for index, name in enumerate(members):
            if name not in keys:
                yield lost(("provider_groups", group, index), name)
    for key, entry in config.models.items():
        for name in _fallbacks(entry):
            if name not in keys:
                yield lost(("models", key, "config", "fallback"), name)


def _fallbacks(entry: ModelEntry) -> tuple[str, ...]:
    named = entry.config.fallback
    return (named,) if isinstance(named, str) else named or ()


def _voice(
    key: str, entry: ModelEntry, config: ModelConfig, voices: ModelSection, report: Report
) -> str:
    place = f"models.{key}"
    provider = provider_named(entry.provider, entry.type, place, report)
    group = _group(key, config)
    return voices.key(
        provider=provider,
        model=entry.name,
        tools=entry.config.supports_function_calling,
        vision=entry.config.supports_vision,
        timeout=entry.config.timeout,
        params=params_of(provider, entry.config.model_dump(), f"{place}.config", report),
        lane=plain(group) if group else None,
    )


def _tell(config: ModelConfig, report: Report) -> None:
    if config.provider_groups:
        report.turn(
            "provider_groups", "each group is a lane; `concurrency` on a model makes it narrow"
        )
    report.turn(
        "deliberation", "method: similarity (consensus); voting and best_confidence exist too"
    )
    for name, reason in _GLOBAL.items():
        if getattr(config.global_config, name) not in (None, False):
            report.leave(f"global_config.{name}", reason)
