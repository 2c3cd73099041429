"""Qwen3 as Qwen/Qwen3-Embedding-0.6B publishes it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from strizh.export import export_model
from strizh.runtime.errors import UnsupportedModel

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,  # of 4 heads are 64: nothing obliges them to be hidden_size
    "intermediate_size": 72,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
    "tie_word_embeddings": True,
}
PROMPTS = {"query": "Instruct: Given a web search query, retrieve passages that answer it\nQuery:", "document": ""}
Publish = Callable[..., Path]
Assert = Callable[..., Path]


def test_qwen3_embedding(publish: Publish, assert_equals_transformers: Assert) -> None:
    """Causal, a norm on each head, grouped keys; the last token, that the tokenizer appends, is the sentence."""
    folder = publish(Qwen3Model(Qwen3Config(**SHAPE)), "byte-level", pooling="lasttoken", prompts=PROMPTS)
    bundle = assert_equals_transformers(folder, lambda hidden: hidden[:, -1])
    manifest = json.loads((bundle / "strizh.json").read_text())
    assert (manifest["pooling"], manifest["prompts"]) == ("last", PROMPTS)


def test_without_modules_the_last_token_is_the_sentence(publish: Publish, tmp_path: Path) -> None:
    folder = publish(Qwen3ForCausalLM(Qwen3Config(**SHAPE | {"tie_word_embeddings": False})), "byte-level")
    (folder / "modules.json").unlink()
    manifest = export_model(folder, tmp_path / "bundle", variants=["portable-fp32"])
    assert manifest.pooling == "last"
    assert "lm_head.weight" in manifest.warnings[0]


def test_biases_of_attention(publish: Publish, assert_equals_transformers: Assert) -> None:
    folder = publish(Qwen3Model(Qwen3Config(**SHAPE, attention_bias=True)), "byte-level", pooling="lasttoken")
    assert_equals_transformers(folder, lambda hidden: hidden[:, -1])


def test_sliding_windows_are_refused(publish: Publish, tmp_path: Path) -> None:
    config = Qwen3Config(**SHAPE, use_sliding_window=True, sliding_window=8, max_window_layers=1)
    folder = publish(Qwen3Model(config), "byte-level")
    with pytest.raises(UnsupportedModel, match=r"sliding windows.*--method trace"):
        export_model(folder, tmp_path / "bundle")
