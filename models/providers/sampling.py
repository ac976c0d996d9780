"""The provider `mcp_host`: the model of the program that asks over MCP, without a key of ours.

    guest: {provider: mcp_host, model: claude}

The program (Claude Code, VS Code, ...) is sent the prompt as `sampling/createMessage`, shows it to
its user where it wants to, and answers with a model of its own. `model` is a hint, which it may
leave aside; with `any` it gets none. Sampling is not streamed, and says no tokens.

`mom mcp` says who asks (`host_model`); anywhere else the character is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from mom_council.errors import CouncilError
from mom_council.models.providers import Opening

LONGEST_ANSWER = 4096
"""Tokens of an answer where the council says nothing: the protocol wants a number."""
_FINISH = {"endTurn": "stop", "stopSequence": "stop", "maxTokens": "length"}


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What the host's model is asked."""

    system: str
    messages: tuple[tuple[str, tuple[Mapping[str, str], ...]], ...]
    """Each with its role (`user` or `assistant`) and its parts: a `text`, or an image as `data`
    (base64) and `mime`."""
    hint: str
    max_tokens: int
    temperature: float | None
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the host's model answered."""

    text: str
    model: str
    stop_reason: str | None


AskHost = Callable[[SampleRequest], Coroutine[Any, Any, Sample]]

_host: ContextVar[AskHost | None] = ContextVar("mcp_host", default=None)


@contextmanager
def host_model(ask: AskHost | None) -> Iterator[None]:
    """Within it, models of `mcp_host` are asked with `ask`; None: nobody offers one."""
    token = _host.set(ask)
    try:
        yield
    finally:
        _host.reset(token)


class NoHostModelError(Exception):
    """Raised where the program that asks offers no model, or there is none."""


class HostModel(BaseChatModel):
    """The host's model, as LangChain asks it."""

    hint: str = ""
    max_tokens: int = LONGEST_ANSWER
    temperature: float | None = None
    stop: tuple[str, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "mcp_host"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise NotImplementedError("the host's model is asked asynchronously")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        ask = _host.get()
        if ask is None:
            raise NoHostModelError(
                "no MCP client that offers its model (sampling) asks here: use this council "
                "through `mom mcp`, from a program that can sample"
            )
        sample = await ask(
            SampleRequest(
                system="\n\n".join(one.text for one in messages if isinstance(one, SystemMessage)),
                messages=tuple(_turns(messages)),
                hint=self.hint,
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                stop=tuple(stop or self.stop),
            )
        )
        finish = _FINISH.get(sample.stop_reason or "endTurn", "stop")
        about = {"model_name": sample.model, "finish_reason": finish}
        message = AIMessage(sample.text, response_metadata=about)
        return ChatResult(generations=[ChatGeneration(message=message, generation_info=about)])


def _turns(
    messages: Sequence[BaseMessage],
) -> Iterator[tuple[str, tuple[Mapping[str, str], ...]]]:
    for message in messages:
        if isinstance(message, SystemMessage):
            continue
        parts = [part for block in message.content_blocks if (part := _part(block))]
        if parts:
            yield ("assistant" if isinstance(message, AIMessage) else "user"), tuple(parts)


def _part(block: Mapping[str, Any]) -> Mapping[str, str] | None:
    if block["type"] == "text":
        return {"text": block["text"]}
    if block["type"] == "image" and block.get("base64"):
        return {"data": block["base64"], "mime": block.get("mime_type") or "image/png"}
    return None


def open_chat(opening: Opening) -> BaseChatModel:
    """The host's model with the council's parameters.

    Raises:
        CouncilError: it has a parameter that MCP's sampling does not know.
    """
    params = dict(opening.params)
    stop = params.pop("stop", None) or ()
    settings = {
        "max_tokens": int(params.pop("max_tokens", None) or LONGEST_ANSWER),
        "temperature": params.pop("temperature", None),
        "stop": (stop,) if isinstance(stop, str) else tuple(stop),
    }
    if params:
        raise CouncilError(
            f"models of mcp_host do not take {sorted(params)}",
            cure="they take max_tokens, temperature and stop",
        )
    hint = opening.spec.model
    return HostModel(hint="" if hint == "any" else hint, **settings)
