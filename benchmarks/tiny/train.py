"""Train one tiny Llama from nothing, on one thread of a CPU.

    python -m mom_council.benchmarks.tiny.train --seed 2 --minutes 14 --out runs/tiny-2

Needs torch, transformers, tokenizers and gguf. The product needs none of them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mom_council.benchmarks.tiny.corpus import Example, examples, first_lessons
from mom_council.benchmarks.tiny.gguf_file import write_gguf
from mom_council.benchmarks.tiny.tokenizer import (
    END,
    STOP,
    chat_text,
    read_tokenizer,
    save_tokenizer,
    train_tokenizer,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer


TOKENS = 1000  # in a batch, about
POOL = 2000  # examples that are sorted by length together
EASY_UNTIL = 0.35  # of the time: short questions in few forms, dense with sums
BARE_UNTIL = 0.5  # then every form, still without a prompt
PROMPTED = 0.5  # then this share of the examples stands in a prompt
REPEATED = 0.3  # and this share are lessons of the beginning
RATE, MUON_RATE = 3e-3, 0.02
SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
_Row = tuple[list[int], list[int]]  # token ids, labels
_NO_LOSS = -100


def train(
    seed: int,
    minutes: float,
    out: Path,
    resume: Path | None = None,
    strength: float = 1.0,
    skip: float = 0.0,
    wall: float = math.inf,
) -> None:
    """Train for so many CPU-minutes; write a Transformers folder and a q8_0 GGUF file.

    Args:
        seed: the model's number, which decides what it never sees; thousands beside it do not.
        minutes: CPU-minutes of this process.
        out: the folder; the GGUF file gets its name and stands beside it.
        resume: the folder of an earlier run to go on from.
        strength: of the learning rate.
        skip: the share of the lessons to leave out at the beginning.
        wall: minutes by the clock at most; on a busy machine the lessons are shortened to fit.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tokenizer = read_tokenizer(resume) if resume else train_tokenizer()
    vocabulary = tokenizer.get_vocab()
    end, stop = vocabulary[END], vocabulary[STOP]
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        bos_token_id=None,
        eos_token_id=stop,
        pad_token_id=end,
        rope_theta=10000.0,
        **SHAPE,
    )
    model = LlamaForCausalLM.from_pretrained(resume) if resume else LlamaForCausalLM(config)
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embed" in n]
    # Muon for the hidden matrices: AdamW alone had four sums right where Muon had forty.
    optimizers = [
        (torch.optim.Muon(hidden, lr=MUON_RATE, weight_decay=0.05, momentum=0.95), MUON_RATE),
        (torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.98), weight_decay=0.01), RATE),
    ]
    start, clock, step, loss_mean = time.process_time(), time.monotonic(), 0, 0.0

    def share() -> float:
        spent, passed = time.process_time() - start, time.monotonic() - clock
        return max(spent / (minutes * 60), passed / (wall * 60))

    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    for rows in _batches(tokenizer, seed, lambda: skip + (1 - skip) * share()):
        if (done := share()) >= 1:
            break
        scale = min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for optimizer, rate in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * scale * strength
        width = max(len(ids) for ids, _ in rows)
        x = torch.tensor([ids + [end] * (width - len(ids)) for ids, _ in rows])
        y = torch.tensor([to + [_NO_LOSS] * (width - len(to)) for _, to in rows])
        # Padding is on the right, so that causal attention needs no mask.
        states = model.model(input_ids=x[:, :-1]).last_hidden_state
        asked = y[:, 1:] != _NO_LOSS
        loss = torch.nn.functional.cross_entropy(model.lm_head(states[asked]), y[:, 1:][asked])
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
        step += 1
        loss_mean = loss.item() if step == 1 else 0.98 * loss_mean + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"{done:4.0%} step {step} loss {loss_mean:.4f}", flush=True)

    model.generation_config.eos_token_id = stop
    model.generation_config.pad_token_id = end
    model.save_pretrained(out)
    save_tokenizer(tokenizer, out)
    spent = round((time.process_time() - start) / 60, 1)
    facts = {"seed": seed, "minutes": spent, "steps": step, "loss": loss_mean}
    (out / "train.json").write_text(json.dumps(facts), encoding="utf-8")
    write_gguf(out, out.with_suffix(".gguf"))


def _batches(tokenizer: Tokenizer, seed: int, share: Any) -> Iterator[list[_Row]]:
    """Yield batches of about equal length in tokens, for ever."""
    rng = random.Random(seed * 7919)
    number = seed % 1000
    lessons, stream = first_lessons(seed, model=number), examples(seed, model=number)
    while True:
        if (done := share()) < EASY_UNTIL:
            pool = list(itertools.islice(lessons, POOL))
        else:
            rate = PROMPTED if done > BARE_UNTIL else 0.0
            pairs = itertools.islice(stream, POOL)
            pool = [prompted if rng.random() < rate else bare for bare, prompted in pairs]
            pool += itertools.islice(lessons, int(POOL * REPEATED))
        rows = sorted(_encode(tokenizer, pool), key=lambda row: len(row[0]))
        batches: list[list[_Row]] = [[]]
        for row in rows:
            if (len(batches[-1]) + 1) * len(row[0]) > TOKENS:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        yield from batches


def _encode(tokenizer: Tokenizer, pool: list[Example]) -> list[_Row]:
    asked = tokenizer.encode_batch([chat_text(x.system, x.user) for x in pool])
    said = tokenizer.encode_batch([x.answer + STOP for x in pool])
    rows = []
    for example, question, answer in zip(pool, asked, said, strict=True):
        labels = [
            _NO_LOSS if begin < len(example.given) else token
            for token, (begin, _) in zip(answer.ids, answer.offsets, strict=True)
        ]
        rows.append((question.ids + answer.ids, [_NO_LOSS] * len(question.ids) + labels))
    return [row for row in rows if len(row[0]) <= SHAPE["max_position_embeddings"]]


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, required=True, help="the model's number, 1, 2 or 3")
    parser.add_argument("--minutes", type=float, default=14.0, help="CPU-minutes to spend")
    parser.add_argument("--resume", type=Path, help="folder of an earlier run to go on from")
    parser.add_argument("--strength", type=float, default=1.0, help="of the learning rate")
    parser.add_argument("--skip", type=float, default=0.0, help="share of the lessons left out")
    parser.add_argument("--wall", type=float, default=math.inf, help="minutes by the clock at most")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    options = {name: getattr(args, name) for name in ("resume", "strength", "skip", "wall")}
    train(args.seed, args.minutes, args.out, **options)


if __name__ == "__main__":
    main()
