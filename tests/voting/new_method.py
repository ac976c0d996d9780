"""What a council does with a vote method that was just added; run by test_new_method.py.

python -m mom_council.tests.voting.new_method COUNCIL.json METHOD: prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from streamlit.testing.v1 import AppTest

from mom_council.cli.ask import method_named
from mom_council.councils.loader import load_council
from mom_council.errors import CouncilError
from mom_council.evals.cases import Case
from mom_council.evals.run import evaluate
from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import question
from mom_council.ui.council_choice import DraftSession
from mom_council.ui.draft import draft_of
from mom_council.voting.revote import revote
from mom_council.voting.stopping import explain


async def try_method(written: dict[str, Any], method: str) -> dict[str, Any]:
    """Ask, count anew, evaluate, and open the editor."""
    council = load_council(written)
    graph = compile_council(council, InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke(question(), config)
    result = (await graph.aget_state(config)).values
    verdict = result["status"].verdict
    by_ranks = revote(
        result["proposals"], result["ballots"], method="borda", deliberation=council.deliberation
    )
    cast_by_ranks = [one.model_copy(update={"scores": {}}) for one in result["ballots"]]
    again = revote(
        result["proposals"], cast_by_ranks, method=method, deliberation=council.deliberation
    )
    card = await evaluate(council, [Case(id="one", question="17 + 25?", gold="42")], samples=1)
    return {
        "leader": verdict.leader,
        "method": verdict.method,
        "why": explain(verdict, council.deliberation),
        "ballots": [list(ballot.ranking) for ballot in result["ballots"]],
        "revoted": [by_ranks.verdict.method, again.verdict.method, again.verdict.leader],
        "questions": card.questions,
        "misspelt": _refusal(written, method[:-1]),
        "asked for": method_named(method),
        "offered": _offered(written),
    }


def _refusal(written: dict[str, Any], name: str) -> str:
    rules = {**written["deliberation"], "method": name}
    try:
        load_council({**written, "deliberation": rules})
    except CouncilError as error:
        return str(error)
    return ""


def _offered(written: dict[str, Any]) -> list[str]:
    def script() -> None:
        from mom_council.ui.pages import editor

        editor.page()

    page = AppTest.from_function(script, default_timeout=60)
    page.session_state["kept"] = {}
    page.session_state["reader"] = "a" * 32
    page.session_state["editing"] = DraftSession(draft_of(load_council(written)))
    page.run()
    assert not page.exception, page.exception
    return list(next(one for one in page.selectbox if one.label == "Voting method").options)


if __name__ == "__main__":
    council_file, name = sys.argv[1:]
    written_council = json.loads(Path(council_file).read_text())
    print(json.dumps(asyncio.run(try_method(written_council, name))))
