"""Where a council comes from: presets, files, mappings; and how it is written back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mom_council.councils.loader import (
    council_from_yaml,
    load_council,
    preset_names,
    preset_path,
    to_yaml,
)
from mom_council.councils.schema import Character, Council, Model, Synthesizer
from mom_council.errors import CouncilError, UnknownNameError

DESK = """
name: desk
models:
  quick: {provider: ollama, model: llama3.2}
  deep:  {provider: ollama, model: qwen3:8b, fallbacks: [quick]}
  far:   {provider: openai, model: any-name, base_url: "http://127.0.0.1:8000/v1",
          api_key_env: FAR_KEY, timeout: 60, params: {temperature: 0.2}}
characters:
  - {name: Analyst, model: quick, personality: You weigh., weight: 1.0}
  - {name: Skeptic, model: deep, personality: You doubt.}
layers: [[Analyst, Skeptic]]            # left out: one layer of all
deliberation: {method: borda, rounds: {min: 1, max: 3}, threshold: 0.7, quorum: 0.6, grace: 5}
synthesizer: {model: deep, shuffle: true, dropout: 0.0}
thermal: {limit: 75, resume: 68, poll: 5, max_wait: 900, then: proceed}
budget: {calls: 60, tokens: 50000, seconds: 300, usd: 0.50}
"""

SMALL = {
    "name": "small",
    "models": {"m": {"provider": "ollama", "model": "x"}},
    "characters": [{"name": "Ada", "model": "m"}],
    "synthesizer": {"model": "m"},
}


def test_the_presets_are_those_the_readme_names():
    assert preset_names() == ("cascade", "cloud", "demo", "home", "layers", "self")


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_loads_under_its_own_name_with_one_line_of_description(name: str):
    council = load_council(name)
    assert council.name == name
    assert council.description
    assert "\n" not in council.description


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_survives_being_written_and_read_again(name: str):
    council = load_council(name)
    assert council_from_yaml(to_yaml(council)) == council


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_fits_on_a_screen(name: str):
    assert len(preset_path(name).read_text().splitlines()) <= 48


def test_the_demo_needs_no_network_no_key_and_no_thermal_watch():
    demo = load_council("demo")
    assert {model.provider for model in demo.models.values()} == {"embedded"}
    assert all(model.api_key_env is None for model in demo.models.values())
    assert demo.models[demo.synthesizer.model].fallbacks == ("tiny-2", "tiny-3")
    assert demo.thermal is None
    assert demo.annotator is None


def test_the_layers_preset_has_two_layers_of_three_before_the_synthesizer():
    assert [len(layer) for layer in load_council("layers").seats] == [3, 3]


def test_the_council_in_the_design_loads_with_every_field_it_shows():
    desk = council_from_yaml(DESK)
    assert desk.models["deep"].model == "qwen3:8b"
    assert desk.models["far"].api_key_env == "FAR_KEY"
    assert desk.models["far"].params == {"temperature": 0.2}
    assert desk.seats == (("Analyst", "Skeptic"),)
    assert desk.budget.usd == 0.5
    assert council_from_yaml(to_yaml(desk)) == desk


def test_writing_leaves_out_what_is_the_default():
    text = to_yaml(load_council(SMALL))
    assert text.startswith("name: small\nmodels:\n  m: {provider: ollama, model: x}\n")
    assert "deliberation" not in text
    assert "timeout" not in text


@pytest.mark.parametrize(
    "words",
    [
        "no",
        "on",
        "1e-3",
        "12:30",
        "0x10",
        "null",
        "a\nb\n",
        " c ",
        "é: #",
        "2024-01-01",
        "<<",
        "'",
        "1_0",
    ],
)
def test_words_that_yaml_takes_for_something_else_survive_the_writing(words: str):
    council = load_council({**SMALL, "synthesizer": {"model": "m", "personality": words}})
    assert council_from_yaml(to_yaml(council)).synthesizer.personality == words


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**62), 2**62)
        | st.text(max_size=8)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_whatever_stands_in_params_survives_the_writing(value: object):
    try:
        council = load_council(
            {**SMALL, "models": {"m": {"provider": "p", "model": "x", "params": {"v": value}}}}
        )
    except CouncilError:
        return  # half a character; told elsewhere
    assert council_from_yaml(to_yaml(council)) == council


def test_plain_no_and_on_are_names_and_an_exponent_is_a_number():
    council = council_from_yaml(
        "name: on\nmodels: {no: {provider: p, model: 12:30, timeout: 1e2}}\n"
        "characters: [{name: No, model: no}]\nsynthesizer: {model: no}\n"
    )
    assert (council.name, council.characters[0].name) == ("on", "No")
    assert council.models["no"].model == "12:30"
    assert council.models["no"].timeout == 100


def test_an_anchor_may_be_used_again():
    council = council_from_yaml(
        "name: x\nmodels: {a: &m {provider: p, model: x}, b: *m}\n"
        "characters: [{name: A, model: a}]\nsynthesizer: {model: b}\n"
    )
    assert council.models["a"] == council.models["b"]


def test_a_mapping_may_hold_parts_built_in_python():
    council = load_council({**SMALL, "models": {"m": Model(provider="ollama", model="x")}})
    assert council == load_council(SMALL)


def test_a_council_is_handed_back_after_its_names_are_checked():
    council = load_council(SMALL)
    assert load_council(council) is council
    with pytest.raises(
        UnknownNameError, match=r"^council 'x': characters\[0\].model: 'n' is no key"
    ):
        load_council(
            Council(
                name="x",
                models={"m": Model(provider="p", model="x")},
                characters=(Character(name="A", model="n"),),
                synthesizer=Synthesizer(model="m"),
            )
        )


def test_a_string_with_a_slash_or_a_suffix_is_a_path_and_a_bare_word_a_preset_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    text = to_yaml(load_council(SMALL))
    for name in ("mine.yaml", "demo", "bare"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_council("mine.yaml").name == "small"
    assert load_council("./demo").name == "small"
    assert load_council(tmp_path / "demo").name == "small"
    assert load_council("bare").name == "small"
    assert load_council("demo").name == "demo"


def test_a_file_may_begin_with_a_byte_order_mark_and_may_be_json(tmp_path: Path):
    file = tmp_path / "council.json"
    file.write_bytes(
        b'\xef\xbb\xbf{"name": "\\ud83e\\udd89", "models": {"m": {"provider": "p", '
        b'"model": "x"}}, "characters": [{"name": "A", "model": "m"}], '
        b'"synthesizer": {"model": "m"}}'
    )
    assert load_council(file).name == "\N{OWL}"


def test_an_unknown_preset_suggests_the_near_one():
    with pytest.raises(UnknownNameError, match="no council 'dmo'; did you mean 'demo'"):
        load_council("dmo")
    with pytest.raises(UnknownNameError, match="did you mean 'layers'"):
        preset_path("layer")
    with pytest.raises(UnknownNameError, match="known: 'cascade', 'cloud'"):
        load_council("")


def test_a_preset_name_cannot_climb_out_of_the_presets():
    with pytest.raises(UnknownNameError):
        preset_path("../presets/demo")


@pytest.mark.parametrize("source", [None, 3, ["demo"], b"demo", object()])
def test_what_is_no_source_at_all_is_refused(source: object):
    with pytest.raises(CouncilError, match="a preset's name, a path or a mapping"):
        load_council(source)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "is empty; start from a preset"),
        (b"# nothing\n", "is empty"),
        (b"{}", "is empty"),
        (b"- a\n", "is a list, and a council is a mapping"),
        (b"demo", "is a single text or number, and a council is a mapping"),
        (b"name: x\nb: \xff\n", "line 2 is not UTF-8; save the file as UTF-8"),
        (b"name: x\n\x07", "line 2: holds a character that YAML does not allow"),
        (b"a" * 1_000_001, "larger than 1 MB"),
        (b"name: [a\nb: c", "line 2, column 2: "),
        (b"name: 'x", "line 1, column"),
        (b"a:\n\tb: 1", "line 2, column 1: a tab; indent with blanks"),
        (b"name: x\nmodels: {}\nname: y\n", "line 3, column 1: 'name' stands twice here"),
        (b"name: !!python/object:os.x {}", "line 1, column 7: the tag 'tag:yaml.org,2002:python"),
        (b"name: !!str x", "is not read; leave it out"),
        (b"name: *nobody", "an alias to nothing"),
        (b"a: 1\n---\nb: 2", "second document"),
        (b"? [a]\n: b", "a key must be a plain name"),
        (b"1: a", "the key 1 must be text; put it in quotes"),
        (b"a: " + b"[" * 40 + b"]" * 40, "more than 32 levels"),
        (b"a: [" + b"1," * 21_000 + b"]", "more than 20000 values"),
        (b"a: &a x\nb: [" + b"*a," * 65 + b"]", "more than 64 aliases"),
        (b"a: &a [*a]", "a[0][0]: holds more than 20000 values, or 32 levels"),
        (b"name: 1e999", "name: must be a finite number"),
        (b"<<: {name: x}", "<<"),
    ],
)
def test_a_file_that_cannot_be_a_council_is_refused_in_one_line(
    tmp_path: Path, content: bytes, fragment: str
):
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(CouncilError) as refused:
        load_council(file)
    assert fragment in str(refused.value)
    assert str(refused.value).startswith(f"{file}: ")
    if b"<<" not in content:
        assert "\n" not in str(refused.value)


def test_ten_aliases_of_ten_aliases_of_ten_are_refused_before_they_unfold():
    bomb = "a0: &a0 [x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 6)}]\n" for n in range(1, 11)
    )
    with pytest.raises(CouncilError, match="more than 20000 values"):
        council_from_yaml(bomb)


def test_a_mapping_that_holds_itself_is_refused():
    loop: dict[str, object] = {}
    loop["models"] = loop
    with pytest.raises(CouncilError, match="32 levels"):
        load_council(loop)


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path: Path):
    with pytest.raises(CouncilError, match="is a folder; name the council's file in it"):
        load_council(tmp_path)
    with pytest.raises(CouncilError, match="there is no such file; start from a preset"):
        load_council(tmp_path / "none.yaml")


def test_a_device_is_not_read():
    with pytest.raises(CouncilError, match="is no regular file"):
        load_council("/dev/zero")


def test_a_pipe_does_not_hang_the_loading(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(CouncilError, match="is no regular file"):
        load_council(tmp_path / "pipe.yaml")


def test_a_file_without_permission_says_so(tmp_path: Path):
    file = tmp_path / "locked.yaml"
    file.touch(mode=0o000)
    me = os.geteuid()
    try:
        if me == 0:  # root reads everything, so it is nobody for a moment
            os.seteuid(65534)
        with pytest.raises(CouncilError, match=r"cannot be read .*permissions"):
            load_council(file)
    finally:
        os.seteuid(me)


@pytest.mark.parametrize("name", ["a\0b/c", "~nobody-of-that-name/x.yaml", "x" * 9000 + ".yaml"])
def test_a_path_that_is_none_is_refused(name: str):
    with pytest.raises(CouncilError, match="cannot be read"):
        load_council(name)


@pytest.mark.slow
def test_the_loader_imports_neither_langgraph_nor_langchain():
    code = (
        "import sys, mom_council.councils.loader;"
        "print([m for m in sys.modules if m.startswith(('langgraph', 'langchain', 'langsmith'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
