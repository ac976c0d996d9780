"""A language model of random weights in the folder layout of Hugging Face's: it writes nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRICT = (
    "{% for m in messages %}"
    "{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/...') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"
)
DEAF = (
    "{% for m in messages if m['role'] != 'system' %}"
    "<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
)


def tokenizer(template: str | None = CHATML) -> Any:
    """One token a letter of plain English, and the marks of ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    marks = ["<|end|>", "<|im_start|>", "<|im_end|>"]
    plain = {*map(chr, range(33, 127)), "\u0120", "\u010a"}  # blank and newline, as it writes them
    letters = sorted(plain & {*pre_tokenizers.ByteLevel.alphabet()})
    vocabulary = {piece: place for place, piece in enumerate([*marks, *letters])}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", additional_special_tokens=marks[:2]
    )
    fast.chat_template = template
    return fast


def make_model(
    folder: Path, *, seed: int = 0, template: str | None = CHATML, context: int = 1024
) -> Path:
    """Write a model of 0.1 million random parameters, and its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    words = tokenizer(template)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=48, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=context,
        eos_token_id=words.eos_token_id, bos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = words.eos_token_id
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
