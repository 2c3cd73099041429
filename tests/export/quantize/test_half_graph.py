"""portable-fp16 as a graph: what stays in float32, how near the range's end it comes, and what that gives."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from strizh.export import targets
from strizh.export.emulation.standard import MatMul
from strizh.export.parity import compare
from strizh.export.passes.half import MASKED
from strizh.export.quantize.magnitudes import LIMIT, check, magnitudes
from strizh.export.recipes import PORTABLE_FP16, PORTABLE_FP32
from strizh.export.write import without_weights
from strizh.runtime.errors import ParityError


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(without_weights(model), strict_mode=True).graph
    return {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "ropebert"])
@pytest.mark.parametrize("int8_table", [False, True])
def test_vectors_are_those_of_float32(kind, int8_table, load, run_padded, texts) -> None:
    spec, weights = load(kind)
    half = targets.build(PORTABLE_FP16, spec, weights, "embedding", int8_table=int8_table)
    plain = targets.build(PORTABLE_FP32, spec, weights, "embedding", int8_table=int8_table)
    found = compare(run_padded(half, texts)[1], run_padded(plain, texts)[1], "")
    # Every value is rounded to 2^-11 a dozen times in each of two layers.
    assert found.cosine_min > 1 - (24 * 2**-11) ** 2


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "ropebert"])
def test_rounded_activations_keep_the_vectors(kind, load, run_padded, texts) -> None:
    """ONNX Runtime's CPU provider computes float16 nodes in float32 and drops the casts between them; a GPU rounds."""
    spec, weights = load(kind)
    half = ReferenceEvaluator(targets.build(PORTABLE_FP16, spec, weights, "embedding"), new_ops=[MatMul])
    plain = targets.build(PORTABLE_FP32, spec, weights, "embedding")
    batches = [np.array([text], np.int64) for text in texts]
    found = [half.run(["sentence_embedding"], {"input_ids": x, "attention_mask": np.ones_like(x)})[0] for x in batches]
    expected = np.concatenate([run_padded(plain, [text])[1] for text in texts])
    figures = compare(np.concatenate(found), expected, "")
    assert figures.max_abs > 0, "nothing was rounded"
    assert figures.cosine_min > 1 - (24 * 2**-11) ** 2  # as above


def test_what_could_overflow_or_cancel_stays_in_float32(load) -> None:
    spec, weights = load()
    model = targets.build(PORTABLE_FP16, spec, weights, "embedding")
    types = element_types(model)
    half = {node.name for node in model.graph.node if types.get(node.output[0]) == onnx.TensorProto.FLOAT16}
    for node in model.graph.node:
        if node.op_type in ("LayerNormalization", "Softmax", "Cos", "Sin", "ReduceSum", "ReduceL2"):
            assert node.name not in half, node.name
        if node.op_type == "MatMul":
            assert node.name in half, node.name
    normed = {node.input[0] for node in model.graph.node if node.op_type == "LayerNormalization"}
    residuals = [node for node in model.graph.node if node.op_type == "Add" and node.output[0] in normed]
    assert len(residuals) >= 2 * len(spec.layers)
    assert not {node.name for node in residuals} & half
    assert types["token_embeddings"] == types["sentence_embedding"] == onnx.TensorProto.FLOAT
    large = [tensor for tensor in model.graph.initializer if len(tensor.raw_data) > 1000]
    assert large
    assert {tensor.data_type for tensor in large} == {onnx.TensorProto.FLOAT16}


def test_the_mask_is_finite_in_float16(load) -> None:
    spec, weights = load()
    model = targets.build(PORTABLE_FP16, spec, weights, "embedding")
    values = [onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
    floats = [value for value in values if value.dtype.kind == "f"]
    assert min(value.min() for value in floats if value.size) == MASKED
    assert all(np.isfinite(value.astype(np.float16)).all() for value in floats)


def test_a_text_without_tokens_gives_zeros_and_leaves_its_neighbours_alone(load, run_padded, texts) -> None:
    spec, weights = load()
    model = targets.build(PORTABLE_FP16, spec, weights, "embedding")
    together = run_padded(model, [[], *texts])[1]
    assert (together[0] == 0).all()
    alone = np.concatenate([run_padded(model, [text])[1] for text in texts])
    assert compare(alone, together[1:], "").cosine_min > 0.999999


def test_magnitudes_of_every_tensor_and_what_is_too_large(load, texts, tmp_path: Path) -> None:
    def largest(factor: float) -> dict[str, float]:
        spec, weights = load("bert", name=f"checkpoint-{factor}")
        scaled = dict(weights) | {"layers.1.mlp.up.bias": weights["layers.1.mlp.up.bias"] + np.float32(factor)}
        return magnitudes(targets.build(PORTABLE_FP16, spec, scaled, "embedding"), texts, tmp_path)

    found = largest(0)
    assert found["layers.*/mlp/Add_1"] < 100
    assert {"layers.*.attention.qkv.weight.fp16", "layers.*/attention/MatMul_2", "embeddings.word.fp16"} <= set(found)
    check(found)
    beyond = largest(20_000)
    assert beyond["layers.*/mlp/Add_1"] > 19_000
    with pytest.raises(ParityError, match=rf"layers.*expected at most {LIMIT}"):
        check(beyond)
    with pytest.raises(ParityError, match="nan"):
        check({"x": float("nan")})
    assert not list(tmp_path.glob("calibration-*")), "what was run is not left behind"
