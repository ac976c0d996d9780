"""Tools inside a run: told as events, approved by a person, done once whatever stops in between."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from rich.console import Console

from mom_council.cli.live import rows
from mom_council.councils.loader import load_council
from mom_council.deliberation.ask_model import read_decision
from mom_council.deliberation.context import CouncilContext
from mom_council.errors import CouncilError
from mom_council.graph.council import build_graph, compile_council
from mom_council.models.tools.tool_loop import Decision
from mom_council.runs.checkpoints import open_checkpointer
from mom_council.runs.follow import RunView, follow, resume
from mom_council.runs.words import call_in_words
from mom_council.tests.graph.desk import desk, question, seat, unfenced, voice
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.tracing.local import local_trace, wait_for_traces
from mom_council.tracing.store import TraceStore

CONFIG: Any = {"configurable": {"thread_id": "t"}}


class Till:
    """A till that counts what is paid out of it and looked up in it."""

    def __init__(self) -> None:
        self.paid: list[int] = []
        self.looked = 0

    def pay(self, amount: int) -> str:
        """Pay an amount."""
        self.paid.append(amount)
        return f"paid {amount}"

    def look(self) -> str:
        """Look what is in the till."""
        self.looked += 1
        return "100 in the till"

    @property
    def given(self) -> dict[str, Any]:
        return {"pay": self.pay, "look": self.look}


def calling(tool: str, text: str | None = None, **args: Any) -> Reply:
    return Reply(text, tool_calls=[{"name": tool, "args": args, "id": f"c_{tool}"}])


def armed(stage: Stage, who: tuple[str, ...] = ("Ada",), **changes: Any) -> Any:
    """A council in which some may look into the till and, if somebody allows it, pay."""
    tools = {"pay": {"approve": True}, "look": {}}
    plain = {"deliberation": {"method": "none", "rounds": {"min": 1, "max": 1}}}
    sitting = desk(stage, **{**plain, "tools": tools, **changes})
    armed = tuple(
        one.model_copy(update={"tools": ("look", "pay")}) if one.name in who else one
        for one in sitting.characters
    )
    return sitting.model_copy(update={"characters": armed})


async def test_calls_are_told_counted_and_part_of_the_answer(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("look", "Let me look."), "It holds 100."])
    till = Till()
    graph = compile_council(armed(stage), tools=till.given)
    view, kinds = RunView(), []
    async for event in follow(graph, question(), {}):
        view.take(event)
        kinds.append(event.kind)
    assert kinds.index("called") < kinds.index("returned")
    seated = view.rounds[0].seats[1, "Ada"]
    assert seated.text == "It holds 100."  # what it said before the call is no answer
    [returned] = seated.calls.values()
    assert (returned.tool, returned.text, returned.failed) == ("look", "100 in the till", False)
    assert seated.segment.tool_calls == 1
    assert seated.segment.usage.calls == 2
    assert view.status.usage.calls == len(stage.calls) == 2 + 1 + 1 + 1
    assert till.looked == 1
    assert "It holds 100." in str(stage.calls_to("pen")[0].body)


async def test_a_call_that_waits_for_a_person_says_so_until_it_is_allowed(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("look"), calling("pay", amount=7), "I have paid."])
    told = []
    async with open_checkpointer(str(tmp_path / "threads.db")) as saver:
        graph = compile_council(armed(stage), saver, tools=Till().given)
        view = RunView()
        for graph_input in (question(), Command(resume=True)):
            async for event in follow(graph, graph_input, CONFIG):
                view.take(event)
                if event.kind == "called":
                    told.append((event.tool, event.needs_approval))
            if len(told) == 2:
                *_, call = view.rounds[0].seats[1, "Ada"].calls.values()
                assert call_in_words(call) == "waits for a person's yes: pay"
                assert "waits for a person's yes: pay" in shown_rows(view)
    assert told[:2] == [("look", False), ("pay", True)]
    assert told[-1] == ("pay", False)
    *_, returned = view.rounds[0].seats[1, "Ada"].calls.values()
    assert returned.text == "paid 7"


def shown_rows(view: RunView) -> str:
    """The members' lines of the terminal."""
    console = Console(width=100, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(rows([*view.rounds[0].seats.values()], 100))
    return capture.get()


async def test_the_synthesizer_may_use_tools_too(stage: Stage) -> None:
    seat(stage)
    stage.model("pen", reply=[calling("calculator", expression="6 * 7"), "42, says the council."])
    sitting = desk(stage, synthesizer={"tools": ["calculator"]})
    result = await compile_council(sitting).ainvoke(question())
    assert result["messages"][-1].text == "42, says the council."
    assert unfenced(stage.calls_to("pen")[1].body["messages"][-1]["content"]) == "42"


async def test_two_who_ask_for_leave_are_each_asked_once_and_nothing_is_done_twice(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    for name in ("ada", "boris"):
        stage.model(name, reply=[calling("look"), calling("pay", amount=7), f"{name} is done."])
    till = Till()
    threads = str(tmp_path / "threads.db")
    async with open_checkpointer(threads) as saver:
        graph = compile_council(armed(stage, ("Ada", "Boris")), saver, tools=till.given)
        await graph.ainvoke(question(), CONFIG)
        waiting = (await graph.aget_state(CONFIG)).interrupts
    assert {one.value["speaker"]["name"] for one in waiting} == {"Ada", "Boris"}
    assert waiting[0].value["calls"] == [{"id": "c_pay", "tool": "pay", "arguments": {"amount": 7}}]
    assert (till.looked, till.paid) == (2, [])
    requests = len(stage.calls)
    assert requests == 2 + 2 + 1

    # Another sitting, as after a restart: Ada may pay, Boris may pay less.
    said: dict[str, Any] = {"Ada": "yes", "Boris": {"arguments": {"amount": 1}}}
    answers = {one.id: said[one.value["speaker"]["name"]] for one in waiting}
    async with open_checkpointer(threads) as saver:
        graph = compile_council(armed(stage, ("Ada", "Boris")), saver, tools=till.given)
        result = await graph.ainvoke(Command(resume=answers), CONFIG)
    assert (till.looked, sorted(till.paid)) == (2, [1, 7])
    assert len(stage.calls) == requests + 2 + 1  # one more each, and the synthesizer
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert result["status"].usage.calls == len(stage.calls)
    last = [str(stage.calls_to(name)[-1].body) for name in ("ada", "boris")]
    assert "paid 7" in last[0]
    assert "paid 1" in last[1]
    assert "c_pay" in last[0]


def test_a_synchronous_caller_is_asked_as_well(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("look"), calling("pay", amount=7), "Done."])
    till = Till()
    graph = compile_council(armed(stage), InMemorySaver(), tools=till.given)
    graph.invoke(question(), CONFIG)
    requests = len(stage.calls)
    result = graph.invoke(Command(resume="no"), CONFIG)
    assert (till.looked, till.paid, len(stage.calls)) == (1, [], requests + 2)
    assert "a person did not allow" in str(stage.calls_to("ada")[-1].body)
    assert result["status"].usage.calls == len(stage.calls)


async def test_where_nothing_is_kept_nobody_can_be_asked_and_it_is_not_done(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("pay", amount=7), "I could not."])
    till = Till()
    result = await compile_council(armed(stage), tools=till.given).ainvoke(question())
    assert till.paid == []
    assert "nobody is here to allow" in str(stage.calls_to("ada")[-1].body)
    assert result["status"].spoke == ("Ada", "Boris", "Clara")


