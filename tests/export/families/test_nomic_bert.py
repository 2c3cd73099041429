"""NomicBERT as nomic-embed-text-v1 and v1.5 publish it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import NomicBertConfig, NomicBertModel

from strizh.export import export_model
from strizh.export.checkpoint import read_checkpoint
from strizh.export.families import find_family
from strizh.export.spec import Rope, Scaling
from strizh.runtime.errors import UnsupportedModel

SHAPE: dict[str, Any] = {
    "vocab_size": 512,  # rounded up from the tokenizer's
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 2048,
}
# The same as the hub spells it.
GPT2_SPELLING: dict[str, Any] = {
    "activation_function": "swiglu",
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "model_type": "nomic_bert",
    "n_embd": 48,
    "n_head": 4,
    "n_inner": 72,
    "n_layer": 3,
    "n_positions": 8192,
    "prenorm": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_scaling_factor": None,
    "type_vocab_size": 2,
    "use_rms_norm": False,
    "vocab_size": 512,
}
PROMPTS = {name: f"{name}: " for name in ("search_query", "search_document", "clustering", "classification")}
Publish = Callable[..., Path]


def rope_of(folder: Path) -> Rope | None:
    checkpoint = read_checkpoint(folder)
    return find_family(checkpoint).describe(checkpoint).layers[0].rope


def respell(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps(GPT2_SPELLING | changes))


def test_nomic_embed_text(publish: Publish, assert_equals_transformers: Callable[..., Path]) -> None:
    folder = publish(NomicBertModel(NomicBertConfig(**SHAPE)), "word-piece", prompts=PROMPTS)
    assert_equals_transformers(folder, "mean")
    assert rope_of(folder) == Rope(1000.0, 12, trained_positions=2048)


def test_the_published_spelling_of_the_config_is_the_same_model(publish: Publish, tmp_path: Path) -> None:
    folder = publish(NomicBertModel(NomicBertConfig(**SHAPE)), "word-piece")
    theirs = export_model(folder, tmp_path / "transformers", variants=["portable-fp32"])
    respell(folder)
    published = export_model(folder, tmp_path / "published", variants=["portable-fp32"])
    assert published.spec == theirs.spec | {"max_positions": 8192}
    graphs = [(tmp_path / name / "onnx/model.onnx").read_bytes() for name in ("transformers", "published")]
    assert graphs[0] == graphs[1]


def test_scaling_is_dynamic_beyond_the_trained_positions(publish: Publish) -> None:
    folder = publish(NomicBertModel(NomicBertConfig(**SHAPE)), "word-piece")
    respell(folder, rotary_scaling_factor=2)
    assert rope_of(folder) == Rope(1000.0, 12, Scaling.DYNAMIC, 2.0, 2048)


@pytest.mark.parametrize("changes", [{"prenorm": True}, {"activation_function": "gelu"}, {"num_experts": 8}])
def test_another_architecture_of_that_name_is_refused(
    publish: Publish, tmp_path: Path, changes: dict[str, Any]
) -> None:
    folder = publish(NomicBertModel(NomicBertConfig(**SHAPE)), "word-piece")
    respell(folder, **changes)
    (key,) = changes
    with pytest.raises(UnsupportedModel, match=f"NomicBERT's with {key}: .*--method trace"):
        export_model(folder, tmp_path / "bundle")
