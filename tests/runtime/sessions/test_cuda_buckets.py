"""The shapes that batches of a GPU share: every batch fits its own, and they are few."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from strizh.runtime.batching import PackedBatch
from strizh.runtime.packing import packed_inputs
from strizh.runtime.sessions.buckets import bucket_of, fill, round_up


def batch_of(*lengths: int) -> PackedBatch:
    return PackedBatch.pack(range(length) for length in lengths)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=40))
def test_cuda_bucket_holds_the_batch_and_its_filling(lengths: list[int]) -> None:
    batch = batch_of(*lengths)
    bucket = bucket_of(batch)
    filled = fill(batch, bucket)
    assert (len(filled.input_ids), len(filled)) == (bucket.tokens, bucket.texts)
    assert filled.lengths.min() >= 1 and filled.lengths.max() <= bucket.longest
    np.testing.assert_array_equal(filled.input_ids[: len(batch.input_ids)], batch.input_ids)
    np.testing.assert_array_equal(filled.cu_seqlens[: len(batch) + 1], batch.cu_seqlens)
    # Room for a third more tokens than there are, and for one more for each text of padding.
    assert bucket.tokens <= 16 or bucket.tokens <= round_up(len(batch.input_ids) + bucket.texts - len(batch) + 1) * 1.5
    offset = packed_inputs(filled, bucket.longest)["token_offset"]
    assert offset.shape == (bucket.texts, bucket.longest)
    assert sorted(offset.ravel().tolist()) == list(range(offset.size))


def test_cuda_buckets_are_few() -> None:
    """Every single text of up to 512 tokens, and any batch of at most 4096 tokens in 64 texts, shares few shapes."""
    assert len({bucket_of(batch_of(length)) for length in range(1, 513)}) <= 24
    counts = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 4096)
    assert [round_up(count) for count in counts] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 4096]
