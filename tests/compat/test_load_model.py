"""One model by memories-dev's interface: what it is sent, what comes back, where its key is not."""

from __future__ import annotations

import os
from typing import Any

import pytest

from mom_council.compat import LoadModel
from mom_council.errors import CouncilError, ModelError, ProviderNotInstalledError
from mom_council.tests.stage import Fault, Reply, Stage

KEY = "sk-abcdefghijklmnopqrstuvwx"
WEATHER = {
    "name": "get_weather",
    "description": "The weather somewhere.",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
    },
}


def _loaded(stage: Stage, name: str = "gpt", **given: Any) -> LoadModel:
    return LoadModel("openai", "api", name, base_url=stage.openai_url, **given)


def test_the_configured_model_is_asked_with_the_parameters_and_the_key(stage: Stage) -> None:
    stage.model("gpt", reply="Blue.")
    with _loaded(stage, api_key=KEY, params={"temperature": 0.5}) as model:
        answer = model.get_response("Why?", max_tokens=9)
        assert (answer["text"], answer["model"]) == ("Blue.", "gpt")
        assert set(answer["usage"]) == {"input_tokens", "output_tokens"}
        [call] = stage.calls
        assert (call.model, call.key_sent) == ("gpt", KEY)
        assert (call.body["temperature"], call.body["max_tokens"]) == (0.5, 9)
        assert call.body["messages"] == [{"role": "user", "content": "Why?"}]


def test_a_key_is_in_a_variable_until_cleanup_and_nowhere_else(stage: Stage) -> None:
    stage.model("gpt", reply="Blue.")
    first, second = _loaded(stage, api_key=KEY), _loaded(stage, api_key=KEY)
    other = _loaded(stage, api_key="another-key-of-mine")
    name = str(first.spec["api_key_env"])
    assert second.spec["api_key_env"] == name != other.spec["api_key_env"]
    for thing in (first, vars(first), first.spec, first._model):
        assert KEY not in repr(thing)
    first.cleanup()
    assert second.get_response("Why?")["text"] == "Blue."
    assert stage.calls[-1].key_sent == KEY
    second.cleanup()
    other.cleanup()
    assert not [value for value in os.environ.values() if value == KEY]
    with pytest.raises(ProviderNotInstalledError, match=name) as refused:
        second.get_response("Why?")
    assert KEY not in str(refused.value)


def test_the_answer_streams_and_who_leaves_early_ends_the_call(stage: Stage) -> None:
    words = "one two three four five six seven eight nine ten"
    stage.model("gpt", reply=words, tokens_per_second=200)
    model = _loaded(stage)
    pieces = list(model.get_streaming_response("Count."))
    assert len(pieces) > 1
    assert "".join(pieces) == words
    stage.model("gpt", reply=words, tokens_per_second=2)
    stream = model.get_streaming_response("Count.")
    assert next(stream).strip() == "one"
    stream.close()  # type: ignore[attr-defined]
    stage.wait_for(2)
    assert stage.calls[-1].outcome == "client_left"


def test_function_calls_come_back_with_their_ids_and_are_not_run(stage: Stage) -> None:
    calls = [
        {"name": "get_weather", "args": {"place": "Oslo"}, "id": "call_a"},
        {"name": "get_weather", "args": {"place": "Rome"}, "id": "call_b"},
    ]
    stage.model("gpt", reply=[Reply("", tool_calls=calls), "No need."])
    model = _loaded(stage)
    asked = model.get_response_with_functions("Weather?", [WEATHER])
    assert asked["function_calls"] == [
        {"id": "call_a", "name": "get_weather", "arguments": {"place": "Oslo"}},
        {"id": "call_b", "name": "get_weather", "arguments": {"place": "Rome"}},
    ]
    assert (asked["function_name"], asked["arguments"]) == ("get_weather", {"place": "Oslo"})
    sent = stage.calls[0].body["tools"][0]["function"]
    assert (sent["name"], sent["parameters"]["required"]) == ("get_weather", ["place"])
    plain = model.function_call("Hi?", functions=[WEATHER])
    assert (plain["text"], plain["function_calls"], plain["function_name"]) == (
        "No need.",
        [],
        None,
    )


@pytest.mark.parametrize(
    ("provider", "kind", "known"),
    [
        ("deepseek-ai", "api", "deepseek"),
        ("mistral", "api", "mistralai"),
        ("deepseek-ai", "local", "huggingface"),
        ("ollama", "local", "ollama"),
    ],
)
def test_vendors_go_by_their_names_there(provider: str, kind: Any, known: str) -> None:
    assert LoadModel(provider, kind, "m").spec["provider"] == known


def test_what_cannot_be_asked_and_what_does_not_answer_is_an_error_of_ours(stage: Stage) -> None:
    stage.model("gpt", always=Fault.status(400))
    with pytest.raises(ModelError, match="400"):
        _loaded(stage).get_response("Why?")
    before = dict(os.environ)
    with pytest.raises(CouncilError, match="model"):
        _loaded(stage, "", api_key=KEY)
    assert dict(os.environ) == before
    with pytest.raises(CouncilError, match="api_key_env"):
        _loaded(stage, params={"api_key": KEY})


def test_an_answer_prints_as_its_text(stage: Stage) -> None:
    stage.model("one", reply="It is blue.")
    with LoadModel("openai", "api", "one", base_url=stage.openai_url) as model:
        answer = model.get_response("Which colour?")
    assert f"{answer}" == str(answer) == answer["text"] == "It is blue."


def test_a_model_that_is_too_slow_is_given_up_in_time(stage: Stage) -> None:
    stage.model("slow", reply="late", latency=30)
    with (
        LoadModel("openai", "api", "slow", base_url=stage.openai_url) as model,
        pytest.raises(ModelError, match="'slow' did not answer within"),
    ):
        model.get_response("Now?", timeout=0.2)
    assert "timeout" not in str([call.body for call in stage.calls])
    bounded = LoadModel("openai", "api", "slow", base_url=stage.openai_url, timeout=7)
    assert bounded.spec["timeout"] == 7
