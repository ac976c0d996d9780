"""A person sits in the council: speaks, votes, and is left out when nothing is said in time."""

import asyncio

from mom_council import build_graph, load_council, open_checkpointer
from mom_council.deliberation.people import PersonRequest, attend

desk = load_council("demo").model_dump()
desk["models"]["ann"] = {"provider": "human", "model": "Ann", "timeout": 30}
desk["characters"][0]["model"] = "ann"


async def ask(wanted: PersonRequest) -> str:
    """Ask the person; here a script stands in, a chat page or a message would do."""
    print(f"{wanted.speaker.name} ({wanted.name}) is to {wanted.speaker.node}")
    return "B" if wanted.speaker.node == "vote" else "It is 42.\nAnswer: 42"


async def nobody(wanted: PersonRequest) -> None:
    """Somebody who has gone for coffee: an absence, or in a vote an abstention."""


async def main() -> None:
    """Ask twice: with Ann at the table, and without."""
    question = {"messages": [("user", "What is 17 + 25?")]}
    async with open_checkpointer("memory:") as saver:
        graph = build_graph(load_council(desk)).compile(checkpointer=saver)
        for thread, person in (("with", ask), ("without", nobody)):
            config = {"configurable": {"thread_id": thread}}
            result = await attend(graph, question, config, person)
            absent = [(one.character, one.reason) for one in result["status"].absent]
            print("spoke:", ", ".join(result["status"].spoke), "absent:", absent)


if __name__ == "__main__":
    asyncio.run(main())
