"""What we take from LangGraph's inside: all of it, and nothing of it anywhere else.

Private names, the layout of its savers' tables, the bytes of its serializer. Each may change with
any release of LangGraph; `tests/seams/test_langgraph.py` compares each with LangGraph's own
behaviour, and says which one broke.

    has_checkpointer        whether the run in which a node runs keeps its state
    as_node, as_edge        nodes and edges that serve synchronous and asynchronous callers
    ForkableGraph           a compiled graph whose every checkpoint can be forked
    register_records        the types of ours that every saver may read
    read_overwrite          what an `Overwrite` holds, in each of its forms
    place_of                the checkpoint at which a node runs, and what is written beside it
    messages_delta_reducer  the reducer that gives delta messages stable ids
    PackedSerializer        a thread's values as compressed msgpack
    PrunedMemorySaver       memory, what was written of calls dropped
    GroupedSqliteSaver      SQLite rows committed together, dead rows dropped
    POSTGRES_...            the same list of threads, in PostgreSQL
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import aiosqlite
import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph._internal._config import DEFAULT_RECURSION_LIMIT
from langgraph._internal._constants import (
    CONFIG_KEY_CHECKPOINTER,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_SCRATCHPAD,
    NS_SEP,
)
from langgraph._internal._runnable import RunnableCallable
from langgraph.channels.binop import _get_overwrite as read_overwrite
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde import _msgpack, jsonplus
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_config
from langgraph.graph.message import _messages_delta_reducer as messages_delta_reducer
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from pydantic import BaseModel

__all__ = [
    "CALL_CHANNEL",
    "POSTGRES_PRUNE",
    "POSTGRES_THREADS",
    "POSTGRES_TURNS_INDEX",
    "CheckpointPlace",
    "ForkableGraph",
    "GroupedSqliteSaver",
    "PackedSerializer",
    "PrunedMemorySaver",
    "as_edge",
    "as_node",
    "has_checkpointer",
    "messages_delta_reducer",
    "place_of",
    "read_overwrite",
    "register_records",
]

CALL_CHANNEL = "mom:call"
"""Under which what a node writes down of its calls stands among a checkpoint's pending writes."""


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

    async def pending_writes(self) -> Sequence[tuple[str, str, Any]]:
        """All of the checkpoint: task, channel, value. None where a newer checkpoint is there."""
        found = await self._on_its_loop(
            self.saver.aget_tuple, self.saver.get_tuple, self._config(None)
        )
        if found is None or found.checkpoint["id"] != self.checkpoint:
            return ()
        return found.pending_writes or ()

    def _config(self, checkpoint: str | None) -> RunnableConfig:
        asked = {"thread_id": self.thread, "checkpoint_ns": self.space}
        return {"configurable": asked | ({"checkpoint_id": checkpoint} if checkpoint else {})}

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


def as_node(
    run_sync: Callable[..., Any], run: Callable[..., Any], *, name: str
) -> RunnableCallable:
    """A node that serves synchronous and asynchronous callers, without a span of its own.

    LangChain's public RunnableLambda would do it too, at the price of one more trace entry and
    callback round for each node.
    """
    return RunnableCallable(run_sync, run, name=name, trace=False)


def as_edge(decide: Callable[[Any, Any], Any], *, name: str) -> RunnableCallable:
    """An edge that is asked with the state and the runtime, which is None outside a run.

    `update_state` asks the edges of the node in whose name it writes, and has no runtime to give;
    a parameter called `runtime` would make LangGraph refuse that.
    """

    def run_sync(state: Any, config: RunnableConfig) -> Any:
        return decide(state, config.get("configurable", {}).get(CONFIG_KEY_RUNTIME))

    async def run(state: Any, config: RunnableConfig) -> Any:
        return run_sync(state, config)

    return RunnableCallable(run_sync, run, name=name, trace=False)


