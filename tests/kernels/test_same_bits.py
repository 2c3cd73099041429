"""Bit for bit: a layer's rows do not depend on the instruction set, where AMX's tiles are not what adds bfloat16."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strizh.kernels import native, reference

Random = np.random.Generator
PLAIN: dict[str, Any] = {
    "head_size": 32, "activation": "gelu", "attention_scale": 32**-0.5, "norm_kind": "layer_norm", "norm_eps": 1e-6,
}  # fmt: skip
# Sizes of the layer, what it has besides, and how it differs from PLAIN.
LAYERS: dict[str, tuple[tuple[int, ...], dict[str, Any], dict[str, Any]]] = {
    "rotary embedding, half a vector left": (
        (104, 3, 3, 32, 160), {}, {"rope": {"theta": 1e4, "dim": 32, "scaling": "none"}},
    ),
    "gated, heads normed": (
        (96, 4, 2, 24, 100), {"gated": True, "head_norm": True},
        {"head_size": 24, "norm_kind": "rms_norm", "activation": "silu", "pre_norm": True},
    ),
    "a window": ((96, 3, 3, 32, 160), {}, {"window": 20, "activation": "gelu_tanh"}),
}  # fmt: skip


@pytest.mark.parametrize("precision", ["bf16", "int8"])
@pytest.mark.parametrize("kind", LAYERS)
def test_instruction_sets_give_the_same_bits(
    isa: str, precision: str, kind: str, random_layer: Callable[..., Any], rng: Random
) -> None:
    sizes, made, options = LAYERS[kind]
    layer = native.EncoderLayer(random_layer(*sizes, **made), precision=precision, **(PLAIN | options))
    hidden = rng.normal(size=(400, sizes[0])).astype(np.float32)
    here = layer(hidden, [0, 1, 40, 400])
    native.use_isa("generic")
    there = layer(hidden, [0, 1, 40, 400])
    if "amx" not in isa:
        np.testing.assert_array_equal(here, there)
    # Where AMX's sums move a value over the edge of two integers, one 255th of a row's range moves with it.
    assert (reference.normalize(here) * reference.normalize(there)).sum(-1).min() >= 0.99999
