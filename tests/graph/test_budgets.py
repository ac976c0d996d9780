"""No question spends more than it may: every limit, every way of asking, by the log of requests."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.benchmarks.budgets import try_once
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import BudgetError, ModelUnavailableError, OverBudgetError
from mom_council.evals.probing.abilities import Asker
from mom_council.extensions import At, Change, Extension
from mom_council.graph.council import compile_council
from mom_council.models.prices import charge_to
from mom_council.models.resolved import resolve_alone, resolve_model
from mom_council.models.speaking import speak
from mom_council.models.spending import Account, SpendingLimits
from mom_council.tests.graph.desk import ask, desk, question, seat, speaking, voice, voting, written
from mom_council.tests.house.sources import ROOT
from mom_council.tests.models.test_vendors import VENDORS
from mom_council.tests.models.test_vendors import council as vendor_council
from mom_council.tests.stage import Fault, Reply, Stage

pytestmark = pytest.mark.slow

PRICE = {"input": 3, "output": 15}
NO_VOTE: dict[str, Any] = {"deliberation": {"method": "none"}}


@pytest.mark.parametrize("seed", range(1, 25))
async def test_no_limit_is_exceeded_and_the_status_counts_what_was_sent(seed: int) -> None:
    trial = await try_once(seed)
    assert not trial.over, trial
    assert not trial.miscounted, trial
    assert not trial.unlimited, trial


def test_every_request_leaves_through_the_gate() -> None:
    """Who sends a request to a model does so where it is reserved: there is no other place."""
    sends = {"astream", "ainvoke", "agenerate", "aembed_documents", "aembed_query", "generate"}
    gates = {"_ask_within_budget", "metered_request"}
    places = {}
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if name.startswith(("tests/", "benchmarks/", "examples/", ".")):
            continue
        tree = list(ast.walk(ast.parse(file.read_text("utf-8"))))
        calls = [node.func for node in tree if isinstance(node, ast.Call)]
        if sends & {one.attr for one in calls if isinstance(one, ast.Attribute)}:
            names = {one.id for one in tree if isinstance(one, ast.Name)}
            names |= {one.attr for one in tree if isinstance(one, ast.Attribute)}
            places[name] = bool(names & gates)
    assert {name for name, gated in places.items() if gated} == {
        "evals/probing/abilities.py",
        "extensions/retrieval.py",
        "models/embeddings.py",
        "models/model_call.py",
    }
    assert {name for name, gated in places.items() if not gated} == {
        "models/providers/huggingface.py",  # weights in this process, behind `ModelCall`
        "models/providers/openai.py",  # pictures, behind `nodes/painter.py`
        "models/tools/tool_loop.py",  # a tool
        # These run a graph, whose nodes are gated.
        "compat/inspect_provider.py",
        "compat/llm_plugin.py",
        "compat/memories_dev.py",
        "deliberation/people.py",
        "graph/council.py",
        "graph/served.py",
        "runs/follow.py",
        "seams/langgraph.py",
        "ui/other_answers.py",
        "ui/pages/revote.py",
    }
    assert "metered_request" in (ROOT / "nodes/painter.py").read_text("utf-8")


@pytest.mark.parametrize("budget", [None, {"seconds": 60}, {"calls": 60}])
async def test_where_no_limit_asks_for_it_no_length_is_sent(stage: Stage, budget: Any) -> None:
    seat(stage)
    await ask(desk(stage, **({"budget": budget} if budget else {})))
    assert len(stage.calls) == 7
    assert not any("max" in name for call in stage.calls for name in call.body)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_reserved_length_is_sent_under_the_vendors_name(
    stage: Stage, vendor: str
) -> None:
    stage.model("m-1", reply=Reply("42", usage=(9, 3)))
    council = vendor_council(stage, vendor, price=PRICE)
    account = Account(SpendingLimits(tokens=1_000))
    with charge_to(account):
        reply = await speak(resolve_model(council, "m"), [HumanMessage("What is 6 x 7?")])
    (call,) = stage.calls
    lengths = [
        value
        for name, value in {**call.body, **call.body.get("options", {})}.items()
        if name in ("max_tokens", "max_completion_tokens", "max_output_tokens", "num_predict")
    ]
    assert lengths
    assert all(100 < value < 1_000 for value in lengths)
    assert account.spent.tokens == reply.usage.tokens == 12
    assert not reply.usage.estimated


@pytest.mark.parametrize("vendor", ["responses", "anthropic", "deepseek"])
async def test_a_first_request_that_is_given_up_before_it_left_is_not_counted(
    stage: Stage, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDKs look up in a thread where they run, within the first request of each client."""
    begun, go_on = threading.Event(), threading.Event()
    module = import_module("anthropic" if vendor == "anthropic" else "openai")._base_client
    look_up = module.get_platform

    def slow() -> Any:
        begun.set()
        go_on.wait(60)
        return look_up()

    monkeypatch.setattr(module, "get_platform", slow)
    stage.model("m-1", reply="42")
    account = Account(SpendingLimits(calls=5))
    with charge_to(account):
        asking = asyncio.create_task(
            speak(resolve_model(vendor_council(stage, vendor), "m"), [HumanMessage("6 x 7?")])
        )
    assert await asyncio.to_thread(begun.wait, 60)
    asking.cancel()
    await asyncio.wait({asking})
    go_on.set()
    assert (account.spent.calls, stage.calls) == (0, [])


