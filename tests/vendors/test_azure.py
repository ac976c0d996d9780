"""Azure's addresses of one deployment and one version, with the key in a header of its own."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from mom_council.councils.schema import Council, Model
from mom_council.errors import CouncilError, ModelUnavailableError
from mom_council.models.clients import close_loop_resources, loop_resources
from mom_council.models.embeddings import embed
from mom_council.models.providers import check, open_model
from mom_council.models.resolved import resolve_model
from mom_council.models.speaking import Reply, speak
from mom_council.tests.stage import Fault, Stage
from mom_council.tests.stage import Reply as StageReply

KEY = "azure-key-0123456789abcdef"
FORM = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}

pytestmark = pytest.mark.parametrize("wire", ["1", "0"], ids=["wire", "library"])


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch, wire: str) -> None:
    """The council's own key, and others in the environment that are nobody's business here."""
    monkeypatch.setenv("MOM_THIN_WIRE", wire)
    monkeypatch.setenv("MY_AZURE_KEY", KEY)
    for name in ("AZURE_OPENAI_AD_TOKEN", "AZURE_OPENAI_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "anothers-key-0123456789")
    monkeypatch.setenv("OPENAI_API_VERSION", "1999-01-01")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-anothers")


def spec(stage: Stage, **more: Any) -> Model:
    values = {"provider": "azure", "model": "dep", "base_url": stage.url, "retries": 0}
    return Model.model_validate({**values, "api_key_env": "MY_AZURE_KEY", **more})


async def ask(model: Model, **more: Any) -> Reply:
    council = Council.model_validate(
        {
            "name": "test",
            "models": {"m": model.model_dump(exclude_unset=True)},
            "characters": [{"name": "A", "model": "m"}],
            "synthesizer": {"model": "m"},
        }
    )
    try:
        return await speak(resolve_model(council, "m"), [HumanMessage("6 x 7?")], **more)
    finally:
        await close_loop_resources()


def check_calls(stage: Stage, path: str) -> None:
    """Each call went to this path, with this key alone."""
    assert stage.calls
    for call in stage.calls:
        assert call.path == path
        assert call.key_sent == KEY
        assert "api-key" in call.headers
        assert "authorization" not in call.headers
        assert "anothers" not in str(call.headers)
        assert "api_version" not in call.body


@pytest.mark.parametrize(
    "end", ["", "/", "/openai/v1", "/openai/deployments/other/chat/completions"]
)
async def test_the_address_names_the_deployment_and_the_version(stage: Stage, end: str) -> None:
    stage.model("gpt 4o/mini", reply="42.")
    params = {"temperature": 0.4, "max_tokens": 90, "seed": 7, "top_p": 0.9}
    reply = await ask(spec(stage, model="gpt 4o/mini", params=params, base_url=stage.url + end))
    assert reply.text == "42."
    address = "/openai/deployments/gpt%204o%2Fmini/chat/completions"
    check_calls(stage, f"{address}?api-version=2024-10-21")
    assert params.items() <= stage.calls[0].body.items()


async def test_another_version_with_tools_and_a_form(stage: Stage) -> None:
    model = spec(stage, params={"api_version": "2025-01-01-preview"})
    stage.model("dep", reply='{"a": "b"}')
    assert (await ask(model, schema=FORM)).text == '{"a": "b"}'
    assert stage.calls[0].body["response_format"]["type"] == "json_schema"
    stage.model("dep", reply=StageReply("", tool_calls=[{"name": "add", "args": {}}]))
    try:
        chat: Any = await open_model(await loop_resources(), model)
        called = await chat.bind_tools([TOOL]).ainvoke("Add.")
        parts = [part async for part in chat.bind_tools([TOOL]).astream("Add.")]
    finally:
        await close_loop_resources()
    assert [one["name"] for one in called.tool_calls] == ["add"]
    assert any(part.tool_call_chunks for part in parts)
    assert all("tools" in call.body for call in stage.calls[1:])
    check_calls(stage, "/openai/deployments/dep/chat/completions?api-version=2025-01-01-preview")


async def test_vectors_are_asked_for_there_too(stage: Stage) -> None:
    stage.model("dep")
    [vector] = await embed(spec(stage), ["Cats sleep."])
    await close_loop_resources()
    assert vector
    assert stage.calls[0].body["input"] == ["Cats sleep."]
    check_calls(stage, "/openai/deployments/dep/embeddings?api-version=2024-10-21")


@pytest.mark.parametrize("status", [401, 404, 429])
async def test_its_errors_are_read(stage: Stage, status: int) -> None:
    stage.model("dep", always=Fault.status(status))
    with pytest.raises(ModelUnavailableError) as error:
        await ask(spec(stage))
    assert KEY not in str(error.value)
    assert len(stage.calls) == 1


@pytest.mark.parametrize("left_out", ["base_url", "api_key_env"])
def test_without_an_address_or_a_key_it_says_what_is_missing(stage: Stage, left_out: str) -> None:
    with pytest.raises(CouncilError, match="no address or no key") as error:
        check(spec(stage, **{left_out: None}))
    assert "RESOURCE.openai.azure.com" in str(error.value.cure)
