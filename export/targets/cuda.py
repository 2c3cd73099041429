"""`cuda`: the packed batch through ONNX Runtime's fused CUDA operators, in half precision and without padding.

Its operators do the attention of plain encoders in float16. What they do not reach (windows, causal masks, relative
bias, shared key heads, head norms, bfloat16, and pooling by maximum) are operators of strizh's own CUDA library.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import onnx

from strizh.export.graph import FLOAT, INT32
from strizh.export.parts.disentangled import refuse_disentangled
from strizh.export.parts.embeddings import add_token_types
from strizh.export.parts.fused import MICROSOFT, SKIP_NORM, fused_activation, norms_in_order
from strizh.export.parts.linear import activation, norm, transposed
from strizh.export.parts.mixed import HALVES, MixedGraph, stream_scale
from strizh.export.parts.packed import Texts, pool_packed, position_rows, rotary_rows, unit
from strizh.export.parts.packed_attention import Rows, attend, head_width, output_bias
from strizh.export.parts.pooling import checksum, logits, sentence_embedding
from strizh.export.parts.token_heads import token_heads
from strizh.export.parts.wide_heads import widened
from strizh.export.spec import Activation, EncoderSpec, Layer, Norm, Rope
from strizh.export.targets.portable import Head, takes_token_types
from strizh.export.weights import Array

_INPUTS: Mapping[str, tuple[str, ...]] = {
    "input_ids": ("total_tokens",),
    "cu_seqlens": ("batch_and_one",),
    "position_ids": ("total_tokens",),  # 0, 1, 2 ... in each text
    "text_ids": ("total_tokens",),  # number of the token's text
    "token_offset": ("batch", "longest"),  # place of each token in a padded batch, then the places that stay empty
}


def build(
    spec: EncoderSpec, weights: Mapping[str, Array], head: Head = "embedding", *, precision: str = "fp16"
) -> onnx.ModelProto:
    """The packed graph in `precision` "fp16", "bf16" or "fp32"; inputs are int32, see `_INPUTS`, outputs float32.

    `token_embeddings` [total_tokens, hidden_size], `sentence_embedding` [batch, dim] and their `checksum` [1, 1], or
    `logits`. Angles, softmax, statistics of norms, pooling and heads are float32 in every precision. A text without
    tokens is not allowed.
    """
    check(spec)
    g = _CudaGraph(spec, weights, precision)
    texts = Texts(g)
    rows = {rope: Rows(g, *rotary_rows(g, rope, texts)) for rope in spec.ropes}
    scale = stream_scale(spec)
    hidden = _layers(g, spec, _embeddings(g, spec, texts, takes_token_types(spec, head)), rows, scale)
    return _finish(g, spec, hidden, head, texts)


def check(spec: EncoderSpec) -> None:
    """Raise `UnsupportedModel` for a spec that no CUDA operator computes."""
    refuse_disentangled(spec, "cuda-*")


class _CudaGraph(MixedGraph):
    """`exact_stream`: the residual stream is float32, and with it norms and the biases of the products that end in it.

    float16 carries a post-norm model's stream, which every norm brings back to size; bfloat16 has too few digits for one.
    """

    def __init__(self, spec: EncoderSpec, weights: Mapping[str, Array], precision: str) -> None:
        super().__init__(spec.family, weights, HALVES[precision], self._is_half)
        self.exact_stream = spec.pre_norm or precision == "bf16"

    def _is_half(self, name: str) -> bool:
        """Heads are float32 whatever the precision."""
        if not name.startswith(("embeddings.", "layers.")):
            return False
        if any(part in name for part in (".norm.", ".o.bias", ".down.bias")):
            return not self.exact_stream
        return "_norm." not in name

    def to_stream(self, product: str) -> str:
        """A product in the type of the residual stream."""
        return self.exact(product) if self.exact_stream else product

    def from_stream(self, normed: str) -> str:
        """What the next product reads."""
        return self.rounded(normed) if self.exact_stream else normed


def _embeddings(g: _CudaGraph, spec: EncoderSpec, texts: Texts, token_types: bool) -> str:
    """[total_tokens, hidden_size], in the type of the residual stream."""
    with g.scope("embeddings"):
        tables = [g.node("Gather", g.weight("embeddings.word"), "input_ids", axis=0)]
        if rows := position_rows(g, spec, texts):
            tables.append(g.node("Gather", g.weight("embeddings.position"), rows, axis=0))
        if token_types:
            tables[-1] = add_token_types(g, tables[-1])
        tables = [g.to_stream(table) for table in tables]
        if len(tables) == 2 and spec.embedding_norm:
            return _skip_norm(g, spec, tables[0], tables[1], "embeddings.norm", None)[0]
        x = tables[0] if len(tables) == 1 else str(g.node("Add", *tables))
        return norm(g, spec, x, "embeddings.norm") if spec.embedding_norm else x


def _layers(g: _CudaGraph, spec: EncoderSpec, x: str, rows: Mapping[Rope, Rows], scale: float) -> str:
    """The last layer's tokens with the norm that follows them, float32."""
    first, *following = norms_in_order(spec)
    # Norms of a stream of another size give the same with an epsilon of that size squared.
    stream = dataclasses.replace(spec, norm_eps=spec.norm_eps * scale**2)
    normed = residual = x
    if spec.pre_norm:
        residual = g.node("Mul", x, g.constant(scale))
        normed = norm(g, stream, residual, first) if first else x
    for index, layer in enumerate(spec.layers):
        after_attention, after_mlp = following[2 * index : 2 * index + 2]
        with g.scope(f"layers.{index}"):
            for product, after in ((_attention, after_attention), (_mlp, after_mlp)):
                with g.scope(product.__name__.strip("_")):
                    added, bias = product(g, spec, layer, f"layers.{index}", g.from_stream(normed), rows, scale)
                    normed, residual = _add_and_norm(g, stream, added, residual, after, bias, scale)
    return normed if g.exact_stream else g.exact(normed)


