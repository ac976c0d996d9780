"""What the council says while it works: typed events from LangGraph's custom stream."""

import asyncio

from mom_council import council, read_event


async def main() -> None:
    """Ask, and print what happens."""
    question = {"messages": [("user", "What is 17 + 25?")]}
    async for part in council("demo").astream(question, stream_mode="custom"):
        event = read_event(part)
        match event and event.kind:
            case "said":
                print(f"{event.speaker.name}: {event.text}")
            case "voted":
                print(f"{event.ballot.voter} votes for {event.ballot.choice}")
            case "missed":
                print(f"{event.absence.character} is absent: {event.absence.reason}")
            case "answered":
                print(f"Answer: {event.text}")


if __name__ == "__main__":
    asyncio.run(main())
