"""Bodies that are odd, and that some client sends: none is a failure of the server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from mom_council.testing.media import picture
from mom_council.tests.graph.desk import desk, said, seat
from mom_council.tests.server.conftest import Serve, Served, served
from mom_council.tests.stage import Reply, Stage

pytestmark = pytest.mark.slow

ASKED: Any = {"role": "user", "content": "Which?"}
READ = {"type": "function", "name": "read", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": {"name": "read", "parameters": READ["parameters"]}}]

ARGUMENTS: dict[str, Any] = {
    '{"town": 1}': {"town": 1},
    "": {},
    "null": {},
    **{
        text: {"arguments": text}
        for text in ("[1]", '"town"', "7", "{town", "9" * 5000, "[" * 100_000)
    },
}
"""What a tool was called with, as a client says it, and as the synthesizer's model reads it."""


def test_a_call_with_any_arguments_is_handed_on(stage: Stage, serve: Serve) -> None:
    seat(stage)
    call: Any = {"name": "read", "args": {}, "id": "c"}
    stage.model("pen", reply=[Reply("", tool_calls=[call]), "Done."])
    served = serve(desk(stage))
    asked = {"model": "desk", "messages": [ASKED], "tools": TOOLS}
    assert served.post(asked).status_code == 200, "the council speaks on the question"
    for text, sent in ARGUMENTS.items():
        call = {"id": "c", "type": "function", "function": {"name": "read", "arguments": text}}
        turns = [{"role": "assistant", "content": None, "tool_calls": [call]}]
        turns += [{"role": "tool", "tool_call_id": "c", "content": "done"}]
        item = {"type": "function_call", "call_id": "c", "name": "read", "arguments": text}
        result = {"type": "function_call_output", "call_id": "c", "output": "done"}
        bodies = {"chat/completions": {"messages": [ASKED, *turns], "tools": TOOLS}}
        if text == "[1]":  # a sample: both paths take the same way from there
            bodies["responses"] = {"input": [ASKED, item, result], "tools": [READ], "store": False}
        for path, body in bodies.items():
            answer = served.post({"model": "desk", **body}, f"/v1/{path}")
            assert answer.status_code == 200, (path, text[:20], answer.text)
            *_, called, given = stage.calls_to("pen")[-1].body["messages"]
            [call] = called["tool_calls"]
            assert json.loads(call["function"]["arguments"]) == sent, (path, text[:20])
            assert given["tool_call_id"] == call["id"] == "c"


