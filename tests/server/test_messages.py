"""Anthropic's protocol, driven by its official client."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from pydantic import BaseModel

from mom_council.testing.media import picture
from mom_council.tests.graph.desk import desk, said, seat, texts
from mom_council.tests.server.conftest import KEY, Serve, Served
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow

ASKED: Any = [{"role": "user", "content": "Which?"}]
TOOL: Any = {
    "name": "weather",
    "description": "The weather in a town.",
    "input_schema": {"type": "object", "properties": {"town": {"type": "string"}}},
}
CALL = {"name": "weather", "args": {"town": "Bern"}, "id": "toolu_1"}
DOT = base64.b64encode(picture("a dot")).decode()
THINKS: Any = {"type": "enabled", "budget_tokens": 2000}


Claude = Callable[..., Anthropic]


@pytest.fixture
def client_of() -> Iterator[Claude]:
    """Makes official clients of a server, which do not ask twice, and closes them."""
    with contextlib.ExitStack() as stack:

        def make(served: Served, **more: Any) -> Anthropic:
            given = {"api_key": KEY, "max_retries": 0, "timeout": 30, **more}
            return stack.enter_context(Anthropic(base_url=served.url, **given))

        yield make


def test_it_answers(stage: Stage, serve: Serve, client_of: Claude) -> None:
    seat(stage)
    served = serve(desk(stage))
    system: Any = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cch=abc;"},
        {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
    ]
    message = client_of(served).messages.create(
        model="desk",
        max_tokens=99,
        system=system,
        messages=ASKED,
        extra_body={"temperature": 0.3},  # the newest client knows none any more
        stop_sequences=["END"],
        metadata={"user_id": "u"},
    )
    [block] = message.content
    assert (block.type, block.text) == ("text", "What the council says.")  # type: ignore[union-attr]
    assert (message.role, message.model, message.stop_reason) == ("assistant", "desk", "end_turn")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > message.usage.input_tokens, "the council's talk is output"
    report: Any = message.model_extra
    assert report["council"]["spoke"] == ["Ada", "Boris", "Clara"]
    pen = stage.calls_to("pen")[0].body
    assert (pen["max_tokens"], pen["temperature"], pen["stop"]) == (99, 0.3, ["END"])
    [told] = texts(stage.calls_to("ada")[0].body, "system")
    assert "Be kind." in told
    assert "billing" not in told


def test_its_events_come_in_order(stage: Stage, serve: Serve, client_of: Claude) -> None:
    seat(stage)
    stage.model("pen", reply=Reply("", reasoning="Hm.", tool_calls=[CALL]))
    served = serve(desk(stage))
    body = {"model": "desk", "max_tokens": 99, "messages": ASKED, "stream": True}
    body |= {"thinking": THINKS, "tools": [TOOL]}
    raw = served.post(body, "/v1/messages").text
    kinds = [line.removeprefix("event: ") for line in raw.splitlines() if line[:6] == "event:"]
    events = [json.loads(line[6:]) for line in raw.splitlines() if line[:6] == "data: "]
    assert [event["type"] for event in events] == kinds
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    opened = [event for event in events if event["type"] == "content_block_start"]
    assert [event["content_block"]["type"] for event in opened] == ["thinking", "tool_use"]
    assert [event["index"] for event in opened] == [0, 1]
    open_block = None
    for event in events:
        if event["type"] == "content_block_start":
            assert open_block is None
            open_block = event["index"]
        elif event["type"].startswith("content_block"):
            assert event["index"] == open_block
            open_block = None if event["type"] == "content_block_stop" else open_block
    assert events[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}


@pytest.mark.parametrize("thinks", [False, True])
def test_it_streams_text_and_thoughts(
    stage: Stage, serve: Serve, client_of: Claude, thinks: bool
) -> None:
    seat(stage)
    words = ["Cats ", "are ", "best."]
    stage.model("pen", reply=Reply("".join(words), chunks=words), latency=0.3)
    more: Any = {"thinking": THINKS} if thinks else {}
    client = client_of(serve(desk(stage)))
    with client.messages.stream(model="desk", max_tokens=99, messages=ASKED, **more) as stream:
        pieces = [*stream.text_stream]
        message = stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == "Cats are best."
    kinds = ["thinking", "text"] if thinks else ["text"]
    assert [block.type for block in message.content] == kinds
    if thinks:
        thinking: Any = message.content[0]
        assert "Ada: The view of You count twice." in thinking.thinking
        assert "Vote: Ada, Boris, Clara" in thinking.thinking
        assert thinking.signature
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_used_and_its_result_answers(
    stage: Stage, serve: Serve, client_of: Claude, streamed: bool
) -> None:
    seat(stage)
    stage.model("pen", reply=[Reply("", tool_calls=[CALL]), "It rains."])
    client = client_of(serve(desk(stage)))
    asked: Any = {"model": "desk", "max_tokens": 99, "messages": [*ASKED]}
    asked |= {"tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}]}
    asked |= {"thinking": THINKS}
    if streamed:
        with client.messages.stream(**asked) as stream:
            message: Any = stream.get_final_message()
    else:
        message = client.messages.create(**asked)
    *_, use = message.content
    assert (use.type, use.id, use.name, use.input) == (
        "tool_use",
        "toolu_1",
        "weather",
        {"town": "Bern"},
    )
    assert message.stop_reason == "tool_use"
    assert [one["function"]["name"] for one in stage.calls_to("pen")[0].body["tools"]] == [
        "weather"
    ]
    asked["messages"] += [
        {"role": "assistant", "content": [block.to_dict() for block in message.content]},
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "Rain."}],
                },
                {"type": "text", "text": "<system-reminder>Be brief.</system-reminder>"},
            ],
        },
    ]
    again: Any = client.messages.create(**asked)
    assert again.content[-1].text == "It rains."
    told = said(stage.calls_to("pen")[-1].body)
    assert "Rain." in told
    assert "Be brief." in told
    assert "Which?" in told


def test_choices_of_tools_are_kept_to(stage: Stage, serve: Serve, client_of: Claude) -> None:
    seat(stage)
    stage.model("pen", reply=Reply("", tool_calls=[CALL, {**CALL, "id": "toolu_2"}]))
    client = client_of(serve(desk(stage)))
    asked: Any = {"model": "desk", "max_tokens": 99, "messages": ASKED, "tools": [TOOL]}
    one: Any = client.messages.create(
        **asked, tool_choice={"type": "any", "disable_parallel_tool_use": True}
    )
    assert [block.id for block in one.content] == ["toolu_1"]
    sent = stage.calls_to("pen")[-1].body
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", False)
    client.messages.create(**asked, tool_choice={"type": "tool", "name": "weather"})
    assert stage.calls_to("pen")[-1].body["tool_choice"] == "required"
    client.messages.create(**asked, tool_choice={"type": "none"})
    assert "tools" not in stage.calls_to("pen")[-1].body


def test_pictures_and_documents_are_shown(stage: Stage, serve: Serve, client_of: Claude) -> None:
    seat(stage)
    plan = desk(stage)
    ada = plan.models["ada"].model_copy(update={"vision": True})
    served = serve(plan.model_copy(update={"models": {**plan.models, "ada": ada}}))
    content: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DOT}},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Page 1"},
        },
    ]
    client_of(served).messages.create(
        model="desk", max_tokens=99, messages=[{"role": "user", "content": content}]
    )
    sent = json.dumps(stage.calls_to("ada")[0].body)
    assert "data:image/" in sent
    assert "Page 1" in sent


class Pet(BaseModel):
    """A pet."""

    kind: str


def test_a_structured_answer_is_held_to_its_schema(
    stage: Stage, serve: Serve, client_of: Claude
) -> None:
    seat(stage)
    stage.model("pen", reply=["A cat.", '{"kind": "cat"}'])
    client = client_of(serve(desk(stage)))
    schema = {"type": "object", "properties": {"kind": {"type": "string"}}, "required": ["kind"]}
    message: Any = client.messages.create(
        model="desk",
        max_tokens=99,
        messages=ASKED,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert Pet.model_validate_json(message.content[0].text) == Pet(kind="cat")


STOPS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "end_turn": ("Cats.", None, {}),
    "max_tokens": ("Cats and dogs.", Fault.length(), {}),
    "stop_sequence": ("Cats END more.", None, {"stop_sequences": ["END"]}),
}


@pytest.mark.parametrize("reason", sorted(STOPS))
def test_why_it_stops(stage: Stage, serve: Serve, client_of: Claude, reason: str) -> None:
    reply, fault, more = STOPS[reason]
    seat(stage)
    stage.model("pen", reply=reply, always=fault)
    message = client_of(serve(desk(stage))).messages.create(
        model="desk", max_tokens=9, messages=ASKED, **more
    )
    assert message.stop_reason == reason
    assert message.stop_sequence == ("END" if reason == "stop_sequence" else None)


def test_tokens_are_counted_without_asking_anybody(
    stage: Stage, serve: Serve, client_of: Claude
) -> None:
    client = client_of(serve(desk(stage)))
    short = client.messages.count_tokens(model="desk", messages=ASKED)
    long = client.messages.count_tokens(
        model="desk",
        system="Be kind.",
        messages=[{"role": "user", "content": "word " * 1000}],
        tools=[TOOL],
    )
    assert 0 < short.input_tokens < 20
    assert 1000 < long.input_tokens < 2000
    assert not stage.calls


def test_keys_come_either_way(stage: Stage, serve: Serve, client_of: Claude) -> None:
    seat(stage)
    served = serve(desk(stage), keys=KEY)
    asked: Any = {"model": "desk", "max_tokens": 9, "messages": ASKED}
    for client in (client_of(served), client_of(served, api_key=None, auth_token=KEY)):
        assert client.messages.create(**asked).stop_reason == "end_turn"
    with pytest.raises(anthropic.AuthenticationError) as refused:
        client_of(served, api_key="no key of this server").messages.create(**asked)
    body: Any = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")


def test_errors_have_anthropics_shape(stage: Stage, serve: Serve, client_of: Claude) -> None:
    client = client_of(serve(desk(stage)))
    asked: Any = {"model": "desk", "max_tokens": 9, "messages": ASKED}
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.create(**{**asked, "model": "nobody"})
    assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(anthropic.BadRequestError) as wrong:
        client.messages.create(**{**asked, "messages": [{"role": "user", "content": []}]})
    assert wrong.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]
    for streamed in (False, True):
        with pytest.raises(anthropic.APIStatusError) as failed:
            client.messages.create(**asked, stream=streamed)
        assert failed.value.status_code == 503
        assert failed.value.body["error"]["type"] == "overloaded_error"  # type: ignore[index]


def test_models_are_listed_for_it(stage: Stage, serve: Serve, client_of: Claude) -> None:
    served = serve(desk(stage))
    [model] = client_of(served).models.list().data
    assert (model.id, model.display_name, model.type) == ("desk", "desk", "model")
    assert model.created_at.year >= 2026
    assert client_of(served).models.retrieve("desk").id == "desk"
    names = [one["id"] for one in served.get("/v1/models?methods=true").json()["data"]]
    assert "desk:borda" in names
    assert [one.id for one in served.openai.models.list().data] == ["desk"]
    assert served.openai.models.retrieve("desk:borda").created > 0
