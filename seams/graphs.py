"""What a compiled graph of ours does beside LangGraph's own: as a subgraph, and when it is forked.

    ForkableGraph    a compiled graph whose every checkpoint can be forked, and which, inside a
                     parent, shows what its nodes write and leaves the parent's own keys alone
    NodeResult       what it returns to a parent with a key of its own of the same name

`tests/seams/test_graphs.py` compares each with LangGraph's own behaviour.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, closing
from types import UnionType
from typing import Any, Union, get_args, get_origin

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph._internal._constants import CONFIG_KEY_READ, CONFIG_KEY_STREAM, CONFIG_KEY_TASK_ID
from langgraph.channels.last_value import LastValue
from langgraph.checkpoint.base import ChannelVersions, CheckpointTuple
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot


class NodeResult(dict[str, Any]):
    """A graph's result whose list of items leaves out the keys that its parent uses otherwise.

    A parent writes to its own state what the result of a node lists. A function inside a node,
    which called the graph itself, finds every key as ever.
    """

    def __init__(self, values: Mapping[str, Any], hidden: frozenset[str]) -> None:
        super().__init__(values)
        self._hidden = hidden

    def items(self) -> Any:
        """The items that a parent may take."""
        return {key: value for key, value in super().items() if key not in self._hidden}.items()


class ForkableGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph that can be forked at every checkpoint, and be a node of any parent.

    LangGraph calls an update after a fan-out ambiguous, where it names no node. Here the nodes of a
    fan-out all lead to the same place, so any of them will do.

    A subgraph streams the keys of its output alone, so its nodes seem to write nothing. This one
    streams all that its nodes write, where its parent streams its subgraphs; it returns the same.
    """

    def _infer_as_node(self, versions_seen: dict[str, ChannelVersions]) -> str | None:
        if name := super()._infer_as_node(versions_seen):
            return name
        last = {
            name: max(versions_seen[name].values())
            for name in self.nodes
            if versions_seen.get(name)
        }
        newest = max(last.values(), default=None)
        return next((name for name, seen in last.items() if seen == newest), None)

    def invoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:  # noqa: A002
        """As LangGraph's own; a parent's own keys are left alone."""
        place = _place_in_parent(config)
        result = super().invoke(input, config, **self._stream_options(place, options))
        return self._for_parent(input, result, place)

    async def ainvoke(  # noqa: D102 - as above
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **options: Any,
    ) -> Any:
        place = _place_in_parent(config)
        result = await super().ainvoke(input, config, **self._stream_options(place, options))
        return self._for_parent(input, result, place)

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:  # noqa: A002
        """As LangGraph's own; a parent whose events are listened to calls its nodes so."""
        place = _place_in_parent(config) if config else None
        if place is None or options:
            return super().stream(input, config, **options)
        return self._results(input, config, place)

    def astream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:  # noqa: A002
        """As LangGraph's own; a parent whose events are listened to calls its nodes so."""
        place = _place_in_parent(config) if config else None
        if place is None or options:
            return super().astream(input, config, **options)
        return self._aresults(input, config, place)

    def _results(
        self, graph_input: Any, config: RunnableConfig | None, place: dict[str, Any]
    ) -> Iterator[Any]:
        with closing(super().stream(graph_input, config, output_keys=self._all_keys)) as parts:  # type: ignore[type-var]
            for part in parts:
                yield self._for_parent(graph_input, part, place, partly=True)

    async def _aresults(
        self, graph_input: Any, config: RunnableConfig | None, place: dict[str, Any]
    ) -> AsyncIterator[Any]:
        stream = super().astream(graph_input, config, output_keys=self._all_keys)
        async with aclosing(stream) as parts:  # type: ignore[type-var]
            async for part in parts:
                yield self._for_parent(graph_input, part, place, partly=True)

    async def graph_for(self, metadata: Mapping[str, Any]) -> ForkableGraph:
        """The graph that a checkpoint with these metadata belongs to: this one."""
        return self

    async def _aprepare_state_snapshot(
        self, config: RunnableConfig, saved: CheckpointTuple | None, *args: Any, **options: Any
    ) -> StateSnapshot:
        """The state at a checkpoint, with the next nodes of the graph that it belongs to."""
        graph = self if saved is None else await self.graph_for(saved.metadata or {})
        prepare = CompiledStateGraph._aprepare_state_snapshot
        return await prepare(graph, config, saved, *args, **options)

    @property
    def _all_keys(self) -> list[str]:
        keys = self.stream_channels_asis
        return [keys] if isinstance(keys, str) else list(keys)

    def _stream_options(
        self, place: dict[str, Any] | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        """The options of a run, with all keys streamed where a parent streams its subgraphs."""
        plain = options.get("output_keys") is None and "stream_mode" not in options
        if place is not None and CONFIG_KEY_STREAM in place and plain:
            return {**options, "output_keys": self._all_keys}
        return options

    def _for_parent(
        self, graph_input: Any, result: Any, place: dict[str, Any] | None, *, partly: bool = False
    ) -> Any:
        """What a parent is given: the keys of the output, without those that it uses otherwise.

        Args:
            graph_input: what the parent gave.
            result: of the run; with `partly`, one part of its stream, whose other keys are kept
                for a function that reads them, and not listed.
            place: in the parent, if there is one.
            partly: see above.
        """
        if place is None or not isinstance(result, dict):
            return result
        outputs = self.output_channels
        names = [outputs] if isinstance(outputs, str) else outputs
        inner = {key for key in result if key not in names and not key.startswith("__")}
        if not partly:
            result = {key: value for key, value in result.items() if key not in inner}
        channels = _channels_of_parent(place)
        inputs = graph_input if isinstance(graph_input, Mapping) else {}
        foreign = {
            key
            for key in result
            if key in channels and not self._is_shared(key, channels[key], inputs.get(key))
        }
        hidden = frozenset(foreign | (inner if partly else set()))
        return NodeResult(result, hidden) if hidden else result

    def _is_shared(self, key: str, channel: Any, value: Any) -> bool:
        """Whether a parent's key holds what this graph's key of the same name holds."""
        own = self.channels.get(key)
        if not isinstance(own, LastValue):
            return True
        types, theirs = _classes_in(own.ValueType), _classes_in(channel.ValueType)
        if value is not None and not isinstance(value, types or object):
            return False
        return not types or not theirs or any(issubclass(one, theirs) for one in types)


def _classes_in(typ: Any) -> tuple[type, ...]:
    """The classes of an annotation, which may be a union; none where it may be anything."""
    if typ in (Any, object):
        return ()
    members: list[Any] = [*get_args(typ)] if get_origin(typ) in (Union, UnionType) else [typ]
    plain = [get_origin(one) or one for one in members]
    return tuple(one for one in plain if isinstance(one, type) and one is not type(None))


def _place_in_parent(config: RunnableConfig | None) -> dict[str, Any] | None:
    """The configuration by which a parent graph's task runs this graph; None without a parent."""
    place: dict[str, Any] = ensure_config(config).get("configurable") or {}
    return place if CONFIG_KEY_TASK_ID in place else None


def _channels_of_parent(place: Mapping[str, Any]) -> Mapping[str, Any]:
    """The channels of the parent graph, as its own reader of state holds them."""
    arguments: Any = getattr(place.get(CONFIG_KEY_READ), "args", ())
    return next((one for one in arguments[1:2] if isinstance(one, Mapping)), {})
