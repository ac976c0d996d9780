"""The council inside an agent that a real request asks to call it."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from mom_council.graph.council import compile_council
from mom_council.tests.graph.desk import desk, question, said
from mom_council.tests.stage import Reply, Stage


def _agent(stage: Stage) -> Any:
    for name in ("ada", "boris", "clara"):
        stage.model(name, reply="It is 42.\nAnswer: 42")
    stage.model("pen", reply="The council says 42.")
    call = {"name": "ask_the_council", "args": {"question": "What is 17 + 25?"}, "id": "1"}
    stage.model("agent", reply=[Reply("", tool_calls=[call]), "They say 42."])
    sitting = compile_council(desk(stage))

    @tool
    async def ask_the_council(question: str) -> str:
        """Ask several language models that vote on one answer."""
        result = await sitting.ainvoke({"messages": [("user", question)]})
        return str(result["messages"][-1].text)

    model = ChatOpenAI(model="agent", base_url=stage.openai_url, api_key="none")
    return create_agent(model, [ask_the_council])


async def test_an_agent_asks_the_council_and_reads_its_answer(stage: Stage) -> None:
    result = await _agent(stage).ainvoke(question("Ask around: what is 17 + 25?"))
    assert result["messages"][-1].text == "They say 42."
    assert "The council says 42." in said(stage.calls_to("agent")[-1].body)
    assert "Ask around" not in said(stage.calls_to("ada")[0].body)
    assert "What is 17 + 25?" in said(stage.calls_to("ada")[0].body)
