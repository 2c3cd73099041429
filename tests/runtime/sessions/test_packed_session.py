"""Packed sessions tell a graph which rows nobody will read, if the graph can be told."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from strizh.kernels import library_path
from strizh.runtime.batching import PackedBatch
from strizh.runtime.sessions.packed import PackedSession
from strizh.runtime.sessions.session import Output

pytestmark = pytest.mark.skipif(library_path() is None, reason="the kernels were not built")

VECTORS, TOKENS = Output("sentence_embedding", 1), Output("token_embeddings", 1, per_token=True)
BATCH = PackedBatch.pack([[5, 6, 7], [8]])


def telling(told: str, kind: int = TensorProto.INT32) -> onnx.ModelProto:
    """A graph whose numbers are what it was told by the optional input `told`: 1 if nothing."""
    rows = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", [told], ["answer"], to=TensorProto.FLOAT),
        helper.make_node("Shape", ["input_ids"], ["tokens"]),
        helper.make_node("Shape", ["cu_seqlens"], ["ends"]),
        helper.make_node("Sub", ["ends", "one"], ["texts"]),
        *(
            helper.make_node(op, inputs, [output])
            for count, name in (("tokens", "token_embeddings"), ("texts", "sentence_embedding"))
            for op, inputs, output in (
                ("Concat", [count, "one"], f"{count}, 1"),
                ("Expand", ["answer", f"{count}, 1"], name),
            )
        ),
    ]
    for node in nodes:
        if node.op_type == "Concat":
            node.attribute.append(helper.make_attribute("axis", 0))
    graph = helper.make_graph(
        nodes, "telling",
        [
            rows("input_ids", TensorProto.INT32, ["total_tokens"]),
            rows("cu_seqlens", TensorProto.INT32, ["batch_and_one"]),
            rows(told, kind, [1]),
        ],
        [
            rows("token_embeddings", TensorProto.FLOAT, ["total_tokens", 1]),
            rows("sentence_embedding", TensorProto.FLOAT, ["batch", 1]),
        ],
        [
            numpy_helper.from_array(np.ones(1, helper.tensor_dtype_to_np_dtype(kind)), told),
            numpy_helper.from_array(np.ones(1, np.int64), "one"),
        ],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def opened(model: onnx.ModelProto) -> PackedSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return PackedSession(session, threads=1, variant="test")


def test_rows_of_tokens_are_left_out_where_vectors_are_asked_for() -> None:
    session = opened(telling("output_token_embeddings"))
    for _ in range(2):
        np.testing.assert_array_equal(session.run(BATCH, VECTORS), np.zeros((2, 1)))
        np.testing.assert_array_equal(session.run(BATCH, TOKENS), np.ones((4, 1)))


@pytest.mark.parametrize(
    ("told", "kind"), [("another", TensorProto.INT32), ("output_token_embeddings", TensorProto.INT64)]
)
def test_an_optional_input_that_is_not_known_is_left_alone(told: str, kind: int) -> None:
    session = opened(telling(told, kind))
    np.testing.assert_array_equal(session.run(BATCH, VECTORS), np.ones((2, 1)))
    np.testing.assert_array_equal(session.run(BATCH, TOKENS), np.ones((4, 1)))
