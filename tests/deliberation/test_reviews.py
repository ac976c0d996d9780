"""Interrupts and answers in the shape of LangChain's human-in-the-loop, and of Agent Inbox."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from langchain.agents.middleware.human_in_the_loop import (
    ActionRequest,
    ApproveDecision,
    EditDecision,
    HITLRequest,
    HITLResponse,
    RejectDecision,
    RespondDecision,
    ReviewConfig,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from pydantic import TypeAdapter

from mom_council.deliberation.ask_model import read_decisions
from mom_council.deliberation.context import CouncilContext
from mom_council.deliberation.interrupts import HumanDecision, read_choice, read_reviews
from mom_council.deliberation.people import read_reply
from mom_council.graph.council import compile_council
from mom_council.models.tool_offer import ToolCall
from mom_council.models.tools.tool_loop import Decision
from mom_council.tests.deliberation.test_asking_with_tools import (
    CONFIG,
    Till,
    armed,
    calling,
)
from mom_council.tests.deliberation.test_people import with_a_person
from mom_council.tests.graph.desk import desk, question, seat
from mom_council.tests.stage import Fault, Reply, Stage

APPROVE: ApproveDecision = {"type": "approve"}
REJECT: RejectDecision = {"type": "reject", "message": "too dear"}
RESPOND: RespondDecision = {"type": "respond", "message": "It was paid yesterday."}


def edit(**args: Any) -> EditDecision:
    return {"type": "edit", "edited_action": {"name": "pay", "args": args}}


def decisions(*made: Any) -> HITLResponse:
    return {"decisions": list(made)}


def is_drawn(value: Any) -> bool:
    """Agent Chat UI's own test (src/lib/agent-inbox-interrupt.ts): else it draws raw JSON."""
    actions, configs = value.get("action_requests"), value.get("review_configs")
    return (
        bool(actions)
        and bool(configs)
        and all(isinstance(a["name"], str) and isinstance(a["args"], dict) for a in actions)
        and all(
            isinstance(c["action_name"], str) and isinstance(c["allowed_decisions"], list)
            for c in configs
        )
    )


def as_langchain_has_it(value: Any) -> HITLRequest:
    """The request by LangChain's own types; a missing key or a wrong type raises."""
    actions = [{k: v for k, v in a.items() if k != "arguments"} for a in value["action_requests"]]
    request = {"action_requests": actions, "review_configs": value["review_configs"]}
    for typ, ones in ((ActionRequest, actions), (ReviewConfig, value["review_configs"])):
        for one in ones:
            assert set(one) <= set(get_type_hints(typ))
    return TypeAdapter(HITLRequest).validate_python(request)


@pytest.mark.parametrize(
    ("reply", "reviews"),
    [
        (decisions(APPROVE), [HumanDecision("approve")]),
        (APPROVE, [HumanDecision("approve")]),
        (
            decisions(REJECT, APPROVE),
            [HumanDecision("reject", text="too dear"), HumanDecision("approve")],
        ),
        (decisions(edit(a=1)), [HumanDecision("edit", name="pay", args={"a": 1})]),
        (decisions(RESPOND), [HumanDecision("respond", text="It was paid yesterday.")]),
        ([{"type": "accept", "args": None}], [HumanDecision("approve")]),
        ([{"type": "accept", "args": {"action": "pay", "args": {}}}], [HumanDecision("approve")]),
        ([{"type": "ignore", "args": None}], [HumanDecision("reject")]),
        ([{"type": "response", "args": " wait "}], [HumanDecision("comment", text="wait")]),
        (
            [{"type": "edit", "args": {"action": "pay", "args": {"a": 1}}}],
            [HumanDecision("edit", name="pay", args={"a": 1})],
        ),
        (decisions({"type": "edit"}), [HumanDecision("reject")]),
        (decisions(), None),
        (decisions(APPROVE, "yes"), None),
        ({"type": "whatever"}, None),
        ({"text": "B"}, None),
        ("yes", None),
        (True, None),
        (None, None),
        (["yes"], None),
    ],
)
def test_answers_of_every_client_are_read(reply: Any, reviews: Any) -> None:
    read = read_reviews(reply)
    assert read == (None if reviews is None else tuple(reviews))


CALL = ToolCall(id="c", tool="pay", arguments={"amount": 7, "to": "7"})


