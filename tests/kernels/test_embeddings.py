"""Token ids to rows of the residual stream: exact, or refused with a sentence."""

import numpy as np
import pytest

from strizh.kernels import layout, native, native_api, reference

Random = np.random.Generator


def widened(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


@pytest.mark.parametrize("hidden", [1, 15, 16, 17, 312, 384])
def test_rows_of_the_table_exactly(isa: str, hidden: int, rng: Random) -> None:
    word = rng.normal(size=(50, hidden)).astype(np.float32)
    ids = rng.integers(0, 50, 33)
    np.testing.assert_array_equal(native.embeddings(ids, [0, 33], word), word[ids])
    bits = layout.to_bf16(word)
    np.testing.assert_array_equal(native.embeddings(ids, [0, 33], bits, precision="bf16"), widened(bits)[ids])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rows_of_an_int8_table_with_a_scale_each(isa: str, precision: str, rng: Random) -> None:
    word = rng.integers(-127, 128, (50, 33)).astype(np.int8)
    word[7], scale = 0, rng.uniform(1e-3, 1e3, 50).astype(np.float32)
    position, ids = rng.normal(size=(40, 33)).astype(np.float32), rng.integers(0, 50, 33)
    stored = position if precision == "fp32" else layout.to_bf16(position)
    exact = position if precision == "fp32" else widened(stored)
    plain = native.embeddings(ids, [0, 33], word, precision=precision, word_scale=scale)
    np.testing.assert_array_equal(plain, word[ids] * scale[ids, None])
    summed = native.embeddings(ids, [0, 33], word, stored, precision=precision, word_scale=scale)
    expected = word[ids].astype(np.float64) * scale[ids, None] + exact[:33]
    # Two roundings of float32, or one where the processor fuses product and sum.
    np.testing.assert_allclose(summed, expected, rtol=0, atol=2 * 2**-24 * (127 * 1e3 + 5))


def test_positions_by_count_and_by_id(isa: str, rng: Random) -> None:
    word, position = rng.normal(size=(9, 32)).astype(np.float32), rng.normal(size=(12, 32)).astype(np.float32)
    ids, cu_seqlens = [0, 5, 1, 7, 0, 1, 1, 8], [0, 4, 4, 8]
    for by_id, offset, pad in ((False, 0, None), (False, 2, None), (True, 2, 1)):
        rows = reference.position_ids(ids, cu_seqlens, offset=offset, pad=pad)
        exact = (word[ids] + position[rows]).astype(np.float32)
        fast = native.embeddings(ids, cu_seqlens, word, position, by_id=by_id, offset=offset, pad=pad or 0)
        np.testing.assert_array_equal(fast, exact)


@pytest.mark.parametrize(
    ("ids", "cu_seqlens", "sentence"),
    [
        ([3, -1], [0, 2], r"input_ids\[1\] is -1; expected 0 to 8"),
        ([9], [0, 1], r"input_ids\[0\] is 9; expected 0 to 8"),
        ([2**31 - 1], [0, 1], "another tokenizer"),
        ([1, 2], [1, 2], "begins with 1; expected 0"),
        ([1, 2], [0, 2, 1, 2], "falls from 2 to 1 at text 1"),
        ([1, 2], [0, 1], "ends at 1 but there are 2 tokens"),
        ([1, 2], [0, 3], "ends at 3 but there are 2 tokens"),
        ([1, 2], [0, -5, 2], "falls from 0 to -5"),
        ([1] * 5, [0, 5], "text 0 has 5 tokens; this model takes at most 4"),
    ],
)
def test_hostile_input_is_refused(isa: str, ids: list[int], cu_seqlens: list[int], sentence: str) -> None:
    with pytest.raises(native_api.KernelError, match=sentence):
        native.embeddings(ids, cu_seqlens, np.zeros((9, 16), np.float32), max_length=4)


def test_a_text_longer_than_the_position_table_is_refused(isa: str) -> None:
    word, position = np.zeros((9, 16), np.float32), np.zeros((4, 16), np.float32)
    with pytest.raises(native_api.KernelError, match="text 1 has 5 tokens, more than the position table's 4 rows"):
        native.embeddings([1] * 6, [0, 1, 6], word, position)
