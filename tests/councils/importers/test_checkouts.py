"""Whole folders of other systems, with odd values, gaps and faults: each is read, or says why not.

Those that are read answer on a stage, and each model is sent what its system's manual says.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.importers import Imported, import_council
from mom_council.councils.schema import Council
from mom_council.errors import CouncilError
from mom_council.graph.council import compile_council
from mom_council.tests.councils.importers.conftest import on_stage, places
from mom_council.tests.councils.importers.written import MODEL_CONFIG, as_json
from mom_council.tests.graph.desk import question, said, texts
from mom_council.tests.stage import Stage

Lay = Callable[[dict[str, Any]], Path]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Writes the files of a checkout."""

    def write(files: dict[str, Any]) -> Path:
        for name, content in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else as_json(content)
            file.write_text(text, encoding="utf-8")
        return tmp_path

    return write


async def _ask(council: Council) -> str:
    result = await compile_council(council).ainvoke(question("Why is the sky blue?"))
    answer: str = result["messages"][-1].text
    return answer


# -- five systems, each asked ---------------------------------------------------------------------


async def test_odd_characters_keep_their_words_their_eyes_and_their_server(
    lay: Lay, stage: Stage
) -> None:
    port = stage.url.rpartition(":")[2]
    odd = {
        "name": 'Dr. O\'Neil "the Owl"',
        "model": "hf.co/own/Owl-7B-GGUF:Q4_K_M",
        "personality": "You see at night.\nYou never {hurry}.",
        "speaking_style": "Hoots, costs $5.",
        "thought_process": "1. Look\n2. Wait",
        "interests": "mice; night  vision",
    }
    bare = {"name": "Plain", "model": "phi3:mini", "speaking_style": None, "interests": None}
    writer = {"name": "Judge", "model": "qwen2.5:32b", "personality": "Weighs."}
    values = {"characters": [odd, bare], "conclusion_thinker": writer}
    folder = lay(
        {
            "app/characters.json": "\ufeff" + json.dumps(values),
            "docker-compose.yml": "services:\n  ollama:\n    image: ollama/ollama\n"
            f"    ports: ['{port}:11434']\n  web:\n    build: .\n    environment:\n"
            "      - OLLAMA_API_URL=http://ollama:11434/v1/\n      - GPU_TEMP_LIMIT=66.5\n",
            "extensions/Broken/extension.py": "x",
            "extensions/Broken/config.json": "{",
        }
    )
    for model in (odd["model"], "phi3:mini", "qwen2.5:32b"):
        stage.model(str(model), reply="42")
    found = import_council(folder)
    assert found.council.thermal is not None
    assert found.council.thermal.limit == 66.5
    assert "extensions/Broken" in places(found.left)
    assert await _ask(found.council) == "42"
    sent = stage.calls_to(str(odd["model"]))[0].body
    assert found.council.character(found.council.characters[0].name).vision
    for part in ("never {hurry}", "costs $5", "2. Wait", "night  vision", 'O\'Neil "the Owl"'):
        assert part in said(sent)
    assert "Weighs." in said(stage.calls_to("qwen2.5:32b")[-1].body)


DRAWING = """\
from diffusers import StableDiffusionPipeline, LCMScheduler
MODEL_ID = "own/sd15"
pipe = StableDiffusionPipeline.from_pretrained(MODEL_ID)
def draw(prompt):
    return pipe(prompt=prompt, negative_prompt="text", num_inference_steps=6, guidance_scale=1.5,
                width=640, height=384).images[0]
"""


