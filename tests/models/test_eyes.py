"""Who is known to see, and what goes out to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Model
from mom_council.models.capabilities import can_see
from mom_council.models.providers.embedded import eyes_of
from mom_council.models.speaking import IN_WORDS, messages_for
from mom_council.models.weights import downloaded_weights
from mom_council.tests.models.eye import EYE
from mom_council.tests.stage import Stage


def voice(provider: str, model: str, **more: Any) -> Model:
    return Model(provider=provider, model=model, **more)


async def test_ollama_says_what_its_models_can_and_is_asked_once(stage: Stage) -> None:
    stage.model("llava", capabilities=("completion", "vision"))
    stage.model("llama3.2")
    for _ in range(2):
        assert await can_see(voice("ollama", "llava", base_url=stage.ollama_url))
        assert not await can_see(voice("ollama", "llama3.2", base_url=stage.ollama_url))
        assert not await can_see(voice("ollama", "unknown", base_url=stage.ollama_url))
    asked = [call.body["model"] for call in stage.lookups]
    assert sorted(asked) == ["llama3.2", "llava", "unknown", "unknown"]


async def test_what_the_council_says_stands_above_what_is_known(stage: Stage) -> None:
    stage.model("llava", capabilities=("completion", "vision"))
    assert not await can_see(voice("ollama", "llava", base_url=stage.ollama_url, vision=False))
    assert await can_see(voice("openai", "anything", vision=True))
    assert not stage.lookups


@pytest.mark.parametrize(
    ("provider", "model", "able"),
    [
        ("openai", "gpt-4o-mini", True),
        ("openai", "gpt-3.5-turbo", False),
        ("openai", "o3-mini", False),
        ("anthropic", "claude-sonnet-4-6", True),
        ("anthropic", "claude-2.1", False),
        ("deepseek", "deepseek-chat", False),
        ("openai", "television", False),
    ],
)
async def test_vendors_models_are_known_by_their_names(
    provider: str, model: str, able: bool
) -> None:
    assert await can_see(voice(provider, model)) is able


async def test_a_vendors_name_at_another_address_says_nothing() -> None:
    assert not await can_see(voice("openai", "gpt-4o", base_url="http://127.0.0.1:9/v1"))


async def test_weights_see_with_the_second_file_beside_them(tmp_path: Path) -> None:
    assert await can_see(voice("embedded", str(EYE)))
    assert not await can_see(voice("embedded", "tiny-1"))
    for name in ("qwen2-vl-Q4_K_M.gguf", "mmproj-qwen2-vl.gguf", "other-f16.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    assert eyes_of(tmp_path / "qwen2-vl-Q4_K_M.gguf") == tmp_path / "mmproj-qwen2-vl.gguf"
    assert eyes_of(tmp_path / "other-f16.gguf") is None
    assert set(downloaded_weights(tmp_path)) == {"qwen2-vl-Q4_K_M", "other-f16"}


async def test_a_model_gets_the_pictures_or_the_words_and_never_both() -> None:
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    message = HumanMessage(
        [{"type": "text", "text": "Why?"}, shown], additional_kwargs={IN_WORDS: "A cat. Why?"}
    )
    plain = HumanMessage("Before.")
    seen = await messages_for(voice("openai", "m", vision=True), [plain, message])
    told = await messages_for(voice("openai", "m", vision=False), [plain, message])
    assert seen[1].content == message.content
    assert told[1].content == "A cat. Why?"
    assert not seen[1].additional_kwargs
    assert seen[0] is told[0] is plain
    assert IN_WORDS in message.additional_kwargs
