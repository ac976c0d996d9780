"""Moving day: whole checkouts of other systems, imported by their folder, answer on a stage.

The files are written anew in the formats of their manuals, with every key that these document.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mom_council.councils.loader import load_council
from mom_council.councils.schema import Council
from mom_council.councils.trust import accept, review_file
from mom_council.tests.cli.conftest import Mom
from mom_council.tests.councils.importers.written import (
    CHARACTERS,
    CONFIG_PY,
    MOA,
    MODEL_CONFIG,
    as_json,
)
from mom_council.tests.stage import Stage

Lay = Callable[..., Path]


@pytest.fixture
def lay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lay:
    """Writes the files of a checkout."""
    monkeypatch.chdir(tmp_path)

    def write(files: dict[str, Any]) -> Path:
        folder = tmp_path / "checkout"
        for name, content in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content if isinstance(content, str) else as_json(content), "utf-8")
        return folder

    return write


def _imported(mom: Mom, *more: str) -> Council:
    called = mom("import", "checkout", "-o", "mine.yaml", *more)
    assert called.code == 0, called.err
    return load_council("mine.yaml")


CHARACTERS_CHECKOUT = {
    "characters.json": CHARACTERS,
    ".env": "HOST=localhost\nOLLAMA_API_URL=http://${HOST}:{port}/v1/\nGRADIO_PORT=${PORT:-7860}\n"
    "GPU_TEMP_LIMIT=${LIMIT:-71}\nDEBUG_MODE=False\nTOKEN_MODE=True\n",
    "app.py": "import gradio\nraise SystemExit('never run')\n",
    "requirements.txt": "gradio\nollama\n",
    "extensions/DeepThinking/extension.py": "raise SystemExit('never run')\n",
    "extensions/DeepThinking/config.json": {"name": "DeepThinking", "description": "thinks on"},
    "extensions/Shout/extension.py": "raise SystemExit('never run')\n",
    "extensions/Shout/config.json": {
        "name": "Shout",
        "version": "1.0",
        "description": "answers in capitals",
        "author": "a",
        "requires": [],
    },
    "extensions/Shout/requirements.txt": "",
}


def test_a_checkout_of_characters_answers_and_says_who_is_missing(
    lay: Lay, mom: Mom, stage: Stage
) -> None:
    port = stage.url.rpartition(":")[2]
    env = CHARACTERS_CHECKOUT[".env"].replace("{port}", port)
    lay({**CHARACTERS_CHECKOUT, ".env": env})
    for name in ("qwen2.5", "mistral", "llama3.1", "gemma2"):
        stage.model(name, reply="42")
    called = mom("import", "checkout", "-o", "mine.yaml")
    assert called.code == 0, called.err
    assert "characters.json" in called.err
    assert "llama3.2-vision: not on this machine: ollama pull llama3.2-vision" in called.err
    assert "it is not trusted" not in called.err
    assert "2 of 3 answered: Logician, Critic" in called.err
    assert "Seer:" in called.err
    assert "to have them all: ollama pull llama3.2-vision" in called.err
    assert "MOM_EXTENSIONS=" in called.err
    assert "`extensions: [{use: deep_thinking}]`" in called.err
    council = load_council("mine.yaml")
    assert council.deliberation.quorum == 1, "on one lane everybody is waited for"
    assert council.thermal is not None
    assert council.thermal.limit == 71
    assert {one.base_url for one in council.models.values()} == {f"http://localhost:{port}"}


def test_what_is_missing_is_mapped_to_what_is_here(lay: Lay, mom: Mom, stage: Stage) -> None:
    port = stage.url.rpartition(":")[2]
    lay({**CHARACTERS_CHECKOUT, ".env": CHARACTERS_CHECKOUT[".env"].replace("{port}", port)})
    for name in ("qwen2.5", "mistral", "llama3.1", "gemma2"):
        stage.model(name, reply="42")
    called = mom(
        "import", "checkout", "-o", "mine.yaml", "--json", "--map", "llama3.2-vision=llama3.1"
    )
    said = called.object
    assert said["missing"] == []
    assert said["trial"]["answered"] == ["Logician", "Seer", "Critic"]
    assert said["trial"]["absent"] == []
    council = load_council("mine.yaml")
    assert council.models[council.character("Seer").model].model == "llama3.1"
    wrong = mom("import", "checkout", "--map", "nobody=llama3.1", "--no-run")
    wrong.refuses(3, "--map", "'nobody'")
    mom("import", "checkout", "--map", "nobody").refuses(2, "A=B")


def test_two_servers_and_a_painter_in_docker_are_found_from_outside(
    lay: Lay, mom: Mom, stage: Stage
) -> None:
    port = stage.url.rpartition(":")[2]
    folder = lay(
        {
            "part-6/.env": "INFERENCE_API_URL=http://llama-cpp:8080\n"
            "INFERENCE_SMALL_API_URL=http://host.docker.internal:${SMALL_PORT}\n"
            f"SMALL_PORT={port}\nINFERENCE_MODEL_NAME=large\nINFERENCE_SMALL_MODEL_NAME=small\n"
            "INFERENCE_CONTEXT_SIZE=12000\nDB_ADAPTER=postgresql\nPOSTGRES_PASSWORD=a-secret-1234\n"
            "APP_PORT=5000\n",
            "part-6/docker-compose.yml": "services:\n  inference:\n    hostname: llama-cpp\n"
            f'    ports: ["127.0.0.1:${{LARGE_PORT:-{port}}}:8080/tcp"]\n  app: {{build: .}}\n',
            "part-6/services/image_gen.py": "from diffusers import AutoPipelineForText2Image\n"
            "class Gen:\n    def __init__(self):\n        self.model = 'own/sd15'\n"
            "    def load(self):\n"
            "        p = AutoPipelineForText2Image.from_pretrained(self.model)\n"
            "        p.load_lora_weights('own/lcm-lora')\n",
        }
    )
    with closing(sqlite3.connect(folder / "part-6" / "chats.db")) as base:
        base.execute(
            "create table chat_message (id integer, chat_id text, role text, content text)"
        )
        rows = [(1, "a", "USER", "Hello"), (2, "a", "ASSISTANT", "Hi"), (3, "b", "user", "Why?")]
        base.executemany("insert into chat_message values (?, ?, ?, ?)", rows)
        base.commit()
    stage.model("large", reply="42")
    stage.model("small", reply='{"route": "text"}')
    called = mom("import", "checkout/part-6", "-o", "mine.yaml", "--chats")
    assert called.code == 0, called.err
    assert "'llama-cpp' is a service of docker-compose.yml" in called.err
    assert "'host.docker.internal' is this machine" in called.err
    assert "1 of 1 answered: Answerer" in called.err
    assert "a-secret" not in called.err + called.out
    council = load_council("mine.yaml")
    assert {one.base_url for one in council.models.values() if one.base_url} == {
        f"http://localhost:{port}/v1"
    }
    assert council.painter is not None
    brush = council.models[council.painter.model]
    assert (brush.provider, brush.model, brush.params) == (
        "diffusers",
        "own/sd15",
        {"lora": "own/lcm-lora"},
    )
    listed = mom("threads", "list").out
    assert "Hello" in listed
    assert "Why?" in listed
    again = mom("import", "checkout/part-6", "--chats", "--no-run")
    assert "0 of 2 conversations are kept" in again.err


def test_layers_of_hugging_face_models_are_not_asked_where_nothing_is_downloaded(
    lay: Lay, mom: Mom
) -> None:
    lay({"config.py": CONFIG_PY, "main.py": "import config\n", "utils/config.py": "x = 1\n"})
    called = mom("import", "checkout", "-o", "mine.yaml")
    assert called.code == 0
    assert "hf download Qwen/Small-A" in called.err
    assert "it was not asked" in called.err
    assert not Path("never-made").exists()
    assert load_council("mine.yaml").seats == (("Small-A", "Small-B"), ("Merger",))


def _catalogue() -> dict[str, Any]:
    """A file of 22 models, pictures and embeddings among them, as memories-dev writes it."""
    models = {
        f"chat-{vendor}-{number}": {
            "name": f"{vendor}-{number}",
            "provider": vendor,
            "type": "api",
            "config": {"max_length": 100, "supports_vision": True, "context_length": 8192},
        }
        for vendor in ("openai", "anthropic", "mistral", "cohere")
        for number in range(4)
    }
    local = {
        "type": "local",
        "provider": "stabilityai",
        "config": {"device_map": "auto", "num_inference_steps": 4},
    }
    drawing = {"sdxl": "stabilityai/sdxl-turbo", "sd15": "runwayml/stable-diffusion-v1-5"}
    models |= {key: {**local, "name": name} for key, name in drawing.items()}
    for name in ("text-embedding-3", "dall-e-3", "whisper-1"):
        models[name] = {"name": name, "provider": "openai", "type": "api", "config": {}}
    snapshot = "/data/hub/models--own--Small/snapshots/24c0bea14d53e6f67f1fbe2eca5bfe7cae389b33"
    models["0b7f1c5e-7c52-4a0e-9c5e-2f3f7a1d9e10"] = {
        "name": snapshot,
        "provider": "meta",
        "type": "local",
        "config": {},
    }
    return {
        **MODEL_CONFIG,
        "models": models,
        "provider_groups": {},
        "default_model": "chat-cohere-2",
    }


def test_a_catalogue_gives_choices_and_a_few_of_them_take_part(lay: Lay, mom: Mom) -> None:
    assert len(_catalogue()["models"]) == 22
    lay({"models/config/model_config.json": _catalogue(), "setup.py": "raise SystemExit\n"})
    called = mom("import", "checkout", "-o", "mine.yaml", "--no-run", "--json")
    assert called.code == 0, called.err
    council = load_council("mine.yaml")
    seated = [who.name for who in council.characters]
    assert len(seated) == 5
    assert "chat-cohere-2" in seated
    assert len({council.models[who.model].provider for who in council.characters}) == 5
    assert council.synthesizer.model == "cohere-2"
    assert len(called.object["choices"]) == 12
    assert council.models["sdxl-turbo"].provider == "diffusers"
    assert "Small" in council.models, "a digest is no name, and no key"
    assert "text-embedding-3" not in council.models
    chosen = mom(
        "import", "checkout", "-o", "b.yaml", "--no-run", "--seats", "chat-openai-3,chat-mistral-0"
    )
    assert chosen.code == 0, chosen.err
    assert [who.name for who in load_council("b.yaml").characters] == [
        "chat-openai-3",
        "chat-mistral-0",
    ]
    mom("import", "checkout", "--no-run", "--seats", "chat-opena-3").refuses(3, "did you mean")


def test_a_checkout_of_moa_llm_is_asked_once_it_is_trusted(
    lay: Lay, mom: Mom, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = MOA.replace("{{", "{").replace("}}", "}").replace("{url}", stage.openai_url)
    lay(
        {
            "examples/server/moa_config.yaml": text,
            "examples/server/moa_config_chat.yaml": text,
            "examples/server/.env.local.template": "PROVIDER_API_KEY=your_api_key_here\n",
            "moa_llm/config_loader.py": "raise SystemExit\n",
            "pyproject.toml": "[project]\n",
        }
    )
    monkeypatch.setenv("PROVIDER_API_KEY", "a-key-for-tests")
    monkeypatch.setenv("MOM_PAID", "1")
    for name in ("meta/first", "other/second", "third", "writer"):
        stage.model(name, reply="42")
    stage.model("reader", reply='{"restated": "17 + 25?", "kind": "closed"}')
    first = mom("import", "checkout", "-o", "mine.yaml")
    assert first.code == 0
    assert "it was not asked: it sends the key in PROVIDER_API_KEY" in first.err
    assert "mom trust mine.yaml" in first.err
    assert "moa_config_chat.yaml: is a moa_config.yaml too" in first.err
    assert not [call for call in stage.calls if call.body], "nobody was asked before that"
    accept(review_file(Path("mine.yaml")))
    again = mom("import", "checkout", "-o", "mine.yaml", "--force")
    assert "3 of 3 answered" in again.err
    written = json.dumps(stage.calls_to("writer")[0].body)
    assert "proposal 1: 8" in written


KARPATHY = '''\
"""Configuration."""
import os
from dotenv import load_dotenv

load_dotenv()
OPENROUTER_API_KEY = os.getenv("OPENROUTER_API_KEY")
if not OPENROUTER_API_KEY:
    raise ValueError("never raised here")
ROUTER_TYPE = os.getenv("ROUTER_TYPE", "openrouter").lower()


def _env_list(name, default):
    raise SystemExit("never run")


OLLAMA_BASE_URL = os.getenv("OLLAMA_BASE_URL", "http://localhost:11434")
if ROUTER_TYPE == "ollama":
    COUNCIL_MODELS = [m.strip() for m in os.getenv("COUNCIL_MODELS", "").split(",") if m.strip()]
    CHAIRMAN_MODEL = os.getenv("CHAIRMAN_MODEL") or COUNCIL_MODELS[0]
else:
    COUNCIL_MODELS = _env_list("COUNCIL_MODELS", [
        "openai/gpt-5.1",
        "google/gemini-3-pro-preview",
        "x-ai/grok-4",
    ])
    CHAIRMAN_MODEL = "google/" + "gemini-3-pro-preview"
TITLE_MODEL = "google/gemini-2.5-flash"
OPENROUTER_BASE_URL = "https://openrouter.ai/api/v1"
OPENROUTER_API_URL = f"{OPENROUTER_BASE_URL}/chat/completions"
DATA_DIR = "data/conversations"
REQUEST_TIMEOUT = float(os.getenv("REQUEST_TIMEOUT", "180"))
'''


def test_an_llm_council_keeps_its_members_chairman_and_conversations(
    lay: Lay, mom: Mom, stage: Stage
) -> None:
    talk = {
        "id": "0b7f1c5e-7c52-4a0e-9c5e-2f3f7a1d9e10",
        "title": "Sky",
        "messages": [
            {"role": "user", "content": "Why is the sky blue?"},
            {
                "role": "assistant",
                "stage1": [{"model": "openai/gpt-5.1", "response": "Light."}],
                "stage2": [],
                "stage3": {"model": "x", "response": "It scatters."},
            },
        ],
    }
    files = {
        "backend/config.py": KARPATHY,
        "backend/council.py": "from .config import COUNCIL_MODELS\n",
        "data/conversations/a.json": talk,
        "frontend/package.json": {"name": "x"},
    }
    lay(files)
    council = _imported(mom, "--no-run", "--chats")
    assert [who.name for who in council.characters] == [
        "gpt-5.1",
        "gemini-3-pro-preview",
        "grok-4",
    ]
    models = council.models
    assert {one.base_url for one in models.values()} == {"https://openrouter.ai/api/v1"}
    assert {one.api_key_env for one in models.values()} == {"OPENROUTER_API_KEY"}
    assert {one.timeout for one in models.values()} == {180}
    assert models[council.synthesizer.model].model == "google/gemini-3-pro-preview"
    assert (council.deliberation.method, council.deliberation.ballots) == ("borda", "always")
    shown = mom("threads", "show", "moved 0b7f1c5e-7c52-4a0e-9c5e-2f3f7a1d9e10")
    assert "It scatters." in shown.out

    url = stage.ollama_url
    env = f"ROUTER_TYPE=ollama\nOLLAMA_BASE_URL={url}\nCOUNCIL_MODELS=qwen3:8b, gemma3\n"
    lay({**files, ".env": env})
    for name in ("qwen3:8b", "gemma3"):
        stage.model(name, reply="42")
    called = mom("import", "checkout", "-o", "local.yaml")
    assert "2 of 2 answered: qwen3-8b, gemma3" in called.err, called.err
    local = load_council("local.yaml")
    assert {one.provider for one in local.models.values()} == {"ollama"}


@pytest.mark.parametrize(
    ("source", "members"),
    [
        ('COUNCIL_MODELS = ["a/b", "c/d"]\n', ["a/b", "c/d"]),
        ('import os\nX = os.getenv("M")\nCOUNCIL_MODELS = X or ["a/b"]\n', ["a/b"]),
        (
            'import os\nCOUNCIL_MODELS = os.environ.get("M", "a/b, c/d").split(",")\n',
            ["a/b", "c/d"],
        ),
        ('DEFAULT = ("a/b",)\nCOUNCIL_MODELS = [*DEFAULT, "c/d"]\n', ["a/b", "c/d"]),
        ('COUNCIL_MODELS: list[str] = [{"id": "a/b"}, {"model": "c/d"}]\n', ["a/b", "c/d"]),
        ('COUNCIL_MODELS = {"One": "a/b", "Two": {"model": "c/d"}}\n', ["a/b", "c/d"]),
        ('class Settings:\n    COUNCIL_MODELS = ["a/b"] + ["c/d"]\n', ["a/b", "c/d"]),
        ('try:\n    import x\nexcept ImportError:\n    pass\nCOUNCIL_MODELS = ["a/b"]\n', ["a/b"]),
        ('DEFAULT_COUNCIL_MODELS = ["a/b"]\nCOUNCIL_MODELS = load()\n', ["a/b"]),
        ('COUNCIL_MODELS = ["a/b"]\nCOUNCIL_MODELS += ["c/d"]\n', ["a/b", "c/d"]),
        ('COUNCIL_MODELS = []\nCOUNCIL_MODELS.append("a/b")\n', ["a/b"]),
        ('COUNCIL_MODELS = ["a/b"]\nCOUNCIL_MODELS.extend(("c/d",))\n', ["a/b", "c/d"]),
        (
            'COUNCIL_MODELS = []\nfor m in ["b", "d"]:\n    COUNCIL_MODELS.append(f"a/{m}")\n',
            ["a/b", "a/d"],
        ),
        ('M = {"x": "a/b", "y": "c/d"}\nCOUNCIL_MODELS = list(M.values())\n', ["a/b", "c/d"]),
        ('COUNCIL_MODELS = ("a/b", *["c/d", "e/f"][:1])\n', ["a/b", "c/d"]),
        ('COUNCIL_MODELS = list(f"a/{m}" for m in ("b", "d"))\n', ["a/b", "a/d"]),
        ("COUNCIL_MODELS = sorted({'c/d', 'a/b'})\n", ["a/b", "c/d"]),
        (
            "import os, json\nCOUNCIL_MODELS = json.loads(os.getenv('M', '[\"a/b\", \"c/d\"]'))\n",
            ["a/b", "c/d"],
        ),
    ],
)
def test_a_list_is_read_however_it_is_written(
    lay: Lay, mom: Mom, source: str, members: list[str]
) -> None:
    lay({"config.py": source})
    council = _imported(mom, "--no-run")
    assert [council.models[who.model].model for who in council.characters] == members


@pytest.mark.parametrize(
    "source",
    [
        "COUNCIL_MODELS = load_models()\n",
        "COUNCIL_MODELS = [\n",
        'A = "x" * 10**9\nCOUNCIL_MODELS = A\n',
        "A = 'ab'\n" + "A = A + A\n" * 60 + "COUNCIL_MODELS = [A]\n",
        "A = 9\n" + "A = A * A\n" * 60 + "COUNCIL_MODELS = [A]\n",
        "COUNCIL_MODELS = ['a/b']\nCOUNCIL_MODELS.insert(0, load())\n",
        "COUNCIL_MODELS = ['a/b']\nfor m in load():\n    COUNCIL_MODELS.append(m)\n",
        "COUNCIL_MODELS = ['a/b']\nCOUNCIL_MODELS[0] = load()\n",
        "COUNCIL_MODELS = ['a/b']\nwhile True:\n    COUNCIL_MODELS += ['c/d']\n",
        "COUNCIL_MODELS = []\n"
        + "".join(f"{' ' * n}for m{n} in 'a' * 9 or [1] * 9:\n" for n in range(3))
        + "    COUNCIL_MODELS.append(m0)\n",
        "COUNCIL_MODELS = __import__('os').system('touch never-made')\n",
    ],
)
def test_a_list_that_is_computed_is_refused_and_never_run(lay: Lay, mom: Mom, source: str) -> None:
    lay({"config.py": source})
    called = mom("import", "checkout/config.py", "--no-run")
    assert called.code == 3
    assert not Path("never-made").exists()


LITELLM = """\
model_list:
  - model_name: fast
    litellm_params: {model: groq/llama-3.1-8b, api_key: os.environ/GROQ_API_KEY, rpm: 30}
  - model_name: smart
    litellm_params:
      {model: azure/gpt-4o, api_base: https://x.openai.azure.com, api_key: sk-abcdefgh12345678}
    model_info: {mode: chat}
  - model_name: smart
    litellm_params: {model: claude-large, temperature: 0.2, max_tokens: 500}
  - model_name: dated
    litellm_params:
      model: azure/my-gpt
      api_base: https://x.openai.azure.com/
      api_key: os.environ/MY_AZURE_KEY
      api_version: 2024-08-01-preview
  - model_name: local
    litellm_params: {model: ollama_chat/llama3.1, api_base: "http://ollama:11434"}
  - model_name: own
    litellm_params: {model: hosted_vllm/qwen, api_base: os.environ/VLLM_URL, timeout: 30}
  - model_name: "*"
    litellm_params: {model: "openai/*"}
  - model_name: pictures
    litellm_params: {model: openai/dall-e-3}
  - model_name: vectors
    litellm_params: {model: openai/small}
    model_info: {mode: embedding}
litellm_settings: {drop_params: true, fallbacks: [{fast: [smart, local]}]}
general_settings: {master_key: sk-1234567890abcdef}
router_settings: {routing_strategy: simple-shuffle}
environment_variables: {REDIS_HOST: x}
"""


def test_a_proxys_list_becomes_a_council_with_its_fallbacks(lay: Lay, mom: Mom) -> None:
    lay({"config.yaml": LITELLM, ".env": "VLLM_URL=http://127.0.0.1:9/v1\n"})
    called = mom("import", "checkout", "-o", "mine.yaml", "--no-run")
    assert called.code == 0, called.err
    assert "sk-" not in called.err
    council = load_council("mine.yaml")
    assert [who.name for who in council.characters] == ["fast", "smart", "dated", "local", "own"]
    told = {
        who.name: (m.provider, m.model, m.base_url, m.api_key_env)
        for who in council.characters
        if (m := council.models[who.model])
    }
    assert told == {
        "fast": ("groq", "llama-3.1-8b", None, "GROQ_API_KEY"),
        "smart": ("openai", "gpt-4o", "https://x.openai.azure.com/openai/v1", "AZURE_API_KEY"),
        "dated": ("azure", "my-gpt", "https://x.openai.azure.com", "MY_AZURE_KEY"),
        "local": ("ollama", "llama3.1", None, None),
        "own": ("openai", "qwen", "http://127.0.0.1:9/v1", None),
    }
    fast = council.models["llama-3.1-8b"]
    assert fast.fallbacks == ("gpt-4o", "llama3.1")
    assert council.models["gpt-4o"].fallbacks == ("claude-large",)
    assert council.models["claude-large"].provider == "anthropic"
    assert council.models["qwen"].timeout == 30
    assert council.models["my-gpt"].params == {"api_version": "2024-08-01-preview"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("models.txt", "# mine\nopenai/gpt-5.1\n- x-ai/grok-4\n"),
        ("list.json", ["openai/gpt-5.1", "x-ai/grok-4"]),
        ("ask.json", {"model": "openai/gpt-5.1", "models": ["openai/gpt-5.1", "x-ai/grok-4"]}),
        (
            "openrouter.json",
            {
                "data": [
                    {"id": "openai/gpt-5.1", "architecture": {"output_modalities": ["text"]}},
                    {"id": "x-ai/grok-4"},
                    {"id": "a/painter", "architecture": {"output_modalities": ["image"]}},
                    {"id": "a/flux.2-pro"},
                ]
            },
        ),
    ],
)
def test_a_list_of_openrouter_is_a_council(lay: Lay, mom: Mom, name: str, content: Any) -> None:
    lay({name: content})
    assert mom("import", f"checkout/{name}", "-o", "mine.yaml", "--no-run").code == 0
    council = load_council("mine.yaml")
    assert [who.name for who in council.characters] == ["gpt-5.1", "grok-4"]
    assert council.models["grok-4"].api_key_env == "OPENROUTER_API_KEY"


def test_a_folder_of_a_stranger_is_read_within_bounds(lay: Lay, mom: Mom, tmp_path: Path) -> None:
    folder = lay({"deep/a/b/c/d/e/f/characters.json": CHARACTERS, "README.md": "x"})
    secret = tmp_path / "secret.json"
    secret.write_text(as_json(CHARACTERS), "utf-8")
    (folder / "characters.json").symlink_to(secret)
    (folder / ".env").symlink_to(secret)
    mom("import", "checkout").refuses(3, "none of the files that can be imported")
