"""Checkpoints with random weights in the published RoPEBert format: shapes to measure speed on where weights are not at hand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOCAB_SIZE = 32000
_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@dataclass(frozen=True, slots=True)
class Geometry:
    """An encoder's shape."""

    layers: int
    hidden_size: int
    heads: int
    intermediate_size: int
    max_positions: int = 8192


GEOMETRIES = {
    "mini": Geometry(7, 312, 12, 600),  # head size 26, as rubert-mini
    "e5-small": Geometry(12, 384, 12, 1536),
    "base": Geometry(12, 768, 12, 3072),
    "large": Geometry(24, 1024, 16, 4096),
    "tiny": Geometry(2, 64, 4, 128, 512),  # says nothing of speed: it tries the harness
}


def write_checkpoint(folder: Path, geometry: Geometry) -> None:
    """Write config.json, model.safetensors (float32) and a word tokenizer. The same geometry gives the same bytes."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(_weights(geometry), folder / "model.safetensors")
    write_tokenizer(folder, geometry.max_positions)
    write_json(folder / "config.json", _config(geometry))


def is_written(folder: Path, geometry: Geometry) -> bool:
    """Whether the folder holds this geometry's checkpoint, and not that of an earlier shape of its name."""
    config = folder / "config.json"  # written last
    return config.is_file() and json.loads(config.read_text(encoding="utf-8")) == _config(geometry)


def _config(geometry: Geometry) -> dict[str, Any]:
    return {
        "architectures": ["RoPEBertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": geometry.hidden_size,
        "intermediate_size": geometry.intermediate_size,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": geometry.max_positions,
        "num_attention_heads": geometry.heads,
        "num_hidden_layers": geometry.layers,
        "pad_token_id": 1,
        "pooler_type": "mean",
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "type_vocab_size": 1,
        "vocab_size": VOCAB_SIZE,
    }


def _weights(geometry: Geometry) -> dict[str, NDArray[np.float32]]:
    """Products keep the variance of what they multiply, so that attention is neither uniform nor one-hot."""
    draw = np.random.default_rng(0)
    hidden, inner = geometry.hidden_size, geometry.intermediate_size
    tensors: dict[str, NDArray[np.float32]] = {}

    def normal(name: str, *shape: int, deviation: float) -> None:
        tensors[name] = draw.standard_normal(shape, dtype=np.float32) * np.float32(deviation)

    def linear(name: str, outputs: int, inputs: int) -> None:
        normal(f"{name}.weight", outputs, inputs, deviation=inputs**-0.5)
        normal(f"{name}.bias", outputs, deviation=0.02)

    def norm(name: str) -> None:
        normal(f"{name}.weight", hidden, deviation=0.1)
        tensors[f"{name}.weight"] += 1
        normal(f"{name}.bias", hidden, deviation=0.02)

    normal("bert.embeddings.word_embeddings.weight", VOCAB_SIZE, hidden, deviation=0.05)
    normal("bert.embeddings.token_type_embeddings.weight", 1, hidden, deviation=0.02)
    norm("bert.embeddings.LayerNorm")
    for index in range(geometry.layers):
        at = f"bert.encoder.layer.{index}"
        for side in ("query", "key", "value"):
            linear(f"{at}.attention.self.{side}", hidden, hidden)
        linear(f"{at}.attention.output.dense", hidden, hidden)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", inner, hidden)
        linear(f"{at}.output.dense", hidden, inner)
        norm(f"{at}.output.LayerNorm")
    return tensors


def write_tokenizer(
    folder: Path, max_length: int, vocab_size: int = VOCAB_SIZE, more_words: Sequence[str] = ()
) -> None:
    """A tokenizer of whole words: those of our own sentences first, `more_words`, numbered ones up to the vocabulary's size."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    from benchmarks.workloads import vocabulary

    words = list(dict.fromkeys([*_SPECIAL, *vocabulary(), *more_words]))
    words += [f"слово{index}" for index in range(len(words), vocab_size)]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(list(_SPECIAL))
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    names |= {"cls_token": "<s>", "sep_token": "</s>"}
    write_json(folder / "special_tokens_map.json", names)
    limits = {"model_max_length": max_length, "tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(folder / "tokenizer_config.json", names | limits)


def write_json(path: Path, content: Any) -> None:
    """Indented, with Russian letters as they are."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
