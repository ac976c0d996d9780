"""The council as a tool: an agent decides when a question deserves more than one opinion."""

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from mom_council import council

desk = council("demo")


@tool
async def ask_the_council(question: str) -> str:
    """Ask several language models that vote on one answer."""
    result = await desk.ainvoke({"messages": [("user", question)]})
    return result["messages"][-1].text


# With a model of yours: langchain.agents.create_agent("openai:gpt-5-mini", [ask_the_council]).
# Here a node stands in for the model that calls the tool, so that the example needs none.
def agent(_: MessagesState) -> MessagesState:
    """Call the tool, as a model would."""
    call = {"name": "ask_the_council", "args": {"question": "What is 17 + 25?"}, "id": "1"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


graph = StateGraph(MessagesState)
graph.add_node(agent)
graph.add_node("tools", ToolNode([ask_the_council]))
graph.add_edge(START, "agent")
graph.add_edge("agent", "tools")
graph.add_edge("tools", END)


async def main() -> None:
    """Run the agent once."""
    result = await graph.compile().ainvoke({"messages": [("user", "Ask around.")]})
    print(result["messages"][-1].content)


if __name__ == "__main__":
    import asyncio

    asyncio.run(main())
