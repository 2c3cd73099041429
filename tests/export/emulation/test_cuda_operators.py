"""The written-out CUDA operators against ONNX Runtime's own, which its CPU build has in float32."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from strizh.export.emulation.operators import OPERATORS
from strizh.runtime.batching import PackedBatch
from strizh.runtime.packing import packed_inputs

RNG = np.random.default_rng(4)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def model_of(op: str, feed: dict[str, np.ndarray], outputs: int = 1, **attributes: Any) -> onnx.ModelProto:
    """One node of com.microsoft; the first and the last of its `outputs` are the graph's."""
    names = ["first", *[""] * (outputs - 2), *(["last"] if outputs > 1 else [])]
    node = helper.make_node(op, list(feed), names, domain="com.microsoft", **attributes)
    kinds = {name: helper.np_dtype_to_tensor_dtype(x.dtype) for name, x in feed.items()}
    given = [helper.make_tensor_value_info(name, kind, feed[name].shape) for name, kind in kinds.items()]
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name]
    graph = helper.make_graph([node], op, given, found)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


CASES: dict[str, tuple[str, dict[str, np.ndarray], dict[str, Any]]] = {
    "rotary, a row a token": (
        "RotaryEmbedding",
        {"x": floats(1, 7, 24), "ids": np.zeros(1, np.int64), "cos": floats(7, 4), "sin": floats(7, 4)},
        {"num_heads": 3, "interleaved": 0},
    ),
    "rotary of a part, by ids": (
        "RotaryEmbedding",
        {"x": floats(2, 3, 24), "ids": np.array([[4, 0, 1], [2, 2, 3]]), "cos": floats(7, 2), "sin": floats(7, 2)},
        {"num_heads": 3, "interleaved": 0, "rotary_embedding_dim": 4},
    ),
    "skip and norm": (
        "SkipLayerNormalization",
        {"x": floats(5, 16), "skip": floats(5, 16), "weight": floats(16), "shift": floats(16), "bias": floats(16)},
        {"epsilon": 1e-5, "outputs": 4},
    ),
    "skip and rms norm": (
        "SkipSimplifiedLayerNormalization",
        {"x": floats(5, 16), "skip": floats(5, 16), "weight": floats(16), "bias": floats(16)},
        {"epsilon": 1e-5, "outputs": 4},
    ),
    "gelu of a sum": ("BiasGelu", {"x": 3 * floats(5, 16), "bias": floats(16)}, {}),
    "gelu": ("Gelu", {"x": 3 * floats(5, 16)}, {}),
    "tanh gelu of a sum": ("FastGelu", {"x": 3 * floats(5, 16), "bias": floats(16)}, {}),
    "silu": ("QuickGelu", {"x": 3 * floats(5, 16)}, {"alpha": 1.0}),
}


@pytest.mark.parametrize("name", CASES)
def test_cuda_operator_is_onnxruntimes(name: str) -> None:
    op, feed, attributes = CASES[name]
    model = model_of(op, feed, **attributes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, feed)
    model.graph.node[0].output[:] = [x or f"unused_{i}" for i, x in enumerate(model.graph.node[0].output)]
    found = ReferenceEvaluator(model, new_ops=OPERATORS).run(None, feed)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-6)  # some ten roundings of numbers below 10


def test_cuda_packed_attention_is_onnxruntimes_attention_of_each_text() -> None:
    lengths, heads, scale = (3, 1, 6), 2, 0.4
    batch = PackedBatch.pack([range(length) for length in lengths])
    q, k, v = (floats(sum(lengths), 16) for _ in range(3))
    inputs = packed_inputs(batch)
    feed = {"q": q, "k": k, "v": v, "offset": inputs["token_offset"], "cu_seqlens": batch.cu_seqlens}
    model = model_of("PackedMultiHeadAttention", feed, num_heads=heads, scale=scale)
    node = model.graph.node[0]
    node.input[:] = ["q", "k", "v", "", "offset", "cu_seqlens"]
    (found,) = ReferenceEvaluator(model, new_ops=OPERATORS).run(None, feed)
    one = model_of("MultiHeadAttention", {"q": q[None], "k": k[None], "v": v[None]}, num_heads=heads, scale=scale)
    for value in one.graph.input:
        value.type.tensor_type.shape.dim[1].dim_param = "sequence"
    session = onnxruntime.InferenceSession(one.SerializeToString(), providers=["CPUExecutionProvider"])
    for start, end in zip(batch.cu_seqlens, batch.cu_seqlens[1:], strict=False):
        text = {name: side[None, start:end] for name, side in (("q", q), ("k", k), ("v", v))}
        np.testing.assert_allclose(found[start:end], session.run(None, text)[0][0], rtol=0, atol=5e-6)


def test_cuda_inputs_of_a_packed_batch() -> None:
    found = packed_inputs(PackedBatch.pack([[5, 6], [7], [8, 9, 4]]))
    assert found["cu_seqlens"].tolist() == [0, 2, 3, 6]
    assert found["position_ids"].tolist() == [0, 1, 0, 0, 1, 2]
    assert found["text_ids"].tolist() == [0, 0, 1, 2, 2, 2]
    assert found["token_offset"].tolist() == [[0, 1, 3], [6, 7, 8], [2, 4, 5]]
    assert {array.dtype for array in found.values()} == {np.dtype(np.int32)}
