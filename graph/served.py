"""The council on LangGraph's server: which one answers, and how a thread keeps to its own.

A run or an assistant names its council. The server tells the graph of a thread's state and of a
resume only what the assistant says, so a question is stored with the name of the council that it
was put to: its state, its next nodes, its forks and its resumes are that council's, whatever the
assistant says by then.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.graph import Graph
from langgraph.types import Command, StateUpdate

from mom_council import prompts
from mom_council.councils.loader import find_council, load_council
from mom_council.councils.refusals import nearest
from mom_council.councils.schema import Council
from mom_council.councils.trust import load_council_for_others, require_trust, review_council
from mom_council.deliberation.context import CouncilContext, council_choices
from mom_council.errors import CouncilError, InputError, MixtureError
from mom_council.graph.council import CouncilGraph, compile_council

if TYPE_CHECKING:
    from langgraph_sdk.runtime import ServerRuntime

COUNCIL_KEY = "mom_council"
"""Under which the metadata of a checkpoint name the council that it belongs to."""

Compile = Callable[[Council], CouncilGraph]

_MOST_OPEN = 32
_OF_THE_SERVER = ("__", "langgraph_", "checkpoint_", "x-")
_IDS = ("thread_id", "run_id", "graph_id", "assistant_id", "user_id", "cron_id")


class RunSettingsError(InputError, ValueError):
    """Settings of a run that do not exist. LangGraph's server shows a ValueError's text alone."""


class CouncilGoneError(CouncilError, ValueError):
    """The council that a thread's question was put to cannot be opened any more."""


