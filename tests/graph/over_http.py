"""A council on `langgraph dev`, asked as a graph is: by RemoteGraph, or by the SDK alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from langchain_core.messages import convert_to_messages
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command

from mom_council.councils.schema import Council
from mom_council.councils.yaml import written
from mom_council.tests.dev_server import Studio


class Served:
    """What both have in common: an assistant with the council, and a thread for each name."""

    def __init__(self, studio: Studio, council: Council, folder: Path) -> None:
        file = folder / f"{len(list(folder.iterdir()))}.yaml"
        file.write_text(written(council), "utf-8")
        self.client = studio.client
        self.assistant = studio.assistant(council=str(file))
        self._threads: dict[str, str] = {}

    def place(self, config: Any) -> dict[str, Any]:
        """The thread and the checkpoint of a configuration."""
        name = config["configurable"]["thread_id"]
        if name not in self._threads.values():
            if name not in self._threads:
                self._threads[name] = self.client.threads.create()["thread_id"]
            name = self._threads[name]
        checkpoint = config["configurable"].get("checkpoint_id")
        return {"thread_id": name, **({"checkpoint_id": checkpoint} if checkpoint else {})}

    def cancel(self, config: Any) -> None:
        """Stop what runs in a thread, as a click on Stop does."""
        thread = self.place(config)["thread_id"]
        for run in self.client.runs.list(thread):
            if run["status"] in ("running", "pending"):
                self.client.runs.cancel(thread, run["run_id"], wait=True)


def as_graph_result(result: Any) -> Any:
    """A result over HTTP with messages as in Python."""
    if isinstance(result, dict) and "messages" in result:
        return {**result, "messages": convert_to_messages(result["messages"])}
    return result


class Remote(Served):
    """By RemoteGraph."""

    def __init__(self, studio: Studio, council: Council, folder: Path) -> None:
        super().__init__(studio, council, folder)
        self._graph = RemoteGraph(self.assistant, sync_client=studio.client)

    async def ainvoke(self, graph_input: Any, config: Any, **options: Any) -> Any:
        config = {"configurable": self.place(config)}
        if "checkpoint_id" in config["configurable"]:
            # RemoteGraph runs from a thread's end alone: the checkpoint is copied there.
            await asyncio.to_thread(self._graph.update_state, config, None, "__copy__")
            config["configurable"].pop("checkpoint_id")
        run = asyncio.to_thread(self._graph.invoke, graph_input, config, **options)
        return as_graph_result(await run)

    async def aget_state(self, config: Any) -> Any:
        return await asyncio.to_thread(self._graph.get_state, {"configurable": self.place(config)})

    async def aget_state_history(self, config: Any) -> Any:
        place = {"configurable": self.place(config)}
        for snapshot in await asyncio.to_thread(
            lambda: list(self._graph.get_state_history(place, limit=100))
        ):
            yield snapshot

    async def aupdate_state(self, config: Any, values: Any) -> Any:
        place = {"configurable": self.place(config)}
        return await asyncio.to_thread(self._graph.update_state, place, values)

    async def astream(self, graph_input: Any, config: Any, *, stream_mode: str) -> Any:
        place = {"configurable": self.place(config)}
        for part in await asyncio.to_thread(
            lambda: list(self._graph.stream(graph_input, place, stream_mode=stream_mode))  # type: ignore[arg-type]
        ):
            yield part


class Sdk(Served):
    """By the SDK alone."""

    async def ainvoke(self, graph_input: Any, config: Any, **options: Any) -> Any:
        return as_graph_result(
            await asyncio.to_thread(
                self.client.runs.wait, **self._run(graph_input, config), **options
            )
        )

    def _run(self, graph_input: Any, config: Any) -> dict[str, Any]:
        command = graph_input if isinstance(graph_input, Command) else None
        return {
            **self.place(config),
            "assistant_id": self.assistant,
            "input": None if command else graph_input,
            "command": {"resume": command.resume} if command else None,
        }

    async def aget_state(self, config: Any) -> Any:
        state = await asyncio.to_thread(self.client.threads.get_state, **self.place(config))
        return self._snapshot(state)

    def _snapshot(self, state: Any) -> Any:
        found = [one for task in state["tasks"] for one in task["interrupts"]]
        return SimpleNamespace(
            values=state["values"],
            next=tuple(state["next"]),
            interrupts=tuple(SimpleNamespace(id=one["id"], value=one["value"]) for one in found),
            config={"configurable": dict(state["checkpoint"])},
        )

    async def aget_state_history(self, config: Any) -> Any:
        thread = self.place(config)["thread_id"]
        for state in await asyncio.to_thread(self.client.threads.get_history, thread, limit=100):
            yield self._snapshot(state)

    async def aupdate_state(self, config: Any, values: Any) -> Any:
        place = self.place(config)
        forked = await asyncio.to_thread(
            lambda: self.client.threads.update_state(
                place["thread_id"], values, checkpoint_id=place.get("checkpoint_id")
            )
        )
        return {"configurable": dict(forked["checkpoint"])}

    async def astream(self, graph_input: Any, config: Any, *, stream_mode: str) -> Any:
        modes: Any = ["messages-tuple" if stream_mode == "messages" else stream_mode]
        run = self._run(graph_input, config)
        for part in await asyncio.to_thread(
            lambda: list(self.client.runs.stream(**run, stream_mode=modes))
        ):
            if part.event == "error":
                raise RuntimeError(part.data)
            if part.event == stream_mode:
                yield part.data
