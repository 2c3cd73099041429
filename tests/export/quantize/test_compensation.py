"""Rounding that makes up for itself: nearer in the product, on the same grid, and finite where there is nothing."""

import numpy as np
import pytest

from strizh.export.quantize.compensation import compensated
from strizh.export.quantize.rounding import columns


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("largest", [63, 127])
def test_the_product_of_inputs_that_move_together_is_nearer(largest: int) -> None:
    weight, shared = normal(64, 48), normal(512, 8, seed=1)
    inputs = shared @ normal(8, 64, seed=2) + 0.1 * normal(512, 64, seed=3)

    def lost(inputs: np.ndarray, codes: np.ndarray, scale: np.ndarray) -> float:
        return float(((inputs @ (codes * scale - weight)) ** 2).mean())

    ours, nearest = compensated(weight, inputs, largest), columns(weight, largest)
    # Rounding has 64 errors in each column and the inputs have 8 directions to speak of, which compensation frees of them
    # but for its damping; inputs of the same kind that it has not seen gain as much.
    unseen = normal(512, 8, seed=4) @ normal(8, 64, seed=2) + 0.1 * normal(512, 64, seed=5)
    assert lost(inputs, *ours) < lost(inputs, *nearest) / 2
    assert lost(unseen, *ours) < lost(unseen, *nearest) / 2


def test_each_row_is_what_is_best_after_those_before_it() -> None:
    """Frantar et al., equation 3 in closed form: with errors d of the rows before, H_rr^-1 H_rf d is added to the rest."""
    weight, inputs = normal(70, 9), normal(100, 70, seed=1) @ normal(70, 70, seed=2)
    found, scale = compensated(weight, inputs, 127)
    hessian = inputs.astype(np.float64).T @ inputs
    hessian += 0.2 * np.trace(hessian) / 70 * np.eye(70)
    order = np.argsort(-np.diag(hessian), kind="stable")
    lost, ties = np.zeros(weight.shape), 0
    for place, row in enumerate(order):
        before, rest = order[:place], order[place:]
        taken = np.linalg.solve(hessian[np.ix_(rest, rest)], hessian[np.ix_(rest, before)] @ lost[before])[0]
        wanted = (weight[row] + taken) / scale
        best = np.clip(np.rint(wanted), -127, 127)
        best = np.where(np.abs(weight).argmax(0) == row, found[row], best)  # the largest of a column keeps its code
        np.testing.assert_allclose(found[row], best, atol=1)
        ties += int((found[row] != best).sum())
        lost[row] = weight[row] - found[row] * scale
    assert ties <= 2, "float32 may round a number between two codes the other way, which is one of some thousands"


@pytest.mark.parametrize("largest", [63, 127])
def test_who_rounds_the_result_again_finds_its_codes(largest: int) -> None:
    codes, scale = compensated(normal(70, 33), normal(100, 70, seed=1), largest)
    again, same = columns(codes * scale, largest)
    np.testing.assert_array_equal(again, codes)
    np.testing.assert_allclose(same, scale, rtol=1e-6)


def test_zeros_and_constants_stay_what_they_are() -> None:
    weight, inputs = normal(16, 5), normal(40, 16, seed=1)
    weight[:, 1], weight[:, 2], inputs[:, 3] = 0, 0.25, 0
    codes, scale = compensated(weight, inputs, 127)
    assert not codes[:, 1].any()
    assert scale[1] == 1
    np.testing.assert_allclose((codes * scale)[:, 2], 0.25, rtol=1e-6)
    assert (np.abs(codes.astype(int)) <= 127).all()
    nothing, _ = compensated(weight, np.zeros((4, 16), np.float32), 127)
    np.testing.assert_array_equal(nothing, columns(weight, 127)[0])