def test_a_damaged_picture_and_no_words_are_the_clients_fault(stage: Stage, serve: Serve) -> None:
    seat(stage)
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {"model": "desk", "messages": [{"role": "user", "content": [picture]}]}
    answer = serve(desk(stage)).post(body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_image"
    assert not stage.calls


PICTURE = base64.b64encode(picture("a cat")).decode()
URL = f"data:image/png;base64,{PICTURE}"
SOURCE = {"type": "base64", "media_type": "image/png", "data": PICTURE}
IN_LINES = f"data:image/png;base64,{base64.encodebytes(picture('a cat')).decode()}"
OF_ANY_TYPE = f"data:application/octet-stream;base64,{PICTURE}"
PARAMETERS = READ["parameters"]
CALL: Any = {"id": "c", "type": "function", "function": {"name": "read", "arguments": "{}"}}


@pytest.fixture(scope="module")
def council() -> Iterator[tuple[Stage, Served]]:
    """A served council whose synthesizer sees; one for all, since each body is answered alone."""
    with Stage() as stage:
        seat(stage)
        sees = {name: {"vision": True} for name in ("ada", "boris", "clara", "pen")}
        plan = desk(stage)
        models = {name: model.model_copy(update=sees[name]) for name, model in plan.models.items()}
        with served((plan.model_copy(update={"models": models}),), "", True, {}) as one:
            yield stage, one


def chat(*messages: Any, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/chat/completions", {"messages": [*messages] or [ASKED], **fields}


def item(items: Any, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/responses", {"input": items, "store": False, **fields}


def message(*messages: Any, **fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/messages", {"max_tokens": 99, "messages": [*messages] or [ASKED], **fields}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": [*parts]}


def called(*calls: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": [*calls], **fields}


def result(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c", "content": content, **fields}


TEXT = {"type": "text", "text": "Which?"}
USE = {"type": "tool_use", "id": "c", "name": "read"}
RESULT = {"type": "tool_result", "tool_use_id": "c", "content": "Fur."}

OFFERED: dict[str, tuple[str, dict[str, Any]]] = {
    "flat, in a chat": chat(tools=[READ]),
    "Anthropic's, in a chat": chat(tools=[{"name": "read", "input_schema": PARAMETERS}]),
    "custom, in a chat": chat(tools=[{"type": "custom", "name": "read", "input_schema": {}}]),
    "without a type": chat(tools=[{"function": TOOLS[0]["function"]}]),
    "mixed": chat(tools=[READ, {"type": "custom", "name": "patch"}]),
    "nested, in a response": item("Which?", tools=TOOLS),
    "Anthropic's, in a response": item("W?", tools=[{"name": "read", "input_schema": PARAMETERS}]),
    "OpenAI's, in messages": message(tools=TOOLS),
    "flat, in messages": message(tools=[READ]),
    "a choice as an object": chat(tools=TOOLS, tool_choice={"type": "auto"}),
    "a choice as a text": message(tools=TOOLS, tool_choice="auto"),
    "some are allowed": chat(
        tools=[*TOOLS, {"type": "function", "function": {"name": "write"}}],
        tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": TOOLS}},
    ),
}


@pytest.mark.parametrize(("path", "body"), OFFERED.values(), ids=OFFERED)
def test_tools_in_another_vendors_form_are_offered(
    council: tuple[Stage, Served], path: str, body: dict[str, Any]
) -> None:
    stage, server = council
    stage.clear()
    answer = server.post({"model": "desk", **body}, path)
    assert answer.status_code == 200, answer.text
    offered = stage.calls_to("pen")[0].body["tools"]
    assert [tool["function"]["name"] for tool in offered] == ["read"]


FUR: dict[str, tuple[str, dict[str, Any]]] = {
    "a part in Anthropic's words": chat(ASKED, called(content=[USE]), user(RESULT)),
    "no id": chat(
        ASKED, called({"function": CALL["function"]}), {"role": "tool", "content": "Fur"}
    ),
    "an empty id": chat(ASKED, called({**CALL, "id": ""}), result("Fur.", tool_call_id="")),
    "no type": chat(ASKED, called({**CALL, "type": None}), result("Fur.")),
    "arguments as an object": chat(
        ASKED, called({**CALL, "function": {"name": "read", "arguments": {"a": 1}}}), result("Fur.")
    ),
    "no arguments": chat(ASKED, called({**CALL, "function": {"name": "read"}}), result("Fur.")),
    "an object": chat(ASKED, called(CALL), result({"skin": "Fur."})),
    "a list": chat(ASKED, called(CALL), result([TEXT, {"type": "text", "text": "Fur."}])),
    "with a picture": chat(
        ASKED,
        called(CALL),
        result([{"type": "text", "text": "Fur."}, {"type": "image_url", "image_url": URL}]),
    ),
    "a function of old": chat(
        ASKED,
        {"role": "assistant", "content": None, "function_call": CALL["function"]},
        {"role": "function", "name": "read", "content": "Fur."},
    ),
    "a custom tool": chat(
        ASKED,
        called({"id": "c", "type": "custom", "custom": {"name": "read", "input": "x"}}),
        result("Fur."),
    ),
    "input as a text": message(
        ASKED, {"role": "assistant", "content": [{**USE, "input": "{}"}]}, user(RESULT)
    ),
    "no input": message(ASKED, {"role": "assistant", "content": [USE]}, user(RESULT)),
    "items": chat(
        input=[
            ASKED,
            {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "Fur."},
        ]
    ),
    "an output that is an object": item(
        [
            ASKED,
            {"type": "function_call", "call_id": "c", "name": "read", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": {"skin": "Fur."}},
        ]
    ),
}
del FUR["items"][1]["messages"]


@pytest.mark.parametrize(("path", "body"), FUR.values(), ids=FUR)
def test_what_a_tool_gave_is_read_in_any_form(
    council: tuple[Stage, Served], path: str, body: dict[str, Any]
) -> None:
    stage, server = council
    stage.clear()
    answer = server.post({"model": "desk", **body}, path)
    assert answer.status_code == 200, answer.text
    told = said(stage.calls_to("pen")[0].body)
    assert "Which?" in told
    assert "Fur" in told
    assert "read(" in told


SAID: dict[str, tuple[str, dict[str, Any]]] = {
    "a text for messages": chat(messages="Which?"),
    "one message": chat(messages=ASKED),
    "a human": chat({"role": "human", "content": "Which?"}),
    "capital letters": chat({"role": "User", "content": "Which?"}),
    "an earlier answer of an AI": chat(ASKED, {"role": "ai", "content": "x"}, ASKED),
    "texts": chat(user("Which?")),
    "input_text": chat(user({"type": "input_text", "text": "Which?"})),
    "nothing before": chat({"role": "user", "content": None}, ASKED),
    "thoughts": chat(
        ASKED, {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}, ASKED
    ),
    "numbers as text": chat(temperature="0.5", max_tokens="64", n="1", stream="false", seed="3"),
    "numbers with a point": chat(max_tokens=64.0, seed=3.0),
    "a form as a text": chat(response_format="text"),
    "a picture for all": chat(
        {"role": "system", "content": [TEXT, {"type": "image_url", "image_url": URL}]}, ASKED
    ),
    "one item": item(ASKED),
    "a list of texts": item(["Which?"]),
    "a part as an item": item([{"type": "input_text", "text": "Which?"}]),
    "messages as items": item(None, messages=[ASKED]),
    "instructions as an object": message(system={"type": "text", "text": "Be kind."}),
    "a document of blocks": message(
        user({"type": "document", "source": {"type": "content", "content": [TEXT]}}, TEXT)
    ),
}
del SAID["messages as items"][1]["input"]


@pytest.mark.parametrize(("path", "body"), SAID.values(), ids=SAID)
def test_a_question_is_read_in_any_form(
    council: tuple[Stage, Served], path: str, body: dict[str, Any]
) -> None:
    stage, server = council
    stage.clear()
    answer = server.post({"model": "desk", **body}, path)
    assert answer.status_code == 200, answer.text
    assert not answer.headers.get("x-mom-ignored")
    sent = stage.calls_to("pen")[0].body
    assert "Which?" in said(sent)
    if "max_tokens" in body and path != "/v1/messages":
        assert (sent["max_tokens"], sent["seed"]) == (64, 3)


SEEN: dict[str, tuple[str, dict[str, Any]]] = {
    "of Anthropic's": chat(user(TEXT, {"type": "image", "source": SOURCE})),
    "of /v1/responses": chat(user(TEXT, {"type": "input_image", "image_url": URL})),
    "bare": chat(user(TEXT, {"type": "image_url", "image_url": {"url": PICTURE}})),
    "with a strange detail": chat(
        user(TEXT, {"type": "image_url", "image_url": {"url": URL, "detail": "original"}})
    ),
    "in lines, without its end": chat(
        user(TEXT, {"type": "image_url", "image_url": {"url": IN_LINES.rstrip("=\n")}})
    ),
    "bytes of any type": item([user(TEXT, {"type": "input_image", "image_url": OF_ANY_TYPE})]),
    "without a media type": chat(
        user(TEXT, {"type": "image_url", "image_url": {"url": f"data:;base64,{PICTURE}"}})
    ),
    "bytes of any type, in messages": message(
        user(TEXT, {"type": "image", "source": {**SOURCE, "media_type": OF_ANY_TYPE[5:29]}})
    ),
    "by its address, in messages": message(
        user(TEXT, {"type": "image", "source": {"type": "url", "url": OF_ANY_TYPE}})
    ),
    "of a chat": item([user(TEXT, {"type": "image_url", "image_url": {"url": URL}})]),
    "of a chat, in messages": message(user(TEXT, {"type": "image_url", "image_url": {"url": URL}})),
}


@pytest.mark.parametrize(("path", "body"), SEEN.values(), ids=SEEN)
def test_a_picture_in_another_vendors_form_is_seen(
    council: tuple[Stage, Served], path: str, body: dict[str, Any]
) -> None:
    stage, server = council
    stage.clear()
    answer = server.post({"model": "desk", **body}, path)
    assert answer.status_code == 200, answer.text
    parts = [part for one in stage.calls_to("ada")[0].body["messages"] for part in one["content"]]
    assert [part for part in parts if isinstance(part, dict) and part["type"] == "image_url"]


def encoded(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


UNREAD = {
    "a TIFF": encoded(b"II*\0\x08\0\0\0" + bytes(200), "image/tiff"),
    "a BMP": encoded(b"BM" + bytes(200), "image/bmp"),
    "HEIC": encoded(b"\0\0\0\x18ftypheic" + bytes(200), "image/heic"),
    "SVG": encoded(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    "a text": encoded(b"hello there"),
    "no bytes": encoded(b""),
}
NO_PICTURES = {
    "not in base64": "data:image/svg+xml;utf8,<svg/>",
    "another type": encoded(b"hello there", "text/plain"),
    "bytes of any type": encoded(b"hello there", "application/octet-stream"),
    "another scheme": "ftp://example.org/cat.png",
    "empty": "",
}


def shown(address: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """A picture at each door, by the place of its address."""
    block = {"type": "image", "source": {"type": "url", "url": address}}
    return {
        "messages[0].content[1].image_url.url": chat(
            user(TEXT, {"type": "image_url", "image_url": {"url": address}})
        ),
        "input[0].content[1].image_url": item(
            [user(TEXT, {"type": "input_image", "image_url": address})]
        ),
        "messages[0].content[1].source.url": message(user(TEXT, block)),
    }


@pytest.mark.parametrize("address", UNREAD.values(), ids=UNREAD)
def test_a_picture_that_nobody_can_read_is_told_with_its_place(
    council: tuple[Stage, Served], address: str
) -> None:
    stage, server = council
    for place, (path, body) in shown(address).items():
        stage.clear()
        answer = server.post({"model": "desk", **body}, path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-mom-ignored"] == f"{place} (unknown picture)"
        assert "left out" in answer.json()["council"]["notes"][0]
        assert "image" not in json.dumps([call.body["messages"] for call in stage.calls_to("ada")])


@pytest.mark.parametrize("address", NO_PICTURES.values(), ids=NO_PICTURES)
def test_an_address_of_no_picture_is_refused_in_plain_words(
    council: tuple[Stage, Served], address: str
) -> None:
    stage, server = council
    stage.clear()
    for place, (path, body) in shown(address).items():
        answer = server.post({"model": "desk", **body}, path)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, place), answer.text
        assert "a picture's address begins with" in error["message"]
    assert not stage.calls


def test_a_strict_server_refuses_a_picture_that_nobody_can_read(stage: Stage, serve: Serve) -> None:
    seat(stage)
    strict = serve(desk(stage), strict=True)
    for place, (path, body) in shown(UNREAD["a BMP"]).items():
        answer = strict.post({"model": "desk", **body}, path)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, place), answer.text
    assert not stage.calls


SHAPED: dict[str, Any] = {
    "flat": {"type": "json_schema", "name": "pet", "schema": {"type": "object"}},
    "without a name": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    "a name with spaces": {
        "type": "json_schema",
        "json_schema": {"name": "my pet!", "strict": "true", "schema": {"type": "object"}},
    },
    "json_object with a schema": {"type": "json_object", "schema": {"type": "object"}},
}


@pytest.mark.parametrize("form", SHAPED.values(), ids=SHAPED)
def test_a_schema_is_found_where_a_client_lays_it(
    council: tuple[Stage, Served], form: dict[str, Any]
) -> None:
    stage, server = council
    stage.clear()
    stage.model("pen", reply='{"kind": "cat"}')
    answer = server.post({"model": "desk", "messages": [ASKED], "response_format": form})
    assert answer.status_code == 200, answer.text
    sent = stage.calls_to("pen")[0].body["response_format"]
    assert sent["type"] == "json_schema"
    stage.model("pen", reply="What the council says.")


@pytest.mark.parametrize("strict", [False, True])
def test_a_mark_at_the_beginning_and_halves_of_characters(
    stage: Stage, serve: Serve, strict: bool
) -> None:
    seat(stage)
    body = json.dumps({"model": "desk", "messages": [{"role": "user", "content": "Which? 🐈"}]})
    cut = body.replace("\\udc08", "") + " "
    assert cut.count("\\ud83d") == 1
    odd = json.dumps({"model": "desk", "messages": [{"role": "user", "content": "C:\\udc08?"}]})
    server = serve(desk(stage), strict=strict)
    bodies = {
        b"\xef\xbb\xbf" + body.encode(): "Which? 🐈",
        cut.encode(): "Which? \ufffd",
        odd.encode(): "C:\\udc08?",
    }
    for raw, words in bodies.items():
        answer = server.post(raw)
        assert answer.status_code == (400 if strict and raw != odd.encode() else 200), answer.text
        if answer.status_code == 200:
            assert words in said(stage.calls_to("pen")[-1].body)
