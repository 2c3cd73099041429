"""Small encoders of every architecture, with drawn weights, the texts that they are given, and how results are compared."""

import dataclasses
from typing import Any

import numpy as np

from strizh.export.spec import (
    Activation,
    Classifier,
    EncoderSpec,
    Layer,
    Norm,
    Pooling,
    Positions,
    Projection,
    Rope,
)

_PLAIN: dict[str, Any] = {
    "attention_bias": (False,) * 4, "mlp_bias": (False, False), "norm_bias": False, "pre_norm": True, "final_norm": True,
    "gated_mlp": True,
}  # fmt: skip
# Lengths on both sides of the 8 positions that ropes are trained on; 1 is the id of padding, which XLM-R does not count.
TEXTS = [[0, 2], [0, 5, 2], [0, 7, 1, 9, 1, 2], [0, *range(4, 18), 2], [0, *range(4, 34), 2]]


def bert(head_size: int = 8, intermediate_size: int = 40, layers: int = 2) -> EncoderSpec:
    """Three heads, absolute positions, a norm after each half of a layer."""
    return EncoderSpec(
        family="bert", vocab_size=40, hidden_size=3 * head_size, num_heads=3, num_kv_heads=3, head_size=head_size,
        intermediate_size=intermediate_size, layers=(Layer(),) * layers, positions=Positions.ABSOLUTE, max_positions=64,
        position_offset=0, pad_token_id=1, activation=Activation.GELU, norm_eps=1e-12, attention_scale=head_size**-0.5,
        normalize=True,
    )  # fmt: skip


def rope_bert(spec: EncoderSpec, **changes: Any) -> EncoderSpec:
    """With rotary positions, trained on 8 of them; `changes` are the rope's."""
    rope = dataclasses.replace(Rope(theta=10000.0, dim=spec.head_size, trained_positions=8), **changes)
    return dataclasses.replace(spec, positions=Positions.ROTARY, layers=(Layer(rope),) * len(spec.layers))


def xlm_roberta(spec: EncoderSpec) -> EncoderSpec:
    """With positions that padding does not count in."""
    return dataclasses.replace(spec, positions=Positions.ABSOLUTE_BY_ID, position_offset=2)


def deberta_v1(spec: EncoderSpec) -> EncoderSpec:
    """Without the bias of the keys."""
    return dataclasses.replace(spec, attention_bias=(True, False, True, True))


def t5(spec: EncoderSpec) -> EncoderSpec:
    """With a bias by distance, no scale, a gate, and norms of the root mean square before each half of a layer."""
    return dataclasses.replace(
        spec, positions=Positions.RELATIVE_BIAS, relative_buckets=8, relative_max_distance=20, norm=Norm.RMS,
        activation=Activation.GELU_TANH, attention_scale=1.0, embedding_norm=False, **_PLAIN,
    )  # fmt: skip


def modernbert(spec: EncoderSpec) -> EncoderSpec:
    """With a first layer that sees all and has no norm of its own, and windows of three in the others."""
    first, other = Layer(Rope(16e4, spec.head_size), attention_norm=False), Layer(Rope(1e4, spec.head_size), window=3)
    layers = (first, *[other] * (len(spec.layers) - 1))
    return dataclasses.replace(spec, positions=Positions.ROTARY, layers=layers, **_PLAIN)


def eurobert(spec: EncoderSpec, num_kv_heads: int = 1, theta: float = 25e4) -> EncoderSpec:
    """With key heads that query heads share."""
    return dataclasses.replace(
        spec, positions=Positions.ROTARY, layers=(Layer(Rope(theta, spec.head_size)),) * len(spec.layers), norm=Norm.RMS,
        activation=Activation.SILU, embedding_norm=False, num_kv_heads=num_kv_heads, **_PLAIN,
    )  # fmt: skip


def qwen3(spec: EncoderSpec, num_kv_heads: int = 1) -> EncoderSpec:
    """As EuroBERT, with a norm of each head, causal, and the last token's vector."""
    base = eurobert(spec, num_kv_heads, theta=1e6)
    return dataclasses.replace(base, head_norm=True, causal=True, pooling=(Pooling.LAST,))


def with_heads(spec: EncoderSpec) -> EncoderSpec:
    """With several poolings side by side, two projections and a classifier."""
    return dataclasses.replace(
        spec, pooling=(Pooling.MEAN, Pooling.MAX, Pooling.FIRST_TOKEN_TRANSFORM, Pooling.WEIGHTED_MEAN),
        projections=(Projection(4 * spec.hidden_size, 20, True, "tanh"), Projection(20, 5, False, "identity")),
        classifier=Classifier(("no", "yes", "maybe"), Pooling.CLS, "tanh"),
    )  # fmt: skip


def weights_of(spec: EncoderSpec) -> dict[str, Any]:
    """Weights by slot, the same at every call; a product keeps the size of what it multiplies."""
    rng = np.random.default_rng(0)

    def tensor(slot: str, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.normal(size=shape)
        if "norm" in slot and slot.endswith("weight"):
            return (1 + 0.1 * noise).astype(np.float32)
        return (noise * (0.1 if len(shape) == 1 else shape[-1] ** -0.5)).astype(np.float32)

    return {slot: tensor(slot, shape) for slot, shape in spec.slots()}


def cosines(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Of the rows of two matrices, whatever their lengths."""
    return (found * exact).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
