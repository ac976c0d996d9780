"""Councils as models of the program `llm`: `llm -m council/home "Is 91 prime?"`.

`llm install mom-council` finds this module by its entry point. Each preset and each council that
the chat page keeps is a model; `-m council -o file desk.yaml` asks any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import llm  # type: ignore[import-not-found,unused-ignore]
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from mom_council.councils.loader import preset_names


class _Council:
    """What both kinds of models share."""

    can_stream = True
    model_id: str

    class Options(llm.Options):  # type: ignore[misc,unused-ignore]
        """What `-o` takes."""

        file: str | None = None
        """A council's file or name, in place of the model's own."""
        temperature: float | None = None
        max_tokens: int | None = None

    def __init__(self, name: str) -> None:
        self._name = name
        self.model_id = f"council/{name}" if name else "council"

    def chat_model(self, options: Any) -> Any:
        """The council as a chat model.

        Raises:
            CouncilError: there is no such council.
        """
        from mom_council.runs.chat_model import ChatCouncil

        params = {"temperature": options.temperature, "max_tokens": options.max_tokens}
        return ChatCouncil(council=options.file or self._name or "demo", **params)


class CouncilModel(_Council, llm.Model):  # type: ignore[misc,unused-ignore]
    """A council that answers in `llm`."""

    def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[str]:
        """Ask the council; its answer as it comes."""
        before = conversation.responses if conversation else ()
        earlier = [(one.prompt.prompt, one.text()) for one in before]
        model = self.chat_model(prompt.options)
        for part in model.stream(_messages(prompt, earlier)):
            yield part.text


class AsyncCouncilModel(_Council, llm.AsyncModel):  # type: ignore[misc,unused-ignore]
    """The same for `async` callers."""

    async def execute(
        self, prompt: Any, stream: bool, response: Any, conversation: Any
    ) -> AsyncIterator[str]:
        """Ask the council; its answer as it comes."""
        before = conversation.responses if conversation else ()
        earlier = [(one.prompt.prompt, await one.text()) for one in before]
        model = self.chat_model(prompt.options)
        async for part in model.astream(_messages(prompt, earlier)):
            yield part.text


def _messages(prompt: Any, earlier: list[tuple[str, str]]) -> list[BaseMessage]:
    messages: list[BaseMessage] = [SystemMessage(prompt.system)] if prompt.system else []
    for question, answer in earlier:
        messages += [HumanMessage(question or ""), AIMessage(answer)]
    return [*messages, HumanMessage(prompt.prompt or "")]


@llm.hookimpl  # type: ignore[untyped-decorator,unused-ignore]
def register_models(register: Any) -> None:
    """Offer the councils."""
    for name in ("", *preset_names()):
        register(CouncilModel(name), AsyncCouncilModel(name))