async def test_a_reply_that_does_not_say_its_tokens_counts_as_reserved(stage: Stage) -> None:
    seat(stage)
    for script in stage.scripts.values():
        script.reply = Reply("The same.", usage=None)
    status = (await ask(desk(stage, **NO_VOTE, budget={"tokens": 90_000})))["status"]
    assert status.usage.estimated
    assert (status.usage.tokens or 0) > sum(call.body["max_tokens"] for call in stage.calls)
    assert any("did not say" in note for note in status.notes)


async def test_a_server_that_takes_no_such_length_is_asked_with_another(stage: Stage) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        if body["max_tokens"] > 1_500:
            return Reply("max_tokens is too large: this model supports at most 1500", status=400)
        return Reply("42")

    stage.model("ada", reply=reply)
    with charge_to(Account(SpendingLimits(tokens=90_000))):
        await speak(resolve_alone(desk(stage).models["ada"]), [HumanMessage("6 x 7?")])
    assert [call.body["max_tokens"] for call in stage.calls] == [4096, 2048, 1024]


async def test_a_request_that_does_not_fit_goes_to_a_fallback_that_does(stage: Stage) -> None:
    seat(stage)
    models = {
        "ada": voice(stage, "ada", price={"input": 900, "output": 900}, fallbacks=["pen"]),
        **{name: voice(stage, name, price=PRICE) for name in ("boris", "clara", "pen")},
    }
    council = desk(stage, models=models, **NO_VOTE, budget={"usd": 0.3})
    status = (await ask(council))["status"]
    assert not stage.calls_to("ada")
    assert "Ada" in status.spoke
    assert 0 < (status.usage.usd or 0) <= 0.3


async def test_each_turn_with_tools_is_a_call_of_the_budget(stage: Stage) -> None:
    seat(stage)
    again = Reply(None, tool_calls=[{"name": "clock", "args": {}, "id": "c"}])
    stage.model("ada", reply=again)
    council = desk(stage, ("Ada",), **NO_VOTE, budget={"calls": 4})
    ada = council.characters[0].model_copy(update={"tools": ("clock",), "tool_calls": 9})
    council = council.model_copy(update={"characters": (ada,)})
    with pytest.raises(BudgetError):
        await ask(council)
    assert len(stage.calls_to("ada")) == 3, "one is kept for the answer"


async def test_pictures_and_their_further_tries_are_paid_for_or_not_asked(stage: Stage) -> None:
    seat(stage)
    stage.model("brush", always=Fault.status(500, retry_after=0))
    flat = {"input": 0, "output": 0, "picture": 0.04}
    models = {name: voice(stage, name, price=PRICE) for name in ("ada", "boris", "clara", "pen")}
    models["brush"] = voice(stage, "brush", price=flat, retries=5)

    def council(**budget: Any) -> Any:
        return desk(stage, models=models, painter={"model": "brush"}, budget=budget)

    status = (await ask(council(calls=3), "/image a cat"))["status"]
    assert len(stage.calls) == status.usage.calls == 3
    stage.clear()
    stage.model("brush")
    status = (await ask(council(usd=1.0), "/image a cat"))["status"]
    assert status.usage.usd is not None
    assert 0.04 < status.usage.usd < 0.05
    stage.clear()
    status = (await ask(council(usd=0.03), "/image a cat"))["status"]
    assert not stage.calls_to("brush")
    assert status.degraded


async def test_whoever_reads_the_question_leaves_calls_for_a_proposal_and_the_answer(
    stage: Stage,
) -> None:
    seat(stage)
    stage.model("reader", reply='{"restated": "Why?"}')
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen", "reader")}
    council = desk(stage, models=models, annotator={"model": "reader"}, budget={"calls": 2})
    status = (await ask(council))["status"]
    assert not stage.calls_to("reader")
    assert status.written_by == "pen"
    assert any("The annotator did not answer" in note for note in status.notes)


async def test_what_an_extension_asks_is_charged_also_where_its_time_is_over(stage: Stage) -> None:
    class Asks(Extension):
        nodes = ("annotator",)

        async def before(self, at: At) -> Change | None:
            for _ in range(20):
                await at.ask("ada", [HumanMessage("Hm?")])
            return None

    seat(stage)
    council = desk(stage, extensions=[{"use": "asks"}], budget={"calls": 9}, **NO_VOTE)
    result = await compile_council(council, extensions={"asks": Asks}).ainvoke(question())
    assert len(stage.calls) == result["status"].usage.calls <= 9
    stage.clear()
    stage.scripts["ada"].faults = [Fault.hang()]
    stage.scripts["ada"].asked = 0
    council = desk(stage, extensions=[{"use": "asks", "timeout": 0.5}], **NO_VOTE)
    result = await compile_council(council, extensions={"asks": Asks}).ainvoke(question())
    assert len(stage.calls) == result["status"].usage.calls == 5


