"""The ways to hold one conversation of 13 calls: by hand, and through the council's graph.

Each way is an async context manager that gives a function: hold one conversation.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from operator import add
from pathlib import Path
from typing import Annotated, Any, TypedDict

import aiohttp
import httpx

from mom_council.benchmarks.councils import NAMES, QUESTION, sitting, two_layers
from mom_council.runs.follow import follow

Conversation = Callable[[], Awaitable[Any]]
Way = Callable[[str], AbstractAsyncContextManager[Conversation]]
Ask = Callable[[bytes], Awaitable[str]]


@asynccontextmanager
async def _by_aiohttp(base_url: str) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body: bytes) -> str:
            async with session.post(f"{base_url}/chat/completions", data=body) as reply:
                return "".join([_text(line) async for line in reply.content])

        yield ask


@asynccontextmanager
async def with_aiohttp(base_url: str) -> AsyncIterator[Conversation]:
    """By hand, over aiohttp: the least that is possible."""
    async with _by_aiohttp(base_url) as ask:
        yield lambda: _by_hand(ask)


@asynccontextmanager
async def with_httpx(base_url: str) -> AsyncIterator[Conversation]:
    """By hand, over httpx with one client: what one would write first."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=None, trust_env=False) as client:

        async def ask(body: bytes) -> str:
            url = f"{base_url}/chat/completions"
            async with client.stream("POST", url, content=body) as reply:
                return "".join([_text(line.encode()) async for line in reply.aiter_lines()])

        yield lambda: _by_hand(ask)


@asynccontextmanager
async def plain_langgraph(base_url: str) -> AsyncIterator[Conversation]:
    """LangGraph, ChatOpenAI and SQLite as most people would write it; nothing is streamed."""
    from langchain_openai import ChatOpenAI
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Send

    chat = ChatOpenAI(model="voice", base_url=base_url, api_key="none")

    async def ask(name: str, *texts: str) -> str:
        reply = await chat.ainvoke(
            [("system", f"You are {name}, and you are brief."), ("user", "\n\n".join(texts))]
        )
        return reply.text

    async def propose(order: dict[str, Any]) -> dict[str, Any]:
        return {"first": [await ask(order["name"], QUESTION)]}

    async def improve(order: dict[str, Any]) -> dict[str, Any]:
        return {"second": [await ask(order["name"], QUESTION, *order["first"])]}

    async def answer(state: dict[str, Any]) -> dict[str, Any]:
        return {"answer": await ask("synthesizer", QUESTION, *state["second"])}

    graph: Any = StateGraph(PlainState)
    graph.add_node("propose", propose)
    graph.add_node("wait", lambda _: {})
    graph.add_node("improve", improve)
    graph.add_node("answer", answer)
    graph.add_conditional_edges(
        START, lambda _: [Send("propose", {"name": name}) for name in NAMES], ["propose"]
    )
    graph.add_edge("propose", "wait")
    graph.add_conditional_edges(
        "wait",
        lambda state: [Send("improve", {"name": name, "first": state["first"]}) for name in NAMES],
        ["improve"],
    )
    graph.add_edge("improve", "answer")
    graph.add_edge("answer", END)
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncSqliteSaver.from_conn_string(str(Path(folder) / "threads.db")) as saver:
            compiled = graph.compile(saver)
            yield lambda: compiled.ainvoke({"first": []}, _thread())


class PlainState(TypedDict, total=False):
    """What that graph keeps."""

    first: Annotated[list[str], add]
    second: Annotated[list[str], add]
    answer: str
    step: int


@asynccontextmanager
async def same_steps(base_url: str) -> AsyncIterator[Conversation]:
    """LangGraph alone, in as many steps and nodes as the council takes; the calls are by hand.

    So it is what no program on LangGraph that is drawn and resumed like the council can go below.
    """
    async with _by_aiohttp(base_url) as ask:
        graph = _same_steps(ask).compile()
        yield lambda: graph.ainvoke({"first": []})


@asynccontextmanager
async def same_steps_sqlite(base_url: str) -> AsyncIterator[Conversation]:
    """The same with LangGraph's own store in SQLite."""
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "threads.db")
        async with _by_aiohttp(base_url) as ask, AsyncSqliteSaver.from_conn_string(file) as saver:
            graph = _same_steps(ask).compile(saver)
            yield lambda: graph.ainvoke({"first": []}, _thread())


