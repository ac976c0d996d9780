"""A prompt that its server cut is told, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_model
from mom_council.councils.schema import Council
from mom_council.models.clients import loop_resources
from mom_council.models.context_window import count_prompt_tokens, prompt_cut_note, window_of
from mom_council.tests.graph.desk import ask, desk, seat, voice
from mom_council.tests.stage import Fault, Reply, Stage

LONG = "Which of these birds can swim under water for long? " * 1_080


def test_other_scripts_take_more_tokens_than_their_characters_say() -> None:
    assert count_prompt_tokens([HumanMessage("a" * 32)]) == 10
    assert count_prompt_tokens([HumanMessage("鳥" * 32)]) == 30


def test_a_picture_takes_tokens() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert count_prompt_tokens([HumanMessage([picture])]) > 1_000


@pytest.mark.parametrize(
    ("text", "tokens", "is_cut"),
    [
        (LONG, 2_050, True),
        (LONG, len(LONG) // 5, False),
        (LONG, None, False),
        (LONG, 0, False),
        (LONG[:5_000], 3, False),
        ("=" * 56_000, 2_050, False),
        ("word" + " " * 56_000, 2_050, False),
    ],
)
def test_only_counts_that_no_tokenizer_reaches_betray_a_cut(
    text: str, tokens: int | None, is_cut: bool
) -> None:
    assert (prompt_cut_note("m", [HumanMessage(text)], tokens) is not None) == is_cut


@pytest.mark.parametrize(
    ("provider", "says"),
    [
        (
            "ollama",
            "'ada' reads 8,192 tokens, and its prompt takes about 17,",
        ),  # it tells its window
        ("openai", "'ada' read 2,050 tokens of a prompt of 5"),
    ],
)
async def test_a_cut_prompt_is_a_note_and_the_status_is_degraded(
    stage: Stage, provider: str, says: str
) -> None:
    seat(stage)
    stage.model("ada", reply=Reply("Ducks.", usage=(2_050, 3)))
    url = stage.ollama_url if provider == "ollama" else stage.openai_url
    council = desk(stage, models={"ada": voice(stage, "ada", provider=provider, base_url=url)})
    status = (await ask(council, LONG))["status"]
    [note] = [note for note in status.notes if "tokens" in note]
    assert note.startswith(says)
    assert status.degraded


async def test_the_synthesizers_own_cut_prompt_is_told(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply=Reply("The council says so.", usage=(2_050, 3)))
    status = (await ask(desk(stage), LONG))["status"]
    assert any(note.startswith("'pen' read 2,050 tokens") for note in status.notes)
    assert status.degraded


async def test_a_long_prompt_that_was_read_whole_is_no_matter(stage: Stage) -> None:
    seat(stage)
    status = (await ask(desk(stage), LONG))["status"]
    assert (status.notes, status.degraded) == ((), False)


async def test_counts_that_come_with_every_chunk_are_the_last_not_the_sum(stage: Stage) -> None:
    seat(stage, ("Ada",))
    reply = Reply("Ducks can, and so do grebes.", usage=(100, 8), chunks=4, counts_every_chunk=True)
    stage.model("ada", reply=reply)
    stage.model("pen", reply=reply)
    usage = (await ask(desk(stage, ("Ada",))))["status"].usage
    assert (usage.calls, usage.input_tokens, usage.output_tokens) == (2, 200, 16)


async def test_counts_with_every_chunk_are_no_end_of_a_broken_stream(stage: Stage) -> None:
    seat(stage, ("Ada",))
    reply = Reply("Ducks can, and so do grebes.", usage=(100, 8), chunks=4, counts_every_chunk=True)
    stage.model("ada", reply=reply, always=Fault.truncated(after=3))
    status = (await ask(desk(stage, ("Ada",))))["status"]
    assert "The reply of 'Ada' broke off, so no answer was counted for it." in status.notes


def _windows(stage: Stage) -> dict[str, list[int | None]]:
    """The `num_ctx` of each request, by model."""
    windows: dict[str, list[int | None]] = {}
    for call in stage.calls:
        windows.setdefault(call.model, []).append(call.body["options"].get("num_ctx"))
    return windows


def _on_ollama(stage: Stage, **models: dict[str, Any]) -> Council:
    def one(name: str) -> dict[str, Any]:
        more = models.get(name, {})
        return voice(stage, name, provider="ollama", base_url=stage.ollama_url, **more)

    return desk(stage, ("Ada",), models={name: one(name) for name in ("ada", "pen")})


async def test_a_long_prompt_is_sent_to_ollama_with_the_window_that_it_takes(stage: Stage) -> None:
    seat(stage, ("Ada",), context=131_072)
    stage.model("pen", reply="The council says so.", context=131_072)
    await ask(_on_ollama(stage, ada={"params": {"max_tokens": 300}}), LONG)
    [ada], [pen] = _windows(stage).values()
    length = len(stage.calls_to("ada")[0].body["messages"][-1]["content"])
    assert ada is not None
    assert pen is not None
    assert length / 3.2 + 300 <= ada <= length / 3.2 + 300 + 2_048
    assert ada % 1_024 == pen % 1_024 == 0


async def test_a_short_prompt_leaves_the_window_to_ollama(stage: Stage) -> None:
    seat(stage, ("Ada",))
    await ask(_on_ollama(stage))
    assert _windows(stage) == {"ada": [None], "pen": [None]}


async def test_the_window_is_never_above_the_models_own_nor_below_the_councils(
    stage: Stage,
) -> None:
    seat(stage, ("Ada",), context=8_192)
    stage.model("pen", reply="The council says so.", context=131_072)
    await ask(_on_ollama(stage, pen={"context": 65_536}), LONG)
    assert _windows(stage) == {"ada": [8_192], "pen": [65_536]}


async def test_a_window_that_was_loaded_is_not_made_smaller(stage: Stage) -> None:
    seat(stage, ("Ada",), context=131_072)
    stage.model("pen", reply="The council says so.", context=131_072)
    council = _on_ollama(stage)
    await ask(council, LONG)
    await ask(council, "And which of them sing?")
    first, second = _windows(stage)["ada"]
    assert first == second is not None


@pytest.mark.parametrize("window", [None, 4_096])
async def test_a_window_that_a_server_lists_is_known(stage: Stage, window: int | None) -> None:
    stage.model("m", window=window)
    here = await loop_resources()
    settings = load_model(voice(stage, "m"))
    assert await window_of(settings, here) == await window_of(settings, here) == window
    assert [look.path for look in stage.lookups] == ["/v1/models"]


async def test_what_the_council_says_of_a_window_is_not_asked(stage: Stage) -> None:
    settings = load_model(voice(stage, "m", context=1_000))
    assert await window_of(settings, await loop_resources()) == 1_000
    assert stage.lookups == []


@pytest.mark.parametrize(
    ("model", "window"), [("gpt-4o", 128_000), ("gpt-4o-that-is-none", None), ("m", None)]
)
async def test_of_what_no_server_tells_langchains_profile_is_known(
    stage: Stage, model: str, window: int | None
) -> None:
    settings = load_model(voice(stage, model))
    assert await window_of(settings, await loop_resources()) == window


async def test_what_the_server_says_wins_over_the_profile(stage: Stage) -> None:
    stage.model("gpt-4o", window=4_096)
    assert await window_of(load_model(voice(stage, "gpt-4o")), await loop_resources()) == 4_096


async def test_a_vendor_without_a_list_has_its_profiles_alone(stage: Stage) -> None:
    made = voice(stage, "claude-sonnet-4-5", provider="anthropic", base_url=stage.url)
    assert await window_of(load_model(made), await loop_resources()) == 200_000
    assert stage.lookups == []
