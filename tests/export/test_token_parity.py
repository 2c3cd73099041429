"""Figures of a model's other heads: how far term weights and vectors of late interaction are from the model's."""

import math

import numpy as np
import pytest

from strizh.export.parity import Figures
from strizh.export.recipes import PORTABLE_FP32
from strizh.export.token_parity import TokenHeads

WEIGHTS = [{5: 0.5, 7: 2.0}, {5: 1.0}]
VECTORS = [np.eye(3), np.eye(3)[:2]]
EXACT = TokenHeads(WEIGHTS, VECTORS)


def test_heads_that_are_the_same_and_heads_that_are_not_there() -> None:
    assert EXACT.against(EXACT) == {"sparse_error": 0, "colbert_cosine_min": 1}
    none = TokenHeads([{}, {}], [np.zeros((3, 0)), np.zeros((2, 0))])
    assert none.against(none) == {}


def test_a_term_too_many_or_too_few_counts_as_its_weight() -> None:
    assert TokenHeads([{5: 0.5}, {5: 1.0}], VECTORS).against(EXACT)["sparse_error"] == 1
    assert TokenHeads([{5: 0.5, 7: 2.0, 8: 0.25}, {5: 1.0}], VECTORS).against(EXACT)["sparse_error"] == 0.125


def test_the_worst_text_counts() -> None:
    turned = TokenHeads(WEIGHTS, [VECTORS[0], VECTORS[1][::-1]])
    assert turned.against(EXACT)["colbert_cosine_min"] == pytest.approx(0)


def test_vectors_that_are_no_numbers_miss_the_promise_in_whichever_text_they_are() -> None:
    broken = TokenHeads(WEIGHTS, [VECTORS[0], VECTORS[1] * math.nan]).against(EXACT)
    figures = Figures("", 64, 1.0, 1.0, 1.0, 0.0, None, **broken)
    assert figures.misses(PORTABLE_FP32.promise) == ["ColBERT vectors' cosine nan at worst, promised 0.9999960"]
