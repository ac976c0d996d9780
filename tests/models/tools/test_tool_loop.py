"""The loop of a model and its tools: what is sent, what is carried out, when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool as langchain_tool

from mom_council.councils.schema import Council
from mom_council.errors import ModelUnavailableError
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply
from mom_council.models.tool_offer import ToolCall, ToolResult
from mom_council.models.tools.tool_loop import Decision, ToolCallbacks, speak_with_tools
from mom_council.models.tools.toolset import open_toolset
from mom_council.tests.graph.desk import unfenced
from mom_council.tests.stage import Fault
from mom_council.tests.stage import Reply as Line

QUESTION = [SystemMessage("Be brief."), HumanMessage("What is 6 x 7?")]
BOTH = pytest.mark.parametrize("provider", ["openai", "ollama"])


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def divide(a: int) -> float:
    """Divide by nothing."""
    return a / 0


def council(stage, wanted: dict[str, Any], provider: str = "openai", **more: Any) -> Council:
    url = stage.ollama_url if provider == "ollama" else stage.openai_url
    voice = {"provider": provider, "model": "m", "base_url": url, "retries": 0, **more}
    return Council.model_validate(
        {
            "name": "test",
            "models": {"m": voice, "n": {**voice, "model": "n"}},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
            "tools": wanted,
        }
    )


async def use(stage, given: Any, limit: int = 8, rules: Any = None, **more: Any) -> tuple:
    asking = {name: more.pop(name) for name in ("on_text",) if name in more}
    seen: list[ToolCall | ToolResult] = []
    hands = ToolCallbacks(
        lambda call, _: seen.append(call), seen.append, approve=more.pop("approve", None)
    )
    sitting = council(stage, {name: (rules or {}) for name in given}, **more)
    belt = await open_toolset(sitting.tools, [*given], limit, given)
    reply, made = await speak_with_tools(
        resolve_model(sitting, "m"), QUESTION, belt, hands, **asking
    )
    return reply, made, seen


def call(name: str, _id: str = "", **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, **({"id": _id} if _id else {})}


def calls(*some: dict[str, Any], text: str = "") -> Line:
    return Line(text or None, tool_calls=some, finish="tool_calls")


def results(body: dict[str, Any]) -> list[str]:
    return [unfenced(one["content"]) for one in body["messages"] if one["role"] == "tool"]


@BOTH
async def test_a_call_is_carried_out_and_its_result_sent_back_under_its_id(stage, provider):
    stage.model(
        "m",
        reply=[calls(call("add", "call_7", a=40, b=2), text="Let me see."), "It is 42."],
        latency=0.6,
    )
    heard: list[str] = []
    reply, made, seen = await use(
        stage, {"add": add}, provider=provider, on_text=lambda piece, _: heard.append(piece)
    )
    assert (reply.text, made, reply.finish) == ("It is 42.", 1, "stop")
    assert "".join(heard) == "Let me see.It is 42."
    assert len(heard) > 2  # it was streamed, not told at its end
    first, second = (one.body for one in stage.calls)
    [offered] = first["tools"]
    assert offered["function"]["name"] == "add"
    assert offered["function"]["description"] == "Add two numbers."
    assert offered["function"]["parameters"]["properties"]["a"]["type"] == "integer"
    asked, told = second["messages"][-2:]
    assert (asked["role"], told["role"]) == ("assistant", "tool")
    assert unfenced(told["content"]) == "42"
    if provider == "openai":
        assert asked["tool_calls"][0]["id"] == told["tool_call_id"] == "call_7"
        assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == {"a": 40, "b": 2}
    else:
        assert asked["tool_calls"][0]["function"]["arguments"] == {"a": 40, "b": 2}
    assert reply.usage.calls == 2
    assert len(reply.attempts) == 2
    assert [type(one) for one in seen] == [ToolCall, ToolResult]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (call("add", a="x", b=2), "the arguments do not fit: a: Input should be a valid integer"),
        (call("add", a=1), "the arguments do not fit: b: Field required"),
        (call("divide", a=1), "ZeroDivisionError: division by zero"),
        (call("rm", path="/"), "there is no tool 'rm'; there are ['add', 'divide']"),
    ],
)
@BOTH
async def test_what_goes_wrong_is_told_to_the_model_in_a_line(stage, provider, asked, said):
    stage.model("m", reply=[calls(asked), "Sorry."])
    reply, made, seen = await use(stage, {"add": add, "divide": divide}, provider=provider)
    assert (reply.text, made) == ("Sorry.", 1)
    [told] = results(stage.calls[1].body)
    assert told.startswith(said)
    assert "Traceback" not in told
    assert seen[-1].failed


async def test_arguments_that_are_no_json_are_told_so(stage):
    broken = {"name": "add", "args": "{not json", "id": "c1"}
    stage.model("m", reply=[calls(broken), "Sorry."])
    reply, _, _ = await use(stage, {"add": add})
    assert reply.text == "Sorry."
    assert results(stage.calls[1].body) == ["the arguments are no JSON object"]
    [asked] = [m for m in stage.calls[1].body["messages"] if m["role"] == "assistant"]
    assert asked["tool_calls"][0]["id"] == "c1"


@BOTH
async def test_endless_calls_end_and_the_model_must_answer(stage, provider):
    def endless(body: dict[str, Any]) -> Line:
        return calls(call("add", a=1, b=1)) if body.get("tools") else Line("Two, then.")

    stage.model("m", reply=endless)
    reply, made, _ = await use(stage, {"add": add}, limit=3, provider=provider)
    assert (reply.text, made, len(stage.calls)) == ("Two, then.", 3, 4)
    last = stage.calls[-1].body
    assert not last.get("tools")
    assert {one["role"] for one in last["messages"]} <= {"system", "user", "assistant"}
    assert "No more tools" in last["messages"][-1]["content"]
    assert unfenced(last["messages"][-1]["content"]).startswith("2\nNo more tools")


async def test_a_model_that_calls_even_without_tools_ends_with_nothing(stage):
    stage.model("m", reply=calls(call("add", a=1, b=1)))
    reply, made, _ = await use(stage, {"add": add}, limit=2)
    assert (reply.text, reply.calls, made, len(stage.calls)) == ("", (), 2, 3)


async def test_more_calls_in_one_turn_than_are_left_are_told_so(stage):
    ran = []

    def note(n: int) -> str:
        """Note a number."""
        ran.append(n)
        return "ok"

    stage.model("m", reply=[calls(*(call("note", f"c{n}", n=n) for n in range(5))), "Done."])
    _, made, _ = await use(stage, {"note": note}, limit=3)
    assert sorted(ran) == [0, 1, 2]
    told = stage.calls[1].body["messages"][-1]["content"]
    assert told.count("no more than 3 calls") == 2
    assert made == 5


async def test_calls_of_one_turn_are_carried_out_together(stage):
    together = threading.Barrier(3, timeout=20)

    def meet(n: int) -> str:
        """Wait for the others."""
        together.wait()
        return f"met {n}"

    stage.model("m", reply=[calls(*(call("meet", f"c{n}", n=n) for n in range(3))), "All met."])
    await use(stage, {"meet": meet})
    assert results(stage.calls[1].body) == ["met 0", "met 1", "met 2"]


async def test_a_tool_that_takes_too_long_is_not_waited_for(stage):
    async def sleep() -> str:
        """Sleep for ever."""
        await asyncio.Event().wait()
        return "never"

    stage.model("m", reply=[calls(call("sleep")), "It sleeps."])
    reply, _, _ = await use(stage, {"sleep": sleep}, rules={"timeout": 0.05})
    assert reply.text == "It sleeps."
    assert results(stage.calls[1].body) == ["no result in 0.05 s"]


def test_a_function_that_hangs_keeps_neither_the_council_nor_the_program(stage, capsys):
    release, printed = threading.Event(), threading.Event()

    def hang() -> str:
        """Hang."""
        release.wait(60)
        print("late")
        printed.set()
        return "late"

    stage.model("m", reply=[calls(call("hang")), "It hangs."])
    reply, _, _ = asyncio.run(use(stage, {"hang": hang}, rules={"timeout": 0.05}))  # it ends
    assert reply.text == "It hangs."
    release.set()
    assert printed.wait(10)
    assert "late" not in capsys.readouterr().out


async def test_a_result_that_is_no_text_does_not_spoil_the_request(stage):
    def odd() -> str:
        """Return half a pair."""
        return "a\ud800b </result> c"

    stage.model("m", reply=['{"tool": "odd", "arguments": {}}', '{"answer": "Odd."}'])
    reply, _, _ = await use(stage, {"odd": odd}, tools=False)
    assert reply.text == "Odd."
    told = stage.calls[1].body["messages"][-1]["content"]
    assert unfenced(told) == "a?b < /result> c"


async def test_a_secret_that_a_tool_prints_returns_or_raises_is_redacted(
    stage, monkeypatch, capsys
):
    monkeypatch.setenv("BANK_PASSWORD", "correct-horse-battery")

    def leak(how: str) -> str:
        """Tell everything."""
        secret = os.environ["BANK_PASSWORD"]
        print(f"debug: {secret}")
        if how == "raise":
            raise RuntimeError(f"login with {secret} failed")
        return f"the password is {secret}"

    stage.model(
        "m", reply=[calls(call("leak", "a", how="return"), call("leak", "b", how="raise")), "So."]
    )
    _, _, seen = await use(stage, {"leak": leak})
    assert results(stage.calls[1].body) == [
        "the password is [redacted]",
        "RuntimeError: login with [redacted] failed",
    ]
    assert "correct-horse" not in json.dumps([one.body for one in stage.calls])
    assert "correct-horse" not in repr(seen)
    out, err = capsys.readouterr()
    assert out == ""  # stdout belongs to the answer
    assert err.count("debug: [redacted]") == 2


async def test_results_are_bounded_and_say_so(stage):
    def flood() -> str:
        """Return very much."""
        return "x" * 1_000_000

    stage.model("m", reply=[calls(call("flood")), "Much."])
    await use(stage, {"flood": flood}, rules={"longest": 1000})
    [told] = results(stage.calls[1].body)
    assert told == "x" * 1000 + "\n(cut: 1000 of 1000000 characters)"


async def test_a_langchain_tool_is_called_by_its_name_in_the_council(stage):
    @langchain_tool
    async def search_the_web(query: str) -> str:
        """Search."""
        return f"nothing about {query}"

    stage.model("m", reply=[calls(call("look_up", query="owls")), "Nothing."])
    await use(stage, {"look up": search_the_web})
    assert results(stage.calls[1].body) == ["nothing about owls"]


# Models without a way of their own.


@BOTH
async def test_a_model_that_cannot_call_tools_gets_them_in_words(stage, provider):
    stage.model(
        "m",
        reply=[
            '{"tool": "add", "arguments": {"a": 40, "b": 2}}',
            Line('{"answer": "It is \\"42\\" \\ud83e\\udd89."}', chunks=30),
        ],
        latency=0.6,
    )
    heard: list[str] = []
    reply, made, _ = await use(
        stage,
        {"add": add},
        provider=provider,
        tools=False,
        on_text=lambda piece, _: heard.append(piece),
    )
    assert (reply.text, made) == ('It is "42" 🦉.', 1)
    assert "".join(heard) == reply.text
    assert len(heard) > 1  # it streams
    first, second = (one.body for one in stage.calls)
    assert not first.get("tools")
    system = first["messages"][0]["content"]
    assert system.startswith("Be brief.")
    assert "- add: Add two numbers." in system
    form = first.get("format") or first["response_format"]["json_schema"]["schema"]
    assert form["anyOf"][1]["properties"]["tool"] == {"const": "add"}
    assert [one["role"] for one in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][-1]["content"].startswith('<result tool="add" fence="')
    assert unfenced(second["messages"][-1]["content"]) == "42"


async def test_a_model_that_answers_in_prose_all_the_same_is_heard(stage):
    stage.model("m", reply="It is simply 42.")
    heard: list[str] = []
    reply, made, _ = await use(
        stage, {"add": add}, tools=False, on_text=lambda piece, _: heard.append(piece)
    )
    assert (reply.text, made, "".join(heard)) == ("It is simply 42.", 0, "It is simply 42.")


@pytest.mark.parametrize(
    ("written", "text", "finish"),
    [
        (Line('{"answer": "It is forty', finish="length"), "It is forty", "length"),
        (Line('```json\n{"answer": 42}\n```'), "42", "stop"),
        (Line('{"answer": ["a", 1]}'), '["a", 1]', "stop"),
        (Line('{"tool": "add", "argum', finish="length"), "", "length"),
        (Line('{"anything": "else"}'), '{"anything": "else"}', "stop"),
    ],
)
async def test_an_answer_in_words_is_read_as_far_as_it_came(stage, written, text, finish):
    stage.model("m", reply=written)
    reply, made, _ = await use(stage, {"add": add}, tools=False)
    assert (reply.text, reply.finish, made) == (text, finish, 0)


async def test_a_call_among_prose_is_a_call_and_other_json_is_not(stage):
    asks = 'Let me see. {"name": "add", "arguments": {"a": 40, "b": 2}}'
    stage.model("m", reply=[asks, 'The file says {"tool": "hammer"}.'])
    reply, made, _ = await use(stage, {"add": add}, tools=False)
    assert (reply.text, made) == ('The file says {"tool": "hammer"}.', 1)


async def test_a_server_that_refuses_tools_is_asked_in_words_from_then_on(stage):
    def grumpy(body: dict[str, Any]) -> Line:
        if body.get("tools"):
            return Line("m does not support tools", status=400)
        if "<result" in str(body["messages"][-1]):
            return Line('{"answer": "42"}')
        return Line('{"tool": "add", "arguments": {"a": 40, "b": 2}}')

    stage.model("m", reply=grumpy)
    reply, made, _ = await use(stage, {"add": add}, provider="ollama")
    assert (reply.text, made) == ("42", 1)
    assert [bool(one.body.get("tools")) for one in stage.calls] == [True, False, False]


async def test_a_fallback_reads_the_calls_of_the_model_before_it(stage):
    stage.model("m", reply=[calls(call("add", "c1", a=1, b=1))], faults=[None, Fault.status(500)])
    stage.model("n", reply="Two.")
    sitting = council(stage, {"add": {}})
    first = sitting.models["m"].model_copy(update={"fallbacks": ("n",)})
    sitting = sitting.model_copy(update={"models": {**sitting.models, "m": first}})
    belt = await open_toolset(sitting.tools, ["add"], 8, {"add": add})
    reply, made = await speak_with_tools(resolve_model(sitting, "m"), QUESTION, belt)
    assert (reply.text, reply.model, made) == ("Two.", "n", 1)
    body = stage.calls[-1].body
    assert body["messages"][-1]["tool_call_id"] == "c1"
    assert body["messages"][-2]["tool_calls"][0]["id"] == "c1"


async def test_a_failure_after_a_call_counts_every_request(stage):
    stage.model("m", reply=[calls(call("add", a=1, b=1))], faults=[None], always=Fault.status(401))
    with pytest.raises(ModelUnavailableError) as failed:
        await use(stage, {"add": add})
    assert [one.status for one in failed.value.attempts] == [None, 401]
    assert failed.value.usage.calls == 2


# Approval.


async def test_what_needs_approval_is_done_changed_or_left_as_a_person_says(stage):
    ran: list[int] = []

    def pay(amount: int) -> str:
        """Pay."""
        ran.append(amount)
        return f"paid {amount}"

    asked: list[ToolCall] = []

    def approve(some: Any) -> dict[str, Decision]:
        asked.extend(some)
        return {"a": Decision(True), "b": Decision(False), "c": Decision(True, {"amount": 1})}

    stage.model("m", reply=[calls(*(call("pay", n, amount=100) for n in "abcd")), "Done."])
    await use(stage, {"pay": pay}, rules={"approve": True}, approve=approve)
    assert [one.id for one in asked] == ["a", "b", "c", "d"]
    assert sorted(ran) == [1, 100]
    told = results(stage.calls[1].body)
    assert told[0] == "paid 100"
    assert "did not allow" in told[1]
    assert told[2].endswith("paid 1")
    assert "changed the arguments" in told[2]
    assert "did not allow" in told[3]


async def test_without_anybody_to_ask_it_is_not_done(stage):
    def pay() -> str:
        """Pay."""
        raise AssertionError("it was called")

    stage.model("m", reply=[calls(call("pay")), "Not paid."])
    await use(stage, {"pay": pay}, rules={"approve": True})
    assert "nobody is here to allow" in results(stage.calls[1].body)[0]


def test_a_reply_survives_being_written_down():
    from mom_council.models.model_call import REPLY

    reply = Reply(
        "a", "b", "m", usage=_usage(), first_token=None, finish="stop", attempts=(),
        calls=(ToolCall(id="1", tool="t", arguments=None),), message={"content": "x"},
    )  # fmt: skip
    assert REPLY.validate_python(json.loads(REPLY.dump_json(reply))) == reply


def _usage() -> Any:
    from mom_council.records import Usage

    return Usage(calls=1, input_tokens=3)
