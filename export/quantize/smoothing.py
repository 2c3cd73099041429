"""The smoothing of a site: how much of its outliers goes into the weights, searched on calibration rows.

s = max|x|^alpha / max|w|^(1 - alpha) for each channel (SmoothQuant, Xiao et al., 2023, equation 4), scaled to a
geometric mean of 1. The alpha that changes the product least is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strizh.export.quantize.calibration import Observed
from strizh.export.quantize.rounding import columns
from strizh.export.quantize.site import ZERO, Activations, OwnRange, PerRow, Static
from strizh.export.recipes import Int8
from strizh.export.weights import Array
from strizh.kernels.reference_int8 import quantize_rows

_TINY = 1e-30
_LEAST = 1e-5  # of the largest: a channel or row that is always zero has no say in its smoothing
_COLUMNS = 512  # of a site's weights, evenly over them: enough to tell one alpha from another


@dataclass(frozen=True, slots=True)
class Smoothed:
    """`smoothing` [in] or None, the activations' quantiser, and the share of the product that rounding changes."""

    alpha: float
    smoothing: Array | None
    activations: Activations
    error: float


def search(
    observed: Observed, weights: Sequence[Array], activations: type[Static] | PerRow | OwnRange, int8: Int8
) -> Smoothed:
    """Try every alpha of the recipe. `weights` are [in, out]; `Static` asks for a scale of the calibration's reach."""
    every = np.concatenate(list(weights), axis=1)
    heaviest = np.maximum(every.max(-1), -every.min(-1))
    weight = np.ascontiguousarray(every[:, :: max(1, every.shape[1] // _COLUMNS)])
    rows = observed.some
    exact = rows @ weight
    power = (exact**2).mean(-1)
    # Errors relative to each row would forget that large rows decide, absolute ones that there are others: the mean of
    # the two (geometric; all-MiniLM-L6-v2 keeps .9990 of its cosine with it, .9989 with the first, .9982 with the second).
    share = 1 / np.sqrt(np.maximum(power * power.mean(), _TINY))
    found = []
    for alpha in (0.0, *int8.alphas):
        smoothing = _smoothing(observed.largest, heaviest, alpha) if alpha else None
        scale = np.float32(1) if smoothing is None else smoothing
        quantizer = _static(observed.largest / scale, int8.headroom) if isinstance(activations, type) else activations
        codes, column_scale = columns(weight * np.reshape(scale, (-1, 1)), int8.weight_max)
        product = (rounded(rows / scale, quantizer) @ codes.astype(np.float32)) * column_scale
        found.append(Smoothed(alpha, smoothing, quantizer, float((((product - exact) ** 2).mean(-1) * share).mean())))
    return min(found, key=lambda one: one.error)


def _smoothing(activations: Array, weights: Array, alpha: float) -> Array:
    """From the largest magnitude of each channel of the activations, and of each row of the weights."""
    x, w = (np.log(np.maximum(side, max(float(side.max()), _TINY) * _LEAST)) for side in (activations, weights))
    power = alpha * x - (1 - alpha) * w
    return np.asarray(np.exp(power - power.mean()), np.float32)


def _static(largest: Array, headroom: float) -> Static:
    return Static(float(largest.max()) * headroom / 127 or 1.0)


def rounded(x: Array, quantizer: Activations) -> Array:
    """Inputs [n, in] as the product sees them: their codes, 0 to 255 about `ZERO` or a zero of their own, made float again."""
    if isinstance(quantizer, OwnRange):
        integers, scales = quantize_rows(x)
        return np.asarray(integers * scales[:, None], np.float32)
    if isinstance(quantizer, Static):
        scale: Array | np.float32 = np.float32(quantizer.scale)
    else:
        scale = np.maximum(np.abs(x).max(-1, keepdims=True) / np.float32(127), np.float32(_TINY))
    codes = np.clip(np.rint(x / scale), -ZERO, 255 - ZERO)
    return np.asarray(codes * scale, np.float32)
