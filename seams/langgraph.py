"""The private parts that we use of LangGraph's graphs and channels.

Private names, the layout of its savers' tables, the bytes of its serializer. Each may change with
any release of LangGraph; `tests/seams/test_langgraph.py` compares each with LangGraph's own
behaviour, and says which one broke.

    resumes_another         whether a run was resumed for another node's sake
    has_checkpointer        whether the run in which a node runs keeps its state
    OpenEnds                an edge that leads to more nodes than are drawn
    as_node, as_edge        nodes and edges that serve synchronous and asynchronous callers
    quieten_nodes           nodes without callbacks where nobody listens, edges that copy little
    is_quiet                whether nobody listens to the node that is running
    ForkableGraph           a compiled graph whose every checkpoint can be forked
    RecordList, RecordValue channels of records, also where plain values come in
    register_records        the types of ours that every saver may read
    read_overwrite          what an `Overwrite` holds, in each of its forms
    has_stream_reader       whether anybody reads what a node writes into the run's stream
    place_of                the checkpoint at which a node runs, and what is written beside it
    TASK_CHANNEL            under which the result of a task of a node stands there
    messages_delta_reducer  the reducer that gives delta messages stable ids
    PackedSerializer        a thread's values as compressed msgpack
    WalkSerializer          ... of which a walk through a thread's past reads little
"""

from __future__ import annotations

import asyncio
import functools
import zlib
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import ormsgpack
from langchain_core.callbacks import BaseCallbackManager
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, var_child_runnable_config
from langgraph._internal._config import DEFAULT_RECURSION_LIMIT
from langgraph._internal._constants import (
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_CHECKPOINTER,
    CONFIG_KEY_READ,
    CONFIG_KEY_RESUME_MAP,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_SCRATCHPAD,
    CONFIG_KEY_TASK_ID,
    NS_SEP,
    PUSH,
)
from langgraph._internal._constants import RETURN as TASK_CHANNEL
from langgraph._internal._runnable import RunnableCallable, RunnableSeq, set_config_context
from langgraph.channels.binop import _get_overwrite as read_overwrite
from langgraph.channels.delta import DeltaChannel
from langgraph.channels.last_value import LastValue
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    CheckpointTuple,
)
from langgraph.checkpoint.serde import _msgpack, jsonplus
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.config import get_config
from langgraph.graph.message import _messages_delta_reducer as messages_delta_reducer
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel._algo import local_read
from langgraph.pregel._read import ChannelRead, PregelNode
from langgraph.runtime import Runtime
from langgraph.types import StateSnapshot
from pydantic import BaseModel, TypeAdapter

from mom_council.errors import UNREADABLE, DamagedValueError

__all__ = [
    "CALL_CHANNEL",
    "TASK_CHANNEL",
    "CheckpointPlace",
    "ForkableGraph",
    "OpenEnds",
    "PackedSerializer",
    "RecordList",
    "RecordValue",
    "adapter_of",
    "as_edge",
    "as_node",
    "has_checkpointer",
    "has_stream_reader",
    "is_quiet",
    "merge_records",
    "messages_delta_reducer",
    "place_of",
    "quieten_nodes",
    "read_outline",
    "read_overwrite",
    "register_records",
    "resumes_another",
]

CALL_CHANNEL = "mom:call"
"""Under which what a node writes down of its calls stands among a checkpoint's pending writes."""

_MOST_TASKS = 300
"""Of one node: above what a speaker's turns and calls of tools came to in version 0.1."""


