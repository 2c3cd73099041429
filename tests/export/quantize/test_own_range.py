"""Rows with a zero of their own in the graph that measures what they cost, and in the search for their smoothing."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from strizh.export.passes.int8_products import quantize_products
from strizh.export.quantize.rounding import columns
from strizh.export.quantize.site import OwnRange, PerRow, Site
from strizh.export.quantize.smoothing import rounded
from strizh.kernels.reference_int8 import quantize_rows

SIZE = 64


def rows() -> np.ndarray:
    """Ordinary ones, of one sign, with an outlier of either sign, with two, zeros, a single value."""
    x = np.random.default_rng(5).normal(size=(9, SIZE)).astype(np.float32)
    x[1] = np.abs(x[1])
    x[2, 7], x[3, SIZE - 1], x[4, [1, 2]] = 80, -80, (90, 89)
    x[5], x[6], x[7, 0] = 0, 0, 1e6
    x[6, 9] = -2.5
    return x


def test_the_graph_rounds_as_the_definition_does() -> None:
    codes, scale = columns(np.eye(SIZE, dtype=np.float32))
    site = Site("p", ("w",), SIZE**2, OwnRange(), rounded={"w": (codes, scale)})
    x = rows()
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="y")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)],
        [numpy_helper.from_array(np.eye(SIZE, dtype=np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    quantize_products(model, [site])
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"x": x})
    q, steps = quantize_rows(x)
    # Its zeros are not whole numbers: an end of a row may be one step further out.
    assert (np.abs(got - q * steps[:, None]) <= steps[:, None] * 1.001 + 1e-6 * np.abs(x)).all()


def test_rows_are_nearer_than_with_one_scale_for_both_signs() -> None:
    x = rows()
    own, symmetric = (np.abs(rounded(x, kind) - x).max(-1) for kind in (OwnRange(), PerRow()))
    assert (own <= symmetric * 1.05 + 1e-9).all()
    assert (own[[1, 2, 3]] < symmetric[[1, 2, 3]] * 0.6).all()
