"""Smoothing: it helps where there are outliers, changes nothing exactly, and survives dead channels."""

import dataclasses

import numpy as np
import pytest

from strizh.export.quantize.calibration import Observed, Observer
from strizh.export.quantize.site import PerRow, Static
from strizh.export.quantize.smoothing import search
from strizh.export.recipes import ANY_CPU, PACKED

PLAIN = dataclasses.replace(PACKED, alphas=())


def observed(rows: np.ndarray) -> Observed:
    observer = Observer()
    for start in range(0, len(rows), 8):
        observer.see({"x": rows[start : start + 8]})
    return observer.found["x"]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("kind", [PerRow(), Static])
def test_outlier_channels_move_into_the_weights(kind: PerRow | type[Static]) -> None:
    rows, weight = normal(256, 32), normal(32, 48, seed=1)
    rows[:, 5] *= 60
    with_it, without = (search(observed(rows), [weight], kind, recipe) for recipe in (PACKED, PLAIN))
    assert with_it.alpha > 0
    assert with_it.smoothing is not None
    assert with_it.smoothing.argmax() == 5
    # 60 times the range is 60 times the step for every other channel; smoothing has to win most of that back.
    assert with_it.error < without.error / 4


def test_no_smoothing_is_taken_where_it_does_not_pay() -> None:
    rows, weight = np.sign(normal(256, 32)), np.sign(normal(32, 48, seed=1))  # every value is exact as it is
    found = search(observed(rows), [weight], PerRow(), PACKED)
    assert (found.alpha, found.smoothing) == (0.0, None)
    assert found.error < 1e-12


def test_dead_channels_zero_weights_and_all_zero_rows_stay_finite() -> None:
    rows, weight = normal(64, 16), normal(16, 8, seed=1)
    rows[:, 3], rows[7], weight[4], weight[:, 2] = 0, 0, 0, 0
    for kind in (PerRow(), Static):
        found = search(observed(rows), [weight], kind, PACKED)
        assert np.isfinite(found.error)
        assert found.smoothing is None or np.isfinite(1 / found.smoothing).all()
    nothing = search(observed(np.zeros((8, 16), np.float32)), [np.zeros((16, 8), np.float32)], Static, PACKED)
    assert np.isfinite(nothing.error)


def test_products_of_one_input_share_its_smoothing() -> None:
    rows, gate, up = normal(64, 16), normal(16, 8, seed=1), normal(16, 8, seed=2)
    both = search(observed(rows), [gate, up], PerRow(), PACKED)
    joined = search(observed(rows), [np.concatenate([gate, up], axis=1)], PerRow(), PACKED)
    assert both.error == joined.error


def test_a_static_scale_reaches_beyond_the_calibration_by_its_headroom() -> None:
    rows = normal(64, 16)
    recipe = dataclasses.replace(ANY_CPU, alphas=())
    found = search(observed(rows), [normal(16, 8)], Static, recipe)
    assert isinstance(found.activations, Static)
    assert found.activations.scale * 127 == pytest.approx(recipe.headroom * np.abs(rows).max(), rel=1e-6)
