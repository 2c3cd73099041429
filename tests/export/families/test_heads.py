"""Classifiers and cross-encoders against sentence-transformers' CrossEncoder, from the text (or the pair) to the score."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

import strizh
from strizh.export import export_model
from strizh.export.trace import RoPEBertConfig, RoPEBertForSequenceClassification
from strizh.kernels import library_path
from strizh.runtime.errors import TruncationWarning, UnsupportedModel, UsageError

VARIANTS = ["portable-fp32", "ort-fp32", *(["cpu-fp32", "cpu-bf16"] if library_path() else [])]
FLOAT32 = [name for name in VARIANTS if name.endswith("fp32")]
WORDS = (
    *("стриж", "летит", "над", "рекой", "и", "не", "спит", "ночь", "день"),
    *("the", "swift", "flies", "over", "water", "never", "sleeps"),
)
SHAPE: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}
# Families whose tokenizers do not tell the sides of a pair apart, and what their configs have besides.
WITHOUT_TYPES: dict[str, dict[str, Any]] = {
    "xlm-roberta": {"pad_token_id": 1, "type_vocab_size": 1},
    "gte": {"pad_token_id": 1, "type_vocab_size": 1},
    "modernbert": {"pad_token_id": 1, "cls_token_id": 0, "sep_token_id": 2, "local_attention": 8},
    "jina_embeddings_v3": {"pad_token_id": 1, "type_vocab_size": 1},
    "eurobert": {"pad_token_id": 1, "num_key_value_heads": 2, "classifier_pooling": "late"},
    "qwen3": {"pad_token_id": 1, "num_key_value_heads": 2, "head_dim": 16},
}
PAIRS = [
    ("стриж летит", "the swift flies over water"),
    ("день", "стриж не спит и летит над рекой ночь и день"),
    ("the swift", "never sleeps"),
    ("ночь", ""),
]


def tokenizer_of(family: str) -> PreTrainedTokenizerFast:
    """BERT's pair template, with token types, or XLM-R's, without."""
    bert = family not in WITHOUT_TYPES
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] if bert else ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {token: number for number, token in enumerate([*specials, *WORDS])}
    if bert:
        template = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B:1 [SEP]:1"}
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    else:
        template = {"single": "<s> $A </s>", "pair": "<s> $A </s> </s> $B </s>"}
        names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    rust = Tokenizer(models.WordLevel(vocabulary, unk_token=names["unk_token"]))
    rust.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, vocabulary[name]) for name in (names["cls_token"], names["sep_token"])]
    rust.post_processor = processors.TemplateProcessing(**template, special_tokens=ends)
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if bert else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=rust, model_max_length=36, model_input_names=inputs, **names)


def model_of(family: str, **config: Any) -> PreTrainedModel:
    config = SHAPE | {"pad_token_id": 0} | WITHOUT_TYPES.get(family, {}) | config
    return AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **config))


@pytest.fixture
def publish_classifier(tmp_path: Path, shake: Callable[[PreTrainedModel], None]) -> Callable[..., Path]:
    """`publish_classifier(family, name=..., **config)`: a classifier's folder, its weights random and telling."""

    def write(family: str, name: str = "classifier", **config: Any) -> Path:
        model = model_of(family, **config)
        shake(model)
        model.save_pretrained(tmp_path / name)
        tokenizer_of(family).save_pretrained(tmp_path / name)
        return tmp_path / name

    return write


# bf16 in one of them: a single logit that is the small rest of a sum misses the promise, which is a share of it.
@pytest.mark.parametrize(
    ("family", "variants"),
    [("bert", VARIANTS), *((family, FLOAT32) for family in (*WITHOUT_TYPES, "nomic_bert"))],
)
def test_a_cross_encoder_scores_and_ranks_as_its_own(
    family: str, variants: list[str], publish_classifier: Callable[..., Path], tmp_path: Path
) -> None:
    folder = publish_classifier(family, num_labels=1)
    theirs = CrossEncoder(str(folder), device="cpu")
    expected = theirs.predict(PAIRS)
    assert np.ptp(expected) > 0.01, "scores that do not differ would not show a mistake"
    # The export itself compares the logits of every variant, those of pairs among them, with the spec in NumPy.
    manifest = export_model(folder, tmp_path / "bundle", variants=[*variants, "cuda-fp16"])
    assert manifest.activation == "sigmoid"
    for variant in variants:
        with strizh.load(tmp_path / "bundle", variant=variant) as encoder:
            found = encoder.classify(PAIRS)
            assert found.shape == (len(PAIRS), 1)
            # bf16 has 8 bits; its promise bounds the logits, and a sigmoid's slope is 1/4.
            np.testing.assert_allclose(found[:, 0], expected, atol=1e-2 if variant.endswith("bf16") else 1e-6)
            alone = np.concatenate([encoder.classify([pair]) for pair in PAIRS])
            np.testing.assert_allclose(alone, found, atol=0 if variant.startswith("cpu") else 1e-6)
            if variant.endswith("fp32"):
                passages = [text for _, text in PAIRS]
                ranking = theirs.rank("стриж летит", passages)
                assert [one.corpus_id for one in encoder.rank("стриж летит", passages)] == [
                    one["corpus_id"] for one in ranking
                ]
                best = encoder.rank("стриж летит", passages, top_k=2)
                np.testing.assert_allclose(
                    [one.score for one in best], [one["score"] for one in ranking[:2]], atol=1e-6
                )


