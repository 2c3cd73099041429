"""Matrix products in int8 as TensorRT takes them: S8 activations x S8 weights, explicit and symmetric, in half precision.

    y = (round(x / s / r) * r') @ (round(s * w / c) * c')      r' * c' = r * c

with `s` the smoothing of each input channel, `r` one scale for all activations of the site, and `c` a scale for each output
channel. Scales are half precision, as strongly typed products want them: where the weights' would lose digits there (products
that end in a residual stream of another size), a power of two moves from them to the activations' way back, as far as that
keeps its own digits. A column that is smaller still (nearly dead, so far below the others) gets the least scale and fewer codes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from strizh.export.passes.products_of_sites import products_of_sites
from strizh.export.passes.rewriter import Rewriter
from strizh.export.quantize.rounding import columns
from strizh.export.quantize.site import Site, Static
from strizh.export.weights import Array

_HALF = np.float16
_LEAST, _MOST = float(np.finfo(_HALF).smallest_normal), float(np.finfo(_HALF).max)


def quantize_half_products(
    model: onnx.ModelProto, sites: Sequence[Site], sizes: Mapping[str, float], smoothings: Mapping[str, Array]
) -> None:
    """Replace the products of `sites`, whose activations are static and whose weights are float32 still, in place.

    `sizes`: by the site's name, how large its input is as a share of what was calibrated; 1 where it is not named.
    `smoothings`: by the site's name, in the order of this graph's inputs.
    """
    rewriter = Rewriter(model)
    for node, site in products_of_sites(rewriter, sites):
        x, name = node.input[0], node.output[0]
        smoothing = smoothings.get(site.name)
        matrix = rewriter.array(node.input[1]) * (np.float32(1) if smoothing is None else smoothing[:, None])
        assert isinstance(site.activations, Static)
        step = max(site.activations.scale * sizes.get(site.name, 1.0), _LEAST)
        codes, scale = columns(matrix)
        shift = _shift(scale, step)
        if scale.min() * shift < _LEAST:
            codes, scale = columns(matrix, least=_LEAST / shift)
        if smoothing is not None:
            inverse = rewriter.store(f"{site.name}.smoothing", (1 / smoothing).astype(_HALF))
            x = rewriter.add("Mul", [x, inverse], f"{name}/smoothed")
        x = rewriter.add("QuantizeLinear", [x, *_scalars(rewriter, step)], f"{name}/codes")
        x = rewriter.add("DequantizeLinear", [x, *_scalars(rewriter, float(_HALF(step)) / shift)], f"{name}/rounded")
        sides = [
            rewriter.store(f"{node.input[1]}.codes", codes),
            rewriter.store(f"{node.input[1]}.scale", (scale * shift).astype(_HALF)),
            rewriter.store(f"quantize/zeros_{len(scale)}", np.zeros(len(scale), np.int8)),
        ]
        weight = rewriter.add("DequantizeLinear", sides, f"{node.input[1]}/rounded", axis=1)
        rewriter.add("MatMul", [x, weight], name)
    rewriter.finish()


def _shift(scale: Array, step: float) -> float:
    """The power of two that brings every scale among half precision's normal numbers.

    It is smaller where the largest scale, or the `step` of the activations that is divided by it, would leave them.
    """
    wanted = np.ceil(np.log2(_LEAST / float(scale.min())))
    room = np.floor(np.log2(min(step / _LEAST, _MOST / float(scale.max()))))
    return float(2.0 ** max(0, min(wanted, room)))


def _scalars(rewriter: Rewriter, scale: float) -> list[str]:
    return [
        rewriter.store(f"quantize/scale_{scale:.9g}", _HALF(scale)),
        rewriter.store("quantize/zero", np.int8(0)),
    ]
