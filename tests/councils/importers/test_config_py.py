"""Configurations of LLM-Mixture-of-Agents are read and never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council
from mom_council.models.providers.generation import read_settings
from mom_council.tests.councils.importers.conftest import Bring, on_stage, places
from mom_council.tests.councils.importers.written import CONFIG_PY
from mom_council.tests.graph.desk import others, question, texts
from mom_council.tests.stage import Stage


async def test_layers_prompts_and_settings_are_sent(bring: Bring, stage: Stage) -> None:
    found = bring({"config.py": CONFIG_PY})
    for key in found.council.models:
        stage.model(key, reply=f"{key} speaks.")
    await compile_council(on_stage(found.council, stage)).ainvoke(question("Why?"))
    first = stage.calls_to("Small-A")[0].body
    assert "You are small and honest." in texts(first, "system")[0]
    sent = {name: first[name] for name in ("max_new_tokens", "num_beams", "top_k", "top_p")}
    assert sent == {"max_new_tokens": 128, "num_beams": 5, "top_k": 20, "top_p": 0.9}
    assert (first["do_sample"], first["no_repeat_ngram_size"]) == (True, 4)
    assert (first["early_stopping"], first["temperature"]) == (True, 0.3)
    merging = stage.calls_to("Merger")[0].body
    assert "Merge them." in texts(merging, "system")[0]
    assert set(others(merging)) == {"Small-A speaks.", "Small-B speaks."}
    writing = stage.calls_to("Writer")[0].body
    assert "You write." in texts(writing, "system")[0]
    assert "Merger speaks." in texts(writing, "user")[-1]
    assert writing["max_new_tokens"] == 256


def test_every_name_has_a_place_or_a_reason_and_nothing_is_run(
    bring: Bring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = bring({"config.py": CONFIG_PY})
    assert not (tmp_path / "never-made").exists()
    assert found.format == "config.py"
    assert found.questions == ("Why is the sky blue?", "Who was {first}?")
    assert found.council.seats == (("Small-A", "Small-B"), ("Merger",))
    assert {m.provider for m in found.council.models.values()} == {"huggingface"}
    assert found.council.models[found.council.synthesizer.model].fallbacks == ("Second",)
    left = places(found.left)
    assert {"cache_path", "token", "device", "other_chat_template"} <= left
    run_there = CONFIG_PY[: CONFIG_PY.index("open(")].count("\n") + 1
    assert f"line {run_there}" in left
    templates = {m.model: m.params.get("chat_template") for m in found.council.models.values()}
    assert [model for model, template in templates.items() if template] == ["TinyLlama/Small-B"]
    assert found.council.models["Merger"].params["num_return_sequences"] == 2
    for model in found.council.models.values():
        read_settings(model.params, model.model)  # what will run them knows every setting
    assert "hf_abc" not in repr(found)


def test_a_single_final_model_by_its_other_name_will_do(bring: Bring) -> None:
    found = bring({"config.py": "layer1_model_ids = ('a/b',)\nfinal_model_id: str = 'c/d'\n"})
    assert found.council.models[found.council.synthesizer.model].model == "c/d"
    assert found.council.seats == (("b",),)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("layer1_model_ids", "layer1_modle_ids", ["did you mean 'layer1_model_ids'"]),
        ("layer1_top_p", "layer1_topp", ["layer1_topp", "did you mean 'layer1_top_p'"]),
        ("layer1_top_p = 0.9", "layer1_top_p = 9", ["layer1_top_p: must be at most 1, is 9"]),
        ("final_model_ids", "last_models", ["final_model_ids: is missing: who writes"]),
        ('["Qwen/Small-A", "TinyLlama/Small-B"]', '"one"', ["layer1_model_ids", "brackets"]),
        ("import torch", "import (", ["line 1: is no Python"]),
        ("layer2_max_new_tokens = 64", "layer2_max_new_tokens = 'many'", ["layer2_max_new"]),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_place(
    bring: Bring, old: str, new: str, parts: list[str]
) -> None:
    assert old in CONFIG_PY
    with pytest.raises(CouncilError) as refused:
        bring({"config.py": CONFIG_PY.replace(old, new, 1)})
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "-" * 100_000 + "1",
        "x = " + "(" * 50_000 + ")" * 50_000,
        "x = " + "not " * 100_000 + "1",
        "x = " + "1+" * 100_000 + "1",
        "x = " + "9" * 20_000,
        "x = '\x00'",
        "x = 1j\ny = b'bytes'\nz = ...\nw = 10 ** 10 ** 10\nv = __import__('os').system('ls')",
    ],
)
def test_a_hostile_file_is_refused_in_one_line_and_does_nothing(bring: Bring, text: str) -> None:
    with pytest.raises(CouncilError) as refused:
        bring({"config.py": text})
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 500


def test_a_computed_value_is_told_even_where_a_plain_one_stood_before(bring: Bring) -> None:
    text = CONFIG_PY + "\nlayer2_model_ids = choose(layer1_model_ids)\n"
    found = bring({"config.py": text})
    assert found.council.seats == (("Small-A", "Small-B"),)
    assert "layer2_model_ids" in places(found.left)


@pytest.mark.parametrize(
    "line",
    [
        "layer2_model_ids = layer1_model_ids[:1]",
        "layer2_model_ids = list(layer1_model_ids)[:1]",
        "layer2_model_ids: List[str] = []\nlayer2_model_ids += [layer1_model_ids[0]]",
        "layer2_model_ids = []\nlayer2_model_ids.append(layer1_model_ids[0])",
    ],
)
def test_lists_that_are_put_together_are_read(bring: Bring, line: str) -> None:
    found = bring({"config.py": f"{CONFIG_PY}\n{line}\nlayer1_max_new_tokens = 64 * 4\n"})
    assert found.council.seats == (("Small-A", "Small-B"), ("Small-A 2",))
    assert "layer2_model_ids" not in places(found.left)
    first = found.council.models[found.council.characters[0].model]
    assert first.params["max_new_tokens"] == 256


def test_nobody_is_told_to_write_a_computed_key_out(bring: Bring) -> None:
    found = bring({"config.py": CONFIG_PY + '\ntoken = os.environ["HF"]\n'})
    said = " ".join(str(one) for one in found.left if one.place == "token")
    assert "HF_TOKEN" in said
    assert "write the value out" not in said
