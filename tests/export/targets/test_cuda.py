"""The graphs for CUDA, run in NumPy: every architecture, every rotary scaling, in float32 against the spec, in half safely."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
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

from strizh.export import reference, targets
from strizh.export.emulation.run import Emulation
from strizh.export.recipes import CUDA_BF16, CUDA_FP16
from strizh.export.spec import Activation, Pooling, Scaling
from strizh.export.targets import cuda
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import UnsupportedModel

BERT = bert()
T5 = t5(BERT)
SPECS = {
    "bert": BERT,
    "xlm-roberta": xlm_roberta(BERT),
    "ropebert": rope_bert(BERT),
    "ropebert, linear": rope_bert(BERT, scaling=Scaling.LINEAR, factor=4.0),
    "ropebert, dynamic": rope_bert(BERT, scaling=Scaling.DYNAMIC, factor=2.0),
    "gte: ntk, gated": dataclasses.replace(rope_bert(BERT, scaling=Scaling.NTK, factor=8.0), gated_mlp=True),
    "half rotated": rope_bert(BERT, dim=4),
    "heads of 26": dataclasses.replace(
        BERT, hidden_size=52, num_heads=2, num_kv_heads=2, head_size=26, attention_scale=26**-0.5
    ),
    "rotated heads of 26": dataclasses.replace(
        rope_bert(BERT, dim=26), hidden_size=52, num_heads=2, num_kv_heads=2, head_size=26, attention_scale=26**-0.5
    ),
    "deberta-v1: no bias of k": deberta_v1(BERT),
    "no bias of the output": dataclasses.replace(BERT, attention_bias=(True, True, True, False)),
    "t5": T5,
    "t5 1.0: relu without a gate": dataclasses.replace(T5, activation=Activation.RELU, gated_mlp=False),
    "modernbert": modernbert(BERT),
    "qwen3": qwen3(BERT),
    "shared key heads with biases": dataclasses.replace(rope_bert(BERT), num_kv_heads=1),
    "pre-norm with every bias, no final norm": dataclasses.replace(BERT, pre_norm=True, gated_mlp=True),
    "no biases, no gate": dataclasses.replace(BERT, mlp_bias=(False, False), attention_bias=(False,) * 4, norm_bias=False),
    "poolings, projection, classifier": with_heads(BERT),
    "other poolings": dataclasses.replace(BERT, pooling=(Pooling.CLS, Pooling.LAST, Pooling.MEAN_SQRT_LEN)),
}  # fmt: skip


def run(model: onnx.ModelProto, texts: list[list[int]]) -> dict[str, np.ndarray]:
    return Emulation(model).run(PackedBatch.pack(texts))


@pytest.mark.parametrize("name", SPECS)
def test_float32_equals_the_spec_in_numpy(name: str) -> None:
    spec, weights = SPECS[name], weights_of(SPECS[name])
    expected = reference.run(spec, weights, TEXTS)
    model = cuda.build(spec, weights, precision="fp32")
    onnx.checker.check_model(model, full_check=True)
    found = run(model, TEXTS)
    # Two layers of float32 over values near 1: a few hundred roundings of 6e-8.
    np.testing.assert_allclose(found["token_embeddings"], np.concatenate(expected.token_embeddings), atol=2e-5, rtol=0)
    np.testing.assert_allclose(found["sentence_embedding"], expected.sentence_embedding, atol=2e-5, rtol=0)
    if spec.classifier:
        logits = run(cuda.build(spec, weights, "classifier", precision="fp32"), TEXTS)["logits"]
        np.testing.assert_allclose(logits, expected.logits, atol=2e-5, rtol=0)


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.99998), ("bf16", 0.999)])
@pytest.mark.parametrize("name", SPECS)
def test_half_points_the_same_way(name: str, precision: str, least: float) -> None:
    """A product of fp16 is off by 2^-11, of bf16 by 2^-8, and the cosine by the angle's square: 64 times less."""
    spec, weights = SPECS[name], weights_of(SPECS[name])
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    model = cuda.build(spec, weights, precision=precision)
    onnx.checker.check_model(model, full_check=True)
    found = run(model, TEXTS)["sentence_embedding"]
    assert found.dtype == np.float32
    assert cosines(found, expected).min() > least


@pytest.mark.parametrize("name", ["bert", "xlm-roberta", "ropebert, dynamic", "t5"])
def test_a_text_does_not_depend_on_its_neighbours(name: str) -> None:
    spec = SPECS[name]
    model = cuda.build(spec, weights_of(spec), precision="fp32")
    together = run(model, TEXTS)["sentence_embedding"]
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(run(model, [text])["sentence_embedding"][0], vector, atol=2e-6, rtol=0)


FLOAT16_MAX = float(np.finfo(np.float16).max)


def test_a_stream_beyond_float16_does_not_overflow() -> None:
    """A T5 whose layers add hundreds of thousands: float16 ends at 65504, and each product alone would pass it."""
    spec = dataclasses.replace(T5, hidden_size=64, intermediate_size=128)
    weights = weights_of(spec)
    for index in range(len(spec.layers)):
        weights[f"layers.{index}.mlp.up.weight"][:4] *= 8e3
        weights[f"layers.{index}.mlp.down.weight"][:2] *= 1e2
    exact = reference.run(dataclasses.replace(spec, final_norm=False), weights, TEXTS)
    assert max(np.abs(tokens).max() for tokens in exact.token_embeddings) > 4 * FLOAT16_MAX

    emulation, batch = Emulation(cuda.build(spec, weights, precision="fp16")), PackedBatch.pack(TEXTS)
    magnitudes = emulation.magnitudes(batch)
    assert max(magnitudes.values()) < FLOAT16_MAX / 2, "half of the range is left"
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    assert cosines(emulation.run(batch)["sentence_embedding"], expected).min() > 0.9999


