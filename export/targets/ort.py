"""`ort`: the padded graph with ONNX Runtime's own fused operators, which any stock build has on the CPU."""

from collections import Counter
from collections.abc import Mapping

import onnx

from strizh.export.graph import INT32, Graph
from strizh.export.parts.attention import query_key_value
from strizh.export.parts.embeddings import embeddings
from strizh.export.parts.linear import transposed
from strizh.export.parts.rotary import angles, flat_cache
from strizh.export.spec import Activation, EncoderSpec, Layer, Rope
from strizh.export.targets.portable import Head, check, finish
from strizh.export.weights import Array
from strizh.runtime.errors import UnsupportedModel

_MICROSOFT = "com.microsoft"
_BIAS_GELU = {Activation.GELU: "BiasGelu", Activation.GELU_TANH: "FastGelu"}
_Cache = tuple[str, str, str]


def build(spec: EncoderSpec, weights: Mapping[str, Array], head: Head = "embedding") -> onnx.ModelProto:
    """The float32 graph with fused nodes; same inputs and outputs as `portable`."""
    check(spec)
    if spec.activation not in _BIAS_GELU:
        raise UnsupportedModel(f"ONNX Runtime has no fused {spec.activation} with bias; use portable-fp32.")
    g = Graph(spec.family, weights)
    mask = g.node("Cast", "attention_mask", to=INT32)
    caches = {
        rope: flat_cache(g, angles(g, spec, rope)) for rope in {layer.rope for layer in spec.layers if layer.rope}
    }
    x = embeddings(g, spec)
    for index, layer in enumerate(spec.layers):
        with g.scope(f"layers.{index}"):
            x = _layer(g, spec, layer, f"layers.{index}", x, mask, caches)
    return finish(g, spec, x, head)


def expected_counts(spec: EncoderSpec) -> dict[str, int]:
    """How many fused nodes the spec calls for."""
    layers, rotary = len(spec.layers), sum(layer.rope is not None for layer in spec.layers)
    counts = {"MultiHeadAttention": layers, "SkipLayerNormalization": 2 * layers, _BIAS_GELU[spec.activation]: layers}
    return counts | ({"RotaryEmbedding": 2 * rotary} if rotary else {})


def fused_counts(model: onnx.ModelProto) -> dict[str, int]:
    """How many fused nodes a graph has."""
    return dict(Counter(node.op_type for node in model.graph.node if node.domain == _MICROSOFT))


def _layer(
    g: Graph, spec: EncoderSpec, layer: Layer, slot: str, x: str, mask: str, caches: Mapping[Rope, _Cache]
) -> str:
    with g.scope("attention"):
        q, k, v = query_key_value(g, spec, f"{slot}.attention", x)
        if layer.rope:
            q, k = (_rotate(g, spec, layer.rope, side, caches[layer.rope]) for side in (q, k))
        mixed = g.node(
            "MultiHeadAttention", q, k, v, "", mask,
            domain=_MICROSOFT, num_heads=spec.num_heads, scale=spec.attention_scale,
        )  # fmt: skip
        x = _skip_norm(g, spec, mixed, x, f"{slot}.attention.o", f"{slot}.attention.norm")
    with g.scope("mlp"):
        product = g.node("MatMul", x, g.weight(f"{slot}.mlp.up.weight", transposed))
        inner = g.node(_BIAS_GELU[spec.activation], product, g.weight(f"{slot}.mlp.up.bias"), domain=_MICROSOFT)
        return _skip_norm(g, spec, inner, x, f"{slot}.mlp.down", f"{slot}.mlp.norm")


def _rotate(g: Graph, spec: EncoderSpec, rope: Rope, x: str, cache: _Cache) -> str:
    cos, sin, position_ids = cache
    part = {"rotary_embedding_dim": rope.dim} if rope.dim < spec.head_size else {}
    rotated = g.node(
        "RotaryEmbedding", x, position_ids, cos, sin,
        domain=_MICROSOFT, interleaved=0, num_heads=spec.num_heads, **part,
    )  # fmt: skip
    return str(rotated)


def _skip_norm(g: Graph, spec: EncoderSpec, x: str, skip: str, linear: str, norm: str) -> str:
    """LayerNorm(x @ weight + skip + bias)."""
    product = g.node("MatMul", x, g.weight(f"{linear}.weight", transposed))
    sides = (g.weight(f"{norm}.weight"), g.weight(f"{norm}.bias"), g.weight(f"{linear}.bias"))
    return str(g.node("SkipLayerNormalization", product, skip, *sides, domain=_MICROSOFT, epsilon=spec.norm_eps))
