"""The graphs for TensorRT: exact in float32, safe in half, strongly typed, and built ahead of time where its builder is."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from small_encoders import (
    TEXTS,
    bert,
    cosines,
    deberta_v1,
    eurobert,
    modernbert,
    qwen3,
    rope_bert,
    t5,
    weights_of,
    xlm_roberta,
)

from strizh.export import reference, targets
from strizh.export.emulation.run import Emulation
from strizh.export.quantize.int8 import Calibration, Quantized
from strizh.export.recipes import STATIC, TENSORRT_BF16, TENSORRT_FP16, Promise
from strizh.export.spec import Activation, Classifier, EncoderSpec, Pooling, Projection, Scaling
from strizh.export.targets import portable, tensorrt
from strizh.runtime.batching import PackedBatch

BERT = bert(head_size=16, intermediate_size=80)
T5 = t5(BERT)
SPECS = {
    "bert": dataclasses.replace(
        BERT, pooling=(Pooling.MEAN, Pooling.MAX, Pooling.LAST), projections=(Projection(144, 20, True, "tanh"),),
        classifier=Classifier(("no", "yes", "maybe"), Pooling.CLS, "tanh", token_types=2),
    ),
    "xlm-roberta": dataclasses.replace(xlm_roberta(BERT), sparse=(0, 1, 2), multi_vector=24),
    "deberta-v1: no bias of k": deberta_v1(BERT),
    "ropebert": rope_bert(BERT),
    "ropebert, linear": rope_bert(BERT, scaling=Scaling.LINEAR, factor=4.0),
    "ropebert, dynamic": rope_bert(BERT, scaling=Scaling.DYNAMIC, factor=2.0),
    "ropebert, dynamic by the batch": dataclasses.replace(
        rope_bert(BERT, scaling=Scaling.DYNAMIC, factor=2.0), ntk_length="batch"
    ),
    "gte: ntk, gated": dataclasses.replace(rope_bert(BERT, scaling=Scaling.NTK, factor=8.0), gated_mlp=True),
    "half rotated": rope_bert(BERT, dim=8),
    "rotated heads of 26": dataclasses.replace(
        rope_bert(BERT, dim=26), hidden_size=52, num_heads=2, num_kv_heads=2, head_size=26, attention_scale=26**-0.5
    ),
    "heads of 8": dataclasses.replace(BERT, num_heads=6, num_kv_heads=6, head_size=8),
    "t5": T5,
    "t5 1.0: relu without a gate": dataclasses.replace(T5, activation=Activation.RELU, gated_mlp=False),
    "modernbert": modernbert(BERT),
    "nomic_bert: gate without biases": dataclasses.replace(
        rope_bert(BERT), gated_mlp=True, mlp_bias=(False, False), activation=Activation.SILU, attention_bias=(False,) * 4
    ),
    "eurobert": eurobert(BERT),
    "qwen3": qwen3(BERT),
}  # fmt: skip
FLOAT16_MAX = float(np.finfo(np.float16).max)


def padded(texts: list[list[int]]) -> dict[str, np.ndarray]:
    real = np.arange(max(map(len, texts))) < np.array([len(text) for text in texts])[:, None]
    ids = np.ones(real.shape, np.int64)
    ids[real] = np.concatenate(texts)
    return {"input_ids": ids, "attention_mask": real.astype(np.int64)}


def run(model: onnx.ModelProto, **feed: np.ndarray) -> dict[str, np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feed), strict=True))


@pytest.mark.parametrize("name", SPECS)
def test_tensorrt_graph_in_float32_equals_the_spec_in_numpy(name: str) -> None:
    """Evaluated by ONNX Runtime, whose `Attention` and `RotaryEmbedding` are not ours."""
    spec, weights = SPECS[name], weights_of(SPECS[name])
    expected = reference.run(spec, weights, TEXTS)
    found = run(tensorrt.build(spec, weights, precision="fp32"), **padded(TEXTS))
    # Two layers of float32 over values near 1: a few hundred roundings of 6e-8.
    np.testing.assert_allclose(found["sentence_embedding"], expected.sentence_embedding, atol=2e-5, rtol=0)
    outputs = {"token_embeddings": expected.token_embeddings}
    if spec.multi_vector:
        outputs |= {"sparse_weights": expected.sparse_weights, "colbert_vectors": expected.colbert_vectors}
    for output, exact in outputs.items():
        for row, text in zip(found[output], exact, strict=True):
            np.testing.assert_allclose(row[: len(text)], text, atol=2e-5, rtol=0)
    if spec.classifier:
        feed = padded(TEXTS)
        types = [[place % 2 for place in range(len(text))] for text in TEXTS]
        token_types = np.arange(feed["input_ids"].shape[1]) % 2 * feed["attention_mask"]
        logits = run(tensorrt.build(spec, weights, "classifier", precision="fp32"), **feed, token_type_ids=token_types)
        np.testing.assert_allclose(
            logits["logits"], reference.run(spec, weights, TEXTS, types).logits, atol=2e-5, rtol=0
        )


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.99998), ("bf16", 0.999)])
@pytest.mark.parametrize("name", SPECS)
def test_tensorrt_graph_in_half_points_the_same_way(name: str, precision: str, least: float) -> None:
    """A product of fp16 is off by 2^-11, of bf16 by 2^-8, and the cosine by the angle's square: 64 times less."""
    spec, weights = SPECS[name], weights_of(SPECS[name])
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    model = tensorrt.build(spec, weights, precision=precision)
    onnx.checker.check_model(model, full_check=True)
    found = Emulation(model).run(PackedBatch.pack(TEXTS))["sentence_embedding"]
    assert found.dtype == np.float32 and cosines(found, expected).min() > least
    if precision == "fp16":  # ONNX Runtime's CPU has no arithmetic in bf16
        by_onnxruntime = run(model, **padded(TEXTS))["sentence_embedding"]
        assert cosines(by_onnxruntime, expected).min() > least