async def test_two_servers_classify_answer_and_draw_as_their_code_says(
    lay: Lay, stage: Stage
) -> None:
    port = stage.url.rpartition(":")[2]
    compose = {
        "services": {
            "big": {
                "image": "ghcr.io/ggml-org/llama.cpp:server-cuda",
                "environment": {
                    "LLAMA_ARG_MODEL": "/models/Owl-14B-Q4.gguf",
                    "LLAMA_ARG_CTX_SIZE": 16384,
                    "LLAMA_ARG_PORT": 9000,
                },
                "ports": [{"target": 9000, "published": port}],
            },
            "classifier": {
                "image": "ghcr.io/ggml-org/llama.cpp:server",
                "command": ["-m", "/models/wren.gguf", "--alias", "wren", "-c", "1024"],
                "ports": [f"127.0.0.1:{port}:8080"],
            },
        }
    }
    folder = lay({"compose.yaml": json.dumps(compose), "app/draw.py": DRAWING})
    stage.model("Owl-14B-Q4", reply="42")
    stage.model("wren", reply='{"route": "text"}')
    council = import_council(folder).council
    assert council.painter is not None
    brush = council.painter
    assert (brush.steps, brush.guidance, brush.size) == (6, 1.5, "640x384")
    assert brush.negative == "text"
    assert council.models["Owl-14B-Q4"].context == 16384
    assert await _ask(council) == "42"
    asked = stage.calls_to("wren")[0].body
    assert asked["temperature"] == 0.01
    assert "response_format" in asked


CLASSY = """\
class Config:
    user_query = ["One?"]
    _small = ["own/a"]
    layer1_model_ids = _small + ["own/b"]
    layer2_model_ids = ("own/c",)
    final_model_id = "own/d"
    layer1_max_new_tokens: int = 2 ** 7
    layer1_temperature = 0.0
    layer2_max_new_tokens = layer1_max_new_tokens * 2
    layer2_temperature = 1.2
    sys_initial_prompt = ("You are small. "
        "You are honest.")
    agg_sys_prompt = f"Merge {len(layer1_model_ids)} answers."
    final_sys_initial_prompt = "End it."
"""


async def test_a_config_in_a_class_keeps_its_layers_and_prompts(lay: Lay, stage: Stage) -> None:
    found = import_council(lay({"src/config.py": CLASSY, "main.py": "import src.config\n"}))
    assert found.questions == ("One?",)
    assert found.council.seats == (("a", "b"), ("c",))
    params = {key: one.params for key, one in found.council.models.items()}
    assert params["a"] == {"max_new_tokens": 128, "temperature": 0}
    assert params["c"] == {"max_new_tokens": 256, "temperature": 1.2}
    for key in found.council.models:
        stage.model(key, reply=f"So says {key}.")
    council = on_stage(found.council, stage)
    assert await _ask(council) == "So says d."
    assert "You are small. You are honest." in said(stage.calls_to("a")[0].body)
    assert "Merge 2 answers." in said(stage.calls_to("c")[0].body)
    assert "So says c." in said(stage.calls_to("d")[0].body)
    assert "End it." in said(stage.calls_to("d")[0].body)


def test_every_vendor_gets_the_settings_that_it_takes(lay: Lay) -> None:
    config = {"max_length": 55, "temperature": 0.2, "top_p": 0.75, "top_k": 9, "timeout": 12}
    vendors = ("openai", "anthropic", "deepseek", "mistral", "cohere")
    models = {
        f"m-{name}": {"name": f"{name}-1", "provider": name, "type": "api", "config": config}
        for name in vendors
    }
    values = {**MODEL_CONFIG, "models": models, "provider_groups": {}, "default_model": "m-cohere"}
    found = import_council(lay({"memories/models/config/model_config.json": values}))
    kept = {one.provider: one.params for one in found.council.models.values()}
    plain = {"max_tokens": 55, "temperature": 0.2, "top_p": 0.75}
    assert kept == {
        "openai": plain,
        "deepseek": plain,
        "mistralai": plain,
        "anthropic": {**plain, "top_k": 9},
        "cohere": {**plain, "top_k": 9},
    }
    assert {one.timeout for one in found.council.models.values()} == {12}
    lost = {place for place in places(found.left) if "config.top_k" in place}
    assert lost == {f"models.m-{name}.config.top_k" for name in ("openai", "deepseek", "mistral")}