async def test_where_a_caller_says_that_nobody_is_there_it_is_not_done(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("pay", amount=7), "I could not."])
    till = Till()
    graph = compile_council(armed(stage), InMemorySaver(), tools=till.given)
    result = await graph.ainvoke(question(), CONFIG, context=CouncilContext(can_ask=False))
    assert (till.paid, result["status"].spoke) == ([], ("Ada", "Boris", "Clara"))


async def test_a_call_stands_in_the_trace_under_its_speaker(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("look"), "It holds 100."])
    for saver in (None, InMemorySaver()):
        stage.scripts["ada"].asked = 0
        graph = compile_council(armed(stage), saver, tools=Till().given)
        with local_trace() as trace:
            await graph.ainvoke(question(), CONFIG)
        wait_for_traces()
        view = TraceStore().load(str(trace.id))
        assert view is not None
        [look] = [span for span in view.spans if span.kind == "tool"]
        assert (look.name, look.reply) == ("look", "100 in the till")
        above, names = {span.id: span for span in view.spans}, []
        while look.parent is not None:
            look = above[look.parent]
            names.append(look.name)
        assert "Ada" in names


async def test_turns_before_the_one_that_is_cut_off_are_charged(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("look"), "Slow."], faults=[None, Fault.hang()])
    rules = {"method": "none", "quorum": 0.6, "grace": 0.3}
    graph = compile_council(armed(stage, deliberation=rules), tools=Till().given)
    status = (await graph.ainvoke(question()))["status"]
    assert [(a.character, a.reason) for a in status.absent] == [("Ada", "late")]
    assert status.usage.calls == len(stage.calls) == 2 + 1 + 1 + 1


async def test_a_run_that_was_stopped_goes_on_where_its_tools_had_come_to(
    stage: Stage, tmp_path: Path
) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("look"), "Done."], faults=[None, Fault.hang()])
    till, threads = Till(), str(tmp_path / "threads.db")
    async with open_checkpointer(threads) as saver:
        graph = compile_council(armed(stage), saver, tools=till.given)
        running = asyncio.create_task(graph.ainvoke(question(), CONFIG))
        await asyncio.to_thread(stage.wait_for, 4, 30, started=True)
        running.cancel()
        await asyncio.wait({running})
    async with open_checkpointer(threads) as saver:
        graph = compile_council(armed(stage), saver, tools=till.given)
        result = await resume(graph, CONFIG)
    assert till.looked == 1
    assert len(stage.calls_to("ada")) == 3  # the one that hung is asked again, nothing else
    assert result["status"].spoke == ("Ada", "Boris", "Clara")


