"""What is added to attention scores: who sees whom, and what distance is worth."""

from collections.abc import Callable

import numpy as np

from strizh.export.graph import FLOAT, Graph
from strizh.export.parts.embeddings import counted, sequence_length
from strizh.export.spec import EncoderSpec, Positions
from strizh.export.weights import Array
from strizh.kernels.relative import relative_buckets

# The score of a key that is not seen: the published RoPEBert and transformers use the same finite number, so that a row
# without any token still has a softmax.
_UNSEEN = float(np.finfo(np.float32).min)


def padding_bias(g: Graph) -> str:
    """[batch, 1, 1, sequence]: 0 for a real key, the most negative float32 for padding."""
    with g.scope("mask"):
        hidden = g.node("Sub", g.constant(1.0), g.node("Cast", "attention_mask", to=FLOAT))
        return str(g.node("Unsqueeze", g.node("Mul", hidden, g.constant(_UNSEEN)), g.constant([1, 2], "int64")))


def score_bias(g: Graph, spec: EncoderSpec, window: int | None, padding: str) -> str:
    """Padding, window and relative bias in one, [batch, 1 or heads, 1 or sequence, sequence]."""
    seen, relative = _visible(g, spec, window), _relative(g, spec)
    # The lesser of two masks: their sum would be minus infinity, of which a softmax makes NaN.
    masked = g.node("Min", padding, seen) if seen else padding
    return str(g.node("Add", masked, relative) if relative else masked)


def pair_bias(g: Graph, spec: EncoderSpec, window: int | None) -> str:
    """The same without padding, [1, 1 or heads, sequence, sequence]; "" where every token sees every other alike."""
    found = [bias for bias in (_relative(g, spec), _visible(g, spec, window)) if bias]
    return str(g.node("Add", *found)) if len(found) == 2 else "".join(found)


def _visible(g: Graph, spec: EncoderSpec, window: int | None) -> str:
    """[1, 1, sequence, sequence]: 0 where the query sees the key, else the most negative float32."""
    if window is None and not spec.causal:
        return ""
    with g.scope("mask"):
        distance = _distances(g)
        conditions = [] if window is None else [(g.node("Abs", distance), window)]
        conditions += [(distance, 0)] if spec.causal else []
        near = [g.node("LessOrEqual", value, g.constant(limit, "int64")) for value, limit in conditions]
        seen = near[0] if len(near) == 1 else g.node("And", *near)
        bias = g.node("Where", seen, g.constant(0.0), g.constant(_UNSEEN))
        return str(g.node("Unsqueeze", bias, g.constant([0, 1], "int64")))


def _relative(g: Graph, spec: EncoderSpec) -> str:
    """T5's bias [1, heads, sequence, sequence], gathered from a row for every distance."""
    if spec.positions is not Positions.RELATIVE_BIAS:
        return ""
    reach = spec.relative_max_distance
    with g.scope("relative_bias"):
        bounds = g.constant(-reach, "int64"), g.constant(reach, "int64")
        row = g.node("Add", g.node("Clip", _distances(g), *bounds), bounds[1])
        gathered = g.node("Gather", g.weight("relative_bias", bias_by_distance(spec)), row, axis=0)
        heads_first = g.node("Transpose", gathered, perm=[2, 0, 1])
        return str(g.node("Unsqueeze", heads_first, g.constant([0], "int64")))


def bias_by_distance(spec: EncoderSpec) -> Callable[[Array], Array]:
    """From T5's [buckets, heads] to a row for every distance key - query, -reach to reach: [2 * reach + 1, heads].

    The buckets are logarithmic up to `relative_max_distance` and one beyond, so a table of the distances up to there
    says all, and the graph needs no logarithm that another engine rounds into another bucket.
    """
    reach = spec.relative_max_distance

    def rows(table: Array) -> Array:
        buckets = relative_buckets(2 * reach + 1, buckets=len(table), max_distance=reach)
        return np.ascontiguousarray(table[buckets[reach]])  # the middle query sees distances -reach to reach

    return rows


def _distances(g: Graph) -> str:
    """Key minus query, int64 [sequence, sequence]."""
    place = counted(g, sequence_length(g))
    query, key = (g.node("Unsqueeze", place, g.constant([axis], "int64")) for axis in (1, 0))
    return str(g.node("Sub", key, query))
