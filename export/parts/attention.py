"""Queries, keys and values of a padded batch."""

from collections.abc import Sequence

import numpy as np

from strizh.export.graph import Graph
from strizh.export.parts.linear import transposed
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


def _bias(g: Graph, spec: EncoderSpec, slot: str, widths: Sequence[int]) -> str:
    """The three biases in one, zeros for a side without."""
    name = f"{slot}.qkv.bias"
    if name not in g.initializers:
        sides = zip("qkv", spec.attention_bias[:3], widths, strict=True)
        parts = [g.weights[f"{slot}.{side}.bias"] if has else np.zeros(width) for side, has, width in sides]
        g.add_initializer(name, np.concatenate(parts, dtype=np.float32))
    return name
