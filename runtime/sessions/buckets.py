"""Sizes that batches are filled up to, so that a CUDA graph captured for one serves many."""

from dataclasses import dataclass

import numpy as np

from strizh.runtime.batching import PackedBatch

_LEAST_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Bucket:
    """Shape of a batch: tokens, padding counted where there is any, texts, and what its longest text may have."""

    tokens: int
    texts: int
    longest: int
    alone: bool = False  # whether its session runs batches of no other shape

    @property
    def axes(self) -> dict[str, int]:
        """Sizes of the axes of a graph's outputs, by their names."""
        return {"batch": self.texts, "total_tokens": self.tokens, "sequence": self.longest}


def bucket_of(batch: PackedBatch) -> Bucket:
    """The least bucket that holds the batch and the texts that fill it up.

    Every filling text has a token, and none has more than the longest may.
    """
    longest = round_up(max(int(batch.lengths.max(initial=0)), _LEAST_TOKENS))
    tokens, real = round_up(max(len(batch.input_ids), _LEAST_TOKENS)), len(batch)
    while True:
        spare = tokens - len(batch.input_ids)
        texts = real if spare == 0 and round_up(real) == real else round_up(real + -(-max(spare, 1) // longest))
        if spare >= texts - real:
            return Bucket(tokens, texts, longest)
        tokens = round_up(tokens + 1)


def round_up(count: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16 ...: at most a third is empty, a quarter on average less."""
    power = 1 << max(count - 1, 0).bit_length()
    return 3 * power // 4 if power >= 4 and count <= 3 * power // 4 else power


def fill(batch: PackedBatch, bucket: Bucket) -> PackedBatch:
    """The batch with texts of padding behind it, so that it has the bucket's tokens and texts. Ids of padding are 0."""
    spare, texts = bucket.tokens - len(batch.input_ids), bucket.texts - len(batch)
    if not texts:
        return batch
    ends = len(batch.input_ids) + np.arange(1, texts + 1, dtype=np.int64) * spare // texts
    ids = np.concatenate([batch.input_ids, np.zeros(spare, np.int32)])
    types = batch.token_type_ids
    types = None if types is None else np.concatenate([types, np.zeros(spare, np.int32)])
    return PackedBatch(ids, np.concatenate([batch.cu_seqlens, ends.astype(np.int32)]), types)