@dataclass(frozen=True, slots=True)
class CheckpointPlace:
    """The checkpoint at which a node runs, in the store that keeps its thread."""

    saver: BaseCheckpointSaver[Any]
    thread: str
    space: str
    """The namespace of the graph whose node it is: empty, but in a subgraph."""
    checkpoint: str
    task: str
    """Of the node: the same when it runs again at this checkpoint."""
    is_resumed: bool
    """Whether this is the first superstep of a run that goes on with an open question."""

    async def write(self, task: str, line: Any) -> None:
        """Keep a pending write beside the nodes' own, under the name of a task that is none.

        LangGraph reads the writes of a checkpoint's tasks alone, and ignores this one.
        """
        config = self._config(self.checkpoint)
        await self._on_its_loop(
            self.saver.aput_writes, self.saver.put_writes, config, [(CALL_CHANNEL, line)], task
        )

    def numbers_of_tasks(self, names: Mapping[str, str]) -> dict[str, int]:
        """Which of these were tasks of this node, and each one's place in their order.

        Version 0.1 kept what a node had paid for as tasks of LangGraph's functional API.

        Args:
            names: of tasks, by their ids.
        """
        from langgraph.pregel._algo import _xxhash_str, task_path_str

        config = get_config()
        inner, about = config["configurable"], config["metadata"]
        path = task_path_str(about["langgraph_path"])
        checkpoint = bytes.fromhex(self.checkpoint.replace("-", ""))
        numbers = {}
        for name in set(names.values()):
            space = f"{inner[CONFIG_KEY_CHECKPOINT_NS]}{NS_SEP}{name}"
            for number in range(_MOST_TASKS):
                parts = (space, str(about["langgraph_step"]), name, PUSH, path, str(number))
                task = _xxhash_str(checkpoint, *parts)
                if task in names:
                    numbers[task] = number
        return numbers

    async def pending_writes(self) -> Sequence[tuple[str, str, Any]]:
        """All of the checkpoint: task, channel, value. None where a newer checkpoint is there."""
        latest = await self._on_its_loop(
            self.saver.aget_tuple, self.saver.get_tuple, self._config(None)
        )
        if latest is None or latest.checkpoint["id"] != self.checkpoint:
            return ()
        return latest.pending_writes or ()

    def _config(self, checkpoint: str | None) -> RunnableConfig:
        place = {"thread_id": self.thread, "checkpoint_ns": self.space}
        return {"configurable": place | ({"checkpoint_id": checkpoint} if checkpoint else {})}

    async def _on_its_loop(self, act: Any, act_in_thread: Any, *arguments: Any) -> Any:
        """Savers serve the loop that opened them, or none: from elsewhere a thread waits."""
        if getattr(self.saver, "loop", None) in (None, asyncio.get_running_loop()):
            try:
                return await act(*arguments)
            except NotImplementedError:  # a saver for synchronous callers alone
                pass
        return await asyncio.to_thread(act_in_thread, *arguments)


def has_checkpointer() -> bool:
    """Whether the run in which this node runs keeps its state, so that it can be interrupted."""
    return get_config().get("configurable", {}).get(CONFIG_KEY_CHECKPOINTER) is not None


def has_stream_reader(runtime: Runtime[Any]) -> bool:
    """Whether anybody reads what this run writes into its custom stream.

    Where nobody does, LangGraph hands over a function that is empty: it looks at nothing beyond its
    argument, and so can do nothing.
    """
    code = getattr(runtime.stream_writer, "__code__", None)
    return code is None or bool(code.co_names or code.co_freevars)


def place_of(runtime: Runtime[Any]) -> CheckpointPlace | None:
    """Where the node that runs now stands; None where its run keeps nothing."""
    config, info = get_config(), runtime.execution_info
    inner = config.get("configurable", {})
    saver = inner.get(CONFIG_KEY_CHECKPOINTER)
    if saver is None or info is None or info.thread_id is None:
        return None
    scratchpad = inner[CONFIG_KEY_SCRATCHPAD]
    limit = config.get("recursion_limit", DEFAULT_RECURSION_LIMIT)
    return CheckpointPlace(
        saver,
        info.thread_id,
        info.checkpoint_ns.rpartition(NS_SEP)[0],
        info.checkpoint_id,
        info.task_id,
        # A new question's input is a step of its own, so its nodes begin one step later.
        scratchpad.stop - scratchpad.step == limit + 1,
    )


