"""Run LangGraph's conformance suite on the checkpointer at an address, and print its report.

Run by `make test-foreign` with the suite's own Python: `python checkpointers.py ADDRESS`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from langgraph.checkpoint.conformance import checkpointer_test, validate  # type: ignore

from mom_council.runs.checkpoints import open_checkpointer


async def main(address: str) -> None:
    """Print the report as JSON."""

    @checkpointer_test(name=address)
    async def opened() -> AsyncIterator[Any]:
        async with open_checkpointer(address) as saver:
            yield saver

    print(json.dumps((await validate(opened)).to_dict()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
