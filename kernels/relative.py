"""Attention scores that come from the distance of two tokens: T5's bias and DeBERTa's disentangled terms, in float64.

The definitions behind `reference_layer.self_attention`, in a file of their own because exports make their tables from them too.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def distances(length: int) -> NDArray[np.int64]:
    """Key minus query of every (query, key) pair, int64 [length, length]."""
    place = np.arange(length)
    return np.asarray(place[None, :] - place[:, None])


def relative_buckets(length: int, *, buckets: int, max_distance: int) -> NDArray[np.int64]:
    """T5's bidirectional bucket of every (query, key) pair, int64 [length, length]; distance is key - query."""
    distance = distances(length)
    half, magnitude = buckets // 2, np.abs(distance)
    exact = half // 2
    ratio = np.log(np.maximum(magnitude, 1) / exact) / np.log(max_distance / exact)
    far = np.minimum(exact + (ratio * (half - exact)).astype(np.int64), half - 1)
    return np.asarray(np.where(distance > 0, half, 0) + np.where(magnitude < exact, magnitude, far))


def relative_bias(table: ArrayLike, length: int, *, max_distance: int) -> Array:
    """T5's bias [heads, query, key] from its table [buckets, heads]."""
    table = np.asarray(table, np.float64)
    return table[relative_buckets(length, buckets=len(table), max_distance=max_distance)].transpose(2, 0, 1)


def disentangled_rows(distance: ArrayLike, *, rows: int, max_distance: int) -> NDArray[np.int64]:
    """Row of DeBERTa's position tables for distances query - key (not key - query, as T5's are), int64 of their shape.

    Half of the `rows` lie on each side. With `max_distance` 0 every distance has its own (DeBERTa-v1); otherwise half of
    a side counts distances one by one and the rest grow logarithmically up to `max_distance` (DeBERTa-v2 and v3). What
    lies beyond has the last row. Sources: arXiv 2006.03654, section 3.1; transformers' make_log_bucket_position.
    """
    distance = np.asarray(distance, np.int64)
    side = rows // 2
    bucket = distance
    if max_distance:
        exact = side // 2
        ratio = np.log(np.maximum(np.abs(distance), exact) / exact) / np.log((max_distance - 1) / exact)
        far = np.sign(distance) * (exact + np.ceil(ratio * (exact - 1)).astype(np.int64))
        bucket = np.where(np.abs(distance) <= exact, distance, far)
    return np.asarray(np.clip(bucket + side, 0, rows - 1))


def disentangled_bias(
    q: ArrayLike, k: ArrayLike, position_key: ArrayLike | None, position_query: ArrayLike | None, *,
    scale: float, max_distance: int,
) -> Array:  # fmt: skip
    """DeBERTa's terms [heads, query, key] of one text: content to position q . position_key[row], and position to
    content k . position_query[row], each times `scale`; None is a model without that term.

    q and k [length, heads, d]; the tables [rows, heads * d], row as in `disentangled_rows`.
    """
    q, k = np.asarray(q, np.float64), np.asarray(k, np.float64)
    length, heads, size = q.shape
    total = np.zeros((heads, length, length))
    for side, table, pattern in ((q, position_key, "qhd,qkhd->hqk"), (k, position_query, "khd,qkhd->hqk")):
        if table is not None:
            table = np.asarray(table, np.float64)
            rows = disentangled_rows(-distances(length), rows=len(table), max_distance=max_distance)
            total += np.einsum(pattern, side, table.reshape(len(table), heads, size)[rows]) * scale
    return total
