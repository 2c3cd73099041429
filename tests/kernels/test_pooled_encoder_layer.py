"""Bit for bit: the layer that computes one token of each text gives the rows that pooling takes of the whole layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strizh.kernels import native, native_api, reference, reference_layer, set_threads

Random = np.random.Generator
PLAIN: dict[str, Any] = {"activation": "gelu", "norm_kind": "layer_norm", "norm_eps": 1e-6}
ROPE = {"theta": 1e4, "dim": 32, "scaling": "dynamic", "factor": 2.0, "trained_positions": 32}
# Sizes of the layer, what it has besides, and how it differs from PLAIN.
LAYERS: dict[str, tuple[tuple[int, ...], dict[str, Any], dict[str, Any]]] = {
    "rotary embedding by length": ((104, 3, 3, 32, 160), {}, {"rope": ROPE}),
    "grouped, causal, pre-norm, heads normed": (
        (96, 4, 2, 24, 100), {"gated": True, "head_norm": True, "bias": False},
        {"norm_kind": "rms_norm", "activation": "silu", "pre_norm": True, "causal": True},
    ),
    "a window, no norm before attention": (
        (64, 2, 2, 32, 96), {"gated": True, "norms": ("mlp",)}, {"window": 20, "pre_norm": True},
    ),
    "relative bias": ((64, 2, 2, 32, 96), {"buckets": 32}, {"relative_max_distance": 128}),
    "a product in parts, heads of 26": ((78, 3, 3, 26, 3200), {}, {"activation": "relu"}),
}  # fmt: skip
# One text and many, none, one very long among short, as many as share columns and as many as fill blocks.
BATCHES = {
    "one token": [1], "one text": [40], "no tokens": [0, 0], "awkward": [1, 0, 15, 16, 17, 0, 31, 33, 2],
    "one long": [3, 700, 5, 1], "200 texts of one token": [1] * 200, "200 texts": [7, 1, 20] * 66 + [0, 90],
}  # fmt: skip


def made(kind: str, precision: str, random_layer: Callable[..., Any], **options: Any) -> native.EncoderLayer:
    sizes, weights, others = LAYERS[kind]
    plain = PLAIN | {"head_size": sizes[3], "attention_scale": sizes[3] ** -0.5}
    return native.EncoderLayer(random_layer(*sizes, **weights), precision=precision, **(plain | others | options))


def hidden_of(lengths: list[int], hidden_size: int, rng: Random) -> tuple[Any, Any]:
    cu_seqlens = np.cumsum([0, *lengths])
    return rng.normal(size=(cu_seqlens[-1], hidden_size)).astype(np.float32), cu_seqlens


@pytest.mark.parametrize("pooling", ["cls", "last"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int8, output in bf16"])
@pytest.mark.parametrize("kind", LAYERS)
def test_its_rows_are_the_whole_layers(
    isa: str, kind: str, precision: str, pooling: str, random_layer: Callable[..., Any], rng: Random
) -> None:
    kept = ["output"] if precision.endswith("in bf16") else []
    layer = made(kind, precision.partition(",")[0], random_layer, keep_bf16=kept)
    for lengths in BATCHES.values():
        hidden, cu_seqlens = hidden_of(lengths, LAYERS[kind][0][0], rng)
        expected = native.pool(layer(hidden, cu_seqlens), cu_seqlens, pooling)
        for threads in (1, 2, 5):
            set_threads(threads)
            np.testing.assert_array_equal(layer.pooled(hidden, cu_seqlens, pooling), expected)


@pytest.mark.parametrize("pooling", ["cls", "last"])
@pytest.mark.parametrize("kind", LAYERS)
def test_it_is_what_its_definition_says(
    isa: str, kind: str, pooling: str, random_layer: Callable[..., Any], rng: Random
) -> None:
    sizes, made_with, others = LAYERS[kind]
    weights = random_layer(*sizes, **made_with)
    options = PLAIN | {"head_size": sizes[3], "attention_scale": sizes[3] ** -0.5} | others
    hidden, cu_seqlens = hidden_of(BATCHES["awkward"], sizes[0], rng)
    exact = reference.pool(reference_layer.encoder_layer(hidden, cu_seqlens, weights, **options), cu_seqlens, pooling)
    fast = native.EncoderLayer(weights, precision="fp32", **options).pooled(hidden, cu_seqlens, pooling)
    # Sums of at most 3200 products, on values of size 1: eps * sqrt(terms), times ten for the sums one after the other.
    assert np.abs(fast - exact).max() <= 10 * np.sqrt(3200) * np.finfo(np.float32).eps * np.abs(exact).max()


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 70), min_size=1, max_size=40),
    pooling=st.sampled_from(["cls", "last"]),
    threads=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_batch(lengths: list[int], pooling: str, threads: int, seed: int) -> None:
    hidden, cu_seqlens = hidden_of(lengths, 96, np.random.default_rng(seed))
    layer = _small_layer()
    expected = native.pool(layer(hidden, cu_seqlens), cu_seqlens, pooling)
    set_threads(threads)
    np.testing.assert_array_equal(layer.pooled(hidden, cu_seqlens, pooling), expected)


@pytest.mark.parametrize("pooling", ["mean", "max", "mean_sqrt_len_tokens", "weightedmean"])
def test_poolings_of_more_tokens_are_refused(isa: str, pooling: str) -> None:
    with pytest.raises(native_api.KernelError, match=r"expected 1 \(cls\) or 3 \(last\)"):
        _small_layer().pooled(np.zeros((2, 96), np.float32), [0, 2], pooling)


def _small_layer() -> native.EncoderLayer:
    rng = np.random.default_rng(7)
    shapes = {"attention.q": (96, 96), "attention.k": (96, 96), "attention.v": (96, 96), "attention.o": (96, 96)}
    shapes |= {"mlp.up": (160, 96), "mlp.down": (96, 160)}
    weights = {f"{name}.weight": rng.normal(size=shape) / 10 for name, shape in shapes.items()}
    weights |= {f"{name}.norm.weight": np.ones(96) for name in ("attention", "mlp")}
    return native.EncoderLayer(weights, precision="bf16", head_size=32, attention_scale=32**-0.5, **PLAIN)
