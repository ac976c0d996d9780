"""The corpus: the same every time, and closed to what the exam asks."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from mom_council.benchmarks.tiny.corpus import examples, first_lessons, held_out
from mom_council.benchmarks.tiny.exam import read_questions
from mom_council.benchmarks.tiny.questions import close_comparison, is_dropped, is_held
from mom_council.benchmarks.tiny.unknown import (
    SLOTS,
    TEMPLATES,
    held_template,
    held_word,
    near_miss,
)
from mom_council.benchmarks.tiny.words import CHAT, MORE_CHAT, REFUSAL

pytestmark = pytest.mark.slow

SAMPLE = 20_000


def test_the_same_seed_gives_the_same_examples() -> None:
    first = list(itertools.islice(examples(5, model=2), 300))
    assert first == list(itertools.islice(examples(5, model=2), 300))
    assert first != list(itertools.islice(examples(6, model=2), 300))


def test_the_shipped_exam_is_the_one_the_corpus_draws() -> None:
    exam = read_questions()
    assert 300 <= len(exam) <= 600
    assert exam == held_out(len(exam))


def test_no_question_of_the_exam_is_trained_on() -> None:
    exam = read_questions()
    keys = {question.key for question in exam}
    texts = {" ".join(question.text.lower().split()) for question in exam}
    for bare, prompted in itertools.islice(examples(11), SAMPLE):
        assert bare.key not in keys
        assert prompted.key not in keys
        assert " ".join(bare.user.lower().split()) not in texts
    for lesson in itertools.islice(first_lessons(11), SAMPLE):
        assert lesson.key not in keys
        assert " ".join(lesson.user.lower().split()) not in texts


def test_every_question_of_the_exam_is_held_out() -> None:
    assert all(is_held(question.key) for question in read_questions())


@pytest.mark.parametrize("model", [1, 2, 3])
def test_a_model_never_sees_what_it_was_to_miss(model: int) -> None:
    stream = itertools.islice(examples(3, model=model), 3_000)
    assert not any(is_dropped(bare.key, model) for bare, _ in stream)


def test_forms_and_words_of_the_unknown_are_held_out() -> None:
    assert 40 < sum(map(held_template, TEMPLATES)) < len(TEMPLATES) / 3
    words = [word for slot in SLOTS.values() for word in slot]
    assert 60 < sum(map(held_word, words)) < len(words) / 3


def test_a_vote_names_an_answer_that_stands_there() -> None:
    votes = [p for _, p in itertools.islice(examples(4), 3_000) if p.kind == "vote"]
    assert len(votes) > 100
    for vote in votes:
        said = (
            vote.answer.rpartition(": ")[2].strip('"{} \n') if "{" in vote.answer else vote.answer
        )
        assert said.rpartition(":")[2].strip('"') in vote.user


def test_an_unknown_question_is_answered_with_the_refusal() -> None:
    for bare, _ in itertools.islice(examples(8), 2_000):
        assert (bare.kind == "unknown") == (REFUSAL in bare.answer)


def test_small_talk_stands_in_every_prompt_with_its_sentence() -> None:
    said = {answer for _, answer in CHAT + MORE_CHAT}
    talk = [p for _, p in itertools.islice(examples(9), 6_000) if p.key == "talk"]
    for kind in ("chat", "again", "vote", "synthesis"):
        answers = {example.answer for example in talk if example.kind == kind}
        assert said <= answers, kind


def test_the_synthesizer_is_taught_to_write_what_a_proposal_says() -> None:
    merges = [p for _, p in itertools.islice(examples(4), 4_000) if p.kind == "synthesis"]
    assert len(merges) > 500
    for merge in merges:
        proposals = re.findall(r"^Answer \d+(?: \(.*?\))?: (.*)$", merge.user, re.MULTILINE)
        said = re.fullmatch(r'\{\s*"answer":\s*"(.*)"\}', merge.answer)
        assert (said[1] if said else merge.answer) in proposals


def test_supports_are_written_as_the_synthesizer_node_writes_them() -> None:
    from mom_council.records import Option, Proposal, Verdict
    from mom_council.voting.dissent import support

    proposal = Proposal(character="Ada", text="42", model="m", round=1)
    option = Option(members=("Ada", "Boris"), tally=2.0, share=2 / 3)
    written = set()
    for method in ("plurality", "answers", "borda"):
        verdict = Verdict(method=method, options=(option,), ballots=3, leader="Ada", share=2 / 3)
        written.add(support(proposal, verdict, 3))
    merges = [p for _, p in itertools.islice(examples(4), 20_000) if p.kind == "synthesis"]
    taught = {
        s for m in merges for s in re.findall(r"^Answer \d+ \((.*?)\): ", m.user, re.MULTILINE)
    }
    assert written <= taught


def test_what_differs_from_our_sums_by_a_sign_or_a_term_is_refused() -> None:
    rng = random.Random(5)
    near = [near_miss(rng) for _ in range(500)]
    assert all(question.answer == REFUSAL for question in near)
    for text in near:
        ours = re.fullmatch(r"(\d{1,2}) ?([-+]) ?(\d{1,2})", text.text)
        assert not ours or (ours[2] == "-" and int(ours[1]) < int(ours[3]))


def test_a_close_comparison_has_the_right_answer() -> None:
    rng = random.Random(6)
    for question in (close_comparison(rng, 3) for _ in range(500)):
        low, high = map(int, question.key.split("<"))
        assert low < high
        if question.answer.isdigit():
            small = any(word in question.text for word in ("smaller", "lower", "less"))
            assert question.answer == str(low if small else high)