async def test_three_layers_of_neurons_are_sent_what_stands_there(
    lay: Lay, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVIDER_API_KEY", "a-key-for-tests")
    folder = lay(
        {
            "app/moa_config.yml": """\
use_annotator: no
proposal_layers:
- neurons:
  - {model: a/x, system_prompt: "You are X.", temperature: 1.0, weight: 0.7, max_tokens: 10}
  - {model: "${SECOND:-a/y}", prompt: "You are Y.", temperature: 0.0, weight: 0.3}
- neurons: [{model: b/x, weight: 0}, {model: b/y, base_url: "${BASE_URL}"}]
- neurons: [{model: c/x}]
aggregation_layer:
  model: writer
  system_prompt: |
    Q {user_query} W {response_weights}
    {responses}
  temperature: 0.0
  shuffle: false
""",
            "app/.env.local": f"BASE_URL={stage.openai_url}/\nPROVIDER_API_KEY='sk-never-copied'\n",
            ".env": "BASE_URL=http://127.0.0.1:1/v1\n",
        }
    )
    names = ("a/x", "a/y", "b/x", "b/y", "c/x", "writer")
    for name in names:
        stage.model(name, reply=f"So says {name}.")
    assert await _ask(import_council(folder).council) == "So says writer."
    sent = {name: stage.calls_to(name)[0].body for name in names}
    assert {name: sent[name].get("temperature") for name in names} == {
        **dict.fromkeys(names),
        "a/x": 1.0,
        "a/y": 0.0,
        "writer": 0.0,
    }
    assert sent["a/x"]["max_tokens"] == 10
    assert "You are Y." in said(sent["a/y"])
    assert "So says a/x." in said(sent["b/y"])
    last = texts(sent["writer"], "user")[-1]
    assert "Q Why is the sky blue? W proposal" in last
    for name in names[:-1]:
        assert f"So says {name}." in last, "every layer's outputs are aggregated"


# -- a file with a fault --------------------------------------------------------------------------

BROKEN = {
    "characters": (
        {"characters.json": '{"characters": [\n {"name": "A",},\n]}', ".env": "GPU_TEMP_LIMIT=75"},
        "characters.json: line 2",
    ),
    "no writer": (
        {"characters.json": {"characters": [{"name": "A", "model": "m"}]}, "README.md": "x"},
        "conclusion_thinker: is missing",
    ),
    "twice": (
        {"a/model_config.json": '{"models": {"a": {}, "a": {}}, "default_model": "a"}'},
        "'a' stands twice",
    ),
    "a tab": (
        {"moa_config.yaml": "proposal_layers:\n  - neurons:\n\t- model: a\naggregation_layer: {}"},
        "moa_config.yaml: line 3",
    ),
    "a tab under another name": (
        {"conf.yaml": "proposal_layers:\n  - neurons:\n\t- model: a\naggregation_layer: {}"},
        "conf.yaml: line 3",
    ),
    "a misspelt key": (
        {"moa_config.yaml": "proposal_layer: []\naggregation_layer: {model: a}\n"},
        "did you mean 'proposal_layers'",
    ),
    "computed layers": (
        {"config.py": "layer1_model_ids = load()\nfinal_model_ids = ['a/b']\n"},
        "layer1_model_ids: is computed",
    ),
    "no Python": ({"config.py": "layer1_model_ids = ['a/b'\n"}, "config.py: line 1"),
    "computed members": (
        {"backend/config.py": "COUNCIL_MODELS = load()\n"},
        "COUNCIL_MODELS: cannot be read",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_whose_file_has_a_fault_is_refused_with_the_place(lay: Lay, name: str) -> None:
    files, part = BROKEN[name]
    with pytest.raises(CouncilError) as refused:
        import_council(lay(files))
    assert part in str(refused.value)


def test_a_sound_file_goes_before_one_with_a_fault(lay: Lay) -> None:
    sound = "proposal_layers: [{neurons: [{model: a}]}]\naggregation_layer: {model: b}\n"
    found = import_council(lay({"a/moa_config.yaml": "x: [", "b/deep/moa_config.yaml": sound}))
    assert Path(found.file).parent.name == "deep"
    assert "a/moa_config.yaml" in places(found.left)


# -- lists ----------------------------------------------------------------------------------------

A_AND_B = ["a/one", "b/two"]


@pytest.mark.parametrize(
    "source",
    [
        (
            'class Settings:\n    council_models: list[str] = ["a/one", "b/two"]\n'
            "settings = Settings()\nCOUNCIL_MODELS = settings.council_models\n"
        ),
        (
            "class Settings(BaseSettings):\n"
            '    council_models: list[str] = Field(default_factory=lambda: ["a/one", "b/two"])\n'
        ),
        '@dataclass\nclass C:\n    council_models: list = field(default=["a/one", "b/two"])\n',
        'COUNCIL_MODELS = """\na/one\n# c/three\nb/two\n""".strip().splitlines()\n',
        (
            'P = {"a": ["one"], "b": ["two"]}\n'
            'COUNCIL_MODELS = [f"{p}/{m}" for p, ms in P.items() for m in ms]\n'
        ),
        (
            'P = {"a": ["one"], "b": ["two"]}\nCOUNCIL_MODELS = []\n'
            'for p, ms in P.items():\n    for m in ms:\n        COUNCIL_MODELS.append(f"{p}/{m}")\n'
        ),
        'COUNCIL_MODELS = dict(one="a/one", two="b/two")\n',
        'A, B = "a/one", "b/two"\nCOUNCIL_MODELS = [A, B]\n',
        'COUNCIL_MODELS = ["a/one"] * 1 + ["b/two"]\n',
        'COUNCIL_MODELS = sorted({m.strip() for m in ("b/two ", "a/one")})\n',
        "if 1 + 'x':\n    pass\nCOUNCIL_MODELS = ['a/one', 'b/two']\n",
    ],
)
def test_a_list_of_members_is_read_in_more_spellings(lay: Lay, source: str) -> None:
    council = import_council(lay({"backend/config.py": source})).council
    assert [council.models[who.model].model for who in council.characters] == A_AND_B


@pytest.mark.parametrize(
    "source",
    [
        "A = 9 ** 9 ** 9\nCOUNCIL_MODELS = [A]\n",
        "COUNCIL_MODELS = ['a/b'] * 10 ** 9\n",
        "A, B = load()\nCOUNCIL_MODELS = [A, B]\n",
        "COUNCIL_MODELS = [a for a, b in ['xyz']]\n",
        "COUNCIL_MODELS = other.models\n",
        "COUNCIL_MODELS = Field()\n",
        "L = list('ab' * 1) * 64\nCOUNCIL_MODELS = [a + b + c for a in L for b in L for c in L]\n",
    ],
)
def test_what_has_no_bound_or_is_not_known_is_not_read(lay: Lay, source: str) -> None:
    with pytest.raises(CouncilError, match="COUNCIL_MODELS"):
        import_council(lay({"config.py": source}))


MEMBERS = """\
COUNCIL_MODELS = [
    {"id": "a/one", "name": "Optimist", "role": "You hope.", "temperature": 0.9, "weight": 2.0},
    {"id": "b/two", "name": "Pessimist", "system_prompt": "You fear.", "max_tokens": 300},
]
CHAIRMAN_MODEL = {"id": "a/one", "temperature": 0.0}
TEMPERATURE = 0.5
MAX_TOKENS = 900
REQUEST_TIMEOUT = 45
RANKING_MODELS = ["a/one"]
CHAIRMAN_PROMPT = "Write it."
API_URL = "{url}/chat/completions"
"""


async def test_what_a_list_says_of_its_members_is_sent(
    lay: Lay, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "a-key-for-tests")
    found = import_council(lay({"config.py": MEMBERS.replace("{url}", stage.openai_url)}))
    stage.model("a/one", reply="One.")
    stage.model("b/two", reply="Two.")
    assert await _ask(found.council) == "One."
    first, *_, last = (call.body for call in stage.calls_to("a/one"))
    second = stage.calls_to("b/two")[0].body
    assert (first["temperature"], first["max_tokens"]) == (0.9, 900)
    assert (second["temperature"], second["max_tokens"]) == (0.5, 300)
    assert (last["temperature"], last["max_tokens"]) == (0, 900)
    assert "You hope." in said(first)
    assert [who.weight for who in found.council.characters] == [2, 1]
    assert {one.timeout for one in found.council.models.values()} == {45}
    assert {"RANKING_MODELS", "CHAIRMAN_PROMPT"} <= places(found.left)


PROXY = """\
model_list:
- model_name: gpt
  litellm_params:
    {model: openai/gpt-mini, api_key: os.environ/OPENAI_API_KEY, stop: [X], max_retries: 4, rpm: 5}
  model_info:
    {input_cost_per_token: 0.000001, output_cost_per_token: 0.000002, supports_vision: true}
- {model_name: x, litellm_params: {model: xai/grok, timeout: 600, reasoning_effort: low}}
- {model_name: hf, litellm_params: {model: huggingface/near/own/Owl, api_key: os.environ/HF_TOKEN}}
- {model_name: home, litellm_params: {model: ollama/owl}}
litellm_settings:
  num_retries: 3
  request_timeout: 33
  drop_params: true
  fallbacks: [{gpt: [x]}, {x: [gpt]}]
  default_fallbacks: [home]
"""


def test_a_proxys_policy_prices_and_fallbacks_are_kept(lay: Lay) -> None:
    found = import_council(lay({"litellm_config.yaml": PROXY}))
    models = found.council.models
    gpt, grok, owl = models["gpt-mini"], models["grok"], models["owl"]
    assert (gpt.timeout, gpt.retries, gpt.vision) == (33, 4, True)
    assert gpt.price is not None
    assert (gpt.price.input, gpt.price.output) == (1, 2)
    assert gpt.params == {"stop": ["X"]}
    assert gpt.fallbacks == ("grok", "owl")
    assert (grok.timeout, grok.retries, grok.fallbacks) == (600, 3, ("owl",))
    assert grok.params == {"reasoning_effort": "low"}
    assert (owl.lane, owl.concurrency) == ("gpu", 1)
    hosted = models["Owl-near"]
    assert (hosted.provider, hosted.model) == ("openai", "own/Owl:near")
    assert hosted.base_url == "https://router.huggingface.co/v1"
    left = {note.place: note.says for note in found.left}
    assert "rpm" in left["model_list[0].litellm_params"]
    assert "'gpt' stands before 'x'" in left["fallbacks x"]
    assert left["litellm_settings"].startswith("drop_params:")


LISTED = {
    "id": "a/one",
    "context_length": 9000,
    "pricing": {"prompt": "0.000001", "completion": "0.000002"},
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "supported_parameters": ["temperature"],
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("models.json", {"data": [LISTED, {"id": "b/two"}]}),
        ("models.txt", "1. a/one ($1/M in)\n2. b/two\n"),
        ("models.yaml", "models: [a/one, b/two]\nchairman: b/two\n"),
        ("my-models.csv", "name,id,price\nOne,a/one,1\nTwo,b/two,2\n"),
        ("openrouter.jsonl", '{"id": "a/one"}\n\n{"id": "b/two"}\n'),
        ("models.json", [{"slug": "a/one"}, {"slug": "b/two"}]),
    ],
)
def test_a_folder_with_a_list_of_openrouter_is_a_council(lay: Lay, name: str, content: Any) -> None:
    found = import_council(lay({name: content, "package.json": {"files": ["src/main"]}}))
    council = found.council
    assert [council.models[who.model].model for who in council.characters] == A_AND_B
    if "chairman" in content:
        assert council.models[council.synthesizer.model].model == "b/two"
    if "data" in content:
        one = council.models["one"]
        assert (one.vision, one.tools, one.context) == (True, False, 9000)


def test_a_request_of_openrouter_is_no_catalogue_of_another_system(lay: Lay) -> None:
    body = {"model": "b/two", "models": ["a/one"], "provider": {"order": ["x"]}, "messages": []}
    found: Imported = import_council(lay({"request.json": body}) / "request.json")
    assert found.format == "OpenRouter list"
    assert found.council.models[found.council.synthesizer.model].model == "b/two"