def test_outliers_of_a_post_norm_model_do_not_overflow() -> None:
    """A channel a thousand times the others, as BERT-like models grow them, in what both halves of a layer add."""
    weights = weights_of(BERT)
    for index in range(len(BERT.layers)):
        for slot in ("attention.o", "mlp.down"):
            weights[f"layers.{index}.{slot}.weight"][3] *= 1e3
    emulation, batch = Emulation(cuda.build(BERT, weights, precision="fp16")), PackedBatch.pack(TEXTS)
    assert 500 < max(emulation.magnitudes(batch).values()) < FLOAT16_MAX / 2
    expected = reference.run(BERT, weights, TEXTS).sentence_embedding
    assert cosines(emulation.run(batch)["sentence_embedding"], expected).min() > 0.9999


def test_weights_beyond_float16_are_refused() -> None:
    weights = weights_of(BERT)
    weights["layers.0.mlp.up.weight"][0, 0] = 7e4
    with pytest.raises(UnsupportedModel, match=r"layers.0.mlp.up.weight has weights beyond the range of float16"):
        cuda.build(BERT, weights, precision="fp16")


def own_operators(name: str) -> set[str]:
    model = cuda.build(SPECS[name], weights_of(SPECS[name]))
    return {node.op_type for node in model.graph.node if node.domain == "strizh"}


OWN = {name: found for name in SPECS if (found := own_operators(name))}


def test_own_operators_are_only_where_onnxruntimes_do_not_reach() -> None:
    attention = {"t5", "t5 1.0: relu without a gate", "modernbert", "qwen3", "shared key heads with biases"}
    expected = {name: {"PackedAttention"} for name in attention}
    assert expected | {"poolings, projection, classifier": {"Pooling"}} == OWN


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("name", sorted(SPECS.keys() - OWN.keys()))
def test_onnxruntime_infers_every_type_and_shape(name: str, precision: str) -> None:
    """Its CPU build knows the schemas of the CUDA operators: a session fails for want of a kernel, not before."""
    model = cuda.build(SPECS[name], weights_of(SPECS[name]), precision=precision)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    with pytest.raises(Exception, match=r"NOT_IMPLEMENTED.*(kernel|implementation) for .*PackedMultiHeadAttention"):
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


# What the CUDA provider has kernels for (ONNX Runtime's docs/OperatorKernels.md), and strizh's own library: types of the
# first input, by operator. Shape, Range and the like are computed on the CPU, where no CUDA graph can be captured.
HALVES, COUNTS, EVERY = {"float32", "float16"}, {"int32", "int64"}, {"bool", "int8", "bfloat16"}
KERNELS = {
    **dict.fromkeys(("MatMul", "Relu", "Tanh", "Sigmoid", "LayerNormalization"), HALVES | {"bfloat16"}),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "ReduceSum"), HALVES | COUNTS | {"bfloat16"}),
    **dict.fromkeys(("Sqrt", "Cos", "Sin"), HALVES),
    **dict.fromkeys(("Pow", "CumSum", "Less", "GreaterOrEqual"), HALVES | COUNTS),
    **dict.fromkeys(("Cast", "Gather", "Unsqueeze", "Squeeze", "Slice", "Concat"), HALVES | COUNTS | EVERY),
    "Equal": HALVES | COUNTS | {"bool"}, "Not": {"bool"}, "And": {"bool"}, "ReduceMean": HALVES | {"int32"},
    **dict.fromkeys(("PackedMultiHeadAttention", "RotaryEmbedding", "Gelu", "QuickGelu"), HALVES),
    **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"), HALVES),
    **dict.fromkeys(("BiasGelu", "FastGelu"), HALVES | {"bfloat16"}),
    "PackedAttention": {"float16", "bfloat16"}, "Pooling": {"float32"},
}  # fmt: skip


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", SPECS)
def test_cuda_has_a_kernel_for_every_node_of_a_graph(name: str, precision: str) -> None:
    spec = SPECS[name]
    for head in ("embedding", *(["classifier"] if spec.classifier else [])):
        model = cuda.build(spec, weights_of(spec), head, precision=precision)
        values = Emulation(model).values(PackedBatch.pack(TEXTS))
        kinds = {(node.op_type, values[node.input[0]].dtype.name) for node in model.graph.node}
        assert not [(op, kind) for op, kind in sorted(kinds) if kind not in KERNELS[op]]


@pytest.mark.parametrize("name", SPECS)
def test_a_graph_reads_every_initialiser(name: str) -> None:
    graph = cuda.build(SPECS[name], weights_of(SPECS[name])).graph
    read = {value for node in graph.node for value in node.input}
    assert {tensor.name for tensor in graph.initializer} <= read
    assert [value.name for value in graph.output] == ["token_embeddings", "sentence_embedding", "checksum"]
    halves = [t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert sum(name.endswith("up.weight") for name in halves) == len(SPECS[name].layers)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_int8_embeddings_are_off_by_their_rounding(precision: str) -> None:
    spec = rope_bert(BERT)
    weights = weights_of(spec)
    recipe = {"fp16": CUDA_FP16, "bf16": CUDA_BF16}[precision]
    model = targets.build(recipe, spec, weights, "embedding", int8_table=True)
    onnx.checker.check_model(model, full_check=True)
    tensors = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert tensors["embeddings.word.codes"] == onnx.TensorProto.INT8 and "embeddings.word" not in tensors
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    found = Emulation(model).run(PackedBatch.pack(TEXTS))
    assert cosines(found["sentence_embedding"], expected).min() > 0.999
    total = found["sentence_embedding"].astype(np.float64).sum()
    np.testing.assert_allclose(found["checksum"], [[total]], atol=1e-5)
