"""Models of this machine by Hugging Face's transformers, in this process.

A thin chat model over `generate`: LangChain's own ignores settings, has no async, downloads unasked
and hangs when it streams with beams. Weights are borrowed from the pool for each call, so voices
with different settings share them, and a layer's weights are freed when the next layer's do not
fit. Nothing is downloaded, no code that comes with weights is run, and no pickle is opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from mom_council.errors import CouncilError, ModelUnavailableError
from mom_council.models.providers.generation import (
    Settings,
    Turn,
    fitted,
    read_settings,
    read_template,
)
from mom_council.models.providers.model_pool import (
    MODEL_POOL,
    ModelThread,
    best_device,
    folder_of,
    weights_in,
)

if TYPE_CHECKING:
    from mom_council.models.providers import Opening

CONTEXT = 2048
"""Tokens, where neither the council nor the model says."""
MODEL_THREAD = ModelThread(MODEL_POOL.loaded)
_ROLES = {"system": "system", "ai": "assistant"}
_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1}


class _Loaded(NamedTuple):
    model: Any
    tokenizer: Any


class _Written(NamedTuple):
    """An answer, and how it ended."""

    text: str
    read: int
    wrote: int
    finish: str
    note: str = ""

    def metadata(self) -> dict[str, Any]:
        return {"finish_reason": self.finish, **({"note": self.note} if self.note else {})}

    def usage(self) -> UsageMetadata:
        return UsageMetadata(
            input_tokens=self.read, output_tokens=self.wrote, total_tokens=self.read + self.wrote
        )


class LocalChat(BaseChatModel):
    """A model in the pool, and how it is to write."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: str
    folder: Path
    settings: Settings
    template: str | None = None
    context: int | None = None

    @property
    def _llm_type(self) -> str:
        return "huggingface"

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        left = threading.Event()

        def tell(piece: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        turns = _turns(messages)
        work = MODEL_THREAD.submit(self._key(), lambda: self._write(turns, stop or (), tell, left))
        work.add_done_callback(lambda _: tell(None))
        try:
            while (piece := await pieces.get()) is not None:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
                if run_manager is not None:
                    await run_manager.on_llm_new_token(piece, chunk=chunk)
                yield chunk
            written: _Written = work.result()
        finally:
            left.set()
            work.cancel()
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="", usage_metadata=written.usage(), response_metadata=written.metadata()
            )
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        turns, left = _turns(messages), threading.Event()
        work = MODEL_THREAD.submit(
            self._key(), lambda: self._write(turns, stop or (), lambda _: None, left)
        )
        try:
            written: _Written = work.result()
        finally:
            left.set()
        message = AIMessage(
            written.text, usage_metadata=written.usage(), response_metadata=written.metadata()
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    # On the bench's thread.

    def _key(self) -> tuple[str, ...]:
        # The device as the council writes it: finding out which there are takes a second.
        return ("huggingface", str(self.folder), self.settings.dtype, self.settings.device or "")

    def _write(
        self,
        turns: list[Turn],
        stop: Sequence[str],
        tell: Callable[[str], None],
        left: threading.Event,
    ) -> _Written:
        import torch

        device = best_device(self.settings.device)
        size = _size(self.folder, self.settings.dtype)
        try:
            with MODEL_POOL.lend(
                self._key(), lambda: self._load(device), size=size, device=device
            ) as on:
                return self._go_on(on, turns, stop, tell, left)
        except torch.OutOfMemoryError:
            raise ModelUnavailableError(
                f"{self.model!r} does not fit into the memory of {device!r}",
                cure="take a smaller model, a smaller `context`, or `params: {device: cpu}`",
            ) from None

    def _load(self, device: str) -> _Loaded:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        dtype = self.settings.dtype
        if dtype != "auto" and not hasattr(torch, dtype):
            raise CouncilError(
                f"params.dtype: torch knows no {dtype!r}", cure="write float16 or bfloat16"
            )
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        only = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(self.folder), **only)
            model = AutoModelForCausalLM.from_pretrained(
                str(self.folder),
                dtype="auto" if dtype == "auto" else getattr(torch, dtype),
                use_safetensors=True,
                **only,
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            line = " ".join(str(error).split())[:200]
            raise ModelUnavailableError(f"{self.model!r} cannot be loaded: {line}") from None
        return _Loaded(model.to(device).eval(), tokenizer)

    def _go_on(
        self,
        on: _Loaded,
        turns: list[Turn],
        stop: Sequence[str],
        tell: Callable[[str], None],
        left: threading.Event,
    ) -> _Written:
        import torch

        settings = self.settings
        whole = self.context or getattr(on.model.config, "max_position_embeddings", None) or CONTEXT
        most = min(settings.max_new_tokens, max(1, whole // 2))
        ids, before = fitted(
            on.tokenizer, turns, whole - most, self.template, fold=settings.fold_system
        )
        prompt = torch.tensor([ids], device=on.model.device)
        if settings.seed is not None:
            torch.manual_seed(settings.seed)
        more: dict[str, Any] = {**settings.arguments()}
        output = _StopTextFilter(stop, tell)
        if settings.streams:
            more["streamer"] = _teller(on.tokenizer, output.hear)
        if stop:
            more |= {"stop_strings": list(stop), "tokenizer": on.tokenizer}
        with torch.inference_mode():
            result = on.model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=most,
                pad_token_id=_pad(on),
                stopping_criteria=[_when(left)],
                return_dict_in_generate=True,
                output_scores=settings.sequences > 1,
                **more,
            )
        best = _likeliest(on.model, result, len(ids))
        new = result.sequences[best][len(ids) :].tolist()
        ends = _ends(on)
        wrote = sum(_length(row[len(ids) :].tolist(), ends, most) for row in result.sequences)
        if not settings.streams:
            output.hear(on.tokenizer.decode(new, skip_special_tokens=True))
        output.close()
        over = len(new) >= most and not ends & set(new) and not output.met
        note = ""
        if before > len(ids):
            note = (
                f"{self.model!r} reads {whole - most} tokens and its prompt had {before}: the "
                "middle of the longest messages was left out."
            )
        return _Written(output.text, len(ids), wrote, "length" if over else "stop", note)


class _StopTextFilter:
    """Tells text up to where one of some texts begins, which may come in pieces."""

    def __init__(self, stop: Sequence[str], tell: Callable[[str], None]) -> None:
        self._stop = [one for one in stop if one]
        self._tell = tell
        self._held = ""
        self.text = ""
        self.met = False

    def hear(self, piece: str) -> None:
        if self.met:
            return
        self._held += piece
        places = [place for one in self._stop if (place := self._held.find(one)) >= 0]
        self.met = bool(places)
        self._say(min(places) if places else len(self._held) - self._begun())
        if self.met:
            self._held = ""

    def close(self) -> None:
        self._say(len(self._held))

    def _begun(self) -> int:
        """How much of the end may be the beginning of such a text."""
        most = max((len(one) for one in self._stop), default=1) - 1
        tails = (self._held[-size:] for size in range(min(most, len(self._held)), 0, -1))
        return next((len(t) for t in tails if any(one.startswith(t) for one in self._stop)), 0)

    def _say(self, size: int) -> None:
        piece, self._held = self._held[:size], self._held[size:]
        if piece:
            self.text += piece
            self._tell(piece)


def open_chat(opening: Opening) -> BaseChatModel:
    """A chat model on weights of this machine; they are loaded with its first call.

    Raises:
        CouncilError: its params, its template or its folder are not as they should be.
        ModelUnavailableError: it was not downloaded yet.
    """
    spec = opening.spec
    if spec.base_url is not None:
        raise CouncilError(
            f"{spec.model!r}: huggingface runs models in this process and has no `base_url`",
            cure="a server of Hugging Face's speaks OpenAI's protocol: `provider: openai`",
        )
    settings = read_settings(dict(opening.params), spec.model)
    folder = folder_of(spec.model)
    weights_in(folder)
    return LocalChat(
        model=spec.model,
        folder=folder,
        settings=settings,
        template=read_template(settings.chat_template),
        context=spec.context,
    )


def _turns(messages: Sequence[BaseMessage]) -> list[Turn]:
    return [{"role": _ROLES.get(one.type, "user"), "content": one.text} for one in messages]


def _size(folder: Path, dtype: str) -> int:
    """Bytes of the weights as they will lie in memory."""
    stored = sum(file.stat().st_size for file in weights_in(folder))
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return stored
    was = _BYTES.get(str(config.get("dtype") or config.get("torch_dtype")))
    will = _BYTES.get(dtype)
    return stored * will // was if was and will else stored


def _teller(tokenizer: Any, tell: Callable[[str], None]) -> Any:
    from transformers.generation.streamers import BaseStreamer

    class TokenStreamer(BaseStreamer):  # type: ignore[misc]
        """Tells letters as soon as they are whole; a token may be half of one."""

        def __init__(self) -> None:
            self.ids: list[int] | None = None
            self.told = self.before = 0

        def put(self, value: Any) -> None:
            if self.ids is None:
                self.ids = []  # the first to come is the prompt
                return
            self.ids += value.flatten().tolist()
            self._tell(whole=False)

        def end(self) -> None:
            self._tell(whole=True)

        def _tell(self, *, whole: bool) -> None:
            ids = self.ids or []
            old = tokenizer.decode(ids[self.before : self.told], skip_special_tokens=True)
            new = tokenizer.decode(ids[self.before :], skip_special_tokens=True)
            if len(new) > len(old) and (whole or not new.endswith("\ufffd")):
                tell(new[len(old) :])
                # Some tokens are read otherwise at the beginning, so the last ones go along.
                self.before, self.told = self.told, len(ids)

    return TokenStreamer()


def _when(left: threading.Event) -> Any:
    import torch
    from transformers import StoppingCriteria

    class StopWhenAbandoned(StoppingCriteria):  # type: ignore[misc]
        """Ends the writing when nobody listens any more."""

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            over = left.is_set()
            return torch.full((input_ids.shape[0],), over, device=input_ids.device)

    return StopWhenAbandoned()


def _likeliest(model: Any, output: Any, begin: int) -> int:
    """Which of several answers the model itself holds for the best."""
    if len(output.sequences) == 1:
        return 0
    if getattr(output, "sequences_scores", None) is not None:
        return int(output.sequences_scores.argmax())
    chances = model.compute_transition_scores(
        output.sequences, output.scores, normalize_logits=True
    )
    real = chances.isfinite()
    means = chances.where(real, 0.0).sum(1) / real.sum(1).clamp(min=1)
    return int(means.argmax())


def _pad(on: _Loaded) -> int:
    pad = on.tokenizer.pad_token_id
    return int(pad) if pad is not None else min(_ends(on), default=0)


def _ends(on: _Loaded) -> set[int]:
    eos = on.model.generation_config.eos_token_id
    ends = eos if isinstance(eos, list) else [eos]
    return {int(one) for one in (*ends, on.tokenizer.eos_token_id) if one is not None}


def _length(new: list[int], ends: set[int], most: int) -> int:
    """Tokens up to the end of an answer; what follows is padding."""
    return next((place + 1 for place, one in enumerate(new) if one in ends), min(len(new), most))
