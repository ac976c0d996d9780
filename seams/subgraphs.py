"""How our graph behaves as a node of a parent graph.

A subgraph streams the keys of its output alone, so that its nodes seem to write nothing. Ours
stream all that their nodes write, where the parent streams its subgraphs, and return the same. And
what they return leaves alone what the parent keeps under the same key for itself.

`tests/seams/test_subgraphs.py` compares this with LangGraph's own behaviour.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, closing
from types import UnionType
from typing import Any, Union, get_args, get_origin

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config
from langgraph._internal._constants import CONFIG_KEY_READ, CONFIG_KEY_STREAM
from langgraph.channels.last_value import LastValue
from langgraph.graph.state import CompiledStateGraph

Compiled = CompiledStateGraph[Any, Any, Any, Any]


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


def all_keys(graph: Compiled) -> list[str]:
    """Every key that a graph can stream."""
    keys = graph.stream_channels_asis
    return [keys] if isinstance(keys, str) else list(keys)


def widen(graph: Compiled, place: Mapping[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options of a run, with all keys streamed where a parent streams its subgraphs."""
    if CONFIG_KEY_STREAM in place:
        return {**options, "output_keys": all_keys(graph)}
    return options


def as_node_results(
    graph: Compiled, graph_input: Any, parts: Any, config: RunnableConfig
) -> Iterator[Any]:
    """The parts of a stream, as a parent's node takes them."""
    place = place_in_parent(config)
    with closing(parts):
        for part in parts:
            yield as_node_result(graph, graph_input, part, place, partly=True)


async def as_node_results_async(
    graph: Compiled, graph_input: Any, parts: Any, config: RunnableConfig
) -> AsyncIterator[Any]:
    """The parts of a stream, as a parent's node takes them."""
    place = place_in_parent(config)
    async with aclosing(parts):
        async for part in parts:
            yield as_node_result(graph, graph_input, part, place, partly=True)


def as_node_result(
    graph: Compiled,
    graph_input: Any,
    result: Any,
    place: Mapping[str, Any],
    *,
    partly: bool = False,
) -> Any:
    """What a parent is given: the keys of the output, without those that it uses otherwise.

    Args:
        graph: the subgraph.
        graph_input: what the parent gave it.
        result: of the run; with `partly`, one part of its stream, whose other keys are kept for a
            function that reads them, and not listed.
        place: in the parent.
        partly: see above.
    """
    if not isinstance(result, dict):
        return result
    outputs = graph.output_channels
    names = [outputs] if isinstance(outputs, str) else outputs
    inner = {key for key in result if key not in names and not key.startswith("__")}
    if not partly:
        result = {key: value for key, value in result.items() if key not in inner}
    channels = _channels_of_parent(place)
    inputs = graph_input if isinstance(graph_input, Mapping) else {}
    foreign = {
        key
        for key in result
        if key in channels
        and not _is_shared(graph.channels.get(key), channels[key], inputs.get(key))
    }
    hidden = frozenset(foreign | (inner if partly else set()))
    return NodeResult(result, hidden) if hidden else result


def _is_shared(own: Any, channel: Any, value: Any) -> bool:
    """Whether a parent's key holds what the graph's key of the same name holds."""
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


def place_in_parent(config: RunnableConfig | None) -> dict[str, Any]:
    """The configuration by which a parent graph's task runs this graph."""
    return dict(ensure_config(config).get("configurable") or {})


def _channels_of_parent(place: Mapping[str, Any]) -> Mapping[str, Any]:
    """The channels of the parent graph, as its own reader of state holds them."""
    arguments: Any = getattr(place.get(CONFIG_KEY_READ), "args", ())
    return next((one for one in arguments[1:2] if isinstance(one, Mapping)), {})
