"""Padded batches give back the caller's order, and padding stays behind the mask."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.padding import encode_padded, padded

texts = st.lists(
    st.lists(st.integers(0, 9), min_size=1, max_size=12).map(lambda ids: np.array(ids, np.int32)), min_size=1
)


@given(texts, st.sampled_from([None, 1, 2, 8, 32]), st.integers(0, 3))
def test_vectors_come_in_the_order_of_the_texts(
    texts: list[NDArray[np.int32]], batch_size: int | None, pad: int
) -> None:
    def masked_sums(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        assert len(ids) <= (batch_size or len(texts))
        assert (ids[mask == 0] == pad).all()
        return np.stack([(ids * mask).sum(1), mask.sum(1)], axis=1).astype(np.float32)

    found = encode_padded(masked_sums, texts, batch_size, pad)
    assert np.array_equal(found, [[text.sum(), len(text)] for text in texts])


@given(texts)
def test_no_column_is_all_padding(texts: list[NDArray[np.int32]]) -> None:
    _, mask = padded(texts, 1)
    assert mask.any(axis=0).all()
    assert np.array_equal(mask.sum(axis=1), [len(text) for text in texts])