def test_token_types_tell_the_sides_of_a_pair_apart(publish_classifier: Callable[..., Path], tmp_path: Path) -> None:
    """The scores of CrossEncoder would not show it if its tokenizer gave none, so the model is asked directly."""
    folder = publish_classifier("bert", num_labels=1)
    export_model(folder, tmp_path / "bundle", variants=VARIANTS[:1])
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    tokens = tokenizer_of("bert")(*PAIRS[0], return_tensors="pt")
    with torch.no_grad():
        typed = model(**tokens).logits[0].numpy()
        untyped = model(**tokens | {"token_type_ids": torch.zeros_like(tokens["input_ids"])}).logits[0].numpy()
    assert abs(typed - untyped) > 1e-3
    with strizh.load(tmp_path / "bundle", variant=VARIANTS[0]) as encoder:
        np.testing.assert_allclose(encoder.classify(PAIRS[:1], activation="identity")[0], typed, atol=1e-5)
        np.testing.assert_array_equal(encoder.tokenize(PAIRS[:1]).token_type_ids, tokens["token_type_ids"][0])


def test_a_long_pair_is_cut_at_its_longer_side_and_counted(
    publish_classifier: Callable[..., Path], tmp_path: Path
) -> None:
    folder = publish_classifier("bert", num_labels=1)
    export_model(folder, tmp_path / "bundle", variants=VARIANTS[:1])
    pair = ("стриж летит", "the swift flies " * 20)
    expected = CrossEncoder(str(folder), device="cpu").predict([pair])
    with strizh.load(tmp_path / "bundle", variant=VARIANTS[0]) as encoder:
        # 2 + 60 tokens and 3 of the template, 36 of which fit.
        with pytest.warns(TruncationWarning, match="1 of 1 texts are longer than 36 tokens; their last 29 tokens"):
            found = encoder.classify([pair])
        np.testing.assert_allclose(found[0], expected, atol=1e-6)
        with pytest.raises(UsageError, match="text 0 has 65 tokens, the bundle's limit is 36"):
            encoder.classify([pair], overflow="error")
        with pytest.raises(UsageError, match="text 0 is a pair, which has no windows"):
            encoder.classify([pair], overflow="split")
        with pytest.raises(UsageError, match=r"text 1 is of type tuple \(str, str, str\), expected a string or a pair"):
            encoder.classify(["стриж", ("a", "b", "c")])  # type: ignore[list-item]
        with pytest.raises(UsageError, match=r"text 0 is of type tuple \(.*\), expected a string"):
            encoder.encode([pair])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({"num_labels": 1}, "sigmoid"),
        ({"num_labels": 3}, "softmax"),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, "sigmoid"),
        ({"num_labels": 1, "problem_type": "regression"}, "identity"),
        ({"num_labels": 1, "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "identity"),
        (
            {"num_labels": 3, "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}},
            "sigmoid",
        ),
    ],
)
def test_the_activation_is_the_checkpoints(
    config: dict[str, Any], activation: str, publish_classifier: Callable[..., Path], tmp_path: Path
) -> None:
    folder = publish_classifier("xlm-roberta", **config)
    manifest = export_model(folder, tmp_path / "bundle", variants=VARIANTS[:1])
    assert manifest.activation == activation
    torch_function = {"sigmoid": torch.sigmoid, "identity": lambda x: x, "softmax": lambda x: x.softmax(-1)}[activation]
    expected = CrossEncoder(str(folder), device="cpu").predict(
        PAIRS, activation_fn=torch.nn.Identity(), convert_to_tensor=True
    )
    with strizh.load(tmp_path / "bundle", variant=VARIANTS[0]) as encoder:
        found = encoder.classify(PAIRS)
        np.testing.assert_allclose(found, torch_function(expected).reshape(found.shape), atol=1e-6)
        logits = encoder.classify(PAIRS, activation="identity")
        np.testing.assert_allclose(logits, expected.reshape(found.shape), atol=1e-5)
        with pytest.raises(UsageError, match="activation is 'relu', expected identity, sigmoid, softmax or None"):
            encoder.classify(PAIRS, activation="relu")
        if len(encoder.labels) > 1:
            with pytest.raises(UsageError, match="one label, this bundle has LABEL_0, LABEL_1, LABEL_2"):
                encoder.rank("стриж", ["летит"])


def test_a_cross_encoder_saved_by_sentence_transformers(
    publish_classifier: Callable[..., Path], tmp_path: Path
) -> None:
    """modules.json with a Transformer alone, the activation beside the prompts."""
    theirs = CrossEncoder(
        str(publish_classifier("xlm-roberta", num_labels=1)), device="cpu", activation_fn=torch.nn.Identity()
    )
    theirs.save_pretrained(str(tmp_path / "saved"))
    manifest = export_model(tmp_path / "saved", tmp_path / "bundle", variants=VARIANTS[:1])
    assert manifest.activation == "identity"
    with strizh.load(tmp_path / "bundle", variant=VARIANTS[0]) as encoder:
        np.testing.assert_allclose(encoder.classify(PAIRS)[:, 0], theirs.predict(PAIRS), atol=1e-5)


@pytest.mark.parametrize("pooling", ["bos", "mean"])
def test_eurobert_pools_before_its_dense_layer_where_it_says_so(
    pooling: str, publish_classifier: Callable[..., Path], tmp_path: Path
) -> None:
    folder = publish_classifier("eurobert", num_labels=3, classifier_pooling=pooling)
    export_model(folder, tmp_path / "bundle", variants=FLOAT32)
    expected = CrossEncoder(str(folder), device="cpu").predict(PAIRS, activation_fn=torch.nn.Identity())
    for variant in FLOAT32:
        with strizh.load(tmp_path / "bundle", variant=variant) as encoder:
            np.testing.assert_allclose(encoder.classify(PAIRS, activation="identity"), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "setting", "message"),
    [
        ("eurobert", {"classifier_pooling": "max"}, "has classifier_pooling 'max'; expected one of bos, mean, late"),
        ("modernbert", {"classifier_pooling": "max"}, "has classifier_pooling 'max'; expected one of cls, mean"),
        ("modernbert", {"classifier_activation": "mish"}, "has classifier_activation 'mish'; expected one of gelu"),
        ("deberta-v2", {"pooler_hidden_act": "mish"}, "has pooler_hidden_act 'mish'; expected one of gelu"),
        ("qwen3", {"pad_token_id": 2}, "ends every text with pad_token_id 2"),
    ],
)
def test_a_head_that_is_not_known_is_refused_where_there_is_one(
    family: str, setting: dict[str, Any], message: str, publish_classifier: Callable[..., Path], tmp_path: Path
) -> None:
    folder = publish_classifier(family)
    stored = json.loads((folder / "config.json").read_text()) | setting
    (folder / "config.json").write_text(json.dumps(stored))
    with pytest.raises(UnsupportedModel, match=message):
        export_model(folder, tmp_path / "bundle", variants=VARIANTS[:1])
    # Of an encoder the same setting says nothing.
    plain = stored | {
        "architectures": [name.replace("ForSequenceClassification", "Model") for name in stored["architectures"]]
    }
    (folder / "config.json").write_text(json.dumps(plain))
    manifest = export_model(folder, tmp_path / "plain", variants=VARIANTS[:1])
    assert manifest.labels == ()


