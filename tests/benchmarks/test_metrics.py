"""Rank correlation and retrieval, against other people's and against what must hold."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from benchmarks import metrics

numbers = st.lists(st.integers(-5, 5), min_size=3, max_size=30)


@given(numbers, st.randoms())
def test_spearman_is_scipys(values: list[int], random: object) -> None:
    other = [value**3 for value in reversed(values)]
    assume(len(set(values)) > 1)
    assert metrics.spearman(values, other) == pytest.approx(stats.spearmanr(values, other).statistic)


def test_cosines_do_not_depend_on_length() -> None:
    left, right = np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 2.0], [30.0, 40.0]])
    assert metrics.pair_cosines(left, right) == pytest.approx([0.0, 1.0])


def test_a_query_hits_if_any_right_passage_is_the_nearest() -> None:
    passages = np.eye(3)
    queries = np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.9]])
    assert metrics.hits_at_1(queries, passages, [{0, 1}, {1}]).tolist() == [1.0, 0.0]
