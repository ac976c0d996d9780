"""Vendors that LangChain opens by itself (`init_chat_model`), and what their files here share.

LangChain's models bring HTTP clients of their own: Anthropic's one for the process, which a second
event loop cannot use, Mistral's and Cohere's one each. All are given the loop's instead. SDK
retries are off everywhere: `speaking` alone retries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from mom_council.redaction import Redactor, StreamRedactor
from mom_council.seams.clients import set_anthropic_client, set_default_headers, with_platform

if TYPE_CHECKING:
    import httpx
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from mom_council.models.clients import LoopResources
    from mom_council.models.providers import Opening


def open_chat(opening: Opening) -> BaseChatModel:
    """A chat model of any vendor that LangChain has."""
    return init_chat(opening, chat_arguments(opening))


def init_chat(opening: Opening, arguments: dict[str, Any]) -> BaseChatModel:
    """LangChain's chat model with these arguments."""
    from langchain.chat_models import init_chat_model

    chat: BaseChatModel = init_chat_model(
        opening.spec.model, model_provider=opening.spec.provider, **arguments
    )
    return chat


def chat_arguments(opening: Opening) -> dict[str, Any]:
    """What LangChain's chat models are made with: the parameters, the address, the key."""
    arguments: dict[str, Any] = dict(opening.params)
    if opening.address:
        arguments["base_url"] = opening.address
    # An address of one's own without a key of its own must not get the vendor's from the
    # environment, and only an argument keeps a library from looking there.
    if opening.key or opening.base_url:
        arguments["api_key"] = opening.key or "none"
    arguments["max_retries"] = 0
    return arguments


def open_deepseek(opening: Opening) -> BaseChatModel:
    """A chat model of DeepSeek's."""
    from mom_council.models.providers.openai import StrictOpenAI, connected

    arguments = chat_arguments(opening)
    unknown = take_unknown(arguments, "langchain_deepseek", "ChatDeepSeek")
    arguments["extra_body"] = {**(arguments.get("extra_body") or {}), **unknown} or None
    sdk = StrictOpenAI(
        api_key=opening.key or "none",
        base_url=str(opening.address),
        max_retries=0,
        timeout=opening.resources.sdk_client(opening.address).timeout,
        http_client=opening.resources.sdk_client(opening.address),
    )
    arguments |= {
        **connected(with_platform(sdk)),
        "stream_usage": True,
        "stream_chunk_timeout": None,
    }
    return init_chat(opening, arguments)


def open_mistral(opening: Opening) -> BaseChatModel:
    """A chat model of Mistral's."""
    import httpx

    arguments = chat_arguments(opening)
    unknown = take_unknown(arguments, "langchain_mistralai", "ChatMistralAI")
    arguments["model_kwargs"] = {**(arguments.get("model_kwargs") or {}), **unknown}
    headers = {"Accept": "application/json", "Authorization": f"Bearer {opening.key or 'none'}"}
    address = str(opening.address)
    arguments |= {
        "async_client": httpx_client(opening.resources, base_url=address, headers=headers),
        # Never used; left out, it would be built.
        "client": httpx.Client(transport=httpx.BaseTransport()),
        "max_retries": 1,  # its word for "try once"
    }
    return init_chat(opening, arguments)


_BEFORE_SAMPLING_WENT = "2023-06-01"
"""The version of Anthropic's interface that takes a temperature: the later one, which the SDK asks
for by itself, refuses any, and so does every newer model (its profile leaves it out for those)."""


def open_anthropic(opening: Opening) -> BaseChatModel:
    """A chat model of Anthropic's."""
    from anthropic import AsyncAnthropic

    arguments = chat_arguments(opening)
    if unknown := take_unknown(arguments, "langchain_anthropic", "ChatAnthropic"):
        arguments["model_kwargs"] = {
            "extra_body": unknown,
            **(arguments.get("model_kwargs") or {}),
        }
    chat: Any = init_chat(opening, arguments)
    samples = any(getattr(chat, name) is not None for name in ("temperature", "top_p", "top_k"))
    headers = {"anthropic-version": _BEFORE_SAMPLING_WENT} if samples else {}
    sdk = AsyncAnthropic(
        api_key=opening.key or "none",
        base_url=str(opening.address),
        max_retries=0,
        timeout=opening.resources.sdk_client(opening.address).timeout,
        default_headers=headers,
        http_client=opening.resources.sdk_client(opening.address),
    )
    # ANTHROPIC_AUTH_TOKEN would go along, wherever this goes, and so would other headers.
    sdk.auth_token = None
    if opening.base_url is not None:
        set_default_headers(sdk, headers)
    set_anthropic_client(chat, with_platform(sdk))
    opened: BaseChatModel = chat
    return opened


