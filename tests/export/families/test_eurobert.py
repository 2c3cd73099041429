"""EuroBERT as EuroBERT/EuroBERT-210m and its larger sizes publish it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import EuroBertConfig, EuroBertForMaskedLM, EuroBertModel

from strizh.export import export_model
from strizh.runtime.errors import CheckpointError

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 72,
    "rope_parameters": {"rope_type": "default", "rope_theta": 250000.0},
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "mask_token_id": 3,
}
Publish = Callable[..., Path]
Assert = Callable[..., Path]


def test_eurobert_210m(publish: Publish, assert_equals_transformers: Assert) -> None:
    folder = publish(EuroBertModel(EuroBertConfig(**SHAPE)), "byte-level")
    bundle = assert_equals_transformers(folder, "mean")
    assert json.loads((bundle / "strizh.json").read_text())["spec"]["layers"][0]["rope"]["theta"] == 250000.0


def test_grouped_heads_biases_and_a_language_model_head(publish: Publish, assert_equals_transformers: Assert) -> None:
    changes = {"num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True, "head_dim": 16}
    folder = publish(EuroBertForMaskedLM(EuroBertConfig(**SHAPE | changes)), "byte-level")
    bundle = assert_equals_transformers(folder, "mean")
    assert "lm_head.weight" in json.loads((bundle / "strizh.json").read_text())["warnings"][0]


def test_heads_that_do_not_divide_are_refused(publish: Publish, tmp_path: Path) -> None:
    folder = publish(EuroBertModel(EuroBertConfig(**SHAPE)), "byte-level")
    config = json.loads((folder / "config.json").read_text()) | {"num_key_value_heads": 3}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="has num_attention_heads 4; expected a multiple of num_key_value_heads 3"):
        export_model(folder, tmp_path / "bundle")
