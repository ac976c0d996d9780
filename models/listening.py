"""One answer as it comes: text, thoughts, tokens counted, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from mom_council.models.reasoning import Thoughts
from mom_council.models.usage import Meter

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessageChunk

Finish = Literal["stop", "length", "broken", "refused", "filtered"]

_FINISHES: dict[str, Finish] = {
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "filtered",
    "content_filtered": "filtered",
    "safety": "filtered",
    "error_toxic": "filtered",
    "refusal": "refused",
    "error": "broken",
    "timeout": "broken",
}
"""What providers call it when an answer ends otherwise than by itself."""


class ListenerError(Exception):
    """`on_text` itself failed: the caller's error, not the model's. Its cause is the error."""


class Ear:
    """Hears one answer, chunk by chunk.

    Attributes:
        refusal: the model's own words for declining.
        finish: how the answer ended; None while it has not.
        id: LangChain's own of the message whose chunks are heard.
    """

    def __init__(self, on_text: Callable[[str, bool], None] | None, meter: Meter) -> None:
        self._meter = meter
        self._thoughts = Thoughts(_guarded(on_text) if on_text else None)
        self._begun = False
        self.refusal = ""
        self.finish: Finish | None = None
        self.id = ""
        self.notes: list[str] = []
        """What its provider has to say about it, such as that the prompt was too long."""
        self.calling = False
        """Whether it asks for a tool."""

    @property
    def text(self) -> str:
        """What was said."""
        return self._thoughts.text

    @property
    def reasoning(self) -> str:
        """What was thought."""
        return self._thoughts.reasoning

    def hear(self, chunk: BaseMessageChunk) -> bool:
        """Take in a chunk; whether the answer has begun."""
        self.id = chunk.id or self.id
        more = chunk.additional_kwargs
        if more and isinstance(thought := more.get("reasoning_content"), str):
            self._think(thought)
        content = chunk.content
        if isinstance(content, str):
            if content:
                self._begun = True
                self._thoughts.hear(content)
        else:
            for block in content:
                self._hear_block(block)
        if more and (refusal := more.get("refusal")):
            self.refusal += refusal
        if getattr(chunk, "tool_call_chunks", None):
            self._begun = self.calling = True
        if usage := getattr(chunk, "usage_metadata", None):
            self._meter.read(usage)
            # Usage comes with an answer's end: some servers never say anything else about it.
            self.finish = self.finish or "stop"
        if meta := chunk.response_metadata:
            self._read_ending(meta)
        return self._begun

    def close(self) -> None:
        """The answer is over, or broken off."""
        self._thoughts.close()

    def _hear_block(self, block: Any) -> None:
        if isinstance(block, str):
            block = {"type": "text", "text": block}
        kind = block.get("type")
        if kind in ("text", "text_delta", None):
            said = block.get("text") or ""
            self._begun = self._begun or bool(said)
            self._thoughts.hear(said)
        elif kind in ("thinking", "reasoning"):
            self._think(_thought(block))
        elif kind == "refusal":
            self.refusal += block.get("refusal") or ""

    def _think(self, thought: str) -> None:
        if thought:
            self._begun = True
            self._thoughts.think(thought)

    def _read_ending(self, meta: dict[str, Any]) -> None:
        if isinstance(note := meta.get("note"), str):
            self.notes.append(note)
        reason = (
            meta.get("finish_reason")
            or meta.get("stop_reason")
            or meta.get("done_reason")
            or (meta.get("incomplete_details") or {}).get("reason")
        )
        if reason:
            self.finish = _FINISHES.get(str(reason).lower(), "stop")
        elif meta.get("done") or meta.get("status") == "completed":
            self.finish = self.finish or "stop"


def _guarded(on_text: Callable[[str, bool], None]) -> Callable[[str, bool], None]:
    def tell(piece: str, reasoning: bool) -> None:
        try:
            on_text(piece, reasoning)
        except Exception as error:
            raise ListenerError from error

    return tell


def _thought(block: dict[str, Any]) -> str:
    """A thought of any provider: a text, or a list of parts."""
    told = block.get("thinking") or block.get("reasoning") or block.get("summary") or ""
    if isinstance(told, list):
        return "".join(str(part.get("text") or "") for part in told if isinstance(part, dict))
    return str(told)
