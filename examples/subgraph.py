"""The council as one node of a larger graph: the two share `messages`, and nothing else."""

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from mom_council import council


def proofread(state: MessagesState) -> MessagesState:
    """Work on what the council said."""
    answer = state["messages"][-1]
    return {"messages": [AIMessage(f"The council says: {answer.text}")]}


parent = StateGraph(MessagesState)
parent.add_node("council", council("demo"))
parent.add_node(proofread)
parent.add_edge(START, "council")
parent.add_edge("council", "proofread")
parent.add_edge("proofread", END)
graph = parent.compile()

result = graph.invoke({"messages": [("user", "Is 7 greater than 3?")]})
print(result["messages"][-1].text)
