"""Chat models that a program hands over: asked like any other, and never stored."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from mom_council import ask, build_graph, council, load_council, read_event
from mom_council.errors import CouncilError, QuorumError, UnknownNameError
from mom_council.tests.graph.desk import (
    question,
    said,
    seat,
    speaking,
    voting,
    written,
)
from mom_council.tests.models.eye import drawing
from mom_council.tests.stage import Fault, Reply, Stage

CONFIG: Any = {"configurable": {"thread_id": "t"}}
KEY = "sk-of-the-program-0123456789"


class Plain(BaseChatModel):
    """A model of a program's own: no stream, no tools, no form of its reply."""

    says: str = "A cat.\nAnswer: cat"
    marker: str = "MARKER-OF-THE-OBJECT"
    heard: list[Any] = []
    fails: list[Exception] = []

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(
        self, messages: Any, stop: Any = None, run: Any = None, **more: Any
    ) -> ChatResult:
        self.heard.append((messages, more))
        if self.fails:
            raise self.fails.pop(0)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(self.says))])


class Streaming(Plain):
    """The same, in pieces."""

    def _stream(
        self, messages: Any, stop: Any = None, run: Any = None, **more: Any
    ) -> Iterator[Any]:
        self.heard.append((messages, more))
        for piece in self.says.split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(f"{piece} "))


def of_openai(stage: Stage, name: str, **fields: Any) -> ChatOpenAI:
    """A model object on the stage, as a program makes it."""
    return ChatOpenAI(
        model=name,
        base_url=stage.openai_url,
        api_key=KEY,
        max_retries=0,
        stream_usage=True,
        **fields,
    )


def objects(stage: Stage, *names: str) -> dict[str, BaseChatModel]:
    """An object for each key."""
    return {name: of_openai(stage, name) for name in names}


def unlike(stage: Stage, **changes: Any) -> dict[str, Any]:
    """The desk, whose file names a server that nobody reaches."""
    values = written(stage, **changes)
    for entry in values["models"].values():
        entry["base_url"] = "http://127.0.0.1:9/v1"
    return values


async def test_a_whole_question_goes_to_the_objects(stage: Stage) -> None:
    seat(stage, likes="count twice")
    values = unlike(stage, deliberation={"method": "borda", "stop": "all"})
    graph = council(values, models=objects(stage, "ada", "boris", "clara", "pen"))
    result = await graph.ainvoke(question())
    assert result["messages"][-1].text == "What the council says."
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert result["status"].usage.calls == 7
    assert result["status"].usage.output_tokens
    assert {call.key_sent for call in stage.calls} == {KEY}
    ballots = [call.body for call in voting(stage.calls)]
    assert len(ballots) == 3
    assert all(body["response_format"]["type"] == "json_schema" for body in ballots)


async def test_its_words_are_streamed_as_they_come(stage: Stage) -> None:
    model = Streaming(says="one two three four")
    graph = council(written(stage), models=dict.fromkeys(("ada", "boris", "clara", "pen"), model))
    events = [read_event(e) async for e in graph.astream("Why?", stream_mode="custom")]
    spoken = [e for e in events if e and e.kind == "said" and e.speaker.name == "Ada"]
    assert "".join(e.text for e in spoken).strip() == model.says
    parts = [part async for part in graph.astream("Why?", stream_mode="messages")]
    final = [m.text for m, about in parts if about.get("langgraph_node") == "synthesizer"]
    assert len([text for text in final if text]) >= 4


async def test_a_model_that_does_not_stream_and_calls_no_tools_is_told_in_words(
    stage: Stage,
) -> None:
    seat(stage)
    model = Plain(says='{"answer": "A cat."}')
    values = written(stage, tools={"look": {}})
    values["characters"][0]["tools"] = ["look"]

    def look() -> str:
        """Look."""
        return "x"

    graph = council(values, models={"ada": model}, tools={"look": look})
    result = await graph.ainvoke(question())
    assert "Ada" in result["status"].spoke
    messages, _ = model.heard[0]
    assert "You may use tools" in messages[0].text


async def test_a_model_with_tools_is_offered_them_its_own_way(stage: Stage) -> None:
    seat(stage)
    calls = [{"name": "look", "args": {}, "id": "c1"}]
    stage.model("ada", reply=[Reply(None, tool_calls=calls), "There are 100."])
    values = unlike(stage, tools={"look": {}})
    values["characters"][0]["tools"] = ["look"]

    def look() -> str:
        """Look what is in the till."""
        return "100 in the till"

    models = objects(stage, "ada", "boris", "clara", "pen")
    result = await council(values, models=models, tools={"look": look}).ainvoke(question())
    first, second = speaking(stage.calls_to("ada"))
    assert first.body["tools"][0]["function"]["name"] == "look"
    assert "100 in the till" in second.body["messages"][-1]["content"]
    [segment] = [s for s in result["status"].spoke if s == "Ada"]
    assert segment


