"""The inner half of a feed-forward layer."""

from strizh.export.graph import Graph
from strizh.export.parts.linear import transposed
from strizh.export.spec import EncoderSpec


def gate_and_up(g: Graph, spec: EncoderSpec, slot: str, x: str) -> tuple[str, str]:
    """What a gated feed-forward activates and what it multiplies with that, from one product."""
    sides = [f"{slot}.{side}" for side in ("gate", "up")]
    both = g.node("MatMul", x, g.joined(f"{slot}.gate_up.weight", [f"{side}.weight" for side in sides], transposed))
    if spec.mlp_bias[0]:
        both = g.node("Add", both, g.joined(f"{slot}.gate_up.bias", [f"{side}.bias" for side in sides]))
    gate, up = g.node("Split", both, g.constant([spec.intermediate_size] * 2, "int64"), outputs=2, axis=-1)
    return gate, up
