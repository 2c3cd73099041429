"""DeBERTa's disentangled attention over a padded batch: what a query and a key think of the distance between them."""

from dataclasses import dataclass

import numpy as np

from strizh.export.graph import Graph
from strizh.export.parts.embeddings import counted, sequence_length
from strizh.export.spec import EncoderSpec, Positions
from strizh.export.weights import Array
from strizh.kernels.relative import disentangled_rows
from strizh.runtime.errors import UnsupportedModel


@dataclass(frozen=True, slots=True)
class Pairs:
    """Where the score of every pair lies among a token's scores of all rows of a table, int64 [query, key].

    Those of one head lie one after the other, token by token. `of_query` is for scores of queries, `of_key` of keys.
    """

    of_query: str
    of_key: str


def pairs(g: Graph, spec: EncoderSpec) -> Pairs | None:
    """Made once for all layers; None for a model without disentangled attention.

    The row of each distance is a table of the graph's, not a formula: no engine can round a logarithm to another bucket.
    """
    if spec.positions is not Positions.DISENTANGLED:
        return None
    reach = spec.relative_max_distance or spec.relative_buckets // 2
    table = disentangled_rows(
        np.arange(-reach, reach + 1), rows=spec.relative_buckets, max_distance=spec.relative_max_distance
    )
    with g.scope("distances"):
        place = counted(g, sequence_length(g))
        query, key = (g.node("Unsqueeze", place, g.constant([axis], "int64")) for axis in (1, 0))
        bounds = g.constant(-reach, "int64"), g.constant(reach, "int64")
        distance = g.node("Add", g.node("Clip", g.node("Sub", query, key), *bounds), bounds[1])
        row = g.node("Gather", g.constant(table, "int64"), distance, axis=0)
        rows = g.constant(spec.relative_buckets, "int64")
        of_query, of_key = (g.node("Add", g.node("Mul", token, rows), row) for token in (query, key))
        return Pairs(of_query, of_key)


def pair_scores(g: Graph, spec: EncoderSpec, slot: str, q: str, k: str, where: Pairs) -> str:
    """What is added to the scores, [batch, heads, query, key], of q and k [batch, heads, sequence, head_size] unscaled."""

    def by_head(table: Array) -> Array:
        """[rows, heads * head_size] to [heads, head_size, rows], with the scale that scores have."""
        apart = table.reshape(len(table), spec.num_heads, spec.head_size)
        return np.ascontiguousarray(apart.transpose(1, 2, 0)) * np.float32(spec.attention_scale)

    sides = {"c2p": (q, "position_key", where.of_query), "p2c": (k, "position_query", where.of_key)}
    found = []
    for term in spec.position_terms:
        with g.scope(term):
            side, table, index = sides[term]
            scores = g.node("MatMul", side, g.weight(f"{slot}.{table}", by_head))
            flat = g.node("Reshape", scores, g.constant([0, 0, -1], "int64"))
            found.append(g.node("Gather", flat, index, axis=2))
    return str(found[0] if len(found) == 1 else g.node("Add", *found))


def refuse_disentangled(spec: EncoderSpec, variants: str) -> None:
    """Raise `UnsupportedModel` for DeBERTa's attention, on behalf of variants that have no operator for it."""
    if spec.positions is Positions.DISENTANGLED:
        raise UnsupportedModel(
            f"family {spec.family!r} has disentangled attention, which {variants} cannot compute. Expected a variant that "
            "can: portable-fp32, portable-fp16, portable-int8 or ort-fp32."
        )
