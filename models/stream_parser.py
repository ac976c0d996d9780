"""Reading one streamed reply: thoughts apart from text, tokens, its end, and the answer in JSON.

Some providers send thoughts in a field of their own; others leave `<think> ... </think>` in the
text. Some chat templates put the opening tag into the prompt, so only the closing one arrives: then
what was taken for text turns out to have been thought, and `ThoughtSplitter` moves it over. A block
counts only at the beginning of a reply, where models put it. A tag further on is the model talking
about tags.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from mom_council.models.prices import Meter
from mom_council.models.wire import Delta
from mom_council.redaction import StreamRedactor, redact_known
from mom_council.voting.reading import visible_text

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk, BaseMessage, BaseMessageChunk

_TAGS = ("think", "thinking", "thought", "reasoning")
_OPENING = tuple(f"<{tag}>" for tag in _TAGS)
_CLOSING = tuple(f"</{tag}>" for tag in _TAGS)
_LONE = "</think>"
"""The only closing tag that templates are known to leave on its own."""

OnText = Callable[[str, bool], None]
"""Called with a piece and whether it is reasoning."""


class ThoughtSplitter:
    """Splits one reply as its pieces arrive; a tag may be cut anywhere between two pieces.

    Attributes:
        text: what was said, complete after `close`.
        reasoning: what was thought, complete after `close`.
    """

    def __init__(self, tell: OnText | None = None) -> None:
        self._tell = tell
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._held = ""
        self._half = ""
        self._closing = ""
        self._step = self._begin

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """What was thought so far."""
        return "".join(self._reasoning)

    def add_thought(self, piece: str) -> None:
        """A piece that the provider itself marked as reasoning."""
        self._emit(piece, True)

    def feed(self, piece: str) -> None:
        """A piece of the reply's text, tags and all."""
        self._step(self._held + piece if self._held else piece)

    def close(self) -> None:
        """The reply is over: what was held back as a possible tag is none."""
        held, self._held = self._held, ""
        self._emit(held, self._step == self._inside)
        half, self._half = self._half, ""
        self._emit("\ufffd" if half else "", False)

    def _begin(self, piece: str) -> None:
        start = piece.lstrip()
        tag = next((tag for tag in _OPENING if start.startswith(tag)), None)
        if tag:
            self._held, self._step = "", self._inside
            self._closing = _CLOSING[_OPENING.index(tag)]
            self._inside(start[len(tag) :])
        elif any(tag.startswith(start) for tag in _OPENING):
            self._held = piece
        else:
            self._held, self._step = "", self._open
            self._open(piece)

    def _inside(self, piece: str) -> None:
        thought, tag, rest = piece.partition(self._closing)
        if tag:
            self._held, self._step = "", self._after
            self._emit(thought, True)
            self._after(rest)
        else:
            self._hold(piece, self._closing, reasoning=True)

    def _after(self, piece: str) -> None:
        """Drop the blank lines between the thought and the answer."""
        text = piece.lstrip()
        if text:
            self._step = self._plain
            self._plain(text)

    def _open(self, piece: str) -> None:
        """Text, unless a lone closing tag shows that it was thought."""
        if "<" not in piece:
            self._held = ""
            self._emit(piece, False)
            return
        thought, tag, rest = piece.partition(_LONE)
        if not tag:
            self._hold(piece, _LONE, reasoning=False)
        elif (thought or self.text)[-1:] == "`":
            # Quoted: the reply is about the tag.
            self._held, self._step = "", self._plain
            self._plain(piece)
        else:
            self._held, self._step = "", self._after
            self._reasoning += [*self._text, thought]
            self._text = []
            self._after(rest)

    def _plain(self, piece: str) -> None:
        self._emit(piece, False)

    def _hold(self, piece: str, tag: str, *, reasoning: bool) -> None:
        """Emit all but a tail that may be the beginning of the tag."""
        keep = next((n for n in range(len(tag) - 1, 0, -1) if piece.endswith(tag[:n])), 0)
        self._held = piece[len(piece) - keep :]
        self._emit(piece[: len(piece) - keep], reasoning)

    def _emit(self, piece: str, reasoning: bool) -> None:
        if piece and (self._half or not piece.isascii()):
            piece = self._join_halves(piece)
        if not piece:
            return
        (self._reasoning if reasoning else self._text).append(piece)
        if self._tell:
            self._tell(piece, reasoning)

    def _join_halves(self, piece: str) -> str:
        """The piece with the half letter before it; half of a letter alone is no text."""
        piece, self._half = self._half + piece, ""
        if "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        if _HALF_LETTER.search(piece):
            piece = piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return piece


