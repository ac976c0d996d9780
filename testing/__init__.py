"""For the tests of programs that embed a council: no key, no network, no model.

Scripted models inside the test's own process::

    from mom_council.testing import scripted_council

    desk = scripted_council("home", answers={"Ada": "A cat."}, final="A cat, they say.")
    desk.invoke("Which pet?")["messages"][-1].text

A real HTTP server on which scripted models answer (the extra `testing`). It speaks the protocols
of OpenAI, Ollama, Anthropic, Mistral, DeepSeek and Cohere, with the latencies, answers and faults
that a test or a benchmark wrote down for each model, and keeps what every model was sent::

    with Stage() as stage:
        stage.model("quick", reply="42", latency=0.2, faults=[Fault.status(429, retry_after=0.1)])
        ...  # a client is pointed at stage.openai_url or stage.ollama_url
        assert stage.calls_to("quick")[0].body["temperature"] == 0

`pytest_plugins = ["mom_council.testing.plugin"]` gives the fixture `council_stage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .faults import Fault
from .log import Call
from .script import Reply, Script

if TYPE_CHECKING:
    from .memory import Load
    from .models import ScriptedModel
    from .replies import ballot_for, candidates_in, character_reply, scripted_council
    from .server import Stage

_HOMES = {
    "Load": "memory",
    "ScriptedModel": "models",
    "Stage": "server",
    "ballot_for": "replies",
    "candidates_in": "replies",
    "character_reply": "replies",
    "scripted_council": "replies",
}

__all__ = [
    "Call",
    "Fault",
    "Load",
    "Reply",
    "Script",
    "ScriptedModel",
    "Stage",
    "ballot_for",
    "candidates_in",
    "character_reply",
    "scripted_council",
]


def __getattr__(name: str) -> Any:
    """Load what needs a library (aiohttp, LangChain) when it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