def _attention(
    g: _CudaGraph, spec: EncoderSpec, layer: Layer, slot: str, x: str, rows: Mapping[Rope, Rows], scale: float
) -> tuple[str, str | None]:
    """The output product of attention without its bias, and the bias."""
    at = f"{slot}.attention"
    width = head_width(spec, layer, g.half)
    mixed = attend(g, spec, layer, at, x, rows)
    weight = g.weight(f"{at}.o.weight", lambda w: scale * widened(transposed(w), spec.head_size, width))
    bias = output_bias(spec, g.weights, at)
    if bias is not None and f"{at}.o.bias" not in g.initializers:
        g.add_initializer(f"{at}.o.bias", scale * bias)
    return g.node("MatMul", mixed, weight), None if bias is None else f"{at}.o.bias"


def _mlp(
    g: _CudaGraph, spec: EncoderSpec, layer: Layer, slot: str, x: str, rows: Mapping[Rope, Rows], scale: float
) -> tuple[str, str | None]:
    """The down product without its bias, and the bias. The side that nothing activates takes the stream's size."""
    at, op = f"{slot}.mlp", fused_activation(spec)
    if spec.gated_mlp:
        gate, up = _product(g, spec, f"{at}.gate", x, 1.0), _product(g, spec, f"{at}.up", x, scale)
        inner = g.node("Mul", _activated(g, spec, gate, op), up)
    elif op and spec.mlp_bias[0]:
        product = g.node("MatMul", x, g.weight(f"{at}.up.weight", transposed))
        inner = g.node(op, product, g.weight(f"{at}.up.bias"), domain=MICROSOFT)
    else:
        inner = _activated(g, spec, _product(g, spec, f"{at}.up", x, 1.0), op)
    rest = 1.0 if spec.gated_mlp else scale
    bias = g.weight(f"{at}.down.bias", lambda b: scale * b) if spec.mlp_bias[1] else None
    return g.node("MatMul", inner, g.weight(f"{at}.down.weight", lambda w: rest * transposed(w))), bias