@pytest.mark.parametrize("sees", [True, False])
async def test_pictures_go_to_a_model_whose_profile_says_that_it_sees(
    stage: Stage, *, sees: bool
) -> None:
    seat(stage)
    models = {"ada": of_openai(stage, "ada", profile={"image_inputs": sees})}
    encoded = base64.b64encode(drawing("red", "blue")).decode()
    picture = {"type": "image", "base64": encoded, "mime_type": "image/png"}
    content = [{"type": "text", "text": "What is it?"}, picture]
    await council(unlike_but(stage, "ada"), models=models).ainvoke([HumanMessage(content)])
    answered = speaking(stage.calls_to("ada"))
    assert answered
    for call in answered:
        blocks = call.body["messages"][-1]["content"]
        kinds = {block["type"] for block in blocks} if isinstance(blocks, list) else {"text"}
        assert ("image_url" in kinds) is sees


def unlike_but(stage: Stage, key: str) -> dict[str, Any]:
    """The desk on the stage, one of whose models cannot be reached."""
    values = written(stage)
    values["models"][key]["base_url"] = "http://127.0.0.1:9/v1"
    return values


async def test_what_fails_for_a_moment_is_tried_again_and_then_the_fallback_is_asked(
    stage: Stage,
) -> None:
    seat(stage)
    stage.model("ada", reply="Here.", faults=[Fault.status(503, retry_after=0.01)])
    stage.model("boris", always=Fault.status(400))
    values = unlike_but(stage, "ada")
    values["models"]["ada"]["retries"] = 1
    values["models"]["boris"]["fallbacks"] = ["clara"]
    models = objects(stage, "ada", "boris")
    result = await council(values, models=models).ainvoke(question())
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    spoke = {name: len(speaking(stage.calls_to(name))) for name in ("ada", "boris", "clara")}
    assert spoke == {"ada": 2, "boris": 1, "clara": 2}


async def test_a_budget_of_calls_holds(stage: Stage) -> None:
    seat(stage)
    values = unlike(stage, budget={"calls": 3})
    graph = council(values, models=objects(stage, "ada", "boris", "clara", "pen"))
    result = await graph.ainvoke(question())
    assert len(stage.calls) == 3
    assert result["status"].degraded


async def test_a_budget_limits_the_length_of_an_answer(stage: Stage) -> None:
    seat(stage)
    values = unlike(stage, budget={"tokens": 4000})
    graph = council(values, models=objects(stage, "ada", "boris", "clara", "pen"))
    await graph.ainvoke(question())
    bodies = [call.body for call in stage.calls]
    assert bodies
    assert all(b.get("max_tokens") or b.get("max_completion_tokens") for b in bodies)


async def test_a_characters_temperature_is_laid_over_the_models_own(stage: Stage) -> None:
    seat(stage)
    values = unlike_but(stage, "ada")
    values["characters"][0]["temperature"] = 0.75
    model = of_openai(stage, "ada", temperature=0.1)
    await council(values, models={"ada": model}).ainvoke(question())
    assert stage.calls_to("ada")[0].body["temperature"] == 0.75
    assert model.temperature == 0.1


async def test_a_trace_names_the_character(stage: Stage) -> None:
    begun: list[Any] = []

    class Trace(AsyncCallbackHandler):
        async def on_chat_model_start(self, *arguments: Any, **about: Any) -> None:
            begun.append(about["metadata"].get("character"))

    seat(stage)
    graph = council(unlike_but(stage, "ada"), models={"ada": of_openai(stage, "ada")})
    await graph.ainvoke(question(), {"callbacks": [Trace()]})
    assert "Ada" in begun


async def test_a_thread_goes_on_with_the_same_objects_and_pays_nothing_twice(
    stage: Stage,
) -> None:
    seat(stage)
    stage.model("clara", reply="Here.", faults=[Fault.status(400)])
    values = unlike(stage, deliberation={"minimum": 3})
    models = objects(stage, "ada", "boris", "clara", "pen")
    saver = InMemorySaver()
    stopped = await council(values, models=models, checkpointer=saver).ainvoke(question(), CONFIG)
    assert stopped["__interrupt__"]
    again = council(values, models=objects(stage, *models), checkpointer=saver)
    result = await again.ainvoke(Command(resume="ask_again"), CONFIG)
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    spoke = [len(speaking(stage.calls_to(name))) for name in ("ada", "boris", "clara")]
    assert spoke == [1, 1, 2]


async def test_a_thread_does_not_go_on_without_them(stage: Stage) -> None:
    seat(stage)
    stage.model("clara", always=Fault.status(400))
    values = written(stage, deliberation={"minimum": 3})
    saver = InMemorySaver()
    graph = council(values, models=objects(stage, "clara"), checkpointer=saver)
    assert (await graph.ainvoke(question(), CONFIG))["__interrupt__"]
    stage.clear()
    bare = council(values, checkpointer=saver)
    with pytest.raises(CouncilError, match=r"'clara'.*same `models`"):
        await bare.ainvoke(Command(resume="ask_again"), CONFIG)
    assert not stage.calls
    seat(stage)
    result = await bare.ainvoke(question("Another?"), CONFIG)
    assert result["status"].spoke == ("Ada", "Boris", "Clara"), "a new question needs them not"


