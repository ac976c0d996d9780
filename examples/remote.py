"""A council on a server, as a node of a graph here: `langgraph dev` serves it, RemoteGraph asks it.

COUNCIL_URL says where the server is; left out: where `langgraph dev` listens.
"""

import asyncio
import os

import httpx
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph

from mom_council import read_event

URL = os.environ.get("COUNCIL_URL", "http://127.0.0.1:2024")


async def main() -> None:
    """Ask the server's council through a graph of our own, and then read along."""
    remote = RemoteGraph("council", url=URL)
    parent = StateGraph(MessagesState)
    parent.add_node("council", remote)
    parent.add_edge(START, "council")
    question = {"messages": [{"role": "user", "content": "What is 17 + 25?"}]}
    result = await parent.compile().ainvoke(question)
    print("Answer:", result["messages"][-1].text)

    async for part in remote.astream(question, stream_mode="custom"):
        event = read_event(part)
        if event and event.kind == "voted":
            print(event.ballot.voter, "votes for", event.ballot.choice)
        elif event and event.kind == "answered":
            print("Again:", event.text)


if __name__ == "__main__":
    try:
        httpx.get(f"{URL}/ok", trust_env=False)
    except httpx.TransportError:
        print(f"There is no server at {URL}: start one with `langgraph dev`.")
    else:
        asyncio.run(main())
