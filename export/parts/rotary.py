"""Rotary angles, in float32 and without control flow.

Dynamic scaling multiplies the base by (f * S / M - f + 1) ** (d / (d - 2)) beyond M tokens, which multiplies
frequency i by ratio ** (-2i / (d - 2)) with ratio = 1 + f * max(S - M, 0) / M: exactly 1 up to M, so short texts get
the unscaled angles to the bit (transformers' `dynamic` rope, rewritten).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from strizh.export.graph import FLOAT, Graph
from strizh.export.parts.embeddings import counted, sequence_length
from strizh.export.spec import EncoderSpec, Rope, Scaling


@dataclass(frozen=True, slots=True)
class Angles:
    """`cos` and `sin` are float32 [batch or 1, sequence, dim / 2]; `per_text` where the batch axis is real."""

    cos: str
    sin: str
    per_text: bool


def angles(g: Graph, spec: EncoderSpec, rope: Rope) -> Angles:
    """cos and sin of every position's angles."""
    with g.scope(f"rotary_{rope.theta:g}"):
        position = g.node("Cast", counted(g, sequence_length(g)), to=FLOAT)
        position = g.node("Unsqueeze", position, g.constant([0, 2], "int64"))
        cos, sin = cos_and_sin(g, rope, position, lambda: _lengths(g, spec, rope))
        return Angles(cos, sin, _per_text(spec, rope))


def cos_and_sin(g: Graph, rope: Rope, position: str, lengths: Callable[[], str]) -> tuple[str, str]:
    """float32 [..., dim / 2] for float32 positions [..., 1].

    `lengths` makes the lengths in tokens that dynamic scaling looks at, float32, of a shape that fits the positions'.
    """
    pairs = np.arange(rope.dim // 2, dtype=np.float64) * 2
    theta = rope.theta * rope.factor if rope.scaling is Scaling.NTK else rope.theta
    frequencies = theta ** (-pairs / rope.dim)
    if rope.scaling is Scaling.NTK:
        frequencies /= rope.factor ** (2 / rope.dim)
    inverse = g.constant(frequencies)
    if rope.scaling is Scaling.DYNAMIC:
        beyond = g.node("Relu", g.node("Sub", lengths(), g.constant(rope.trained_positions)))
        ratio = g.node("Add", g.node("Mul", beyond, g.constant(rope.factor / rope.trained_positions)), g.constant(1.0))
        inverse = g.node("Mul", inverse, g.node("Pow", ratio, g.constant(-pairs / (rope.dim - 2))))
    if rope.scaling is Scaling.LINEAR:
        position = g.node("Div", position, g.constant(rope.factor))
    angle = g.node("Mul", position, inverse)
    return g.node("Cos", angle), g.node("Sin", angle)


def _per_text(spec: EncoderSpec, rope: Rope) -> bool:
    return rope.scaling is Scaling.DYNAMIC and spec.ntk_length == "text"


def _lengths(g: Graph, spec: EncoderSpec, rope: Rope) -> str:
    """float32 [batch or 1, 1, 1]: each text's own length, or the padded one."""
    if _per_text(spec, rope):
        length = g.node("ReduceSum", "attention_mask", g.constant([1], "int64"), keepdims=1)
        length = g.node("Unsqueeze", length, g.constant([2], "int64"))
    else:
        length = g.node("Reshape", sequence_length(g), g.constant([1, 1, 1], "int64"))
    return str(g.node("Cast", length, to=FLOAT))


def rotate(g: Graph, x: str, table: Angles, rope: Rope, head_size: int) -> str:
    """rotate_half on [batch, heads, sequence, head_size] with the first `dim` of each head."""
    cos, sin = (g.node("Unsqueeze", side, g.constant([1], "int64")) for side in (table.cos, table.sin))
    half = rope.dim // 2
    sizes = [half, half] + ([head_size - rope.dim] if head_size > rope.dim else [])
    first, second, *rest = g.node("Split", x, g.constant(sizes, "int64"), outputs=len(sizes), axis=-1)
    turned = [
        g.node("Sub", g.node("Mul", first, cos), g.node("Mul", second, sin)),
        g.node("Add", g.node("Mul", second, cos), g.node("Mul", first, sin)),
    ]
    return str(g.node("Concat", *turned, *rest, axis=-1))


def flat_cache(g: Graph, table: Angles) -> tuple[str, str, str]:
    """cos_cache, sin_cache [rows, dim / 2] and position_ids int64 [batch, sequence] for com.microsoft RotaryEmbedding.

    Where angles differ from text to text the cache has a row for every token of the batch and the ids count them.
    """
    shape = g.node("Shape", "input_ids")
    if table.per_text:
        last = g.node("Slice", g.node("Shape", table.cos), *(g.constant([value], "int64") for value in (2, 3, 0)))
        target = g.node("Concat", g.constant([-1], "int64"), last, axis=0)
        caches = [g.node("Reshape", side, target) for side in (table.cos, table.sin)]
        total = g.node("ReduceProd", shape, axes=[0], keepdims=1)
        return caches[0], caches[1], str(g.node("Reshape", counted(g, total), shape))
    caches = [g.node("Squeeze", side, g.constant([0], "int64")) for side in (table.cos, table.sin)]
    ids = g.node("Unsqueeze", counted(g, sequence_length(g)), g.constant([0], "int64"))
    return caches[0], caches[1], str(g.node("Expand", ids, shape))
