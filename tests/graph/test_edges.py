"""Every decision of the graph, as a pure function of the state."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.deliberation.schedule import needs_ballots
from mom_council.deliberation.state import Seating
from mom_council.errors import DeliberationError
from mom_council.graph.edges import (
    after_classifier,
    after_consensus,
    after_quorum,
    to_speakers,
)
from mom_council.records import Absence, Annotation, Ballot, Proposal, Segment, Usage, Verdict
from mom_council.voting.methods import METHODS

NAMES = ("Ada", "Boris", "Clara")


def council(**changes: Any) -> Council:
    written: dict[str, Any] = {
        "name": "desk",
        "models": {"m": {"provider": "openai", "model": "m"}},
        "characters": [{"name": name, "model": "m"} for name in NAMES],
        "synthesizer": {"model": "m"},
    }
    return load_council({**written, **changes})


def state(**keys: Any) -> Any:
    """A table on which the three have been seated."""
    return {
        "messages": [HumanMessage("Why?")],
        "annotation": Annotation(),
        "seating": Seating(seated=NAMES),
        **{key: [] for key in ("proposals", "ballots", "absences", "segments", "verdicts")},
        **keys,
    }


def proposals(*names: str, **keys: Any) -> list[Proposal]:
    return [Proposal(character=name, text=f"As {name} sees it.", **keys) for name in names]


@pytest.mark.parametrize(("route", "node"), [("image", "painter"), ("text", "annotator")])
def test_a_picture_goes_to_the_painter(route: str, node: str) -> None:
    assert after_classifier(state(route=route), council()) == node


def test_pictures_that_come_with_a_question_are_looked_at_first() -> None:
    shown = HumanMessage([{"type": "text", "text": "Why?"}, {"type": "image", "base64": "AAAA"}])
    assert after_classifier(state(route="text", messages=[shown]), council()) == "image_reader"
    assert after_classifier(state(route="image", messages=[shown]), council()) == "painter"


def test_the_seated_speak_and_then_the_voters() -> None:
    assert to_speakers(state(), council()) == [*NAMES]
    spoken = state(proposals=proposals(*NAMES))
    assert to_speakers(spoken, council()) == ["Ada votes", "Boris votes", "Clara votes"]


def test_who_has_spoken_or_is_absent_is_not_asked_again() -> None:
    table = state(
        proposals=proposals("Ada"), absences=[Absence(character="Boris", reason="failed")]
    )
    assert to_speakers(table, council()) == ["Clara"]


def test_only_voters_without_a_ballot_are_asked() -> None:
    table = state(
        proposals=proposals(*NAMES),
        ballots=[Ballot(voter="Ada")],
        absences=[Absence(character="Boris", reason="late", stage="vote")],
    )
    assert to_speakers(table, council()) == ["Clara votes"]


def test_it_never_leads_nowhere() -> None:
    nobody = state(absences=[Absence(character=name, reason="failed") for name in NAMES])
    with pytest.raises(DeliberationError, match="nobody is left to ask"):
        to_speakers(nobody, council())
    with pytest.raises(DeliberationError, match="nobody is left to ask"):
        to_speakers(state(seating=None), council())


def test_after_a_layer_comes_the_next_one() -> None:
    layered = council(layers=[["Ada"], ["Boris", "Clara"]])
    table = state(seating=Seating(seated=("Ada",)), proposals=proposals("Ada"))
    assert after_quorum(table, layered) == "seating"
    table["proposals"] += proposals("Boris", "Clara", layer=2)
    table["seating"] = Seating(layer=2, seated=("Boris", "Clara"))
    assert after_quorum(table, layered) == "thermal_wait"
    # Boris and Clara would each have only the other to vote for.
    assert to_speakers(table, layered) == ["Ada votes"]


def test_a_choice_is_voted_on() -> None:
    assert after_quorum(state(proposals=proposals(*NAMES)), council()) == "thermal_wait"


@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if not one.asks_voters])
def test_a_method_without_ballots_goes_straight_to_the_count(method: str) -> None:
    rules = council(deliberation={"method": method})
    assert after_quorum(state(proposals=proposals(*NAMES)), rules) == "consensus"


def test_equal_answers_go_straight_to_the_count_unless_the_question_is_open() -> None:
    same = [Proposal(character=name, text="It is 42.") for name in NAMES]
    assert after_quorum(state(proposals=same), council()) == "consensus"
    always = council(deliberation={"ballots": "always"})
    assert after_quorum(state(proposals=same), always) == "thermal_wait"
    in_other_words = ["It is 42.", "The answer is 42.", "42"]
    alike = [
        Proposal(character=name, text=text)
        for name, text in zip(NAMES, in_other_words, strict=True)
    ]
    assert after_quorum(state(proposals=alike), council()) == "consensus"
    open_question = state(proposals=alike, annotation=Annotation(kind="open"))
    assert after_quorum(open_question, council()) == "thermal_wait"


def test_the_same_words_leave_nothing_to_vote_on_whatever_is_asked() -> None:
    same = [
        Proposal(character=name, text=f"Plant a tree.{' ' * i}") for i, name in enumerate(NAMES)
    ]
    open_question = state(proposals=same, annotation=Annotation(kind="open"))
    assert after_quorum(open_question, council()) == "consensus"


def test_ballots_that_cannot_be_paid_for_are_not_asked() -> None:
    spent = Segment(node="character", name="Ada", usage=Usage(calls=3))
    table = state(proposals=proposals(*NAMES), segments=[spent])
    assert needs_ballots(table, council(budget={"calls": 7}))
    assert needs_ballots(table, council(budget={"calls": 6})), "two of three can decide"
    assert not needs_ballots(table, council(budget={"calls": 5}))


@pytest.mark.parametrize(("reason", "node"), [(None, "seating"), ("agreed", "synthesizer")])
def test_a_reason_to_stop_ends_the_rounds(reason: Any, node: str) -> None:
    verdict = Verdict(method="plurality", stop_reason=reason)
    assert after_consensus(state(verdicts=[verdict]), council()) == node
