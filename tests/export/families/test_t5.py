"""T5's encoder as ai-forever/FRIDA publishes it, and its older shapes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import MT5Config, MT5EncoderModel, T5Config, T5EncoderModel, T5ForConditionalGeneration

from strizh.export import export_model
from strizh.runtime.errors import UnsupportedModel

SHAPE: dict[str, Any] = {
    "vocab_size": 500,
    "d_model": 96,
    "d_kv": 16,
    "num_heads": 4,  # of 16 are 64: nothing obliges them to be d_model
    "num_layers": 3,
    "d_ff": 192,
    "pad_token_id": 0,
    "eos_token_id": 2,
}
SPECIALS = ["<pad>", "<s>", "</s>", "<unk>"]
PROMPTS = {name: f"{name}: " for name in ("search_query", "search_document", "categorize_topic")}
Publish = Callable[..., Path]
Assert = Callable[..., Path]


def test_frida(publish: Publish, assert_equals_transformers: Assert) -> None:
    """Gated GELU, first token, byte-level BPE, prompts without a default; saved with both names of its embedding table."""
    model = T5EncoderModel(T5Config(**SHAPE, feed_forward_proj="gated-gelu", tie_word_embeddings=False))
    folder = publish(model, "byte-level", specials=SPECIALS, pooling="cls_token", prompts=PROMPTS)
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"is_encoder_decoder": True}))
    bundle = assert_equals_transformers(folder, "cls")
    manifest = json.loads((bundle / "strizh.json").read_text())
    assert (manifest["prompts"], manifest["default_prompt_name"]) == (PROMPTS, None)
    assert manifest["variants"]["ort-fp32"]["details"]["nodes"]["SkipSimplifiedLayerNormalization"] == 6


def test_a_whole_t5_gives_its_encoder(publish: Publish, assert_equals_transformers: Assert) -> None:
    """sentence-t5's shape: ReLU without a gate; the decoder is named as what is not needed."""
    model = T5ForConditionalGeneration(T5Config(**SHAPE, num_decoder_layers=1, decoder_start_token_id=0))
    folder = publish(model, "unigram", specials=SPECIALS)
    bundle = assert_equals_transformers(folder, "mean")
    assert "decoder." in json.loads((bundle / "strizh.json").read_text())["warnings"][0]


def test_mt5_with_other_buckets(publish: Publish, assert_equals_transformers: Assert) -> None:
    buckets = {"relative_attention_num_buckets": 12, "relative_attention_max_distance": 50}
    folder = publish(MT5EncoderModel(MT5Config(**SHAPE, **buckets, feed_forward_proj="gated-silu")), "unigram")
    assert_equals_transformers(folder, "mean")


def test_the_buckets_know_no_end_but_the_training_did(publish: Publish, tmp_path: Path) -> None:
    folder = publish(T5EncoderModel(T5Config(**SHAPE)), "byte-level", specials=SPECIALS)
    manifest = export_model(folder, tmp_path / "bundle", variants=["portable-fp32"], max_length=600)
    assert manifest.max_length == 600
    assert manifest.warnings == (
        "max_length 600 is beyond the 512 tokens that the positions were made for: quality on longer texts is not known.",
    )


def test_an_unknown_feed_forward_is_refused(publish: Publish, tmp_path: Path) -> None:
    folder = publish(T5EncoderModel(T5Config(**SHAPE)), "byte-level", specials=SPECIALS)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"feed_forward_proj": "gated-mish"}))
    with pytest.raises(UnsupportedModel, match="has feed_forward_proj 'mish'; expected one of gelu"):
        export_model(folder, tmp_path / "bundle")