class ForkableGraph(CompiledStateGraph[Any, Any, Any, Any]):
    """A compiled graph that can be updated after a fan-out without naming a node.

    LangGraph calls that ambiguous. Here the nodes of a fan-out all lead to the same place, so any
    of them will do.
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

_PACKED = "+z1"
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
_KNOWN = ormsgpack.packb(_WORDS.split())


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
        """Read one of our records by its name, wherever it stood; LangGraph reads the rest."""
        if code == jsonplus.EXT_PYDANTIC_V2:
            module, name, fields, *_ = ormsgpack.unpackb(
                data, ext_hook=self._read_extension, option=ormsgpack.OPT_NON_STR_KEYS
            )
            if module.startswith(_PACKAGES) and name in self._by_name:
                return self._by_name[name](**fields)
        return self._read_other(code, data)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Serialize, and compress where that makes it smaller."""
        kind, plain = super().dumps_typed(obj)
        if len(plain) < _SMALLEST:
            return kind, plain
        squeeze = zlib.compressobj(6, zdict=_KNOWN)
        packed = squeeze.compress(plain) + squeeze.flush()
        return (kind + _PACKED, packed) if len(packed) < len(plain) else (kind, plain)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Read what `dumps_typed` wrote, and what other savers of LangGraph wrote before."""
        kind, stored = data
        if kind.endswith(_PACKED):
            kind = kind.removesuffix(_PACKED)
            stored = zlib.decompressobj(zdict=_KNOWN).decompress(stored)
        return super().loads_typed((kind, stored))


class PrunedMemorySaver(InMemorySaver):
    """InMemorySaver that keeps nothing of calls when the next checkpoint is there."""

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint."""
        asked = config["configurable"]
        place = (asked["thread_id"], asked.get("checkpoint_ns", ""), asked.get("checkpoint_id", ""))
        saved = await super().aput(config, checkpoint, metadata, new_versions)
        writes = self.writes.get(place, {})
        for key in [key for key, write in writes.items() if write[1] == CALL_CHANNEL]:
            del writes[key]
        return saved


_COLUMNS = "thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value"
# Routing rows count only while their superstep is the thread's newest: a replay of an older one
# runs its nodes again. They are half of all rows, so they go when the next checkpoint comes, and
# with them what was written of calls; rows of state channels stay, because delta channels are
# rebuilt from them. Below zero, row ids keep the short-lived rows on pages of their own, which are
# used again; among the others they leave holes.
_ROUTING = "branch:to:"
_SHORT_LIVED = (_ROUTING, CALL_CHANNEL)
_STATEMENTS = {  # in the order of a transaction; REPLACE beats IGNORE whichever comes first
    "write": f"INSERT OR IGNORE INTO writes ({_COLUMNS}) "  # noqa: S608
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "route": f"INSERT OR IGNORE INTO writes (rowid, {_COLUMNS}) "  # noqa: S608
    "VALUES (-abs(random() / 2), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "rewrite": f"INSERT OR REPLACE INTO writes ({_COLUMNS}) "  # noqa: S608
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    "put": "INSERT OR REPLACE INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, "
    "parent_checkpoint_id, type, checkpoint, metadata) VALUES (?, ?, ?, ?, ?, ?, ?)",
    "prune": "DELETE FROM writes WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ? "  # noqa: S608
    f"AND (substr(channel, 1, {len(_ROUTING)}) = '{_ROUTING}' OR channel = '{CALL_CHANNEL}')",
    "drop writes": "DELETE FROM writes WHERE thread_id = ?",
    "drop": "DELETE FROM checkpoints WHERE thread_id = ?",
}
_ORDER = {name: at for at, name in enumerate(_STATEMENTS)}

# Told by an index of their own (`turns`), so that listing reads no checkpoint.
_TURNS_INDEX = (
    "CREATE INDEX IF NOT EXISTS turns ON checkpoints (thread_id, checkpoint_id) "
    "WHERE checkpoint_ns = '' AND instr(metadata, CAST('\"source\": \"input\"' AS BLOB)) > 0"
)
_THREADS = (
    "SELECT t.thread_id, t.turns, t.first, (SELECT max(c.checkpoint_id) FROM checkpoints c "
    "WHERE c.thread_id = t.thread_id AND c.checkpoint_ns = '') AS latest FROM ("
    "SELECT thread_id, count(*) AS turns, min(checkpoint_id) AS first FROM checkpoints "
    "WHERE checkpoint_ns = '' AND instr(metadata, CAST('\"source\": \"input\"' AS BLOB)) > 0 "
    "GROUP BY thread_id) t ORDER BY latest DESC LIMIT ?"
)

Row = tuple[Any, ...]


class _Commits:
    """Rows that wait for the next transaction; all that come during one share the one after."""

    def __init__(self, conn: aiosqlite.Connection, lock: asyncio.Lock) -> None:
        self._conn = conn
        self._lock = lock
        self._waiting: list[tuple[str, Row]] = []
        self._next: asyncio.Task[None] | None = None

    async def put(self, *rows: tuple[str, Row]) -> None:
        """Write rows and return when they are committed, also when the caller is cancelled."""
        self._waiting.extend(rows)
        if self._next is None:
            self._next = asyncio.create_task(self._commit())
        await asyncio.shield(self._next)

    async def _commit(self) -> None:
        async with self._lock:
            rows, self._waiting, self._next = self._waiting, [], None
            try:
                rows.sort(key=lambda row: _ORDER[row[0]])
                for name, same in groupby(rows, key=itemgetter(0)):
                    async with self._conn.executemany(_STATEMENTS[name], [row for _, row in same]):
                        pass
                await self._conn.commit()
            except BaseException:
                await self._conn.rollback()
                raise

    async def drain(self) -> None:
        """Wait until nothing is left to write."""
        while self._next is not None:
            await asyncio.wait([self._next])
        async with self._lock:  # the one under way is next no more
            pass


