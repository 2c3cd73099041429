"""`tensorrt`: a padded, strongly typed graph of standard ONNX for TensorRT, whose attention is one fused node.

Products, attention and activations are in half precision; norms, sums of the residual stream, angles, pooling and heads in
float32, with the casts written out: TensorRT takes every type as it stands. A text's length says which keys are padding
(opset 24), so that plain encoders need no mask, and padding is on the right.
"""

import dataclasses
from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx

from strizh.export.parts.attention import heads, query_key_value
from strizh.export.parts.disentangled import refuse_disentangled
from strizh.export.parts.embeddings import embeddings
from strizh.export.parts.fused import norms_in_order
from strizh.export.parts.linear import activation, norm, transposed
from strizh.export.parts.mixed import HALVES, MixedGraph, stream_scale
from strizh.export.parts.rotary import angles
from strizh.export.parts.visibility import pair_bias
from strizh.export.parts.wide_heads import widened, with_wide_heads
from strizh.export.passes.int8_tensorrt import quantize_half_products
from strizh.export.quantize.dequantized import Dequantized
from strizh.export.quantize.int8 import Quantized
from strizh.export.quantize.site import Site
from strizh.export.spec import Activation, EncoderSpec, Layer, Rope
from strizh.export.targets.portable import Head, finish, takes_token_types
from strizh.export.weights import Array

# Added to the score of a key that is not seen: finite in both halves, so that a query of padding has a softmax too.
_UNSEEN = -30_000.0
_GELU = {Activation.GELU: "none", Activation.GELU_TANH: "tanh"}


def build(
    spec: EncoderSpec,
    weights: Mapping[str, Array],
    head: Head = "embedding",
    *,
    precision: str = "fp16",
    quantized: Quantized | None = None,
) -> onnx.ModelProto:
    """The graph in `precision` "fp16", "bf16", "int8" or "fp32"; inputs as `portable`, padding on the right; outputs float32.

    `token_embeddings` [batch, sequence, hidden_size], `sentence_embedding` [batch, dim] and their `checksum` [1, 1], or
    `logits`. In "int8" the
    products of `quantized` are, with static scales, and all else is as in "fp16", attention among it.
    """
    check(spec)
    sites = quantized.sites if quantized else ()
    width, head_size = _head_width(spec), spec.head_size
    spec, weights = with_wide_heads(spec, Dequantized(weights, quantized.sites) if quantized else weights, width)
    exact = frozenset(name for site in sites for name in site.weights)
    g = _TensorRTGraph(spec, weights, "fp16" if precision == "int8" else precision, exact)
    shared = _Shared(g, spec)
    hidden = _layers(g, spec, embeddings(g, spec, takes_token_types(spec, head)), shared)
    model = finish(g, spec, hidden, head, on_device=True)
    if sites:
        inner = stream_scale(spec) if spec.gated_mlp else 1.0
        sizes = {site.name: inner for site in sites if site.name.endswith("mlp.down")}
        quantize_half_products(model, sites, sizes, _smoothings(sites, head_size, width))
    return model


def _smoothings(sites: Iterable[Site], head_size: int, width: int) -> dict[str, Array]:
    """The sites' smoothings, with ones where heads are widened."""
    found = {site.name: site.smoothing for site in sites if site.smoothing is not None}
    for name, smoothing in found.items():
        if name.endswith("attention.o"):
            wide = widened(smoothing, head_size, width)
            found[name] = np.where(wide == 0, np.float32(1), wide)
    return found


def check(spec: EncoderSpec) -> None:
    """Raise `UnsupportedModel` for a spec that TensorRT's fused attention does not compute."""
    refuse_disentangled(spec, "tensorrt-*")


