"""What proposals have in common, where they clash, and what one alone says."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.evals.fact_retention import MEMBERS, planted_questions
from mom_council.voting.dissent import Comparison, compare, in_words

NUMBERS = {name: at for at, name in enumerate(("Ada", "Boris", "Clara"), 1)}


def told(*texts: str) -> list[str]:
    return in_words(compare(dict(zip(NUMBERS, texts, strict=False))), NUMBERS).splitlines()


def test_what_all_say_is_one_point_whatever_its_small_words():
    assert told("The bridge opened in 1932.", "That bridge was opened in 1932.") == [
        "- All say: The bridge opened in 1932."
    ]


def test_another_number_and_a_not_are_contradictions():
    lines = told("The old bridge opened in 1932.", "The old bridge opened in 1934.")
    (line,) = lines
    first, _, second = line.partition(" | ")
    assert first == "- Contradiction: proposal 1: The old bridge opened in 1932."
    assert second == "proposal 2: The old bridge opened in 1934."
    lines = told("The harbour freezes in winter.", "The harbour does not freeze; it freezes never "
                 "in winter.", "The harbour freezes in winter.")  # fmt: skip
    assert lines[0].startswith("- Contradiction: proposals 1, 3: The harbour freezes")


def test_a_reason_after_it_does_not_hide_a_contradiction():
    lines = told(
        "A visit costs 20 crowns.",
        "A visit costs 29 crowns: the fee was changed on Friday and the old notice is void.",
    )
    assert lines[0].startswith("- Contradiction: proposal 1: A visit costs 20 crowns. | proposal 2")


def test_final_answers_that_differ_contradict_each_other():
    lines = told("I add them.\n\nAnswer: 42", "They sum up.\n\nAnswer: 7", "Answer: 42")
    assert (
        "- Contradiction: proposals 1, 3: the answer is 42 | proposal 2: the answer is 7" in lines
    )


def test_what_some_say_and_what_one_alone_says_are_told_apart():
    lines = told(
        "Cats sleep all day. They need little room.",
        "Cats sleep all day. Vets are dear here.",
        "Dogs guard the house.",
    )
    assert "- Some say (proposals 1, 2): Cats sleep all day." in lines
    assert "- Only one says (proposal 2): Vets are dear here." in lines
    assert "- Only one says (proposal 3): Dogs guard the house." in lines


def test_every_planted_fact_of_one_member_is_listed():
    number = {name: at for at, name in enumerate(MEMBERS, 1)}
    for one in planted_questions(20):
        listed = in_words(compare(one.answers), number)
        for fact in one.facts:
            line = next(line for line in listed.splitlines() if fact.sign in line)
            if fact.unique:
                assert line.startswith(f"- Only one says (proposal {number[fact.members[0]]})")
            else:
                assert line.startswith("- All say")
        if one.poison:
            assert any(one.truth in x and one.poison in x for x in listed.splitlines())


def test_refusals_thoughts_and_a_single_voice_compare_to_nothing():
    assert (
        compare({"Ada": "Cats sleep all day.", "Boris": "I cannot help with that."}) == Comparison()
    )
    assert compare({}) == Comparison()
    assert in_words(Comparison(), {}) == ""
    found = compare({"Ada": "<think>Dogs bite people often.</think>Cats sleep.", "Boris": "Yes."})
    assert "Dogs" not in in_words(found, NUMBERS)


def test_long_proposals_are_compared_in_bounded_time_and_words():
    texts = {
        f"c{at}": " ".join(f"Thing {n} of speaker {at} matters much here." for n in range(2000))
        for at in range(8)
    }
    began = time.process_time()
    listed = in_words(compare(texts), {name: at for at, name in enumerate(texts, 1)})
    assert time.process_time() - began < 5
    assert len(listed) < 9000


def test_a_point_that_is_a_whole_proposal_is_not_written_out_again():
    texts = ("Cats sleep all day.", "Cats sleep all day.", "Dogs guard 2 houses. They bark.")
    compared = compare(dict(zip(NUMBERS, texts, strict=True)))
    assert in_words(compared, NUMBERS, beside=texts).splitlines() == [
        "- Some say the same (proposals 1, 2)",
        "- Only one says (proposal 3): Dogs guard 2 houses.",
    ]
    texts = ("The bridge opened in 1932.", "The bridge opened in 1934.", "Nobody knows that.")
    compared = compare(dict(zip(NUMBERS, texts, strict=True)))
    line, *_ = in_words(compared, NUMBERS, beside=texts).splitlines()
    assert line == "- Contradiction: proposal 1 | proposal 2"


@pytest.mark.parametrize(
    "lone", ["n't", "N'T", "don n't ' t", "'", "'t", "n't n't n't", "1n't 2n't", "\u2019t", "\x00"]
)
def test_odd_pieces_of_words_are_compared_like_any_others(lone: str):
    told = compare({"Ada": f"It is {lone} so here.", "Boris": f"The sky {lone} blue at {lone}."})
    assert {name for one in told.unique for name in one.members} <= {"Ada", "Boris"}


@given(st.lists(st.text("nt'\u2019 .1,0aNT\n-*%", max_size=40), min_size=2, max_size=4))
def test_no_text_stops_the_comparison(texts: list[str]):
    named = dict(zip("ABCD", texts, strict=False))
    in_words(compare(named), {name: at for at, name in enumerate(named, 1)})


def test_answers_are_compared_by_the_questions_options() -> None:
    options = {"A": "620", "B": "62"}
    texts = {"Ann": "Answer: B", "Bob": "Answer: 62", "Cem": "So there are 60"}
    assert compare(texts, options).contradictions == ()
    assert compare(texts).contradictions != ()
