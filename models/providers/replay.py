"""The provider `replay`: recorded answers served as models, at no cost.

    quick: {provider: replay, model: gemma-2-9b-it, params: {recording: answers.jsonl.gz}}

A whole graph runs on it. The question is found in the prompt word for word, on lines of its own;
a question that the recording does not hold is an error. What a model has been asked beyond its
answer was not recorded, so it does what follows from the answer:

- as a character it says what was recorded (the text, else `Answer: ...`), whatever others said;
- as a voter it names the candidates whose canonical answer equals its own, and else abstains;
- as the synthesizer it gives the proposal that leads the vote as the answer, word for word;
- as the annotator it restates nothing, and calls a question with recorded answers closed.

A recorded answer of null is silence: the character is absent, as `empty`. Tokens are told where
they were recorded; the recorded price is for measurements to read, since a replay costs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from mom_council.councils.recording import (
    RecordedAnswer,
    RecordedQuestion,
    RecordingError,
    load_recording,
)
from mom_council.errors import CouncilError, UnknownNameError
from mom_council.models.providers import Opening
from mom_council.voting.reading import are_same, read_answer

_CANDIDATE = re.compile(r'<candidate label="(\w+)"[^>]*>\n(.*?)\n</candidate\b', re.DOTALL)
_PROPOSAL = re.compile(
    r'<proposal number="(\d+)"(?:[^>]*? support="(\d+))?[^>]*>\n(.*?)\n</proposal\b', re.DOTALL
)
_LEADS = re.compile(r"^The vote: proposal (\d+)\b.*?\bleads\b", re.MULTILINE)
_SUPPORTED = re.compile(r"^Answer \d+ \((\d+)[^)\n]*\): ", re.MULTILINE)
_PIECE = 400  # characters of a chunk
_BALLOTS = ("scores", "approved", "ranking", "vote")


def open_chat(opening: Opening) -> BaseChatModel:
    """The recorded model of the file that `params["recording"]` names.

    Raises:
        CouncilError: there is no such file, or it is no recording.
        UnknownNameError: nobody of that name was recorded.
    """
    model, path = opening.spec.model, opening.params.get("recording")
    if not isinstance(path, str) or not path:
        raise CouncilError(
            f"replay of {model!r} needs `params: {{recording: FILE}}`, a file of recorded answers"
        )
    try:
        questions = load_recording(path)
    except RecordingError as error:
        raise CouncilError(str(error)) from None
    models = dict.fromkeys(name for question in questions for name in question.models)
    if model not in models:
        raise UnknownNameError(f"{path!r} has no answers of {model!r}; it has those of {[*models]}")
    return ReplayChat(model=model, recording=path)


class Index:
    """Finds which recorded question a prompt holds."""

    def __init__(self, questions: Sequence[RecordedQuestion]) -> None:
        self._by_first_line: dict[str, list[tuple[str, RecordedQuestion]]] = {}
        for question in questions:
            text = question.question.strip()
            first = text.partition("\n")[0].strip()
            self._by_first_line.setdefault(first, []).append((text, question))

    def find(self, prompt: str) -> RecordedQuestion | None:
        """The recorded question that stands in a prompt on lines of its own; the longest of them.

        Of questions with the same words, the one whose options stand there too.
        """
        matches: list[tuple[int, int, int, RecordedQuestion]] = []
        at = 0
        for line in prompt.split("\n"):
            for start in (at, at + len("Question: ")) if line.startswith("Question: ") else (at,):
                first = prompt[start : at + len(line)].strip()
                for text, question in self._by_first_line.get(first, ()):
                    begin = start + len(prompt[start:]) - len(prompt[start:].lstrip())
                    rest = prompt[begin + len(text) :]
                    if prompt.startswith(text, begin) and not rest.split("\n", 1)[0].strip():
                        options = sum(option in rest for option in question.options or ())
                        matches.append((len(text), options, -begin, question))
            at += len(line) + 1
        return max(matches, key=lambda one: one[:3])[3] if matches else None


_INDEXES: dict[int, tuple[tuple[RecordedQuestion, ...], Index]] = {}


def _index(questions: tuple[RecordedQuestion, ...]) -> Index:
    """The index of a loaded recording, made once."""
    held = _INDEXES.get(id(questions))
    if held is None or held[0] is not questions:
        if len(_INDEXES) >= 8:
            _INDEXES.clear()
        held = _INDEXES[id(questions)] = (questions, Index(questions))
    return held[1]


class ReplayChat(BaseChatModel):
    """A recorded model. Pure: the same prompt gets the same reply."""

    model: str
    recording: str
    _index: Index = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Read the recording, where nobody has."""
        super().model_post_init(context)
        self._index = _index(load_recording(self.recording))

    @property
    def _llm_type(self) -> str:
        return "replay"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "recording": self.recording}

    def reply(self, messages: Sequence[BaseMessage]) -> tuple[str, RecordedAnswer]:
        """What it says to a prompt, and the recorded answer behind that.

        Raises:
            LookupError: the prompt holds no recorded question, or not one it had answered.
        """
        prompt = next((m.text for m in reversed(messages) if isinstance(m, HumanMessage)), "")
        question = self._index.find(prompt)
        if question is None:
            raise LookupError(f"{self.recording!r} does not hold this question")
        if "<request " in prompt:
            return '{"route": "text"}', RecordedAnswer()
        if '{"restated": ' in prompt:
            kind = "closed" if any(a.ans for a in question.models.values()) else "open"
            return json.dumps({"restated": "", "kind": kind}), RecordedAnswer()
        if leading := _leading_proposal(prompt):
            return leading, RecordedAnswer()
        own = question.models.get(self.model)
        if own is None:
            raise LookupError(f"{self.recording!r} has no answer of {self.model!r} to it")
        candidates = _CANDIDATE.findall(prompt)
        return (_ballot(prompt, candidates, own) if candidates else recorded_text(own)), own

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text, own = self.reply(messages)
        message = AIMessage(
            text, usage_metadata=_usage(own), response_metadata={"finish_reason": "stop"}
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks(messages)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks(messages):
            yield chunk

    def _chunks(self, messages: Sequence[BaseMessage]) -> Iterator[ChatGenerationChunk]:
        text, own = self.reply(messages)
        for start in range(0, len(text), _PIECE):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text[start : start + _PIECE]))
        ending = AIMessageChunk(
            content="",
            usage_metadata=_usage(own),
            response_metadata={"finish_reason": "stop"},
            chunk_position="last",
        )
        yield ChatGenerationChunk(message=ending)


