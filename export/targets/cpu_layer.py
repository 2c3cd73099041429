"""One layer of a `cpu` graph: what its operator is told of the spec, and the weights that it takes."""

from typing import Any

from strizh.export.spec import EncoderSpec, Layer, Positions
from strizh.export.targets.cpu_weights import Packer
from strizh.kernels import layout


def layer_attributes(spec: EncoderSpec, layer: Layer, precision: str) -> dict[str, Any]:
    """Of the node, in a graph of `precision`: in one of 8-bit products every layer adds floats in the order of AMX."""
    rope = layer.rope
    return {
        "hidden_size": spec.hidden_size, "num_heads": spec.num_heads, "num_kv_heads": spec.num_kv_heads,
        "head_size": spec.head_size, "intermediate_size": spec.intermediate_size, "activation": str(spec.activation),
        "gated_mlp": int(spec.gated_mlp), "norm": str(spec.norm), "norm_eps": spec.norm_eps,
        "pre_norm": int(spec.pre_norm), "attention_scale": spec.attention_scale, "causal": int(spec.causal),
        "window": -1 if layer.window is None else layer.window,
        "rope_dim": rope.dim if rope else 0, "rope_theta": rope.theta if rope else 0.0,
        "rope_scaling": str(rope.scaling) if rope else "none", "rope_factor": rope.factor if rope else 1.0,
        "trained_positions": rope.trained_positions if rope else 0,
        "relative_buckets": spec.relative_buckets, "relative_max_distance": spec.relative_max_distance,
        "sum_order": "tiles" if precision == "int8" else "chain",
    }  # fmt: skip


def layer_weights(g: Packer, spec: EncoderSpec, layer: Layer, slot: str) -> tuple[str, ...]:
    """The inputs of the node behind `hidden` and `cu_seqlens`, in the order of kernels/cpu/ort_operators.h."""
    rope_dim = layer.rope.dim if layer.rope else 0
    return (
        *_attention(g, spec, f"{slot}.attention", rope_dim),
        *_mlp(g, spec, f"{slot}.mlp"),
        *(g.vector(f"{slot}.{norm}.norm.{part}") for norm in ("attention", "mlp") for part in ("weight", "bias")),
        *_head_norms(g, spec, f"{slot}.attention", rope_dim),
        g.weight("relative_bias") if spec.positions is Positions.RELATIVE_BIAS else "",
        *_smoothing(g, spec, slot),
    )


def _attention(g: Packer, spec: EncoderSpec, slot: str, rope_dim: int) -> tuple[str, str, str, str]:
    sizes = (spec.num_heads, spec.num_kv_heads, spec.num_kv_heads)
    qkv, o, head = f"{slot}.qkv", f"{slot}.o", {"head_size": spec.head_size}
    name, output = f"{qkv}.weight", f"{o}.weight"
    if name not in g.initializers:
        q, k, v = (g.product_weight(qkv, f"{slot}.{part}") for part in "qkv")
        g.packed(name, layout.pack_attention(q, k, v, rope_dim=rope_dim, precision=g.precision_of(qkv), **head))
    q_bias, k_bias, v_bias = (g.optional(f"{slot}.{part}.bias") for part in "qkv")
    rows = tuple(heads * spec.head_size for heads in sizes)
    bias = layout.pack_attention_bias((q_bias, k_bias, v_bias), rows, rope_dim=rope_dim, **head)
    if output not in g.initializers:
        g.packed(output, layout.pack_attention_output(g.product_weight(o, o), precision=g.precision_of(o), **head))
    return name, "" if bias is None else g.packed(f"{qkv}.bias", bias), output, g.vector(f"{o}.bias")


def _mlp(g: Packer, spec: EncoderSpec, slot: str) -> tuple[str, str, str, str]:
    down = g.linear(f"{slot}.down")
    if not spec.gated_mlp:
        return *g.linear(f"{slot}.up"), *down
    product = f"{slot}.gate_up"
    name = f"{product}.weight"
    if name not in g.initializers:
        both = layout.interleave(*(g.product_weight(product, f"{slot}.{half}") for half in ("gate", "up")))
        g.packed(name, layout.pack_linear(both, g.precision_of(product)))
    gate, up = g.optional(f"{slot}.gate.bias"), g.optional(f"{slot}.up.bias")
    bias = "" if gate is None or up is None else g.packed(f"{product}.bias", layout.interleave(gate, up))
    return name, bias, *down


def _smoothing(g: Packer, spec: EncoderSpec, slot: str) -> tuple[str, str, str, str]:
    up = "gate_up" if spec.gated_mlp else "up"
    return (
        g.smoothing_factors(f"{slot}.attention.qkv"),
        g.smoothing_factors(f"{slot}.attention.o", lambda factors: layout.spread_heads(factors, spec.head_size)),
        g.smoothing_factors(f"{slot}.mlp.{up}"),
        g.smoothing_factors(f"{slot}.mlp.down"),
    )


def _head_norms(g: Packer, spec: EncoderSpec, slot: str, rope_dim: int) -> tuple[str, str]:
    if not spec.head_norm:
        return "", ""
    order = layout.head_order(spec.head_size, rope_dim)

    def spread(name: str) -> str:
        weight = g.weights[f"{slot}.{name}.weight"]
        return g.packed(f"{slot}.{name}.weight", layout.spread_heads(weight, spec.head_size, order))

    return spread("q_norm"), spread("k_norm")
