"""The body of /v1/responses, turned into the messages of a chat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag

from mom_council.deliberation.context import AnswerForm
from mom_council.server.body import Body, Part, ResponsesTool, chosen
from mom_council.server.chat_request import (
    FILE_ADDRESS,
    Address,
    AssistantMessage,
    File,
    FileContent,
    InstructionMessage,
    Message,
    Picture,
    PictureAddress,
    Seen,
    Text,
    ToolResultMessage,
    UserMessage,
    schema_of,
)
from mom_council.server.errors import unsupported, wrong
from mom_council.server.leniency import RequestBody, UnusedPart
from mom_council.server.usual_form import use_usual_responses


class InputText(Part):
    """Some text, of whichever side."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class InputRefusal(Part):
    """What a model said when it declined."""

    type: Literal["refusal"]
    refusal: str


class InputImage(Part):
    """A picture."""

    type: Literal["input_image"]
    image_url: PictureAddress
    detail: Literal["auto", "low", "high"] | None = None


class InputFile(Part):
    """A file: a PDF, a text."""

    type: Literal["input_file"]
    filename: str = Field(default="", max_length=256)
    file_data: Annotated[str, StringConstraints(pattern=FILE_ADDRESS, min_length=8)]


Block = Annotated[InputText | InputRefusal | InputImage | InputFile, Field(discriminator="type")]


class MessageItem(Part):
    """What somebody said."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Block]


class FunctionCallItem(Part):
    """A call that was made of a client's tool."""

    type: Literal["function_call"]
    call_id: str = Field(min_length=1, max_length=256)
    name: str = Field(min_length=1, max_length=128)
    arguments: str


class CallOutput(Part):
    """What the tool gave."""

    type: Literal["function_call_output"]
    call_id: str = Field(min_length=1, max_length=256)
    output: str | list[InputText]


class ReasoningItem(Part):
    """What a model thought; a council's answer holds none, and needs none."""

    type: Literal["reasoning"]


UNUSED_ITEMS = frozenset(
    {
        *("file_search_call", "web_search_call", "image_generation_call", "code_interpreter_call"),
        *("computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output"),
        *("shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output"),
        *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "mcp_call"),
        *("custom_tool_call", "custom_tool_call_output", "program", "program_output"),
        *("tool_search_call", "tool_search_output", "additional_tools"),
        *("configuration_update", "compaction_trigger"),
    }
)
"""Items about tools that are no functions, which nobody here calls: they are left out, and told."""
STORED_ITEMS = frozenset({"item_reference", "compaction"})
"""Items whose words only the vendor has: without them the question would be another one."""


class UnusedItem(UnusedPart):
    """What a tool did that is not to be had here."""

    @classmethod
    def known_kinds(cls) -> frozenset[str]:
        """The kinds that OpenAI has."""
        return UNUSED_ITEMS


class StoredItem(Part):
    """Words that only the vendor has."""

    type: str


def _kind(item: Any) -> str:
    kind = item.get("type", "message") if isinstance(item, dict) else getattr(item, "type", None)
    if not isinstance(kind, str):
        return str(kind)  # no kind at all: a list, say, which no set can hold
    if kind in UNUSED_ITEMS:
        return "unused"
    return "stored" if kind in STORED_ITEMS else str(kind)


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[CallOutput, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[UnusedItem, Tag("unused")]
    | Annotated[StoredItem, Tag("stored")],
    Discriminator(_kind),
]


class AnswerFormat(Body):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextForm(Body):
    """How the text is to be."""

    format: AnswerFormat | None = None
    verbosity: str | None = None


