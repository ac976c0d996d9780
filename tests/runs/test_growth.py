"""What is done for a turn, or to open a thread, does not grow with what was said before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from mom_council.councils.loader import load_council
from mom_council.deliberation.conversation import earlier_messages
from mom_council.runs.checkpoints import open_checkpointer, thread_serializer
from mom_council.runs.threads import list_threads, show_thread
from mom_council.tests.graph.long_talk import long_talk


class CountingSerializer:
    """The serializer of threads; it counts the checkpoints that are built whole."""

    def __init__(self) -> None:
        self._serde = thread_serializer()
        self.checkpoints = 0

    def dumps_typed(self, value: Any) -> tuple[str, bytes]:
        return self._serde.dumps_typed(value)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        value = self._serde.loads_typed(data)
        self.checkpoints += isinstance(value, dict) and "channel_versions" in value
        return value


async def checkpoints_built(file: Path, do: str) -> int:
    """How many checkpoints are built whole to do something with a stored thread."""
    async with open_checkpointer(str(file)) as saver:
        counting = saver.serde = CountingSerializer()  # type: ignore[assignment]
        if do == "show":
            await show_thread(saver, "talk")
        elif do == "list":
            await list_threads(saver)
        else:
            await (
                long_talk()
                .compile(checkpointer=saver)
                .aget_state({"configurable": {"thread_id": "talk"}})
            )
        return int(counting.checkpoints)


@pytest.mark.slow
async def test_opening_a_thread_builds_as_few_checkpoints_after_many_turns(tmp_path: Path) -> None:
    built: dict[str, list[int]] = {}
    file = tmp_path / "threads.db"
    for turns in (2, 8, 20):
        async with open_checkpointer(str(file)) as saver:
            graph = long_talk().compile(checkpointer=saver)
            for _ in range(turns):
                question = {"messages": [HumanMessage("And then?")]}
                await graph.ainvoke(question, {"configurable": {"thread_id": "talk"}})
        for do in ("show", "list", "state"):
            built.setdefault(do, []).append(await checkpoints_built(file, do))
    assert built["list"] == [0, 0, 0], "a list builds no checkpoint of ours"
    for do in ("show", "state"):
        assert max(built[do]) <= 3, built


class Read(HumanMessage):
    """A message that counts how often its text is composed."""

    times: int = 0

    @property
    def text(self) -> Any:
        self.times += 1
        return super().text


def test_a_prompt_composes_only_the_messages_that_it_shows() -> None:
    council = load_council("demo").model_copy(update={"history": 12})
    for turns in (20, 1_000):
        asked = [Read(f"Question {number}") for number in range(turns)]
        messages: list[AnyMessage] = []
        for question in asked:
            messages += [question, AIMessage("Yes.")]
        state: Any = {"messages": [*messages, HumanMessage("And now?")]}
        shown = earlier_messages(state, council)
        assert len(shown) <= council.history
        composed = sum(question.times for question in asked)
        assert 0 < composed <= 4 * council.history
