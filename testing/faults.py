"""What a scripted model can do wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "status", "bad_gateway", "reset", "hang", "stall", "truncated", "error_in_stream",
    "malformed", "garbage", "empty", "null", "refusal", "content_filter", "length",
]  # fmt: skip

MID_STREAM = frozenset({"reset", "stall", "truncated", "error_in_stream", "malformed"})
ANOTHER_ANSWER = frozenset({"empty", "null", "refusal", "content_filter", "length"})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing going wrong in one call. `Fault.hang()` and its like read better than this."""

    kind: Kind
    code: int = 500
    """The HTTP status of a `status` fault."""
    error: str = ""
    """The vendor's error code in the body; left out, the usual one of the status."""
    message: str = ""
    retry_after: float | None = None
    after: int = 0
    """How many chunks are sent first; of an answer that is not streamed, half the body is."""
    body: str = ""
    """The whole body of a `status` fault, in place of the vendor's usual one."""
    delay: float = 0.0
    """Seconds before the fault shows; a mid-stream fault keeps to the model's own pace."""

    @classmethod
    def read(cls, written: str | Mapping[str, Any] | None) -> Fault | None:
        """A fault as a script file writes it: `"hang"`, or `{"kind": "status", "code": 429}`."""
        if written is None:
            return None
        return cls(written) if isinstance(written, str) else cls(**written)  # type: ignore[arg-type]

    @classmethod
    def status(
        cls,
        code: int,
        *,
        retry_after: float | None = None,
        error: str = "",
        message: str = "",
        body: str = "",
        delay: float = 0.0,
    ) -> Fault:
        """An HTTP error with a JSON body in the vendor's shape, or with exactly this body."""
        return cls("status", code, error, message, retry_after, body=body, delay=delay)

    @classmethod
    def bad_gateway(cls, *, delay: float = 0.0) -> Fault:
        """A proxy's 502 with an HTML page."""
        return cls("bad_gateway", 502, delay=delay)

    @classmethod
    def reset(cls, *, after: int = 0, delay: float = 0.0) -> Fault:
        """The connection is reset: before any answer, or after so many chunks of it."""
        return cls("reset", after=after, delay=delay)

    @classmethod
    def hang(cls) -> Fault:
        """Nothing ever comes, not even headers."""
        return cls("hang")

    @classmethod
    def stall(cls, *, after: int = 1) -> Fault:
        """The answer begins and then nothing more comes; the connection stays open."""
        return cls("stall", after=after)

    @classmethod
    def truncated(cls, *, after: int = 1) -> Fault:
        """The answer ends cleanly but early: no finish reason, no usage, no end mark."""
        return cls("truncated", after=after)

    @classmethod
    def error_in_stream(cls, *, after: int = 1, message: str = "") -> Fault:
        """The stream carries an error in place of its rest; unstreamed it is a plain 500."""
        return cls("error_in_stream", after=after, message=message)

    @classmethod
    def malformed(cls, *, after: int = 0) -> Fault:
        """The JSON envelope breaks off in the middle."""
        return cls("malformed", after=after)

    @classmethod
    def garbage(cls) -> Fault:
        """A 200 whose body is bytes without meaning."""
        return cls("garbage")

    @classmethod
    def empty(cls) -> Fault:
        """A well-formed answer of no text."""
        return cls("empty")

    @classmethod
    def null(cls) -> Fault:
        """A well-formed answer whose content is null."""
        return cls("null")

    @classmethod
    def refusal(cls, message: str = "I can't help with that.") -> Fault:
        """The model declines: OpenAI's own field for it; on Ollama just its text."""
        return cls("refusal", message=message)

    @classmethod
    def content_filter(cls) -> Fault:
        """The vendor's filter cut the answer: finish reason `content_filter`, no text."""
        return cls("content_filter")

    @classmethod
    def length(cls) -> Fault:
        """The answer met its token limit: its first half, finish reason `length`."""
        return cls("length")

    @property
    def mid_stream(self) -> bool:
        """Whether part of the answer is sent before the fault shows."""
        return self.kind in MID_STREAM and (self.kind != "reset" or self.after > 0)

    @property
    def in_the_answer(self) -> bool:
        """Whether the answer comes in good form, and only what it says is wrong."""
        return self.kind in ANOTHER_ANSWER
