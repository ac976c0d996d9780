"""DeepSeek."""

from __future__ import annotations

from mom_council.vendors.profile import Exclusion, Vendor

DEEPSEEK = Vendor(
    name="deepseek",
    title="DeepSeek",
    aliases=("deepseek", "deepseek-ai"),
    package="langchain_deepseek",
    profiled=".",
    extra="deepseek",
    chat="langchain:open_deepseek",
    embeddings=None,
    base_url="https://api.deepseek.com/v1",
    key_env="DEEPSEEK_API_KEY",
    # No `schema`: it answers one with a 400.
    json_object="body",
    excludes=(
        Exclusion(
            ("logprobs", "top_logprobs"), models="deepseek-reasoner", case="`deepseek-reasoner`"
        ),
    ),
    default_model="deepseek-chat",
    found_settings={"timeout": 90},
)