async def test_no_object_and_no_key_is_stored_or_pickled(stage: Stage) -> None:
    seat(stage)
    saver = InMemorySaver()
    models: dict[str, Any] = {"ada": Plain(), "boris": of_openai(stage, "boris")}
    sitting = load_council(written(stage))
    await council(sitting, models=models, checkpointer=saver).ainvoke(question(), CONFIG)
    stored = pickle.dumps((dict(saver.blobs), [*saver.storage["t"].items()], dict(saver.writes)))
    assert b"What the council says" in stored
    assert b"MARKER-OF-THE-OBJECT" not in stored
    assert KEY.encode() not in stored
    from mom_council.models.providers.caller import load_with_objects

    opened = load_with_objects(sitting, models)
    assert all(opened.models[key].chat_model for key in ("ada", "boris"))
    packed = pickle.dumps(opened)
    assert b"MARKER-OF-THE-OBJECT" not in packed
    assert not any(one.chat_model for one in pickle.loads(packed).models.values())
    with pytest.raises(CouncilError, match="handed over by the program"):
        build_graph(pickle.loads(packed))


async def test_what_one_object_is_refused_is_not_held_against_another(stage: Stage) -> None:
    seat(stage)
    for _ in range(6):
        broken = council(written(stage), models={"ada": Plain(fails=[OSError("away")])})
        assert "Ada" not in (await broken.ainvoke(question()))["status"].spoke
    sound = council(written(stage), models={"ada": Plain()})
    assert "Ada" in (await sound.ainvoke(question()))["status"].spoke


def test_a_council_can_be_written_for_objects_alone() -> None:
    values = {
        "name": "mine",
        "characters": [{"name": "Ada", "model": "deep"}, {"name": "Boris", "model": "quick"}],
        "synthesizer": {"model": "deep"},
        "thermal": None,
    }
    deep, quick = Plain(), GenericFakeChatModel(messages=iter([AIMessage("A dog.")]))
    result = council(values, models={"deep": deep, "quick": quick}).invoke("Which pet?")
    assert result["status"].spoke == ("Ada", "Boris")
    assert "A dog." in said_to(deep)


def said_to(model: Plain) -> str:
    """Everything that a model was sent."""
    return "\n".join(message.text for messages, _ in model.heard for message in messages)


def test_a_file_can_leave_a_model_to_the_program(stage: Stage, tmp_path: Any) -> None:
    seat(stage)
    values = written(stage)
    values["models"]["ada"] = {"provider": "caller", "model": "of the program", "timeout": 7}
    file = tmp_path / "desk.json"

    file.write_text(json.dumps(values))
    with pytest.raises(CouncilError, match=r"model 'ada' is handed over"):
        council(str(file))
    result = council(str(file), models={"ada": Plain()}).invoke("Why?")
    assert "Ada" in result["status"].spoke


def test_what_does_not_fit_is_refused(stage: Stage) -> None:
    with pytest.raises(UnknownNameError, match=r"'aba'.*did you mean 'ada'"):
        council(written(stage), models={"aba": Plain()})
    with pytest.raises(CouncilError, match="'ada' is a str, and must be a LangChain chat model"):
        council(written(stage), models={"ada": "gpt-5"})  # type: ignore[dict-item]


async def test_an_extensions_rules_keep_the_objects(stage: Stage) -> None:
    class Rules:
        def rules(self, council: Any) -> Any:
            return council.model_copy(update={"name": council.name})

    seat(stage)
    values = {**unlike_but(stage, "ada"), "extensions": [{"use": "mine"}]}
    graph = council(values, {"mine": Rules()}, models={"ada": Plain()})
    assert "Ada" in (await graph.ainvoke(question()))["status"].spoke


async def test_nobody_answering_is_the_usual_error(stage: Stage) -> None:
    values = written(stage)
    broken = Plain(fails=[ValueError("no")] * 20)
    graph = council(values, models=dict.fromkeys(values["models"], broken))
    with pytest.raises(QuorumError, match="ValueError: no"):
        await graph.ainvoke(question())


async def test_its_answers_are_not_kept_in_the_councils_cache(stage: Stage) -> None:
    seat(stage)
    graph = council(unlike_but(stage, "ada") | {"cache": {}}, models=objects(stage, "ada"))
    for _ in range(2):
        await graph.ainvoke(question())
    asked = [len(speaking(stage.calls_to(name))) for name in ("ada", "boris")]
    assert asked == [2, 1]


def test_the_front_door_takes_them(stage: Stage) -> None:
    seat(stage)
    answer = ask("Why?", council=written(stage), models={"ada": Plain(says="A fish.")})
    assert "A fish." in said(stage.calls_to("pen")[0].body)
    assert answer.status.spoke == ("Ada", "Boris", "Clara")
