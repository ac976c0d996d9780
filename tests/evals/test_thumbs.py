"""A person's thumb teaches the ledger who was right, and can be taken back."""

from __future__ import annotations

from langgraph.checkpoint.memory import InMemorySaver

from mom_council.evals.fitting import rate
from mom_council.graph.council import compile_council
from mom_council.models.ledger import Ledger
from mom_council.tests.graph.desk import desk, question, seat
from mom_council.tests.stage import Stage
from mom_council.voting.reliability import Outcomes

CONFIG = {"configurable": {"thread_id": "t"}}


async def answered(stage: Stage, final: str, **answers: str) -> InMemorySaver:
    seat(stage, {name.title(): text for name, text in answers.items()})
    stage.model("pen", reply=final)
    saver = InMemorySaver()
    council = desk(stage, deliberation={"method": "answers"})
    await compile_council(council, saver).ainvoke(question("What is 6 * 7?"), CONFIG)  # type: ignore[arg-type]
    return saver


def learned() -> dict[str, tuple[float, float]]:
    found = Ledger().outcomes(at=0)
    return {model: (each.right, each.wrong) for (model, _), each in found.items()}


async def test_a_thumb_up_tells_who_was_right_and_who_was_not(stage: Stage):
    told = {"ada": "Answer: 42", "boris": "Answer: 7", "clara": "There are many views on it."}
    saver = await answered(stage, "It is 42.\n\nAnswer: 42", **told)
    assert await rate(saver, "t", up=True) == 2
    assert learned() == {"openai/ada": (1, 0), "openai/boris": (0, 1)}
    assert ("openai/ada", "general") in Ledger().outcomes()


async def test_a_thumb_down_blames_only_who_had_said_it_and_replaces_the_thumb_before(stage: Stage):
    saver = await answered(stage, "Answer: 42", ada="Answer: 42", boris="Answer: 7", clara="42")
    await rate(saver, "t", up=True)
    assert await rate(saver, "t", up=False) == 2
    assert learned() == {"openai/ada": (0, 1), "openai/clara": (0, 1)}
    await rate(saver, "t", up=None)
    assert learned() == {}


async def test_from_open_answers_and_from_earlier_ones_nothing_is_learned(stage: Stage):
    saver = await answered(stage, "It depends on the light and on the mood of the painter.",
                           ada="Blue, I would say, and not by habit alone.", boris="Green walls "
                           "calm people down, they say.", clara="Answer: 42")  # fmt: skip
    assert await rate(saver, "t", up=True) == 0
    assert await rate(saver, "t", up=True, answer="another") == 0
    assert await rate(saver, "nowhere", up=True) == 0
    assert Ledger().outcomes() == {} == dict[tuple[str, str], Outcomes]()
