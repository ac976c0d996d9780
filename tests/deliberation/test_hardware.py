"""One GPU: the calls of a fan-out take their turns so that few models are loaded."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.events import Planned
from mom_council.graph.council import compile_council
from mom_council.runs.words import plan as in_words
from mom_council.tests.graph.desk import ask, character, question, told
from mom_council.tests.stage import Fault, Stage
from mom_council.tracing.local import local_trace, wait_for_traces
from mom_council.tracing.store import TraceStore

MODELS = ("llama", "qwen", "gemma")
LANE: dict[str, Any] = {"lane": "gpu", "concurrency": 1}


def nine(stage: Stage, rounds: int = 1, **changes: Any) -> Council:
    """Nine characters who disagree, three on each of three models, seated one model after another.

    They vote for nobody's answer in particular, so that a round is never the last before its time.
    """
    for name in MODELS:
        stage.model(name, reply=character(f"The view of {name}"), load_seconds=0.02)
    return load_council(
        {
            "name": "nine",
            "models": {
                name: {
                    "provider": "ollama",
                    "model": name,
                    "base_url": stage.ollama_url,
                    "timeout": 60,
                    "retries": 0,
                    **LANE,
                    **changes,
                }
                for name in MODELS
            },
            "characters": [{"name": f"C{n}", "model": MODELS[n % 3]} for n in range(9)],
            "deliberation": {
                "method": "none",
                "rounds": {"min": rounds, "max": rounds},
                "quorum": 1.0,
            },
            "synthesizer": {"model": "gemma"},
            "thermal": None,
        }
    )


async def test_nine_characters_on_three_models_take_three_loads_and_two_in_a_further_round():
    with Stage(slots=1) as stage:
        council = nine(stage, rounds=3)
        plans = [event for event in await told(council) if isinstance(event, Planned)]
        loads = Counter(load.model for load in stage.loads)
        assert [(plan.round, plan.loads) for plan in plans] == [(1, 3), (2, 2), (3, 2)]
        # One of them is loaded when a round begins: it may be the first to be asked, too.
        assert all(plan.unplanned in (8, 9) for plan in plans)
        # The synthesizer, too, finds its model loaded.
        assert len(stage.loads) == 3 + 2 + 2, loads
        asked = [call.model for call in stage.calls]
        assert len(asked) == 28
        for start in (0, 9, 18):
            turns = [
                m
                for n, m in enumerate(asked[start : start + 9])
                if not n or m != asked[start + n - 1]
            ]
            assert len(turns) == 3
    assert in_words(plans[0]) == (
        "Lane gpu: llama x 3, qwen x 3, gemma x 3; 3 loads this round instead of 9"
    )


async def test_who_is_loaded_already_goes_first_and_voters_are_planned_too():
    with Stage(slots=1) as stage:
        council = nine(stage).model_copy(
            update={
                "deliberation": nine(stage).deliberation.model_copy(
                    update={"method": "plurality", "ballots": "always"}
                )
            }
        )
        await ask(council, "Warm up?")
        stage.clear()
        plans = [event for event in await told(council) if isinstance(event, Planned)]
        assert [len(plan.loaded) for plan in plans] == [1, 1]
        assert [plan.loads for plan in plans] == [2, 2]
        assert len(stage.loads) == 4, "and who writes is loaded last"


async def test_every_call_keeps_its_model_loaded_and_asks_for_the_same_context():
    with Stage(slots=1) as stage:
        council = nine(stage)
        models = {
            **council.models,
            "llama": council.models["llama"].model_copy(update={"context": 4096}),
            "wide": council.models["llama"].model_copy(update={"context": 8192}),
        }
        characters = (
            *council.characters,
            council.characters[0].model_copy(update={"name": "Wide", "model": "wide"}),
        )
        council = council.model_copy(update={"models": models, "characters": characters})
        await ask(council)
        assert {call.body["options"].get("num_ctx") for call in stage.calls_to("llama")} == {8192}
        assert len(stage.calls_to("llama")) == 4
        assert {call.body["keep_alive"] for call in stage.calls} == {"30m"}
        assert len([load for load in stage.loads if load.model.startswith("llama")]) == 1


async def test_a_model_that_fails_over_and_another_council_on_the_lane_still_get_their_answers():
    with Stage(slots=1) as stage:
        council = nine(stage, fallbacks=[])
        models = {
            **council.models,
            "qwen": council.models["qwen"].model_copy(update={"fallbacks": ("gemma",)}),
        }
        council = council.model_copy(update={"models": models})
        stage.model("qwen", always=Fault.status(500), load_seconds=0.02)
        first, second = await asyncio.wait_for(asyncio.gather(ask(council), ask(council)), 60)
        for answered in (first, second):
            assert len(answered["status"].spoke) == 9
            assert not answered["status"].absent


async def test_with_room_for_two_what_is_needed_next_stays_and_the_other_is_let_go():
    with Stage(slots=2) as stage:
        council = nine(stage, rounds=2)
        council = load_council(
            {**council.model_dump(exclude_unset=True), "lanes": {"gpu": {"fits": 2}}}
        )
        await ask(council)
        assert len(stage.loads) <= 3 + 1
        unloads = [call for call in stage.calls if call.path == "/api/generate"]
        assert all(call.body["keep_alive"] == 0 for call in unloads)
        assert len(unloads) == len(stage.loads) - 2


async def test_the_plan_stands_in_the_trace():
    with Stage(slots=1) as stage:
        graph = compile_council(nine(stage))
        with local_trace() as trace:
            await graph.ainvoke(question())
        wait_for_traces()
        view = TraceStore().load(str(trace.id))
        assert view is not None
        told_ = [span.about["plan"] for span in view.spans if "plan" in span.about]
        assert told_ == [
            "lane gpu: llama x 3, qwen x 3, gemma x 3; 3 loads instead of 9",
        ]


async def test_embedded_engines_that_do_not_fit_together_run_one_after_the_other():
    from mom_council.models.providers import embedded

    voice = {"provider": "embedded", "params": {"temperature": 0, "max_tokens": 16}, **LANE}
    council = load_council(
        {
            "name": "tiny",
            "models": {name: {**voice, "model": name} for name in ("tiny-1", "tiny-2", "tiny-3")},
            "lanes": {"gpu": {"fits": 1}},
            "characters": [{"name": f"C{n}", "model": f"tiny-{n % 3 + 1}"} for n in range(6)],
            "deliberation": {"method": "none", "rounds": {"max": 1}, "quorum": 1.0},
            "synthesizer": {"model": "tiny-3"},
            "prompts": "tiny",
            "thermal": None,
        }
    )
    before = set(embedded._engines)
    answered = await ask(council, "What is 2 + 3?")
    assert len(answered["status"].spoke) == 6
    mine = [load.name for load in embedded._engines if load not in before]
    assert mine == ["tiny-3"]