def open_embeddings(opening: Opening) -> Embeddings:
    """An embedding model of any vendor that LangChain has."""
    from langchain.embeddings import init_embeddings

    arguments: dict[str, Any] = {**opening.params, **opening.vendor.embeds_once}
    if opening.base_url is not None:
        arguments["base_url"] = opening.base_url
    if opening.key is not None:
        arguments["api_key"] = opening.key
    return init_embeddings(opening.spec.model, provider=opening.spec.provider, **arguments)


def take_unknown(arguments: dict[str, Any], package: str, kind: str) -> dict[str, Any]:
    """Take out what the class has no field for: it goes into the body as it is."""
    fields = getattr(import_module(package), kind).model_fields
    names = {*fields, *(field.alias for field in fields.values())}
    return {name: arguments.pop(name) for name in list(arguments) if name not in names}


def httpx_client(resources: LoopResources, **arguments: Any) -> httpx.AsyncClient:
    """An httpx client on the loop's connections."""
    import httpx

    from mom_council.models.transport import AiohttpTransport

    transport = AiohttpTransport(resources.sessions)
    # No time limit of its own: the whole call has one.
    return httpx.AsyncClient(transport=transport, timeout=None, **arguments)  # noqa: S113


def with_redacted_replies(chat: BaseChatModel) -> BaseChatModel:
    """The same model, whose replies and errors hold none of our keys.

    For calls that callbacks follow: a tracer, a stream of events or of messages in a program of
    somebody else's gets what the server sent before anybody here reads it.
    """
    redacted: Any = object.__new__(_redacted_class(type(chat)))
    # It shares the model's state, so that what a call changes in it stays.
    for name in ("__dict__", *_STATE):
        object.__setattr__(redacted, name, getattr(chat, name))
    return cast("BaseChatModel", redacted)


_STATE = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")


@cache
def _redacted_class(kind: Any) -> Any:
    async def stream(
        self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **more: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply = _RedactedReply()
        try:
            async with aclosing(kind._astream(self, messages, stop=stop, **more)) as chunks:
                async for chunk in chunks:
                    yield reply.redact(chunk)
            if (rest := reply.rest()) is not None:
                yield rest
        except Exception as error:
            _redact_error(error)
            raise

    async def generate(self: Any, *given: Any, **more: Any) -> ChatResult:
        try:
            result: ChatResult = await kind._agenerate(self, *given, **more)
        except Exception as error:
            _redact_error(error)
            raise
        for one in result.generations:
            one.message = _RedactedReply().redact_whole(one.message)
        return result

    name = kind.__name__
    # A tracer is told how a model was made; the library writes its fields there, headers as well.
    origin = {"lc": 1, "type": "not_implemented", "id": [*kind.__module__.split("."), name]}
    about = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "_agenerate": generate,
        "_serialized": property(lambda _: {**origin, "name": name}),
    }
    if not _only_answers_whole(kind):
        about["_astream"] = stream
    return type(name, (kind,), about)


def _only_answers_whole(kind: Any) -> bool:
    from langchain_core.language_models import BaseChatModel

    ways = ("_astream", "_stream")
    return all(getattr(kind, way) is getattr(BaseChatModel, way) for way in ways)


_WRITTEN = frozenset(
    {
        *("text", "thinking", "reasoning", "reasoning_content", "refusal", "signature"),
        *("args", "arguments", "input", "partial_json"),
    }
)
"""Fields that come in pieces; a key may be cut in two by them."""


