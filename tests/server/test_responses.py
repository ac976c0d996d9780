"""/v1/responses, as the official client asks for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError
from pydantic import BaseModel

from mom_council.testing.media import picture
from mom_council.tests.graph.desk import desk, said, seat, texts, voice
from mom_council.tests.server.conftest import KEY, Serve, Served
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow


def test_a_council_responds(stage: Stage, serve: Serve) -> None:
    seat(stage)
    client = serve(desk(stage)).openai
    response = client.responses.create(
        model="desk", input="Which?", instructions="Be kind.", max_output_tokens=50
    )
    assert response.output_text == "What the council says."
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.total_tokens > 0
    assert response.model_extra["council"]["spoke"] == ["Ada", "Boris", "Clara"]  # type: ignore[index]
    assert "Be kind." in texts(stage.calls_to("ada")[0].body, "system")[0]
    assert stage.calls_to("pen")[0].body["max_tokens"] == 50


def test_its_input_may_be_a_conversation_with_pictures_and_tools(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    shown = "data:image/png;base64," + base64.b64encode(picture("a cat")).decode()
    items: Any = [
        {"role": "developer", "content": "Be short."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
        {"type": "reasoning", "id": "r", "summary": []},
        {
            "type": "message",
            "id": "m",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Miau.", "annotations": []}],
        },
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": shown, "detail": "auto"},
            ],
        },
    ]
    serve(desk(stage)).openai.responses.create(model="desk", input=items)
    sent = stage.calls_to("boris")[0].body
    assert texts(sent, "assistant") == ["Miau."]
    assert texts(sent, "user")[0] == "Hello."
    assert "What is this?" in texts(sent, "user")[1]
    assert "picture" in texts(sent, "user")[1], "who cannot see is told that there is one"


def test_its_events_come_in_order(stage: Stage, serve: Serve) -> None:
    seat(stage)
    words = ["Cats ", "are ", "the ", "best."]
    stage.model("pen", reply=Reply("".join(words), chunks=words), latency=0.6)
    client = serve(desk(stage)).openai
    events = [*client.responses.create(model="desk", input="Which?", stream=True)]
    kinds = [event.type for event in events]
    thoughts = [place for place, kind in enumerate(kinds) if "reasoning_summary" in kind]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
    ]
    assert kinds[thoughts[-1] + 1 :][:3] == [
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == [*range(len(events))]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) >= 2
    assert "".join(deltas) == "Cats are the best."
    ended: Any = events[-1]
    assert ended.response.output_text == "Cats are the best."
    assert [item.type for item in ended.response.output] == ["reasoning", "message"]
    thought = "".join(
        event.delta
        for event in events
        if event.type.endswith("text.delta") and "reasoning" in event.type
    )
    assert ended.response.output[0].summary[0].text == thought
    assert "Ada: The view of You count twice." in thought
    with client.responses.stream(model="desk", input="Which?") as stream:
        assert stream.get_final_response().output_text == "Cats are the best."


class Pet(BaseModel):
    """What the structured answer is."""

    kind: str
    legs: int


def test_a_structured_response_is_held_to_its_schema(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply=['{"kind": "cat", "legs": 4}', '{"kind": "cat"}'])
    client = serve(desk(stage)).openai
    parsed = client.responses.parse(model="desk", input="Which?", text_format=Pet)
    assert parsed.output_parsed == Pet(kind="cat", legs=4)
    sent = stage.calls_to("pen")[0].body["response_format"]["json_schema"]["schema"]
    assert "legs" in sent["properties"]
    with pytest.raises(APIStatusError) as refused:
        client.responses.parse(model="desk", input="Which?", text_format=Pet)
    assert refused.value.code == "form_not_met"


def test_a_response_that_was_cut_off_is_incomplete(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply="What the council says.", always=Fault.length())
    client = serve(desk(stage)).openai
    response = client.responses.create(model="desk", input="Which?")
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_a_conversation_is_a_thread(stage: Stage, serve: Serve) -> None:
    seat(stage)
    client = serve(desk(stage)).openai
    for text in ("I have a cat.", "What have I?"):
        response = client.responses.create(model="desk", input=text, conversation="pets")
        assert response.conversation is not None
        assert response.conversation.id == "pets"
    assert texts(stage.calls_to("ada")[-1].body, "user")[0] == "I have a cat."


def test_a_response_goes_on_from_another(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply=["Noted.", "A cat.", "A dog."])
    served = serve(desk(stage), database="memory:")
    create = served.openai.responses.create
    first = create(model="desk", input="I have a cat.", instructions="Be kind.")
    assert first.store is True  # type: ignore[attr-defined]
    second = create(model="desk", input="What have I?", previous_response_id=first.id)
    assert (second.output_text, second.previous_response_id) == ("A cat.", first.id)
    sent = stage.calls_to("ada")[-1].body
    assert texts(sent, "user")[0] == "I have a cat."
    assert texts(sent, "assistant")[0] == "Noted."
    assert "Be kind." not in said(sent), "instructions are one request's"
    create(model="desk", input="And now?", previous_response_id=first.id)
    assert "What have I?" not in said(stage.calls_to("ada")[-1].body), "both go on from the first"
    third = create(model="desk", input="So?", previous_response_id=second.id, stream=True)
    assert [*third][-1].type == "response.completed"
    assert "What have I?" in said(stage.calls_to("ada")[-1].body)
    assert served.openai.responses.retrieve(first.id).output_text == "Noted."
    served.openai.responses.delete(first.id)
    for call in (
        lambda: served.openai.responses.retrieve(first.id),
        lambda: create(model="desk", input="?", previous_response_id=first.id),
    ):
        with pytest.raises(APIStatusError, match="not found"):
            call()


def test_a_tool_call_goes_on_by_its_response(stage: Stage, serve: Serve) -> None:
    seat(stage)
    call = {"name": "weather", "args": {"town": "Bern"}, "id": "call_1"}
    stage.model("pen", reply=[Reply("", tool_calls=[call]), "It rains."])
    create = serve(desk(stage)).openai.responses.create
    tools: Any = [{"type": "function", "name": "weather"}, {"type": "web_search"}]
    first = create(model="desk", input="How is it?", tools=tools)
    result: Any = {"type": "function_call_output", "call_id": "call_1", "output": "Rain."}
    second = create(model="desk", input=[result], previous_response_id=first.id, tools=tools)
    assert second.output_text == "It rains."
    told = said(stage.calls_to("pen")[-1].body)
    assert "How is it?" in told
    assert "Rain." in told


def test_what_is_to_outlive_the_server_does(stage: Stage, serve: Serve, tmp_path: Path) -> None:
    seat(stage)
    database = str(tmp_path / "threads.db")
    first = serve(desk(stage), database=database, keys=f"one={KEY},two={KEY}-2")
    made = {
        stored: first.openai.responses.create(model="desk", input="I have a cat.", store=stored)
        for stored in (True, False)
    }
    assert made[False].store is False  # type: ignore[attr-defined]
    second = serve(desk(stage), database=database, keys=f"one={KEY},two={KEY}-2")
    assert second.openai.responses.retrieve(made[True].id).output_text == made[True].output_text
    with pytest.raises(APIStatusError):
        second.openai.responses.retrieve(made[False].id)
    other = second.openai.with_options(api_key=f"{KEY}-2")
    with pytest.raises(APIStatusError):
        other.responses.retrieve(made[True].id)


@pytest.mark.parametrize(
    "more",
    [
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"tools": [{"type": "web_search"}]},
        {"extra_body": {"nonsense": 1}},
        {"input": []},
        {"input": [{"role": "root", "content": "x"}]},
        {"input": [{"type": "item_reference", "id": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}]},
    ],
)
def test_what_there_is_not_is_refused(closed: Served, more: Any) -> None:
    with pytest.raises(BadRequestError) as refused:
        closed.openai.responses.create(**{"model": "desk", "input": "Which?", **more})
    assert "Traceback" not in json.dumps(refused.value.body)


def test_a_stream_that_breaks_off_fails_as_an_event(stage: Stage, serve: Serve) -> None:
    seat(stage)
    parts = ['{"kind": ', '"cat"}']
    stage.model("pen", reply=Reply("".join(parts), chunks=parts), latency=0.2)
    client = serve(desk(stage)).openai
    form = {"type": "json_schema", "name": "pet", "schema": Pet.model_json_schema()}
    events = [
        *client.responses.create(
            model="desk",
            input="Which?",
            stream=True,
            text={"format": form},  # type: ignore[call-overload]
        )
    ]
    assert events[-1].type == "response.failed"
    assert "does not have the form" in events[-1].response.error.message


def test_files_of_both_interfaces_reach_the_models_that_read_them(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    models = {"ada": voice(stage, "ada", files=["pdf", "audio"])}
    client = serve(desk(stage, models=models)).openai
    address = f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.4').decode()}"
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": address}}
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    client.chat.completions.create(
        model="desk",
        messages=[{"role": "user", "content": [{"type": "text", "text": "Why?"}, file, sound]}],  # type: ignore[list-item]
    )
    of_ada = [call.body for call in stage.calls if call.body["model"] == "ada"]
    assert file in of_ada[0]["messages"][-1]["content"]
    assert sound in of_ada[0]["messages"][-1]["content"]
    before = len(stage.calls)
    part = {"type": "input_file", "filename": "a.pdf", "file_data": address}
    client.responses.create(model="desk", input=[{"role": "user", "content": [part]}])  # type: ignore[list-item]
    of_ada = [call.body for call in stage.calls[before:] if call.body["model"] == "ada"]
    assert file in of_ada[0]["messages"][-1]["content"]
