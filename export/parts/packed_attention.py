"""Attention over a packed batch: ONNX Runtime's CUDA operators where they reach, strizh's own elsewhere.

What the biases of keys and values do is exact without them. A key's bias adds one number to all scores of a query, which
a softmax does not see (unless keys rotate or are normed after it). A value's bias comes out of the weighted mean as it
went in, so that it is part of the output's bias.
"""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from strizh.export.graph import Graph
from strizh.export.parts.fused import MICROSOFT
from strizh.export.parts.linear import transposed
from strizh.export.parts.mixed import MixedGraph
from strizh.export.parts.visibility import bias_by_distance
from strizh.export.parts.wide_heads import widened
from strizh.export.spec import EncoderSpec, Layer, Positions, Rope
from strizh.export.weights import Array

_STEP = 8  # ONNX Runtime's quick attention takes heads of a multiple of 8 numbers


class Rows:
    """cos and sin of a rope, a row a token, [total_tokens, dim / 2], in float32 and once in half precision."""

    def __init__(self, g: MixedGraph, cos: str, sin: str) -> None:
        self.exact = (cos, sin)
        self._g = g
        self._rounded: tuple[str, str] | None = None

    @property
    def rounded(self) -> tuple[str, str]:
        if self._rounded is None:
            cos, sin = (self._g.rounded(side) for side in self.exact)
            self._rounded = (cos, sin)
        return self._rounded


def reached(spec: EncoderSpec, layer: Layer, half: np.dtype[np.generic]) -> bool:
    """Whether ONNX Runtime's `PackedMultiHeadAttention` computes this layer."""
    beyond = (
        layer.window is not None,
        spec.causal,
        spec.num_kv_heads != spec.num_heads,
        spec.head_norm,
        spec.positions is Positions.RELATIVE_BIAS,
        half == ml_dtypes.bfloat16,
    )
    return not any(beyond)


def attend(g: MixedGraph, spec: EncoderSpec, layer: Layer, slot: str, x: str, rows: Mapping[Rope, Rows]) -> str:
    """[total_tokens, heads * width] of [total_tokens, hidden_size]; `head_width` is the width."""
    if reached(spec, layer, g.half):
        return _by_onnxruntime(g, spec, layer, slot, x, rows)
    return _by_strizh(g, spec, layer, slot, x, rows)


def head_width(spec: EncoderSpec, layer: Layer, half: np.dtype[np.generic]) -> int:
    """Numbers of a head as attention leaves them, zeros at the end counted."""
    return -(-spec.head_size // _STEP) * _STEP if reached(spec, layer, half) else spec.head_size


def output_bias(spec: EncoderSpec, weights: Mapping[str, Array], slot: str) -> Array | None:
    """The bias of the output product with the values' bias in it."""
    bias, of_values = weights.get(f"{slot}.o.bias"), weights.get(f"{slot}.v.bias")
    if of_values is None:
        return bias
    heads = of_values.reshape(spec.num_kv_heads, -1).astype(np.float64)
    each = np.repeat(heads, spec.num_heads // spec.num_kv_heads, axis=0).reshape(-1)
    folded = weights[f"{slot}.o.weight"].astype(np.float64) @ each
    return np.asarray(folded if bias is None else folded + bias, np.float32)


def _by_onnxruntime(
    g: MixedGraph, spec: EncoderSpec, layer: Layer, slot: str, x: str, rows: Mapping[Rope, Rows]
) -> str:
    width = head_width(spec, layer, g.half)

    def project(side: str) -> str:
        weight = g.weight(f"{slot}.{side}.weight", lambda w: transposed(widened(w, spec.head_size, width)))
        product = str(g.node("MatMul", x, weight))
        if f"{slot}.{side}.bias" not in g.weights or side not in _biased(spec, layer):
            return product
        return str(g.node("Add", product, g.weight(f"{slot}.{side}.bias", lambda b: widened(b, spec.head_size, width))))

    q, k, v = (project(side) for side in "qkv")
    if layer.rope:
        q, k = (_rotate(g, spec, layer.rope, side, width, rows[layer.rope]) for side in (q, k))
    mixed = g.node(
        "PackedMultiHeadAttention", q, k, v, "", "token_offset", "cu_seqlens",
        domain=MICROSOFT, num_heads=spec.num_heads, scale=spec.attention_scale,
    )  # fmt: skip
    return str(mixed)


def _rotate(g: Graph, spec: EncoderSpec, rope: Rope, x: str, width: int, rows: Rows) -> str:
    """The batch is one text to this operator: its position is the token's row, counted from 0."""
    batch, first = g.constant([0], "int64"), g.constant([0], "int64")
    part: dict[str, Any] = {"rotary_embedding_dim": rope.dim} if rope.dim < width else {}
    rotated = g.node(
        "RotaryEmbedding", g.node("Unsqueeze", x, batch), first, *rows.rounded,
        domain=MICROSOFT, interleaved=0, num_heads=spec.num_heads, **part,
    )  # fmt: skip
    return str(g.node("Squeeze", rotated, batch))


def _by_strizh(g: MixedGraph, spec: EncoderSpec, layer: Layer, slot: str, x: str, rows: Mapping[Rope, Rows]) -> str:
    qkv = g.node("MatMul", x, g.joined(f"{slot}.qkv.weight", [f"{slot}.{side}.weight" for side in "qkv"], transposed))
    cos, sin = rows[layer.rope].exact if layer.rope else ("", "")
    norms = [g.weight(f"{slot}.{side}_norm.weight") if spec.head_norm else "" for side in "qk"]
    relative = spec.positions is Positions.RELATIVE_BIAS
    table = g.weight("relative_bias", bias_by_distance(spec)) if relative else ""
    inputs = [qkv, "cu_seqlens", _joined_bias(g, spec, layer, slot), cos, sin, *norms, table]
    while not inputs[-1]:
        inputs.pop()
    mixed = g.node(
        "PackedAttention", *inputs, domain="strizh",
        num_heads=spec.num_heads, num_kv_heads=spec.num_kv_heads, head_size=spec.head_size, scale=spec.attention_scale,
        window=-1 if layer.window is None else layer.window, causal=int(spec.causal), norm_eps=spec.norm_eps,
    )  # fmt: skip
    return str(mixed)


def _joined_bias(g: Graph, spec: EncoderSpec, layer: Layer, slot: str) -> str:
    """[columns] for queries, keys and values side by side, or "" where no bias is left."""
    used = [side for side in _biased(spec, layer) if f"{slot}.{side}.bias" in g.weights]
    name = f"{slot}.qkv.bias"
    if used and name not in g.initializers:
        heads = (("q", spec.num_heads), ("k", spec.num_kv_heads), ("v", spec.num_kv_heads))
        parts = [
            g.weights[f"{slot}.{side}.bias"] if side in used else np.zeros(count * spec.head_size)
            for side, count in heads
        ]
        g.add_initializer(name, np.concatenate(parts, dtype=np.float32))
    return name if used else ""


def _biased(spec: EncoderSpec, layer: Layer) -> str:
    """The sides whose bias cannot be left out."""
    return "qk" if layer.rope or spec.head_norm else "q"