def resumes_another() -> bool:
    """Whether this run was resumed with answers by their ids; for a node that got none of them."""
    return bool(get_config().get("configurable", {}).get(CONFIG_KEY_RESUME_MAP))


def as_node(
    run_sync: Callable[..., Any], run: Callable[..., Any], *, name: str
) -> RunnableCallable:
    """A node that serves synchronous and asynchronous callers, without a span of its own.

    LangChain's public RunnableLambda would do it too, at the price of one more trace entry and
    callback round for each node.
    """
    return RunnableCallable(run_sync, run, name=name, trace=False)


def as_edge(
    decide: Callable[[Any, Any], Any],
    decide_async: Callable[[Any, Any], Awaitable[Any]] | None = None,
    *,
    name: str,
) -> RunnableCallable:
    """An edge that is asked with the state and the runtime, which is None outside a run.

    `update_state` asks the edges of the node in whose name it writes, and has no runtime to give;
    a parameter called `runtime` would make LangGraph refuse that.
    """

    def run_sync(state: Any, config: RunnableConfig) -> Any:
        runtime = config.get("configurable", {}).get(CONFIG_KEY_RUNTIME)
        if decide_async is None:
            return decide(state, runtime)
        with _node_context(config):
            return decide(state, runtime)

    async def run(state: Any, config: RunnableConfig) -> Any:
        if decide_async is None:
            return run_sync(state, config)
        with _node_context(config):
            return await decide_async(state, config.get("configurable", {}).get(CONFIG_KEY_RUNTIME))

    return RunnableCallable(run_sync, run, name=name, trace=False)


@contextmanager
def _node_context(config: RunnableConfig) -> Iterator[None]:
    """What is written into the run's stream is told of this node, as LangGraph does it."""
    token = var_child_runnable_config.set(config)
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


