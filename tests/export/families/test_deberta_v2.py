"""DeBERTa-v2 and v3 as microsoft/mdeberta-v3-base publishes them, and the classifiers made of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, DebertaV2Model

import strizh
from strizh.export import export_model
from strizh.export.parity import parity_texts
from strizh.kernels import library_path
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import UnsupportedModel

MDEBERTA: dict[str, Any] = {
    "vocab_size": 512,  # rounded up from the tokenizer's
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "position_buckets": 16,
    "max_relative_positions": 64,  # fewer than our longest sentences have tokens
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": "p2c|c2p",
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "type_vocab_size": 0,
}
FLOAT32 = ["portable-fp32", "ort-fp32"]
Publish = Callable[..., Path]
Assert = Callable[..., Path]


def model_of(**changes: Any) -> DebertaV2Model:
    return DebertaV2Model(DebertaV2Config(**MDEBERTA | changes)).eval()


def test_mdeberta_v3(publish: Publish, assert_equals_transformers: Assert) -> None:
    assert_equals_transformers(publish(model_of(), "unigram"), "mean", variants=FLOAT32)


@pytest.mark.parametrize(
    "changes",
    [
        {"share_att_key": False, "norm_rel_ebd": "none"},
        {"share_att_key": False, "pos_att_type": ["c2p"], "type_vocab_size": 2},
        {"pos_att_type": ["p2c"], "max_relative_positions": 40},
        {"position_buckets": -1, "max_relative_positions": 24},
    ],
    ids=["products of their own", "queries alone meet positions", "keys alone", "a row for every distance"],
)
def test_every_spelling_of_the_config(
    changes: dict[str, Any], publish: Publish, assert_equals_transformers: Assert
) -> None:
    assert_equals_transformers(publish(model_of(**changes), "unigram"), "mean", variants=FLOAT32)


def test_without_relative_attention_it_is_a_bert(publish: Publish, assert_equals_transformers: Assert) -> None:
    """The scale still counts the terms that are not there, and every variant can be written."""
    folder = publish(model_of(relative_attention=False, position_biased_input=True, norm_rel_ebd="none"), "unigram")
    assert_equals_transformers(folder, "mean")


@pytest.mark.parametrize("variant", FLOAT32)
def test_awkward_lengths_alone_and_among_others(variant: str, publish: Publish, tmp_path: Path) -> None:
    """One token, around the linear half of the buckets (8), their end (64), and far beyond."""
    model = model_of()
    export_model(publish(model, "unigram"), tmp_path / "bundle", variants=[variant])
    draw = np.random.default_rng(2)
    texts = [draw.integers(5, 500, length).tolist() for length in (1, 2, 7, 8, 9, 17, 63, 64, 65, 66, 160)]
    with torch.no_grad():
        hidden = [model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0) for ids in texts]
        expected = torch.nn.functional.normalize(torch.stack(hidden)).numpy()
    with strizh.load(tmp_path / "bundle", variant=variant) as encoder:
        together = encoder.encode_tokens(PackedBatch.pack(texts))
        alone = np.concatenate([encoder.encode_tokens(PackedBatch.pack([ids])) for ids in texts])
    # Three small layers of float32: a few hundred roundings of 6e-8.
    np.testing.assert_allclose(together, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(alone, expected, rtol=0, atol=2e-5)


def test_below_float32(publish: Publish, tmp_path: Path) -> None:
    """The export holds both to their promises beside float32."""
    manifest = export_model(
        publish(model_of(), "unigram"), tmp_path / "bundle", variants=["portable-fp16", "portable-int8"]
    )
    assert list(manifest.parity) == ["portable-fp16", "portable-int8"]


def test_packed_variants_are_refused_by_name_and_left_out_by_default(publish: Publish, tmp_path: Path) -> None:
    folder = publish(model_of(), "unigram")
    for variant in ("cpu-bf16", "cuda-fp16", "tensorrt-fp16"):
        with pytest.raises(
            UnsupportedModel, match=r"which (cpu|cuda|tensorrt)-\* cannot compute. Expected a variant that can: port"
        ):
            export_model(folder, tmp_path / "bundle", variants=["portable-fp32", variant])
    manifest = export_model(folder, tmp_path / "bundle")
    assert list(manifest.variants) == ["portable-fp32"]
    left_out = [line for line in manifest.warnings if line.startswith("cpu-bf16 is left out: family 'deberta-v2' has")]
    assert len(left_out) == bool(library_path())


def test_a_cross_encoder(publish: Publish, tmp_path: Path) -> None:
    """ContextPooler: the first token, a dense layer, gelu; then one linear layer. Token types there are none."""
    config = DebertaV2Config(**MDEBERTA, num_labels=3, id2label={0: "entailment", 1: "neutral", 2: "contradiction"})
    model = DebertaV2ForSequenceClassification(config).eval()
    folder = publish(model, "unigram")
    export_model(folder, tmp_path / "bundle", variants=FLOAT32)
    for variant in FLOAT32:
        with strizh.load(tmp_path / "bundle", variant=variant) as encoder:
            assert encoder.labels == ("entailment", "neutral", "contradiction")
            ids = torch.from_numpy(encoder.tokenize("Стриж летит над рекой.").input_ids.astype(np.int64))[None]
            with torch.no_grad():
                expected = model(input_ids=ids).logits[0].numpy()
            found = encoder.classify("Стриж летит над рекой.", activation="identity")
            np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_a_checkpoint_with_spm_model_alone(publish: Publish, tmp_path: Path) -> None:
    """As microsoft publishes mdeberta-v3-base: transformers makes tokenizer.json of its Unigram model."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece, which trains the model, is not installed")
    folder = publish(model_of(), "unigram")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    specials = {"pad": 0, "bos": 1, "eos": 2, "unk": 3}
    pieces = {"pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    with (folder / "spm.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(parity_texts()), model_writer=file, vocab_size=400, minloglevel=2,
            **{f"{name}_id": number for name, number in specials.items()}, **pieces,
        )  # fmt: skip
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
    export_model(folder, tmp_path / "bundle", variants=["portable-fp32"])
    own = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    with strizh.load(tmp_path / "bundle") as encoder:
        for text in parity_texts()[:8]:
            assert encoder.tokenize(text).input_ids.tolist() == [1, *own.encode(text), 2]


def test_what_pretraining_leaves_in_a_checkpoint_plays_no_part(publish: Publish, tmp_path: Path) -> None:
    """mdeberta-v3-base holds its language model's head, its discriminator's, and a table that nothing reads."""
    folder = publish(model_of(), "unigram")
    tensors = {f"deberta.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    more = (
        "lm_predictions.lm_head.bias",
        "mask_predictions.dense.bias",
        "deberta.embeddings.position_embeddings.weight",
    )
    save_file(tensors | dict.fromkeys(more, np.zeros((2, 2), np.float32)), folder / "model.safetensors")
    manifest = export_model(folder, tmp_path / "bundle", variants=["portable-fp32"])
    assert all(name.removeprefix("deberta.") in manifest.warnings[0] for name in more)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_kernel_size": 3, "conv_act": "gelu"}, "with conv_kernel_size: 3; strizh knows conv_kernel_size: 0"),
        ({"pos_att_type": ["c2p", "p2p"]}, "with pos_att_type 'p2p'. Expected pos_att_type of c2p and p2c"),
        ({"position_biased_input": True}, "a table of positions as well"),
        ({"relative_attention": False}, "cannot tell the order of words"),
    ],
)
def test_other_architectures_are_refused(
    changes: dict[str, Any], message: str, publish: Publish, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        export_model(publish(model_of(**changes), "unigram"), tmp_path / "bundle")