async def test_a_probe_is_charged(stage: Stage) -> None:
    stage.model("ada")
    asker = Asker("ada", resolve_alone(desk(stage).models["ada"]), "standard")
    with charge_to(Account(SpendingLimits(calls=1))):
        await asker.ask_with_tools([HumanMessage("6 x 7?")], [])
        with pytest.raises(OverBudgetError):
            await asker.ask_with_tools([HumanMessage("6 x 7?")], [])
        with pytest.raises(ModelUnavailableError):
            await asker.ask([HumanMessage("6 x 7?")])
    assert len(stage.calls) == 1


async def test_whoever_is_cut_off_counts_as_often_as_was_asked(stage: Stage) -> None:
    seat(stage)
    stage.model("clara", faults=[Fault.status(500, retry_after=0)], always=Fault.hang())
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen")}
    models["clara"]["retries"] = 1
    rules = {"method": "none", "quorum": 0.6, "grace": 0.5}
    status = (await ask(desk(stage, models=models, deliberation=rules)))["status"]
    assert [(one.character, one.reason) for one in status.absent] == [("Clara", "late")]
    assert status.usage.calls == len(stage.calls) == 5


async def test_what_does_not_fit_is_left_out_in_order_and_named(stage: Stage) -> None:
    """Fewer rounds, then fewer ballots, then no vote, then fewer characters."""
    names = ("Ada", "Boris", "Clara", "Dmitri")
    rules = {"rounds": {"min": 2, "max": 2}}
    seen = []
    for calls in (17, 9, 8, 7, 6, 5, 4, 2):
        seat(stage, names)
        stage.clear()
        status = (await ask(desk(stage, names, deliberation=rules, budget={"calls": calls})))[
            "status"
        ]
        assert len(stage.calls) == status.usage.calls <= calls
        notes = " ".join(status.notes)
        seen.append((status.rounds, len(voting(stage.calls)), len(speaking(stage.calls)) - 1))
        assert ("no room for round 2 of 2" in notes) == (calls < 17)
        assert ("The vote was skipped" in notes) == (calls in (6, 5, 4))
        absent = {(one.stage, one.reason) for one in status.absent}
        assert (("vote", "budget") in absent) == (calls in (8, 7))
        assert (("character", "budget") in absent) == (calls < 5)
    assert seen == [
        *((2, 8, 8), (1, 4, 4), (1, 3, 4), (1, 2, 4)),
        *((1, 0, 4), (1, 0, 4), (1, 0, 3), (1, 0, 1)),
    ]


async def test_vectors_that_do_not_come_leave_time_for_the_answer(stage: Stage) -> None:
    seat(stage)
    stage.model("near", always=Fault.hang())
    models = {name: voice(stage, name) for name in ("ada", "boris", "clara", "pen")}
    models["near"] = voice(stage, "near", timeout=10)
    rules = {"method": "similarity", "likeness": {"model": "near"}}
    council = desk(stage, models=models, deliberation=rules, budget={"seconds": 2})
    status = (await ask(council))["status"]
    assert any("half of the question's time was over" in note for note in status.notes)
    assert status.degraded
    assert status.usage.calls == len(stage.calls)


IMPORTS_FOR_EVER = """
import time
from pathlib import Path

while not Path(__file__).with_name("enough").exists():
    time.sleep(0.01)
"""
ASKS = """
import asyncio, json, sys
from mom_council import load_council
from mom_council.graph.council import compile_council

graph = compile_council(load_council(json.loads(sys.argv[1])))
try:
    asyncio.run(graph.ainvoke({"messages": [{"role": "user", "content": "Why?"}]}))
except Exception as error:
    print(type(error).__name__, flush=True)
"""


def test_a_question_ends_in_time_though_a_library_is_still_imported(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "langchain_fireworks.py").write_text(IMPORTS_FOR_EVER)
    models = {name: voice(stage, name, provider="fireworks") for name in ("ada", "pen")}
    council = written(stage, ["Ada"], models=models, budget={"seconds": 0.5}, **NO_VOTE)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "FIREWORKS_API_KEY": "x"}
    command = [sys.executable, "-c", ASKS, json.dumps(council)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        try:
            assert asking.stdout.readline() == "BudgetError\n"
            assert asking.poll() is None, "it still imports"
        finally:
            (tmp_path / "enough").touch()
    assert stage.calls == []


async def test_a_runs_own_limit_of_dollars_needs_prices_too(stage: Stage) -> None:
    seat(stage)
    with pytest.raises(Exception, match="no price is known"):
        await ask(desk(stage), context=CouncilContext(max_usd=1))
    assert not stage.calls
