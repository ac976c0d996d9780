"""The equality check: whether answers that are written differently, or in words, mean the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from langgraph.runtime import Runtime

from mom_council.councils.schema import Council
from mom_council.deliberation import conversation, selectors
from mom_council.deliberation.ask_model import (
    ask_model,
    cancelled_segment,
    compose_messages,
    failed_segment,
)
from mom_council.deliberation.context import CouncilContext, context_of
from mom_council.deliberation.events import Noted, Speaker, emit
from mom_council.deliberation.state import CouncilState, CouncilUpdate
from mom_council.errors import ModelError
from mom_council.models.context_window import pack_prompt
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply
from mom_council.prompts import Prompt, render
from mom_council.records import EqualityJudgement, Note, Proposal, Segment
from mom_council.voting.counting import compare_off_the_loop
from mom_council.voting.reading import json_values

Compose = Callable[[list[str]], Prompt]


async def equality_check(
    state: CouncilState, runtime: Runtime[CouncilContext], council: Council
) -> CouncilUpdate:
    """Have one cheap model judge what is in doubt: pairs of short answers, and which texts agree.

    Each pair is judged once a question, and texts once a round. Where it fails, or there is no
    budget for it, they count as different, and a note says so.
    """
    turn = selectors.current_turn(state)
    spoken = selectors.proposals_at(state, turn.round, turn.layer)
    await compare_off_the_loop(spoken, kind=state["annotation"].kind)
    pairs = selectors.doubtful_pairs(spoken, state, council)
    texts = selectors.unclustered_proposals(spoken, state, council)
    if not pairs and not texts:
        return {"step": "no answers are in doubt"}
    update: CouncilUpdate = {}
    if pairs:
        update = await _judge_pairs(pairs, _Judge(state, runtime, council))
    if texts:
        spent = {**state, "segments": [*state["segments"], *update.get("segments", ())]}
        more = await _sort_texts(texts, _Judge(cast("CouncilState", spent), runtime, council))
        update = {
            "judgements": [*update.get("judgements", ()), *more["judgements"]],
            "segments": [*update.get("segments", ()), *more["segments"]],
            "notes": [*update.get("notes", ()), *more["notes"]],
        }
    return update


class _Judge(NamedTuple):
    """Who is asked, and in which question."""

    state: CouncilState
    runtime: Runtime[CouncilContext]
    council: Council

    async def ask(
        self, texts: list[str], compose: Compose, schema: dict[str, Any]
    ) -> tuple[Reply | str, list[Segment], list[Note]]:
        """The model's reply, else why there is none; what it took; what to say of its prompt."""
        key = selectors.judge_model(self.council)
        spent = selectors.exceeded_budget(self.state, self.council, more_calls=1)
        if key is None or spent:
            why = f"the budget is spent ({spent})" if key else "there is no model to ask"
            return why, [], []
        turn, began = selectors.current_turn(self.state), time.monotonic()
        speaker = Speaker(
            node="equality_check", name="equality_check", round=turn.round, layer=turn.layer
        )
        model = resolve_model(self.council, key)
        seconds = selectors.reader_seconds(self.state, self.council, context_of(self.runtime))
        prompt = await pack_prompt(
            model, texts, lambda fit: compose_messages(compose(fit)), seconds=seconds
        )
        seconds = selectors.reader_seconds(self.state, self.council, context_of(self.runtime))
        try:
            async with asyncio.timeout(seconds):
                reply, segment = await ask_model(
                    self.runtime,
                    speaker,
                    model,
                    prompt.messages,
                    schema=schema,
                    params={"temperature": 0.0},
                )
        except TimeoutError:
            why = "it took half of the time that was left"
            return why, [cancelled_segment(speaker, key, began)], []
        except ModelError as error:
            return str(error), [failed_segment(speaker, key, error)], []
        return reply, [segment], [*prompt.notes]

    def update(
        self, judged: list[EqualityJudgement], segments: list[Segment], notes: list[Note]
    ) -> CouncilUpdate:
        """What the node returns; its notes are told at once."""
        for note in notes:
            emit(self.runtime, Noted(text=note.text))
        return {"judgements": judged, "segments": segments, "notes": notes}


