"""Vendors and servers that speak OpenAI's protocol under an address and a key of their own."""

from __future__ import annotations

from typing import Any

from mom_council.vendors.profile import CALLER_WISHES, Exclusion, Vendor


def _compatible(
    name: str, title: str, base_url: str | None, key_env: str | None, **more: Any
) -> Vendor:
    facts: dict[str, Any] = {
        "package": "langchain_openai",
        "chat": "chat_completions:open_chat",
        "thin_wire": True,
        "embeddings": "openai:open_embeddings",
        "json_object": "body",
        "schema": "body",
        "thoughts": "where the model sends any",
        **more,
    }
    return Vendor(name=name, title=title, base_url=base_url, key_env=key_env, **facts)


# Not every model of Groq's takes a schema; the others answer one with a 400.
GROQ = _compatible(
    *("groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    schema=None,
    caller_wishes=("reasoning_effort", "service_tier"),
    excludes=(Exclusion(("logprobs", "top_logprobs", "logit_bias", "top_k", "min_p")),),
)
XAI = _compatible(
    *("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY"),
    vision=r"grok-(4|.*vision)",
    caller_wishes=("reasoning_effort",),
    excludes=(
        Exclusion(("logit_bias", "top_k", "min_p")),
        Exclusion(
            ("presence_penalty", "frequency_penalty", "stop"),
            models=r"grok-(3-mini|4|code)(?!.*non-reasoning)",
            case="the model reasons: `grok-4`, `grok-3-mini`, `grok-code`",
        ),
    ),
)
OPENROUTER = _compatible(
    *("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    caller_wishes=CALLER_WISHES,
)
# The same models as `google_genai`, without LangChain's package.
GEMINI = _compatible(
    "gemini",
    "Google Gemini, over OpenAI's protocol",
    "https://generativelanguage.googleapis.com/v1beta/openai",
    "GEMINI_API_KEY",
    vision=r"gemini-[1-9]",
    caller_wishes=("reasoning_effort",),
    excludes=(Exclusion(("logit_bias", "top_k", "min_p")),),
)
LITELLM = _compatible(
    *("litellm", "LiteLLM's proxy", "http://127.0.0.1:4000/v1", "LITELLM_API_KEY"),
    caller_wishes=CALLER_WISHES,
)
# These write a form by a grammar, from the first letter on.
_LOCAL: dict[str, Any] = {
    "free": True,
    "form_with_tools": False,
    "caller_wishes": ("reasoning_effort", "logit_bias"),
}
VLLM = _compatible("vllm", "vLLM", "http://127.0.0.1:8000/v1", None, **_LOCAL)
LM_STUDIO = _compatible("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1", None, **_LOCAL)
LLAMA_CPP = _compatible("llamacpp", "llama-server", "http://127.0.0.1:8080/v1", None, **_LOCAL)

# Azure's addresses of before `/openai/v1`: one for each deployment, of a dated version.
AZURE = _compatible(
    *("azure", "Azure OpenAI's addresses with an api-version", None, None),
    aliases=("azure",),
    deployment_path="/openai/deployments/{model}",
    api_version="2024-10-21",
    key_header="api-key",
    pictures="openai:draw",
    parallel_tool_calls=True,
    caller_wishes=CALLER_WISHES,
)

COMPATIBLE = {
    one.name: one for one in (GROQ, XAI, OPENROUTER, GEMINI, LITELLM, VLLM, LM_STUDIO, LLAMA_CPP)
}
