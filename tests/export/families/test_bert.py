"""The BERTs by name: what each published checkpoint has that a plain BERT has not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForPreTraining, BertModel

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
}
Publish = Callable[..., Path]
Assert = Callable[..., Path]
FRIDA_PROMPTS = {name: f"{name}: " for name in ("paraphrase", "search_query", "search_document", "categorize")}


def test_rubert_mini_frida(publish: Publish, assert_equals_transformers: Assert) -> None:
    """12 heads of 26, which no vector width divides, 2048 positions, and a default prompt."""
    shape = SHAPE | {
        "hidden_size": 312,
        "num_attention_heads": 12,
        "intermediate_size": 600,
        "max_position_embeddings": 2048,
    }
    folder = publish(BertModel(BertConfig(**shape)), "word-piece", prompts=FRIDA_PROMPTS, default="categorize")
    bundle = assert_equals_transformers(folder, "mean", prompt="categorize: ")
    assert json.loads((bundle / "strizh.json").read_text())["spec"]["head_size"] == 26


def test_rubert_mini_sts(publish: Publish, assert_equals_transformers: Assert) -> None:
    """The same with the first token for a vector."""
    folder = publish(
        BertModel(BertConfig(**SHAPE | {"hidden_size": 52, "num_attention_heads": 2})),
        "word-piece",
        pooling="cls_token",
    )
    assert_equals_transformers(folder, "cls")


def test_labse_en_ru(publish: Publish, assert_equals_transformers: Assert) -> None:
    """Saved with its pre-training heads, under `bert.`; a Dense module with tanh follows the first token."""
    generator = np.random.default_rng(7)
    weight, bias = (generator.normal(0, 0.2, size).astype(np.float32) for size in ((48, 48), 48))
    folder = publish(BertForPreTraining(BertConfig(**SHAPE)), "word-piece", pooling="cls_token", dense=(weight, bias))

    def labse(hidden: torch.Tensor) -> torch.Tensor:
        dense = torch.from_numpy(weight).to(hidden.dtype), torch.from_numpy(bias).to(hidden.dtype)
        return torch.tanh(torch.nn.functional.linear(hidden[:, 0], *dense))

    assert_equals_transformers(folder, labse)


def test_multilingual_e5_small(publish: Publish, assert_equals_transformers: Assert) -> None:
    """A BERT with XLM-R's tokenizer, which pads with 1 where config.json says 0."""
    folder = publish(BertModel(BertConfig(**SHAPE, pad_token_id=0)), "unigram")
    bundle = assert_equals_transformers(folder, "mean")
    assert json.loads((bundle / "strizh.json").read_text())["spec"]["pad_token_id"] == 1
