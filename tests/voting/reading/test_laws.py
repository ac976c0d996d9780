"""What holds of every answer, whatever it is."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mom_council.voting.reading import are_same, group_equal, read_answer, read_value

SIGNS = "0123456789.,:;/%$€-–+*^=<>()[]{}\\|!?'\"`~#_ \n\tabxyzABCDeiπ√±∞½²٣三万ö"
WORDS = [
    "\\frac", "\\sqrt", "\\boxed{", "####", "Answer:", "answer is", " and ", " or ", "<think>",
    "\\begin{pmatrix}", "\\end{pmatrix}", "```", '{"answer":', "million", "pm", "BC", "答案",
]  # fmt: skip
SCRAPS = st.sampled_from([*SIGNS, *WORDS])
TEXTS = st.lists(SCRAPS, max_size=40).map("".join)
NUMBERS = st.integers(3, 9999)
UNITS = [
    "m",
    "cm",
    "kg",
    "g",
    "hours",
    "minutes",
    "%",
    "dollars",
    "apples",
    "million",
    "dozen",
    "BC",
]


@settings(max_examples=400)
@given(TEXTS)
def test_any_text_is_read_without_an_error(text: str) -> None:
    for kind in ("closed", "unknown"):
        answer = read_answer(text, kind=kind)  # type: ignore[arg-type]
        assert (answer.form is None) == (answer.type in ("open", "no answer"))
        assert not answer or are_same(answer, answer)


@given(st.lists(TEXTS, max_size=6))
def test_groups_do_not_depend_on_the_order(texts: list[str]) -> None:
    answers = [read_answer(text, kind="closed") for text in texts]
    turned = answers[::-1]
    last = len(answers) - 1
    groups = {frozenset(places) for places in group_equal(answers)}
    others = {frozenset(last - at for at in places) for places in group_equal(turned)}
    assert groups == others


LONGER = [
    "{}:15", "{} BC", "{} of hearts", "{}!", "{}x", "{}/7", "{}\\sqrt{{5}}", "{}° S", "{}, 3",
    "{} and 3", "{} million", "{} lakh", "{} dozen", "{} pm", "-{}", "{} + i", "{}^2", "{}\\pi",
    "[{}]", "{{{}, 1}}", "{} - 99999", "x = {} or x = 1", "x + y = {}", "x > {}", "{} to 99999",
]  # fmt: skip


@pytest.mark.parametrize("longer", LONGER)
@given(NUMBERS)
@settings(max_examples=25)
def test_what_goes_on_after_a_number_is_never_left_out(longer: str, number: int) -> None:
    if number <= 12 or not longer.endswith(" pm"):
        for wrapper in ("Answer: {}", "The answer is {}.", "\\boxed{{{}}}", "#### {}"):
            whole = read_answer(wrapper.format(longer.format(number)), kind="closed")
            part = read_answer(wrapper.format(number), kind="closed")
            assert whole
            assert not are_same(whole, part), (wrapper, longer, number, whole)


@given(NUMBERS, st.sampled_from([*LONGER, "{} km", "{} apples", "${}", "{}%", "0.{}", "C"]))
@settings(max_examples=300)
def test_the_form_of_an_answer_reads_as_that_answer(number: int, shape: str) -> None:
    answer = read_answer("Answer: " + shape.format(number), kind="closed")
    again = read_value(str(answer.form))
    assert again is not None
    assert are_same(answer, again), (answer, again)


@given(NUMBERS, st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_two_units_are_never_one(number: int, one: str, other: str) -> None:
    first, second = (read_answer(f"Answer: {number} {unit}") for unit in (one, other))
    assert are_same(first, second) == (one == other)


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=99))
def test_a_fraction_is_its_value_however_it_is_written(value: Fraction) -> None:
    above, below = value.numerator, value.denominator
    written = [f"{above}/{below}", f"\\frac{{{above}}}{{{below}}}", f"{2 * above}/{2 * below}"]
    for one, other in itertools.combinations(written, 2):
        assert are_same(read_answer(f"Answer: {one}"), read_answer(f"\\boxed{{{other}}}"))
    assert read_answer(f"Answer: {above}/{below}").value == value


@given(NUMBERS, st.integers(0, 10**6))
def test_different_numbers_are_different(one: int, other: int) -> None:
    assert are_same(read_answer(f"#### {one:,}"), read_answer(f"Answer: {other}")) == (one == other)
