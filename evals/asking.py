"""Ask members of a council one by one: about one case, or about all to record their answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from mom_council.councils.recording import (
    RecordedAnswer,
    RecordedQuestion,
    read_recording,
    write_recording,
)
from mom_council.councils.schema import RESERVED, Character, Council, voter_node
from mom_council.deliberation.ask_model import compose_messages
from mom_council.deliberation.budget import refuse_unpriced
from mom_council.errors import (
    BudgetError,
    CouncilError,
    MixtureError,
    ModelError,
    ModelUnavailableError,
    StorageError,
)
from mom_council.evals.cases import Case
from mom_council.evals.scorers import SCORERS, suits
from mom_council.models.ledger import name_of
from mom_council.models.prices import charge_to, charged_account
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import speak
from mom_council.models.spending import Account, SpendingLimits
from mom_council.prompts import render
from mom_council.records import Usage
from mom_council.tracing.store import Span, TraceStore, TraceView
from mom_council.voting.methods import METHODS
from mom_council.voting.reading import find_options, read_answer

T = TypeVar("T")
R = TypeVar("R")


async def map_concurrently(
    items: Sequence[T], act: Callable[[T], Awaitable[R]], concurrency: int
) -> AsyncIterator[tuple[T, R]]:
    """Each item with what came of it, as they are done.

    What still runs when the caller leaves is cancelled. Where the calls are charged to an account
    that has no room for an item any more, that item is left out, and no further one is begun.

    Args:
        items: in the order they are begun.
        act: what is done to each; its error ends the whole.
        concurrency: how many are under way at a time.
    """
    waiting = iter(items)
    running: dict[asyncio.Future[tuple[R, bool]], T] = {}
    try:
        while True:
            while len(running) < max(1, concurrency) and (one := next(waiting, None)) is not None:
                running[asyncio.ensure_future(_within_budget(act, one))] = one
            if not running:
                return
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                item, (result, is_whole) = running.pop(task), task.result()
                if is_whole:
                    yield item, result
                else:
                    waiting = iter(())
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _within_budget(act: Callable[[T], Awaitable[R]], item: T) -> tuple[R, bool]:
    """What came of an item, and whether the budget had room for all of its calls."""
    account = charged_account()
    if account is None:
        return await act(item), True
    own = Account(SpendingLimits(), parent=account)
    with charge_to(own):
        result = await act(item)
    return result, not own.refusals and own.seconds_left > 0


def refuse_nothing_finished() -> BudgetError:
    """The error of a budget that ended before anything was finished."""
    return BudgetError(
        "the budget is spent, and no question is finished", cure="allow more, or ask fewer"
    )


def describe_fault(error: Exception) -> str:
    """What a question's row says of a fault that ended it; the evaluation goes on.

    Raises:
        CouncilError, StorageError: the fault is of the council or of this machine, so every
            other question would meet it too.
    """
    if isinstance(error, CouncilError | StorageError):
        raise error
    is_ours = isinstance(error, MixtureError)
    return str(error) if is_ours else f"{type(error).__name__}: {error}"


class SoloAnswer(NamedTuple):
    """What a member answered on its own. No text: it failed, and `error` says how."""

    text: str
    usage: Usage
    model: str = ""
    """Provider/model of the voice that answered, fallbacks included."""
    error: str = ""


async def ask_alone(
    council: Council, who: Character, case: Case, *, temperature: float | None = None
) -> SoloAnswer:
    """Ask a member as the graph asks it in the first round.

    Args:
        council: whose prompts, models and limits hold.
        who: the member.
        case: the question.
        temperature: of this call; the member's own if left out.
    """
    prompt = render(
        "character",
        style=council.prompts,
        name=who.name,
        personality=who.personality,
        speaking_style=who.speaking_style,
        thought_process=who.thought_process,
        interests=who.interests,
        question=case.prompt,
        restated="",
        earlier=[],
        own="",
        round=1,
        layer=1,
        method=council.deliberation.method,
        method_instruction=METHODS[council.deliberation.method].character_instruction,
    )
    warmth = who.temperature if temperature is None else temperature
    params = {} if warmth is None else {"temperature": warmth}
    account = charged_account()
    if account is not None:
        worst_price = council.budget.worst_price
        account = Account(SpendingLimits(), parent=account, worst_price=worst_price)
    try:
        model = resolve_model(council, who.model)
        with charge_to(account):
            reply = await speak(model, compose_messages(prompt), params=params)
    except ModelError as error:
        used = error.usage if isinstance(error, ModelUnavailableError) else None
        return SoloAnswer("", used or Usage(), error=str(error))
    except Exception as error:
        return SoloAnswer("", Usage(), error=describe_fault(error))
    return SoloAnswer(reply.text.strip(), reply.usage, name_of(council.models[reply.model]))


async def ask_members(
    council: Council, members: Sequence[Character], case: Case
) -> dict[str, SoloAnswer]:
    """Ask members on their own, side by side; by their names, in this order."""
    answers = await asyncio.gather(*(ask_alone(council, who, case) for who in members))
    return {who.name: answer for who, answer in zip(members, answers, strict=True)}


Progress = Callable[[int, int], None]
"""(questions done, questions in all), called after each."""


async def record(
    council: Council,
    cases: Sequence[Case],
    path: Path | str,
    *,
    concurrency: int = 4,
    scorer: str = "auto",
    progress: Progress | None = None,
) -> int:
    """Ask every member every question once, and keep the answers; how many questions there are.

    A recording that is there already is continued: what it holds is not asked again, and of a
    question that some answered only the others are asked. Members are recorded under their names
    as characters; each answer says which model gave it.

    Args:
        council: who is asked.
        cases: the questions.
        path: the recording; gzipped where the name ends in .gz.
        concurrency: questions under way at a time.
        scorer: a key of `SCORERS`, or `auto`: what each case asks for.
        progress: told after every question.

    Raises:
        RecordingError: the file is there and is no recording.
        CouncilError: a model cannot be opened, or dollars are limited and it has no price.
        BudgetError: the budget that is charged ended before anybody had answered.
    """
    path = Path(path)
    await _require_prices(council)
    questions = {one.id: one for one in read_recording(path)} if path.exists() else {}

    async def act(case: Case) -> None:
        members = _missing_members(council, questions.get(case.key))
        answers = await ask_members(council, members, case)
        try:
            fresh = await asyncio.to_thread(recorded, case, answers, scorer)
        except Exception as error:
            describe_fault(error)  # raises what every question would meet
            return  # it is left out, and asked again when the recording is gone on with
        if fresh is not None:  # kept also where a budget had no room for everybody: it is paid
            old = questions.get(case.key)
            models = {**(old.models if old else {}), **fresh.models}
            questions[case.key] = fresh.model_copy(update={"models": models})

    left = [case for case in cases if _missing_members(council, questions.get(case.key))]
    number = len(cases) - len(left)
    try:
        async for _ in map_concurrently(left, act, concurrency):
            number += 1
            if number % 20 == 0:
                await asyncio.to_thread(write_recording, path, list(questions.values()))
            if progress is not None:
                progress(number, len(cases))
    finally:
        if questions:
            write_recording(path, _in_order(questions.values(), cases))
    if not questions and number < len(cases):
        raise refuse_nothing_finished()
    return len(questions)


def _missing_members(council: Council, old: RecordedQuestion | None) -> list[Character]:
    """Who has not answered a question."""
    return [who for who in council.characters if old is None or who.name not in old.models]


async def _require_prices(council: Council) -> None:
    account = charged_account()
    if account is not None and account.limits_usd:
        await refuse_unpriced(council, dict.fromkeys(who.model for who in council.characters))


def recorded(
    case: Case, answers: dict[str, SoloAnswer], scorer: str = "auto"
) -> RecordedQuestion | None:
    """One line of a recording; who failed is left out, to be asked again. None: all failed."""
    score = SCORERS[suits(case) if scorer == "auto" else scorer]
    models: dict[str, RecordedAnswer] = {}
    for name, solo in answers.items():
        if solo.error:
            continue
        mark = score(solo.text, case) if case.gold is not None or case.check else None
        models[name] = RecordedAnswer(
            ans=(mark and mark.answer)
            or read_answer(solo.text, kind="closed", options=case.options or ()).bare,
            ok=1 if mark is not None and mark.ok else 0,
            chars=len(solo.text),
            text=solo.text or None,
            usd=solo.usage.usd,
            input_tokens=solo.usage.input_tokens,
            output_tokens=solo.usage.output_tokens,
            seconds=round(solo.usage.seconds, 3),
            model=solo.model or None,
        )
    if not models:
        return None
    gold = case.gold if case.gold is not None else "(its check)" if case.check else None
    return RecordedQuestion(
        id=case.key,
        dataset=case.dataset,
        fold=case.fold,
        question=case.question,
        gold=None if gold is None else str(gold),
        options=case.options,
        category=case.category,
        models=models,
    )


def from_traces(store: TraceStore | None = None, *, limit: int = 500) -> list[RecordedQuestion]:
    """The newest local traces as a recording: one question each, oldest first.

    Of a character that spoke in several rounds the first answer counts, the one that it gave on
    its own. Nobody has judged them: there is no gold answer, and `ok` says nothing.

    Raises:
        StorageError: the traces cannot be read.
    """
    store = store or TraceStore()
    views = (store.load(one.id) for one in store.summaries(limit))
    questions = [question for view in views if view and (question := from_trace(view))]
    return questions[::-1]


def from_trace(view: TraceView) -> RecordedQuestion | None:
    """One trace as a line of a recording; None where no character's answer was kept."""
    first: dict[str, Span] = {}
    node_of = _nodes(view.spans)
    for span in sorted(view.spans, key=lambda span: span.start):
        name = span.about.get("character")
        alone = span.about.get("round", 1) == 1 and span.about.get("layer", 1) == 1
        speaks = name not in (None, *RESERVED) and node_of[span.id] != voter_node(str(name))
        if span.kind == "model" and alone and span.reply and speaks:
            first.setdefault(str(name), span)
    if not first or not view.summary.question:
        return None
    question = _whole(view.summary.question, next(iter(first.values())))
    options = find_options(question)
    return RecordedQuestion(
        id=view.summary.id,
        dataset=view.summary.council,
        question=question,
        models={
            name: RecordedAnswer(
                ans=read_answer(span.reply, kind="closed", options=options).bare,
                chars=len(span.reply),
                text=span.reply,
                input_tokens=span.input_tokens,
                output_tokens=span.output_tokens,
                seconds=span.seconds,
                model=span.model or None,
            )
            for name, span in first.items()
        },
    )


def _nodes(spans: Sequence[Span]) -> dict[str, str]:
    """The node of the graph in which each span lies; empty for one outside of any."""
    by_id = {span.id: span for span in spans}
    nodes: dict[str, str] = {}
    for span in spans:
        above: Span | None = span
        while above is not None and above.kind != "node":
            above = by_id.get(above.parent or "")
        nodes[span.id] = above.name if above else ""
    return nodes


def _whole(summary: str, span: Span) -> str:
    """The question as it was asked: a trace's summary has its beginning, on one line."""
    for message in reversed(span.prompt):
        question = message.text.partition("\n\n(In the light of the conversation")[0].strip()
        if message.role == "human" and " ".join(question.split()).startswith(summary):
            return question
    return summary


def _in_order(
    questions: Iterable[RecordedQuestion], cases: Sequence[Case]
) -> list[RecordedQuestion]:
    """As the cases stand, those of an earlier recording after them."""
    place = {case.key: at for at, case in enumerate(cases)}
    return sorted(questions, key=lambda one: place.get(one.id, len(place)))
