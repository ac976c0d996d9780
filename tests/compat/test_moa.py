"""moa-llm's interface: its configuration in any form, its result to the last key."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from mom_council.compat import create_moa_from_config
from mom_council.councils.trust import accept, review_file
from mom_council.errors import CouncilError
from mom_council.tests.graph.desk import said
from mom_council.tests.stage import Stage


@pytest.fixture
def config(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Two layers, an annotator and an aggregation on the stage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVIDER_API_KEY", "a-key-for-tests")
    stage.model("reader", reply='{"restated": "Why is the sky blue?", "kind": "open"}')
    for name in ("a", "b", "c"):
        stage.model(name, reply=f"{name} says so.", latency=0.05)
    stage.model("writer", reply="It is air.")
    return {
        "use_annotator": True,
        "annotator": {"model": "reader"},
        "proposal_layers": [
            {"neurons": [{"model": "a"}, {"model": "b"}]},
            {"neurons": [{"model": "c"}]},
        ],
        "aggregation_layer": {"model": "writer"},
        "base_url": stage.openai_url,
    }


async def test_the_result_has_the_promised_shape(stage: Stage, config: dict[str, Any]) -> None:
    Path("moa_config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    result = await create_moa_from_config("moa_config.yaml", is_file_path=True).process("Why?")
    assert set(result) == {
        "content",
        "response_times",
        "total_completion_time",
        "annotated_query",
    }
    assert (result["content"], result["annotated_query"]) == ("It is air.", "Why is the sky blue?")
    assert list(result["response_times"]) == [
        "Layer 1 - Neuron 1",
        "Layer 1 - Neuron 2",
        "Layer 2 - Neuron 1",
        "Aggregation Layer",
    ]
    assert all(seconds > 0 for seconds in result["response_times"].values())
    assert result["total_completion_time"] >= result["response_times"]["Layer 1 - Neuron 1"]
    assert {call.key_sent for call in stage.calls} == {"a-key-for-tests"}


@pytest.mark.parametrize("form", [Path, str, yaml.safe_dump, dict])
def test_any_form_of_the_configuration_works_without_a_loop(
    config: dict[str, Any], form: Any
) -> None:
    Path("moa_config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    given = form("moa_config.yaml") if form in (Path, str) else form(config)
    assert create_moa_from_config(given).process_sync("Why?")["content"] == "It is air."


@pytest.mark.parametrize(
    "messages",
    [
        [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "First?"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Second?"},
        ],
        ["First?", "Second?"],
    ],
)
async def test_a_conversation_is_read_and_the_callers_list_stays_as_it_is(
    stage: Stage, config: dict[str, Any], messages: list[Any]
) -> None:
    before = copy.deepcopy(messages)
    moa = create_moa_from_config({**config, "use_annotator": False})
    result = await moa.process(messages)
    assert (messages, result["annotated_query"]) == (before, None)
    asked = said(stage.calls_to("a")[0].body)
    assert asked.index("First?") < asked.index("Second?")
    assert ("Be kind." in asked) == isinstance(messages[0], dict)


async def test_workers_bound_the_calls_at_a_time_and_a_dead_neuron_costs_no_answer(
    stage: Stage, config: dict[str, Any]
) -> None:
    config["proposal_layers"][0]["neurons"].append({"model": "dead"})
    result = await create_moa_from_config(config, max_workers=1).process("Why?")
    assert result["content"] == "It is air."
    assert stage.overlap() == 1
    assert "Ignore" not in said(stage.calls_to("writer")[0].body)


def test_the_address_and_the_key_come_from_env_local_before_env(
    stage: Stage, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROVIDER_API_KEY")
    monkeypatch.setenv("BASE_URL", "gone")  # so that it is put right at the end
    monkeypatch.delenv("BASE_URL")
    del config["base_url"]
    Path(".env").write_text("PROVIDER_API_KEY=second\nBASE_URL=http://x\n", encoding="utf-8")
    local = f"PROVIDER_API_KEY=first-key\nBASE_URL={stage.openai_url}\n"
    Path(".env.local").write_text(local, encoding="utf-8")
    create_moa_from_config(config)
    assert "BASE_URL" not in os.environ, "nobody has accepted the files"
    for name in (".env", ".env.local"):
        accept(review_file(Path(name)))
    assert create_moa_from_config(config).process_sync("Why?")["content"] == "It is air."
    assert {call.key_sent for call in stage.calls} == {"first-key"}
    for name in ("PROVIDER_API_KEY", "BASE_URL"):
        os.environ.pop(name, None)


def test_what_cannot_be_right_is_refused(config: dict[str, Any]) -> None:
    config["aggregation_layer"]["dropout_rate"] = 7
    with pytest.raises(CouncilError, match=r"aggregation_layer\.dropout_rate: must be less than 1"):
        create_moa_from_config(config)
    with pytest.raises(CouncilError, match="no such file"):
        create_moa_from_config("nowhere.yaml")
