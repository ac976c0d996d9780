"""Chat completions, as the official client asks for them."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, InternalServerError, NotFoundError
from PIL import Image
from pydantic import BaseModel

from mom_council.paths import pictures_dir
from mom_council.testing.media import picture
from mom_council.tests.graph.desk import desk, proposals, said, seat, texts, voice
from mom_council.tests.server.conftest import Serve, Served
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow

ASKED: Any = [{"role": "user", "content": "What is the best pet?"}]


def test_a_council_is_a_model_that_answers(stage: Stage, serve: Serve) -> None:
    seat(stage)
    client = serve(desk(stage)).openai
    answer = client.chat.completions.create(model="desk", messages=ASKED)
    [choice] = answer.choices
    assert choice.message.content == "What the council says."
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert answer.model == "desk"
    assert answer.object == "chat.completion"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    account = answer.model_extra["council"]  # type: ignore[index]
    assert account["spoke"] == ["Ada", "Boris", "Clara"]
    assert account["verdict"]["ballots"] == 3
    assert account["usage"]["calls"] == 7
    assert "What is the best pet?" in said(stage.calls_to("ada")[0].body)


def test_its_tokens_come_as_the_synthesizer_says_them(stage: Stage, serve: Serve) -> None:
    seat(stage)
    words = [f"word{n} " for n in range(8)]
    stage.model("pen", reply=Reply("".join(words), chunks=words), latency=0.8)
    client = serve(desk(stage)).openai
    chunks = [
        *client.chat.completions.create(
            model="desk", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    ]
    pieces = [
        c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content
    ]
    assert "".join(pieces).strip() == "".join(words).strip()
    assert len(pieces) >= 3, "real pieces, not the whole at once"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert len({c.id for c in chunks}) == 1
    [account] = [c.model_extra["council"] for c in chunks if "council" in (c.model_extra or {})]
    assert account["stop_reason"]


def test_what_the_client_sets_reaches_the_synthesizer_and_nobody_else(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    client = serve(desk(stage)).openai
    client.chat.completions.create(
        model="desk",
        messages=ASKED,
        max_tokens=77,
        temperature=0.25,
        top_p=0.5,
        stop=["END", "FIN"],
    )
    [pen] = stage.calls_to("pen")
    assert pen.body["max_tokens"] == 77
    assert pen.body["temperature"] == 0.25
    assert pen.body["top_p"] == 0.5
    assert pen.body["stop"] == ["END", "FIN"]
    for call in stage.calls_to("ada"):
        assert not {"max_tokens", "top_p", "stop"} & set(call.body)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_stop_ends_the_answer_even_where_the_model_does_not_listen(
    stage: Stage, serve: Serve, streamed: bool
) -> None:
    seat(stage)
    parts = ["Cats, of ", "course. S", "TO", "P and more."]
    stage.model("pen", reply=Reply("".join(parts), chunks=parts), latency=0.6)
    client = serve(desk(stage)).openai
    if streamed:
        chunks = [
            *client.chat.completions.create(model="desk", messages=ASKED, stop="STOP", stream=True)
        ]
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        finish = chunks[-1].choices[0].finish_reason
    else:
        answer = client.chat.completions.create(model="desk", messages=ASKED, stop="STOP")
        text, finish = answer.choices[0].message.content or "", answer.choices[0].finish_reason
    assert text == "Cats, of course. "
    assert finish == "stop"


@pytest.mark.parametrize(
    ("fault", "finish", "text"),
    [(Fault.length(), "length", "What the co"), (Fault.truncated(after=2), "length", "What the ")],
)
def test_an_answer_that_was_cut_off_says_so(
    stage: Stage, serve: Serve, fault: Fault, finish: str, text: str
) -> None:
    seat(stage)
    stage.model("pen", reply="What the council says.", always=fault)
    client = serve(desk(stage)).openai
    [choice] = client.chat.completions.create(model="desk", messages=ASKED).choices
    assert choice.finish_reason == finish
    assert (choice.message.content or "").startswith(text.strip())


def test_choices_are_as_many_deliberations_with_other_dice(stage: Stage, serve: Serve) -> None:
    seat(stage)
    client = serve(desk(stage)).openai
    answer = client.chat.completions.create(model="desk", messages=ASKED, n=3, seed=5)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len(stage.calls_to("pen")) == 3
    assert len({tuple(proposals(call.body)) for call in stage.calls_to("pen")}) > 1
    assert len(answer.model_extra["councils"]) == 3  # type: ignore[index]
    again = [
        *client.chat.completions.create(model="desk", messages=ASKED, n=2, seed=5, stream=True)
    ]
    assert {c.choices[0].index for c in again} == {0, 1}
    assert sum(c.choices[0].finish_reason == "stop" for c in again) == 2


def test_the_same_seed_throws_the_same_dice(stage: Stage, serve: Serve) -> None:
    seat(stage)
    client = serve(desk(stage)).openai
    for seed in (1, 1, 2, 3, 4):
        client.chat.completions.create(model="desk", messages=ASKED, seed=seed)
    shown = [tuple(proposals(call.body)) for call in stage.calls_to("pen")]
    assert shown[0] == shown[1]
    assert len(set(shown)) > 1


def test_system_messages_and_the_conversation_reach_everybody(stage: Stage, serve: Serve) -> None:
    seat(stage)
    messages: Any = [
        {"role": "system", "content": "Speak of cats only."},
        {"role": "developer", "content": [{"type": "text", "text": "Be short."}]},
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Miau.", "annotations": [], "refusal": None},
        {"role": "user", "content": [{"type": "text", "text": "And dogs?"}]},
    ]
    serve(desk(stage)).openai.chat.completions.create(model="desk", messages=messages)
    for call in stage.calls:
        assert "Speak of cats only." in texts(call.body, "system")[0]
        assert "Be short." in texts(call.body, "system")[0]
        assert texts(call.body, "assistant") == ["Miau."]
        assert "And dogs?" in texts(call.body, "user")[-1]


def test_a_picture_reaches_who_can_see(stage: Stage, serve: Serve) -> None:
    seat(stage)
    shown = "data:image/png;base64," + base64.b64encode(picture("a cat")).decode()
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": shown, "detail": "low"}},
    ]
    council = desk(stage)
    seeing = council.models["ada"].model_copy(update={"vision": True})
    council = council.model_copy(update={"models": {**council.models, "ada": seeing}})
    messages: Any = [{"role": "user", "content": content}]
    serve(council).openai.chat.completions.create(model="desk", messages=messages)
    answered = stage.calls_to("ada")[-1].body
    assert "data:image/" in json.dumps(answered)
    assert all("data:image/" not in json.dumps(call.body) for call in stage.calls_to("boris"))


class Pet(BaseModel):
    """What the structured answer is."""

    kind: str
    legs: int


def test_a_structured_answer_is_held_to_its_schema(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply='{"kind": "cat", "legs": 4}')
    client = serve(desk(stage)).openai
    answer = client.chat.completions.parse(model="desk", messages=ASKED, response_format=Pet)
    assert answer.choices[0].message.parsed == Pet(kind="cat", legs=4)
    [pen] = stage.calls_to("pen")
    sent = pen.body["response_format"]["json_schema"]
    assert sent["schema"]["properties"]["legs"]["type"] == "integer"
    assert '"legs"' in texts(pen.body, "user")[-1], "in words too, for models that know no schema"
    assert all("legs" not in said(call.body) for call in stage.calls_to("ada"))


@pytest.mark.parametrize("text", ['{"kind": "cat"}', "A cat, with four legs.", "[1]"])
def test_an_answer_that_misses_its_schema_is_an_error(
    stage: Stage, serve: Serve, text: str
) -> None:
    seat(stage)
    stage.model("pen", reply=text)
    client = serve(desk(stage)).openai
    with pytest.raises(APIStatusError) as refused:
        client.chat.completions.parse(model="desk", messages=ASKED, response_format=Pet)
    assert refused.value.status_code == 502
    assert refused.value.code == "form_not_met"
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_a_json_object_may_come_in_a_fence(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply='```json\n{"pet": "cat"}\n```')
    client = serve(desk(stage)).openai
    answer = client.chat.completions.create(
        model="desk", messages=ASKED, response_format={"type": "json_object"}
    )
    assert json.loads(answer.choices[0].message.content or "") == {"pet": "cat"}


def test_a_schema_that_leads_elsewhere_is_refused_before_anybody_is_asked(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    served = serve(desk(stage))
    for schema in ({"$ref": "file:///etc/passwd"}, {"$ref": served.url}, {"type": "nonsense"}):
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        with pytest.raises(BadRequestError) as refused:
            served.openai.chat.completions.create(
                model="desk", messages=ASKED, response_format=wanted
            )
        assert refused.value.code == "invalid_json_schema"
        assert "root:" not in str(refused.value)
    assert not stage.calls


def test_the_models_are_the_councils_and_their_ways_of_counting(stage: Stage, serve: Serve) -> None:
    seat(stage)
    client = serve(desk(stage), only=False).openai
    names = [model.id for model in client.models.list(extra_query={"methods": "true"})]
    assert names[0] == "desk"
    assert {"demo", "home", "desk:borda", "demo:none"} <= set(names)
    assert client.models.retrieve("desk:borda").id == "desk:borda"
    answer = client.chat.completions.create(model="desk:none", messages=ASKED)
    assert answer.model == "desk:none"
    assert answer.model_extra["council"]["stop_reason"] == "unvoted"  # type: ignore[index]
    client.chat.completions.create(model="desk:borda", messages=ASKED)
    assert any("ranking" in said(call.body) for call in stage.calls_to("ada"))


@pytest.mark.parametrize("name", ["nobody", "desk:nothing", "desk:", "../desk", "/etc/passwd"])
def test_a_model_that_is_not_offered_is_not_found(closed: Served, name: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        closed.openai.chat.completions.create(model=name, messages=ASKED)
    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"


@pytest.mark.parametrize("streamed", [False, True])
def test_when_nobody_answers_the_status_says_so(stage: Stage, serve: Serve, streamed: bool) -> None:
    for name in ("ada", "boris", "clara", "pen"):
        stage.model(name, always=Fault.status(401))
    client = serve(desk(stage)).openai
    with pytest.raises(InternalServerError) as refused:
        client.chat.completions.create(model="desk", messages=ASKED, stream=streamed)
    assert refused.value.status_code == 503
    assert refused.value.code == "quorum_missed"
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_without_a_synthesizer_the_preferred_proposal_comes_under_its_label(
    stage: Stage, serve: Serve
) -> None:
    seat(stage, {"Ada": "Cats.", "Boris": "Cats.", "Clara": "Dogs."})
    stage.model("pen", always=Fault.status(500))
    client = serve(desk(stage)).openai
    chunks = [*client.chat.completions.create(model="desk", messages=ASKED, stream=True)]
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text.startswith("Cats.")
    assert "No synthesizer wrote this" in text
    assert chunks[-1].model_extra["council"]["degraded"] is True  # type: ignore[index]


def test_a_tool_that_needs_approval_is_declined_because_nobody_can_be_asked(
    stage: Stage, serve: Serve
) -> None:
    seat(stage)
    call = {"name": "calculator", "args": {"expression": "6 * 7"}, "id": "c1"}
    stage.model("pen", reply=[Reply(None, tool_calls=[call]), "Without it: 42."])
    tools = {"calculator": {"bundled": "calculator", "approve": True}}
    sitting = desk(stage, tools=tools, synthesizer={"tools": ["calculator"]})
    answer = serve(sitting).openai.chat.completions.create(model="desk", messages=ASKED)
    assert answer.choices[0].message.content == "Without it: 42."
    assert "nobody is here to allow" in said(stage.calls_to("pen")[1].body)


def test_a_drawn_picture_comes_in_the_text_and_stays_nowhere(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply="A grey cat.")
    stage.model("brush")
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen", "brush")}
    served = serve(desk(stage, models=models, painter={"model": "brush"}))
    asked: Any = [{"role": "user", "content": "/image a cat"}]
    text = served.openai.chat.completions.create(model="desk", messages=asked).choices[0].message
    words, _, shown = (text.content or "").partition("![picture](data:image/png;base64,")
    assert words.startswith("Drawn from these words: A grey cat.")
    with Image.open(io.BytesIO(base64.b64decode(shown.rstrip(")")))) as opened:
        assert opened.size == (8, 8)
    assert not [*pictures_dir().glob("*.png")]
    stage.model("brush", always=Fault.status(500, message="room 5"))
    shy = serve(desk(stage, models=models, painter={"model": "brush"}), candid=False)
    answer = shy.post({"model": "desk", "messages": asked})
    assert "room 5" not in answer.text
    assert "could not be drawn" in answer.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("second", ["Answer: 42", "Answer: 12"])
def test_a_text_that_the_council_corrected_is_closed_before_the_answer(
    stage: Stage, serve: Serve, streamed: bool, second: str
) -> None:
    seat(stage, dict.fromkeys(("Ada", "Boris", "Clara"), "Answer: 42"))
    stage.model("pen", reply=["Answer: 11 STOP", second])
    client = serve(desk(stage)).openai
    asked: Any = {"model": "desk", "messages": ASKED, "stop": "STOP"}
    if streamed:
        chunks = [*client.chat.completions.create(**asked, stream=True)]
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        before, *corrections = text.split("\n\n(corrected)\n\n")
        assert before.strip() == "Answer: 11"
        assert len(corrections) == (1 if second == "Answer: 42" else 2)
        assert chunks[-1].choices[0].finish_reason == "stop"
        text = corrections[-1]
    else:
        text = client.chat.completions.create(**asked).choices[0].message.content or ""
    assert text == "Answer: 42"
