"""Padded batches for the engines that need them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Run = Callable[[Int64, Int64], NDArray[np.float32]]


def encode_padded(
    run: Run, texts: Sequence[NDArray[np.int32]], batch_size: int | None, pad: int
) -> NDArray[np.float32]:
    """Vectors in the order of `texts` from `run(input_ids, attention_mask)`, each int64 [batch, sequence].

    Texts are sorted by length first, so that a batch holds neighbours and little padding.
    """
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    size = batch_size or len(texts)
    parts = [run(*padded([texts[row] for row in order[at : at + size]], pad)) for at in range(0, len(order), size)]
    vectors = np.concatenate(parts)
    result = np.empty_like(vectors)
    result[order] = vectors
    return result


def padded(texts: Sequence[NDArray[np.int32]], pad: int) -> tuple[Int64, Int64]:
    """`input_ids` and `attention_mask`, int64 [batch, longest]."""
    shape = len(texts), max(map(len, texts))
    input_ids, attention_mask = np.full(shape, pad, np.int64), np.zeros(shape, np.int64)
    for row, ids in enumerate(texts):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return input_ids, attention_mask
