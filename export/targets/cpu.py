"""`cpu`: the packed batch through strizh's own operators, one a layer, with weights in the layout they read.

The operators' attributes are the fields of the spec; kernels/cpu/ort_operators.h lists their inputs.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

import onnx

from strizh.export.graph import FLOAT, INT32
from strizh.export.parts.disentangled import refuse_disentangled
from strizh.export.parts.embeddings import add_token_types
from strizh.export.parts.token_heads import token_heads
from strizh.export.spec import Classifier, EncoderSpec, Layer, Pooling, Positions
from strizh.export.targets.cpu_weights import Packer
from strizh.export.targets.portable import Head, takes_token_types
from strizh.export.weights import Array
from strizh.kernels import layout
from strizh.runtime.errors import UnsupportedModel, UsageError

_WIDEST_HEAD = 256
_TABLES = (Positions.ABSOLUTE, Positions.ABSOLUTE_BY_ID)


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
    """
    check(spec)
    _check_names(spec, [*keep_bf16, *smoothing])
    g = Packer(spec.family, weights, precision, frozenset(keep_bf16), smoothing)
    hidden = _embeddings(g, spec, takes_token_types(spec, head), int8_table)
    for index, layer in enumerate(spec.layers):
        with g.scope(f"layers.{index}"):
            hidden = _layer(g, spec, layer, f"layers.{index}", hidden)
    if spec.final_norm:
        hidden = _norm(g, spec, "final_norm", hidden)
    return _finish(g, spec, hidden, head)


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
    """Share of the matrix multiplications that int8 does in texts of `tokens` tokens; attention's own are bfloat16."""
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


def _layer(g: Packer, spec: EncoderSpec, layer: Layer, slot: str, x: str) -> str:
    rope = layer.rope
    return g.operator(
        "EncoderLayer", x, "cu_seqlens",
        *_attention(g, spec, f"{slot}.attention", rope.dim if rope else 0),
        *_mlp(g, spec, f"{slot}.mlp"),
        *(g.vector(f"{slot}.{norm}.norm.{part}") for norm in ("attention", "mlp") for part in ("weight", "bias")),
        *_head_norms(g, spec, f"{slot}.attention", rope.dim if rope else 0),
        g.weight("relative_bias") if spec.positions is Positions.RELATIVE_BIAS else "",
        *_smoothing(g, spec, slot),
        hidden_size=spec.hidden_size, num_heads=spec.num_heads, num_kv_heads=spec.num_kv_heads,
        head_size=spec.head_size, intermediate_size=spec.intermediate_size, activation=str(spec.activation),
        gated_mlp=int(spec.gated_mlp), norm=str(spec.norm), norm_eps=spec.norm_eps, pre_norm=int(spec.pre_norm),
        attention_scale=spec.attention_scale, causal=int(spec.causal),
        window=-1 if layer.window is None else layer.window,
        rope_dim=rope.dim if rope else 0, rope_theta=rope.theta if rope else 0.0,
        rope_scaling=str(rope.scaling) if rope else "none", rope_factor=rope.factor if rope else 1.0,
        trained_positions=rope.trained_positions if rope else 0,
        relative_buckets=spec.relative_buckets, relative_max_distance=spec.relative_max_distance,
    )  # fmt: skip


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


def _finish(g: Packer, spec: EncoderSpec, hidden: str, head: Head) -> onnx.ModelProto:
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
        of_tokens = token_heads(g, spec, hidden, "int32", _token_dense, lambda g, x: g.operator("Normalize", x))
        g.rename(hidden, "token_embeddings")
        outputs = {
            "token_embeddings": (FLOAT, ("total_tokens", spec.hidden_size)),
            "sentence_embedding": (FLOAT, ("batch", spec.embedding_dimension)),
        }
        outputs |= {name: (FLOAT, ("total_tokens", columns)) for name, columns in of_tokens.items()}
    return g.model(inputs, outputs, {"family": spec.family})


def _sentence_embedding(g: Packer, spec: EncoderSpec, hidden: str) -> str:
    with g.scope("pooling"):
        pooled = [_pool(g, spec, hidden, mode) for mode in spec.pooling]
        vector = pooled[0] if len(pooled) == 1 else str(g.node("Concat", *pooled, axis=-1))
        for index, dense in enumerate(spec.projections):
            sizes = (dense.in_features, dense.out_features)
            vector = _dense(g, f"projections.{index}", vector, sizes, dense.activation)
        return g.operator("Normalize", vector) if spec.normalize else vector


def _logits(g: Packer, spec: EncoderSpec, hidden: str) -> str:
    head = spec.classifier
    assert head is not None
    with g.scope("classifier"):
        if head.hidden_of_tokens:
            vector = _pool(g, spec, _hidden(g, spec, head, hidden), head.pooling)
        else:
            vector = _hidden(g, spec, head, _pool(g, spec, hidden, head.pooling))
        return _dense(g, "classifier.out", vector, (spec.hidden_size, len(head.labels)), "identity")


def _hidden(g: Packer, spec: EncoderSpec, head: Classifier, x: str) -> str:
    """What a head does before its last layer."""
    if head.hidden_activation:
        x = _dense(g, "classifier.dense", x, (spec.hidden_size,) * 2, head.hidden_activation)
    return _norm(g, spec, "classifier.norm", x) if head.hidden_norm else x


def _token_dense(g: Packer, slot: str, x: str, kind: str) -> str:
    out, into = g.weights[f"{slot}.weight"].shape
    return _dense(g, slot, x, (into, out), kind)


def _pool(g: Packer, spec: EncoderSpec, hidden: str, mode: Pooling) -> str:
    pooled = g.operator("Pooling", hidden, "cu_seqlens", pooling=str(mode))
    if mode is Pooling.FIRST_TOKEN_TRANSFORM:
        return _dense(g, "pooler", pooled, (spec.hidden_size,) * 2, "tanh")
    return pooled


def _dense(g: Packer, slot: str, x: str, sizes: tuple[int, int], activation: str) -> str:
    """A small product in float32 whatever the precision: it costs nothing, and logits keep their digits."""
    name = f"{slot}.weight"
    weight = g.packed(name, layout.pack_linear(g.weights[name], "fp32"))
    bias = g.vector(f"{slot}.bias")
    return g.operator("Dense", x, weight, bias, in_features=sizes[0], out_features=sizes[1], activation=activation)