class _RedactedReply:
    """Takes our keys out of a reply as it comes."""

    def __init__(self) -> None:
        self._redactor = Redactor(shapes=False)
        self._streams: dict[tuple[Any, ...], StreamRedactor] = {}

    def redact(self, chunk: ChatGenerationChunk) -> ChatGenerationChunk:
        """A chunk without keys; its end may be held back, where a key may begin in it."""
        from langchain_core.messages import AIMessageChunk
        from langchain_core.outputs import ChatGenerationChunk

        message: Any = chunk.message
        fields: dict[str, Any] = {
            "content": self._content(message.content),
            "additional_kwargs": self._fields(message.additional_kwargs, ("more",)),
            "response_metadata": self._about(message.response_metadata),
        }
        if calls := getattr(message, "tool_call_chunks", None):
            fields["tool_call_chunks"] = [
                self._fields(call, ("call", call.get("index"))) for call in calls
            ]
            others = ("id", "usage_metadata", "chunk_position", "name")
            fields |= {name: getattr(message, name, None) for name in others}
            message = AIMessageChunk(**fields)  # which reads the calls from their pieces
        else:
            message = message.model_copy(update=fields)
        info = self._about(chunk.generation_info or {}) or None
        return ChatGenerationChunk(message=message, generation_info=info)

    def redact_whole(self, message: Any) -> Any:
        """A message that came at once, without keys."""
        tree = self._redactor.tree
        fields = {
            name: tree(getattr(message, name))
            for name in ("content", "additional_kwargs", "tool_calls", "invalid_tool_calls")
            if getattr(message, name, None)
        }
        about = self._about(message.response_metadata)
        return message.model_copy(update={**fields, "response_metadata": about})

    def _about(self, fields: Any) -> dict[str, Any]:
        """What is said of a reply, but no log probabilities: in tokens a key cannot be seen."""
        fields = self._redactor.tree(fields)
        return {name: value for name, value in fields.items() if name != "logprobs"}

    def rest(self) -> ChatGenerationChunk | None:
        """What was held back; None: nothing."""
        from langchain_core.messages import AIMessageChunk
        from langchain_core.outputs import ChatGenerationChunk

        fields: dict[str, Any] = {"content": ""}
        blocks, calls = [], []
        for (place, *names), stream in self._streams.items():
            if not (text := stream.close()):
                continue
            if place == "content":
                fields["content"] = text
            elif place == "more":
                fields.setdefault("additional_kwargs", {})[names[-1]] = text
            elif place == "block":
                blocks.append({"index": names[0], "type": names[1], names[2]: text})
            else:
                calls.append({"index": names[0], "args": text, "name": None, "id": None})
        if len(fields) == 1 and not (fields["content"] or blocks or calls):
            return None
        fields["content"] = fields["content"] or blocks or ""
        return ChatGenerationChunk(message=AIMessageChunk(**fields, tool_call_chunks=calls))

    def _content(self, content: Any) -> Any:
        if isinstance(content, str):
            return self._piece(content, ("content",))
        return [
            self._piece(block, ("content",))
            if isinstance(block, str)
            else self._fields(block, ("block", block.get("index"), block.get("type")))
            for block in content
        ]

    def _fields(self, fields: Any, place: tuple[Any, ...]) -> dict[str, Any]:
        return {
            self._redactor.tree(name): self._piece(value, (*place, name))
            if name in _WRITTEN and isinstance(value, str)
            else self._redactor.tree(value)
            for name, value in fields.items()
        }

    def _piece(self, text: str, place: tuple[Any, ...]) -> str:
        return self._streams.setdefault(place, StreamRedactor()).feed(text) if text else text


def _redact_error(error: BaseException) -> None:
    """Take our keys out of an error and of those that led to it."""
    redactor = Redactor(shapes=False)
    for one in _chain(error):
        one.args = tuple(redactor.tree(part) for part in one.args)
        for name in ("message", "body", "code", "param", "type", "reason", "error"):
            if isinstance(value := getattr(one, name, None), str | dict | list):
                try:
                    setattr(one, name, redactor.tree(value))
                except AttributeError:
                    continue  # worked out from what was redacted
        if hasattr(response := getattr(one, "response", None), "headers"):
            one.response = _redacted_response(response, redactor)  # type: ignore[attr-defined]


def _redacted_response(response: Any, redactor: Redactor) -> Any:
    """The same response of httpx's without keys: a tracer writes down its text and its headers."""
    try:
        text = redactor.text(response.text)
    except Exception:  # a body that nobody has read
        text = ""
    headers = {
        name: redactor.text(value)
        for name, value in response.headers.items()
        if name.lower() not in ("content-encoding", "content-length", "transfer-encoding")
    }
    try:
        return type(response)(response.status_code, headers=headers, text=text)
    except TypeError:  # another library's
        return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(20):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
