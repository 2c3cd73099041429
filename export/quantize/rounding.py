"""Symmetric int8 codes with a scale for each row or column."""

import numpy as np
from numpy.typing import NDArray

from strizh.export.weights import Array

Codes = NDArray[np.int8]


def rows(matrix: Array, largest: int = 127) -> tuple[Codes, Array]:
    """Codes [n, m] within ±`largest` and float32 scales [n]: `codes * scale[:, None]` is nearest to `matrix`.

    A row of zeros has codes 0 and scale 1.
    """
    scale = np.abs(matrix).max(-1, initial=0).astype(np.float32) / np.float32(largest)
    scale[scale == 0] = 1
    codes = np.rint(matrix / scale[:, None])
    return np.clip(codes, -largest, largest).astype(np.int8), scale


def columns(matrix: Array, largest: int = 127) -> tuple[Codes, Array]:
    """As `rows`, with a scale for each column."""
    codes, scale = rows(np.ascontiguousarray(matrix.T), largest)
    return np.ascontiguousarray(codes.T), scale
