"""Write a trained Transformers folder as one q8_0 GGUF file for llama.cpp.

    python -m mom_council.benchmarks.tiny.gguf_file runs/tiny-1 tiny-1.gguf

Needs `gguf` and numpy, not torch: the safetensors file is read by hand.
"""

from __future__ import annotations

import argparse
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_REST = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def write_gguf(source: Path, target: Path) -> None:
    """Convert a folder with a Llama, its tokenizer and its chat template."""
    import gguf

    config = _read_json(source / "config.json")
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_name(target.stem)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    writer.add_rope_freq_base(float(theta))
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    _add_tokenizer(writer, source, config["vocab_size"])
    for name, tensor in _tensors(source / "model.safetensors", config):
        kind = gguf.GGMLQuantizationType.Q8_0 if tensor.ndim > 1 else gguf.GGMLQuantizationType.F32
        if tensor.ndim > 1:
            tensor = gguf.quants.quantize(tensor, kind)
        writer.add_tensor(name, tensor, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: Any, source: Path, size: int) -> None:
    import gguf

    tokenizer = _read_json(source / "tokenizer.json")
    special = {t["content"]: t["id"] for t in tokenizer["added_tokens"] if t["special"]}
    vocabulary = tokenizer["model"]["vocab"] | special
    tokens = [""] * size
    for token, number in vocabulary.items():
        tokens[number] = token
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if token in special else normal for token in tokens])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_eos_token_id(special["<|im_end|>"])
    writer.add_pad_token_id(special["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template((source / "chat_template.jinja").read_text(encoding="utf-8"))


def _tensors(file: Path, config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    import numpy as np

    raw = file.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    head, body = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    for name, facts in head.items():
        if name == "__metadata__":
            continue
        begin, end = facts["data_offsets"]
        tensor = np.frombuffer(body[begin:end], np.float32).reshape(facts["shape"])
        module = name.rpartition(".")[0]
        if not module.startswith("model.layers."):
            yield f"{_REST[module]}.weight", tensor
            continue
        _, _, layer, part = module.split(".", 3)
        if (key := heads.get(part.rpartition(".")[2])) is not None:
            tensor = _as_pairs(tensor, config[key])
        yield f"blk.{layer}.{_LAYER[part]}.weight", np.ascontiguousarray(tensor)


def _as_pairs(weight: Any, heads: int) -> Any:
    """Reorder rows: Transformers rotates halves of a head, llama.cpp rotates pairs."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
    )


def _read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def main() -> None:
    """Read the command line and convert."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    write_gguf(args.source, args.target)


if __name__ == "__main__":
    main()
