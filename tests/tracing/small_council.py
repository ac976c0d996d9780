"""A graph of two characters and a synthesizer on real chat models, for tests of tracing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph

from mom_council.tests.stage import Stage

Node = Callable[[Any], Awaitable[Any]]
SECRET = "sk-planted-u7Qm2ZrT9xWc4LkVbN"


def voice(stage: Stage, model: str, **more: Any) -> ChatOpenAI:
    """A chat model on the stage; its key is the planted one."""
    return ChatOpenAI(
        model=model,
        base_url=stage.openai_url,
        api_key=SECRET,
        stream_usage=True,
        max_retries=0,
        **more,
    )


def small_council(
    stage: Stage, *, models: tuple[str, str, str] = ("quick", "deep", "quick")
) -> Any:
    """Characters side by side, then the synthesizer; compiled."""

    def speaker(name: str, model: str) -> Node:
        chat = voice(stage, model, model_kwargs={"user": SECRET})

        async def node(state: Any) -> Any:
            asked = chat.with_config(metadata={"character": name, "round": 1, "layer": 1})
            return {"messages": [await asked.ainvoke(state["messages"])]}

        return node

    graph: Any = StateGraph(MessagesState)
    for name, model in zip(("Analyst", "Skeptic", "synthesizer"), models, strict=True):
        graph.add_node(name, speaker(name, model))
    graph.add_edge(START, "Analyst")
    graph.add_edge(START, "Skeptic")
    graph.add_edge(["Analyst", "Skeptic"], "synthesizer")
    graph.add_conditional_edges("synthesizer", lambda _: END, [END])
    return graph.compile()
