"""Two councils in one parent: they answer side by side, and a node puts their answers together."""

from langchain_core.messages import AIMessage
from langgraph.graph import END, START, MessagesState, StateGraph

from mom_council import council, load_council

quick = load_council("demo").model_copy(update={"name": "quick"})
rules = quick.deliberation.model_copy(update={"method": "none"})
careless = quick.model_copy(update={"name": "careless", "deliberation": rules})


def compare(state: MessagesState) -> MessagesState:
    """Say who said what; each answer carries the label of its council."""
    answers = [m for m in state["messages"] if "council" in m.response_metadata]
    lines = [f"{m.response_metadata['council']['name']}: {m.text}" for m in answers]
    return {"messages": [AIMessage("\n".join(sorted(lines)))]}


parent = StateGraph(MessagesState)
parent.add_node("quick", council(quick))
parent.add_node("careless", council(careless))
parent.add_node(compare)
parent.add_edge(START, "quick")
parent.add_edge(START, "careless")
parent.add_edge(["quick", "careless"], "compare")
parent.add_edge("compare", END)

result = parent.compile().invoke({"messages": [("user", "What is 17 + 25?")]})
print(result["messages"][-1].text)
