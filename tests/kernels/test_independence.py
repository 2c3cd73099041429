"""Bit for bit: a text's rows do not depend on its neighbours, their order, or the number of threads."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strizh.kernels import native, set_threads

Random = np.random.Generator
SIZES = (96, 3, 3, 32, 160)
OPTIONS: dict[str, Any] = {
    "head_size": 32, "activation": "gelu", "attention_scale": 32**-0.5, "norm_kind": "layer_norm", "norm_eps": 1e-12,
    "rope": {"theta": 1e4, "dim": 32, "scaling": "dynamic", "factor": 2.0, "trained_positions": 64},
}  # fmt: skip
MANY = [1, 7, 16, *([3, 20, 40, 5] * 16), 400]


@pytest.fixture(params=["fp32", "bf16", "int8", "int8 smoothed, up in bf16"])
def layer(
    request: pytest.FixtureRequest, isa: str, random_layer: Callable[..., Any], rng: Random
) -> native.EncoderLayer:
    weights, precision = random_layer(*SIZES), request.param
    if precision in ("fp32", "bf16", "int8"):
        return native.EncoderLayer(weights, precision=precision, **OPTIONS)
    smoothing = {
        product: np.exp(rng.normal(size=weights[f"{slots[-1]}.weight"].shape[1]))
        for product, slots in native.PRODUCT_SLOTS.items()
    }
    return native.EncoderLayer(weights, precision="int8", keep_bf16=["up"], smoothing=smoothing, **OPTIONS)


def batch_of(texts: list[Any], layer: native.EncoderLayer) -> list[Any]:
    cu_seqlens = np.cumsum([0, *map(len, texts)])
    out = layer(np.concatenate(texts), cu_seqlens)
    return [out[a:b] for a, b in itertools.pairwise(cu_seqlens)]


def random_texts(lengths: list[int], rng: Random) -> list[Any]:
    return [rng.normal(size=(n, SIZES[0])).astype(np.float32) for n in lengths]


def test_alone_equals_among_others(layer: native.EncoderLayer, rng: Random) -> None:
    texts = random_texts(MANY, rng)
    together = batch_of(texts, layer)
    for text, among in zip(texts, together, strict=True):
        np.testing.assert_array_equal(layer(text, [0, len(text)]), among)


def test_order_does_not_matter(layer: native.EncoderLayer, rng: Random) -> None:
    texts = random_texts(MANY, rng)
    forward, backward = batch_of(texts, layer), batch_of(texts[::-1], layer)[::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one, other)


# From 64 rows on threads that share columns share the last of them in slices of 32 rows.
@pytest.mark.parametrize("lengths", [[1], [16], [40], [63], [64], [65, 1, 100, 33], [200], [500], MANY], ids=sum)
def test_threads_do_not_matter(layer: native.EncoderLayer, lengths: list[int], rng: Random) -> None:
    texts = random_texts(lengths, rng)
    results = []
    for threads in (1, 2, 3, 8):
        set_threads(threads)
        results.append(batch_of(texts, layer))
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 70), min_size=1, max_size=12), seed=st.integers(0, 2**32 - 1))
def test_any_batch(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts = random_texts(lengths, rng)
    layer = _small_layer()
    for text, among in zip(texts, batch_of(texts, layer), strict=True):
        np.testing.assert_array_equal(layer(text, [0, len(text)]), among)


def test_two_hundred_texts_of_one_token(layer: native.EncoderLayer, rng: Random) -> None:
    texts = random_texts([1] * 200, rng)
    for text, among in zip(texts, batch_of(texts, layer), strict=True):
        np.testing.assert_array_equal(layer(text, [0, 1]), among)


def _small_layer() -> native.EncoderLayer:
    rng = np.random.default_rng(7)
    hidden, heads, _, head_size, inner = SIZES
    width = heads * head_size
    shapes = {"attention.q": (width, hidden), "attention.k": (width, hidden), "attention.v": (width, hidden)}
    shapes |= {"attention.o": (hidden, width), "mlp.up": (inner, hidden), "mlp.down": (hidden, inner)}
    weights = {f"{name}.weight": rng.normal(size=shape) / 10 for name, shape in shapes.items()}
    weights |= {f"{name}.norm.weight": np.ones(hidden) for name in ("attention", "mlp")}
    return native.EncoderLayer(weights, precision="bf16", **OPTIONS)
