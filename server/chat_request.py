"""The body of /v1/chat/completions.

What a council has no use for is taken and not used (see `leniency`); what would change the answer
and cannot be done here is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from mom_council.deliberation.context import AnswerForm
from mom_council.server.body import Body, ClientTool, Part, chosen
from mom_council.server.errors import field_path, unsupported, wrong
from mom_council.server.leniency import RequestBody
from mom_council.server.usual_form import use_usual_chat
from mom_council.server.usual_parts import call_arguments
from mom_council.vendors.profile import CALLER_WISHES

MOST_CHOICES = 16
UNANSWERED = "(the call was broken off; it has no result)"
FILE_ADDRESS = r"^data:[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+;base64,"
PICTURE_ADDRESS = r"^(https?://|data:image/[a-z0-9.+-]+;base64,)"


def _picture_address(address: str) -> str:
    if not re.match(PICTURE_ADDRESS, address):
        raise ValueError(
            "a picture's address begins with https://, http:// or data:image/KIND;base64,"
        )
    return address


PictureAddress = Annotated[
    str,
    AfterValidator(_picture_address),
    WithJsonSchema({"type": "string", "pattern": PICTURE_ADDRESS}),
]


class Text(Part):
    """Some text."""

    type: Literal["text"]
    text: str


class Declined(Part):
    """What a model said when it declined."""

    type: Literal["refusal"]
    refusal: str


class Address(Part):
    """Where a picture is: on the web, or in the address itself."""

    url: PictureAddress
    detail: Literal["auto", "low", "high"] | None = None


class Picture(Part):
    """A picture."""

    type: Literal["image_url"]
    image_url: Address


class FileContent(Part):
    """A file, in its address."""

    filename: str = Field(default="", max_length=256)
    file_data: Annotated[str, StringConstraints(pattern=FILE_ADDRESS, min_length=8)]


class File(Part):
    """A file: a PDF, a text."""

    type: Literal["file"]
    file: FileContent


class SoundContent(Part):
    """A sound in base64."""

    data: str = Field(min_length=1)
    format: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,16}$")]


class Sound(Part):
    """A sound."""

    type: Literal["input_audio"]
    input_audio: SoundContent


class Function(Part):
    """A function that a model called, and what with."""

    name: str = Field(min_length=1, max_length=128)
    arguments: str


class RequestedToolCall(Part):
    """A call that a model made of a client's tool."""

    id: str = Field(min_length=1, max_length=256)
    type: Literal["function"] = "function"
    function: Function


Words = Annotated[Text | Declined, Field(discriminator="type")]
Seen = Annotated[Text | Picture | File | Sound, Field(discriminator="type")]


class InstructionMessage(Part):
    """What the application says to everybody."""

    role: Literal["system", "developer"]
    content: str | list[Text]


class UserMessage(Part):
    """What a person says."""

    role: Literal["user"]
    content: str | list[Seen]


class AssistantMessage(Part):
    """What was answered before."""

    role: Literal["assistant"]
    content: str | list[Words] | None = None
    tool_calls: list[RequestedToolCall] | None = None


class ToolResultMessage(Part):
    """What a tool gave."""

    role: Literal["tool"]
    content: str | list[Text]
    tool_call_id: str = Field(min_length=1, max_length=256)


Message = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolResultMessage,
    Field(discriminator="role"),
]


