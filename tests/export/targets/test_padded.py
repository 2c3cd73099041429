"""The padded graphs of every architecture against the spec in NumPy, and their fused nodes against the spec."""

import dataclasses
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from small_encoders import TEXTS, bert, deberta_v1, eurobert, modernbert, qwen3, t5, weights_of

from strizh.export import reference
from strizh.export.spec import Activation, EncoderSpec, Layer, Pooling, Positions
from strizh.export.targets import ort, portable

BERT = bert(layers=3)
T5 = t5(BERT)
MODERNBERT = modernbert(BERT)
FOUR_HEADS = dataclasses.replace(BERT, num_heads=4, head_size=6)
DEBERTA = dataclasses.replace(
    BERT, positions=Positions.DISENTANGLED, relative_buckets=16, relative_max_distance=20, attention_scale=24**-0.5,
    position_terms=("c2p", "p2c"),
)  # fmt: skip
# name -> the spec and the fused nodes of its three layers
SPECS: dict[str, tuple[EncoderSpec, dict[str, int]]] = {
    "bert": (BERT, {"SkipLayerNormalization": 6, "BiasGelu": 3}),
    "deberta-v1: no bias of k": (
        deberta_v1(BERT),
        {"SkipLayerNormalization": 6, "BiasGelu": 3},
    ),
    "t5": (T5, {"SkipSimplifiedLayerNormalization": 6, "FastGelu": 3}),
    "t5 1.0: relu without a gate": (
        dataclasses.replace(T5, activation=Activation.RELU, gated_mlp=False),
        {"SkipSimplifiedLayerNormalization": 6},
    ),
    "modernbert": (MODERNBERT, {"SkipLayerNormalization": 6, "Gelu": 3, "RotaryEmbedding": 6}),
    "eurobert": (eurobert(FOUR_HEADS, num_kv_heads=2), {"SkipSimplifiedLayerNormalization": 6, "RotaryEmbedding": 6}),
    "qwen3": (qwen3(FOUR_HEADS, num_kv_heads=2), {"SkipSimplifiedLayerNormalization": 6, "RotaryEmbedding": 6}),
    "one key head for all": (
        dataclasses.replace(BERT, num_kv_heads=1),
        {"SkipLayerNormalization": 6, "BiasGelu": 3},
    ),
    "pre-norm with every bias, no final norm": (
        dataclasses.replace(BERT, pre_norm=True, gated_mlp=True, activation=Activation.SILU),
        {"SkipLayerNormalization": 5},
    ),
    "post-norm with a gate": (
        dataclasses.replace(BERT, gated_mlp=True, mlp_bias=(False, True), activation=Activation.GELU),
        {"SkipLayerNormalization": 6, "Gelu": 3},
    ),
    "no biases, no gate": (
        dataclasses.replace(BERT, mlp_bias=(False, False), attention_bias=(False,) * 4, norm_bias=False),
        {"SkipLayerNormalization": 6, "Gelu": 3},
    ),
    "causal": (
        dataclasses.replace(BERT, causal=True, pooling=(Pooling.LAST,)),
        {"SkipLayerNormalization": 6, "BiasGelu": 3},
    ),
    "deberta-v3": (DEBERTA, {"SkipLayerNormalization": 6, "BiasGelu": 3}),
    "deberta-v1: a row for every distance, keys alone meet positions": (
        dataclasses.replace(
            DEBERTA, relative_buckets=12, relative_max_distance=0, position_terms=("p2c",),
            attention_bias=(True, False, True, True),
        ),
        {"SkipLayerNormalization": 6, "BiasGelu": 3},
    ),
    "causal, with a window and a relative bias": (
        dataclasses.replace(T5, causal=True, layers=(Layer(window=2), Layer(), Layer(window=5))),
        {"SkipSimplifiedLayerNormalization": 6, "FastGelu": 3},
    ),
}


def run(model: onnx.ModelProto, texts: list[list[int]]) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    longest = max(map(len, texts))
    ids = np.array([text + [1] * (longest - len(text)) for text in texts], np.int64)
    mask = np.array([[1] * len(text) + [0] * (longest - len(text)) for text in texts], np.int64)
    found: list[np.ndarray] = session.run(
        ["token_embeddings", "sentence_embedding"], {"input_ids": ids, "attention_mask": mask}
    )
    return found


@pytest.mark.parametrize("target", [portable, ort], ids=["portable", "ort"])
@pytest.mark.parametrize("name", SPECS)
def test_a_padded_batch_equals_each_text_alone_in_numpy(name: str, target: Any) -> None:
    spec, weights = SPECS[name][0], weights_of(SPECS[name][0])
    expected = reference.run(spec, weights, TEXTS)
    tokens, vectors = run(target.build(spec, weights), TEXTS)
    # Three layers of float32 over values near 1: a few hundred roundings of 6e-8.
    np.testing.assert_allclose(vectors, expected.sentence_embedding, atol=2e-5, rtol=0)
    for row, text, exact in zip(tokens, TEXTS, expected.token_embeddings, strict=True):
        np.testing.assert_allclose(row[: len(text)], exact, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", SPECS)
def test_ort_has_the_fused_nodes_that_the_spec_calls_for(name: str) -> None:
    spec, counts = SPECS[name]
    assert ort.expected_counts(spec) == counts | {"MultiHeadAttention": 3}
    assert ort.fused_counts(ort.build(spec, weights_of(spec))) == ort.expected_counts(spec)


@pytest.mark.parametrize("target", [portable, ort], ids=["portable", "ort"])
@pytest.mark.parametrize("name", ["modernbert", "t5", "deberta-v3", "causal, with a window and a relative bias"])
def test_a_text_without_tokens_has_numbers_and_leaves_its_neighbours_alone(name: str, target: Any) -> None:
    spec, weights = SPECS[name][0], weights_of(SPECS[name][0])
    tokens, vectors = run(target.build(spec, weights), [[], TEXTS[3]])
    assert np.isfinite(tokens).all() and not vectors[0].any()
    np.testing.assert_allclose(vectors[1], reference.run(spec, weights, TEXTS[3:4]).sentence_embedding[0], atol=2e-5)


def test_portable_has_standard_operators_only() -> None:
    for spec, _ in SPECS.values():
        assert {node.domain for node in portable.build(spec, weights_of(spec)).graph.node} == {""}


def test_nodes_come_in_one_order() -> None:
    """Two builds in one process agree; sets of layers' settings would not, from process to process."""
    names = [node.name for node in ort.build(MODERNBERT, weights_of(MODERNBERT)).graph.node]
    rotary = [name.split("/")[0] for name in names if name.startswith("rotary_")]
    assert list(dict.fromkeys(rotary)) == ["rotary_160000", "rotary_10000"]
