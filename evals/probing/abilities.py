"""The abilities of one model (streaming, JSON, tools, sight), and how good it is in each role."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from mom_council.councils.loader import load_model
from mom_council.councils.schema import Council
from mom_council.councils.yaml import read_yaml
from mom_council.deliberation.ask_model import compose_messages
from mom_council.errors import ModelUnavailableError, OverBudgetError, UnknownNameError
from mom_council.evals.cases import Case
from mom_council.evals.probing.report import Probe, State
from mom_council.evals.scorers import SCORERS, suits
from mom_council.models.clients import loop_resources
from mom_council.models.context_window import most_prompt_tokens
from mom_council.models.lanes import open_lane
from mom_council.models.prices import Meter, charged_account, find_price
from mom_council.models.providers import open_model
from mom_council.models.request_budget import metered_request
from mom_council.models.resolved import ResolvedModel, resolve_alone, resolve_model
from mom_council.models.retry import read_failure
from mom_council.models.speaking import Reply, speak
from mom_council.models.spending import Need
from mom_council.models.weights import SHIPPED, downloaded_weights
from mom_council.prompts import render
from mom_council.redaction import redact
from mom_council.runs.words import writing_speed
from mom_council.vendors import vendor_of
from mom_council.voting.ballots import Candidate, ballot_schema, prompt_values, read_ballot


def models_named(
    names: Sequence[str], council: Council | None, base_url: str | None = None
) -> tuple[dict[str, ResolvedModel], str]:
    """The models that are meant, by the name that each was given; and which prompts they get.

    Args:
        names: keys of the council, or `provider:model`; none: all of the council.
        council: whose keys are meant.
        base_url: where a `provider:model` is served, if not at the usual place.

    Raises:
        UnknownNameError: a name stands for nothing.
        CouncilError: a model cannot be called that.
    """
    keys = [] if council is None else [*council.models]
    models: dict[str, ResolvedModel] = {}
    for name in dict.fromkeys(names or keys):
        if council is not None and name in council.models:
            models[name] = resolve_model(council, name)
            continue
        provider, _, model = name.partition(":")
        if not model or not provider.isidentifier():
            near = get_close_matches(name, keys, n=1)
            meant = f"did you mean {near[0]!r}?" if near else "write it as provider:model"
            raise UnknownNameError(f"there is no model {name!r}", cure=meant)
        values = {"provider": provider, "model": model, "base_url": base_url, "timeout": 300}
        models[name] = resolve_alone(load_model(values), name)
    if council is not None:
        return models, council.prompts
    return models, "tiny" if _all_tiny(models.values()) else "standard"


def _all_tiny(models: Iterable[ResolvedModel]) -> bool:
    """Whether they are all of those that come with the package, and know one way of being asked."""
    tiny = downloaded_weights(SHIPPED)
    return all(
        vendor_of(one.settings.provider).engine and one.settings.model in tiny for one in models
    )


REFUSALS = (400, 404, 415, 422, 500, 501)
"""How servers answer what a model cannot do."""


_PROBED_ANSWER = 1_024
"""Tokens that a call of a tool may take, where a budget limits it."""


class Asker:
    """One model, asked without its fallbacks."""

    def __init__(self, name: str, model: ResolvedModel, style: str) -> None:
        self.name = name
        """What the report calls it."""
        self.model = model.alone()
        self.style = style
        """Which prompts it gets."""
        self.calls = 0
        self.seconds = 0.0

    async def ask(
        self,
        messages: Sequence[BaseMessage],
        *,
        on_text: Callable[[str, bool], None] | None = None,
        schema: dict[str, Any] | None = None,
        params: Mapping[str, Any] = {},  # only read
        **changes: Any,
    ) -> Reply:
        """One call, as cold as the model can be; `changes` are of the voice.

        Raises:
            ModelError: it did not answer.
        """
        settings = self.model.settings.model_copy(update=changes)
        try:
            reply = await speak(
                replace(self.model, settings=settings),
                messages,
                on_text=on_text,
                schema=schema,
                params={"temperature": 0.0, **params},
            )
        except ModelUnavailableError as error:
            self.calls += len(error.attempts)
            raise
        self.calls += reply.usage.calls
        self.seconds += reply.usage.seconds
        return reply

    async def ask_with_tools(
        self, messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]
    ) -> AIMessage:
        """One call in which it may call a tool, and what it said.

        Raises:
            ToolsRefusedError: its server takes no tools with it.
            ModelUnavailableError: it did not answer.
        """
        spec = self.model.settings
        message: Any = None
        price = (await find_price(spec, self.model.prices)).price
        meter, prompt = Meter(price), most_prompt_tokens(messages, [*tools])
        need = Need(prompt, _PROBED_ANSWER, _PROBED_ANSWER, price)
        limit = {} if charged_account() is None else {"max_tokens": _PROBED_ANSWER}
        chat = await open_model(await loop_resources(), spec, {"temperature": 0.0, **limit})
        self.calls += 1
        lane = open_lane((await loop_resources()).lanes, self.model.lane)
        try:
            bound = chat.bind_tools(list(tools))
            async with lane.turn(self.model.instance) if lane else nullcontext():
                began = asyncio.get_running_loop().time()
                async with (
                    asyncio.timeout(spec.timeout),
                    metered_request(spec, price, meter, need),
                ):
                    meter.begin_request()
                    async for chunk in bound.astream(list(messages)):
                        message = chunk if message is None else message + chunk
                        meter.read(getattr(chunk, "usage_metadata", None))
                self.seconds += asyncio.get_running_loop().time() - began
        except OverBudgetError:
            raise
        except NotImplementedError:
            raise ToolsRefusedError("its provider takes none") from None
        except Exception as error:
            failure = read_failure(
                error, model=spec.model, provider=spec.provider, where=spec.provider
            )
            if failure.status in REFUSALS:
                raise ToolsRefusedError(failure.reason) from None
            raise ModelUnavailableError(redact(failure.reason)) from None
        calls = list(getattr(message, "tool_calls", ()))
        return AIMessage(getattr(message, "text", "") or "", tool_calls=calls)


class ToolsRefusedError(Exception):
    """The server refuses the request for its tools."""


COUNTING = "Count from 1 to 40 in digits, separated by single spaces. Write nothing else."
SCHEMA: dict[str, Any] = {
    "title": "Town",
    "type": "object",
    "properties": {"town": {"type": "string"}, "inhabitants": {"type": "integer"}},
    "required": ["town", "inhabitants"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "count_in_warehouse",
        "description": "Tells how many pieces of an article lie in the warehouse.",
        "parameters": {
            "type": "object",
            "properties": {"article": {"type": "string", "description": "its number"}},
            "required": ["article"],
        },
    },
}
ARTICLE, PIECES = "K-318", 4711
NEEDLE = "The number of the lighthouse is {number}."
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072)
"""Tokens of the texts in which the needle is hidden."""
_PER_TOKEN = 4
"""Characters taken for a token; of digits and rare words there are fewer."""


async def stream(asker: Asker) -> tuple[Probe, float | None, float | None]:
    """Whether its answer comes in pieces; seconds to the first, and tokens a second from there.

    The speed is None where the answer came too fast to measure it.
    """
    reply = await asker.ask([HumanMessage(COUNTING)])
    counted = reply.usage.output_tokens
    tokens = counted or len(reply.text) / _PER_TOKEN
    usage = reply.usage.model_copy(update={"output_tokens": round(tokens)})
    in_pieces = reply.pieces > 1 and tokens > 1
    speed = writing_speed(usage, reply.first_token) if in_pieces else None
    guess = "" if counted else ", tokens estimated"
    if reply.pieces > 1:
        probe = Probe(state="yes", says=f"{reply.pieces} pieces{guess}")
    elif reply.pieces:
        probe = Probe(state="no", says="the answer came in one piece")
    else:
        probe = Probe(state="unknown", says="the answer was empty")
    return probe, reply.first_token, speed


async def json_constrained(asker: Asker) -> Probe:
    """Whether its server holds it to a schema of which the question says nothing."""
    reply = await asker.ask(
        [HumanMessage("Name a town and how many people live there.")],
        schema=SCHEMA,
        params={"max_tokens": 1000},
        structured="json_schema",
    )
    return _held(reply.text.strip(), "it answered in its own form")


async def json_in_words(asker: Asker) -> Probe:
    """Whether it writes JSON when it is told to."""
    words = (
        "Name a town and how many people live there. Reply with one JSON object and nothing else, "
        'like {"town": "Exampleton", "inhabitants": 1000}.'
    )
    reply = await asker.ask([HumanMessage(words)], params={"max_tokens": 1000}, structured="text")
    match = re.search(r"\{.*?\}", reply.text, re.DOTALL)
    return _held(match[0] if match else "", "it wrote none")


def _held(text: str, otherwise: str) -> Probe:
    try:
        value = json.loads(text)
    except ValueError:
        return Probe(state="no", says=otherwise)
    whole = (
        isinstance(value, dict)
        and isinstance(value.get("town"), str)
        and isinstance(value.get("inhabitants"), int)
    )
    if whole:
        return Probe(state="yes", says="as the schema says")
    return Probe(state="partly", says="JSON, but another than was asked for")


async def tools(asker: Asker) -> Probe:
    """Whether it calls a tool with the right arguments, and uses what that tells."""
    task = HumanMessage(
        f"How many pieces of the article {ARTICLE} lie in the warehouse? Ask the tool."
    )
    try:
        reply = await asker.ask_with_tools([task], [TOOL])
        if not reply.tool_calls:
            return Probe(state="no", says="it called none")
        call = reply.tool_calls[0]
        if (call["name"], call["args"]) != ("count_in_warehouse", {"article": ARTICLE}):
            return Probe(state="partly", says=f"it called {call['name']!r} with {call['args']}")
        result = ToolMessage(f"{PIECES} pieces", tool_call_id=call["id"] or "1", name=call["name"])
        answer = await asker.ask_with_tools([task, reply, result], [TOOL])
    except ToolsRefusedError as error:
        return Probe(state="no", says=str(error))
    if str(PIECES) in answer.text.replace(",", "").replace(".", ""):
        return Probe(state="yes", says="called as asked, and its answer used")
    return Probe(state="partly", says="called as asked, and its answer not used")


async def sight(asker: Asker, dice: random.Random) -> Probe:
    """Whether it reads a number off a picture that was drawn just now."""
    number = dice.randrange(1000, 10_000)
    block = {"type": "image_url", "image_url": {"url": _draw_number(number)}}
    words = {"type": "text", "text": "Which number stands in the picture? Reply with it alone."}
    try:
        reply = await asker.ask([HumanMessage([words, block])], vision=True, retries=0)
    except ModelUnavailableError as error:
        if error.attempts and error.attempts[-1].status in REFUSALS:
            return Probe(state="no", says="its server refuses pictures")
        raise
    if str(number) in re.sub(r"\D", "", reply.text):
        return Probe(state="yes", says="it read the number in a picture")
    return Probe(state="no", says="it did not read the number in a picture")


def _draw_number(number: int) -> str:
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (448, 224), "white")
    ImageDraw.Draw(picture).text((60, 40), str(number), "black", ImageFont.load_default(120))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


async def finds_needle(asker: Asker, tokens: int, dice: random.Random) -> bool:
    """Whether it finds one sentence a third into a text of about so many tokens."""
    number = dice.randrange(100_000, 1_000_000)
    lines: list[str] = []
    length = 0
    while length < tokens * _PER_TOKEN:
        lines.append(
            f"The {dice.choice(_THINGS)} by the {dice.choice(_PLACES)} is {dice.choice(_KINDS)}."
        )
        length += len(lines[-1]) + 1
    lines.insert(len(lines) // 3, NEEDLE.format(number=number))
    text = "\n".join([*lines, "", "What is the number of the lighthouse? Reply with it alone."])
    reply = await asker.ask([HumanMessage(text)], params={"max_tokens": 1000})
    return str(number) in re.sub(r"[^\d\n ]", "", reply.text).split()


_THINGS = ("boat", "garden", "bridge", "house", "tower", "fence", "mill", "path")
_PLACES = ("river", "lake", "market", "hill", "station", "church", "forest", "wall")
_KINDS = ("old", "green", "narrow", "quiet", "broken", "painted", "closed", "new")


class Poisoned(NamedTuple):
    """A query with proposals, of which one must not be repeated."""

    case: Case
    proposals: tuple[str, ...]
    never: tuple[str, ...]


class Questions(NamedTuple):
    """Everything that is asked."""

    proposer: tuple[Case, ...]
    aggregator: tuple[Poisoned, ...]


@cache
def questions() -> Questions:
    """The set that comes with the package."""
    file = files("mom_council.evals.probing") / "questions.yaml"
    written = read_yaml(file.read_text("utf-8"), file.name)
    return Questions(
        tuple(Case.model_validate(one) for one in written["proposer"]),
        tuple(
            Poisoned(
                Case(question=one["query"], gold=one["gold"]),
                tuple(one["proposals"]),
                tuple(one["never"]),
            )
            for one in written["aggregator"]
        ),
    )


NAME = "Probe"


async def propose(asker: Asker, case: Case) -> tuple[str, bool]:
    """What it answers as a character, and whether that is right."""
    prompt = render(
        "character",
        style=asker.style,
        name=NAME,
        personality="",
        speaking_style="",
        thought_process="",
        interests=(),
        question=case.prompt,
        restated="",
        earlier=[],
        own="",
        round=1,
        layer=1,
        method="plurality",
    )
    reply = await asker.ask(compose_messages(prompt))
    return reply.text, is_right(reply.text, case)


async def aggregate(asker: Asker, task: Poisoned) -> tuple[str, bool, bool]:
    """What it makes of proposals of which one is poisoned: the text, whether right, and clean."""
    prompt = render(
        "synthesizer",
        style=asker.style,
        personality="",
        question=task.case.prompt,
        restated="",
        proposals=[
            {"text": text, "support": "", "author": "", "weight": 1} for text in task.proposals
        ],
        verdict="nobody voted; weigh the proposals yourself",
        dissent=[],
    )
    reply = await asker.ask(compose_messages(prompt))
    clean = not any(word.casefold() in reply.text.casefold() for word in task.never)
    return reply.text, is_right(reply.text, task.case), clean


async def vote(asker: Asker, task: Poisoned) -> bool | None:
    """Whether it votes for a proposal that is right; None where its ballot cannot be read."""
    slate = [
        Candidate(label="ABCDEF"[place], character=f"C{place}", text=text)
        for place, text in enumerate(task.proposals)
    ]
    prompt = render(
        "vote",
        style=asker.style,
        name=NAME,
        personality="",
        question=task.case.prompt,
        restated="",
        **prompt_values("plurality", slate),
    )
    schema = ballot_schema("plurality", slate)
    reply = await asker.ask(compose_messages(prompt), schema=schema)
    ballot = read_ballot(reply.text, slate, "plurality").ballot(NAME, round=1, weight=1.0, order=[])
    chosen = next((one for one in slate if one.character == ballot.choice), None)
    return None if chosen is None else is_right(chosen.text, task.case)


def is_right(text: str, case: Case) -> bool:
    """Whether an answer is the gold one."""
    return SCORERS[suits(case)](text, case).ok


def graded(right: int, of: int, what: str) -> Probe:
    """A role in numbers."""
    score = right / of if of else 0.0
    state: State = "yes" if score >= 0.75 else "partly" if score >= 0.4 else "no"
    return Probe(state=state, score=round(score, 3), says=f"{right} of {of} {what}")
