"""The body of /v1/messages, Anthropic's protocol, turned into the messages of a chat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from mom_council.deliberation.context import AnswerForm
from mom_council.server.body import Body, ClientTool, Part, chosen
from mom_council.server.chat_request import (
    Address,
    AssistantMessage,
    File,
    FileContent,
    InstructionMessage,
    Message,
    Picture,
    PictureAddress,
    Text,
    ToolResultMessage,
    UserMessage,
)
from mom_council.server.errors import unsupported, wrong
from mom_council.server.leniency import RequestBody, UnusedPart
from mom_council.server.usual_form import UNREAD, use_usual_messages

_EFFORTS = {"xhigh": "high", "max": "high"}
"""What other vendors call the efforts that only Anthropic has."""
BILLING = "x-anthropic-billing-header:"
"""Begins a block that Claude Code lays into its instructions; it is another one each time."""
REMINDER = "<system-reminder>"
"""Begins what Claude Code says beside the results of tools: it is no new question."""


class Base64Source(Part):
    """A picture's bytes."""

    type: Literal["base64"]
    media_type: str = Field(pattern=r"^image/[A-Za-z0-9.+-]+$")
    data: str


class UrlSource(Part):
    """Where a picture is."""

    type: Literal["url"]
    url: PictureAddress


class ImageBlock(Part):
    """A picture."""

    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource, Field(discriminator="type")]


class TextSource(Part):
    """A document's own text."""

    type: Literal["text"]
    data: str


class FileSource(Part):
    """A document's bytes."""

    type: Literal["base64"]
    media_type: str = Field(pattern=r"^[a-z0-9.+-]+/[A-Za-z0-9.+-]+$")
    data: str


class DocumentBlock(Part):
    """A document: a PDF, or plain text."""

    type: Literal["document"]
    source: Annotated[TextSource | FileSource, Field(discriminator="type")]
    title: str | None = None


class ToolUseBlock(Part):
    """A call that was made of a client's tool."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1, max_length=256)
    name: str = Field(min_length=1, max_length=128)
    input: dict[str, Any]


class SearchResultBlock(Part):
    """Something that the client has looked up, to be read and cited."""

    type: Literal["search_result"]
    source: str
    title: str
    content: list[Text]


class CompactionBlock(Part):
    """What is left of the conversation that it stands for."""

    type: Literal["compaction"]
    content: str | None = None


UNUSED_BLOCKS = frozenset(
    {
        *("thinking", "redacted_thinking", "fallback"),
        *("server_tool_use", "mcp_tool_use", "mcp_tool_result", "mcp_tool_listing"),
        *("web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result"),
        *("bash_code_execution_tool_result", "text_editor_code_execution_tool_result"),
        *("tool_search_tool_result", "advisor_tool_result", "container_upload"),
        *("tool_addition", "tool_removal", "tool_reference"),
    }
)
"""Blocks which nobody here reads."""


class OtherBlock(UnusedPart):
    """What a council has no use for: thoughts, and what the vendor's own tools gave."""

    @classmethod
    def known_kinds(cls) -> frozenset[str]:
        """The kinds that Anthropic has."""
        return UNUSED_BLOCKS


def _kind_of(block: Any) -> str:
    kind = block.get("type") if isinstance(block, dict) else getattr(block, "type", None)
    return kind if isinstance(kind, str) and kind in READ_BLOCKS else "other"


READ_BLOCKS = frozenset(
    {
        *("text", "image", "document", "search_result", "compaction"),
        *("tool_use", "tool_result"),
    }
)
"""Blocks whose words reach the council."""


class ToolResultBlock(Part):
    """What a tool gave."""

    type: Literal["tool_result"]
    tool_use_id: str = Field(min_length=1, max_length=256)
    content: str | list[ShownBlock] | None = None
    is_error: bool | None = None


ShownBlock = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[SearchResultBlock, Tag("search_result")]
    | Annotated[CompactionBlock, Tag("compaction")]
    | Annotated[OtherBlock, Tag("other")],
    Discriminator(_kind_of),
]

Block = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[SearchResultBlock, Tag("search_result")]
    | Annotated[CompactionBlock, Tag("compaction")]
    | Annotated[ToolUseBlock, Tag("tool_use")]
    | Annotated[ToolResultBlock, Tag("tool_result")]
    | Annotated[OtherBlock, Tag("other")],
    Discriminator(_kind_of),
]


class AnthropicMessage(Part):
    """What one side says."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class AnthropicTool(Body):
    """A tool of the client's."""

    type: Literal["custom"] | None = None
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = None
    input_schema: dict[str, Any]
    strict: bool | None = None

    @property
    def usual(self) -> ClientTool:
        """The tool as a chat names it."""
        function = {
            "name": self.name,
            "description": self.description,
            "parameters": self.input_schema,
            "strict": self.strict,
        }
        return ClientTool.model_validate({"type": "function", "function": function})


