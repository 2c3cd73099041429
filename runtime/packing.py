"""What a CUDA graph wants to know of a packed batch, beside its ids: everything that would be counted on the CPU."""

import numpy as np
from numpy.typing import NDArray

from strizh.runtime.batching import PackedBatch

Int32 = NDArray[np.int32]


def packed_inputs(batch: PackedBatch, longest: int | None = None) -> dict[str, Int32]:
    """The inputs of the `cuda` graphs, int32.

    `input_ids` [total_tokens], `cu_seqlens` [batch + 1]; `position_ids` [total_tokens]: 0, 1, 2 ... in each text;
    `text_ids` [total_tokens]: the number of a token's text; `token_offset` [batch, longest]: the place of each token in a
    padded batch, row by row, and after those the places that stay empty. `longest` is that of the batch, or more.
    """
    lengths = batch.lengths
    texts = np.arange(len(batch), dtype=np.int32)
    text_ids = np.repeat(texts, lengths)
    position_ids = np.arange(len(batch.input_ids), dtype=np.int32) - batch.cu_seqlens[text_ids]
    longest = int(lengths.max(initial=0)) if longest is None else longest
    real = np.arange(longest) < lengths[:, None]
    token_offset = np.concatenate([np.flatnonzero(real), np.flatnonzero(~real)]).astype(np.int32)
    return {
        "input_ids": batch.input_ids,
        "cu_seqlens": batch.cu_seqlens,
        "position_ids": position_ids,
        "text_ids": text_ids,
        "token_offset": token_offset.reshape(len(batch), longest),
    }
