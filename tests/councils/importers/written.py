"""Files as users of other systems have them, with every key that their manuals document."""

from __future__ import annotations

import json
from typing import Any

CHARACTERS: dict[str, Any] = {
    "characters": [
        {
            "name": "Logician",
            "model": "qwen2.5",
            "personality": "You reason step by step.",
            "speaking_style": "Dry and exact.",
            "thought_process": "Premises first.",
            "interests": ["proofs", "chess"],
        },
        {
            "name": "Seer",
            "model": "llama3.2-vision",
            "personality": "You describe what is there.",
            "speaking_style": "Vivid.",
            "thought_process": "Look, then say.",
            "interests": ["Vision", "painting"],
        },
        {
            "name": "Critic",
            "model": "mistral",
            "personality": "You watch too much.",
            "speaking_style": "Blunt.",
            "thought_process": "What is missing?",
            "interests": ["television", "revisions"],
        },
    ],
    "conclusion_thinker": {
        "name": "Judge",
        "model": "llama3.1",
        "personality": "You weigh all views.",
        "speaking_style": "Calm.",
        "thought_process": "Merge what holds.",
        "interests": ["balance"],
    },
    "human_output": {
        "name": "Neighbour",
        "model": "gemma2",
        "personality": "A friendly person.",
        "speaking_style": "Warm, like over a fence.",
        "thought_process": "Say it simply.",
        "interests": ["people"],
    },
}

OLLAMA_ENV = """\
OLLAMA_API_URL={url}/v1/
GRADIO_PORT=7860
GPU_TEMP_LIMIT=71
DEBUG_MODE=True
TOKEN_MODE=False
"""

TWO_SERVERS_ENV = """\
###########
APP_PORT=5000
APP_DEBUG=TRUE
WERKZEUG_DEBUG_PIN=123
INFERENCE_API_URL={url}
INFERENCE_SMALL_API_URL={url}
INFINITY_INSTANCE_URL=http://infinity:7997
DB_ADAPTER=postgresql
POSTGRES_PASSWORD=quite-secret-indeed
INFERENCE_MODEL_NAME=large-one
INFERENCE_MODEL_FILE=large.gguf
INFERENCE_CONTEXT_SIZE=12000
INFERENCE_SMALL_MODEL_NAME=small-one
INFERENCE_SMALL_CONTEXT_SIZE=1000
EMBEDDING_MODEL=sentence/one
OPENSEARCH_PASSWORD=Test_12345!@
"""

MOA = """\
use_annotator: true
annotator:
  model: reader
  temperature: 0.1
  system_prompt: You make vague questions sharp.
proposal_layers:
  - neurons:
      - model: meta/first
        system_prompt: You are brief.
        temperature: 0.7
        weight: 8
        max_tokens: 321
      - model: other/second
        prompt: You are thorough.
        temperature: 0.5
        weight: 2
        base_url: {url}
  - neurons:
      - model: third
        prompt: You merge.
        weight: 5
aggregation_layer:
  model: writer
  prompt: You are the editor.
  aggregation_prompt: |
    Q: {{user_query}} of {{"kind": "{{literal}}"}}
    R: {{responses}}
    W: {{response_weights}}
  temperature: 0.3
  max_tokens: 777
  shuffle: false
  dropout_rate: 0.2
  use_weights: true
base_url: {url}
pass_corresponding_results: true
"""

MOA_AS_IT_IS = MOA.replace("{url}", "http://127.0.0.1:9/v1").replace("{{", "{").replace("}}", "}")

MODEL_CONFIG: dict[str, Any] = {
    "models": {
        "gpt": {
            "name": "gpt-large",
            "provider": "openai",
            "type": "api",
            "config": {
                "max_length": 900,
                "temperature": 0.4,
                "top_p": 0.9,
                "top_k": 40,
                "repetition_penalty": 1.1,
                "supports_streaming": True,
                "supports_function_calling": True,
                "fallback": "claude",
            },
        },
        "claude": {
            "name": "claude-large",
            "provider": "anthropic",
            "type": "api",
            "config": {"max_length": 500, "top_k": 20},
        },
        "deep": {
            "name": "deepseek-ai/coder",
            "provider": "deepseek-ai",
            "type": "local",
            "config": {
                "max_length": 256,
                "temperature": 0.2,
                "top_p": 0.8,
                "top_k": 10,
                "repetition_penalty": 1.2,
                "use_gpu": True,
                "batch_size": 4,
                "device_map": "auto",
                "torch_dtype": "float16",
                "trust_remote_code": True,
                "supports_streaming": False,
                "supports_function_calling": False,
            },
        },
    },
    "provider_groups": {"paid": ["gpt", "claude"], "own": ["deep"]},
    "default_model": "gpt",
    "supported_providers": ["openai", "anthropic", "deepseek-ai"],
    "deployment_types": ["local", "api"],
    "global_config": {
        "cache_dir": "/somewhere",
        "offload_dir": "/elsewhere",
        "log_level": "INFO",
        "use_auth_token": "hf_abcdefghijklmnopqrst",
        "fallback_to_cpu": True,
    },
}

CONFIG_PY = '''\
import torch

user_query = ["Why is the sky blue?", "Who was {first}?"]

layer1_model_ids = ["Qwen/Small-A", "TinyLlama/Small-B"]
layer2_model_ids = ["microsoft/Merger"]
final_model_ids = ["/cache/hub/models--teknium--Writer/snapshots/abc", "spare/Second"]

layer1_max_new_tokens = 128
layer1_num_beams = 5
layer1_early_stopping = True
layer1_no_repeat_ngram_size = 4
layer1_num_return_sequences = 1
layer1_do_sample = True
layer1_top_k = 20
layer1_top_p = 0.9
layer1_temperature = 0.3
layer2_max_new_tokens = 64
layer2_num_return_sequences = 2
layer2_temperature = 0.2
final_max_new_tokens = 256
final_temperature = 0.1

sys_initial_prompt = "You are small and honest."
final_sys_initial_prompt = "You write."
agg_sys_prompt = """You are given answers. Merge them.

Responses from models:
"""
tinyllama_chat_template = "{{ bos_token }}{% for m in messages %}{{ m }}{% endfor %}"
other_chat_template = "{{ bos_token }}"
cache_path = "/media/cache"
token = "hf_abcdefghijklmnopqrst"
device = torch.device("cuda")
open("never-made", "w").write("run")
'''


def as_json(values: Any) -> str:
    """As their editors write it."""
    return json.dumps(values, indent="\t")
