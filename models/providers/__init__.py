"""Who can be asked, and what each needs: one line a provider.

LangChain has the wires (`init_chat_model`). A provider that is not in this table but that LangChain
knows works too, with its package installed and, unless it is to use its own key variable,
`api_key_env` in the council. A file in this folder exists only for what LangChain leaves out.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from mom_council.councils.models import HUMAN


class Provider(NamedTuple):
    """What the house knows of a provider."""

    package: str
    """The module that must be importable."""
    extra: str | None = None
    """The extra of this package that installs it; None: it always comes along."""
    key_env: str | None = None
    """The variable that holds its key unless the council names another; None: it needs none."""
    home: str | None = None
    """Its own address. Its usual key is sent there and nowhere else."""
    schema: Literal["response_format", "format"] | None = None
    """How a reply is constrained to a JSON schema; None: only in words."""
    ends: bool = True
    """Whether a whole reply always says that it is over, so that one that does not was cut."""
    tools: bool = True
    """Whether tools are offered in its own way first, before they are offered in words."""


PROVIDERS: dict[str, Provider] = {
    "ollama": Provider("langchain_ollama", schema="format"),
    "embedded": Provider("xllamacpp", "embedded", schema="response_format", tools=False),
    "openai": Provider(
        "langchain_openai",
        key_env="OPENAI_API_KEY",
        home="https://api.openai.com/v1",
        schema="response_format",
    ),
    "anthropic": Provider(
        "langchain_anthropic",
        "anthropic",
        "ANTHROPIC_API_KEY",
        "https://api.anthropic.com",
        schema="response_format",
    ),
    "mistralai": Provider(
        "langchain_mistralai",
        "mistral",
        "MISTRAL_API_KEY",
        "https://api.mistral.ai/v1",
        schema="response_format",
    ),
    # DeepSeek answers a JSON schema with a 400.
    "deepseek": Provider(
        "langchain_deepseek", "deepseek", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1"
    ),
    "cohere": Provider("langchain_cohere", "cohere", "COHERE_API_KEY", "https://api.cohere.com"),
    "huggingface": Provider("transformers", "huggingface", tools=False),
    "diffusers": Provider("diffusers", "images", tools=False),
    "replay": Provider("langchain_core", tools=False),
    HUMAN: Provider("langgraph", tools=False),  # asked by `graph.people`
}

UNLISTED = Provider("", ends=False)
"""What is assumed of a provider that only LangChain knows."""
