"""`ort`: the padded graph with ONNX Runtime's own fused operators, which any stock build has on the CPU."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from strizh.export.graph import INT32, Graph
from strizh.export.parts.attention import heads, query_key_value, repeat_heads
from strizh.export.parts.disentangled import Pairs, pair_scores, pairs
from strizh.export.parts.embeddings import embeddings
from strizh.export.parts.fused import MICROSOFT, SKIP_NORM, fused_activation, norms_in_order
from strizh.export.parts.linear import activation, linear, norm, transposed
from strizh.export.parts.mlp import gate_and_up
from strizh.export.parts.rotary import angles, flat_cache
from strizh.export.parts.visibility import pair_bias
from strizh.export.spec import EncoderSpec, Layer, Norm, Rope
from strizh.export.targets.portable import Head, finish, takes_token_types
from strizh.export.weights import Array


@dataclass(frozen=True, slots=True)
class _Shared:
    """What the layers have in common: the padding, and by their settings what pairs of tokens and rotations add."""

    mask: str
    biases: Mapping[int | None, str]
    caches: Mapping[Rope, tuple[str, str, str]]
    where: Pairs | None


def build(spec: EncoderSpec, weights: Mapping[str, Array], head: Head = "embedding") -> onnx.ModelProto:
    """The float32 graph with fused nodes; same inputs and outputs as `portable`."""
    g = Graph(spec.family, weights)
    shared = _Shared(
        mask=g.node("Cast", "attention_mask", to=INT32),
        caches={rope: flat_cache(g, angles(g, spec, rope)) for rope in spec.ropes},
        biases={window: pair_bias(g, spec, window) for window in dict.fromkeys(layer.window for layer in spec.layers)},
        where=pairs(g, spec),
    )
    residual = embeddings(g, spec, takes_token_types(spec, head))
    first, *following = norms_in_order(spec)
    x = norm(g, spec, residual, first) if first else residual
    for index, layer in enumerate(spec.layers):
        after_attention, after_mlp = following[2 * index : 2 * index + 2]
        with g.scope(f"layers.{index}"):
            with g.scope("attention"):
                mixed = _attention(g, spec, layer, f"layers.{index}.attention", x, shared)
                x, residual = _add_and_norm(g, spec, mixed, residual, f"layers.{index}.attention.o", after_attention)
            with g.scope("mlp"):
                inner = _inner(g, spec, f"layers.{index}.mlp", x)
                x, residual = _add_and_norm(g, spec, inner, residual, f"layers.{index}.mlp.down", after_mlp)
    return finish(g, spec, x, head)


def expected_counts(spec: EncoderSpec) -> dict[str, int]:
    """How many fused nodes the spec calls for."""
    layers, rotary = len(spec.layers), sum(layer.rope is not None for layer in spec.layers)
    counts = {
        "MultiHeadAttention": layers,
        SKIP_NORM[spec.norm]: sum(slot is not None for slot in norms_in_order(spec)[1:]),
        "RotaryEmbedding": 2 * rotary,
    }
    fused = fused_activation(spec)
    return {op: count for op, count in (counts | ({fused: layers} if fused else {})).items() if count}


def fused_counts(model: onnx.ModelProto) -> dict[str, int]:
    """How many fused nodes a graph has."""
    return dict(Counter(node.op_type for node in model.graph.node if node.domain == MICROSOFT))


def _attention(g: Graph, spec: EncoderSpec, layer: Layer, slot: str, x: str, shared: _Shared) -> str:
    q, k, v = query_key_value(g, spec, slot, x)
    if spec.head_norm:
        q, k, v = (_flat(g, side) for side in heads(g, spec, slot, (q, k, v)))
    if layer.rope:
        counts = (spec.num_heads, spec.num_kv_heads)
        cache = shared.caches[layer.rope]
        q, k = (_rotate(g, spec, layer.rope, side, cache, count) for side, count in zip((q, k), counts, strict=True))
    if spec.num_kv_heads < spec.num_heads:
        shape = g.constant([0, 0, spec.num_kv_heads, spec.head_size], "int64")
        k, v = (repeat_heads(g, spec, g.node("Reshape", side, shape), axis=2) for side in (k, v))
        k, v = (_flat(g, side) for side in (k, v))
    bias = shared.biases[layer.window]
    if shared.where:
        apart = [g.node("Transpose", side, perm=[0, 2, 1, 3]) for side in heads(g, spec, slot, (q, k, v))]
        bias = pair_scores(g, spec, slot, apart[0], apart[1], shared.where)
    mixed = g.node(
        "MultiHeadAttention", q, k, v, "", shared.mask, *([bias] if bias else []),
        domain=MICROSOFT, num_heads=spec.num_heads, scale=spec.attention_scale,
    )  # fmt: skip
    return str(mixed)


def _flat(g: Graph, x: str) -> str:
    """Heads side by side, [batch, sequence, heads * head_size]."""
    return str(g.node("Reshape", x, g.constant([0, 0, -1], "int64")))


def _rotate(g: Graph, spec: EncoderSpec, rope: Rope, x: str, cache: tuple[str, str, str], num_heads: int) -> str:
    cos, sin, position_ids = cache
    part: dict[str, Any] = {"rotary_embedding_dim": rope.dim} if rope.dim < spec.head_size else {}
    rotated = g.node(
        "RotaryEmbedding", x, position_ids, cos, sin,
        domain=MICROSOFT, interleaved=0, num_heads=num_heads, **part,
    )  # fmt: skip
    return str(rotated)


def _inner(g: Graph, spec: EncoderSpec, slot: str, x: str) -> str:
    """The feed-forward up to its activation."""
    op = fused_activation(spec)
    if spec.gated_mlp:
        gate, up = gate_and_up(g, spec, slot, x)
        activated = g.node(op, gate, domain=MICROSOFT) if op else activation(g, spec.activation, gate)
        return str(g.node("Mul", activated, up))
    if op is None:
        return activation(g, spec.activation, linear(g, x, f"{slot}.up", spec.mlp_bias[0]))
    product = g.node("MatMul", x, g.weight(f"{slot}.up.weight", transposed))
    bias = [g.weight(f"{slot}.up.bias")] if spec.mlp_bias[0] else []
    return str(g.node(op, product, *bias, domain=MICROSOFT))


def _add_and_norm(g: Graph, spec: EncoderSpec, x: str, skip: str, slot: str, norm: str | None) -> tuple[str, str]:
    """The norm of x @ weight + bias + skip, and what the next sum begins with: the same, or the sum itself if pre-norm."""
    bias = f"{slot}.bias" if f"{slot}.bias" in g.weights else None
    if norm is None:
        total = g.node("Add", linear(g, x, slot, bias is not None), skip)
        return total, total
    product = g.node("MatMul", x, g.weight(f"{slot}.weight", transposed))
    shift = [g.weight(f"{norm}.bias") if spec.norm_bias else ""] if spec.norm is Norm.LAYER else []
    sides = [g.weight(f"{norm}.weight"), *shift, *([g.weight(bias)] if bias else [])]
    op = SKIP_NORM[spec.norm]
    settings: dict[str, Any] = {"domain": MICROSOFT, "epsilon": spec.norm_eps}
    if not spec.pre_norm:
        normed = g.node(op, product, skip, *sides, **settings)
        return normed, normed
    normed, total = g.node(op, product, skip, *sides, outputs=4, unused=(1, 2), **settings)
    return normed, total