def _product(g: _CudaGraph, spec: EncoderSpec, slot: str, x: str, scale: float) -> str:
    product = g.node("MatMul", x, g.weight(f"{slot}.weight", lambda w: scale * transposed(w)))
    if not spec.mlp_bias[0]:
        return str(product)
    return str(g.node("Add", product, g.weight(f"{slot}.bias", lambda b: scale * b)))


def _activated(g: _CudaGraph, spec: EncoderSpec, x: str, op: str | None) -> str:
    """ONNX Runtime's `Gelu` and `QuickGelu` have no kernel for bfloat16; `BiasGelu` and `FastGelu` have one."""
    if g.half == ml_dtypes.bfloat16:
        if op == "Gelu":
            if "layers.no_bias" not in g.initializers:
                g.add_initializer("layers.no_bias", np.zeros(spec.intermediate_size, np.float32))
            return str(g.node("BiasGelu", x, "layers.no_bias", domain=MICROSOFT))
    elif spec.activation is Activation.SILU:  # x * sigmoid(alpha x)
        return str(g.node("QuickGelu", x, domain=MICROSOFT, alpha=1.0))
    return str(g.node(op, x, domain=MICROSOFT)) if op else activation(g, spec.activation, x)


def _add_and_norm(
    g: _CudaGraph, spec: EncoderSpec, added: str, residual: str, slot: str | None, bias: str | None, scale: float
) -> tuple[str, str]:
    """The norm of `added` + bias + `residual`, and what the next sum begins with."""
    added = g.to_stream(added)
    if slot:
        return _skip_norm(g, spec, added, residual, slot, bias)
    total = g.node("Add", g.node("Add", added, bias) if bias else added, residual)
    return g.node("Mul", total, g.constant(1 / scale)), total


def _skip_norm(g: _CudaGraph, spec: EncoderSpec, x: str, skip: str, slot: str, bias: str | None) -> tuple[str, str]:
    shift = [g.weight(f"{slot}.bias") if spec.norm_bias else ""] if spec.norm is Norm.LAYER else []
    inputs = [x, skip, g.weight(f"{slot}.weight"), *shift, *([bias] if bias else [])]
    settings: dict[str, Any] = {"domain": MICROSOFT, "epsilon": spec.norm_eps}
    if not spec.pre_norm or slot == "embeddings.norm":
        normed = g.node(SKIP_NORM[spec.norm], *inputs, **settings)
        return normed, normed
    normed, total = g.node(SKIP_NORM[spec.norm], *inputs, outputs=4, unused=(1, 2), **settings)
    return normed, total


def _finish(g: _CudaGraph, spec: EncoderSpec, hidden: str, head: Head, texts: Texts) -> onnx.ModelProto:
    inputs = {name: (INT32, shape) for name, shape in _INPUTS.items()}
    if takes_token_types(spec, head):
        inputs["token_type_ids"] = (INT32, ("total_tokens",))
    outputs: dict[str, tuple[int, tuple[str | int, ...]]]

    def pool(g: Any, hidden: str, mode: Any) -> str:
        return pool_packed(g, hidden, mode, texts)

    if head == "classifier":
        assert spec.classifier is not None
        g.rename(logits(g, spec, hidden, pool), "logits")
        outputs = {"logits": (FLOAT, ("batch", len(spec.classifier.labels)))}
    else:
        vector = sentence_embedding(g, dataclasses.replace(spec, normalize=False), hidden, pool)
        g.rename(unit(g, vector) if spec.normalize else vector, "sentence_embedding")
        of_tokens = token_heads(g, spec, hidden, "int32")
        g.rename(hidden, "token_embeddings")
        outputs = {
            "token_embeddings": (FLOAT, ("total_tokens", spec.hidden_size)),
            "sentence_embedding": (FLOAT, ("batch", spec.embedding_dimension)),
        }
        outputs |= checksum(g)
        outputs |= {name: (FLOAT, ("total_tokens", columns)) for name, columns in of_tokens.items()}
    return g.model(inputs, outputs, {"family": spec.family})
