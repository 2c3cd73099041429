"""Matrix products in int8: U8 activations x S8 weights, in ONNX's own QuantizeLinear and DequantizeLinear.

    y = (round(x / s / r) * r) @ (round(s * w / c) * c) + bias

with `s` the smoothing of each input channel, `c` the scale of each output channel, and `r` the scale of the activations:
one number for the site, or one for each token. Runtimes that know quantised graphs run the product in integers; the
others compute the same numbers in float32. Tokens with a zero of their own, which only our kernels multiply in integers, are
rounded in float32 everywhere: such a graph serves to measure what they cost.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from strizh.export.passes.products_of_sites import products_of_sites
from strizh.export.passes.rewriter import Rewriter
from strizh.export.quantize.site import ZERO, OwnRange, Site, Static
from strizh.kernels.reference_int8 import LEAST_RANGE, OUTLIER_SHARE

_LEAST_SCALE = 1e-30  # a row of zeros gives zeros


def inputs_of_products(model: onnx.ModelProto) -> dict[str, tuple[str, ...]]:
    """Values that are multiplied with weight matrices of a layer -> the names of those matrices."""
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    found: dict[str, tuple[str, ...]] = {}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in matrices and node.input[1].startswith("layers."):
            found[node.input[0]] = (*found.get(node.input[0], ()), node.input[1])
    return found


def quantize_products(model: onnx.ModelProto, sites: Sequence[Site], *, switches: bool = False) -> None:
    """Replace the products of `sites` in place; each brings its weights as int8 codes.

    With `switches` the float products stay beside them, and a boolean input with the site's name says which is computed.
    """
    rewriter = Rewriter(model)
    quantized: dict[str, tuple[str, str | None]] = {}
    for node, site in products_of_sites(rewriter, sites):
        name = node.output[0]
        if switches:
            with rewriter.branch(f"{name}/int8") as ours:
                _product(rewriter, site, node, f"{name}/of_codes", {})
            with rewriter.branch(f"{name}/float") as exact:
                rewriter.add("MatMul", node.input, f"{name}/of_floats")
            rewriter.add("If", [site.name], name, then_branch=ours, else_branch=exact)
        else:
            _product(rewriter, site, node, name, quantized)
    if switches:
        model.graph.input.extend(
            onnx.helper.make_tensor_value_info(site.name, onnx.TensorProto.BOOL, ()) for site in sites
        )
    rewriter.finish()


def _product(
    rewriter: Rewriter, site: Site, node: onnx.NodeProto, result: str, quantized: dict[str, tuple[str, str | None]]
) -> None:
    """The product in int8, as `result`. `quantized` are the inputs that have been, for products that share one."""
    x, name = node.input[0], node.output[0]
    if x not in quantized:
        quantized[x] = _activations(rewriter, site, x, name)
    activations, row_scale = quantized[x]
    weight = _weight(rewriter, site, node.input[1])
    if row_scale is None:
        rewriter.add("MatMul", [activations, weight], result)
    else:
        product = rewriter.add("MatMul", [activations, weight], f"{name}/product")
        rewriter.add("Mul", [product, row_scale], result)


def _activations(rewriter: Rewriter, site: Site, x: str, at: str) -> tuple[str, str | None]:
    """The site's input quantised and made float again, and the scale of its rows, if they have their own."""
    if site.smoothing is not None:
        inverse = rewriter.store(f"{site.name}.smoothing", (1 / site.smoothing).astype(np.float32))
        x = rewriter.add("Mul", [x, inverse], f"{at}/smoothed")
    if isinstance(site.activations, Static):
        return _rounded(rewriter, x, at, site.activations.scale), None
    if isinstance(site.activations, OwnRange):
        return _own_range(rewriter, x, at), None
    magnitude = rewriter.add("Abs", [x], f"{at}/magnitude")
    largest = rewriter.add("ReduceMax", [magnitude], f"{at}/largest", axes=[-1], keepdims=1)
    levels = rewriter.store("quantize/levels", np.float32(127))
    least = rewriter.store("quantize/least_scale", np.float32(_LEAST_SCALE))
    own = rewriter.add("Div", [largest, levels], f"{at}/own_scale")
    scale = rewriter.add("Max", [own, least], f"{at}/row_scale")
    return _rounded(rewriter, rewriter.add("Div", [x, scale], f"{at}/scaled"), at, 1.0), scale


def _rounded(rewriter: Rewriter, x: str, at: str, scale: float) -> str:
    sides = [
        rewriter.store(f"quantize/scale_{scale:.9g}", np.float32(scale)),
        rewriter.store("quantize/zero", np.uint8(ZERO)),
    ]
    codes = rewriter.add("QuantizeLinear", [x, *sides], f"{at}/codes")
    return rewriter.add("DequantizeLinear", [codes, *sides], f"{at}/rounded")


def _own_range(rewriter: Rewriter, x: str, at: str) -> str:
    """`kernels.reference_int8.quantize_rows`, made float again. Here zeros need not be whole, and two alike are both apart."""

    def number(name: str, value: float) -> str:
        return rewriter.store(f"quantize/{name}", np.float32(value))

    def node(op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        return rewriter.add(op, list(inputs), f"{at}/{name}", **attributes)

    whole_row: dict[str, Any] = {"axes": [-1], "keepdims": 1}
    magnitude = node("Abs", [x], "magnitude")
    top = node("ReduceMax", [magnitude], "top", **whole_row)
    squares = node("ReduceSumSquare", [x], "squares", **whole_row)
    share = node("Mul", [squares, number("outlier_share", OUTLIER_SHARE)], "share")
    has_outlier = node("Greater", [node("Mul", [top, top], "top_square"), share], "has_outlier")
    outlier = node("And", [node("Equal", [magnitude, top], "is_top"), has_outlier], "outlier")
    zero = number("nothing", 0)
    others = node("Where", [outlier, zero, x], "others")
    greatest = node("Max", [node("ReduceMax", [others], "greatest", **whole_row), zero], "high")
    least = node("Min", [node("ReduceMin", [others], "least", **whole_row), zero], "low")
    bounds = [
        node("Sub", [greatest, least], "range"),
        node("Mul", [top, number("least_range", LEAST_RANGE)], "least_range"),
    ]
    scale = node(
        "Div", [node("Max", [*bounds, number("least_scale", _LEAST_SCALE)], "steps"), number("steps", 255)], "scale"
    )
    return node("Mul", [node("Round", [node("Div", [x, scale], "scaled")], "codes"), scale], "rounded")


def _weight(rewriter: Rewriter, site: Site, name: str) -> str:
    """The weight [in, out] as int8 codes with a scale for each column, or as the floats that these stand for."""
    codes, scale = site.rounded[name]
    if isinstance(site.activations, OwnRange):
        # Where weights alone are codes, ONNX Runtime would round the activations as it likes.
        return rewriter.store(f"{name}.rounded", codes * scale)
    sides = [rewriter.store(f"{name}.codes", codes), rewriter.store(f"{name}.scale", scale)]
    sides.append(rewriter.store(f"quantize/zeros_{len(scale)}", np.zeros(len(scale), np.int8)))
    return rewriter.add("DequantizeLinear", sides, f"{name}/rounded", axis=1)
