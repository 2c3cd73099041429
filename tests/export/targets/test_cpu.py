"""The packed graph in ONNX Runtime against the spec in NumPy, on every instruction set of this CPU."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from packed_sessions import open_session, run
from small_encoders import (
    TEXTS,
    bert,
    cosines,
    deberta_v1,
    modernbert,
    qwen3,
    rope_bert,
    t5,
    weights_of,
    with_heads,
    xlm_roberta,
)

from strizh.export import reference
from strizh.export.spec import EncoderSpec, Pooling, Scaling
from strizh.export.targets import cpu
from strizh.kernels import instruction_sets, library_path, native
from strizh.runtime.errors import UnsupportedModel, UsageError

pytestmark = pytest.mark.skipif(library_path() is None, reason="the kernels were not built")

BERT = bert()
SPECS = {
    "bert": BERT,
    "xlm-roberta": xlm_roberta(BERT),
    "ropebert": rope_bert(BERT, scaling=Scaling.DYNAMIC, factor=2.0),
    "modernbert": modernbert(BERT),
    "t5": dataclasses.replace(t5(BERT), relative_buckets=32, relative_max_distance=128),
    "qwen3": qwen3(BERT),
    "deberta-v1: no bias of k": deberta_v1(BERT),
    "poolings, projection, classifier": with_heads(BERT),
    "first token": dataclasses.replace(BERT, pooling=(Pooling.CLS,)),
    "first token, transformed": dataclasses.replace(modernbert(BERT), pooling=(Pooling.FIRST_TOKEN_TRANSFORM,)),
}


@pytest.fixture(params=instruction_sets() if library_path() else [""], autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    native.use_isa(request.param)
    yield request.param
    native.use_isa("")


@pytest.mark.parametrize("name", SPECS)
def test_float32_equals_the_spec_in_numpy(name: str) -> None:
    spec, weights = SPECS[name], weights_of(SPECS[name])
    expected = reference.run(spec, weights, TEXTS)
    tokens, vectors = run(open_session(cpu.build(spec, weights, precision="fp32")), TEXTS)
    # Two layers of float32 over values near 1: a few hundred roundings of 6e-8.
    np.testing.assert_allclose(tokens, np.concatenate(expected.token_embeddings), atol=2e-5, rtol=0)
    np.testing.assert_allclose(vectors, expected.sentence_embedding, atol=2e-5, rtol=0)
    if spec.classifier:
        (logits,) = run(open_session(cpu.build(spec, weights, "classifier", precision="fp32")), TEXTS)
        np.testing.assert_allclose(logits, expected.logits, atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", SPECS)
def test_bf16_points_the_same_way(name: str) -> None:
    spec, weights = SPECS[name], weights_of(SPECS[name])
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    _, vectors = run(open_session(cpu.build(spec, weights, precision="bf16")), TEXTS)
    # Products of bf16 are each off by at most 2^-8; two random layers of 24 columns average little of that away.
    assert cosines(vectors, expected).min() > 0.999


@pytest.mark.parametrize("name", SPECS)
def test_int8_points_nearly_the_same_way(name: str) -> None:
    spec, weights = SPECS[name], weights_of(SPECS[name])
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    _, vectors = run(open_session(cpu.build(spec, weights, precision="int8")), TEXTS)
    # Rounding to 1 / 127 of a row's largest is four times as coarse as bf16's, so the angle is too: its cosine, 16 times.
    assert cosines(vectors, expected).min() > 1 - 16 * 0.001


def test_int8_holds_what_its_share_says() -> None:
    """Every product but those kept, of which the weights are the multiplications of one token."""
    spec = dataclasses.replace(BERT, hidden_size=64, num_heads=2, num_kv_heads=2, head_size=32, intermediate_size=128)
    kept = ["layers.0.mlp.down", "layers.1.attention.qkv"]
    model = cpu.build(spec, weights_of(spec), precision="int8", keep_bf16=kept)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    counts = cpu.products(spec)
    assert set(kept) < counts.keys()
    for name, count in counts.items():
        tensor = stored[f"{name}.weight"]
        assert tensor.data_type == (onnx.TensorProto.BFLOAT16 if name in kept else onnx.TensorProto.INT8)
        scales = 0 if name in kept else tensor.dims[0] * 256
        assert np.prod(tensor.dims) - scales == count
    attention = 2 * 2 * 128 * 64
    int8 = sum(count for name, count in counts.items() if name not in kept)
    assert cpu.int8_share(spec, kept) == int8 / (sum(counts.values()) + attention)


def test_a_layer_kept_in_bf16_does_not_part_the_instruction_sets(isa: str) -> None:
    """AMX, here emulated, adds in an order of its own: within an int8 graph everyone adds so, also where no product is int8."""
    spec = SPECS["ropebert"]
    kept = [name for name in cpu.products(spec) if name.startswith("layers.0.")]
    session = open_session(cpu.build(spec, weights_of(spec), precision="int8", keep_bf16=kept))
    here = run(session, TEXTS)
    native.use_isa("amx_emulated")
    for ours, theirs in zip(here, run(session, TEXTS), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_graph_made_before_it_said_the_order_of_sums_has_the_same_bits() -> None:
    spec = SPECS["ropebert"]
    model = cpu.build(spec, weights_of(spec), precision="int8", keep_bf16=["layers.0.mlp.up"])
    expected = run(open_session(model), TEXTS)[1]
    for node in model.graph.node:
        silent = [item for item in node.attribute if item.name != "sum_order"]
        del node.attribute[:]
        node.attribute.extend(silent)
    np.testing.assert_array_equal(run(open_session(model), TEXTS)[1], expected)


def _smoothing_of(spec: EncoderSpec) -> dict[str, np.ndarray]:
    """A vector for each product, of the size that `cpu.build` asks for."""
    rng = np.random.default_rng(1)
    sizes = {"o": spec.num_heads * spec.head_size, "down": spec.intermediate_size}
    return {
        name: 1.5 ** rng.uniform(-1, 1, sizes.get(name.rsplit(".")[-1], spec.hidden_size))
        for name in cpu.products(spec)
    }


@pytest.mark.parametrize("name", ["bert", "modernbert", "qwen3"])
def test_smoothing_takes_the_outliers_that_it_knows(name: str) -> None:
    """Norms whose outlying channels the weights undo: hard to round as they are, and easy once they are smoothed."""
    spec, weights = SPECS[name], weights_of(SPECS[name])
    up = "gate_up" if spec.gated_mlp else "up"
    smoothing = {}
    for i in range(len(spec.layers)):
        smoothing[f"layers.{i}.mlp.{up}"] = np.where(np.arange(spec.hidden_size) % 8 == 3, 100, 1).astype(np.float32)
        slots = [
            f"layers.{i}.mlp.{half}.weight" for half in ("gate", "up") if f"layers.{i}.mlp.{half}.weight" in weights
        ]
        for slot in slots:
            weights[slot] = weights[slot] / smoothing[f"layers.{i}.mlp.{up}"]
        norm = f"layers.{i}.{'mlp' if spec.pre_norm else 'attention'}.norm"
        for slot in (f"{norm}.weight", f"{norm}.bias"):
            if slot in weights:
                weights[slot] = weights[slot] * smoothing[f"layers.{i}.mlp.{up}"]
    expected = reference.run(spec, weights, TEXTS).sentence_embedding

    def least_cosine(**how: Any) -> float:
        _, vectors = run(open_session(cpu.build(spec, weights, precision="int8", **how)), TEXTS)
        return float((vectors * expected).sum(1).min())

    assert least_cosine(smoothing=smoothing) > 1 - 16 * 0.001
    assert least_cosine(smoothing=smoothing) > least_cosine()


@pytest.mark.parametrize("name", SPECS)
def test_any_smoothing_keeps_the_direction(name: str) -> None:
    spec, weights = SPECS[name], weights_of(SPECS[name])
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    kept = [f"layers.0.{product}" for product in ("attention.qkv", "mlp.down")]
    model = cpu.build(spec, weights, precision="int8", keep_bf16=kept, smoothing=_smoothing_of(spec))
    session = open_session(model)
    _, vectors = run(session, TEXTS)
    # A row's largest grows by at most 1.5, and so does a column's: an error 2.25 times as large, a cosine 5 times as far.
    assert cosines(vectors, expected).min() > 1 - 5 * 16 * 0.001
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_array_equal(run(session, [text])[1][0], vector)


def test_smoothing_is_stored_for_int8_products_alone() -> None:
    smoothing = _smoothing_of(BERT)
    model = cpu.build(BERT, weights_of(BERT), precision="int8", keep_bf16=["layers.0.mlp.up"], smoothing=smoothing)
    stored = {tensor.name for tensor in model.graph.initializer if tensor.name.endswith(".smoothing")}
    assert stored == {f"{name}.smoothing" for name in smoothing.keys() - {"layers.0.mlp.up"}}


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"keep_bf16": ["layers.2.mlp.up"]}, "'layers.2.mlp.up' is none of the products layers.0.attention.qkv, "),
        ({"smoothing": {"layers.0.mlp.gate": np.ones(24)}}, "'layers.0.mlp.gate' is none of the products"),
        ({"smoothing": {"layers.0.mlp.up": np.ones(23)}}, "'layers.0.mlp.up' must be 24 positive numbers"),
        ({"smoothing": {"layers.0.mlp.up": np.zeros(24)}}, "must be 24 positive numbers"),
        ({"smoothing": {"layers.0.mlp.up": np.full(24, np.nan)}}, "must be 24 positive numbers"),
    ],
)
def test_wrong_smoothing_is_one_sentence(how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        cpu.build(BERT, weights_of(BERT), precision="int8", **how)


def test_int8_rows_want_a_scale_each() -> None:
    model = cpu.build(BERT, weights_of(BERT), precision="int8")
    (word,) = (tensor for tensor in model.graph.initializer if tensor.name == "embeddings.word")
    word.CopyFrom(onnx.numpy_helper.from_array(np.zeros((40, 24), np.int8), "embeddings.word"))
    with pytest.raises(Exception, match="word_scale goes with a word table of 8-bit integers"):
        open_session(model)
    model = cpu.build(BERT, weights_of(BERT), precision="int8", int8_table=True)
    (scale,) = (tensor for tensor in model.graph.initializer if tensor.name == "embeddings.word.scale")
    scale.CopyFrom(onnx.numpy_helper.from_array(np.ones(39, np.float32), scale.name))
    with pytest.raises(Exception, match="word_scale"):
        open_session(model)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_text_alone_gives_the_same_bits(precision: str) -> None:
    spec = SPECS["ropebert"]
    session = open_session(cpu.build(spec, weights_of(spec), precision=precision))
    together = run(session, TEXTS)[1]
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(run(session, [text])[1][0], vector)


@pytest.mark.parametrize(
    ("input_ids", "cu_seqlens", "sentence"),
    [
        ([3, 40], [0, 2], r"input_ids\[1\] is 40; expected 0 to 39"),
        ([3, -1], [0, 2], r"input_ids\[1\] is -1"),
        ([3, 3], [0, 2, 1, 2], "cu_seqlens falls from 2 to 1"),
        ([3, 3], [0, 1], "cu_seqlens ends at 1 but there are 2 tokens"),
        ([3, 3], [], "cu_seqlens is empty"),
        ([3] * 65, [0, 65], "text 0 has 65 tokens, more than the position table's 64 rows"),
    ],
)
def test_hostile_input_is_one_sentence(input_ids: list[int], cu_seqlens: list[int], sentence: str) -> None:
    session = open_session(cpu.build(BERT, weights_of(BERT)))
    feed = {"input_ids": np.array(input_ids, np.int32), "cu_seqlens": np.array(cu_seqlens, np.int32)}
    with pytest.raises(Exception, match=sentence):
        session.run(None, feed)


def _break_attribute(node: onnx.NodeProto, name: str, value: Any) -> None:
    (attribute,) = (item for item in node.attribute if item.name == name)
    attribute.CopyFrom(onnx.helper.make_attribute(name, value))


@pytest.mark.parametrize(
    ("attribute", "value", "sentence"),
    [
        ("num_heads", 6, "qkv has .* elements; expected"),
        ("num_heads", 0, "a size is not positive"),
        ("num_kv_heads", 2, "num_heads is 3 and num_kv_heads 2"),
        ("head_size", 2**31 - 1, "head_size is 2147483647; expected at most"),
        ("hidden_size", 2**40, "expected a 32-bit number"),
        ("intermediate_size", 400, "up has .* elements; expected"),
        ("activation", "swish", "activation is 'swish'; expected one of identity, gelu"),
        ("rope_dim", 9, "rope_dim is 9"),
        ("sum_order", "pairs", "sum_order is 'pairs'; expected one of chain, tiles"),
    ],
)
def test_a_hostile_graph_is_one_sentence(attribute: str, value: Any, sentence: str) -> None:
    model = cpu.build(BERT, weights_of(BERT))
    _break_attribute(next(node for node in model.graph.node if node.op_type == "EncoderLayer"), attribute, value)
    with pytest.raises(Exception, match=sentence):
        open_session(model)


def test_an_empty_batch_gives_no_rows() -> None:
    tokens, vectors = run(open_session(cpu.build(BERT, weights_of(BERT))), [[]])
    assert tokens.shape == (0, 24) and vectors.shape == (1, 24) and not vectors.any()


def test_heads_that_are_too_wide_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="heads of 300"):
        cpu.build(dataclasses.replace(BERT, head_size=300), {})
