"""Councils as models of Inspect: `inspect eval task.py --model council/home`.

Inspect finds this module by the entry point of the package.
"""

from __future__ import annotations

from typing import Any

from inspect_ai.model import (  # type: ignore[import-not-found,unused-ignore]
    ChatCompletionChoice,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

STOPS = {"length": "max_tokens", "content_filter": "content_filter"}


@modelapi(name="council")  # type: ignore[untyped-decorator,unused-ignore]
def council() -> type[Any]:
    """The provider `council`."""
    return CouncilAPI


class CouncilAPI(ModelAPI):  # type: ignore[misc,unused-ignore]
    """A council that Inspect asks; `model_name` is a preset's name or a file."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: Any = None,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self._model_args = model_args

    async def generate(
        self,
        input: list[Any],  # noqa: A002 - Inspect calls it by this name
        tools: list[Any],
        tool_choice: Any,
        config: Any,
    ) -> Any:
        """Ask the council."""
        from mom_council.runs.chat_model import ChatCouncil

        if tools:
            raise NotImplementedError("a council has no tools in Inspect; leave them out")
        params = {"temperature": config.temperature, "max_tokens": config.max_tokens}
        model = ChatCouncil(
            council=self.model_name, stop=config.stop_seqs, **params, **self._model_args
        )
        answer = await model.ainvoke([_message(one) for one in input])
        return _output(answer, self.model_name)


def _message(message: Any) -> BaseMessage:
    kinds: dict[str, type[BaseMessage]] = {"system": SystemMessage, "assistant": AIMessage}
    return kinds.get(message.role, HumanMessage)(message.text)


def _output(answer: Any, name: str) -> Any:
    used = answer.usage_metadata or {}
    usage = ModelUsage(
        input_tokens=used.get("input_tokens", 0),
        output_tokens=used.get("output_tokens", 0),
        total_tokens=used.get("total_tokens", 0),
    )
    finish = answer.response_metadata.get("finish_reason")
    choice = ChatCompletionChoice(
        message=ChatMessageAssistant(content=answer.text, model=name, source="generate"),
        stop_reason=STOPS.get(finish, "stop"),
    )
    report = answer.response_metadata.get("council")
    return ModelOutput(model=name, choices=[choice], usage=usage, metadata={"council": report})
