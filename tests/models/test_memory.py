"""What is in memory, and how many models fit, is asked of those who know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.models.clients import loop_resources
from mom_council.models.lanes import Lane, open_lane, update_loaded
from mom_council.models.resolved import ModelInstance, instance_of, resolve_model
from mom_council.models.speaking import speak
from mom_council.tests.models.fake_nvml import build, play
from mom_council.tests.stage import Fault, Stage


def sharing(**models: dict[str, Any]) -> Council:
    return load_council(
        {
            "name": "sharing",
            "models": {
                key: {"model": key, "lane": "gpu", "concurrency": 1, **more}
                for key, more in models.items()
            },
            "characters": [{"name": "A", "model": next(iter(models))}],
            "synthesizer": {"model": next(iter(models))},
        }
    )


async def lane_and_voices(council: Council) -> tuple[Lane, list[ModelInstance]]:
    lane = open_lane(
        (await loop_resources()).lanes, resolve_model(council, next(iter(council.models))).lane
    )
    assert lane is not None
    return lane, [resolve_model(council, key).instance for key in council.models]


async def test_ollama_says_what_it_has_loaded_and_with_which_context() -> None:
    with Stage(slots=2, default="ok") as stage:
        voice = {"provider": "ollama", "base_url": stage.ollama_url}
        council = sharing(a={**voice, "context": 2048}, b=voice, c=voice)
        lane, voices = await lane_and_voices(council)
        await update_loaded(lane, voices)
        assert (lane.loaded, lane.capacity) == ([], 1)
        for key in ("a", "b"):
            await speak(resolve_model(council, key), [HumanMessage("?")])
        await update_loaded(lane, voices)
        assert {one.model for one in lane.loaded} == {"a:latest", "b:latest"}
        assert lane.capacity == 2, "two were seen together"
        other = instance_of(council.models["a"].model_copy(update={"context": 4096}))
        await update_loaded(lane, [other])
        assert other not in lane.loaded, "it would be loaded anew"


async def test_who_does_not_answer_changes_nothing_that_is_believed() -> None:
    with Stage(slots=1, default="ok") as stage:
        council = sharing(
            a={"provider": "ollama", "base_url": stage.ollama_url},
            b={"provider": "ollama", "base_url": stage.ollama_url},
        )
        lane, voices = await lane_and_voices(council)
        await speak(resolve_model(council, "b"), [HumanMessage("?")])
        await update_loaded(lane, voices)
    await update_loaded(lane, voices)
    assert [one.model for one in lane.loaded] == ["b:latest"]


async def test_nobody_is_unloaded_for_a_model_that_is_left_alone() -> None:
    with Stage(slots=1, default="ok") as stage:
        stage.model("a", always=Fault.status(500))
        voice = {"provider": "ollama", "base_url": stage.ollama_url, "retries": 0}
        council = sharing(a={**voice, "breaker": {"after": 1}, "fallbacks": ["b"]}, b=voice)
        council = load_council(
            {**council.model_dump(exclude_unset=True), "lanes": {"gpu": {"fits": 1}}}
        )
        for _ in range(3):
            assert (await speak(resolve_model(council, "a"), [HumanMessage("?")])).model == "b"
        assert len(stage.calls_to("a")) == 1
        assert len([load for load in stage.loads if load.model == "b:latest"]) == 1


async def test_engines_of_this_process_are_counted_and_all_the_tiny_ones_fit() -> None:
    tiny = {"provider": "embedded", "params": {"max_tokens": 8}}
    council = sharing(**{name: {**tiny, "model": name} for name in ("tiny-1", "tiny-2")})
    lane, voices = await lane_and_voices(council)
    await speak(resolve_model(council, "tiny-2"), [HumanMessage("What is 2 + 2?")])
    await update_loaded(lane, voices)
    assert [one.model for one in lane.loaded] == ["tiny-2"]
    assert (lane.capacity, lane.fits) == (2, None)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.mark.parametrize(("gigabytes", "room_"), [(4, 1), (5, 2), (8, 3), (None, 1)])
def test_a_gpu_that_tells_its_memory_says_how_many_fit(
    library: Path, gigabytes: int | None, room_: int
) -> None:
    with Stage(default="ok") as stage:
        for name in "abc":
            stage.model(name, size=2_000_000_000)
        code = f"""
import asyncio
from mom_council.councils.loader import load_council
from mom_council.models.lanes import open_lane, update_loaded
from mom_council.models.resolved import resolve_model
council = load_council({{
    "name": "gpu",
    "models": {{key: {{"provider": "ollama", "model": key, "lane": "gpu", "concurrency": 1,
                       "base_url": {json.dumps(stage.ollama_url)}}} for key in "abc"}},
    "characters": [{{"name": "A", "model": "a"}}],
    "synthesizer": {{"model": "a"}},
}})
lane = open_lane({{}}, resolve_model(council, "a").lane)
models = [resolve_model(council, key).instance for key in council.models]
asyncio.run(update_loaded(lane, models))
say(lane.capacity)
"""
        more = {"FAKE_NVML_MEMORY": str(gigabytes * 10**9)} if gigabytes else {}
        assert play(library, ["50"], code, **more) == room_