class Schema(Body):
    """A JSON schema with its name."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Body):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class StreamOptions(Body):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


Stop = Annotated[str, Field(min_length=1, max_length=1000)]


_NOT_TO_BE_HAD = {
    "functions": "Send functions as 'tools', as OpenAI does by now.",
    "function_call": "Send functions as 'tools', as OpenAI does by now.",
    "logprobs": "A council's answer has no log probabilities.",
    "top_logprobs": "A council's answer has no log probabilities.",
    "audio": "A council answers in text alone.",
    "web_search_options": "A council does not search the web.",
}
"""Fields that would change the answer, and why there is nothing of the kind."""


class ChatRequest(RequestBody):
    """A question, with the conversation before it."""

    model: str = Field(min_length=1, max_length=200)
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1)
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = None
    response_format: ResponseFormat | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16)

    tools: list[ClientTool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)

    # What would change the answer and is not to be had here.
    functions: list[Any] | None = None
    function_call: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None

    # What the council's file decides, or what means nothing here.
    logit_bias: dict[str, float] | None = None
    moderation: Any = None
    prediction: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    reasoning: dict[str, Any] | None = None
    include_reasoning: bool | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    user: str | None = None
    verbosity: str | None = None

    @classmethod
    def use_usual_form(cls, raw: dict[str, Any]) -> None:
        """Change a body that says the same in another way."""
        use_usual_chat(raw)

    @classmethod
    def essential_fields(cls) -> frozenset[str]:
        """Fields without whose value there is no answer, or another one than was asked for."""
        return frozenset(
            [
                *("model", "messages", "stream", "n", "response_format", "tools", "tool_choice"),
                *("functions", "function_call", "logprobs", "top_logprobs", "modalities"),
                *("audio", "web_search_options"),
            ]
        )

    @classmethod
    def unused_fields(cls) -> frozenset[str]:
        """Fields that are known, and change nothing here."""
        return frozenset(
            [
                *("moderation", "prediction", "prompt_cache_key", "prompt_cache_options"),
                *("prompt_cache_retention", "reasoning", "safety_identifier", "store", "user"),
            ]
        )

    @classmethod
    def partly_unused(cls, raw: dict[str, Any]) -> list[str]:
        """The paths of the parts of known fields that change nothing here."""
        more = [name for name in raw.get("metadata") or () if name != "thread_id"]
        return [f"metadata.{field_path([name]) or '(strange name)'}" for name in more]

    @property
    def tool_steps(self) -> Iterator[tuple[str, str]]:
        """Calls and results, as `refuse_results_without_calls` reads them."""
        for number, message in enumerate(self.messages):
            if isinstance(message, ToolResultMessage):
                yield message.tool_call_id, f"messages[{number}].tool_call_id"
            elif isinstance(message, AssistantMessage):
                yield from ((call.id, "") for call in message.tool_calls or ())

    def refuse_what_cannot_be_done(self) -> None:
        """Say which of the things that are asked for there are not.

        Raises:
            Refusal: the first of them.
        """
        if self.modalities and self.modalities != ["text"]:
            raise unsupported("modalities", _NOT_TO_BE_HAD["audio"])
        for name, reason in _NOT_TO_BE_HAD.items():
            if getattr(self, name) not in (None, False, 0):
                raise unsupported(name, reason)
        if (self.n or 1) > MOST_CHOICES:
            raise wrong(
                f"Invalid value for 'n': at most {MOST_CHOICES}; each choice is a whole "
                "deliberation.",
                "n",
                "invalid_value",
            )
        if self.response_format and self.response_format.type == "json_schema":
            schema = self.response_format.json_schema
            if schema is None or schema.schema_ is None:
                raise wrong(
                    "Missing required parameter: 'response_format.json_schema.schema'.",
                    "response_format.json_schema.schema",
                    "missing_required_parameter",
                )

    @property
    def aloud(self) -> bool:
        """Whether the client wants to read what the council thinks: unless it says no."""
        reasoning = self.reasoning or {}
        is_unwanted = self.reasoning_effort == "none" or self.include_reasoning is False
        return not (is_unwanted or reasoning.get("exclude") or reasoning.get("enabled") is False)

    @property
    def form(self) -> AnswerForm:
        """What is asked of the answer's form."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        format_ = self.response_format
        tools, must_call = chosen(self.tools, self.tool_choice)
        return AnswerForm(
            tools=tools,
            must_call=must_call,
            stop=tuple(stop),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            one_call=self.parallel_tool_calls is False,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=None if self.seed is None else self.seed % 2**31,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
            wishes={
                name: value for name in CALLER_WISHES if (value := getattr(self, name)) is not None
            },
            as_json=format_ is not None and format_.type == "json_object",
            **schema_of(format_.json_schema if format_ else None),
        )


