"""A key that comes as an argument: kept in this process's environment, and nowhere else.

A council names the variable that holds a key, never the key. So an argument gets a variable of its
own, and what is stored, traced or shown is the variable's name.

`LoadModel` of memories-dev: one model, asked, streamed, or offered functions.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from mom_council.councils.importers.foreign import Report
from mom_council.councils.importers.model_config import provider_named
from mom_council.councils.loader import load_model
from mom_council.models.clients import background_loop, run_in_background_loop
from mom_council.models.resolved import resolve_alone

if TYPE_CHECKING:
    from mom_council.models.speaking import Reply


_PREFIX = "MOM_COMPAT_KEY_"
_lock = threading.Lock()
_users: dict[str, int] = {}


def lend_variable(key: str) -> str:
    """The name of a variable of this process that holds the key; give it back when done."""
    with _lock:
        held = next((name for name in _users if os.environ.get(name) == key), None)
        name = held or f"{_PREFIX}{_free()}"
        os.environ[name] = key
        _users[name] = _users.get(name, 0) + 1
        return name


def give_back(name: str) -> None:
    """The variable is gone when the last who borrowed it has given it back."""
    with _lock:
        left = _users.get(name, 0) - 1
        if left > 0:
            _users[name] = left
        elif name in _users:
            del _users[name]
            os.environ.pop(name, None)


def _free() -> int:
    number = 1
    while f"{_PREFIX}{number}" in os.environ:
        number += 1
    return number


class PrintableAnswer(dict[str, Any]):
    """A result as a mapping, which prints as its text."""

    def __str__(self) -> str:
        """The text; empty where there is none."""
        return str(self.get("text") or "")


class LoadModel:
    """One model of one provider.

    Args:
        model_provider: openai, anthropic, deepseek-ai, mistral, cohere, ollama, ...
        deployment_type: `local` is Hugging Face on this machine, `api` a vendor or a server.
        model_name: the provider's name for it.
        api_key: left out, the provider's own variable holds it (`OPENAI_API_KEY`, ...). An argument
            is kept in a variable of this process until `cleanup`, and nowhere else.
        use_gpu: taken and not used: the engine that runs a local model decides that.
        base_url: where the server is, when not the usual.
        params: temperature, max_tokens, ... of every question.
        timeout: seconds that an answer may take; left out, 60. Of one question: `timeout=5` there.

    Raises:
        CouncilError: the model cannot be asked as it is described.
    """

    def __init__(
        self,
        model_provider: str,
        deployment_type: Literal["local", "api"] = "api",
        model_name: str = "",
        api_key: str | None = None,
        *,
        use_gpu: bool | None = None,
        base_url: str | None = None,
        params: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> None:
        self._variable = lend_variable(api_key) if api_key else None
        spec: dict[str, Any] = {
            "provider": provider_named(model_provider, deployment_type, "", Report()),
            "model": model_name,
            "params": dict(params or {}),
        }
        if timeout is not None:
            spec["timeout"] = timeout
        if base_url is not None:
            spec["base_url"] = base_url
        if self._variable is not None:
            spec["api_key_env"] = self._variable
        try:
            self._model = resolve_alone(load_model(spec))
        except BaseException:
            self.cleanup()
            raise
        self.spec = spec
        """The model as a council's file would write it; it names the key's variable."""

    def __repr__(self) -> str:
        return f"LoadModel({self.spec['provider']!r}, model_name={self.spec['model']!r})"

    def get_response(self, prompt: str, **params: Any) -> dict[str, Any]:
        """Ask: `{"text", "model", "usage", "seconds"}`. `params`: temperature, max_tokens, ...

        Raises:
            ModelError: it did not answer; the message says why.
        """
        return self._shaped(run_in_background_loop(self._speak, prompt, params))

    def get_streaming_response(self, prompt: str, **params: Any) -> Iterator[str]:
        """Ask, and yield the answer as it comes; leaving early ends the model's work too.

        Raises:
            ModelError: it did not answer, or broke off.
        """
        pieces: queue.Queue[str | None] = queue.Queue()

        def hear(piece: str, is_reasoning: bool) -> None:
            if not is_reasoning:
                pieces.put(piece)

        async def ask() -> None:
            try:
                await self._speak(prompt, params, hear)
            finally:
                pieces.put(None)

        asked = asyncio.run_coroutine_threadsafe(ask(), background_loop())
        try:
            while (piece := pieces.get()) is not None:
                yield piece
            asked.result()
        finally:
            asked.cancel()

    def get_response_with_functions(
        self, prompt: str, functions: Sequence[Mapping[str, Any]], **params: Any
    ) -> dict[str, Any]:
        """Ask, and let the model call functions, which are not run.

        Args:
            prompt: the question.
            functions: each with `name`, `description` and `parameters` (a JSON schema).
            params: temperature, max_tokens, ...

        Returns:
            As `get_response`, and `function_calls`: `{"id", "name", "arguments"}` each, in order,
            with the provider's own id; `function_name` and `arguments` are the first one's, or
            None.

        Raises:
            ModelError: it did not answer.
        """
        tools = [_definition(function) for function in functions]
        reply = run_in_background_loop(self._speak, prompt, params, None, tools)
        calls = [
            {"id": call.id, "name": call.tool, "arguments": call.arguments} for call in reply.calls
        ]
        first: dict[str, Any] = calls[0] if calls else {}
        return PrintableAnswer(
            **self._shaped(reply),
            function_calls=calls,
            function_name=first.get("name"),
            arguments=first.get("arguments"),
        )

    function_call = get_response_with_functions
    """Its other name there."""

    def cleanup(self) -> None:
        """Forget the key that came as an argument."""
        if self._variable is not None:
            give_back(self._variable)
            self._variable = None

    def __enter__(self) -> Self:
        """`with LoadModel(...) as model`: cleaned up at the end."""
        return self

    def __exit__(self, *error: object) -> None:
        """Clean up."""
        self.cleanup()

    async def _speak(
        self,
        prompt: str,
        params: Mapping[str, Any],
        on_text: Callable[[str, bool], None] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> Reply:
        from langchain_core.messages import HumanMessage

        from mom_council.errors import ModelUnavailableError
        from mom_council.models.speaking import speak

        settings = dict(params)
        seconds = settings.pop("timeout", None)
        try:
            async with asyncio.timeout(seconds):
                reply = await speak(
                    self._model,
                    [HumanMessage(prompt)],
                    on_text=on_text,
                    params=settings,
                    tools=tools,
                )
        except TimeoutError:
            raise ModelUnavailableError(
                f"{self.spec['model']!r} did not answer within {seconds:g} seconds"
            ) from None
        if reply.finish == "broken":
            raise ModelUnavailableError(f"the answer broke off: {reply.detail}", reply.attempts)
        return reply

    def _shaped(self, reply: Reply) -> PrintableAnswer:
        return PrintableAnswer(
            text=reply.text,
            model=self.spec["model"],
            usage={
                "input_tokens": reply.usage.input_tokens,
                "output_tokens": reply.usage.output_tokens,
            },
            seconds=reply.usage.seconds,
        )


def _definition(function: Mapping[str, Any]) -> dict[str, Any]:
    from langchain_core.utils.function_calling import convert_to_openai_tool

    return convert_to_openai_tool(dict(function))
