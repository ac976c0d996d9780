"""A person approves the council's answer before it goes out, or sends it back with a word."""

from typing import Literal

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from mom_council import council


def approve(state: MessagesState) -> Command[Literal["council", "__end__"]]:
    """Stop until a person has read the answer: `ok` lets it go, anything else is asked anew."""
    reply = interrupt({"may this go out?": state["messages"][-1].text})
    if reply == "ok":
        return Command(goto=END)
    return Command(goto="council", update={"messages": [HumanMessage(reply)]})


parent = StateGraph(MessagesState)
parent.add_node("council", council("demo"))
parent.add_node(approve)
parent.add_edge(START, "council")
parent.add_edge("council", "approve")
graph = parent.compile(InMemorySaver())  # the council uses its parent's checkpointer

thread = {"configurable": {"thread_id": "sums"}}
held = graph.invoke({"messages": [("user", "What is 17 + 25?")]}, thread)
print("The person reads:", held["__interrupt__"][0].value)

# Hours later, in another process with another checkpointer than this one in memory, if need be.
held = graph.invoke(Command(resume="And what is 42 + 1?"), thread)
print("The person reads:", held["__interrupt__"][0].value)

result = graph.invoke(Command(resume="ok"), thread)
print(len(result["messages"]), "messages, and the last goes out:", result["messages"][-1].text)