_HALF_LETTER = re.compile("[\ud800-\udfff]")
"""Some servers cut a letter that takes two units of UTF-16, between two pieces of a reply."""

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


MOST_PARTS = 1000
"""Tool calls and other parts of one reply: whoever joins them takes time with their square."""
LONGEST_ANSWER = 1_000_000
"""Characters of one reply with its thoughts: twice what the largest models write at once."""
_LONGEST_REFUSAL = 10_000
"""Characters; a piece that reaches beyond them is the last."""


class StreamParser:
    """Hears one answer, chunk by chunk.

    A key of ours that a server repeats goes no further: not to the reader, not into state, and not
    to the vendors of the other members.

    Attributes:
        refusal: the model's own words for declining.
        finish: how the answer ended; None while it has not.
        id: LangChain's own of the message whose chunks are heard.
    """

    def __init__(self, on_text: Callable[[str, bool], None] | None, meter: Meter) -> None:
        self._meter = meter
        self._thoughts = ThoughtSplitter(_guard_listener(on_text) if on_text else None)
        self._text_redactor = StreamRedactor()
        self._thought_redactor = StreamRedactor()
        self.has_begun = False
        """Whether there is some of an answer, or a thought."""
        self._visible: str | None = None
        self._counts_ended = False
        """Whether the token counts were the last thing that came."""
        self.refusal = ""
        self.pieces = 0
        self.finish: Finish | None = None
        self.id = ""
        self.notes: list[str] = []
        """What its provider has to say about it: that the prompt was too long, and was cut."""
        self.calling = False
        """Whether it asks for a tool."""
        self.overflows = False
        """Whether it is longer than anybody reads; what comes after `LONGEST_ANSWER` is dropped."""
        self._size = 0
        self._parts: set[object] = set()

    @property
    def text(self) -> str:
        """What was said; without thoughts and control tokens of other dialects once it is over."""
        return self._thoughts.text if self._visible is None else self._visible

    @property
    def reasoning(self) -> str:
        """What was thought."""
        return self._thoughts.reasoning

    def feed(self, chunk: BaseMessageChunk) -> bool:
        """Take in a chunk of LangChain's; whether the answer has begun."""
        self.id = chunk.id or self.id
        more = chunk.additional_kwargs
        thought = more.get("reasoning_content")
        self.feed_delta(
            Delta(
                chunk.content,
                thought if isinstance(thought, str) else "",
                more.get("refusal") or "",
                bool(getattr(chunk, "tool_call_chunks", None)),
                getattr(chunk, "usage_metadata", None),
            )
        )
        self._count_parts(chunk)
        if meta := chunk.response_metadata:
            self._read_ending(meta)
        return self.has_begun

    def _count_parts(self, chunk: BaseMessageChunk) -> None:
        """Bound what nobody hears: tools' arguments, and parts that are empty."""
        for call in getattr(chunk, "tool_call_chunks", None) or ():
            self._parts.add((call.get("index"), call.get("id")))
            self._within_limit(call.get("args") or "")
        if isinstance(chunk.content, list):
            self._parts |= {str(b.get("index")) for b in chunk.content if isinstance(b, dict)}
        if len(self._parts) > MOST_PARTS:
            self.overflows = True

    def feed_delta(self, delta: Delta) -> bool:
        """Take in some of a reply; whether the answer has begun."""
        content, thought, refusal, calling, usage, finish, pieces = delta
        self.pieces += pieces if content or thought else 0
        if usage or content:
            self._counts_ended = bool(usage) and not (content and self.has_begun)
        if thought:
            self._think(thought)
        if isinstance(content, str):
            if content:
                self.has_begun = True
                self._hear(content)
        else:
            for block in content:
                self._feed_block(block)
        if refusal:
            self._refuse(refusal)
        if calling:
            self.has_begun = self.calling = True
        if usage:
            self._meter.read(usage)
        if finish:
            self.finish = _FINISHES.get(finish.lower(), "stop")
        return self.has_begun

    def close(self) -> None:
        """The answer is over, or broken off."""
        if self._counts_ended:
            self.finish = self.finish or "stop"
        if self.overflows:
            self.finish = "length"
        if thought := self._thought_redactor.close():
            self._thoughts.add_thought(thought)
        if text := self._text_redactor.close():
            self._thoughts.feed(text)
        self._thoughts.close()
        answer = self._thoughts.text
        visible = visible_text(answer)
        if not any(map(_can_be_seen, visible)):
            visible = ""  # an answer of letters that nobody sees is none
        # Whole, it may hold a key that was cut by blanks, which no piece of it holds.
        self._visible = redact_known(answer if visible == answer.strip() else visible)

    def _hear(self, piece: str) -> None:
        if text := self._text_redactor.feed(self._within_limit(piece)):
            self._thoughts.feed(text)

    def _within_limit(self, piece: str) -> str:
        left = max(0, LONGEST_ANSWER - self._size)
        self._size += len(piece)
        self._meter.heard += len(piece)
        if len(piece) <= left:
            return piece
        self.overflows = True
        return piece[:left]

    def _feed_block(self, block: Any) -> None:
        if isinstance(block, str):
            block = {"type": "text", "text": block}
        kind = block.get("type")
        if kind in ("text", "text_delta", None):
            text = block.get("text") or ""
            self.has_begun = self.has_begun or bool(text)
            self._hear(text)
        elif kind in ("thinking", "reasoning"):
            self._think(_thought(block))
        elif kind == "refusal":
            self._refuse(block.get("refusal") or "")

    def _refuse(self, piece: str) -> None:
        """Take in some of a refusal, as much of it as anybody reads."""
        if len(self.refusal) < _LONGEST_REFUSAL:
            self.refusal = redact_known(self.refusal + self._within_limit(piece))
        else:
            self.overflows = True

    def _think(self, thought: str) -> None:
        if thought:
            self.has_begun = True
            if thought := self._thought_redactor.feed(self._within_limit(thought)):
                self._thoughts.add_thought(thought)

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


