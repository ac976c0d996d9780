"""Threads of your own: a checkpointer, a second question, and an interrupted one finished."""

import asyncio
import tempfile
from pathlib import Path

from mom_council import build_graph, load_council, open_checkpointer


async def main(place: Path) -> None:
    """Ask twice in one thread."""
    desk = load_council("demo")
    config = {"configurable": {"thread_id": "sums"}}
    async with open_checkpointer(f"sqlite:///{place / 'threads.db'}") as saver:
        graph = build_graph(desk).compile(checkpointer=saver)
        for question in ("What is 17 + 25?", "Is 42 greater than 25?"):
            result = await graph.ainvoke({"messages": [("user", question)]}, config)
        print(len(result["messages"]), "messages are kept")
        # Had the process been killed in between: await resume(graph, config)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))
