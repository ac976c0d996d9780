"""No key and no word leaves by any door, whatever the vendor repeats; and what cured it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.language_models import BaseChatModel

from mom_council.councils.loader import load_council
from mom_council.models.clients import loop_resources
from mom_council.models.providers import open_model
from mom_council.models.providers.langchain import with_redacted_replies
from mom_council.redaction import REDACTED, redact_tree, remember_secret
from mom_council.tests.graph.desk import written
from mom_council.tests.stage import Fault, Reply, Stage
from mom_council.tests.tracing import leak_doors

KEY = "vHnQeUwZkTrYbGdS-58214"


@pytest.mark.heavy
@pytest.mark.timeout(900)
@pytest.mark.parametrize("setting", leak_doors.SETTINGS, ids=lambda setting: setting[0])
def test_nothing_leaks_at_any_door_under(setting: leak_doors.Setting) -> None:
    faults, places = leak_doors.faults_of(setting)
    assert not faults
    answered = set(places.holding(leak_doors.WORD))
    doors = {"serve: chat", "serve: responses stream", "serve: messages", "mcp: stdio", "page"}
    assert answered >= {*doors, "mcp: http", "python: streams", "data/threads.db"}


class _Listener(AsyncCallbackHandler):
    """Writes down what a tracer is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_chat_model_start(self, serialized: Any, messages: Any, **more: Any) -> None:
        self.heard.append(repr((serialized, more)))

    async def on_llm_new_token(self, token: str, **more: Any) -> None:
        self.heard.append(repr((token, more)))

    async def on_llm_end(self, response: Any, **more: Any) -> None:
        self.heard.append(repr(response))

    async def on_llm_error(self, error: BaseException, **more: Any) -> None:
        self.heard.append(repr((error, error.args, more)))


def _opened(stage: Stage, provider: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The model `m` of a server, as a call that somebody follows asks it."""
    monkeypatch.setenv("GATE_A", KEY)
    voice = {
        "provider": provider, "model": "m", "base_url": stage.address(provider),
        "api_key_env": "GATE_A",
    }  # fmt: skip
    rules = written(stage)
    rules["models"]["ada"] = voice
    return load_council(rules).models["ada"]


@pytest.mark.parametrize("provider", ["openai", "ollama", "anthropic", "mistralai"])
async def test_who_follows_a_call_hears_no_key(
    stage: Stage, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = ["A cat, ", *KEY, " indeed. A", KEY[:2]]
    stage.model("m", reply=Reply("".join(pieces), chunks=pieces, reasoning=f"I think {KEY}."))
    listener = _Listener()
    chat: BaseChatModel = await open_model(
        await loop_resources(), _opened(stage, provider, monkeypatch)
    )
    said = ""
    async for chunk in with_redacted_replies(chat).astream("Which?", {"callbacks": [listener]}):
        said += chunk.text
    assert said == f"A cat, {REDACTED} indeed. A{KEY[:2]}", "what only begins like one stays"
    assert len(listener.heard) > 3
    assert KEY not in "".join(listener.heard)


@pytest.mark.parametrize("provider", ["openai", "ollama", "anthropic", "mistralai"])
async def test_who_follows_a_call_hears_no_key_in_an_error(
    stage: Stage, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.model("m", always=Fault.status(429, message=f"slow down, {KEY}", retry_after=7))
    listener = _Listener()
    chat = await open_model(await loop_resources(), _opened(stage, provider, monkeypatch))
    with pytest.raises(Exception, match="slow down") as raised:
        await _drain(with_redacted_replies(chat), listener)
    assert KEY not in "".join([*listener.heard, str(raised.value)])
    response = getattr(raised.value, "response", None)
    headers = getattr(response if response is not None else raised.value, "headers", None)
    assert headers is None or headers.get("retry-after") == "7"


async def _drain(chat: BaseChatModel, listener: _Listener) -> None:
    async for _ in chat.astream("Which?", {"callbacks": [listener]}):
        await asyncio.sleep(0)


def test_a_list_that_spells_a_key_is_redacted() -> None:
    remember_secret(KEY)
    assert redact_tree({"town": [*KEY]}) == {"town": [REDACTED]}
    assert redact_tree([*KEY.encode()]) == [REDACTED]
    assert redact_tree(["a", "b", 3, "Cats are fine."]) == ["a", "b", 3, "Cats are fine."]
