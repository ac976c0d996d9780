"""The interfaces of memories-dev: `LoadModel`, one model, and `MultiModelInference`, several.

A key may come as an argument. A council names the variable that holds a key, never the key: so it
gets a variable of its own in this process, and what is stored or shown is the variable's name.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from mom_council.councils.importers.foreign import ModelSection, Names, Report
from mom_council.councils.importers.model_config import provider_named
from mom_council.councils.loader import load_council, load_model
from mom_council.deliberation.interrupts import is_pause, paused_error
from mom_council.errors import CouncilError
from mom_council.models.clients import background_loop, run_in_background_loop
from mom_council.models.resolved import resolve_alone

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

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
        return self._to_printable(run_in_background_loop(self._speak, prompt, params))

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

        future = asyncio.run_coroutine_threadsafe(ask(), background_loop())
        try:
            while (piece := pieces.get()) is not None:
                yield piece
            future.result()
        finally:
            future.cancel()

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
            **self._to_printable(reply),
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

    def _to_printable(self, reply: Reply) -> PrintableAnswer:
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


Aggregation = Literal["consensus", "voting", "best_confidence"]


class MultiModelInference:
    """A council of models without personas, which answer at the same time.

    `consensus` takes the answer that is most like the rest, `voting` has the models vote on each
    other's (three are needed for a choice), `best_confidence` takes who says it is surest.

    Args:
        models: by the names that the responses get; a plain list is named by the models' own.
        aggregation_method: how one answer is chosen. No model writes it anew.

    Raises:
        CouncilError: there is no such method, or there are no models.
    """

    def __init__(
        self,
        models: Mapping[str, LoadModel] | Sequence[LoadModel],
        aggregation_method: Aggregation = "consensus",
    ) -> None:
        if aggregation_method not in get_args(Aggregation):
            methods = ", ".join(get_args(Aggregation))
            raise CouncilError(f"there is no method {aggregation_method!r}; there are: {methods}")
        named = models if isinstance(models, Mapping) else _name_models(models)
        self._models = dict(named)
        self._method = aggregation_method
        voices, names = ModelSection(), Names(Report())
        self._seats = {key: names.take(str(key)) for key in named}
        keys = {key: voices.key(**model.spec) for key, model in named.items()}
        first = next(iter(keys.values()), "")
        self._council = load_council(
            {
                "name": "compat",
                "models": voices.written,
                "characters": [{"name": self._seats[k], "model": keys[k]} for k in keys],
                "deliberation": {
                    "method": aggregation_method,
                    "rounds": {"min": 1, "max": 1},
                    "quorum": 1.0,
                },
                "synthesizer": {"model": first},
                "thermal": None,
            }
        )
        self._graph = self._compile_graph()
        self._config: RunnableConfig | None = None

    def get_responses(self, prompt: str) -> dict[str, dict[str, Any]]:
        """Ask every model: `{name: {"text", "error"}}`; one that fails holds up nobody."""
        self._config = {"configurable": {"thread_id": uuid.uuid4().hex}}
        question = {"messages": [{"role": "user", "content": prompt}]}
        return self._responses(self._run(question, "quorum"))

    def get_aggregated_response(self) -> dict[str, Any]:
        """Choose one of the responses to the last prompt.

        Returns:
            `{"text", "model", "confidence", "agreed_by", "method", "responses"}`: the answer, who
            gave it, the share that stands behind it, who else gave it.

        Raises:
            CouncilError: no prompt was given yet.
            QuorumError: no model answered.
        """
        if self._config is None:
            raise CouncilError(
                "there are no responses yet", cure="call get_responses(prompt) first"
            )
        values = self._run(None, "synthesizer")
        verdict = values["verdicts"][-1]
        texts = {one.character: one.text for one in values["proposals"]}
        leader = verdict.leader or next(iter(texts))
        option = next((o for o in verdict.options if leader in o.members), None)
        names = {seat: key for key, seat in self._seats.items()}
        return PrintableAnswer(
            text=texts[leader],
            model=names[leader],
            confidence=verdict.share,
            agreed_by=[names[one] for one in (option.members if option else (leader,))],
            method=self._method,
            responses=self._responses(values),
        )

    def cleanup(self) -> None:
        """Forget the keys that came as arguments."""
        for model in self._models.values():
            model.cleanup()

    def _compile_graph(self) -> Any:
        from langgraph.checkpoint.memory import InMemorySaver

        from mom_council.graph.council import compile_council
        from mom_council.runs.checkpoints import thread_serializer

        return compile_council(self._council, InMemorySaver(serde=thread_serializer()))

    def _run(self, update: Any, until: str) -> dict[str, Any]:
        """Let the council go on until just before a node; what lies on the table then."""

        async def go_on() -> dict[str, Any]:
            before = await self._graph.aget_state(self._config)
            if update is not None or until not in before.next:
                await self._graph.ainvoke(update, self._config, interrupt_before=[until])
            after = await self._graph.aget_state(self._config)
            for one in after.interrupts:
                if is_pause(one.value):
                    raise paused_error(one.value)
            values: dict[str, Any] = after.values
            return values

        return run_in_background_loop(go_on)

    def _responses(self, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        texts = {one.character: one.text for one in values.get("proposals", [])}
        errors = {one.character: one.detail or one.reason for one in values.get("absences", [])}
        return {
            key: {"text": texts.get(seat), "error": None if seat in texts else errors.get(seat)}
            for key, seat in self._seats.items()
        }


def _name_models(models: Sequence[LoadModel]) -> dict[str, LoadModel]:
    names = Names(Report())
    return {names.take(str(model.spec["model"])): model for model in models}