@pytest.mark.parametrize(
    ("reply", "decided"),
    [
        (decisions(APPROVE), Decision(True)),
        (decisions(REJECT), Decision(False, reason="too dear")),
        (decisions(RESPOND), Decision(False, answer="It was paid yesterday.")),
        # A form gives texts back: what was a number is one again, what was a text stays one.
        (decisions(edit(amount="1", to="8")), Decision(True, {"amount": 1, "to": "8"})),
        (decisions(edit(amount="7", to="7")), Decision(True)),
        (decisions(edit(amount="x")), Decision(True, {"amount": "x"})),
        ([{"type": "response", "args": "no money"}], Decision(False, reason="no money")),
    ],
)
def test_a_decision_about_a_call(reply: Any, decided: Decision) -> None:
    assert read_decisions(reply, [CALL]) == {"c": decided}


def test_a_call_of_another_tool_is_not_made() -> None:
    other = {"type": "edit", "edited_action": {"name": "drop", "args": {}}}
    assert not read_decisions(decisions(other), [CALL])["c"].allowed


def test_decisions_stand_in_the_order_of_the_calls_and_may_be_fewer() -> None:
    calls = [CALL, CALL.model_copy(update={"id": "d"})]
    assert read_decisions(decisions(APPROVE), calls) == {"c": Decision(True)}
    both = read_decisions(decisions(REJECT, APPROVE), calls)
    assert [both[one].allowed for one in ("c", "d")] == [False, True]


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        (decisions(APPROVE), "ask_again"),
        (decisions(REJECT), "give_up"),
        (
            decisions(
                {
                    "type": "edit",
                    "edited_action": {"name": "ask_again", "args": {"choice": "go_on"}},
                }
            ),
            "go_on",
        ),
        ([{"type": "accept", "args": None}], "ask_again"),
        ([{"type": "ignore", "args": None}], "give_up"),
        ([{"type": "response", "args": "Go on"}], "go_on"),
        ([{"type": "response", "args": "this is useless"}], "give_up"),
        ("go_on", "go_on"),
        ({"choice": "give_up"}, "give_up"),
        (None, "ask_again"),
    ],
)
def test_a_choice_at_a_pause(reply: Any, choice: str) -> None:
    assert read_choice(reply, ("ask_again", "go_on")) == choice


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (
            decisions(
                {"type": "edit", "edited_action": {"name": "answer", "args": {"text": " A cat. "}}}
            ),
            "A cat.",
        ),
        (decisions({"type": "respond", "message": "A cat."}), "A cat."),
        ([{"type": "response", "args": "A cat."}], "A cat."),
        (decisions(REJECT), ""),
        ([{"type": "ignore", "args": None}], ""),
        ("A cat.", "A cat."),
        ({"vote": "B"}, '{"vote": "B"}'),
    ],
)
def test_what_a_person_says(reply: Any, text: str) -> None:
    assert read_reply(reply) == text


async def interrupt_of(graph: Any, graph_input: Any, **options: Any) -> Any:
    await graph.ainvoke(graph_input, CONFIG, **options)
    [one] = (await graph.aget_state(CONFIG)).interrupts
    assert is_drawn(one.value)
    return one.value


async def test_calls_of_tools_are_drawn_and_each_of_them_is_decided(stage: Stage) -> None:
    seat(stage)
    two = [{"name": "pay", "args": {"amount": n}, "id": f"c{n}"} for n in (7, 9)]
    stage.model("ada", reply=[Reply(None, tool_calls=two), "Paid."])
    till = Till()
    graph = compile_council(armed(stage), InMemorySaver(), tools=till.given)
    value = await interrupt_of(graph, question())
    request = as_langchain_has_it(value)
    assert [one["args"] for one in request["action_requests"]] == [{"amount": 7}, {"amount": 9}]
    [config] = request["review_configs"]
    assert config["action_name"] == "pay"
    assert config["allowed_decisions"] == ["approve", "edit", "reject", "respond"]
    # Agent Inbox shows the first action alone, and answers for it alone: the other is asked anew.
    value = await interrupt_of(graph, Command(resume=[{"type": "accept", "args": None}]))
    assert [one["args"] for one in value["action_requests"]] == [{"amount": 9}]
    assert till.paid == []
    requests = len(stage.calls)
    result = await graph.ainvoke(Command(resume=decisions(edit(amount="1"))), CONFIG)
    assert sorted(till.paid) == [1, 7]
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert len(stage.calls) == requests + 2


