"""Graph files run in NumPy: padding goes before anyone sees it, and what overflowed is an error."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from strizh.export.emulation.run import emulated
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import ParityError


@pytest.fixture
def padded(tmp_path: Path) -> Path:
    """A padded graph whose token vectors are 30,000 times the ids, in float16."""
    nodes = [
        helper.make_node("Cast", ["input_ids"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["half", "factor"], ["large"]),
        helper.make_node("Cast", ["large"], ["exact"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["exact", "last"], ["token_embeddings"]),
    ]
    shape = ["batch", "sequence"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("token_embeddings", TensorProto.FLOAT, [*shape, 1])]
    constants = {"factor": np.float16(30_000), "last": np.array([2], np.int64)}
    graph = helper.make_graph(
        nodes,
        "padded",
        inputs,
        outputs,
        [numpy_helper.from_array(np.asarray(x), name) for name, x in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_tokens_of_a_padded_graph_come_without_padding(padded: Path) -> None:
    found = emulated(padded, "token_embeddings", PackedBatch.pack([[1, 2], [2], [0, 1, 2]]))
    assert found.ravel().tolist() == [30_000, 60_000, 60_000, 0, 30_000, 60_000]


def test_what_overflows_is_an_error_that_says_where(padded: Path) -> None:
    message = r"model\.onnx, run in NumPy, gave numbers that are not finite as token_embeddings"
    with np.errstate(over="ignore"), pytest.raises(ParityError, match=message):
        emulated(padded, "token_embeddings", PackedBatch.pack([[1, 2], [3]]))
