"""`portable`: standard ONNX over a padded batch, for any runtime."""

from collections.abc import Mapping
from typing import Literal

import onnx

from strizh.export.graph import FLOAT, INT64, Graph
from strizh.export.parts.attention import heads, query_key_value, repeat_heads
from strizh.export.parts.disentangled import Pairs, pair_scores, pairs
from strizh.export.parts.embeddings import embeddings
from strizh.export.parts.linear import activation, linear, norm
from strizh.export.parts.mlp import gate_and_up
from strizh.export.parts.pooling import checksum, logits, pool_padded, sentence_embedding
from strizh.export.parts.rotary import Angles, angles, rotate
from strizh.export.parts.token_heads import token_heads
from strizh.export.parts.visibility import padding_bias, score_bias
from strizh.export.spec import EncoderSpec, Layer, Rope
from strizh.export.weights import Array

Head = Literal["embedding", "classifier"]


def takes_token_types(spec: EncoderSpec, head: Head) -> bool:
    """Whether the graph has the input `token_type_ids`: a classifier's, where pairs are told apart by it."""
    return head == "classifier" and spec.classifier is not None and spec.classifier.token_types > 1


def build(spec: EncoderSpec, weights: Mapping[str, Array], head: Head = "embedding") -> onnx.ModelProto:
    """The float32 graph: `token_embeddings` and `sentence_embedding`, or `logits` for a classifier."""
    g = Graph(spec.family, weights)
    padding = padding_bias(g)
    biases = {
        window: score_bias(g, spec, window, padding) for window in dict.fromkeys(layer.window for layer in spec.layers)
    }
    tables, where = {rope: angles(g, spec, rope) for rope in spec.ropes}, pairs(g, spec)
    x = embeddings(g, spec, takes_token_types(spec, head))
    for index, layer in enumerate(spec.layers):
        with g.scope(f"layers.{index}"):
            x = _layer(g, spec, layer, f"layers.{index}", x, biases[layer.window], tables, where)
    return finish(g, spec, norm(g, spec, x, "final_norm") if spec.final_norm else x, head)


def finish(g: Graph, spec: EncoderSpec, hidden: str, head: Head, *, on_device: bool = False) -> onnx.ModelProto:
    """Add the head, name inputs and outputs, and close the graph.

    Beside the usual outputs there is `last_hidden_state`, which is `token_embeddings` by another name, or `on_device`,
    where vectors may stay, their `checksum`.
    """
    batch = ("batch", "sequence")
    inputs: dict[str, tuple[int, tuple[str | int, ...]]] = {
        "input_ids": (INT64, batch),
        "attention_mask": (INT64, batch),
    }
    if takes_token_types(spec, head):
        inputs["token_type_ids"] = (INT64, batch)
    outputs: dict[str, tuple[int, tuple[str | int, ...]]]
    if head == "classifier":
        assert spec.classifier is not None
        g.rename(logits(g, spec, hidden, pool_padded), "logits")
        outputs = {"logits": (FLOAT, ("batch", len(spec.classifier.labels)))}
    else:
        g.rename(sentence_embedding(g, spec, hidden, pool_padded), "sentence_embedding")
        of_tokens = token_heads(g, spec, hidden)
        g.rename(hidden, "token_embeddings")
        outputs = {
            "token_embeddings": (FLOAT, (*batch, spec.hidden_size)),
            "sentence_embedding": (FLOAT, ("batch", spec.embedding_dimension)),
        }
        if on_device:
            outputs |= checksum(g)
        else:  # optimum-onnx takes no other name
            g.rename(g.node("Identity", "token_embeddings"), "last_hidden_state")
            outputs["last_hidden_state"] = outputs["token_embeddings"]
        outputs |= {name: (FLOAT, (*batch, columns)) for name, columns in of_tokens.items()}
    return g.model(inputs, outputs, {"family": spec.family})


def _layer(
    g: Graph, spec: EncoderSpec, layer: Layer, slot: str, x: str, bias: str, tables: Mapping[Rope, Angles],
    where: Pairs | None,
) -> str:  # fmt: skip
    with g.scope("attention"):
        at, skipped = f"{slot}.attention", x
        if spec.pre_norm and layer.attention_norm:
            x = norm(g, spec, x, f"{at}.norm")
        q, k, v = _heads(g, spec, at, x)
        if layer.rope:
            q, k = (rotate(g, side, tables[layer.rope], layer.rope, spec.head_size) for side in (q, k))
        k, v = (repeat_heads(g, spec, side, axis=1) for side in (k, v))
        if where:
            bias = g.node("Add", pair_scores(g, spec, at, q, k, where), bias)
        if spec.attention_scale != 1:
            q = g.node("Mul", q, g.constant(spec.attention_scale))
        scores = g.node("MatMul", q, g.node("Transpose", k, perm=[0, 1, 3, 2]))
        mixed = g.node("MatMul", g.node("Softmax", g.node("Add", scores, bias), axis=-1), v)
        flat = g.node("Reshape", g.node("Transpose", mixed, perm=[0, 2, 1, 3]), g.constant([0, 0, -1], "int64"))
        x = g.node("Add", linear(g, flat, f"{at}.o", spec.attention_bias[3]), skipped)
        if not spec.pre_norm:
            x = norm(g, spec, x, f"{at}.norm")
    with g.scope("mlp"):
        at, skipped = f"{slot}.mlp", x
        if spec.pre_norm:
            x = norm(g, spec, x, f"{at}.norm")
        if spec.gated_mlp:
            gate, up = gate_and_up(g, spec, at, x)
            inner = g.node("Mul", activation(g, spec.activation, gate), up)
        else:
            inner = activation(g, spec.activation, linear(g, x, f"{at}.up", spec.mlp_bias[0]))
        x = g.node("Add", linear(g, inner, f"{at}.down", spec.mlp_bias[1]), skipped)
        return x if spec.pre_norm else norm(g, spec, x, f"{at}.norm")


def _heads(g: Graph, spec: EncoderSpec, slot: str, x: str) -> list[str]:
    """q, k, v as [batch, own heads, sequence, head_size]."""
    sides = heads(g, spec, slot, query_key_value(g, spec, slot, x))
    return [g.node("Transpose", side, perm=[0, 2, 1, 3]) for side in sides]
