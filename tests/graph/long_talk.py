"""A council-shaped graph without models, whose nodes say scripted prose: for tests of storage."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, StateGraph
from langgraph.types import Overwrite

from mom_council.deliberation.state import CouncilInput, CouncilOutput, CouncilState, Seating
from mom_council.records import (
    Annotation,
    Ballot,
    Option,
    Proposal,
    Segment,
    Status,
    Usage,
    Verdict,
)

NAMES = ("Analyst", "Skeptic", "Poet", "Engineer", "Historian", "Lawyer")
Node = Callable[[Any], Awaitable[dict[str, Any]]]


class Prose:
    """Text a little harder to compress than English, whose 2.5 kB become 1.1 kB: 1.2 kB."""

    def __init__(self, seed: int = 1) -> None:
        self._dice = random.Random(seed)
        letters = "eeeeettttaaaooiinnsshhrrdlucmfwypvbgk"
        self._words = [
            "".join(self._dice.choices(letters, k=self._dice.randint(2, 10))) for _ in range(4000)
        ]

    def say(self, size: int) -> str:
        """So many characters."""
        text = ""
        while len(text) < size:
            text += self._words[int(self._dice.random() ** 7 * 4000)] + " "
        return text[:size]


def long_talk(synthesizer: Node | None = None, characters: Node | None = None) -> Any:  # noqa: C901
    """Six characters, six voters, ten supersteps a turn; not compiled."""
    prose = Prose()
    graph: Any = StateGraph(CouncilState, input_schema=CouncilInput, output_schema=CouncilOutput)

    async def classifier(_: Any) -> dict[str, Any]:
        return {"route": "text"}

    async def annotator(_: Any) -> dict[str, Any]:
        lists = ("proposals", "ballots", "absences", "segments", "verdicts", "notes")
        cleared = {name: Overwrite([]) for name in lists}
        read = Annotation(restated=prose.say(200), kind="open")
        return {**cleared, "annotation": read, "status": None, "asked_at": time.time()}

    async def seating(_: Any) -> dict[str, Any]:
        return {"seating": Seating(seated=NAMES)}

    async def nothing(_: Any) -> dict[str, Any]:
        return {}

    async def consensus(_: Any) -> dict[str, Any]:
        options = tuple(Option(members=(name,), tally=3, share=0.16) for name in NAMES)
        verdict = Verdict(method="borda", options=options, leader=NAMES[0], stop_reason="agreed")
        return {"verdicts": [verdict]}

    async def speaks(state: Any) -> dict[str, Any]:
        verdict = state["verdicts"][-1]
        status = Status(
            council="desk", spoke=NAMES, verdict=verdict, minority_report=prose.say(2500)
        )
        return {"messages": [AIMessage(prose.say(2500))], "status": status}

    def segment(node: str, name: str) -> Segment:
        usage = Usage(calls=1, input_tokens=100, output_tokens=500, seconds=1.2)
        return Segment(node=node, name=name, round=1, layer=1, model="quick", usage=usage)

    def character(name: str) -> Node:
        async def node(_: Any) -> dict[str, Any]:
            proposal = Proposal(character=name, text=prose.say(2500), model="quick")
            return {"proposals": [proposal], "segments": [segment("character", name)]}

        return characters or node

    def voter(name: str) -> Node:
        others = tuple(other for other in NAMES if other != name)

        async def node(_: Any) -> dict[str, Any]:
            ballot = Ballot(voter=name, ranking=others, reason=prose.say(250), shown=others)
            return {"ballots": [ballot], "segments": [segment("vote", name)]}

        return node

    for node in (classifier, annotator, seating, consensus):
        graph.add_node(node.__name__, node)
    graph.add_node("thermal_wait", nothing)
    graph.add_node("quorum", nothing)
    graph.add_node("synthesizer", synthesizer or speaks)
    votes = [f"vote_{name}" for name in NAMES]
    for name in NAMES:
        graph.add_node(name, character(name))
        graph.add_node(f"vote_{name}", voter(name))
        graph.add_edge(name, "quorum")
        graph.add_edge(f"vote_{name}", "consensus")
    for before, after in (
        (START, "classifier"),
        ("classifier", "annotator"),
        ("annotator", "seating"),
        ("seating", "thermal_wait"),
        ("consensus", "synthesizer"),
        ("synthesizer", END),
    ):
        graph.add_edge(before, after)
    graph.add_conditional_edges("thermal_wait", lambda _: list(NAMES), list(NAMES))
    graph.add_conditional_edges("quorum", lambda _: votes, votes)
    return graph
