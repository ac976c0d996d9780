"""A council in a process of its own: for tests that kill it.

python -m mom_council.tests.graph.sitting COUNCIL.json THREADS.db ask|resume
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from mom_council.councils.loader import load_council
from mom_council.graph.council import compile_council
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.follow import resume
from mom_council.tests.graph.desk import question

CONFIG: Any = {"configurable": {"thread_id": "t"}}


async def main(council: str, threads: str, what: str) -> None:
    """Ask, or go on with what was asked; print the answer."""
    async with open_checkpointer(threads) as saver:
        graph = compile_council(load_council(json.loads(Path(council).read_text())), saver)
        if what == "ask":
            result = await graph.ainvoke(question(), CONFIG, durability="sync")
        else:
            result = await resume(graph, CONFIG)
        print(result["messages"][-1].text)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