async def test_the_model_reads_why_a_call_is_not_made(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("pay", amount=7), "Then not."])
    till = Till()
    graph = compile_council(armed(stage), InMemorySaver(), tools=till.given)
    await interrupt_of(graph, question())
    await graph.ainvoke(Command(resume=decisions(REJECT)), CONFIG)
    assert till.paid == []
    assert "a person did not allow this call, because: too dear" in str(
        stage.calls_to("ada")[-1].body
    )


async def test_a_person_answers_in_the_tools_place(stage: Stage) -> None:
    seat(stage)
    stage.model("ada", reply=[calling("pay", amount=7), "Good."])
    till = Till()
    graph = compile_council(armed(stage), InMemorySaver(), tools=till.given)
    await interrupt_of(graph, question())
    await graph.ainvoke(Command(resume=decisions(RESPOND)), CONFIG)
    assert till.paid == []
    assert "It was paid yesterday." in str(stage.calls_to("ada")[-1].body)


async def test_a_missed_quorum_is_drawn_with_its_choices(stage: Stage) -> None:
    seat(stage)
    stage.scripts["clara"].faults = [Fault.status(500)]
    graph = compile_council(desk(stage, deliberation={"minimum": 3}), InMemorySaver())
    request = as_langchain_has_it(await interrupt_of(graph, question()))
    [action] = request["action_requests"]
    assert (action["name"], action["args"]) == ("ask_again", {"choice": "ask_again"})
    assert "2 of 3 answered and 3 must" in action["description"]
    assert "Edit `choice` to 'go_on'" in action["description"]
    [config] = request["review_configs"]
    assert config["allowed_decisions"] == ["approve", "edit", "reject"]
    assert config["args_schema"]["properties"]["choice"]["enum"][-1] == "give_up"
    stage.clear()
    await graph.ainvoke(Command(resume=decisions(APPROVE)), CONFIG)
    assert len(stage.calls_to("clara")) == 2
    assert len(stage.calls_to("ada")) == 1


async def test_a_person_is_drawn_as_a_form_with_a_text(stage: Stage) -> None:
    seat(stage)
    graph = compile_council(with_a_person(stage), InMemorySaver())
    value = await interrupt_of(graph, question(), context=CouncilContext(people=True))
    [action] = as_langchain_has_it(value)["action_requests"]
    assert (action["name"], action["args"]) == ("answer", {"text": ""})
    assert "Ms K. is asked:" in action["description"]
    assert "What is the best pet?" in action["description"]
    said = {"type": "edit", "edited_action": {"name": "answer", "args": {"text": "A fish."}}}
    context = CouncilContext(people=True, max_rounds=1)
    await graph.ainvoke(Command(resume=decisions(said)), CONFIG, context=context)
    proposals = (await graph.aget_state(CONFIG)).values["proposals"]
    assert "A fish." in [one.text for one in proposals]


async def test_on_langgraphs_server_one_request_is_shown_at_a_time(stage: Stage) -> None:
    seat(stage)
    for name in ("ada", "boris"):
        stage.model(name, reply=[calling("pay", amount=7), f"{name} is done."])
    till = Till()
    graph = compile_council(armed(stage, ("Ada", "Boris")), InMemorySaver(), tools=till.given)

    def served(run: str) -> Any:
        return {"configurable": {"thread_id": "t", "assistant_id": "any", "run_id": run}}

    await graph.ainvoke(question(), served("1"))
    [first] = (await graph.aget_state(CONFIG)).interrupts
    requests = len(stage.calls)
    await graph.ainvoke(Command(resume={first.id: decisions(APPROVE)}), served("2"))
    [second] = (await graph.aget_state(CONFIG)).interrupts
    assert first.value["speaker"]["name"] != second.value["speaker"]["name"]
    assert till.paid == [7]
    result = await graph.ainvoke(Command(resume={second.id: decisions(REJECT)}), served("3"))
    assert till.paid == [7]
    assert result["status"].spoke == ("Ada", "Boris", "Clara")
    assert len(stage.calls) == requests + 2 + 1  # one more each, and the synthesizer