class AnthropicChoice(Body):
    """Whether tools are to be called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    @property
    def usual(self) -> str | dict[str, Any]:
        """The choice as a chat names it."""
        if self.type == "tool":
            return {"type": "function", "function": {"name": self.name}}
        return "required" if self.type == "any" else self.type


class JsonOutput(Body):
    """The form of a structured answer."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Body):
    """How the answer is to be."""

    format: JsonOutput | None = None
    effort: str | None = None


class Thinking(Body):
    """Whether the client wants to read what is thought."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: int | None = None
    display: str | None = None


class CountRequest(RequestBody):
    """A conversation whose tokens are to be counted."""

    model: str = Field(min_length=1, max_length=200)
    messages: list[AnthropicMessage] = Field(min_length=1)
    system: str | list[Text] | None = None
    tools: list[AnthropicTool] | None = None
    tool_choice: AnthropicChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: JsonOutput | None = None

    @classmethod
    def use_usual_form(cls, raw: dict[str, Any]) -> None:
        """Change a body that says the same in another way."""
        use_usual_messages(raw)

    @classmethod
    def essential_fields(cls) -> frozenset[str]:
        """Fields without whose value there is no answer, or another one than was asked for."""
        return frozenset(
            [
                *("model", "messages", "system", "stream", "tools", "tool_choice"),
                *("output_format", "compaction", "thread"),
            ]
        )

    @classmethod
    def tool_kinds(cls) -> frozenset[str]:
        """What the `type` of a tool may be; tools of other kinds are run by Anthropic."""
        return frozenset(["custom"])

    @property
    def tool_steps(self) -> Iterator[tuple[str, str]]:
        """Calls and results, as `refuse_results_without_calls` reads them."""
        for number, turn in enumerate(self.messages):
            for place, block in enumerate(_blocks(turn.content)):
                if isinstance(block, ToolResultBlock):
                    yield block.tool_use_id, f"messages[{number}].content[{place}].tool_use_id"
                elif isinstance(block, ToolUseBlock):
                    yield block.id, ""

    @property
    def chat_messages(self) -> list[Message]:
        """The conversation as a chat has it."""
        system = self.system if isinstance(self.system, str) else _instructions(self.system or ())
        head: list[Message] = []
        if system:
            head.append(InstructionMessage(role="system", content=system))
        for message in (chat_message for turn in self.messages for chat_message in _messages(turn)):
            before = head[-1] if head else None
            if isinstance(before, ToolResultMessage) and _is_beside(message):
                words = f"{before.content}\n\n{_words_of(message)}"
                head[-1] = before.model_copy(update={"content": words})
            else:
                head.append(message)
        return head


class MessagesRequest(CountRequest):
    """A question, with the conversation before it."""

    max_tokens: int | None = Field(default=None, ge=1)
    stream: bool | None = None
    stop_sequences: list[Annotated[str, Field(min_length=1, max_length=1000)]] | None = None
    temperature: float | None = Field(default=None, ge=0, le=1)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    metadata: dict[str, Any] | None = None

    # What would change the answer and is not to be had here.
    compaction: dict[str, Any] | None = None
    thread: dict[str, Any] | None = None

    # What means nothing here.
    service_tier: str | None = None
    billing_policy: Any = None
    cache_control: Any = None
    diagnostics: Any = None
    fallback_credit_token: Any = None
    fallbacks: Any = None
    inference_geo: Any = None
    speed: Any = None
    user_profile_id: Any = None
    workspace_id: Any = None
    container: Any = None
    context_management: dict[str, Any] | None = None
    mcp_servers: list[Any] | None = None

    @classmethod
    def unused_fields(cls) -> frozenset[str]:
        """Fields that are known, and change nothing here."""
        return frozenset(
            [
                *("service_tier", "billing_policy", "cache_control", "container"),
                *("context_management", "diagnostics", "fallback_credit_token", "fallbacks"),
                *("inference_geo", "mcp_servers", "speed", "user_profile_id", "workspace_id"),
                "metadata",
            ]
        )

    @classmethod
    def partly_unused(cls, raw: dict[str, Any]) -> list[str]:
        """The paths of the parts of known fields that change nothing here."""
        thinking = raw.get("thinking") or {}
        return ["thinking.budget_tokens"] if thinking.get("budget_tokens") else []

    def refuse_what_cannot_be_done(self) -> None:
        """Say which of the things that are asked for there are not.

        Raises:
            Refusal: the first of them.
        """
        if self.compaction is not None:
            raise unsupported("compaction", "A council writes no summary of a conversation.")
        if self.thread is not None and self.thread.get("type") != "create":
            raise unsupported("thread", "No conversation is held here; send all its messages.")

    @property
    def thinks_aloud(self) -> bool:
        """Whether the client wants to read what the council thinks."""
        return self.thinking is not None and self.thinking.type != "disabled"

    @property
    def form(self) -> AnswerForm:
        """What is asked of the answer's form."""
        choice = self.tool_choice
        tools = [tool.usual for tool in self.tools or ()]
        offered, must_call = chosen(tools, choice.usual if choice else None)
        output = self.output_format or (self.output_config and self.output_config.format)
        place = "output_format" if self.output_format else "output_config.format"
        effort = self.output_config and self.output_config.effort
        return AnswerForm(
            tools=offered,
            must_call=must_call,
            one_call=bool(choice and choice.disable_parallel_tool_use),
            stop=tuple(self.stop_sequences or ()),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            json_schema={"title": "reply", **output.schema_} if output else None,
            wishes={"reasoning_effort": _EFFORTS.get(effort, effort)} if effort else {},
            client_names={
                "reasoning_effort": "output_config.effort",
                "json_schema": f"{place}.schema",
            },
        )


