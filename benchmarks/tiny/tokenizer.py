"""Train the tokenizer: a byte-level BPE with single digits and the ChatML marks.

Needs `tokenizers`; the product does not depend on it, because a GGUF file carries its tokenizer.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from mom_council.benchmarks.tiny.corpus import examples

if TYPE_CHECKING:
    from tokenizers import Tokenizer


SIZE = 1280
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# llama.cpp knows this split as "qwen2": one token a digit.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(count: int = 20_000) -> Tokenizer:
    """Learn the merges from the corpus: questions, prompts and answers."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    text = (
        part
        for bare, prompted in itertools.islice(examples(0), count)
        for part in (bare.user, prompted.system, prompted.user, prompted.answer)
    )
    tokenizer.train_from_iterator(
        text,
        trainers.BpeTrainer(
            vocab_size=SIZE - 3,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([END, START, STOP])
    return tokenizer


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read the tokenizer of an earlier run."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the tokenizer where the converter and Transformers look for it."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=STOP,
        pad_token=END,
        chat_template=TEMPLATE,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(str(folder))


def chat_text(system: str, user: str) -> str:
    """Write an exchange up to where the answer begins."""
    head = f"{START}system\n{system}{STOP}\n" if system else ""
    return f"{head}{START}user\n{user}{STOP}\n{START}assistant\n"