@pytest.mark.parametrize("name", ["bert", "ropebert, dynamic", "t5", "modernbert", "qwen3"])
def test_tensorrt_graph_lets_no_text_see_its_neighbours(name: str) -> None:
    spec = SPECS[name]
    model = tensorrt.build(spec, weights_of(spec), precision="fp32")
    together = run(model, **padded(TEXTS))["sentence_embedding"]
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(run(model, **padded([text]))["sentence_embedding"][0], vector, atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", SPECS)
def test_tensorrt_graph_has_one_attention_a_layer_and_norms_in_float32(name: str) -> None:
    spec = SPECS[name]
    model = tensorrt.build(spec, weights_of(spec))
    assert {node.domain for node in model.graph.node} == {""}
    ops = [node.op_type for node in model.graph.node]
    assert ops.count("Attention") == len(spec.layers)
    assert ops.count("RotaryEmbedding") == 2 * sum(layer.rope is not None for layer in spec.layers)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    kinds |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        kind = kinds[node.output[0]]
        if node.op_type in ("LayerNormalization", "ReduceMean", "Cos", "Sin", "Tanh") or node.name.startswith(
            "pooling"
        ):
            assert kind != TensorProto.FLOAT16, node.name
        if node.op_type in ("Attention", "RotaryEmbedding", "Gelu") or node.name.startswith("layers.0/mlp/MatMul"):
            assert kind == TensorProto.FLOAT16, node.name


def test_tensorrt_graph_without_windows_or_biases_has_no_mask() -> None:
    """The lengths say all; a mask would be read in every layer."""
    spec = SPECS["ropebert"]
    attention = [node for node in tensorrt.build(spec, weights_of(spec)).graph.node if node.op_type == "Attention"]
    assert [(node.input[3], len(node.input)) for node in attention] == [("", 7)] * 2


def test_tensorrt_stream_beyond_float16_does_not_overflow() -> None:
    """A T5 whose layers add hundreds of thousands: float16 ends at 65504, and each product alone would pass it."""
    weights = weights_of(T5)
    for index in range(len(T5.layers)):
        weights[f"layers.{index}.mlp.up.weight"][:4] *= 8e3
        weights[f"layers.{index}.mlp.down.weight"][:2] *= 1e2
    exact = reference.run(dataclasses.replace(T5, final_norm=False), weights, TEXTS)
    assert max(np.abs(tokens).max() for tokens in exact.token_embeddings) > 4 * FLOAT16_MAX
    emulation, batch = Emulation(tensorrt.build(T5, weights, precision="fp16")), PackedBatch.pack(TEXTS)
    assert max(emulation.magnitudes(batch).values()) < FLOAT16_MAX / 2, "half of the range is left"
    expected = reference.run(T5, weights, TEXTS).sentence_embedding
    assert cosines(emulation.run(batch)["sentence_embedding"], expected).min() > 0.9999


# With the ids that begin and end a text, whose rows a static scale must have seen, as real calibration texts have them.
CALIBRATION = [[0, *np.random.default_rng(length).integers(1, 40, length).tolist(), 2] for length in range(40)]
NOTHING_KEPT = Promise(cosine_min=-1, cosine_mean=-1)


def planned(spec: EncoderSpec, weights: dict[str, Any], folder: Path, promise: Promise = NOTHING_KEPT) -> Quantized:
    """Static scales, from texts of random tokens."""
    calibration = Calibration(lambda: portable.build(spec, weights), CALIBRATION, folder)
    return calibration.plan(STATIC, promise, lambda what: None)


@pytest.mark.parametrize(
    "name", ["bert", "rotated heads of 26", "gte: ntk, gated", "t5", "modernbert", "eurobert", "qwen3"]
)
def test_tensorrt_int8_has_static_scales_and_points_the_same_way(name: str, tmp_path: Path) -> None:
    """A code is off by up to 1/254 of its site's largest number, which in random models is four times the usual one: each of
    eight products turns a row by an angle of 4/254/sqrt(3), squared and halved 4e-5 of its cosine, and pooling keeps most."""
    spec, weights = SPECS[name], weights_of(SPECS[name])
    quantized = planned(spec, weights, tmp_path)
    model = tensorrt.build(spec, weights, precision="int8", quantized=quantized)
    onnx.checker.check_model(model, full_check=True)
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    found = Emulation(model).run(PackedBatch.pack(TEXTS))["sentence_embedding"]
    by_onnxruntime = run(model, **padded(TEXTS))["sentence_embedding"]
    assert min(cosines(found, expected).min(), cosines(by_onnxruntime, expected).min()) > 0.995
    ops = [node.op_type for node in model.graph.node]
    products = 4 * len(spec.layers)
    assert (ops.count("QuantizeLinear"), ops.count("DequantizeLinear")) == (products, 2 * products)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type.endswith("QuantizeLinear") or node.op_type == "DequantizeLinear":
            _, scale, zero = node.input
            assert tensors[scale].data_type == TensorProto.FLOAT16 and tensors[zero].data_type == TensorProto.INT8
            assert not np.any(numpy_helper.to_array(tensors[zero])), "symmetric"
            smallest = numpy_helper.to_array(tensors[scale]).min()
            assert smallest >= np.finfo(np.float16).smallest_normal / 64, "a scale with few digits"
    kinds = {tensors[site].data_type for site in tensors if site.endswith(".codes")}
    assert kinds == {TensorProto.INT8} and not any(
        f"layers.0.{kind}.weight" in tensors for kind in ("attention.o", "mlp.down")
    )


def test_tensorrt_int8_leaves_in_half_what_the_promise_needs(tmp_path: Path) -> None:
    spec, weights = SPECS["ropebert"], weights_of(SPECS["ropebert"])
    strict = planned(spec, weights, tmp_path, Promise(cosine_min=0.99999, cosine_mean=0.999995))
    assert strict.kept, "or the promise is none"
    model = tensorrt.build(spec, weights, precision="int8", quantized=strict)
    tensors = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for site in strict.kept:
        assert tensors[f"{site}.weight"] == TensorProto.FLOAT16 and f"{site}.weight.codes" not in tensors
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    loose = tensorrt.build(spec, weights, precision="int8", quantized=planned(spec, weights, tmp_path))
    kept, lost = (
        1 - cosines(Emulation(one).run(PackedBatch.pack(TEXTS))["sentence_embedding"], expected).mean()
        for one in (model, loose)
    )
    assert kept < lost


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", ["bert", "t5", "ropebert"])
def test_tensorrt_int8_embeddings_are_off_by_their_rounding(name: str, precision: str) -> None:
    spec, weights = SPECS[name], weights_of(SPECS[name])
    recipe = {"fp16": TENSORRT_FP16, "bf16": TENSORRT_BF16}[precision]
    model = targets.build(recipe, spec, weights, "embedding", int8_table=True)
    onnx.checker.check_model(model, full_check=True)
    tensors = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert tensors["embeddings.word.codes"] == TensorProto.INT8 and "embeddings.word" not in tensors
    expected = reference.run(spec, weights, TEXTS).sentence_embedding
    found = Emulation(model).run(PackedBatch.pack(TEXTS))["sentence_embedding"]
    assert cosines(found, expected).min() > 0.999


def built(model: onnx.ModelProto) -> int:
    """Bytes of the engine that TensorRT for RTX builds for Ampere, Ada and Blackwell, with shapes that change."""
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT's builder is not installed: `make tensorrt` brings it")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(model.SerializeToString()), [parser.get_error(at) for at in range(parser.num_errors)]
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    for index in range(network.num_inputs):
        profile.set_shape(network.get_input(index).name, (1, 1), (8, 32), (32, 64))
    config.add_optimization_profile(profile)
    kinds = [trt.ComputeCapability.SM80, trt.ComputeCapability.SM89, trt.ComputeCapability.SM120]
    config.num_compute_capabilities = len(kinds)
    for index, kind in enumerate(kinds):
        config.set_compute_capability(kind, index)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    return int(plan.nbytes)


@pytest.mark.parametrize("name", SPECS)
def test_tensorrt_builds_int8_ahead_of_time(name: str, tmp_path: Path) -> None:
    spec, weights = SPECS[name], weights_of(SPECS[name])
    pytest.importorskip("tensorrt_rtx", reason="TensorRT's builder is not installed: `make tensorrt` brings it")
    quantized = planned(spec, weights, tmp_path)
    for head in ("embedding", "classifier") if spec.classifier else ("embedding",):
        built(tensorrt.build(spec, weights, head, precision="int8", quantized=quantized))


def test_tensorrt_builds_int8_weights_and_embeddings_into_the_engine(tmp_path: Path) -> None:
    """An engine of integers has fewer bytes than one of half precision: TensorRT does not store them unrounded."""
    wide = dataclasses.replace(
        SPECS["ropebert"], hidden_size=256, num_heads=16, num_kv_heads=16, intermediate_size=1024, vocab_size=4000
    )
    weights = weights_of(wide)
    half = built(tensorrt.build(wide, weights))
    products = 2 * len(wide.layers) * (4 * 256 * 256 + 2 * 256 * 1024) / 2  # bytes that one byte a weight saves
    assert half - built(tensorrt.build(wide, weights, precision="int8", quantized=planned(wide, weights, tmp_path))) > (
        products / 2
    )
    table = built(targets.build(TENSORRT_FP16, wide, weights, "embedding", int8_table=True))
    assert half - table > 4000 * 256 / 2


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("name", SPECS)
def test_tensorrt_builds_the_graph_ahead_of_time(name: str, precision: str) -> None:
    """TensorRT for RTX does this without a GPU, not for Hopper."""
    spec, weights = SPECS[name], weights_of(SPECS[name])
    for head in ("embedding", "classifier") if spec.classifier else ("embedding",):
        built(tensorrt.build(spec, weights, head, precision=precision))
