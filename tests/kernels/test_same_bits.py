"""Bit for bit: a layer's rows do not depend on the instruction set. Of bfloat16 alone AMX's tiles have an order of their own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strizh.kernels import native, reference

Random = np.random.Generator
PLAIN: dict[str, Any] = {"activation": "gelu", "norm_kind": "layer_norm", "norm_eps": 1e-6}
DYNAMIC = {"theta": 1e4, "dim": 32, "scaling": "dynamic", "factor": 2.0, "trained_positions": 32}
# Sizes of the layer, what it has besides, and how it differs from PLAIN.
LAYERS: dict[str, tuple[tuple[int, ...], dict[str, Any], dict[str, Any]]] = {
    "rotary embedding, half a vector left": (
        (104, 3, 3, 32, 160), {}, {"rope": {"theta": 1e4, "dim": 32, "scaling": "none"}},
    ),
    "gated, heads normed": (
        (96, 4, 2, 24, 100), {"gated": True, "head_norm": True},
        {"norm_kind": "rms_norm", "activation": "silu", "pre_norm": True},
    ),
    "a window": ((96, 3, 3, 32, 160), {}, {"window": 20, "activation": "gelu_tanh"}),
    "heads of 26, relu": ((78, 3, 3, 26, 72), {}, {"activation": "relu"}),
    "heads of 64, dynamic": ((128, 2, 2, 64, 96), {}, {"rope": {**DYNAMIC, "dim": 64}}),
    "heads of 128, causal, grouped": ((128, 2, 1, 128, 160), {"bias": False}, {"causal": True}),
    "relative bias": ((64, 2, 2, 32, 96), {"buckets": 32}, {"relative_max_distance": 128}),
    "a product in parts": ((64, 2, 2, 32, 3200), {}, {}),
}  # fmt: skip
LENGTHS = (1, 0, 39, 16, 360)


def same_bits(layer: native.EncoderLayer, hidden_size: int, rng: Random) -> tuple[Any, Any]:
    """The rows of one batch: on the instruction set that the test runs on, and in plain C++."""
    cu_seqlens = np.cumsum([0, *LENGTHS])
    hidden = rng.normal(size=(cu_seqlens[-1], hidden_size)).astype(np.float32)
    here = layer(hidden, cu_seqlens)
    native.use_isa("generic")
    return here, layer(hidden, cu_seqlens)


def made(kind: str, precision: str, random_layer: Callable[..., Any], **options: Any) -> native.EncoderLayer:
    sizes, weights, others = LAYERS[kind]
    plain = PLAIN | {"head_size": sizes[3], "attention_scale": sizes[3] ** -0.5}
    return native.EncoderLayer(random_layer(*sizes, **weights), precision=precision, **(plain | others | options))


@pytest.mark.parametrize("kind", LAYERS)
def test_int8_is_the_same_everywhere(isa: str, kind: str, random_layer: Callable[..., Any], rng: Random) -> None:
    here, there = same_bits(made(kind, "int8", random_layer), LAYERS[kind][0][0], rng)
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("kind", ["a window", "gated, heads normed", "a product in parts"])
@pytest.mark.parametrize("kept", [*native.PRODUCT_SLOTS, "all but qkv", "all"])
def test_products_kept_in_bf16_are_the_same_everywhere(
    isa: str, kept: str, kind: str, random_layer: Callable[..., Any], rng: Random
) -> None:
    several = {"all": [*native.PRODUCT_SLOTS], "all but qkv": ["output", "up", "down"]}
    keep = several.get(kept, [kept])
    here, there = same_bits(made(kind, "int8", random_layer, keep_bf16=keep), LAYERS[kind][0][0], rng)
    np.testing.assert_array_equal(here, there)


@pytest.mark.parametrize("kind", LAYERS)
def test_bf16_is_the_same_but_for_the_order_of_tiles(
    isa: str, kind: str, random_layer: Callable[..., Any], rng: Random
) -> None:
    here, there = same_bits(made(kind, "bf16", random_layer), LAYERS[kind][0][0], rng)
    if "amx" not in isa:
        np.testing.assert_array_equal(here, there)
    # Where AMX's sums round otherwise, a value may go to the next bf16, a 256th of it.
    assert (reference.normalize(here) * reference.normalize(there)).sum(-1).min() >= 0.99999
