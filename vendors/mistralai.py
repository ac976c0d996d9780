"""Mistral."""

from __future__ import annotations

from mom_council.vendors.profile import Exclusion, Vendor

MISTRALAI = Vendor(
    name="mistralai",
    title="Mistral",
    aliases=("mistral", "mistralai", "mistral-ai"),
    package="langchain_mistralai",
    profiled=".",
    extra="mistral",
    chat="langchain:open_mistral",
    embeddings="openai:open_embeddings",  # LangChain's takes no address, and loads a tokenizer
    base_url="https://api.mistral.ai/v1",
    key_env="MISTRAL_API_KEY",
    schema="argument",
    json_object="argument",
    parallel_tool_calls=True,
    vision=r"pixtral|mistral-(small|medium)-latest",
    names={"seed": "random_seed", "max_completion_tokens": "max_tokens"},
    excludes=(
        Exclusion(("top_k", "min_p", "logit_bias")),
        Exclusion(
            ("top_p",), lambda params: params.get("temperature") == 0, case="`temperature: 0`"
        ),
    ),
    default_model="mistral-medium-latest",
    found_settings={"timeout": 90},
)