_EMPTY = ("classifier", "seating", "quorum", "second seating", "second quorum", "consensus")
"""The council's nodes that ask nobody; each is a step."""


def _same_steps(ask: Ask) -> Any:
    from langgraph.graph import END, START, StateGraph

    async def nothing(_: dict[str, Any]) -> dict[str, Any]:
        return {"step": 1}

    def speaker(name: str, layer: str, *read: str) -> Callable[..., Awaitable[dict[str, Any]]]:
        async def node(state: dict[str, Any]) -> dict[str, Any]:
            texts = [text for key in read for text in state[key]]
            return {layer: [await ask(_body(name, QUESTION, *texts))]}

        return node

    async def answer(state: dict[str, Any]) -> dict[str, Any]:
        return {"answer": await ask(_body("synthesizer", QUESTION, *state["second"]))}

    graph: Any = StateGraph(PlainState)
    for empty in _EMPTY:
        graph.add_node(empty, nothing)
    graph.add_node("synthesizer", answer)
    for name in NAMES:
        graph.add_node(name, speaker(name, "first"))
        graph.add_node(f"{name} again", speaker(name, "second", "first"))
        graph.add_edge("seating", name)
        graph.add_edge(name, "quorum")
        graph.add_edge("second seating", f"{name} again")
        graph.add_edge(f"{name} again", "second quorum")
    for one, other in (
        *((START, "classifier"), ("classifier", "seating"), ("quorum", "second seating")),
        *(("second quorum", "consensus"), ("consensus", "synthesizer"), ("synthesizer", END)),
    ):
        graph.add_edge(one, other)
    return graph


@asynccontextmanager
async def the_graph(base_url: str) -> AsyncIterator[Conversation]:
    """The council, its threads kept nowhere."""
    async with sitting(two_layers(base_url), None) as graph:
        yield lambda: graph.ainvoke(_question())


@asynccontextmanager
async def with_sqlite(base_url: str) -> AsyncIterator[Conversation]:
    """The council, its threads in SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        async with sitting(two_layers(base_url), str(Path(folder) / "threads.db")) as graph:
            yield lambda: graph.ainvoke(_question(), _thread())


@asynccontextmanager
async def followed(base_url: str) -> AsyncIterator[Conversation]:
    """The council as `mom ask` runs it: threads in SQLite, every event read."""
    with tempfile.TemporaryDirectory() as folder:
        async with sitting(two_layers(base_url), str(Path(folder) / "threads.db")) as graph:

            async def converse() -> None:
                async for _ in follow(graph, _question(), _thread()):
                    pass

            yield converse


FLOOR = "asyncio + aiohttp"
"""The way that the others are compared with."""
STEPS = "LangGraph, the same steps"
STEPS_SQLITE = "LangGraph, the same steps, SQLite"

WAYS: dict[str, Way] = {
    FLOOR: with_aiohttp,
    "asyncio + httpx": with_httpx,
    "LangGraph + ChatOpenAI, SQLite": plain_langgraph,
    STEPS: same_steps,
    STEPS_SQLITE: same_steps_sqlite,
    "council": the_graph,
    "council, SQLite": with_sqlite,
    "council, SQLite, followed": followed,
}


async def _by_hand(ask: Ask) -> str:
    first = await asyncio.gather(*(ask(_body(name, QUESTION)) for name in NAMES))
    second = await asyncio.gather(*(ask(_body(name, QUESTION, *first)) for name in NAMES))
    return await ask(_body("synthesizer", QUESTION, *second))


def _body(name: str, *texts: str) -> bytes:
    messages = [
        {"role": "system", "content": f"You are {name}, and you are brief."},
        {"role": "user", "content": "\n\n".join(texts)},
    ]
    return json.dumps({"model": "voice", "messages": messages, "stream": True}).encode()


def _text(line: bytes) -> str:
    if not line.startswith(b"data: {"):
        return ""
    choices = json.loads(line[6:])["choices"]
    return (choices[0]["delta"].get("content") or "") if choices else ""


def _question() -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": QUESTION}]}


def _thread() -> Any:
    return {"configurable": {"thread_id": uuid.uuid4().hex}}
