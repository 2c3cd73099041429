"""The encoder layer against its definition, in every precision, on every instruction set, over awkward sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strizh.kernels import native, reference_layer

Random = np.random.Generator
# Awkward lengths in one batch: none, one token, around 16 and 32, and one that crosses a block of rows and of keys.
AWKWARD = (1, 0, 15, 16, 17, 31, 33, 2, 300)
ROPE = {"theta": 10000.0, "scaling": "none"}

GEOMETRIES: dict[str, dict[str, Any]] = {
    "bert": {"sizes": (64, 2, 2, 32, 128)},
    "ropebert dynamic": {
        "sizes": (128, 2, 2, 64, 256),
        "rope": {"theta": 1e4, "dim": 64, "scaling": "dynamic", "factor": 2.0, "trained_positions": 32},
    },
    "mini, heads of 26": {"sizes": (312, 12, 12, 26, 600), "rope": {**ROPE, "dim": 26}},
    "linear scaling, tanh": {
        "sizes": (96, 3, 3, 32, 96), "activation": "gelu_tanh", "rope": {**ROPE, "dim": 32, "scaling": "linear", "factor": 4.0},
    },
    "gte: gated, ntk": {
        "sizes": (64, 2, 2, 32, 160), "gated": True, "rope": {**ROPE, "dim": 32, "scaling": "ntk", "factor": 8.0},
    },
    "modernbert: pre-norm, window, gated, no bias": {
        "sizes": (128, 2, 2, 64, 192), "gated": True, "bias": False, "pre_norm": True, "window": 8,
        "rope": {"theta": 160000.0, "dim": 64, "scaling": "none"},
    },
    "modernbert's first layer": {
        "sizes": (64, 2, 2, 32, 96), "gated": True, "bias": False, "pre_norm": True, "norms": ("mlp",),
    },
    "t5: relative bias, rms": {
        "sizes": (64, 2, 2, 32, 96), "bias": False, "buckets": 32, "relative_max_distance": 128, "pre_norm": True,
        "norm_kind": "rms_norm", "attention_scale": 1.0, "gated": True, "activation": "gelu_tanh",
    },
    "qwen3: causal, grouped, head norms of 128": {
        "sizes": (128, 4, 2, 128, 160), "gated": True, "bias": False, "causal": True, "head_norm": True,
        "norm_kind": "rms_norm", "pre_norm": True, "activation": "silu", "rope": {"theta": 1e6, "dim": 128, "scaling": "none"},
    },
    "an inner size that products take in parts": {"sizes": (64, 2, 2, 32, 3200)},
    "half rotated, relu": {"sizes": (80, 2, 2, 40, 72), "activation": "relu", "rope": {**ROPE, "dim": 20}},
}  # fmt: skip

_WEIGHT_OPTIONS = ("gated", "bias", "norms", "head_norm", "buckets")


def describe(geometry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of `random_layer`, options of the layer itself."""
    options = {name: value for name, value in geometry.items() if name not in (*_WEIGHT_OPTIONS, "sizes")}
    head_size = geometry["sizes"][3]
    defaults = {"head_size": head_size, "activation": "gelu", "attention_scale": head_size**-0.5}
    defaults |= {"norm_kind": "layer_norm", "norm_eps": 1e-6}
    return {name: geometry[name] for name in _WEIGHT_OPTIONS if name in geometry}, defaults | options


def rms(x: Any) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_error_is_at_most_twice_plain_arithmetics(
    isa: str, name: str, precision: str, random_layer: Callable[..., Any], plainly: Callable[..., Any], rng: Random
) -> None:
    made, options = describe(GEOMETRIES[name])
    weights = random_layer(*GEOMETRIES[name]["sizes"], **made)
    cu_seqlens = np.cumsum([0, *AWKWARD])
    hidden = rng.normal(size=(cu_seqlens[-1], GEOMETRIES[name]["sizes"][0])).astype(np.float32)
    exact = reference_layer.encoder_layer(hidden, cu_seqlens, weights, **options)
    plain = plainly(precision, reference_layer.encoder_layer, hidden, cu_seqlens, weights, **options)

    fast = native.EncoderLayer(weights, precision=precision, **options)(hidden, cu_seqlens)

    # The floor: each of a layer's few dozen float32 operations on a value may round once.
    floor = 32 * np.finfo(np.float32).eps
    assert rms(fast - exact) <= 2 * rms(plain - exact) + floor * rms(exact)
    assert np.abs(fast - exact).max() <= 3 * np.abs(plain - exact).max() + floor * np.abs(exact).max()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 33, 96, 97, 255, 256, 257, 511, 2049])
def test_every_length_alone(isa: str, length: int, random_layer: Callable[..., Any], rng: Random) -> None:
    _, options = describe({"sizes": (64, 2, 2, 32, 96), "rope": {**ROPE, "dim": 32}})
    weights = random_layer(64, 2, 2, 32, 96)
    hidden = rng.normal(size=(length, 64)).astype(np.float32)
    exact = reference_layer.encoder_layer(hidden, [0, length], weights, **options)
    fast = native.EncoderLayer(weights, precision="fp32", **options)(hidden, [0, length])
    # Sums of at most 96 products and a softmax over the text, on values of size 1: eps * sqrt(terms), times ten.
    assert np.abs(fast - exact).max() <= 10 * np.sqrt(96 + length) * np.finfo(np.float32).eps * np.abs(exact).max()


def test_no_token_at_all(isa: str, random_layer: Callable[..., Any]) -> None:
    _, options = describe({"sizes": (64, 2, 2, 32, 96)})
    layer = native.EncoderLayer(random_layer(64, 2, 2, 32, 96), **options)
    assert layer(np.zeros((0, 64), np.float32), [0]).shape == (0, 64)
    assert layer(np.zeros((0, 64), np.float32), [0, 0, 0]).shape == (0, 64)


@pytest.mark.parametrize("bias", [-1e2, -1e4, -1e6, 1e4])
def test_gelu_far_outside_its_curve(
    isa: str, bias: float, random_layer: Callable[..., Any], plainly: Callable[..., Any], rng: Random
) -> None:
    """Far below zero it is nothing, far above it is its argument, whatever polynomial it is in between."""
    _, options = describe({"sizes": (64, 2, 2, 32, 96)})
    weights = random_layer(64, 2, 2, 32, 96)
    weights["mlp.up.bias"] = np.full(96, bias)
    hidden = rng.normal(size=(40, 64)).astype(np.float32)
    exact = reference_layer.encoder_layer(hidden, [0, 40], weights, **options)
    plain = plainly("bf16", reference_layer.encoder_layer, hidden, [0, 40], weights, **options)
    fast = native.EncoderLayer(weights, precision="bf16", **options)(hidden, [0, 40])
    assert rms(fast - exact) <= 2 * rms(plain - exact)


def test_extreme_scores_stay_finite(isa: str, random_layer: Callable[..., Any], rng: Random) -> None:
    """Scores of some thousands: the softmax is a choice of one key, and nothing overflows."""
    _, options = describe({"sizes": (64, 2, 2, 32, 96), "attention_scale": 1000.0})
    weights = random_layer(64, 2, 2, 32, 96)
    hidden = rng.normal(size=(300, 64)).astype(np.float32)
    exact = reference_layer.encoder_layer(hidden, [0, 300], weights, **options)
    fast = native.EncoderLayer(weights, precision="fp32", **options)(hidden, [0, 300])
    # Where two keys nearly tie, rounding the score decides: those rows may differ, but not many and never by NaN.
    assert np.isfinite(fast).all()
    assert np.mean(np.abs(fast - exact).max(1) > 1e-3) < 0.05
