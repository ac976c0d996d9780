"""The stage: a real HTTP server of ours on which scripted models answer.

It speaks the protocols of OpenAI, Ollama, Anthropic, Mistral, DeepSeek and Cohere, with the
latencies, answers and faults a test or a benchmark wrote down for each model, and keeps what every
model was actually sent::

    with Stage() as stage:
        stage.model("quick", reply="42", latency=0.2, faults=[Fault.status(429, retry_after=0.1)])
        ...  # a client is pointed at stage.openai_url or stage.ollama_url
        assert stage.calls_to("quick")[0].body["temperature"] == 0
"""

from .faults import Fault
from .log import Call
from .memory import Load
from .script import Reply, Script
from .server import Stage

__all__ = ["Call", "Fault", "Load", "Reply", "Script", "Stage"]