class GroupedSqliteSaver(AsyncSqliteSaver):
    """AsyncSqliteSaver whose rows share transactions, and that keeps no dead routing rows."""

    def __init__(self, conn: aiosqlite.Connection, *, serde: SerializerProtocol) -> None:
        super().__init__(conn, serde=serde)
        self.commits = _Commits(conn, self.lock)

    async def setup(self) -> None:
        """Make the tables and the index of turns, where they are missing."""
        if self.is_setup:
            return
        await super().setup()
        await self.conn.execute(_TURNS_INDEX)
        await self.conn.commit()

    async def thread_rows(self, limit: int) -> list[Row]:
        """Threads, newest first: name, turns, first and latest checkpoint."""
        await self.setup()
        async with self.lock:
            return [tuple(row) for row in await self.conn.execute_fetchall(_THREADS, (limit,))]

    def get_next_version(self, current: Any, channel: None) -> Any:
        """Count in whole numbers: LangGraph's 50-character versions would fill half the file.

        So LangGraph's own saver reads such a thread, but cannot go on with it.
        """
        if isinstance(current, str):  # a thread that another saver began
            return super().get_next_version(current, channel)
        return (current or 0) + 1

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint; returns once it is committed."""
        await self.setup()
        asked = config["configurable"]
        thread, space = str(asked["thread_id"]), asked.get("checkpoint_ns", "")
        parent = asked.get("checkpoint_id")
        kind, blob = self.serde.dumps_typed(checkpoint)
        about = json.dumps(get_checkpoint_metadata(config, metadata), ensure_ascii=False)
        rows: list[tuple[str, Row]] = [
            (
                "put",
                (
                    *(thread, space, checkpoint["id"], parent),
                    *(kind, blob, about.encode("utf-8", "ignore")),
                ),
            )
        ]
        if parent is not None:
            rows.append(("prune", (thread, space, parent)))
        await self.commits.put(*rows)
        return {
            "configurable": {
                "thread_id": asked["thread_id"],
                "checkpoint_ns": space,
                "checkpoint_id": checkpoint["id"],
            }
        }

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Keep what one node wrote; returns once it is committed."""
        await self.setup()
        asked = config["configurable"]
        place = (str(asked["thread_id"]), str(asked.get("checkpoint_ns", "")))
        special = all(name in WRITES_IDX_MAP for name, _ in writes)
        await self.commits.put(
            *(
                (
                    "rewrite" if special else "route" if name.startswith(_SHORT_LIVED) else "write",
                    (
                        *(*place, str(asked["checkpoint_id"]), task_id, task_path),
                        *(WRITES_IDX_MAP.get(name, at), name, *self.serde.dumps_typed(value)),
                    ),
                )
                for at, (name, value) in enumerate(writes)
            )
        )

    async def drop_thread(self, thread_id: str) -> None:
        """Forget a thread without overwriting its text: for files that are deleted as a whole."""
        await self.setup()
        await self.commits.put(("drop writes", (thread_id,)), ("drop", (thread_id,)))

    async def adelete_thread(self, thread_id: str) -> None:
        """Forget a thread, overwriting its text in the file."""
        await self.setup()
        await self.commits.drain()
        await self.conn.execute("PRAGMA secure_delete = ON")
        try:
            await super().adelete_thread(thread_id)
        finally:
            await self.conn.execute("PRAGMA secure_delete = OFF")
        # The write-ahead log still holds the pages as they were.
        await self.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


POSTGRES_PRUNE = (
    "DELETE FROM checkpoint_writes WHERE thread_id = %s AND checkpoint_ns = %s "  # noqa: S608
    f"AND checkpoint_id = %s AND channel = '{CALL_CHANNEL}'"
)
# Lists threads without reading their checkpoints.
POSTGRES_TURNS_INDEX = (
    "CREATE INDEX IF NOT EXISTS checkpoints_turns ON checkpoints (thread_id, checkpoint_id) "
    "WHERE checkpoint_ns = '' AND metadata ->> 'source' = 'input'"
)
POSTGRES_THREADS = (
    "SELECT t.thread_id, t.turns, t.first, (SELECT max(c.checkpoint_id) FROM checkpoints c "
    "WHERE c.thread_id = t.thread_id AND c.checkpoint_ns = '') AS latest FROM ("
    "SELECT thread_id, count(*) AS turns, min(checkpoint_id) AS first FROM checkpoints "
    "WHERE checkpoint_ns = '' AND metadata ->> 'source' = 'input' GROUP BY thread_id) t "
    "ORDER BY latest DESC LIMIT %s"
)
