"""What bge-m3 gives for every token beside its vector: a term weight, and a vector of late interaction (ColBERT)."""

from collections.abc import Callable
from typing import Any

from strizh.export.graph import FLOAT, Graph
from strizh.export.parts.linear import activation, linear
from strizh.export.spec import EncoderSpec

# name -> columns of an output that has a row for every token.
Outputs = dict[str, int]
# (graph, slot, x, activation) -> a linear layer and its activation over the last axis.
Dense = Callable[[Any, str, str, str], str]


def dense(g: Graph, slot: str, x: str, kind: str) -> str:
    """In standard ONNX."""
    return activation(g, kind, linear(g, x, slot))


def unit_rows(g: Graph, x: str) -> str:
    """Rows of the last axis scaled to length 1; zeros stay."""
    square = g.node("ReduceSum", g.node("Mul", x, x), g.constant([-1], "int64"), keepdims=1)
    return str(g.node("Div", x, g.node("Max", g.node("Sqrt", square), g.constant(1e-12))))


def token_heads(
    g: Any,
    spec: EncoderSpec,
    hidden: str,
    ids: str = "int64",
    dense: Dense = dense,
    unit: Callable[[Any, str], str] = unit_rows,
    input_ids: str = "input_ids",
) -> Outputs:
    """Make the outputs that the spec has, named for the graph's door; `ids` is the type of `input_ids`, one for each row.

    `sparse_weights` [..., 1]: relu(linear(token)), 0 for the tokens that the spec silences. `colbert_vectors` [..., dim]:
    linear(token) of length 1. Source: BGE-M3, arXiv 2402.03216, section 3.2.
    """
    found: Outputs = {}
    with g.scope("token_heads"):
        if spec.sparse is not None:
            weight = dense(g, "sparse", hidden, "relu")
            for silent in spec.sparse:
                heard = g.node("Not", g.node("Equal", input_ids, g.constant(silent, ids)))
                weight = g.node(
                    "Mul", weight, g.node("Unsqueeze", g.node("Cast", heard, to=FLOAT), g.constant([-1], "int64"))
                )
            g.rename(weight, "sparse_weights")
            found["sparse_weights"] = 1
        if spec.multi_vector:
            g.rename(unit(g, dense(g, "multi_vector", hidden, "identity")), "colbert_vectors")
            found["colbert_vectors"] = spec.multi_vector
    return found
