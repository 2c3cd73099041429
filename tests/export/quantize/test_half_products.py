"""tensorrt-int8's products at the ends of half precision: columns that are nearly dead, dead, or all small."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from strizh.export.passes.int8_tensorrt import quantize_half_products
from strizh.export.quantize.site import Site, Static

LEAST = float(np.finfo(np.float16).smallest_normal)


def quantized(weight: np.ndarray, step: float) -> dict[str, np.ndarray]:
    """The constants of x @ weight in integers, by the name of the node that reads them and their place in it."""
    half = onnx.TensorProto.FLOAT16
    x, y = (helper.make_tensor_value_info(name, half, ["n", None]) for name in "xy")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["y"], name="y")], "one", [x], [y],
        [numpy_helper.from_array(weight, "weight")],
    )  # fmt: skip
    model = helper.make_model(graph)
    quantize_half_products(model, [Site("site", ("weight",), weight.size, Static(step))], {}, {})
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = {node.name: node for node in model.graph.node}
    return {
        "codes": stored[nodes["weight/rounded"].input[0]],
        "scale": stored[nodes["weight/rounded"].input[1]],
        "in": stored[nodes["y/codes"].input[1]],
        "back": stored[nodes["y/rounded"].input[1]],
    }


@pytest.mark.parametrize("step", [0.05, 2.0, LEAST])
@pytest.mark.parametrize("size", [1.0, 1 / 64, 1e-4])
@pytest.mark.parametrize("last", ["alive", "nearly dead", "dead", "dead beside a nearly dead one"])
def test_scales_are_normal_numbers_of_half_precision(step: float, size: float, last: str) -> None:
    random = np.random.default_rng(0)
    weight = (random.normal(size=(32, 8)) * 0.05 * size).astype(np.float32)
    weight[:, -1] *= {"alive": 1.0, "nearly dead": 1e-6 / size}.get(last, 0.0)
    weight[:, -2] *= 1e-6 / size if "beside" in last else 1.0
    found = quantized(weight, step)
    for name in ("scale", "in", "back"):
        assert found[name].dtype == np.float16
        assert np.isfinite(found[name]).all() and (found[name] >= LEAST).all(), name
    shift = float(found["in"]) / float(found["back"])
    assert shift == 2.0 ** round(np.log2(shift)), "a power of two moves from the weights to the activations"
    scale = found["scale"].astype(np.float64) / shift
    exact = np.abs(weight).max(0) / 127
    # Half of a step of the codes, and the rounding of a scale to half precision on 127 of them.
    step_of = np.maximum(exact, LEAST / shift)
    error = np.abs(found["codes"] * scale - weight)
    assert (error <= step_of * (0.5 + 127 * 2.0**-11) + 1e-12).all()
    if step * size >= 0.05 / 64:
        np.testing.assert_allclose(scale[:-2], exact[:-2], rtol=2.0**-11, err_msg="living columns keep their own scale")
