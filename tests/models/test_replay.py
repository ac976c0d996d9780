"""The provider `replay`: recorded answers served as models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from mom_council.councils.recording import RecordedAnswer, RecordedQuestion
from mom_council.councils.schema import Model
from mom_council.errors import CouncilError, ModelUnavailableError, UnknownNameError
from mom_council.evals.scorecard import plurality_of
from mom_council.graph.council import compile_council
from mom_council.models.clients import LoopResources, loop_resources
from mom_council.models.providers import Opening, missing, open_model
from mom_council.models.providers.replay import open_chat
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import speak
from mom_council.prompts import render
from mom_council.tests.evals.recorded import kept, replayed, sums
from mom_council.voting.ballots import Candidate, prompt_values

PETS = RecordedQuestion(
    id="pets",
    question="Which pet is best?\n\nSay one word.",
    gold="cat",
    models={
        "ant": RecordedAnswer(ans="cat", text="I think so.\n\nAnswer: cat"),
        "bee": RecordedAnswer(ans="dog"),
        "mute": RecordedAnswer(ans=None),
    },
)
TWINS = [
    RecordedQuestion(
        id=f"twin-{n}",
        question="Which is it?",
        options=options,
        models={"ant": RecordedAnswer(ans=a)},
    )
    for n, (options, a) in enumerate([(("red", "blue"), "A"), (("up", "down"), "B")])
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return kept(tmp_path / "pets.jsonl.gz", [PETS, *TWINS])


def opened(name: str, **params: str) -> Any:
    spec = Model(provider="replay", model=name)
    return open_chat(Opening(spec, None, None, params, LoopResources()))


def ask(path: Path, model: str, prompt: str) -> str:
    chat = opened(model, recording=str(path))
    return chat.invoke([SystemMessage("You are one voice."), HumanMessage(prompt)]).text


def test_it_says_the_recorded_text_as_it_was(path: Path):
    assert ask(path, "ant", PETS.question) == "I think so.\n\nAnswer: cat"


def test_it_states_the_answer_where_no_text_was_recorded(path: Path):
    assert ask(path, "bee", PETS.question) == "Answer: dog"


def test_a_recorded_null_is_silence(path: Path):
    assert ask(path, "mute", PETS.question) == ""


def test_the_question_is_found_in_a_longer_prompt(path: Path):
    later = render(
        "character",
        name="Ant",
        personality="",
        speaking_style="",
        thought_process="",
        interests=(),
        question=PETS.question,
        restated="",
        earlier=["Answer: dog"],
        own="",
        method="plurality",
    )
    assert ask(path, "bee", later.user) == "Answer: dog"
    assert ask(path, "bee", f"Question: {PETS.question}\nAnswer 1: cat\n") == "Answer: dog"


@pytest.mark.parametrize(
    "prompt", ["Which pet is best?", "Which pet is best?\n\nSay one word. Or two.", "What else?"]
)
def test_a_question_that_only_resembles_a_recorded_one_is_an_error(path: Path, prompt: str):
    with pytest.raises(LookupError, match="does not hold this question"):
        ask(path, "ant", prompt)


def test_questions_of_the_same_words_are_told_apart_by_their_options(path: Path):
    assert ask(path, "ant", "Which is it?\nA. red\nB. blue") == "Answer: A"
    assert ask(path, "ant", "Which is it?\nA. up\nB. down") == "Answer: B"


@pytest.mark.parametrize("method", ["plurality", "approval", "borda", "ranked_pairs", "score"])
def test_a_voter_names_the_candidates_that_answer_as_it_did(path: Path, method: str):
    from mom_council.voting.ballots import read_ballot

    shown = [Candidate("A", "Bee", "Answer: dog"), Candidate("B", "Cat", "It is **cat**.")]
    prompt = _vote(shown, method)
    ballot = read_ballot(ask(path, "ant", prompt), shown, method).ballot("Ant")
    named = {ballot.choice, *ballot.ranking, *ballot.approved, *ballot.scores} - {None}
    assert named == {"Cat"}


def test_a_voter_abstains_when_nobody_answered_as_it_did(path: Path):
    from mom_council.voting.ballots import read_ballot

    shown = [Candidate("A", "Cat", "Answer: cat"), Candidate("B", "Owl", "Answer: fish")]
    reply = ask(path, "bee", _vote(shown, "plurality"))
    assert read_ballot(reply, shown, "plurality").ballot("Bee").abstained


@pytest.mark.parametrize("style", ["standard", "short"])
def test_the_synthesizer_gives_the_leading_proposal(path: Path, style: str):
    told = [("Answer: dog", "1 of 3 votes"), ("I think so.\n\nAnswer: cat", "2 of 3 votes")]
    prompt = render(
        "synthesizer",
        style=style,
        personality="",
        question=PETS.question,
        restated="",
        proposals=[{"text": t, "support": s, "author": "", "weight": 1.0} for t, s in told],
        verdict="proposal 2 leads with 67% of the vote",
        dissent=["proposal 1"],
    )
    assert ask(path, "bee", prompt.user) == "I think so.\n\nAnswer: cat"


def test_tokens_are_told_where_they_were_recorded(tmp_path: Path):
    recorded = kept(tmp_path / "sums.jsonl")
    chat = opened("owl", recording=str(recorded))
    usage = chat.invoke([HumanMessage(sums()[0].question)]).usage_metadata
    assert usage == {"input_tokens": 30, "output_tokens": 10, "total_tokens": 40}


def test_a_missing_file_and_a_missing_model_are_named(path: Path, tmp_path: Path):
    with pytest.raises(CouncilError, match="a file of recorded answers"):
        opened("ant")
    with pytest.raises(CouncilError, match=r"nowhere\.jsonl"):
        opened("ant", recording=str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(UnknownNameError, match="'ant', 'bee', 'mute'"):
        opened("wolf", recording=str(path))


async def test_speaking_reaches_it_as_any_provider(path: Path):
    council = replayed(path, ("ant", "bee"), synthesizer={"model": "ant"})
    council = council.model_copy(update={"models": {k: council.models[k] for k in ("ant", "bee")}})
    heard: list[str] = []
    reply = await speak(
        resolve_model(council, "ant"),
        [HumanMessage(PETS.question)],
        on_text=lambda piece, _: heard.append(piece),
    )
    assert reply.text == "".join(heard) == "I think so.\n\nAnswer: cat"
    assert reply.finish == "stop"
    assert not missing(council.models.values())
    with pytest.raises(ModelUnavailableError, match="does not hold this question"):
        await speak(resolve_model(council, "ant"), [HumanMessage("What is new?")])


async def test_a_model_is_opened_once_for_its_recording(path: Path):
    spec = Model(provider="replay", model="ant", params={"recording": str(path)})
    here = await loop_resources()
    assert await open_model(here, spec) is await open_model(here, spec)


@pytest.mark.parametrize("method", ["answers", "plurality"])
async def test_the_graph_gives_the_same_winners_as_the_plain_count(tmp_path: Path, method: str):
    questions = sums(30)
    recorded = kept(tmp_path / "sums.jsonl", questions)
    names = ("ant", "bee", "cat", "dog", "owl")
    council = replayed(recorded, names, deliberation={"method": method, "ballots": "always"})
    graph = compile_council(council)
    for question in questions:
        state = await graph.ainvoke({"messages": [HumanMessage(question.question)]})
        answers = [question.models[name].ans for name in names]
        at, share = plurality_of(answers)
        verdict = state["status"].verdict
        if method == "answers":
            assert verdict.leader == names[at].title()
            assert verdict.share == pytest.approx(share)
        winner = verdict.options[0].answer
        top = max(answers.count(a) for a in answers if a)
        assert answers.count(winner) == top
        assert state["messages"][-1].text == f"Answer: {winner}"
        silent = [n.title() for n in names if question.models[n].ans is None]
        missed = [a for a in state["status"].absent if a.stage == "character"]
        assert [(a.character, a.reason) for a in missed] == [(n, "empty") for n in silent]


def _vote(shown: list[Candidate], method: str) -> str:
    return render(
        "vote",
        name="Ant",
        personality="",
        question=PETS.question,
        restated="",
        **prompt_values(method, shown),
    ).user