async def test_a_straggler_with_tools_is_let_go_and_its_connection_closed(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply="Slow.", latency=60)
    rules = {"method": "none", "quorum": 0.6, "grace": 0.05}
    sitting = armed(stage, deliberation=rules)
    graph = compile_council(sitting, InMemorySaver(), tools=Till().given)
    status = (await graph.ainvoke(question(), CONFIG))["status"]
    assert [(a.character, a.reason) for a in status.absent] == [("Ada", "late")]
    await asyncio.to_thread(stage.wait_for, len(stage.calls))
    assert [call.outcome for call in stage.calls_to("ada")] == ["client_left"]


async def test_a_model_that_fails_after_a_call_is_an_absence(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=calling("look"), faults=[None], always=Fault.status(500))
    graph = compile_council(armed(stage), InMemorySaver(), tools=Till().given)
    status = (await graph.ainvoke(question(), CONFIG))["status"]
    assert [(a.character, a.reason) for a in status.absent] == [("Ada", "failed")]
    assert status.usage.calls == len(stage.calls)


async def test_a_cached_council_asks_nothing_again_and_another_tool_set_misses(
    stage: Stage,
) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("look"), "It holds 100."])
    till = Till()
    sitting = armed(stage, cache={})
    await compile_council(sitting, tools=till.given).ainvoke(question())
    requests = len(stage.calls)
    again = await compile_council(sitting, tools=till.given).ainvoke(question())
    assert len(stage.calls) == requests
    assert again["status"].usage.calls == 0
    assert till.looked == 2  # a tool looks at the world as it is now

    def look(where: str) -> str:
        """Look."""
        return where

    stage.clear()
    await compile_council(sitting, tools={**till.given, "look": look}).ainvoke(question())
    assert [call.model for call in stage.calls][:1] == ["ada"]


def test_code_that_nobody_allowed_is_refused_before_anything_is_asked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat(stage)
    tools: dict[str, Any] = {"run": {"python": "os:system"}}
    with pytest.raises(CouncilError, match=r"MOM_TOOLS=os:system"):
        build_graph(desk(stage, tools=tools))
    monkeypatch.setenv("MOM_TOOLS", "shutil, mcp")
    with pytest.raises(CouncilError, match="not allowed here"):
        build_graph(desk(stage, tools=tools))
    server = {"files": {"mcp": {"command": ["sh", "-c", "touch /tmp/x"]}}}
    with pytest.raises(CouncilError, match="mcp:sh -c"):
        build_graph(desk(stage, tools=server))
    with pytest.raises(CouncilError, match="handed over in Python"):
        build_graph(desk(stage, tools={"mine": {}}))
    with pytest.raises(CouncilError, match="no key of `tools`"):
        build_graph(desk(stage), tools={"mine": print})
    monkeypatch.setenv("MOM_TOOLS", "os")
    build_graph(desk(stage, tools=tools))
    assert stage.calls == []


async def test_a_module_that_cannot_be_imported_is_an_absence_that_says_so(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat(stage)
    monkeypatch.setenv("MOM_TOOLS", "no_such_module")
    sitting = armed(stage, tools={"look": {"python": "no_such_module:look"}, "pay": {}})
    status = (await compile_council(sitting, tools={"pay": print}).ainvoke(question()))["status"]
    assert "cannot be imported" in status.absent[0].detail


def test_a_tool_that_is_not_in_the_council_is_an_unknown_name(stage: Stage) -> None:
    with pytest.raises(CouncilError, match="did you mean"):
        load_council(
            {
                "name": "x",
                "models": {"m": voice(stage, "m")},
                "characters": [{"name": "A", "model": "m", "tools": ["calculater"]}],
                "synthesizer": {"model": "m"},
            }
        )


@pytest.mark.parametrize(
    ("said", "decided"),
    [
        (True, Decision(True)),
        ("Yes", Decision(True)),
        ("no", Decision(False)),
        ("maybe", Decision(False)),
        (None, Decision(False)),
        (1, Decision(False)),
        ({"c": "yes"}, Decision(True)),
        ({"d": "yes"}, Decision(False)),
        ({"c": {"arguments": {"a": 1}}}, Decision(True, {"a": 1})),
        ({"arguments": {"a": 1}}, Decision(True, {"a": 1})),
        ([], Decision(False)),
    ],
)
def test_only_a_clear_yes_is_a_yes(said: Any, decided: Decision) -> None:
    assert read_decision(said, "c") == decided
