"""DeBERTa-v1 as deepvk/USER-base publishes it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import DebertaConfig, DebertaForSequenceClassification, DebertaModel

from strizh.export import export_model
from strizh.export.checkpoint import read_checkpoint
from strizh.export.families import find_family
from strizh.export.weights import bind
from strizh.runtime.errors import CheckpointError, UnsupportedModel

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "num_labels": 3,
}
PROMPTS = {"query": "query: ", "passage": "passage: "}


def user_base(**changes: Any) -> DebertaModel:
    return DebertaModel(DebertaConfig(**SHAPE | changes))


def test_user_base(publish: Callable[..., Path], assert_equals_transformers: Callable[..., Path]) -> None:
    folder = publish(user_base(), "byte-level", prompts=PROMPTS, default="query")
    bundle = assert_equals_transformers(folder, "mean", prompt="query: ")
    manifest = json.loads((bundle / "strizh.json").read_text())
    assert (manifest["prompts"], manifest["default_prompt_name"]) == (PROMPTS, "query")
    assert manifest["spec"]["pad_token_id"] == 1, "the tokenizer's: config.json says 0"


def test_the_scale_counts_position_terms_that_are_not_there(
    publish: Callable[..., Path], assert_equals_transformers: Callable[..., Path]
) -> None:
    folder = publish(user_base(pos_att_type="c2p|p2c", type_vocab_size=2), "byte-level")
    assert_equals_transformers(folder, "mean")


def test_each_head_of_the_fused_projection_goes_where_it_belongs(publish: Callable[..., Path]) -> None:
    folder = publish(user_base(), "byte-level")
    checkpoint = read_checkpoint(folder)
    family = find_family(checkpoint)
    spec = family.describe(checkpoint)
    weights, _ = bind(checkpoint, spec, family.sources(checkpoint, spec), family.IGNORED)
    fused = load_file(folder / "model.safetensors")["encoder.layer.1.attention.self.in_proj.weight"]
    for head in range(4):
        for side, name in enumerate("qkv"):
            rows = slice(36 * head + 12 * side, 36 * head + 12 * (side + 1))
            own = weights[f"layers.1.attention.{name}.weight"][12 * head : 12 * (head + 1)]
            np.testing.assert_array_equal(own, fused[rows])
    assert "layers.1.attention.k.bias" not in weights


def test_a_masked_language_model_is_the_same_encoder(publish: Callable[..., Path], tmp_path: Path) -> None:
    folder = publish(user_base(), "byte-level")
    tensors = {f"deberta.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    head = {"cls.predictions.bias": np.zeros(500, np.float32)}
    save_file(tensors | head, folder / "model.safetensors", metadata={"format": "pt"})
    manifest = export_model(folder, tmp_path / "bundle", variants=["portable-fp32"])
    assert "cls.predictions.bias" in manifest.warnings[0]


def test_a_classifier(publish: Callable[..., Path], tmp_path: Path) -> None:
    import strizh

    model = DebertaForSequenceClassification(DebertaConfig(**SHAPE)).eval()
    folder = publish(model, "byte-level")
    export_model(folder, tmp_path / "bundle", variants=["portable-fp32", "ort-fp32"])
    for variant in ("portable-fp32", "ort-fp32"):
        with strizh.load(tmp_path / "bundle", variant=variant) as encoder:
            ids = torch.from_numpy(encoder.tokenize("Стриж летит над рекой.").input_ids.astype(np.int64))[None]
            with torch.no_grad():
                expected = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].numpy()
            # Three small layers of float32: a few hundred roundings of 6e-8.
            found = encoder.classify("Стриж летит над рекой.", activation="identity")
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("terms", ["c2p|p2c", "p2c", "c2p"])
def test_disentangled_attention(
    terms: str, publish: Callable[..., Path], assert_equals_transformers: Callable[..., Path]
) -> None:
    """microsoft/deberta-base: a row for every distance, of which a text is at most 40 apart here."""
    config = {"relative_attention": True, "pos_att_type": terms, "position_biased_input": False}
    folder = publish(user_base(**config, max_relative_positions=40), "byte-level")
    assert_equals_transformers(folder, "mean", variants=["portable-fp32", "ort-fp32"])


def test_both_kinds_of_positions_are_refused_with_the_way_out(publish: Callable[..., Path], tmp_path: Path) -> None:
    folder = publish(user_base(relative_attention=True, pos_att_type=["c2p", "p2c"]), "byte-level")
    with pytest.raises(UnsupportedModel, match=r"position_biased_input: true.*--method trace"):
        export_model(folder, tmp_path / "bundle")
    manifest = export_model(folder, tmp_path / "bundle", method="trace")
    assert manifest.parity["portable-fp32"]["cosine_min"] >= 0.999999


def test_no_positions_at_all_is_refused(publish: Callable[..., Path], tmp_path: Path) -> None:
    folder = publish(user_base(position_biased_input=False), "byte-level")
    with pytest.raises((UnsupportedModel, CheckpointError), match="cannot tell the order of words"):
        export_model(folder, tmp_path / "bundle")
