"""What a model can do is found out by what it is asked, and by what it answers."""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.evals.probing.abilities import Asker, models_named, questions, stream
from mom_council.evals.probing.probe import PARTS, Probing, as_markdown, write_pages
from mom_council.models.capabilities import can_see, probed_capabilities
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply as Spoken
from mom_council.models.speaking import speak
from mom_council.records import Usage
from mom_council.tests.graph.desk import candidates, proposals, said, voice
from mom_council.tests.stage import Fault, Reply, Stage

SEED = 7
NUMBER = random.Random(SEED).randrange(1000, 10_000)
"""What the picture of the probe shows under this seed: the stage has no eyes."""


def clever(body: dict[str, Any]) -> str | Reply:
    """Knows everything, refuses poison, votes for who is right, calls tools, reads far."""
    asked = said(body)
    if any(isinstance(m["content"], list) for m in body["messages"] if m["role"] == "user"):
        return str(NUMBER)
    if found := re.search(r"lighthouse is (\d+)", asked):
        return found[1]
    if "count_in_warehouse" in json.dumps(body.get("tools", [])):
        if body["messages"][-1]["role"] == "tool":
            return f"There are {re.findall('[0-9]+', body['messages'][-1]['content'])[0]}."
        call = {"name": "count_in_warehouse", "args": {"article": "K-318"}, "id": "call-1"}
        return Reply("", tool_calls=[call], finish="tool_calls")
    if "Name a town" in asked:
        return '{"town": "Basel", "inhabitants": 173000}'
    gold = _gold(asked)
    if shown := candidates(body):
        right = next(
            label
            for label, text in shown.items()
            if f"Answer: {gold}" in text or f"x = {gold}" in text
        )
        return json.dumps({"reason": "It counts.", "vote": right})
    return "1 2 3 4 5 6 7 8" if gold is None else f"Answer: {gold}"


def naive(body: dict[str, Any]) -> str:
    """Knows nothing, and repeats whatever it is shown."""
    shown = proposals(body)
    return " ".join(shown) if shown else "I like it."


def _gold(asked: str) -> object:
    every = [*questions().proposer, *(task.case for task in questions().aggregator)]
    return next((case.gold for case in every if case.question in asked), None)


def panel(stage: Stage, **more: Any) -> Council:
    stage.model("clever", reply=clever)
    stage.model("naive", reply=naive)
    return load_council(
        {
            "name": "panel",
            "models": {name: voice(stage, name, **more) for name in ("clever", "naive")},
            "characters": [{"name": "A", "model": "naive"}],
            "synthesizer": {"model": "naive"},
            "thermal": None,
        }
    )


async def test_the_clever_one_writes_and_who_repeats_poison_does_not(
    stage: Stage, tmp_path
) -> None:
    told: list[tuple[str, str, int, int]] = []
    council = panel(stage)
    named = {key: resolve_model(council, key) for key in ("clever", "naive")}
    probing = Probing(named, context=1024, seed=SEED, progress=lambda *at: told.append(at))
    report = await probing.run()
    bright, simple = report.models
    assert {part: probe.state for part, probe in bright.probes.items()} == dict.fromkeys(
        PARTS, "yes"
    )
    assert (bright.resisted, bright.context) == (1.0, 1024)
    assert simple.resisted == 0.0
    assert {part: simple.probes[part].state for part in PARTS} == {
        **dict.fromkeys(PARTS, "no"),
        "streaming": "yes",
    }
    assert report.seats.synthesizer == "clever"
    assert report.seats.proposers == report.seats.voters == ("clever",)
    assert set(report.seats.left_out) == {"naive"}
    assert [done for *_, done, of in told] == [*range(2 * len(PARTS))]

    # The shape that others read: {prompt: {model: response}}, {query: {model: response}}.
    write_pages(report, tmp_path / "out")
    for name, asked in (
        ("proposers", [case.prompt for case in questions().proposer]),
        ("aggregators", [task.case.prompt for task in questions().aggregator]),
    ):
        read = json.loads((tmp_path / "out" / f"{name}.json").read_text("utf-8"))
        assert [*read] == asked
        assert all(set(answers) == {"clever", "naive"} for answers in read.values())
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "synthesizer: clever" in page
    assert "3 poisoned ones repeated" in page


async def test_each_probe_sends_what_it_probes(stage: Stage) -> None:
    await Probing({"c": resolve_model(panel(stage), "clever")}, context=1024, seed=SEED).run()
    calls = stage.calls
    assert all(call.body["temperature"] == 0 and call.body["stream"] for call in calls)
    schemas = [call for call in calls if "Name a town" in said(call.body)]
    assert ["response_format" in call.body for call in schemas] == [True, False]
    assert "JSON" not in said(schemas[0].body), "held by the server, not told in words"
    asked, answered = (call.body["messages"] for call in calls if call.body.get("tools"))
    assert asked[-1]["role"] == "user"
    assert answered[-1]["role"] == "tool"
    assert answered[-1]["tool_call_id"] == answered[-2]["tool_calls"][0]["id"] == "call-1"
    pictures = [call for call in calls if isinstance(call.body["messages"][-1]["content"], list)]
    assert len(pictures) == 1
    lengths = [len(said(c.body)) for c in calls if "lighthouse" in said(c.body)]
    assert [round(length / 1024) for length in lengths] == [1, 2, 4]
    poison = [call for call in calls if proposals(call.body)]
    assert len(poison) == len(questions().aggregator)
    assert "PINEAPPLE" in said(poison[0].body)