def conversation(messages: list[Message], field: str = "messages") -> list[AnyMessage]:
    """The messages as the graph takes them; they came in this field.

    Raises:
        Refusal: nobody asks anything, or the conversation ends with an answer.
    """
    messages = _with_a_question(messages)
    questions = [message for message in messages if isinstance(message, UserMessage)]
    if not questions:
        raise wrong("There is no message with the role 'user'.", field, "invalid_value")
    content = questions[-1].content
    if not (content.strip() if isinstance(content, str) else any(map(_says_something, content))):
        raise wrong("The last message of the user is empty.", field, "invalid_value")
    if isinstance(messages[-1], AssistantMessage):
        raise wrong(
            "The last message is the assistant's, and a council cannot continue it. "
            "End the conversation with a message of the user or with the results of tools.",
            field,
            "invalid_value",
        )
    return _with_results([_plain(message) for message in messages])


def refuse_results_without_calls(
    steps: Iterable[tuple[str, str]], earlier: Iterable[Message] = ()
) -> None:
    """Refuse the result of a call that nobody made, as every vendor would.

    Args:
        steps: by id the calls, with no place, and the results with theirs, in their order.
        earlier: what was said before, which the request goes on with.

    Raises:
        Refusal: there is such a result.
    """
    answers = [one for one in earlier if isinstance(one, AssistantMessage)]
    called = {call.id for answer in answers for call in answer.tool_calls or ()}
    for name, place in steps:
        if not place:
            called.add(name)
        elif name not in called:
            raise wrong(
                f"Invalid value for '{place}': no call with this id comes before the result.",
                place,
                "invalid_value",
            )


def _with_results(messages: list[AnyMessage]) -> list[AnyMessage]:
    """The messages with each call's result behind it: vendors refuse any other order.

    A call that was broken off, and so has no result, gets one that says so.
    """
    results = [message for message in messages if isinstance(message, ToolMessage)]
    called = {call["id"] for message in messages for call in getattr(message, "tool_calls", ())}
    paired: list[AnyMessage] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in called:  # its call is stored in the thread
                paired.append(message)
            continue
        paired.append(message)
        for call in getattr(message, "tool_calls", ()):
            own = [one for one in results if one.tool_call_id == call["id"]]
            if own:
                results = [one for one in results if one is not own[0]]
            paired.append(own[0] if own else ToolMessage(UNANSWERED, tool_call_id=call["id"]))
    return paired


def _with_a_question(messages: list[Message]) -> list[Message]:
    """The messages; where nobody but the application speaks, its last words are the question."""
    if any(not isinstance(message, InstructionMessage) for message in messages):
        return messages
    *before, last = messages
    return [*before, UserMessage(role="user", content=_words(last.content))]


def _says_something(part: Seen) -> bool:
    return not isinstance(part, Text) or bool(part.text.strip())


def _plain(message: Message) -> AnyMessage:
    match message:
        case InstructionMessage():
            return SystemMessage(_words(message.content))
        case UserMessage(content=str(text)):
            return HumanMessage(text)
        case UserMessage():
            return HumanMessage([part.model_dump(exclude_none=True) for part in message.content])  # type: ignore[union-attr]
        case ToolResultMessage():
            return ToolMessage(_words(message.content), tool_call_id=message.tool_call_id)
        case AssistantMessage():
            calls = [
                tool_call(
                    id=call.id,
                    name=call.function.name,
                    args=call_arguments(call.function.arguments),
                )
                for call in message.tool_calls or ()
            ]
            return AIMessage(_words(message.content), tool_calls=calls)


def _words(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(
        str(getattr(part, "text", None) or getattr(part, "refusal", "")) for part in content
    )


def schema_of(form: Any) -> dict[str, Any]:
    """A client's schema of the answer, with its name and its description, for an `AnswerForm`."""
    if form is None or form.schema_ is None:
        return {}
    named = {"title": form.name} if form.name else {}
    described = {"description": form.description} if form.description else {}
    schema = {"title": "reply", **described, **form.schema_, **named}
    return {"json_schema": schema, "strict_schema": form.strict}
