"""What clients send: unknown and unusable fields are taken, left out, and told in a header."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest

from mom_council.testing.media import picture
from mom_council.tests.graph.desk import desk, said, seat
from mom_council.tests.server.conftest import Serve, Served
from mom_council.tests.stage import Reply, Stage

pytestmark = pytest.mark.slow

ASKED: Any = [{"role": "user", "content": "Which?"}]
BODY: Any = {"model": "desk", "messages": ASKED}
PICTURE = base64.b64encode(picture("a cat")).decode()


def content(*parts: Any) -> dict[str, Any]:
    """A question whose content has these parts."""
    return {"model": "desk", "messages": [{"role": "user", "content": [*parts]}]}


ANSWER: Any = {"role": "assistant", "content": "It is"}
TEXT: Any = {"type": "text", "text": "Which?"}

LEFT_OUT: dict[str, tuple[dict[str, Any], set[str]]] = {
    "min_p": ({**BODY, "min_p": 0.05, "top_k": 40}, {"min_p", "top_k"}),
    "siblings": (
        {**BODY, "repeat_penalty": 1.1, "mirostat": 0, "typical_p": 1, "num_ctx": 4096},
        {"repeat_penalty", "mirostat", "typical_p", "num_ctx"},
    ),
    "reasoningSummary": ({**BODY, "reasoningSummary": "auto"}, {"reasoningSummary"}),
    "keep_alive": ({**BODY, "keep_alive": -1}, {"keep_alive"}),
    "provider": ({**BODY, "provider": {"order": ["x"]}, "route": "x"}, {"provider", "route"}),
    "template": ({**BODY, "chat_template_kwargs": {"think": 1}}, {"chat_template_kwargs"}),
    "strange name": ({**BODY, "\u6a21\r\nx-evil: 1": 1}, {"(strange name)"}),
    "metadata": (
        {**BODY, "metadata": {"user": 5, "tags": ["a"], "deep": {"a": None}, "ok": "x"}},
        {"metadata.user", "metadata.tags", "metadata.deep", "metadata.ok"},
    ),
    "metadata text": ({**BODY, "metadata": "x"}, {"metadata"}),
    "large metadata": ({**BODY, "metadata": {f"k{n}": "v" for n in range(40)}}, {"metadata"}),
    "five stops": ({**BODY, "stop": ["a!", "b!", "c!", "d!", "e!"]}, {"stop"}),
    "empty stop": ({**BODY, "stop": ""}, {"stop"}),
    "empty stops": ({**BODY, "stop": ["", "zz!"]}, {"stop"}),
    "stop of another type": ({**BODY, "stop": 5}, {"stop"}),
    "max_tokens -1": ({**BODY, "max_tokens": -1}, {"max_tokens"}),
    "max_tokens 0": ({**BODY, "max_tokens": 0}, {"max_tokens"}),
    "max_completion_tokens": ({**BODY, "max_completion_tokens": -1}, {"max_completion_tokens"}),
    "temperature": ({**BODY, "temperature": -1, "top_p": 7}, {"temperature", "top_p"}),
    "stream options": (
        {**BODY, "stream_options": {"include_usage": True, "chunks": 1}},
        {"stream_options.chunks"},
    ),
    "unused": ({**BODY, "user": "u", "verbosity": "low"}, {"user"}),
    "last answer": ({**BODY, "messages": [*ASKED, ANSWER]}, {"messages[1]"}),
    "last answers": (
        {**BODY, "messages": [*ASKED, ANSWER, ANSWER]},
        {"messages[1]", "messages[2]"},
    ),
    "cache_control": (
        {**content({**TEXT, "cache_control": {"type": "ephemeral"}}), "cache_control": {"a": 1}},
        {"cache_control", "messages[].content[].cache_control"},
    ),
    "cache_control of a tool": (
        {
            **BODY,
            "tools": [
                {
                    "type": "function",
                    "cache_control": {"type": "ephemeral"},
                    "function": {"name": "f", "defer_loading": True},
                }
            ],
        },
        {"tools[0].cache_control", "tools[0].function.defer_loading"},
    ),
    "our own answer": (
        {
            **BODY,
            "messages": [*ASKED, {**ANSWER, "annotations": [], "refusal": None}, *ASKED],
        },
        set(),
    ),
    "nothing": (BODY, set()),
}


def ignored(answer: Any) -> set[str]:
    """The fields that the header names."""
    written = answer.headers.get("x-mom-ignored")
    return set() if written is None else set(written.split(", "))


@pytest.mark.parametrize(("body", "fields"), LEFT_OUT.values(), ids=LEFT_OUT)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_used_is_left_out_and_told(
    stage: Stage,
    serve: Serve,
    body: dict[str, Any],
    fields: set[str],
    stream: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seat(stage)
    answer = serve(desk(stage)).post({**body, "stream": stream})
    assert answer.status_code == 200, answer.text
    assert stream or "What the council says." in answer.text
    assert ignored(answer) == fields
    logged = "".join(one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING)
    assert all(field in logged for field in fields)
    for call in stage.calls:
        assert not {"min_p", "top_k", "keep_alive", "provider", "metadata"} & set(call.body)
        assert not fields or "It is" not in said(call.body)


STRICT = set(LEFT_OUT) - {"unused", "our own answer", "nothing"}


@pytest.mark.parametrize("name", sorted(STRICT))
def test_a_strict_server_refuses_it(closed: Served, name: str) -> None:
    answer = closed.post(LEFT_OUT[name][0])
    assert answer.status_code == 400, answer.text


URL = f"data:image/png;base64,{PICTURE}"
FORMS: dict[str, Any] = {
    "content as an object": {"model": "desk", "messages": [{"role": "user", "content": TEXT}]},
    "a system's too": {
        "model": "desk",
        "messages": [{"role": "system", "content": {"type": "text", "text": "Be."}}, *ASKED],
    },
    "an address as text": content(TEXT, {"type": "image_url", "image_url": URL}),
    "capital letters": content(
        TEXT, {"type": "image_url", "image_url": {"url": f"Data:image/PNG;Base64,{PICTURE}"}}
    ),
    "a parameter": content(
        TEXT,
        {"type": "image_url", "image_url": {"url": f"data:Image/Png;name=a.png;base64,{PICTURE}"}},
    ),
}


@pytest.mark.parametrize("body", FORMS.values(), ids=FORMS)
def test_other_forms_of_the_same_are_used(
    stage: Stage, serve: Serve, closed: Served, body: Any
) -> None:
    seat(stage)
    council = desk(stage)
    seeing = council.models["ada"].model_copy(update={"vision": True})
    council = council.model_copy(update={"models": {**council.models, "ada": seeing}})
    answer = serve(council).post(body)
    assert answer.status_code == 200, answer.text
    assert not ignored(answer)
    sent = str(stage.calls_to("ada")[0].body)
    assert "Which?" in sent
    assert ("data:image/" in sent) == ("image_url" in str(body))
    assert closed.post(body).status_code == 400


@pytest.mark.parametrize("kind", ["Application/JSON", "application/json; Charset=UTF-8"])
def test_a_content_type_may_have_capital_letters(stage: Stage, serve: Serve, kind: str) -> None:
    seat(stage)
    answer = serve(desk(stage)).post(BODY, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text


RESPONSES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "fields": (
        {"input": "Which?", "top_k": 4, "max_output_tokens": -1},
        {"top_k", "max_output_tokens"},
    ),
    "metadata": ({"input": "Which?", "metadata": {"a": 1}}, {"metadata.a"}),
    "an object": (
        {"input": [{"role": "user", "content": {"type": "input_text", "text": "Which?"}}]},
        set(),
    ),
    "a picture": (
        {
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Which?"},
                        {"type": "input_image", "image_url": {"url": URL.replace("png", "PNG")}},
                    ],
                }
            ]
        },
        set(),
    ),
    "last answer": ({"input": [*ASKED, ANSWER]}, {"input[1]"}),
}


@pytest.mark.parametrize(("body", "fields"), RESPONSES.values(), ids=RESPONSES)
def test_responses_are_as_lenient(
    stage: Stage, serve: Serve, closed: Served, body: Any, fields: set[str]
) -> None:
    seat(stage)
    body = {"model": "desk", **body}
    answer = serve(desk(stage)).post(body, "/v1/responses")
    assert answer.status_code == 200, answer.text
    assert ignored(answer) == fields
    assert closed.post(body, "/v1/responses").status_code == 400


def test_names_of_tools_come_back_as_the_client_wrote_them(stage: Stage, serve: Serve) -> None:
    seat(stage)
    stage.model("pen", reply=Reply("", tool_calls=[{"name": "fs_read_2", "args": {"a": 1}}]))
    long = "x" * 80
    names = ["fs.read", "fs_read", "mcp/fs:read", long]
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    served = serve(desk(stage))
    called = {"id": "c0", "type": "function", "function": {"name": "fs.read", "arguments": "{}"}}
    messages = [
        *ASKED,
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c0", "content": "Rain."},
        *ASKED,
    ]
    for stream in (False, True):
        answer = served.post({**BODY, "messages": messages, "tools": tools, "stream": stream})
        assert answer.status_code == 200, answer.text
        assert '"name":"fs.read"' in answer.text
        sent = [one["function"]["name"] for one in stage.calls_to("pen")[-1].body["tools"]]
        assert sent == ["fs_read_2", "fs_read", "mcp_fs_read", "x" * 64]
        assert not ignored(answer)
    choice = {"type": "function", "function": {"name": "fs.read"}}
    assert served.post({**BODY, "tools": tools, "tool_choice": choice}).status_code == 200
    flat = [{"type": "function", "name": name} for name in names]
    answer = served.post({"model": "desk", "input": "Which?", "tools": flat}, "/v1/responses")
    assert answer.json()["output"][-1]["name"] == "fs.read"
    assert [one["name"] for one in answer.json()["tools"]] == names


REFUSED: dict[str, tuple[Any, str]] = {
    "a part's type": (content(TEXT, {"type": "hologram"}), "messages[0].content[1].type"),
    "no type": (content(TEXT, {"text": "x"}), "messages[0].content[1].type"),
    "no text": (content({"type": "text"}), "messages[0].content[0].text"),
    "text of another type": (
        content({"type": "text", "text": 5}),
        "messages[0].content[0].text",
    ),
    "no address": (
        content(TEXT, {"type": "image_url", "image_url": {}}),
        "messages[0].content[1].image_url.url",
    ),
    "a file": (
        content(TEXT, {"type": "image_url", "image_url": "file:///etc/passwd"}),
        "messages[0].content[1].image_url.url",
    ),
    "content": ({**BODY, "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    "role": ({**BODY, "messages": [*ASKED, {"role": "root"}]}, "messages[1].role"),
    "no role": ({**BODY, "messages": [{"content": "x"}]}, "messages[0].role"),
    "a call": (
        {**BODY, "messages": [*ASKED, {"role": "assistant", "tool_calls": [{"id": "a"}]}, *ASKED]},
        "messages[1].tool_calls[0].function",
    ),
    "a tool": ({**BODY, "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    "with an unknown field": ({**BODY, "min_p": 1, "n": 0}, "n"),
    "only an answer": ({**BODY, "messages": [ANSWER]}, "messages"),
    "stream": ({**BODY, "stream": "yes"}, "stream"),
    "response_format": ({**BODY, "response_format": {"type": "xml"}}, "response_format.type"),
}


@pytest.mark.parametrize(("body", "param"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("strict", [False, True])
def test_a_refusal_names_the_field(
    stage: Stage, serve: Serve, body: Any, param: str, strict: bool
) -> None:
    if strict and ("min_p" in body or "file:" in str(body)):
        pytest.skip("something else is refused first")
    answer = serve(desk(stage), strict=strict).post(body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert not stage.calls


def test_addresses_without_v1_are_the_same(stage: Stage, serve: Serve) -> None:
    seat(stage)
    served = serve(desk(stage))
    assert served.post(BODY, "/chat/completions").status_code == 200
    assert served.post({"model": "desk", "input": "Which?"}, "/responses").status_code == 200
    assert served.get("/models").json() == served.get("/v1/models").json()
    for name in ("desk", "desk:borda"):
        assert served.get(f"/models/{name}").json()["id"] == name
        assert served.get(f"/v1/models/{name}").json()["id"] == name


@pytest.mark.parametrize("kind", [["text"], {"text": 1}, 7, None, True])
@pytest.mark.parametrize(
    ("path", "field"),
    [("/responses", "input"), ("/messages", "messages"), ("/chat/completions", "messages")],
)
def test_a_type_that_is_no_word_is_the_clients_fault(
    closed: Served, path: str, field: str, kind: Any
) -> None:
    item = {"type": kind, "role": "user", "content": [{"type": kind, "text": "Hello"}]}
    body = {"model": "desk", "max_tokens": 9, field: [item]}
    assert closed.post(body, f"/v1{path}").status_code == 400
