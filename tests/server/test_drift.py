"""Fields, items, blocks and tools of the installed clients: what a new version adds is red here."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import (
    beta_content_block_param,
    beta_tool_union_param,
)
from anthropic.types.beta import message_create_params as beta_create_params
from openai.types.chat import (
    chat_completion_content_part_param,
    chat_completion_tool_union_param,
    completion_create_params,
)
from openai.types.responses import (
    response_create_params,
    response_input_content_param,
    response_input_item_param,
    tool_param,
)
from pydantic import TypeAdapter

from mom_council.server import chat_request, messages_request, responses_request
from mom_council.server.errors import Refusal
from mom_council.server.leniency import RequestBody, UnusedPart, read_request

ASKED: dict[type[RequestBody], dict[str, Any]] = {
    chat_request.ChatRequest: {"messages": [{"role": "user", "content": "Which?"}]},
    responses_request.ResponsesRequest: {"input": [{"role": "user", "content": "Which?"}]},
    messages_request.MessagesRequest: {"messages": [{"role": "user", "content": "Which?"}]},
}

HEADERS = {"betas"}
"""Arguments of a client's that it sends as a header (`anthropic-beta`)."""


def fields_of(params: Any) -> set[str]:
    """What a client puts into the body."""
    return set(get_type_hints(params)) - HEADERS


def members(hint: Any) -> Iterator[Any]:
    """The types that are joined in one."""
    if get_origin(hint) in (typing.Union, types.UnionType):
        for inner in get_args(hint):
            yield from members(inner)
    else:
        yield hint


def literals(hint: Any) -> set[str]:
    """The texts that a field may hold."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return {text for inner in get_args(hint) for text in literals(inner)}


def kinds_of(params: Any) -> set[str]:
    """What `type` may be in one of the types that are joined."""
    typed = [one for one in members(params) if hasattr(one, "__required_keys__")]
    return {kind for one in typed for kind in literals(get_type_hints(one).get("type"))}


def read_kinds(union: Any) -> set[str]:
    """The kinds that our own union of types reads, by its schema."""
    schema = TypeAdapter(union).json_schema()
    places = [schema, *schema.get("$defs", {}).values()]
    found = [place.get("properties", {}).get("type", {}).get("const") for place in places]
    lists = [place.get("properties", {}).get("type", {}).get("enum", ()) for place in places]
    return {kind for kind in [*found, *(one for some in lists for one in some)] if kind}


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        (completion_create_params.CompletionCreateParamsBase, chat_request.ChatRequest),
        (response_create_params.ResponseCreateParamsBase, responses_request.ResponsesRequest),
        (message_create_params.MessageCreateParamsBase, messages_request.MessagesRequest),
        (beta_create_params.MessageCreateParamsBase, messages_request.MessagesRequest),
        (message_count_tokens_params.MessageCountTokensParams, messages_request.MessagesRequest),
    ],
)
def test_every_field_of_a_client_is_known(params: Any, kind: type[RequestBody]) -> None:
    fields = fields_of(params)
    assert len(fields) > 5, "the client's types are found"
    assert sorted(fields - set(kind.model_fields)) == []
    assert sorted(kind.unused_fields() - set(kind.model_fields)) == []


@pytest.mark.parametrize(
    ("params", "kinds"),
    [
        (
            chat_completion_content_part_param.ChatCompletionContentPartParam,
            read_kinds(chat_request.Seen),
        ),
        (
            response_input_content_param.ResponseInputContentParam,
            read_kinds(responses_request.Block),
        ),
        (
            response_input_item_param.ResponseInputItemParam,
            read_kinds(responses_request.Item)
            | responses_request.UNUSED_ITEMS
            | responses_request.STORED_ITEMS,
        ),
        (
            beta_content_block_param.BetaContentBlockParam,
            messages_request.READ_BLOCKS | messages_request.UNUSED_BLOCKS,
        ),
    ],
)
def test_every_kind_of_part_is_known(params: Any, kinds: frozenset[str]) -> None:
    theirs = kinds_of(params)
    assert len(theirs) > 2, "the client's types are found"
    assert sorted(theirs - kinds) == []


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        (chat_completion_tool_union_param.ChatCompletionToolUnionParam, chat_request.ChatRequest),
        (tool_param.ToolParam, responses_request.ResponsesRequest),
        (beta_tool_union_param.BetaToolUnionParam, messages_request.MessagesRequest),
    ],
)
def test_every_tool_of_a_vendor_is_taken_and_told(params: Any, kind: type[RequestBody]) -> None:
    foreign = sorted(kinds_of(params) - kind.tool_kinds())
    assert foreign, "the client's types are found"
    for tool in foreign:
        raw = {"model": "desk", **ASKED[kind], "tools": [{"type": tool, "name": "x"}]}
        assert read_request(raw, kind, strict=False).ignored == [f"tools[0] ({tool})"]


@pytest.mark.parametrize("item", sorted(responses_request.UNUSED_ITEMS))
def test_an_unused_item_is_left_out_and_told(item: str) -> None:
    raw = {"model": "desk", "input": [{"role": "user", "content": "Which?"}, {"type": item}]}
    body = read_request(raw, responses_request.ResponsesRequest, strict=False)
    body.refuse_what_cannot_be_done()
    assert body.ignored == [f"input[] ({item})"]
    assert [message.role for message in body.messages_after(())] == ["user"]


@pytest.mark.parametrize("item", sorted(responses_request.STORED_ITEMS))
def test_an_item_that_only_its_vendor_reads_is_refused_with_its_place(item: str) -> None:
    raw = {"model": "desk", "input": [{"role": "user", "content": "Which?"}, {"type": item}]}
    body = read_request(raw, responses_request.ResponsesRequest, strict=False)
    with pytest.raises(Refusal, match=item) as refused:
        body.refuse_what_cannot_be_done()
    assert (refused.value.status, refused.value.error["param"]) == (400, "input[1]")


def blocks(*content: Any, **more: Any) -> messages_request.MessagesRequest:
    """A request of Anthropic's with these blocks before its question."""
    said = [*content, {"type": "text", "text": "Which?"}]
    raw = {"model": "desk", "messages": [{"role": "user", "content": said}], **more}
    return read_request(raw, messages_request.MessagesRequest, strict=False)


def test_blocks_that_hold_words_are_read() -> None:
    found = {
        "type": "search_result",
        "source": "https://bern.example",
        "title": "Bern",
        "content": [{"type": "text", "text": "Bears live there."}],
    }
    body = blocks(found, {"type": "compaction", "content": "We spoke of bears."})
    [message] = body.chat_messages
    words = [getattr(part, "text", None) for part in message.content or ()]
    assert body.ignored == []
    assert "Bern (https://bern.example):\nBears live there." in words
    assert "We spoke of bears." in words


def test_other_blocks_are_told_and_thoughts_are_not() -> None:
    body = blocks({"type": "server_tool_use", "id": "1"}, {"type": "thinking", "thinking": "x"})
    assert body.ignored == ["messages[].content[] (server_tool_use)"]
    body = blocks({"type": "dance"})
    assert body.ignored == ["messages[].content[] (unknown dance)"]
    assert issubclass(messages_request.OtherBlock, UnusedPart)


@pytest.mark.parametrize(
    "more", [{"compaction": {"type": "enabled"}}, {"thread": {"type": "continue"}}]
)
def test_a_conversation_that_only_the_vendor_has_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match=r"council|conversation"):
        blocks(**more).refuse_what_cannot_be_done()
    blocks(thread={"type": "create"}).refuse_what_cannot_be_done()
