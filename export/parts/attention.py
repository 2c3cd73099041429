"""Queries, keys and values of a padded batch."""

from collections.abc import Sequence

import numpy as np

from strizh.export.graph import Graph
from strizh.export.parts.linear import rms_norm, transposed
from strizh.export.spec import EncoderSpec


def query_key_value(g: Graph, spec: EncoderSpec, slot: str, x: str) -> Sequence[str]:
    """q, k, v as [batch, sequence, heads * head_size], from one product with the three weights side by side."""
    widths = [heads * spec.head_size for heads in (spec.num_heads, spec.num_kv_heads, spec.num_kv_heads)]
    weight = g.joined(f"{slot}.qkv.weight", [f"{slot}.{side}.weight" for side in "qkv"], transposed)
    packed = g.node("MatMul", x, weight)
    if any(spec.attention_bias[:3]):
        packed = g.node("Add", packed, _bias(g, spec, slot, widths))
    sides: Sequence[str] = g.node("Split", packed, g.constant(widths, "int64"), outputs=3, axis=-1)
    return sides


def heads(g: Graph, spec: EncoderSpec, slot: str, sides: Sequence[str]) -> list[str]:
    """q, k, v as [batch, sequence, own heads, head_size], q and k normalised head by head where the spec says so."""
    counts = (spec.num_heads, spec.num_kv_heads, spec.num_kv_heads)
    found = [
        str(g.node("Reshape", side, g.constant([0, 0, count, spec.head_size], "int64")))
        for side, count in zip(sides, counts, strict=True)
    ]
    if spec.head_norm:
        for at, name in enumerate("qk"):
            found[at] = rms_norm(g, found[at], g.weight(f"{slot}.{name}_norm.weight"), spec.norm_eps)
    return found


def repeat_heads(g: Graph, spec: EncoderSpec, x: str, axis: int) -> str:
    """Each key head as often as query heads share it, of a value with four axes, heads at `axis` and head_size last."""
    sharing = spec.num_heads // spec.num_kv_heads
    if sharing == 1:
        return x
    apart = g.node("Unsqueeze", x, g.constant([axis + 1], "int64"))
    copies = g.node("Expand", apart, g.constant(np.where(np.arange(5) == axis + 1, sharing, 1), "int64"))
    shape = [0, spec.num_heads, -1, spec.head_size] if axis == 1 else [0, 0, spec.num_heads, spec.head_size]
    return str(g.node("Reshape", copies, g.constant(shape, "int64")))


def _bias(g: Graph, spec: EncoderSpec, slot: str, widths: Sequence[int]) -> str:
    """The three biases in one, zeros for a side without."""
    name = f"{slot}.qkv.bias"
    if name not in g.initializers:
        sides = zip("qkv", spec.attention_bias[:3], widths, strict=True)
        parts = [g.weights[f"{slot}.{side}.bias"] if has else np.zeros(width) for side, has, width in sides]
        g.add_initializer(name, np.concatenate(parts, dtype=np.float32))
    return name
