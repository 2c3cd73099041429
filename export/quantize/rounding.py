"""Symmetric int8 codes with a scale for each row or column."""

import numpy as np
from numpy.typing import NDArray

from strizh.export.weights import Array

Codes = NDArray[np.int8]


def rows(matrix: Array, largest: int = 127) -> tuple[Codes, Array]:
    """Codes [n, m] within ±`largest` and float32 scales [n]: `codes * scale[:, None]` is nearest to `matrix`.

    A row of zeros has codes 0 and scale 1.
    """
    scale = _scale(np.abs(matrix).max(-1, initial=0), largest)
    return _codes(matrix / scale[:, None], largest), scale


def columns(matrix: Array, largest: int = 127, least: float = 0.0) -> tuple[Codes, Array]:
    """As `rows`, with a scale for each column, of `least` at least."""
    scale = _scale(np.abs(matrix).max(0, initial=0), largest)
    np.maximum(scale, least, out=scale)
    return _codes(matrix / scale, largest), scale


def _scale(magnitudes: Array, largest: int) -> Array:
    scale = magnitudes.astype(np.float32) / np.float32(largest)
    scale[scale == 0] = 1
    return scale


def _codes(scaled: Array, largest: int) -> Codes:
    return np.clip(np.rint(scaled, out=scaled), -largest, largest, out=scaled).astype(np.int8)
