"""Encoders with random weights: a small one of every family to compare, published shapes to time."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strizh.export.spec import Activation, EncoderSpec, Layer, Norm, Pooling, Positions, Rope, Scaling

Weights = dict[str, NDArray[np.float32]]


def bert(
    layers: int, hidden: int, heads: int, inner: int, *, vocabulary: int = 32000, positions: int = 8192
) -> EncoderSpec:
    """BERT's architecture in some size."""
    return EncoderSpec(
        family="bert", vocab_size=vocabulary, hidden_size=hidden, num_heads=heads, num_kv_heads=heads,
        head_size=hidden // heads, intermediate_size=inner, layers=(Layer(),) * layers, positions=Positions.ABSOLUTE,
        max_positions=positions, position_offset=0, pad_token_id=1, activation=Activation.GELU, norm_eps=1e-12,
        attention_scale=(hidden // heads) ** -0.5, normalize=True,
    )  # fmt: skip


def rope_bert(spec: EncoderSpec, **scaling: Any) -> EncoderSpec:
    """The same with rotary positions."""
    rope = Rope(10000.0, spec.head_size, trained_positions=512, **scaling)
    return replace(spec, family="ropebert", positions=Positions.ROTARY, layers=(Layer(rope),) * len(spec.layers))


_SMALL = bert(2, 128, 2, 256, vocabulary=500, positions=1024)
_PLAIN: dict[str, Any] = {
    "attention_bias": (False,) * 4, "mlp_bias": (False, False), "norm_bias": False, "pre_norm": True, "final_norm": True,
    "gated_mlp": True,
}  # fmt: skip
FAMILIES = {
    "bert": _SMALL,
    "heads of 26": replace(bert(2, 104, 4, 200, vocabulary=500, positions=1024), pooling=(Pooling.CLS,)),
    "ropebert": rope_bert(_SMALL),
    "ropebert, linear": rope_bert(_SMALL, scaling=Scaling.LINEAR, factor=4.0),
    "ropebert, dynamic": rope_bert(_SMALL, scaling=Scaling.DYNAMIC, factor=2.0),
    "modernbert": replace(
        _SMALL, positions=Positions.ROTARY, **_PLAIN,
        layers=(Layer(Rope(16e4, 64), attention_norm=False), Layer(Rope(1e4, 64), window=64)),
    ),
    "t5": replace(
        _SMALL, positions=Positions.RELATIVE_BIAS, relative_buckets=32, relative_max_distance=128, norm=Norm.RMS,
        activation=Activation.GELU_TANH, attention_scale=1.0, embedding_norm=False, **_PLAIN,
    ),
    "qwen3": replace(
        _SMALL, positions=Positions.ROTARY, layers=(Layer(Rope(1e6, 64)),) * 2, num_kv_heads=1, head_norm=True, causal=True,
        activation=Activation.SILU, norm=Norm.RMS, embedding_norm=False, pooling=(Pooling.LAST,), **_PLAIN,
    ),
}  # fmt: skip
TIMED = {
    "base": rope_bert(bert(12, 768, 12, 3072)),
    "e5-small": bert(12, 384, 12, 1536),
    "large": bert(24, 1024, 16, 4096),
}


def random_weights(spec: EncoderSpec) -> Weights:
    """Products keep the variance of what they multiply, so that attention is neither uniform nor one-hot."""
    draw = np.random.default_rng(0)

    def tensor(slot: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        noise = draw.standard_normal(shape, dtype=np.float32)
        if "norm" in slot and slot.endswith("weight"):
            return np.float32(1) + np.float32(0.1) * noise
        # A model that does not scale its scores, as T5, has the scale in its queries.
        own = spec.head_size**-0.5 if slot.endswith("attention.q.weight") and spec.attention_scale == 1 else 1.0
        return noise * np.float32(own * (0.1 if len(shape) == 1 else shape[-1] ** -0.5))

    return {slot: tensor(slot, shape) for slot, shape in spec.slots()}