def recorded_text(answer: RecordedAnswer) -> str:
    """What a recorded model says: its text as it was, else its answer, else nothing."""
    if answer.text is not None:
        return answer.text
    return "" if answer.ans is None else f"Answer: {answer.ans}"


def _usage(answer: RecordedAnswer) -> UsageMetadata | None:
    read, written = answer.input_tokens, answer.output_tokens
    if read is None or written is None:
        return None
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def _ballot(prompt: str, candidates: Sequence[tuple[str, str]], own: RecordedAnswer) -> str:
    mine = read_answer(recorded_text(own), kind="closed")
    same = [label for label, text in candidates if are_same(read_answer(text, kind="closed"), mine)]
    way = next((way for way in _BALLOTS if f'"{way}": ' in prompt), "vote")
    reason = "It gives the answer that I gave." if same else "Nobody gave the answer that I gave."
    ballot: dict[str, Any] = {
        "scores": dict.fromkeys(same, 10),
        "approved": same,
        "ranking": same,
        "vote": same[0] if same else "abstain",
    }
    return json.dumps({"reason": reason, way: ballot[way]})


def _leading_proposal(prompt: str) -> str | None:
    """The proposal that leads, in a synthesizer's prompt; None where this is none."""
    headings: list[tuple[str, str, str]] = _PROPOSAL.findall(prompt)
    if headings:
        proposals: dict[str, str] = {number: text for number, _, text in headings}
        supported = max(headings, key=lambda one: int(one[1] or 0))[0]
        led = _LEADS.search(prompt)
        return proposals.get(led[1] if led else supported, headings[0][2])
    heads = list(_SUPPORTED.finditer(prompt))
    if not heads:
        return None
    best = max(heads, key=lambda head: int(head[1]))
    after = re.compile(r"^(?:Answer \d+(?: \([^)\n]*\))?: |Which answer is right\?)", re.MULTILINE)
    end = after.search(prompt, best.end())
    return prompt[best.end() : end.start() if end else len(prompt)].strip()
