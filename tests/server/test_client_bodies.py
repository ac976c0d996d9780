"""Bodies as chat programs send them, written anew from what their public source says."""

from __future__ import annotations

from typing import Any

import pytest

from mom_council.tests.graph.desk import desk, said, seat
from mom_council.tests.server.conftest import Serve
from mom_council.tests.stage import Stage

pytestmark = pytest.mark.slow

ASKED = {"role": "user", "content": "Which pet?"}
TOOL = {
    "type": "function",
    "function": {"name": "read_file", "description": "Reads.", "parameters": {"type": "object"}},
}
BODIES: dict[str, tuple[dict[str, Any], set[str]]] = {
    # open-webui/open-webui, backend/open_webui/utils/payload.py
    "Open WebUI": (
        {
            "model": "desk",
            "stream": True,
            "messages": [{"role": "system", "content": "Be kind."}, ASKED],
            "temperature": 0.8,
            "top_p": 0.9,
            "max_tokens": 128,
            "frequency_penalty": 1.1,
            "seed": 42,
            "stop": ["END"],
            "min_p": 0.0,
            "chat_id": "c",
            "features": {"web_search": False},
        },
        {"min_p", "chat_id", "features"},
    ),
    # continuedev/continue, core/llm/openaiTypeConverters.ts
    "Continue": (
        {
            "model": "desk",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Which pet?"}]},
                {"role": "assistant", "content": " "},
                ASKED,
            ],
            "max_tokens": 4096,
            "temperature": 0.5,
            "frequency_penalty": 0,
            "presence_penalty": 0,
            "stream": True,
            "stop": ["a", "b", "c", "d", "e"],
            "tools": [{**TOOL, "function": {**TOOL["function"], "strict": None}}],  # type: ignore[dict-item]
        },
        {"stop"},
    ),
    # cline/cline, src/api/providers/openai.ts
    "Cline": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "You are Cline."}, ASKED],
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        set(),
    ),
    # What LM Studio's own examples send.
    "LM Studio": (
        {
            "model": "desk",
            "messages": [{"role": "system", "content": "Rhyme."}, ASKED],
            "temperature": 0.7,
            "max_tokens": -1,
            "stream": False,
        },
        {"max_tokens"},
    ),
}


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_chat_programs_body_is_answered(stage: Stage, serve: Serve, name: str) -> None:
    body, left_out = BODIES[name]
    seat(stage)
    answer = serve(desk(stage)).post(body)
    assert answer.status_code == 200, answer.text
    assert "the council says" in answer.text.replace('"},"', "").lower() or body["stream"]
    assert set(answer.headers.get("x-mom-ignored", "").split(", ")) - {""} == left_out
    sent = stage.calls_to("pen")[0].body
    assert "Which pet?" in said(sent)
    for field in ("temperature", "top_p", "frequency_penalty", "seed"):
        assert sent.get(field) == body.get(field), field
