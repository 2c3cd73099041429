"""`cpu`: the packed batch through strizh's own operators, one a layer, with weights in the layout they read.

The operators' attributes are the fields of the spec; kernels/cpu/ort_operators.h lists their inputs.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import onnx

from strizh.export.graph import FLOAT, INT32
from strizh.export.parts.disentangled import refuse_disentangled
from strizh.export.parts.embeddings import add_token_types
from strizh.export.parts.token_heads import token_heads
from strizh.export.spec import Classifier, EncoderSpec, Norm, Pooling, Positions
from strizh.export.targets.cpu_layer import layer_attributes, layer_weights
from strizh.export.targets.cpu_weights import Packer
from strizh.export.targets.portable import Head, takes_token_types
from strizh.export.weights import Array
from strizh.kernels import layout
from strizh.runtime.errors import UnsupportedModel, UsageError

_WIDEST_HEAD = 256
_OUTPUT_TOKENS = "output_token_embeddings"
_ONE_TOKEN = {Pooling.CLS: "cls", Pooling.FIRST_TOKEN_TRANSFORM: "cls", Pooling.LAST: "last"}
_TABLES = (Positions.ABSOLUTE, Positions.ABSOLUTE_BY_ID)


class _Hidden(NamedTuple):
    """What a layer gives."""

    tokens: str  # a row for every token; "" where nothing reads them
    pooled: str = ""  # a row for every text, of the token that is pooled; "" where more are


def build(
    spec: EncoderSpec, weights: Mapping[str, Array], head: Head = "embedding", *, precision: str = "bf16",
    keep_bf16: Collection[str] = (), smoothing: Mapping[str, Array] = MappingProxyType({}), int8_table: bool = False,
) -> onnx.ModelProto:  # fmt: skip
    """The packed graph in `precision` "fp32", "bf16" or "int8": `input_ids` int32 [total_tokens] and `cu_seqlens` int32
    [batch + 1] to `token_embeddings` [total_tokens, hidden] and `sentence_embedding` [batch, dim], or `logits`.

    Residual stream, norms, softmax, pooling and heads are float32 in every precision. In "int8" the four products of
    every layer are int8, but for those named in `keep_bf16` (of `products`); attention and tables are bfloat16. With
    `int8_table` the rows of the word table are int8, each with its own float32 scale, in any precision.

    `smoothing` has, for any of the `products`, a vector [in] of positive numbers: the product's input is divided by it
    before it becomes 8-bit rows, and the columns of its weight [out, in] are multiplied by it, which changes the product
    in no other way (SmoothQuant, Xiao et al., 2023). `in` is `hidden_size`, for "attention.o" `num_heads` * `head_size`,
    for "mlp.down" `intermediate_size`; gate and up share one. A product that is not int8 ignores its own.
    Raises `UsageError` for another name, size, or number.

    Where one token of each text is pooled (`pooled_token`), nothing of the others is computed in the last layer but keys and
    values: for `logits` always, for `sentence_embedding` where the input `output_token_embeddings`, int32 [1], is 0. Outputs with
    a row for every token have none then. Who leaves it out, as everyone may, gives 1.
    """
    check(spec)
    _check_names(spec, [*keep_bf16, *smoothing])
    g = Packer(spec.family, weights, precision, frozenset(keep_bf16), smoothing)
    hidden = _Hidden(_embeddings(g, spec, takes_token_types(spec, head), int8_table))
    for index, layer in enumerate(spec.layers):
        with g.scope(f"layers.{index}"):
            inputs = (hidden.tokens, "cu_seqlens", *layer_weights(g, spec, layer, f"layers.{index}"))
            attributes = layer_attributes(spec, layer, precision)
            last = index == len(spec.layers) - 1
            hidden = _layer(g, inputs, attributes, pooled_token(spec, head) if last else None, head)
    if spec.final_norm:
        hidden = _Hidden(*(rows and _norm(g, spec, "final_norm", rows) for rows in hidden))
    return _finish(g, spec, hidden, head)


def pooled_token(spec: EncoderSpec, head: Head = "embedding") -> str | None:
    """The pooling, "cls" or "last", by which a head reads one token of each text alone; None where it reads more.

    Nor is that known of a head behind a norm with a bias, which would not leave the zeros of a text without tokens.
    """
    if spec.final_norm and spec.norm is Norm.LAYER and spec.norm_bias:
        return None
    if head == "classifier":
        assert spec.classifier is not None
        found = {None if spec.classifier.hidden_of_tokens else _ONE_TOKEN.get(spec.classifier.pooling)}
    else:
        found = {_ONE_TOKEN.get(mode) for mode in spec.pooling}
    return found.pop() if len(found) == 1 else None


def products(spec: EncoderSpec) -> dict[str, int]:
    """The matrix products whose precision `build` chooses, by name, with their multiplications for one token."""
    width = spec.num_heads * spec.head_size
    columns = (spec.num_heads + 2 * spec.num_kv_heads) * spec.head_size
    inner = spec.hidden_size * spec.intermediate_size
    up = ("gate_up", 2 * inner) if spec.gated_mlp else ("up", inner)
    layer = {"attention.qkv": spec.hidden_size * columns, "attention.o": width * spec.hidden_size}
    layer |= {f"mlp.{up[0]}": up[1], "mlp.down": inner}
    return {f"layers.{i}.{name}": count for i in range(len(spec.layers)) for name, count in layer.items()}


def int8_share(spec: EncoderSpec, keep_bf16: Collection[str] = (), tokens: int = 128) -> float:
    """Share of the matrix multiplications that int8 does in texts of `tokens` tokens, if every row is computed;
    attention's own are bfloat16.
    """
    counts = products(spec)
    attention = len(spec.layers) * 2 * tokens * spec.num_heads * spec.head_size
    return sum(n for name, n in counts.items() if name not in keep_bf16) / (sum(counts.values()) + attention)


def _check_names(spec: EncoderSpec, names: Collection[str]) -> None:
    for name in names:
        if name not in (known := products(spec)):
            raise UsageError(f"{name!r} is none of the products {', '.join(known)}.")


def check(spec: EncoderSpec) -> None:
    """Raise `UnsupportedModel` for a spec that the kernels cannot compute."""
    refuse_disentangled(spec, "cpu-*")
    if layout.padded(spec.head_size) > _WIDEST_HEAD:
        raise UnsupportedModel(
            f"family {spec.family!r} has heads of {spec.head_size}; the cpu kernels take up to {_WIDEST_HEAD}."
        )


def _embeddings(g: Packer, spec: EncoderSpec, token_types: bool, int8: bool) -> str:
    absolute = spec.positions in _TABLES
    word, scale = g.int8_table("embeddings.word") if int8 else (g.table("embeddings.word"), "")
    x = g.operator(
        "Embeddings", "input_ids", "cu_seqlens", word, g.table("embeddings.position") if absolute else "", scale,
        positions=str(spec.positions) if absolute else "none", position_offset=spec.position_offset,
        pad_token_id=spec.pad_token_id, max_length=0,
    )  # fmt: skip
    if token_types:
        x = add_token_types(g, x)
    return _norm(g, spec, "embeddings.norm", x) if spec.embedding_norm else x


def _norm(g: Packer, spec: EncoderSpec, slot: str, x: str) -> str:
    return g.operator(
        "Norm", x, g.vector(f"{slot}.weight"), g.vector(f"{slot}.bias"),
        norm=str(spec.norm), norm_eps=spec.norm_eps, hidden_size=spec.hidden_size,
    )  # fmt: skip


def _layer(g: Packer, inputs: Sequence[str], attributes: Mapping[str, Any], pooling: str | None, head: Head) -> _Hidden:
    """With `pooling`, the layer of whose rows the head reads those of that token alone."""
    if pooling is None:
        return _Hidden(g.operator("EncoderLayer", *inputs, **attributes))
    if head == "classifier":
        return _Hidden("", g.operator("PooledEncoderLayer", *inputs, pooling=pooling, **attributes))
    g.add_initializer(_OUTPUT_TOKENS, np.ones(1, np.int32))
    pooled, tokens = g.operator("PooledEncoderLayer", *inputs, _OUTPUT_TOKENS, outputs=2, pooling=pooling, **attributes)
    return _Hidden(tokens, pooled)


def _finish(g: Packer, spec: EncoderSpec, hidden: _Hidden, head: Head) -> onnx.ModelProto:
    inputs: dict[str, tuple[int, tuple[str | int, ...]]] = {
        "input_ids": (INT32, ("total_tokens",)),
        "cu_seqlens": (INT32, ("batch_and_one",)),
    }
    if takes_token_types(spec, head):
        inputs["token_type_ids"] = (INT32, ("total_tokens",))
    outputs: dict[str, tuple[int, tuple[str | int, ...]]]
    if head == "classifier":
        assert spec.classifier is not None
        g.rename(_logits(g, spec, hidden), "logits")
        outputs = {"logits": (FLOAT, ("batch", len(spec.classifier.labels)))}
    else:
        g.rename(_sentence_embedding(g, spec, hidden), "sentence_embedding")
        if hidden.pooled:
            inputs[_OUTPUT_TOKENS] = (INT32, (1,))
        ids, unit = _ids(g, spec, hidden), lambda g, x: g.operator("Normalize", x)
        of_tokens = token_heads(g, spec, hidden.tokens, "int32", _token_dense, unit, ids)
        g.rename(hidden.tokens, "token_embeddings")
        outputs = {
            "token_embeddings": (FLOAT, ("total_tokens", spec.hidden_size)),
            "sentence_embedding": (FLOAT, ("batch", spec.embedding_dimension)),
        }
        outputs |= {name: (FLOAT, ("total_tokens", columns)) for name, columns in of_tokens.items()}
    return g.model(inputs, outputs, {"family": spec.family})


def _ids(g: Packer, spec: EncoderSpec, hidden: _Hidden) -> str:
    """The ids of the tokens that have a row: all, or none."""
    if not hidden.pooled or spec.sparse is None:
        return "input_ids"
    return str(g.node("Slice", "input_ids", g.constant([0], "int64"), g.node("Shape", hidden.tokens, end=1)))


def _sentence_embedding(g: Packer, spec: EncoderSpec, hidden: _Hidden) -> str:
    with g.scope("pooling"):
        pooled = [_pool(g, spec, hidden, mode) for mode in spec.pooling]
        vector = pooled[0] if len(pooled) == 1 else str(g.node("Concat", *pooled, axis=-1))
        for index, dense in enumerate(spec.projections):
            sizes = (dense.in_features, dense.out_features)
            vector = _dense(g, f"projections.{index}", vector, sizes, dense.activation)
        return g.operator("Normalize", vector) if spec.normalize else vector


def _logits(g: Packer, spec: EncoderSpec, hidden: _Hidden) -> str:
    head = spec.classifier
    assert head is not None
    with g.scope("classifier"):
        if head.hidden_of_tokens:
            vector = _pool(g, spec, _Hidden(_before_last(g, spec, head, hidden.tokens)), head.pooling)
        else:
            vector = _before_last(g, spec, head, _pool(g, spec, hidden, head.pooling))
        return _dense(g, "classifier.out", vector, (spec.hidden_size, len(head.labels)), "identity")


def _before_last(g: Packer, spec: EncoderSpec, head: Classifier, x: str) -> str:
    """What a head does before its last layer."""
    if head.hidden_activation:
        x = _dense(g, "classifier.dense", x, (spec.hidden_size,) * 2, head.hidden_activation)
    return _norm(g, spec, "classifier.norm", x) if head.hidden_norm else x


def _token_dense(g: Packer, slot: str, x: str, kind: str) -> str:
    out, into = g.weights[f"{slot}.weight"].shape
    return _dense(g, slot, x, (into, out), kind)


def _pool(g: Packer, spec: EncoderSpec, hidden: _Hidden, mode: Pooling) -> str:
    pooled = hidden.pooled or g.operator("Pooling", hidden.tokens, "cu_seqlens", pooling=str(mode))
    if mode is Pooling.FIRST_TOKEN_TRANSFORM:
        return _dense(g, "pooler", pooled, (spec.hidden_size,) * 2, "tanh")
    return pooled


def _dense(g: Packer, slot: str, x: str, sizes: tuple[int, int], activation: str) -> str:
    """A small product in float32 whatever the precision: it costs nothing, and logits keep their digits."""
    name = f"{slot}.weight"
    weight = g.packed(name, layout.pack_linear(g.weights[name], "fp32"))
    bias = g.vector(f"{slot}.bias")
    return g.operator("Dense", x, weight, bias, in_features=sizes[0], out_features=sizes[1], activation=activation)
