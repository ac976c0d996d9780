"""Mixture of Models: a council of language models that answers one question together.

    from mom_council import council

    answer = council("demo").invoke({"messages": [("user", "What is 17 + 25?")]})
    answer["messages"][-1].content, answer["status"].verdict

Names are loaded when they are used, so that `import mom_council` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mom_council.councils.loader import load_council
    from mom_council.councils.schema import Council
    from mom_council.deliberation.context import CouncilContext
    from mom_council.deliberation.events import read_event
    from mom_council.errors import MixtureError
    from mom_council.graph.council import build_graph, council
    from mom_council.records import Ballot, Proposal, Status, Verdict
    from mom_council.runs.chat_model import ChatCouncil
    from mom_council.runs.checkpoints import open_checkpointer
    from mom_council.runs.follow import resume
    from mom_council.runs.front import (
        AsyncCouncilStream,
        CouncilAnswer,
        CouncilStream,
        aask,
        ask,
        astream,
        stream,
        what_if,
    )
    from mom_council.voting.ballots import read_ballot
    from mom_council.voting.candidates import Candidate
    from mom_council.voting.reading.answer import Answer
    from mom_council.voting.reading.reader import read_answer, same_answer

_HOMES = {
    "Answer": "voting.reading.answer",
    "AsyncCouncilStream": "runs.front",
    "Ballot": "records",
    "Candidate": "voting.candidates",
    "ChatCouncil": "runs.chat_model",
    "Council": "councils.schema",
    "CouncilAnswer": "runs.front",
    "CouncilContext": "deliberation.context",
    "CouncilStream": "runs.front",
    "MixtureError": "errors",
    "Proposal": "records",
    "Status": "records",
    "Verdict": "records",
    "aask": "runs.front",
    "ask": "runs.front",
    "astream": "runs.front",
    "build_graph": "graph.council",
    "council": "graph.council",
    "load_council": "councils.loader",
    "open_checkpointer": "runs.checkpoints",
    "read_answer": "voting.reading.reader",
    "read_ballot": "voting.ballots",
    "read_event": "deliberation.events",
    "resume": "runs.follow",
    "same_answer": "voting.reading.reader",
    "stream": "runs.front",
    "what_if": "runs.front",
}

__all__ = [
    "Answer",
    "AsyncCouncilStream",
    "Ballot",
    "Candidate",
    "ChatCouncil",
    "Council",
    "CouncilAnswer",
    "CouncilContext",
    "CouncilStream",
    "MixtureError",
    "Proposal",
    "Status",
    "Verdict",
    "aask",
    "ask",
    "astream",
    "build_graph",
    "council",
    "load_council",
    "open_checkpointer",
    "read_answer",
    "read_ballot",
    "read_event",
    "resume",
    "same_answer",
    "stream",
    "what_if",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home at its first use."""
    if name == "__version__":
        from importlib.metadata import version

        return version("mom-council")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted([*globals(), *__all__])
