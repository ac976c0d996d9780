"""What others wrote is packed into the window of who reads it."""

from __future__ import annotations

import pytest
from langchain_core.messages import AnyMessage, HumanMessage

from mom_council.councils.loader import load_model
from mom_council.models.context_window import count_prompt_tokens, pack_prompt
from mom_council.models.resolved import resolve_alone
from mom_council.tests.graph.desk import ask, candidates, desk, proposals, said, seat, voice
from mom_council.tests.stage import Call, Stage

SENTENCE = "Ducks, grebes and loons dive for their food in every lake of the north. "
END = "So the answer is 42."


def _tokens(call: Call) -> float:
    return sum(len(message["content"]) for message in call.body["messages"]) / 3.2


def composed(texts: list[str]) -> list[AnyMessage]:
    return [HumanMessage("\n".join(texts))]


@pytest.mark.parametrize("lengths", [(9_000, 300, 300), (9_000, 9_000, 300), (5_000, 5_000, 5_000)])
async def test_the_longest_are_shortened_and_the_short_ones_stay(
    stage: Stage, lengths: tuple[int, ...]
) -> None:
    model = resolve_alone(load_model(voice(stage, "m", context=3_000)))
    texts = ["x" * length for length in lengths]
    packed = await pack_prompt(model, texts, composed, {"max_tokens": 500})
    assert count_prompt_tokens(packed.messages) <= 2_500
    assert count_prompt_tokens(packed.messages) > 2_300
    assert "x" * 300 + "\n" in packed.messages[0].text + "\n" or min(lengths) > 300
    [note] = packed.notes
    assert note.kind == "prompt_cut"
    assert "'model' reads 3,000 tokens" in note.text


async def test_what_fits_or_is_not_known_is_left_as_it_is(stage: Stage) -> None:
    for context in (20_000, None):
        more = {"context": context} if context else {}
        model = resolve_alone(load_model(voice(stage, "m", **more)))
        packed = await pack_prompt(model, ["x" * 30_000], composed)
        assert (packed.messages, packed.notes) == (composed(["x" * 30_000]), ())


async def test_proposals_are_packed_into_the_synthesizers_window(stage: Stage) -> None:
    long = SENTENCE * 200 + END
    seat(stage, {"Ada": long, "Boris": "Only loons: 42.", "Clara": "Grebes: 42."})
    stage.model("pen", reply="The council says 42.", window=4_096)
    status = (await ask(desk(stage, models={"pen": voice(stage, "pen")})))["status"]
    [call] = stage.calls_to("pen")
    assert _tokens(call) <= 4_096 - 2_048
    shown = proposals(call.body)
    assert {"Only loons: 42.", "Grebes: 42."} < {*shown}
    [shortened] = [text for text in shown if "characters left out" in text]
    assert shortened.startswith(SENTENCE)
    assert shortened.endswith(END)
    [note] = [note for note in status.notes if "window" in note or "reads 4,096" in note]
    assert note.startswith("'pen' reads 4,096 tokens")
    assert "the middle of the longest text was left out" in note
    assert status.degraded


async def test_candidates_are_packed_into_a_voters_window(stage: Stage) -> None:
    ends = (END, "So it is 41.")
    long = {"Boris": SENTENCE * 200 + ends[0], "Clara": SENTENCE * 150 + ends[1]}
    seat(stage, {"Ada": "Loons.", **long})
    council = desk(stage, models={"ada": voice(stage, "ada", context=4_096)})
    status = (await ask(council))["status"]
    [ballot] = [call for call in stage.calls_to("ada") if candidates(call.body)]
    assert _tokens(ballot) <= 4_096 - 2_048
    assert all(text.endswith(ends) for text in candidates(ballot.body).values())
    assert any(note.startswith("'ada' reads 4,096 tokens") for note in status.notes)
    for name in ("boris", "clara"):
        assert all("left out" not in said(call.body) for call in stage.calls_to(name))


async def test_no_proposal_stands_twice_in_the_synthesizers_prompt(stage: Stage) -> None:
    answers = {"Ada": "Loons dive deepest of all.", "Boris": "Grebes dance.", "Clara": "Ducks 12."}
    seat(stage, answers)
    await ask(desk(stage))
    [call] = stage.calls_to("pen")
    for answer in answers.values():
        assert said(call.body).count(answer) == 1


async def test_the_comparison_is_packed_into_its_models_window(stage: Stage) -> None:
    long = {"Boris": SENTENCE * 200 + END, "Clara": SENTENCE * 150 + "So it is 41."}
    seat(stage, {"Ada": "Loons.", **long})
    council = desk(
        stage,
        models={"pen": voice(stage, "pen", context=4_096)},
        synthesizer={"model": "pen", "compare": "model"},
        deliberation={"method": "none"},
    )
    await ask(council)
    comparison, _ = stage.calls_to("pen")
    assert _tokens(comparison) <= 4_096 - 2_048
    assert "characters left out" in said(comparison.body)
