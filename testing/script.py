"""What a scripted model says, and how fast."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypedDict

from .faults import Fault

DEFAULT_CHUNKS = 4
"""Enough to be a stream, few enough that a benchmark measures its client and not us."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Its status is 200, or an error whose message is the text."""

    text: str | None
    reasoning: str = ""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    """Each with `name` and `args`, and an `id` where a test cares."""
    finish: str = "stop"
    usage: tuple[int, int] | Literal["estimated"] | None = "estimated"
    """Tokens read and written; None is a server that reports none."""
    counts_every_chunk: bool = False
    """OpenAI's protocol: whether each chunk says how many tokens it is so far."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: int | Sequence[str] | None = None
    """How a stream is cut: into so many pieces, or into exactly these."""
    refusal: str = ""
    picture: bytes | None = None
    """What stands for a picture's bytes; left out, one is drawn from the prompt."""

    def pieces(self, by_token: bool) -> list[str]:
        """The text as it is streamed; a token is a word with its following space."""
        text = self.text or ""
        if self.chunks is not None and not isinstance(self.chunks, int):
            return list(self.chunks)
        if isinstance(self.chunks, int):
            return _grouped(text, self.chunks)
        words = re.findall(r"\S+\s*|^\s+", text)
        return words if by_token else ["".join(some) for some in _grouped(words, DEFAULT_CHUNKS)]

    def tokens(self, body: Mapping[str, Any]) -> tuple[int, int] | None:
        """Tokens read and written; the estimate takes four characters for a token.

        A picture counts as 300 tokens, however many characters its base64 has.
        """
        if self.usage != "estimated":
            return self.usage
        contents = [message.get("content") or "" for message in body.get("messages") or ()]
        parts = [part for one in contents for part in (one if isinstance(one, list) else [one])]
        read = sum(1_200 if _is_picture(part) else len(str(part)) for part in parts)
        written = len(self.text or "") + len(self.reasoning)
        return read // 4 + 1, written // 4 + 1

    def spoiled_by(self, fault: Fault | None) -> Reply:
        """The answer as it is after a fault that changes only the answer."""
        if fault is None or not fault.in_the_answer:
            return self
        bare = replace(self, tool_calls=(), chunks=None)
        if fault.kind == "length":
            text = self.text or ""
            return replace(bare, text=text[: len(text) // 2], finish="length")
        if fault.kind == "refusal":
            return replace(bare, text=None, refusal=fault.message)
        if fault.kind == "content_filter":
            return replace(bare, text="", finish="content_filter")
        return replace(bare, text="" if fault.kind == "empty" else None)


def _is_picture(part: Any) -> bool:
    return isinstance(part, dict) and "image" in str(part.get("type"))


Line = str | Reply
Lines = Line | Sequence[Line] | Callable[[dict[str, Any]], Line]


@dataclass(slots=True)
class Script:
    """Everything written down for one model."""

    reply: Lines = "ok"
    """One answer, one for each call (the last repeats), or a function of the request body.

    The function runs on the stage's own thread: a blocking one blocks every model.
    """
    latency: float = 0.0
    """Seconds of the whole answer, spread over its chunks."""
    first_token: float | None = None
    """Seconds until the first chunk; left out, an even share of the latency."""
    tokens_per_second: float | None = None
    """A steady stream of words, in place of a latency."""
    faults: Sequence[Fault | None] = ()
    """What goes wrong in the first call, the second, ...; None is a call that goes well."""
    always: Fault | None = None
    """What goes wrong in every call after those."""
    hold: Callable[[dict[str, Any]], Awaitable[object]] | None = None
    """Awaited with the request body, on the stage's own loop, before anything is answered: for
    tests that wait for a condition, such as all calls being there."""
    load_seconds: float = 0.0
    """Ollama: what a call waits for when the model is not in memory."""
    size: int = 2_000_000_000
    parameters: str = "3.2B"
    family: str = "llama"
    quantization: str = "Q4_K_M"
    on_gpu: int | None = None
    """Bytes of a loaded model that are on the GPU; None: all of it."""
    context: int = 8192
    window: int | None = None
    """OpenAI's protocol: what `/v1/models` says of its window; None: nothing."""
    capabilities: Sequence[str] = ("completion", "tools")
    asked: int = 0
    """How many calls have been taken so far."""

    def __post_init__(self) -> None:
        if self.tokens_per_second and self.latency:
            raise ValueError("a script says either 'latency' or 'tokens_per_second', not both")

    def take(self, body: dict[str, Any]) -> tuple[Reply, Fault | None]:
        """The answer to the next call, and what goes wrong with it."""
        turn, self.asked = self.asked, self.asked + 1
        fault = self.faults[turn] if turn < len(self.faults) else self.always
        line = self.reply
        if callable(line):
            line = line(body)
        elif not isinstance(line, str | Reply):
            line = line[min(turn, len(line) - 1)]
        reply = line if isinstance(line, Reply) else Reply(line)
        return reply.spoiled_by(fault), fault

    def pace(self, chunks: int) -> list[float]:
        """When each chunk of an answer is due, in seconds after the call came in."""
        if not chunks:
            return []
        if self.tokens_per_second:
            step = 1 / self.tokens_per_second
            first = step if self.first_token is None else self.first_token
        else:
            first = self.latency / chunks if self.first_token is None else self.first_token
            step = max(self.latency - first, 0.0) / (chunks - 1) if chunks > 1 else 0.0
            if chunks == 1:
                first = max(first, self.latency)
        return [first + step * place for place in range(chunks)]


class ScriptFields(TypedDict, total=False):
    """What `Stage.model` takes besides the reply: `Script`'s fields, for the type checker."""

    latency: float
    first_token: float | None
    tokens_per_second: float | None
    faults: Sequence[Fault | None]
    always: Fault | None
    hold: Callable[[dict[str, Any]], Awaitable[object]] | None
    load_seconds: float
    size: int
    parameters: str
    family: str
    quantization: str
    on_gpu: int | None
    context: int
    window: int | None
    capabilities: Sequence[str]


def read_script(written: Mapping[str, Any]) -> Script:
    """A script as a JSON file writes it; a reply may be a mapping of `Reply`'s own fields."""
    fields = dict(written)
    lines = fields.get("reply", "ok")
    fields["reply"] = [_read_line(line) for line in (lines if isinstance(lines, list) else [lines])]
    fields["faults"] = [Fault.read(fault) for fault in fields.get("faults", ())]
    fields["always"] = Fault.read(fields.get("always"))
    return Script(**fields)


def _read_line(line: str | Mapping[str, Any]) -> Line:
    return line if isinstance(line, str) else Reply(**line)


def _grouped(whole: Any, parts: int) -> list[Any]:
    """A sequence in so many slices of nearly equal length, none empty."""
    parts = min(max(parts, 1), len(whole))
    return [whole[len(whole) * n // parts : len(whole) * (n + 1) // parts] for n in range(parts)]
