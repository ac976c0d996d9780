"""Thoughts and control tokens of any dialect are removed, and nothing else."""

from __future__ import annotations

import pytest

from mom_council.voting.reading import read_answer, visible_text


@pytest.mark.parametrize(
    "reply",
    [
        "<think>Say 41.</think>The answer is 42.",
        "<think>a</think><think>b 41</think>The answer is 42.",
        "<think><think>41</think>The answer is 42.",
        "<THINK>41</THINK>The answer is 42.",
        "<Thinking type='x'>41</Thinking>\n\nThe answer is 42.",
        "41, I guess.</think>\nThe answer is 42.",
        "[THINK]41[/THINK]The answer is 42.",
        "◁think▷41◁/think▷The answer is 42.",
        "<seed:think>41</seed:think>The answer is 42.",
        "<|begin_of_thought|>41<|end_of_thought|>The answer is 42.",
        "<|START_THINKING|>41<|END_THINKING|><|START_RESPONSE|>The answer is 42.<|END_RESPONSE|>",
        "<|channel|>analysis<|message|>41<|end|><|channel|>final<|message|>The answer is 42.",
        "<|channel|>analysis 41<|channel|>final<|message|>The answer is 42.",
        "analysisIt may be 41.assistantfinalThe answer is 42.",
        "Thinking...\nIt may be 41.\n...done thinking.\n\nThe answer is 42.",
        "The answer is 42.<|im_end|>",
        "The answer is 42.</s></s></s>",
        "<s>The answer is 42.</s>",
        "The answer is 42.<|eot_id|>",
        "The answer is 42.<|im_end|>\n<|im_start|>user\nAnd 1 + 1?<|im_end|>\n2",
        "<|im_start|>assistant\nThe answer is 42.",
        "<start_of_turn>model\nThe answer is 42.<end_of_turn>",
        "The answer is 42.<｜end▁of▁sentence｜>",
        "<think>```python\nprint(41)\n</think>The answer is 42.",
    ],
)
def test_every_dialect_of_thoughts_is_removed(reply: str) -> None:
    assert visible_text(reply) == "The answer is 42."
    assert read_answer(reply).form == "42"


@pytest.mark.parametrize(
    "reply",
    [
        "Wrap it in `<think>` and `</think>` tags.",
        "```html\n<think>This is shown.</think>\n```",
        "<s>old</s> new",
        "If a <b and b> c, then it holds.",
        "Use [INSTALL] first.",
        "He said: I think so.",
    ],
)
def test_what_a_reply_talks_about_stays(reply: str) -> None:
    assert visible_text(reply) == reply


@pytest.mark.parametrize(
    "reply",
    [
        "<think>The answer is 42",
        "[THINK]The answer is 42",
        "<|channel|>analysis<|message|>It is 42",
    ],
)
def test_thoughts_that_were_cut_off_are_no_answer(reply: str) -> None:
    assert not read_answer(reply, kind="closed")
    assert visible_text(reply) == ""