async def _judge_pairs(pairs: list[tuple[str, str]], judge: _Judge) -> CouncilUpdate:
    question = conversation.question_with_results(judge.state)

    def compose(_: list[str]) -> Prompt:
        style = judge.council.prompts
        return render("equality_check", style=style, question=question, pairs=pairs)

    reply, segments, notes = await judge.ask([], compose, judgement_schema(len(pairs)))
    same = None if isinstance(reply, str) else read_judgement(reply.text, len(pairs))
    judged = [
        EqualityJudgement(one=one, other=other, same=equal)
        for (one, other), equal in zip(pairs, same or [False] * len(pairs), strict=True)
    ]
    if isinstance(reply, str) or same is None:
        why = reply if isinstance(reply, str) else "its reply could not be read"
        listed = "; ".join(f"{one!r} and {other!r}" for one, other in pairs)
        says = (
            f"Whether these answers mean the same was not judged, so they differ: {listed} ({why})."
        )
        return judge.update(judged, segments, [*notes, Note(text=says, kind="step_failed")])
    results = [Note(text=_in_words(one, reply.model)) for one in judged]
    return judge.update(judged, segments, [*notes, *results])


async def _sort_texts(proposals: list[Proposal], judge: _Judge) -> CouncilUpdate:
    """Which proposals say the same; the first of each group stands for it."""
    texts = list(dict.fromkeys(proposal.text for proposal in proposals))
    question = conversation.question_with_results(judge.state)

    def compose(fit: list[str]) -> Prompt:
        return render("equality_check", style=judge.council.prompts, question=question, texts=fit)

    reply, segments, notes = await judge.ask(texts, compose, groups_schema(len(texts)))
    groups = None if isinstance(reply, str) else read_groups(reply.text, len(texts))
    group_of = dict(zip(texts, groups or range(len(texts)), strict=True))
    first: dict[int, Proposal] = {}
    for proposal in proposals:
        first.setdefault(group_of[proposal.text], proposal)
    judged = [
        EqualityJudgement(one=stands.id, other=proposal.id, same=True)
        if (stands := first[group_of[proposal.text]]) is not proposal
        else EqualityJudgement(one=proposals[0].id, other=proposal.id, same=False)
        for proposal in proposals[1:]
    ]
    if isinstance(reply, str) or groups is None:
        why = reply if isinstance(reply, str) else "its reply could not be read"
        says = f"Which texts say the same was not judged, so they differ ({why})."
        return judge.update(judged, segments, [*notes, Note(text=says, kind="step_failed")])
    named = [
        " and ".join(each.character for each in proposals if group_of[each.text] == group)
        for group in first
    ]
    says = f"{reply.model!r} found {len(first)} different answers: {'; '.join(named)}."
    if len(first) == 1:
        says = f"{reply.model!r} found the same answer in what {named[0]} say."
    return judge.update(judged, segments, [*notes, Note(text=says)])


def groups_schema(texts: int) -> dict[str, Any]:
    """The schema of what is replied: the number of each text's group."""
    number = {"type": "integer", "minimum": 1, "maximum": texts}
    groups = {"type": "array", "items": number, "minItems": texts, "maxItems": texts}
    return {
        "title": "Groups",
        "type": "object",
        "properties": {"groups": groups},
        "required": ["groups"],
        "additionalProperties": False,
    }


def read_groups(reply: str, texts: int) -> list[int] | None:
    """The group of each text; None where the reply does not say it of each."""
    for value in reversed(json_values(reply)):
        groups = value.get("groups") if isinstance(value, dict) else value
        if isinstance(groups, list) and len(groups) == texts:
            return groups if all(type(one) is int for one in groups) else None
    return None


def judgement_schema(pairs: int) -> dict[str, Any]:
    """The schema of what is replied: true or false for each pair."""
    same = {"type": "array", "items": {"type": "boolean"}, "minItems": pairs, "maxItems": pairs}
    return {
        "title": "Judgement",
        "type": "object",
        "properties": {"same": same},
        "required": ["same"],
        "additionalProperties": False,
    }


def read_judgement(reply: str, pairs: int) -> list[bool] | None:
    """Which pairs mean the same; None where the reply does not say it of each."""
    for value in reversed(json_values(reply)):
        same = value.get("same") if isinstance(value, dict) else value
        if isinstance(same, list) and len(same) == pairs:
            return same if all(isinstance(one, bool) for one in same) else None
    return None


def _in_words(judged: EqualityJudgement, model: str) -> str:
    verdict = "the same answer" if judged.same else "different answers"
    return f"{model!r} judged {judged.one!r} and {judged.other!r} to be {verdict}."