def _instructions(blocks: Iterable[Text]) -> str:
    texts = (block.text for block in blocks)
    return "\n\n".join(text for text in texts if not text.startswith(BILLING))


def _messages(turn: AnthropicMessage) -> list[Message]:
    """What a turn says, as messages of a chat."""
    blocks = _blocks(turn.content)
    if turn.role == "system":
        return [InstructionMessage(role="system", content=_text(blocks))]
    if turn.role == "assistant":
        return [_answer(blocks)]
    results = [block for block in blocks if isinstance(block, ToolResultBlock)]
    rest: list[Any] = [*_visible_parts(blocks)]
    messages: list[Message] = [_result(block) for block in results]
    if results:
        beside: list[Any] = [part for part in rest if isinstance(part, Text) and _is_reminder(part)]
        rest = [part for part in rest if part not in beside]
        if beside:
            messages.append(UserMessage(role="user", content=beside))
    if rest or not results:
        messages.append(UserMessage(role="user", content=rest or ""))
    return messages


def _is_beside(message: Message) -> bool:
    """Whether a message belongs to the results before it: it is no new question of a person."""
    if isinstance(message, InstructionMessage):
        return True
    if not isinstance(message, UserMessage) or isinstance(message.content, str):
        return False
    return all(isinstance(part, Text) and _is_reminder(part) for part in message.content)


def _words_of(message: Message) -> str:
    content = message.content or ""
    parts = [content] if isinstance(content, str) else [str(part.text) for part in content]  # type: ignore[union-attr]
    return "\n\n".join(parts)


def _is_reminder(part: Text) -> bool:
    return part.text.lstrip().startswith(REMINDER)


def _blocks(content: str | list[Any]) -> list[Any]:
    return [Text(type="text", text=content)] if isinstance(content, str) else content


def _text(blocks: Sequence[Any]) -> str:
    return "\n\n".join(part.text for part in _visible_parts(blocks) if isinstance(part, Text))


def _visible_parts(blocks: Iterable[Any]) -> Iterator[Text | Picture | File]:
    """The text, the pictures and the documents among some blocks."""
    for block in blocks:
        if isinstance(block, Text):
            yield block
        elif isinstance(block, ImageBlock):
            yield Picture(type="image_url", image_url=Address(url=_address(block)))
        elif isinstance(block, DocumentBlock):
            yield _document(block)
        elif isinstance(block, CompactionBlock):
            yield Text(type="text", text=block.content or "")
        elif isinstance(block, SearchResultBlock):
            words = "\n".join(part.text for part in block.content)
            yield Text(type="text", text=f"{block.title} ({block.source}):\n{words}")


def _document(block: DocumentBlock) -> Text | File:
    source = block.source
    if isinstance(source, TextSource):
        title = f"{block.title}:\n" if block.title else ""
        return Text(type="text", text=f"{title}{source.data}")
    address = f"data:{source.media_type};base64,{source.data}"
    name = (block.title or "document.pdf")[:256]
    return File(type="file", file=FileContent(filename=name, file_data=address))


def _address(block: ImageBlock) -> str:
    source = block.source
    if isinstance(source, UrlSource):
        return source.url
    return f"data:{source.media_type.lower()};base64,{source.data}"


def _answer(blocks: Sequence[Any]) -> AssistantMessage:
    calls = [
        {
            "id": block.id,
            "function": {"name": block.name, "arguments": json.dumps(block.input)},
        }
        for block in blocks
        if isinstance(block, ToolUseBlock)
    ]
    message = {"role": "assistant", "content": _text(blocks), "tool_calls": calls or None}
    return AssistantMessage.model_validate(message)


def _result(block: ToolResultBlock) -> ToolResultMessage:
    parts = _visible_parts(_blocks(block.content or ""))
    words = "\n".join(part.text if isinstance(part, Text) else UNREAD for part in parts)
    if block.is_error:
        words = f"(the tool failed)\n{words}"
    return ToolResultMessage(role="tool", tool_call_id=block.tool_use_id, content=words)


def refuse_without_length(body: MessagesRequest, *, strict: bool) -> None:
    """On a strict server, refuse a request that does not say how long its answer may be.

    Raises:
        Refusal: `max_tokens` is missing, which Anthropic asks for.
    """
    if strict and body.max_tokens is None:
        raise wrong("max_tokens: Field required", "max_tokens", "missing_required_parameter")
