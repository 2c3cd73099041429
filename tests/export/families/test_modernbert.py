"""ModernBERT as deepvk's RuModernBERT and USER2 and as mmBERT publish it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
    ModernBertModel,
)

import strizh
from strizh.export import export_model
from strizh.export.baseline import of_checkpoint
from strizh.export.checkpoint import read_checkpoint
from strizh.export.families import find_family
from strizh.kernels import library_path
from strizh.runtime.errors import UnsupportedModel

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 48,
    "num_hidden_layers": 4,  # the first and the last see everything
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 8192,
    "local_attention": 16,  # 8 on each side, which is less than a sentence of ours
    "pad_token_id": 1,
}
VARIANTS = ["portable-fp32", "ort-fp32", *(["cpu-fp32"] if library_path() else [])]
PROMPTS = {name: f"{name}: " for name in ("classification", "clustering", "search_query", "search_document")}
Publish = Callable[..., Path]
Assert = Callable[..., Path]


def respell(folder: Path, **changes: Any) -> None:
    """Change config.json; None takes a key out."""
    config = json.loads((folder / "config.json").read_text()) | changes
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


def thetas(folder: Path) -> list[float]:
    checkpoint = read_checkpoint(folder)
    return [layer.rope.theta for layer in find_family(checkpoint).describe(checkpoint).layers if layer.rope]


def test_user2(publish: Publish, assert_equals_transformers: Assert) -> None:
    """Byte-level BPE, prompts without a default, two thetas, saved by transformers 5."""
    folder = publish(ModernBertModel(ModernBertConfig(**SHAPE)), "byte-level", prompts=PROMPTS)
    bundle = assert_equals_transformers(folder, "mean")
    manifest = json.loads((bundle / "strizh.json").read_text())
    assert [layer["window"] for layer in manifest["spec"]["layers"]] == [None, 8, 8, None]
    assert thetas(folder) == [160000.0, 10000.0, 10000.0, 160000.0]
    assert (manifest["prompts"], manifest["max_length"]) == (PROMPTS, 8192)


def test_rumodernbert(publish: Publish, assert_equals_transformers: Assert) -> None:
    """A masked language model, its config as transformers 4 spelt it; the first token is the sentence."""
    folder = publish(ModernBertForMaskedLM(ModernBertConfig(**SHAPE)), "byte-level", pooling="cls_token")
    older = {"global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "global_attn_every_n_layers": 3}
    respell(folder, rope_parameters=None, layer_types=None, **older)
    bundle = assert_equals_transformers(folder, "cls")
    assert "head.dense.weight" in json.loads((bundle / "strizh.json").read_text())["warnings"][0]


def test_mmbert(publish: Publish, assert_equals_transformers: Assert) -> None:
    """One theta for all layers, in nested parameters; and another rhythm of layers."""
    rope = {"rope_type": "default", "rope_theta": 160000.0}
    parameters = {"full_attention": rope, "sliding_attention": rope}
    model = ModernBertModel(ModernBertConfig(**SHAPE, rope_parameters=parameters, global_attn_every_n_layers=2))
    folder = publish(model, "unigram")
    assert_equals_transformers(folder, "mean")
    assert thetas(folder) == [160000.0] * 4


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_classifier(pooling: str, publish: Publish, tmp_path: Path) -> None:
    """Its head pools by itself, whatever the sentence vector does."""
    biases = {"classifier_bias": pooling == "cls", "norm_bias": pooling == "cls", "num_labels": 3}
    config = ModernBertConfig(**SHAPE, **biases, classifier_pooling=pooling)
    model = ModernBertForSequenceClassification(config).eval()
    export_model(publish(model, "byte-level"), tmp_path / "bundle", variants=VARIANTS)
    for variant in VARIANTS:
        with strizh.load(tmp_path / "bundle", variant=variant) as encoder:
            ids = torch.from_numpy(encoder.tokenize("Стриж летит над рекой.").input_ids.astype(np.int64))[None]
            with torch.no_grad():
                expected = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].numpy()
            # Four small layers of float32: a few hundred roundings of 6e-8.
            found = encoder.classify("Стриж летит над рекой.", activation="identity")
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_a_pooling_that_no_classifier_has_is_refused(publish: Publish, tmp_path: Path) -> None:
    folder = publish(ModernBertForSequenceClassification(ModernBertConfig(**SHAPE)), "byte-level")
    respell(folder, classifier_pooling="max")
    with pytest.raises(UnsupportedModel, match="has classifier_pooling 'max'; expected one of cls, mean"):
        export_model(folder, tmp_path / "bundle")


def test_every_bias_that_the_config_allows(publish: Publish, assert_equals_transformers: Assert) -> None:
    biases = {"attention_bias": True, "mlp_bias": True, "norm_bias": True}
    folder = publish(ModernBertModel(ModernBertConfig(**SHAPE, **biases)), "word-piece")
    assert_equals_transformers(folder, "mean")


def test_a_local_theta_of_null_is_the_global_one(publish: Publish) -> None:
    folder = publish(ModernBertModel(ModernBertConfig(**SHAPE)), "unigram")
    config = json.loads((folder / "config.json").read_text())
    del config["rope_parameters"]
    (folder / "config.json").write_text(json.dumps(config | {"global_rope_theta": 5e4, "local_rope_theta": None}))
    assert thetas(folder) == [5e4] * 4


def test_an_unknown_rope_is_refused(publish: Publish, tmp_path: Path) -> None:
    folder = publish(ModernBertModel(ModernBertConfig(**SHAPE)), "unigram")
    yarn = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}
    respell(folder, rope_parameters={"full_attention": yarn, "sliding_attention": yarn})
    with pytest.raises(UnsupportedModel, match="has rope_type 'yarn', an unknown RoPE scaling; expected one of default"):
        export_model(folder, tmp_path / "bundle")


def test_verify_against_the_checkpoint_leaves_its_own_rope_alone(publish: Publish, tmp_path: Path) -> None:
    folder = publish(ModernBertModel(ModernBertConfig(**SHAPE)), "byte-level")
    manifest = export_model(folder, tmp_path / "bundle", variants=["portable-fp32"])
    against, vectors, _ = of_checkpoint(str(folder), tmp_path / "bundle", manifest)
    with strizh.load(tmp_path / "bundle") as encoder:
        ids = encoder.tokenize(sentence := "Стриж летит над рекой и не спит.").input_ids.tolist()
        expected = vectors([ids])[0]
        # Four small layers of float32: a few hundred roundings of 6e-8.
        np.testing.assert_allclose(encoder.encode(sentence), expected, rtol=0, atol=2e-5 * np.abs(expected).max())
    assert against == "PyTorch float32"
