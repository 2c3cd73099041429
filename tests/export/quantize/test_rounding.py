"""Codes and scales at their limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from strizh.export.quantize.rounding import columns, rows

MATRICES = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.floats(-1e6, 1e6, width=32)
)


@given(MATRICES, st.sampled_from([63, 127]))
def test_every_value_is_within_half_a_step(matrix: np.ndarray, largest: int) -> None:
    codes, scale = rows(matrix, largest)
    assert codes.dtype == np.int8
    assert np.abs(codes.astype(int)).max() <= largest
    # Half a step, and the float32 rounding of the scale and of the division on top of it.
    assert (np.abs(codes * scale[:, None] - matrix) <= 0.501 * scale[:, None] + 1e-30).all()


def test_a_row_of_zeros_is_zeros() -> None:
    codes, scale = rows(np.zeros((2, 5), np.float32))
    assert not codes.any()
    assert (scale == 1).all()


@pytest.mark.parametrize("value", [3.5, -3.5])
def test_a_constant_row_is_exact_at_the_last_code(value: float) -> None:
    codes, scale = rows(np.full((1, 4), value, np.float32))
    assert (codes == np.sign(value) * 127).all()
    np.testing.assert_allclose(codes * scale[:, None], value, rtol=1e-7)


def test_columns_are_rows_of_the_transpose() -> None:
    matrix = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    codes, scale = columns(matrix)
    transposed, same = rows(matrix.T)
    np.testing.assert_array_equal(codes, transposed.T)
    np.testing.assert_array_equal(scale, same)
