"""OpenAI, and with a `base_url` every server that speaks its protocol."""

from __future__ import annotations

from mom_council.vendors.profile import CALLER_WISHES, Exclusion, Params, Vendor

_REASONING_REFUSES = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty"),
    *("logprobs", "top_logprobs", "logit_bias", "stop"),
)
"""What OpenAI's reasoning models refuse."""

_CHAT_ALONE = ("seed", "stop", "presence_penalty", "frequency_penalty", "logit_bias")
"""What OpenAI's newer interface, `/v1/responses`, does not know."""


def _by_responses(params: Params) -> bool:
    chosen = params.get("use_responses_api")
    return bool("reasoning" in params if chosen is None else chosen)


def _reasons(params: Params) -> bool:
    effort = params.get("reasoning_effort") or (params.get("reasoning") or {}).get("effort")
    return effort not in (None, "none")


OPENAI = Vendor(
    name="openai",
    title="OpenAI",
    aliases=("openai",),
    package="langchain_openai",
    chat="chat_completions:open_chat",
    thin_wire=True,
    embeddings="openai:open_embeddings",
    pictures="openai:draw",
    base_url="https://api.openai.com/v1",
    address_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_URL"),
    shared_protocol=True,
    key_env="OPENAI_API_KEY",
    schema="body",
    json_object="body",
    parallel_tool_calls=True,
    caller_wishes=CALLER_WISHES,
    vision=r"gpt-(4o|4\.1|4\.5|5)|o1(?!-mini|-preview)|o3(?!-mini)|o4|chatgpt-4o",
    files={
        "pdf": r"gpt-(4o(?!.*audio)|4\.1|4\.5|5)|o1(?!-mini|-preview)|o3(?!-mini)|o4|chatgpt-4o",
        "audio": r"gpt-(4o(-mini)?-audio|audio)",
    },
    window="openai_server:window",
    profiled=r"gpt-[3-9]|o[134]|chatgpt",
    thoughts="where the model sends any",
    excludes=(
        Exclusion(
            _CHAT_ALONE,
            _by_responses,
            anywhere=True,
            case="through `/v1/responses`, at other servers too",
        ),
        Exclusion(
            _REASONING_REFUSES,
            models=r"o\d|codex-|gpt-5(?!\.|-chat)",
            case="the model reasons: `o1`, `o3`, `gpt-5`",
        ),
        Exclusion(
            _REASONING_REFUSES,
            _reasons,
            models=r"gpt-(5\.|[6-9])(?!.*chat)",
            case="a later model, where `reasoning_effort` is set and not `none`",
        ),
    ),
    default_model="gpt-5.4",
    found_settings={"timeout": 90},
)
