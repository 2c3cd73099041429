"""`portable`: standard ONNX over a padded batch, for any runtime."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import onnx

from strizh.export.graph import FLOAT, INT64, Graph
from strizh.export.parts.attention import query_key_value
from strizh.export.parts.embeddings import embeddings
from strizh.export.parts.linear import activation, linear, norm
from strizh.export.parts.pooling import logits, sentence_embedding
from strizh.export.parts.rotary import Angles, angles, rotate
from strizh.export.spec import EncoderSpec, Layer, Norm, Positions, Rope
from strizh.export.weights import Array
from strizh.runtime.errors import UnsupportedModel

Head = Literal["embedding", "classifier"]
# Added to the score of a masked key: the published RoPEBert and transformers use the same finite number, so that a
# row without any token still has a softmax.
_MASKED = float(np.finfo(np.float32).min)


def build(spec: EncoderSpec, weights: Mapping[str, Array], head: Head = "embedding") -> onnx.ModelProto:
    """The float32 graph: `token_embeddings` and `sentence_embedding`, or `logits` for a classifier."""
    check(spec)
    g = Graph(spec.family, weights)
    bias = _mask_bias(g)
    ropes = {layer.rope for layer in spec.layers if layer.rope}
    tables = {rope: angles(g, spec, rope) for rope in ropes}
    x = embeddings(g, spec)
    for index, layer in enumerate(spec.layers):
        with g.scope(f"layers.{index}"):
            x = _layer(g, spec, layer, f"layers.{index}", x, bias, tables)
    return finish(g, spec, x, head)


def check(spec: EncoderSpec) -> None:
    """Refuse what no family of the padded targets has yet, rather than write a wrong graph."""
    unknown = [
        name
        for name, found in (
            ("pre-norm layers", spec.pre_norm),
            ("gated feed-forward", spec.gated_mlp),
            ("relative position bias", spec.positions is Positions.RELATIVE_BIAS),
            ("grouped key heads", spec.num_heads != spec.num_kv_heads),
            ("a causal mask", spec.causal),
            ("sliding windows", any(layer.window for layer in spec.layers)),
            ("per-head norms", spec.head_norm),
            ("RMSNorm", spec.norm is Norm.RMS),
        )
        if found
    ]
    if unknown:
        raise UnsupportedModel(
            f"family {spec.family!r} has {', '.join(unknown)}, which the padded graphs do not write yet."
        )


def finish(g: Graph, spec: EncoderSpec, hidden: str, head: Head) -> onnx.ModelProto:
    """Add the head, name inputs and outputs, and close the graph."""
    batch = ("batch", "sequence")
    inputs: dict[str, tuple[int, tuple[str | int, ...]]] = {
        "input_ids": (INT64, batch),
        "attention_mask": (INT64, batch),
    }
    outputs: dict[str, tuple[int, tuple[str | int, ...]]]
    if head == "classifier":
        assert spec.classifier is not None
        g.rename(logits(g, spec, hidden), "logits")
        outputs = {"logits": (FLOAT, ("batch", len(spec.classifier.labels)))}
    else:
        g.rename(sentence_embedding(g, spec, hidden), "sentence_embedding")
        g.rename(hidden, "token_embeddings")
        outputs = {
            "token_embeddings": (FLOAT, (*batch, spec.hidden_size)),
            "sentence_embedding": (FLOAT, ("batch", spec.embedding_dimension)),
        }
    return g.model(inputs, outputs, {"family": spec.family})


def _mask_bias(g: Graph) -> str:
    """[batch, 1, 1, sequence]: 0 for a key that is seen, the most negative float32 for padding."""
    with g.scope("mask"):
        hidden = g.node("Sub", g.constant(1.0), g.node("Cast", "attention_mask", to=FLOAT))
        return str(g.node("Unsqueeze", g.node("Mul", hidden, g.constant(_MASKED)), g.constant([1, 2], "int64")))


def _layer(
    g: Graph, spec: EncoderSpec, layer: Layer, slot: str, x: str, bias: str, tables: Mapping[Rope, Angles]
) -> str:
    with g.scope("attention"):
        q, k, v = _heads(g, spec, f"{slot}.attention", x)
        if layer.rope:
            q, k = (rotate(g, side, tables[layer.rope], layer.rope, spec.head_size) for side in (q, k))
        q = g.node("Mul", q, g.constant(spec.attention_scale))
        scores = g.node("MatMul", q, g.node("Transpose", k, perm=[0, 1, 3, 2]))
        mixed = g.node("MatMul", g.node("Softmax", g.node("Add", scores, bias), axis=-1), v)
        flat = g.node("Reshape", g.node("Transpose", mixed, perm=[0, 2, 1, 3]), g.constant([0, 0, -1], "int64"))
        out = linear(g, flat, f"{slot}.attention.o", spec.attention_bias[3])
        x = norm(g, spec, g.node("Add", out, x), f"{slot}.attention.norm")
    with g.scope("mlp"):
        inner = activation(g, spec.activation, linear(g, x, f"{slot}.mlp.up", spec.mlp_bias[0]))
        out = linear(g, inner, f"{slot}.mlp.down", spec.mlp_bias[1])
        return norm(g, spec, g.node("Add", out, x), f"{slot}.mlp.norm")


def _heads(g: Graph, spec: EncoderSpec, slot: str, x: str) -> list[str]:
    """q, k, v as [batch, heads, sequence, head_size]."""
    sides = query_key_value(g, spec, slot, x)
    shape = g.constant([0, 0, spec.num_heads, spec.head_size], "int64")
    return [g.node("Transpose", g.node("Reshape", side, shape), perm=[0, 2, 1, 3]) for side in sides]