class ServedGraph(CouncilGraph):
    """What the server holds of every council: it opens the right one when something is done.

    Opening a council here, and not in the factory, keeps the server's loading of graphs fast.

    Args:
        opened: the councils of this process.
        chosen: the name of the council that the run or its assistant chose.
        attributes: of a compiled graph; all councils have the same state and settings.
    """

    def __init__(self, *, opened: CouncilStore, chosen: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.opened = opened
        self.chosen = chosen

    async def astream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """As LangGraph's own; an open question goes on with the council it was put to.

        The server asks for the keys of the output alone, by which most nodes seem to write nothing.
        """
        if options.get("output_keys") == self.output_channels:
            options["output_keys"] = self.stream_channels_asis
        goes_on = input is None or isinstance(input, Command)
        graph = await (self._graph_at(config) if goes_on else self._graph_of({}))
        if isinstance(input, Command) and input.resume is not None and config is not None:
            input = await _address_answer(input, graph, config)  # noqa: A001
        async with aclosing(graph.astream(input, config, **options)) as parts:
            async for part in parts:
                yield part

    async def abulk_update_state(
        self, config: RunnableConfig, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> RunnableConfig:
        """Edit a thread, as the council that it belongs to.

        Raises:
            InputError: an unknown key or character, or a value that does not fit.
        """
        return await (await self._graph_at(config)).abulk_update_state(config, supersteps)

    async def aget_graph(self, *arguments: Any, **options: Any) -> Graph:
        """The picture of the chosen council."""
        return await (await self._graph_of({})).aget_graph(*arguments, **options)

    async def graph_for(self, metadata: Mapping[str, Any]) -> CouncilGraph:
        """The council that a checkpoint belongs to, for its state; any, where it is gone."""
        try:
            return await self._graph_of(metadata)
        except MixtureError:
            return self

    async def _graph_at(self, config: RunnableConfig | None) -> CouncilGraph:
        saver: Any = self.checkpointer
        stored = None
        if config is not None and hasattr(saver, "aget_tuple"):
            stored = await saver.aget_tuple(config)
        return await self._graph_of({} if stored is None else stored.metadata or {})

    async def _graph_of(self, metadata: Mapping[str, Any]) -> CouncilGraph:
        name = metadata.get(COUNCIL_KEY)
        try:
            graph = await self.opened.open(name if isinstance(name, str) else self.chosen)
        except MixtureError as error:
            if name is None or name == self.chosen:
                raise
            raise CouncilGoneError(
                f"the question was put to the council {name!r}, which cannot go on: {error.what}",
                cure="put that council back, or ask anew with an assistant of another one",
            ) from error
        return graph.copy({"checkpointer": self.checkpointer, "store": self.store})


async def _address_answer(command: Command[Any], graph: CouncilGraph, config: Any) -> Command[Any]:
    """An answer with the id of the one request that waits, so that nobody else reads it."""
    waiting = (await graph.aget_state(config)).interrupts
    if len(waiting) != 1 or (isinstance(command.resume, dict) and waiting[0].id in command.resume):
        return command
    return replace(command, resume={waiting[0].id: command.resume})


class CouncilStore:
    """The councils that a server has opened: each is built once, and again when its text changed.

    Args:
        compile_: makes the graph of a council.
    """

    def __init__(self, compile_: Compile) -> None:
        self._compile = compile_
        self._open: OrderedDict[tuple[str, str], tuple[Council, CouncilGraph]] = OrderedDict()
        prompts.load_secret()  # so that no question is the first to read it, on the loop
        council_choices()  # read once, before the schema is drawn on the server's loop
        self._plain = compile_(load_council("demo"))

    def graph(self, chosen: str) -> ServedGraph:
        """What the server is given for a council by its name or path."""
        attributes = {**vars(self._plain), "name": chosen}
        return ServedGraph(opened=self, chosen=chosen, **attributes)

    async def open(self, name: str) -> CouncilGraph:
        """The graph of a council by its name or path.

        Raises:
            CouncilError: there is none, it cannot sit, or it was not accepted.
        """
        return await asyncio.to_thread(self._find, name)  # off the server's loop

    def _find(self, name: str) -> CouncilGraph:
        prompts.load_secret()
        try:
            file = find_council(name)
        except CouncilError:
            load_council_for_others(name)  # refuses it in words that are meant for others
            raise
        key = (name, file.text)
        if key not in self._open:
            council = load_council_for_others(name)
            graph = self._compile(council).with_config(metadata={COUNCIL_KEY: name})
            self._open[key] = council, graph
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
        council, graph = self._open[key]
        if file.path is not None:
            require_trust(review_council(council, file.text, file.path))
        return graph


def council_of_run(config: RunnableConfig, context: Any) -> str:
    """The council that a run or its assistant names, else MOM_COUNCIL, else the offline demo.

    Args:
        config: of the run; the server lays the context into `configurable` too.
        context: the run's context over the assistant's, as the server has it.

    Raises:
        CouncilError: it is not named by a text.
        RunSettingsError: the context has a key that there is not.
    """
    configurable = config.get("configurable") or {}
    chosen = configurable.get("council") or os.environ.get("MOM_COUNCIL") or "demo"
    if not isinstance(chosen, str):
        # A council written into a request could send this machine's keys to any address.
        raise CouncilError("`council` is the name of a preset or the path of a file")
    # A node elsewhere (RemoteGraph) sends along what its own graph was configured with.
    is_node = "langgraph_node" in (config.get("metadata") or {})
    if isinstance(context, Mapping) and not is_node:
        names = [*CouncilContext.model_fields]
        for key in context:
            if key not in names and key not in _IDS and not key.startswith(_OF_THE_SERVER):
                raise RunSettingsError(f"unknown key {key!r} in context", cure=nearest(key, names))
    return chosen


async def make_graph(
    config: RunnableConfig, runtime: ServerRuntime[Any] | None = None
) -> CouncilGraph:
    """The factory that `langgraph.json` names: a run or an assistant chooses its council by name.

    It looks for `council` in the run's configuration or context (the server lays both in
    `configurable`), then in the environment (MOM_COUNCIL), and else takes the offline demo. Each
    council is built once, when it is first asked. A thread's question stays with the council that
    it was put to.

    Raises:
        CouncilError: the council is not named by a text.
        RunSettingsError: the context has a key that there is not.
    """
    return served_councils().graph(council_of_run(config, getattr(runtime, "context", None)))


@functools.cache
def served_councils() -> CouncilStore:
    """The councils that this process has opened for LangGraph's server."""
    return CouncilStore(compile_council)