def test_a_t5_that_classifies_with_its_decoder_is_refused(
    publish_classifier: Callable[..., Path], tmp_path: Path
) -> None:
    sizes = {"d_model": 48, "d_kv": 12, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    folder = publish_classifier("t5", **sizes)
    with pytest.raises(UnsupportedModel, match=r"labels come from its decoder.*Save the encoder by itself"):
        export_model(folder, tmp_path / "bundle", variants=VARIANTS[:1])


def test_an_activation_that_is_not_known_is_named(publish_classifier: Callable[..., Path], tmp_path: Path) -> None:
    folder = publish_classifier("xlm-roberta", num_labels=1, sbert_ce_default_activation_function="torch.nn.Hardtanh")
    with pytest.raises(UnsupportedModel, match=r"'torch.nn.Hardtanh'; known: identity, sigmoid, softmax"):
        export_model(folder, tmp_path / "bundle", variants=VARIANTS[:1])


def test_a_ropebert_classifier_of_pairs(tmp_path: Path, shake: Callable[[PreTrainedModel], None]) -> None:
    """The mean of its tokens into one linear layer; two token types, as the classic checkpoints have."""
    config = RoPEBertConfig(**SHAPE | {"pad_token_id": 0, "type_vocab_size": 2, "num_labels": 2})
    model = RoPEBertForSequenceClassification(config).eval()
    shake(model)
    model.save_pretrained(tmp_path / "classifier")
    tokenizer = tokenizer_of("ropebert")
    tokenizer.save_pretrained(tmp_path / "classifier")
    saved = tmp_path / "classifier/config.json"
    stored = json.loads(saved.read_text()) | {"architectures": ["RoPEBertForSequenceClassification"]}
    saved.write_text(json.dumps(stored | {"id2label": {"0": "нет", "1": "да"}}))
    manifest = export_model(tmp_path / "classifier", tmp_path / "bundle", variants=VARIANTS[:1])
    assert manifest.labels == ("нет", "да")
    with torch.no_grad():
        expected = [model(**tokenizer(*pair, return_tensors="pt")).logits[0].softmax(-1).numpy() for pair in PAIRS[:3]]
    with strizh.load(tmp_path / "bundle", variant=VARIANTS[0]) as encoder:
        np.testing.assert_allclose(encoder.classify(PAIRS[:3]), expected, atol=1e-6)