def _can_be_seen(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cf", "Cc", "Zs", "Zl", "Zp", "Cn")


def _guard_listener(on_text: Callable[[str, bool], None]) -> Callable[[str, bool], None]:
    def tell(piece: str, reasoning: bool) -> None:
        try:
            on_text(piece, reasoning)
        except Exception as error:
            raise ListenerError from error

    return tell


def _thought(block: dict[str, Any]) -> str:
    """A thought of any provider: a text, or a list of parts."""
    thought = block.get("thinking") or block.get("reasoning") or block.get("summary") or ""
    if isinstance(thought, list):
        return "".join(str(part.get("text") or "") for part in thought if isinstance(part, dict))
    return str(thought)


_ANSWER_OPENING = re.compile(r'\s*(?:```(?:json)?\s*)?\{\s*"answer"\s*:\s*"')


class AnswerReader:
    """Takes what a model writes and tells the answer in it. Call it as any listener."""

    def __init__(self, tell: Callable[[str, bool], None]) -> None:
        self._tell = tell
        self._held = ""
        self._way: str = "unknown"

    def __call__(self, piece: str, reasoning: bool) -> None:
        """Take some more of it."""
        if reasoning or self._way == "prose":
            self._tell(piece, reasoning)
            return
        self._held += piece
        if self._way == "unknown":
            self._choose()
        if self._way == "answer":
            self._say()

    def _choose(self) -> None:
        start = self._held.lstrip()
        if opening := _ANSWER_OPENING.match(self._held):
            self._way, self._held = "answer", self._held[opening.end() :]
        elif start and not start.startswith(("{", "`")):
            self._way = "prose"
            self._tell(self._held, False)

    def _say(self) -> None:
        end, over = _complete(self._held)
        escaped, self._held = self._held[:end], self._held[end:]
        if escaped:
            try:
                text = json.loads(f'"{escaped}"', strict=False)
            except ValueError:
                text = escaped
            self._tell(text, False)
        if over:
            self._way = "over"


def answer_in(written: str) -> str:
    """The answer in a reply, as far as it came."""
    pieces: list[str] = []
    AnswerReader(lambda piece, _: pieces.append(piece))(written, False)
    return "".join(pieces)


def _complete(written: str) -> tuple[int, bool]:
    """How far a JSON string is whole: up to its closing quote, or to an escape that is cut."""
    at = 0
    while at < len(written):
        if written[at] == '"':
            return at, True
        if written[at] != "\\":
            at += 1
            continue
        length = 2 if written[at + 1 : at + 2] != "u" else 6
        if length == 6 and written[at + 2 : at + 4].lower() in ("d8", "d9", "da", "db"):
            length = 12  # the first half of a pair
        if at + length > len(written):
            return at, False
        at += length
    return at, False


def message_as_chunk(message: BaseMessage) -> AIMessageChunk:
    """A piece of a reply; a model that does not stream gives the whole message as one."""
    from langchain_core.messages import AIMessageChunk

    if isinstance(message, AIMessageChunk):
        return message
    values = message.model_dump(exclude={"type", "invalid_tool_calls"})
    return AIMessageChunk(**values)