class QuietNode(RunnableSeq):
    """A node with what writes its result, without callbacks where nobody listens to any.

    LangGraph makes a run of LangChain's of each node, with a manager for each of its steps: half of
    what a node costs that only calls a function. Where there is a trace or a stream of events, the
    manager has handlers, and the node is run as LangGraph runs it.
    """

    async def ainvoke(
        self,
        input: Any,  # noqa: A002 - LangGraph's own name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        """As LangGraph's own."""
        manager = (config or {}).get("callbacks")
        if config is None or not isinstance(manager, BaseCallbackManager) or manager.handlers:
            return await super().ainvoke(input, config, **kwargs)
        config = config.copy()
        config.pop("run_id", None)  # both are this run's alone
        config.pop("run_name", None)
        with set_config_context(config) as context:
            first = self.steps[0].ainvoke(input, config, **kwargs)
            result = await asyncio.create_task(first, context=context)
        for step in self.steps[1:]:
            result = await step.ainvoke(result, config)
        return result


def is_quiet() -> bool:
    """Whether nobody listens to the callbacks of the node that is running."""
    manager = (var_child_runnable_config.get() or {}).get("callbacks")
    return isinstance(manager, BaseCallbackManager) and not manager.handlers


def quieten_nodes(nodes: Mapping[str, PregelNode]) -> None:
    """Have the nodes of a compiled graph run as `QuietNode`, and their edges read little."""
    for node in nodes.values():
        whole = node.node  # LangGraph makes it once, and keeps it there
        if type(whole) is not RunnableSeq:
            continue
        vars(node)["node"] = QuietNode(*whole.steps, trace_policy=whole.trace_policy)
        for step in whole.steps:
            reader = getattr(step, "kwargs", {}).get("reader")
            if isinstance(reader, functools.partial) and reader.func is ChannelRead.do_read:
                step.kwargs["reader"] = functools.partial(read_fresh, **reader.keywords)  # type: ignore[attr-defined]


def read_fresh(
    config: RunnableConfig, *, select: Any, fresh: bool, mapper: Callable[[Any], Any] | None
) -> Any:
    """The state as a node leaves it, for the edge after it.

    LangGraph copies every channel of the graph for it. Here those are copied that the node wrote.
    """
    read = config["configurable"][CONFIG_KEY_READ]
    if not isinstance(read, functools.partial) or read.func is not local_read or not fresh:
        return ChannelRead.do_read(config, select=select, fresh=fresh, mapper=mapper)
    _, channels, managed, task = read.args
    if managed or isinstance(select, str):
        return ChannelRead.do_read(config, select=select, fresh=fresh, mapper=mapper)
    writes: dict[str, list[Any]] = {}
    for name, value in task.writes:
        writes.setdefault(name, []).append(value)
    values = {}
    for name in select:
        channel = channels[name]
        if name in writes:
            channel = channel.copy()
            channel.update(writes[name])
        if channel.is_available():
            values[name] = channel.get()
    return values if mapper is None else mapper(values)


class OpenEnds(dict[Hashable, str]):
    """Where a conditional edge leads: what stands in it is drawn, any other node is allowed."""

    def __init__(self, ends: Mapping[Hashable, str] | Iterable[str]) -> None:
        super().__init__(ends if isinstance(ends, Mapping) else {name: name for name in ends})

    def copy(self) -> OpenEnds:
        """LangGraph takes a copy."""
        return OpenEnds(self)

    def __missing__(self, name: Hashable) -> str:
        return str(name)


class ForkableGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph that can be forked at every checkpoint, and be a node of any parent.

    LangGraph calls an update after a fan-out ambiguous, where it names no node. Here the nodes of a
    fan-out all lead to the same place, so any of them will do. `subgraphs` says what differs where
    it is a node of a parent.
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
        if not _has_parent(config) or _OWN_CHOICE & options.keys():
            return super().invoke(input, config, **options)
        from mom_council.seams import subgraphs

        place = subgraphs.place_in_parent(config)
        result = super().invoke(input, config, **subgraphs.widen(self, place, options))
        return subgraphs.as_node_result(self, input, result, place)

    async def ainvoke(  # noqa: D102 - as above
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **options: Any,
    ) -> Any:
        if not _has_parent(config) or _OWN_CHOICE & options.keys():
            return await super().ainvoke(input, config, **options)
        from mom_council.seams import subgraphs

        place = subgraphs.place_in_parent(config)
        result = await super().ainvoke(input, config, **subgraphs.widen(self, place, options))
        return subgraphs.as_node_result(self, input, result, place)

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:  # noqa: A002
        """As LangGraph's own; a parent whose events are listened to calls its nodes so."""
        if options or config is None or not _has_parent(config):
            return super().stream(input, config, **options)
        from mom_council.seams import subgraphs

        keys = subgraphs.all_keys(self)
        parts = super().stream(input, config, output_keys=keys)
        return subgraphs.as_node_results(self, input, parts, config)

    def astream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:  # noqa: A002
        """As LangGraph's own; a parent whose events are listened to calls its nodes so."""
        if options or config is None or not _has_parent(config):
            return super().astream(input, config, **options)
        from mom_council.seams import subgraphs

        keys = subgraphs.all_keys(self)
        parts = super().astream(input, config, output_keys=keys)
        return subgraphs.as_node_results_async(self, input, parts, config)

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


_ONLY_WRITER = "__mom_only_writer"
"""A key of a configuration; with two lines before it, LangGraph keeps it out of what is stored."""


def as_only_writer(config: RunnableConfig) -> RunnableConfig:
    """A configuration for a graph whose caller holds the thread already."""
    return {**config, "configurable": {**config.get("configurable", {}), _ONLY_WRITER: True}}


def as_thread_writer(
    saver: Any, config: RunnableConfig | None, parts: AsyncIterator[Any]
) -> AsyncIterator[Any]:
    """What a graph streams, while it holds its thread; as it is where nothing is to be held."""
    configurable = (config or {}).get("configurable", {})
    thread, hold = configurable.get("thread_id"), getattr(saver, "hold_thread", None)
    if not thread or hold is None or _ONLY_WRITER in configurable or _has_parent(config):
        return parts
    return _within(hold(str(thread)), parts)


async def _within(
    lease: AbstractAsyncContextManager[Any], parts: AsyncIterator[Any]
) -> AsyncIterator[Any]:
    async with lease, aclosing(parts):  # type: ignore[type-var]
        async for part in parts:
            yield part


_OWN_CHOICE = {"output_keys", "stream_mode"}
"""Options by which a caller says itself what it wants; a parent's node gives none."""


def _has_parent(config: RunnableConfig | None) -> bool:
    """Whether a parent graph's task runs this graph."""
    return CONFIG_KEY_TASK_ID in (ensure_config(config).get("configurable") or {})


R = TypeVar("R", bound=BaseModel)


def merge_records(
    record: type[R], identity: Callable[[R], object] | None
) -> Callable[[list[R], Sequence[Any]], list[R]]:
    """The reducer of a list of records: what is new is added, what was there before is replaced.

    So a list that was read, edited and written back is the edited list, not both. `identity` tells
    which records are the same; None: those that are equal.
    """

    def merge(old: list[R], writes: Sequence[Any]) -> list[R]:
        merged: dict[object, R] = {}
        for records in (old, *writes):
            for one in read_records(record, records):
                merged[one if identity is None else identity(one)] = one
        return list(merged.values())

    return merge


def read_records(record: type[R], values: Any) -> list[R]:
    """Records, from records or plain values; version 0.1 kept notes as their texts alone."""
    return [
        value
        if isinstance(value, record)
        else record.model_validate({"text": value} if isinstance(value, str) else value)
        for value in values or ()
    ]


class RecordList(DeltaChannel[Any]):
    """A delta channel of records, also where its saver or an `Overwrite` gave plain values.

    They are read when they come in: a channel is asked for its value at every step.
    """

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """The channel as it was stored."""
        channel = super().from_checkpoint(checkpoint)
        channel._read_plain()
        return channel

    def replay_writes(self, writes: Sequence[Any]) -> None:
        """Take in what was written since it was stored."""
        super().replay_writes(writes)
        self._read_plain()

    def update(self, values: Sequence[Any]) -> bool:
        """Take in what a step wrote."""
        if not values:
            return False
        updated = super().update(values)
        self._read_plain()
        return updated

    def _read_plain(self) -> None:
        if not all(issubclass(kind, BaseModel) for kind in set(map(type, self.value))):
            self.value = self.reducer(self.value, ())


class RecordValue(LastValue[Any]):
    """A channel of one record or None, also where its saver or its writer gave plain values."""

    def from_checkpoint(self, checkpoint: Any) -> Self:
        """The channel as it was stored."""
        channel = super().from_checkpoint(checkpoint)
        channel._read_plain()
        return channel

    def update(self, values: Sequence[Any]) -> bool:
        """Take in what a step wrote."""
        if not values:
            return False
        updated = super().update(values)
        self._read_plain()
        return updated

    def _read_plain(self) -> None:
        if isinstance(self.value, Mapping):
            self.value = adapter_of(self.typ).validate_python(self.value)


@functools.cache
def adapter_of(typ: Any) -> TypeAdapter[Any]:
    """What makes a value of this type of plain values."""
    return TypeAdapter(typ)


def register_records(records: Iterable[type[BaseModel]]) -> None:
    """Let every saver of this process read these types back, in strict mode and without a warning.

    A subgraph has no public way to name its types to the saver of its parent, or of the server
    that runs it. They must be pure values: building one has no effect.
    """
    named = {(one.__module__, one.__name__) for one in records}
    _msgpack.SAFE_MSGPACK_TYPES = _msgpack.SAFE_MSGPACK_TYPES | named


# Where records stood in the versions whose threads may still lie on a disk. Each is found by the
# name of its class, so a record may move to another module and old threads are read as before.
_PACKAGES = ("mom_council.", "mixture_of_models.")

_MESSAGES: dict[str, type[BaseModel]] = {
    one.__name__: one for one in (HumanMessage, AIMessage, SystemMessage)
}
_PACKED = "+z1"
_NOTHING = ("null", b"")
_SMALLEST = 64  # bytes; below this zlib only adds to them

# Names in the order they follow each other, commonest last. Stored threads need these exact bytes
# to be read again: never edit this text, give a new one the tag "+z2" beside it.
_WORDS = (
    "additional_kwargs response_metadata usage_metadata tool_calls invalid_tool_calls "
    "input_tokens output_tokens total_tokens finish_reason model_name content_blocks "
    "langchain_core.messages.tool ToolMessage langchain_core.messages.system SystemMessage "
    "langchain_core.messages.human HumanMessage content id name type human example "
    "langchain_core.messages.ai AIMessage ai "
    "restated kind open closed unknown Annotation seated dropped Seating "
    "mixture_of_models.graph.state "
    "council spoke absent verdict stop_reason dissent minority_report rounds degraded notes "
    "written_by route usage seconds Status method borda plurality approval score options members "
    "answer tally share leader confidence decided agreed stalled single unvoted tie ballots "
    "abstained Verdict failed timeout late empty garbled refused budget reason detail stage "
    "Absence voter choice ranking approved scores unread shown Ballot "
    "attempts error status calls usd first_token cached node vote synthesizer annotator Segment "
    "character text reasoning model round layer weight truncated Proposal "
    "mixture_of_models.councils.records model_validate_json "
    "updated_channels branch:to:painter channel_versions versions_seen __input__ __start__ "
    "channel_values asked_at annotation seating proposals absences segments verdicts messages "
    "branch:to:classifier branch:to:annotator branch:to:seating branch:to:thermal_wait "
    "branch:to:quorum branch:to:consensus branch:to:synthesizer branch:to:vote_ branch:to:"
)
_DICTIONARY = ormsgpack.packb(_WORDS.split())
_LONG = zlib.compressobj(6, zdict=_DICTIONARY)
_SHORT = zlib.compressobj(6, zlib.DEFLATED, 13, 6, zdict=_DICTIONARY)
"""To be copied for each value; the short one's memory is a fifth, and fits a processor's cache."""
_SHORT_AT_MOST = 2**13 - 2_048
"""Bytes that, with the names, fit into its window: they become the same bytes in both."""


class PackedSerializer(JsonPlusSerializer):
    """LangGraph's own serializer, never pickle, with what it writes compressed."""

    def __init__(self, records: Iterable[type[BaseModel]]) -> None:
        """Read and write threads that hold these types of ours, beside what LangGraph allows."""
        self._by_name = {record.__name__: record for record in records}
        super().__init__(
            pickle_fallback=False,
            allowed_msgpack_modules=[(one.__module__, name) for name, one in self._by_name.items()],
        )
        self._read_other = self._unpack_ext_hook
        self._unpack_ext_hook = self._read_extension
        self._custom_unpack_ext_hook = True  # a strict graph's copy keeps it

    def _read_extension(self, code: int, data: bytes) -> Any:
        """Read one of our records by its name, wherever it stood; LangGraph reads the rest.

        Messages of a conversation, whose number grows, are not validated again: what is read is
        what was dumped of a valid one. That is most of what opening a long thread costs.
        """
        if code == jsonplus.EXT_DELTA_SNAPSHOT:
            return _DeltaSnapshot(self._unpack(data))
        if code == jsonplus.EXT_PYDANTIC_V2:
            module, name, fields, *_ = self._unpack(data)
            if (message := _MESSAGES.get(name)) is not None and message.__module__ == module:
                return _as_dumped(message, fields)
            if module.startswith(_PACKAGES) and name in self._by_name:
                return self._by_name[name](**fields)
        return self._read_other(code, data)

    def _unpack(self, data: bytes) -> Any:
        return ormsgpack.unpackb(
            data, ext_hook=self._read_extension, option=ormsgpack.OPT_NON_STR_KEYS
        )

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Serialize, and compress where that makes it smaller."""
        if obj is None:  # what an edge writes
            return _NOTHING
        kind, plain = self.dumps_plain(obj)
        if len(plain) < _SMALLEST:
            return kind, plain
        squeeze = (_SHORT if len(plain) <= _SHORT_AT_MOST else _LONG).copy()
        packed = squeeze.compress(plain) + squeeze.flush()
        return (kind + _PACKED, packed) if len(packed) < len(plain) else (kind, plain)

    def dumps_plain(self, obj: Any) -> tuple[str, bytes]:
        """Serialize without compression: for what is soon dropped."""
        return super().dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read what `dumps_typed` wrote, and what other savers of LangGraph wrote before.

        Raises:
            DamagedValueError: it cannot be read.
        """
        kind, stored = data
        with _damage():
            if kind.endswith(_PACKED):
                kind = kind.removesuffix(_PACKED)
                stored = _unpacked(stored)
            return super().loads_typed((kind, stored))


def _as_dumped(message: type[BaseModel], fields: dict[str, Any]) -> BaseModel:
    """A message of all its fields, as they are; pydantic would look at each of them."""
    if fields.keys() != _fields_of(message):
        return message.model_construct(**fields)
    built = message.__new__(message)
    _set(built, "__dict__", fields)
    _set(built, "__pydantic_fields_set__", set(fields))
    _set(built, "__pydantic_extra__", {})
    _set(built, "__pydantic_private__", None)
    return built


_set = object.__setattr__


@functools.cache
def _fields_of(message: type[BaseModel]) -> frozenset[str]:
    return frozenset(message.model_fields)


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (*UNREADABLE, AttributeError, NotImplementedError) as error:
        raise DamagedValueError(
            f"a stored value is damaged ({type(error).__name__})",
            cure="`mom storage check` finds what is damaged, and can repair it",
        ) from error


def _unpacked(stored: bytes) -> bytes:
    packed = zlib.decompressobj(zdict=_DICTIONARY)
    plain = packed.decompress(stored)
    if not packed.eof:
        raise EOFError("the value was cut short")
    return plain


def read_outline(kind: str, stored: bytes) -> dict[str, Any]:
    """A stored checkpoint in plain values: records are mappings, messages None; much faster.

    Raises:
        DamagedValueError: it cannot be read.
    """
    with _damage():
        plain = _unpacked(stored) if kind.endswith(_PACKED) else stored
        outline: dict[str, Any] = _outline_of(plain)
        return outline


class WalkSerializer:
    """Reads checkpoints of one walk: whole only where they hold what is still looked for.

    Args:
        serde: what reads values.
        channels: what is looked for; the walk wants the newest value of each, which comes first.
    """

    def __init__(self, serde: Any, channels: Iterable[str]) -> None:
        self._serde = serde
        self._channels = set(channels)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """A value; of a checkpoint without these channels the outline alone."""
        if data[0].startswith("msgpack"):
            outline: Any = read_outline(*data)
            if isinstance(outline, dict) and "channel_versions" in outline:
                values = outline.get("channel_values") or {}
                if self._channels.isdisjoint(values):
                    return outline
                self._channels.difference_update(values)
        return self._serde.loads_typed(data)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """As values are written."""
        written: tuple[str, bytes] = self._serde.dumps_typed(obj)
        return written


def _outline_of(plain: bytes) -> Any:
    return ormsgpack.unpackb(plain, ext_hook=_as_fields, option=ormsgpack.OPT_NON_STR_KEYS)


def _as_fields(code: int, data: bytes) -> Any:
    return _outline_of(data)[2] if code == jsonplus.EXT_PYDANTIC_V2 else None
