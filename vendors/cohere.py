"""Cohere: the Command models."""

from __future__ import annotations

from mom_council.vendors.profile import Exclusion, Vendor

COHERE = Vendor(
    name="cohere",
    title="Cohere",
    aliases=("cohere",),
    package="langchain_cohere",
    profiled=".",
    extra="cohere",
    chat="cohere:open_chat",
    embeds_once={"max_retries": 1},  # its word for "try once"
    base_url="https://api.cohere.com",
    key_env="COHERE_API_KEY",
    json_object="argument",
    tool_choice="REQUIRED",
    vision=r"command-a-vision|c4ai-aya-vision",
    names={
        "top_p": "p",
        "top_k": "k",
        "stop": "stop_sequences",
        "max_completion_tokens": "max_tokens",
    },
    excludes=(
        Exclusion(("min_p", "logit_bias")),
        Exclusion(("p",), lambda params: params["p"] >= 1, case="`top_p: 1`"),
    ),
    imported_params={
        "max_length": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
    },
    default_model="command-a-03-2025",
    found_settings={"timeout": 90},
)