def _head_width(spec: EncoderSpec) -> int:
    """TensorRT's quickest attention takes multiples of 8 from 16 on. A norm of each head would see the zeros behind it."""
    return spec.head_size if spec.head_norm else max(16, -(-spec.head_size // 8) * 8)


class _TensorRTGraph(MixedGraph):
    """`exact_stream`: the residual stream is float32, which a post-norm model of float16 does without."""

    opsets = MappingProxyType({"": 24})
    ir_version = 11

    def __init__(
        self, spec: EncoderSpec, weights: Mapping[str, Array], precision: str, exact_weights: Container[str] = ()
    ) -> None:
        super().__init__(
            spec.family, weights, HALVES[precision], lambda name: _is_half(name) and name not in exact_weights
        )
        self.exact_stream = spec.pre_norm or precision == "bf16"


def _is_half(name: str) -> bool:
    """Tables and what products read; what meets the residual stream and heads are float32."""
    exact = any(part in name for part in ("norm.", ".o.bias", ".down.bias"))
    return name.startswith(("embeddings.", "layers.")) and not exact


class _Shared:
    """What the layers have in common: lengths, and by their settings what pairs of tokens and rotations add."""

    def __init__(self, g: MixedGraph, spec: EncoderSpec) -> None:
        length = g.node("ReduceSum", "attention_mask", g.constant([1], "int64"), keepdims=0)
        self.lengths = g.node("Max", length, g.constant(1, "int64"))  # a text without tokens has a softmax too
        windows = dict.fromkeys(layer.window for layer in spec.layers)
        self.biases = {window: _score_bias(g, spec, window) for window in windows}
        self.caches = {rope: _cache(g, spec, rope) for rope in spec.ropes}


def _score_bias(g: MixedGraph, spec: EncoderSpec, window: int | None) -> str:
    bias = pair_bias(g, spec, window)
    return g.rounded(g.node("Max", bias, g.constant(_UNSEEN))) if bias else ""


def _cache(g: MixedGraph, spec: EncoderSpec, rope: Rope) -> tuple[str, str]:
    """cos and sin of every token, [batch, sequence, dim / 2]: TensorRT's rotation takes no other shape."""
    table = angles(g, spec, rope)
    shape = g.node("Concat", g.node("Shape", "input_ids"), g.constant([rope.dim // 2], "int64"), axis=0)
    cos, sin = (g.rounded(g.node("Expand", side, shape)) for side in (table.cos, table.sin))
    return cos, sin


def _layers(g: _TensorRTGraph, spec: EncoderSpec, x: str, shared: _Shared) -> str:
    """The last layer's tokens with the norm that follows them, float32."""
    scale = stream_scale(spec)
    first, *following = norms_in_order(spec)
    # Norms of a stream of another size give the same with an epsilon of that size squared.
    stream = dataclasses.replace(spec, norm_eps=spec.norm_eps * scale**2)
    total = g.node("Mul", x, g.constant(scale)) if spec.pre_norm else x
    normed = norm(g, stream, total, first) if first else x
    for index, layer in enumerate(spec.layers):
        slot = f"layers.{index}"
        halves = ("attention", _attention), ("mlp", _mlp)
        for (name, added), after in zip(halves, following[2 * index : 2 * index + 2], strict=True):
            with g.scope(f"{slot}/{name}"):
                inner = g.rounded(normed)
                rest = total if spec.pre_norm else normed if g.exact_stream else g.exact(inner)
                total = g.node("Add", added(g, spec, layer, slot, inner, shared), rest)
                normed = norm(g, stream, total, after) if after else g.node("Mul", total, g.constant(1 / scale))
    return normed


def _attention(g: MixedGraph, spec: EncoderSpec, layer: Layer, slot: str, x: str, shared: _Shared) -> str:
    """What attention adds to the residual stream, float32."""
    at = f"{slot}.attention"
    q, k, v = _heads(g, spec, at, x)
    if layer.rope:
        q, k = (_rotate(g, spec, layer.rope, side, shared.caches[layer.rope]) for side in (q, k))
    bias = shared.biases[layer.window]
    mixed = g.node("Attention", q, k, v, bias, "", "", shared.lengths, scale=spec.attention_scale)
    flat = g.node("Reshape", g.node("Transpose", mixed, perm=[0, 2, 1, 3]), g.constant([0, 0, -1], "int64"))
    return _into_stream(g, flat, f"{at}.o", spec.attention_bias[3], stream_scale(spec), stream_scale(spec))


def _heads(g: MixedGraph, spec: EncoderSpec, at: str, x: str) -> list[str]:
    """q, k, v as [batch, own heads, sequence, head_size]; their norms, where they have some, are float32."""
    packed = query_key_value(g, spec, at, x)
    if spec.head_norm:
        sides = [g.rounded(side) for side in heads(g, spec, at, [g.exact(side) for side in packed])]
    else:
        sides = heads(g, spec, at, packed)
    return [g.node("Transpose", side, perm=[0, 2, 1, 3]) for side in sides]


def _rotate(g: MixedGraph, spec: EncoderSpec, rope: Rope, x: str, cache: tuple[str, str]) -> str:
    part: dict[str, Any] = {"rotary_embedding_dim": rope.dim} if rope.dim < spec.head_size else {}
    return str(g.node("RotaryEmbedding", x, *cache, **part))


def _mlp(g: MixedGraph, spec: EncoderSpec, layer: Layer, slot: str, x: str, shared: _Shared) -> str:
    """What the feed-forward adds to the residual stream. The side that nothing activates takes the stream's size."""
    at, scale = f"{slot}.mlp", stream_scale(spec)
    if not spec.gated_mlp:
        product = g.node("MatMul", x, g.weight(f"{at}.up.weight", transposed))
        product = g.node("Add", product, g.weight(f"{at}.up.bias")) if spec.mlp_bias[0] else product
        return _into_stream(g, _activated(g, spec.activation, product), f"{at}.down", spec.mlp_bias[1], scale, scale)
    sizes = np.repeat(np.array([1, scale], np.float32), spec.intermediate_size)
    sides = [f"{at}.gate", f"{at}.up"]
    weight = g.joined(f"{at}.gate_up.weight", [f"{side}.weight" for side in sides], lambda w: transposed(w) * sizes)
    both = g.node("MatMul", x, weight)
    if spec.mlp_bias[0]:
        both = g.node(
            "Add", both, g.joined(f"{at}.gate_up.bias", [f"{side}.bias" for side in sides], lambda b: b * sizes)
        )
    gate, up = g.node("Split", both, g.constant([spec.intermediate_size] * 2, "int64"), outputs=2, axis=-1)
    inner = g.node("Mul", _activated(g, spec.activation, gate), up)
    return _into_stream(g, inner, f"{at}.down", spec.mlp_bias[1], 1.0, scale)


def _activated(g: MixedGraph, kind: Activation, x: str) -> str:
    if kind in _GELU:
        return str(g.node("Gelu", x, approximate=_GELU[kind]))
    return activation(g, kind, x)


def _into_stream(g: MixedGraph, x: str, slot: str, bias: bool, weight_scale: float, scale: float) -> str:
    """x @ weight + bias at the stream's size, float32. `weight_scale` is what `x` does not have of that size yet."""
    product = g.exact(g.node("MatMul", x, g.weight(f"{slot}.weight", lambda w: weight_scale * transposed(w))))
    return str(g.node("Add", product, g.weight(f"{slot}.bias", lambda b: scale * b))) if bias else product
