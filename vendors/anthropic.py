"""Anthropic: the Claude models."""

from __future__ import annotations

from mom_council.vendors.profile import Exclusion, Params, Vendor


def _thinks(params: Params) -> bool:
    return (params.get("thinking") or {}).get("type") in ("enabled", "adaptive")


ANTHROPIC = Vendor(
    name="anthropic",
    title="Anthropic",
    aliases=("anthropic",),
    package="langchain_anthropic",
    extra="anthropic",
    chat="langchain:open_anthropic",
    embeddings=None,
    base_url="https://api.anthropic.com",
    key_env="ANTHROPIC_API_KEY",
    schema="argument",
    parallel_tool_calls=True,
    vision=r"claude-(3|opus|sonnet|haiku|[4-9])",
    profiled="claude",
    files={"pdf": r"claude-(3-[57]|opus|sonnet|haiku|[4-9])"},
    names={"stop": "stop_sequences", "max_completion_tokens": "max_tokens"},
    excludes=(
        Exclusion(("seed", "frequency_penalty", "presence_penalty", "logit_bias", "min_p")),
        Exclusion(
            ("temperature", "top_p", "top_k"),
            models=r"claude-(opus-4-[7-9]|(opus|sonnet|haiku)-([5-9]|\d\d)(?!\d)|fable|mythos)",
            case="the model is Opus 4.7 or later",
        ),
        Exclusion(("temperature", "top_k"), _thinks, case="`thinking`"),
        Exclusion(
            ("top_p",),
            lambda params: _thinks(params) and params["top_p"] < 0.95,
            case="`thinking`, and `top_p` below 0.95",
        ),
        Exclusion(
            ("top_p",),
            lambda params: params.get("temperature") is not None,
            case="`temperature` and `top_p`",
        ),
    ),
    imported_params={
        "max_length": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
    },
    default_model="claude-sonnet-4-6",
    found_settings={"timeout": 90},
)