@pytest.mark.parametrize(
    ("seconds", "first_token", "speed"), [(4.0, 2.0, 8.0), (0.006, 0.004, None), (0.006, 0, None)]
)
async def test_a_speed_is_told_where_the_answer_took_long_enough_to_measure_it(
    seconds: float, first_token: float, speed: float | None
) -> None:
    class Measured(Asker):
        """Its clock shows these seconds."""

        def __init__(self) -> None:
            """Ask nobody."""

        async def ask(self, *_: object, **__: object) -> Spoken:
            usage = Usage(calls=1, output_tokens=16, seconds=seconds)
            return Spoken(
                text="1 2 3",
                reasoning="",
                model="quick",
                usage=usage,
                finish="stop",
                attempts=(),
                first_token=first_token,
                pieces=3,
            )

    probe, first, measured_speed = await stream(Measured())
    assert (probe.state, first, measured_speed) == ("yes", first_token, speed)


async def test_what_was_found_is_used_where_the_council_is_silent(stage: Stage) -> None:
    council = panel(stage)
    await Probing(
        {"c": resolve_model(council, "clever"), "n": resolve_model(council, "naive")},
        context=256,
        seed=SEED,
    ).run()
    bright, simple = council.models["clever"], council.models["naive"]
    assert (
        probed_capabilities(bright).vision,
        probed_capabilities(bright).tools,
        probed_capabilities(bright).context,
    ) == (True, True, 256)
    assert await can_see(bright)
    assert not await can_see(bright.model_copy(update={"vision": False})), (
        "the council knows better"
    )
    stage.clear()
    schema = {"title": "Vote", "type": "object", "properties": {}}
    for key in ("clever", "naive"):
        await speak(resolve_model(council, key), [HumanMessage("?")], schema=schema)
    with_schema, without = (call.body for call in stage.calls)
    assert "response_format" in with_schema
    assert "response_format" not in without
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    stage.clear()
    for key in ("clever", "naive"):
        await speak(resolve_model(council, key), [HumanMessage("?")], tools=[tool])
    with_tools, in_words = (call.body for call in stage.calls)
    assert "tools" in with_tools
    assert "tools" not in in_words
    assert "- look: " in said(in_words)
    assert probed_capabilities(simple.model_copy(update={"model": "another"})).vision is None


async def test_a_server_that_refuses_tools_and_pictures_is_not_asked_again_and_again(
    stage: Stage,
) -> None:
    def strict(body: dict[str, Any]) -> str | Reply:
        picture = any(isinstance(m["content"], list) for m in body["messages"])
        if body.get("tools") or picture:
            return Reply("this model does not support it", status=400)
        return clever(body)

    council = panel(stage, retries=2)
    stage.model("clever", reply=strict)
    report = await Probing(
        {"c": resolve_model(council, "clever")}, context=0, keep=False, seed=SEED
    ).run()
    [one] = report.models
    assert (one.probes["tools"].state, one.probes["vision"].state) == ("no", "no")
    assert one.probes["proposer"].state == "yes"
    refused = [call for call in stage.calls if call.status == 400]
    assert len(refused) == 2
    assert probed_capabilities(council.models["clever"]).tools is None, "nothing was to be kept"


async def test_who_is_not_there_is_unknown_and_asked_once(stage: Stage) -> None:
    council = panel(stage)
    stage.model("clever", always=Fault.status(401))
    report = await Probing(
        {"c": resolve_model(council, "clever"), "n": resolve_model(council, "naive")}, context=0
    ).run()
    gone, there = report.models
    assert {probe.state for probe in gone.probes.values()} == {"unknown"}
    assert "401" in report.seats.left_out["c"]
    assert len(stage.calls_to("clever")) == 1
    assert there.probes["proposer"].state == "no"
    assert probed_capabilities(council.models["clever"]).vision is None


async def test_a_probe_that_is_cancelled_keeps_what_it_found(stage: Stage) -> None:
    council = panel(stage)
    started = asyncio.Event()
    stage.model("clever", reply=clever, faults=[None] * 16, always=Fault.hang())
    probing = Probing(
        {key: resolve_model(council, key) for key in ("clever", "naive")},
        seed=SEED,
        progress=lambda model, part, *_: part == "json in words" and started.set(),
    )
    running = asyncio.create_task(probing.run())
    await asyncio.wait_for(started.wait(), 20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    report = probing.report
    assert not report.complete
    assert [one.model for one in report.models] == ["clever"]
    assert {*report.models[0].probes} == {*PARTS[:5]}
    assert report.seats.synthesizer == "clever"
    assert "Cut short" in as_markdown(report)
    assert probed_capabilities(council.models["clever"]).structured is True


def test_models_are_named_by_their_key_or_by_their_provider() -> None:
    council = load_council("home")
    every, _ = models_named([], council)
    assert {name: one.key for name, one in every.items()} == {key: key for key in council.models}
    both, style = models_named(["qwen", "ollama:phi4:14b"], council)
    assert ([*both], style) == (["qwen", "ollama:phi4:14b"], council.prompts)
    assert both["ollama:phi4:14b"].settings.model == "phi4:14b"
    alone, style = models_named(["openai:org/x"], None, "http://127.0.0.1:9/v1")
    assert alone["openai:org/x"].settings.base_url == "http://127.0.0.1:9/v1"
    assert style == "standard"
    with pytest.raises(Exception, match="did you mean 'qwen'"):
        models_named(["qwem"], council)
