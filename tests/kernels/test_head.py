"""Norm, pooling, dense and normalisation against the reference."""

import numpy as np
import pytest

from strizh.kernels import native, reference, set_threads

Random = np.random.Generator
EPS = float(np.finfo(np.float32).eps)
CU_SEQLENS = np.cumsum([0, 1, 0, 15, 16, 17, 33, 400])
POOLINGS = ("mean", "cls", "first_token_transform", "max", "last", "mean_sqrt_len_tokens", "weightedmean")


@pytest.mark.parametrize("kind", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 31, 33, 312, 384, 385])
def test_norm(isa: str, kind: str, size: int, rng: Random) -> None:
    x = (3 + 5 * rng.normal(size=(7, size))).astype(np.float32)
    weight, bias = rng.normal(size=size), None if kind == "rms_norm" else rng.normal(size=size)
    exact = reference.norm(x, weight, bias, kind=kind, eps=1e-6)
    fast = native.norm(x, weight, bias, kind=kind, eps=1e-6)
    # Mean and variance are sums of `size` terms; what is left of x after the mean is as exact as x itself was.
    scale = np.abs(x).max() / max(x.std(), 1e-3) * (np.abs(weight).max() + 1) if size > 1 else 1e3
    assert np.abs(fast - exact).max() <= 4 * np.sqrt(size) * EPS * scale + 1e-6


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("size", [1, 33, 384])
def test_pooling(isa: str, kind: str, size: int, rng: Random) -> None:
    hidden = rng.normal(size=(CU_SEQLENS[-1], size)).astype(np.float32)
    exact, fast = reference.pool(hidden, CU_SEQLENS, kind), native.pool(hidden, CU_SEQLENS, kind)
    assert np.abs(fast - exact).max() <= 400 * EPS * np.abs(hidden).max()  # 400 additions, weights at most 1
    assert (fast[1] == 0).all()


@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_does_not_see_neighbours(isa: str, kind: str, rng: Random) -> None:
    hidden = rng.normal(size=(CU_SEQLENS[-1], 48)).astype(np.float32)
    together = native.pool(hidden, CU_SEQLENS, kind)
    for threads in (1, 2):
        set_threads(threads)
        for text, rows in enumerate(reference.texts(CU_SEQLENS)):
            alone = native.pool(hidden[rows], [0, rows.stop - rows.start], kind)
            np.testing.assert_array_equal(alone[0], together[text])


@pytest.mark.parametrize("activation", ["identity", "tanh", "relu", "gelu", "gelu_tanh", "silu", "sigmoid"])
@pytest.mark.parametrize(("rows", "size", "out"), [(0, 8, 8), (1, 17, 3), (100, 384, 200), (5, 768, 768)])
def test_dense(isa: str, activation: str, rows: int, size: int, out: int, rng: Random) -> None:
    x, weight, bias = rng.normal(size=(rows, size)), rng.normal(size=(out, size)) / np.sqrt(size), rng.normal(size=out)
    x = x.astype(np.float32)
    exact = reference.activate(reference.linear(x, weight, bias), activation)
    fast = native.dense(x, weight, bias, activation=activation)
    assert fast.shape == (rows, out)
    assert np.abs(fast - exact).max(initial=0) <= 8 * np.sqrt(size) * EPS * np.abs(exact).max(initial=1)
    for row in range(min(rows, 3)):
        np.testing.assert_array_equal(native.dense(x[row : row + 1], weight, bias, activation=activation)[0], fast[row])


def test_normalize(isa: str, rng: Random) -> None:
    x = np.concatenate([np.zeros((1, 33)), 1e20 * rng.normal(size=(1, 33)), rng.normal(size=(3, 33))]).astype(
        np.float32
    )
    fast = native.normalize(x)
    assert (fast[0] == 0).all()
    np.testing.assert_allclose(fast, reference.normalize(x), atol=4 * EPS)
