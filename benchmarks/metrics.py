"""What vectors are worth: rank correlation and retrieval."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def unit(vectors: ArrayLike) -> Floats:
    """Rows scaled to length 1, float64."""
    x = np.asarray(vectors, np.float64)
    lengths: Floats = np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return x / lengths


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Rank correlation of two lists of numbers; equal numbers share the mean of their ranks."""
    return float(np.corrcoef(_ranks(np.asarray(one)), _ranks(np.asarray(other)))[0, 1])


def pair_cosines(left: ArrayLike, right: ArrayLike) -> Floats:
    """Cosine of each row of `left` with its row of `right`."""
    return np.asarray((unit(left) * unit(right)).sum(axis=1))


def hits_at_1(queries: ArrayLike, passages: ArrayLike, right: list[set[int]]) -> Floats:
    """1 for each query whose nearest passage is one of its right ones, else 0. A tie goes to the earlier passage."""
    nearest = np.argmax(unit(queries) @ unit(passages).T, axis=1)
    return np.array([float(found in rows) for found, rows in zip(nearest.tolist(), right, strict=True)])


def _ranks(values: NDArray[np.float64]) -> Floats:
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - (counts - 1) / 2) - 1)[index]
