"""The definition of 8-bit products, in NumPy: what the fast kernels compute to the integer."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strizh.kernels.reference import Array


def quantize(x: ArrayLike) -> tuple[Array, NDArray[np.float32]]:
    """Rows of a weight as integers of [-127, 127] and a float32 scale each: x is about q * scale[:, None].

    scale = max|x| / 127 and q = round(x * (127 / max|x|)), ties to even, all in float32, so that every implementation
    has the same integers. A row below 2^-100 is zeros with scale 0.
    """
    x = np.asarray(x, np.float32)
    top = np.abs(x).max(-1, initial=0).astype(np.float32)
    zero = top < np.float32(2.0**-100)
    inverse = np.where(zero, 0, np.float32(127) / np.where(zero, 1, top)).astype(np.float32)
    scale = np.where(zero, 0, top / np.float32(127)).astype(np.float32)
    return np.rint(x * inverse[:, None]).astype(np.float64), scale


OUTLIER_SHARE = 1 / 8  # of a row's squares
LEAST_RANGE = 2.0**-10  # of its outlier


def quantize_rows(x: ArrayLike) -> tuple[Array, NDArray[np.float32]]:
    """Activations as integers and a float32 scale each: x is about q * scale[:, None].

    The 256 integers of a row go evenly from its least value to its greatest, or to 0, so that a byte holds q + zero, with
    zero = round(-least / scale). A value with more than `OUTLIER_SHARE` of the sum of the row's squares is set aside: the
    others have the 256 for themselves, and its q lies beyond them. All in float32, rounding ties to even.
    A row below 2^-100 is zeros with scale 0. Values are finite: of others no integer is defined, and the kernels give NaN.
    """
    x = np.array(x, np.float32)
    rows, magnitude = np.arange(len(x)), np.abs(x)
    if x.shape[1] == 0:
        return np.zeros(x.shape), np.zeros(len(x), np.float32)
    column = magnitude.argmax(-1)
    top = magnitude[rows, column]
    zero = top < np.float32(2.0**-100)
    with np.errstate(over="ignore"):  # beyond 2^64 nothing is set aside
        squares = (x.astype(np.float64) ** 2).sum(-1).astype(np.float32)
        apart = top * top > np.float32(OUTLIER_SHARE) * squares
    outlier = x[rows, column]
    x[rows, column] = np.where(apart, 0, outlier)
    least, greatest = np.minimum(x.min(-1), 0), np.maximum(x.max(-1), 0)
    steps = np.where(zero, 1, np.maximum(greatest - least, top * np.float32(LEAST_RANGE))).astype(np.float32)
    inverse, scale = np.float32(255) / steps, np.where(zero, 0, steps / np.float32(255)).astype(np.float32)
    shift = np.rint(-least * inverse)[:, None]
    q = np.clip(np.rint(x * inverse[:, None]), -shift, 255 - shift).astype(np.float64)
    q[rows, column] = np.where(apart, np.rint(outlier * inverse), q[rows, column])
    q[zero] = 0
    return q, scale


def linear_int8(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None, smoothing: ArrayLike = 1.0) -> Array:
    """`reference.linear` with the rows of both operands as integers: `quantize_rows` of x, `quantize` of the weight.

    `smoothing` [in] moves outliers to the weights first: x / smoothing times weight * smoothing, both float32
    (SmoothQuant, Xiao et al., 2023).
    """
    s = np.asarray(smoothing, np.float32)
    q, scale = quantize_rows(np.asarray(x, np.float32) * (1 / s))
    w, columns = quantize(np.asarray(weight, np.float32) * s)
    product = (q @ w.T) * (scale[:, None] * columns[None]).astype(np.float64)
    return np.asarray(product if bias is None else product + np.asarray(bias, np.float64))