class Reasoning(Body):
    """How hard to think; a summary of the debate is always given."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class ConversationReference(Body):
    """A thread."""

    id: str


_NAMES = {
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "json_schema": "text.format.schema",
}
"""Where a request has what is asked of the answer."""


class ResponsesRequest(RequestBody):
    """A question, with the conversation before it."""

    model: str = Field(min_length=1, max_length=200)
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    text: TextForm | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    conversation: str | ConversationReference | None = None

    tools: list[ResponsesTool] | None = None
    tool_choice: str | dict[str, Any] | None = None

    # What would change the answer and is not to be had here.
    previous_response_id: str | None = None
    prompt: dict[str, Any] | None = None
    background: bool | None = None
    top_logprobs: int | None = None

    # What the council's file decides, or what means nothing here.
    access_programs: Any = None
    context_management: Any = None
    image: Any = None
    include: list[str] | None = None
    max_tool_calls: int | None = None
    moderation: Any = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning: Reasoning | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream_options: dict[str, Any] | None = None
    truncation: str | None = None
    user: str | None = None

    @classmethod
    def use_usual_form(cls, raw: dict[str, Any]) -> None:
        """Change a body that says the same in another way."""
        use_usual_responses(raw)

    @classmethod
    def essential_fields(cls) -> frozenset[str]:
        """Fields without whose value there is no answer, or another one than was asked for."""
        return frozenset(
            [
                *("model", "input", "instructions", "stream", "text", "conversation", "tools"),
                *("tool_choice", "previous_response_id", "prompt", "background", "top_logprobs"),
            ]
        )

    @classmethod
    def unused_fields(cls) -> frozenset[str]:
        """Fields that are known, and change nothing here."""
        return frozenset(
            [
                *("access_programs", "context_management", "image", "include", "max_tool_calls"),
                *("moderation", "prompt_cache_key", "prompt_cache_options"),
                *("prompt_cache_retention", "safety_identifier", "truncation", "user"),
            ]
        )

    def refuse_what_cannot_be_done(self) -> None:
        """Say which of the things that are asked for there are not.

        Raises:
            Refusal: the first of them.
        """
        if self.previous_response_id is not None and self.conversation is not None:
            raise wrong(
                "'previous_response_id' and 'conversation' exclude each other.",
                "previous_response_id",
                "invalid_value",
            )
        for name in ("background", "prompt", "top_logprobs"):
            if getattr(self, name):
                raise unsupported(name, f"There is no '{name}' here; leave it out.")
        for place, item in enumerate(() if isinstance(self.input, str) else self.input):
            if isinstance(item, StoredItem):
                raise unsupported(
                    f"input[{place}]",
                    f"Only its vendor can read an item of the type '{item.type}'; send the "
                    "messages that it stands for.",
                )
        format_ = self.text and self.text.format
        if format_ and format_.type == "json_schema" and format_.schema_ is None:
            raise wrong(
                "Missing required parameter: 'text.format.schema'.",
                "text.format.schema",
                "missing_required_parameter",
            )

    @property
    def thread(self) -> str | None:
        """The thread that goes on."""
        named = self.conversation
        return named.id if isinstance(named, ConversationReference) else named

    @property
    def form(self) -> AnswerForm:
        """What is asked of the answer's form."""
        format_ = self.text.format if self.text else None
        tools, must_call = chosen(self.tools, self.tool_choice)
        wishes = {
            "reasoning_effort": self.reasoning and self.reasoning.effort,
            "verbosity": self.text and self.text.verbosity,
            "service_tier": self.service_tier,
        }
        return AnswerForm(
            tools=tools,
            must_call=must_call,
            max_tokens=self.max_output_tokens,
            one_call=self.parallel_tool_calls is False,
            temperature=self.temperature,
            top_p=self.top_p,
            as_json=format_ is not None and format_.type == "json_object",
            **schema_of(format_),
            wishes={name: value for name, value in wishes.items() if value is not None},
            client_names=_NAMES,
        )

    @property
    def tool_steps(self) -> Iterator[tuple[str, str]]:
        """Calls and results, as `refuse_results_without_calls` reads them."""
        for number, item in enumerate(() if isinstance(self.input, str) else self.input):
            if isinstance(item, CallOutput):
                yield item.call_id, f"input[{number}].call_id"
            elif isinstance(item, FunctionCallItem):
                yield item.call_id, ""

    def messages_after(self, before: Sequence[Message]) -> list[Message]:
        """The conversation as a chat has it; the instructions are this request's alone."""
        head: list[Message] = []
        if self.instructions:
            head.append(InstructionMessage(role="system", content=self.instructions))
        return [*head, *before, *self.own_messages]

    @property
    def own_messages(self) -> list[Message]:
        """What this request adds to the conversation."""
        if isinstance(self.input, str):
            return [UserMessage(role="user", content=self.input)]
        return [message for item in self.input for message in _message(item)]


def _message(item: Any) -> Sequence[Message]:
    match item:
        case MessageItem(role="user"):
            return [UserMessage(role="user", content=_seen(item.content))]
        case MessageItem(role="assistant"):
            return [AssistantMessage(role="assistant", content=_words(item.content))]
        case MessageItem():
            return [InstructionMessage(role="system", content=_words(item.content))]
        case FunctionCallItem():
            call = {
                "id": item.call_id,
                "function": {"name": item.name, "arguments": item.arguments},
            }
            return [AssistantMessage.model_validate({"role": "assistant", "tool_calls": [call]})]
        case CallOutput():
            return [
                ToolResultMessage(
                    role="tool", tool_call_id=item.call_id, content=_words(item.output)
                )
            ]
    return []


def _seen(content: str | list[Any]) -> str | list[Seen]:
    return content if isinstance(content, str) else [_part(block) for block in content]


def _part(block: Block) -> Seen:
    match block:
        case InputImage():
            address = Address(url=block.image_url, detail=block.detail or "auto")
            return Picture(type="image_url", image_url=address)
        case InputFile():
            file = FileContent(filename=block.filename, file_data=block.file_data)
            return File(type="file", file=file)
        case _:
            return Text(type="text", text=_words([block]))


def _words(content: str | Sequence[Any]) -> str:
    if isinstance(content, str):
        return content
    texts = (getattr(block, "text", None) or getattr(block, "refusal", "") for block in content)
    return "\n".join(str(text) for text in texts)
