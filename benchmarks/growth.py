"""How a thread grows: bytes on disk after many turns of six 500-token answers and six ballots."""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mom_council.benchmarks.councils import sitting, six_that_vote
from mom_council.tests.graph.long_talk import Prose
from mom_council.tests.stage import Stage

ANSWER = 2000  # characters: the four of a token, 500 times


class Size(NamedTuple):
    """A thread after so many turns."""

    turns: int
    stored: int
    """Bytes on disk, everything included."""
    said: int
    """Bytes of what was said: questions, proposals, reasons of ballots, answers."""
    load_ms: float
    """Milliseconds to read the thread's latest state."""


def measure(turns: Sequence[int]) -> list[Size]:
    """Hold one conversation, and look at the file after each number of `turns`."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_talk(Path(folder) / "threads.db", turns))


async def _talk(file: Path, turns: Sequence[int]) -> list[Size]:
    prose, said, sizes, done = Prose(), 0, [], 0

    def reply(body: dict[str, Any]) -> str:
        nonlocal said
        asked = str(body["messages"][-1]["content"])
        label = re.search(r'<candidate label="(\w+)"', asked)
        reason = prose.say(200)
        text = json.dumps({"reason": reason, "vote": label[1]}) if label else prose.say(ANSWER)
        said += len(reason) if label else len(text)
        return text

    with Stage() as stage:
        stage.model("voice", reply=reply)
        config: Any = {"configurable": {"thread_id": "talk"}}
        for goal in turns:
            async with sitting(six_that_vote(stage.openai_url), str(file)) as graph:
                for _ in range(goal - done):
                    question = prose.say(80)
                    said += len(question)
                    given = {"messages": [{"role": "user", "content": question}]}
                    await graph.ainvoke(given, config)
                done = goal
            async with sitting(six_that_vote(stage.openai_url), str(file)) as graph:
                began = time.perf_counter()
                state = await graph.aget_state(config)
                loaded = time.perf_counter() - began
            assert len(state.values["messages"]) == 2 * goal
            assert len(state.values["ballots"]) == 6
            stored = sum(part.stat().st_size for part in file.parent.iterdir())
            sizes.append(Size(goal, stored, said, loaded * 1000))
    return sizes
