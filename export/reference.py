"""A spec run in NumPy float64: the definition that a graph is compared with where PyTorch is not at hand."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strizh.export.spec import EncoderSpec, Layer, Pooling, Positions, Rope, Scaling
from strizh.export.weights import Array
from strizh.kernels import reference as ops
from strizh.kernels.reference_layer import encoder_layer

Ids = Sequence[int]


@dataclasses.dataclass(frozen=True, slots=True)
class Outputs:
    """Float64: `token_embeddings` one [length, hidden_size] a text; `sentence_embedding` [batch, dim]; `logits`."""

    token_embeddings: tuple[NDArray[np.float64], ...]
    sentence_embedding: NDArray[np.float64]
    logits: NDArray[np.float64] | None
    sparse_weights: tuple[NDArray[np.float64], ...] = ()  # [length, 1] a text
    colbert_vectors: tuple[NDArray[np.float64], ...] = ()  # [length, dim] a text


@dataclasses.dataclass(frozen=True, slots=True)
class Definition:
    """What the graphs of a bundle have to compute: this spec over these weights.

    `kept`, int64 [tokens], has the id here of every id of a bundle whose vocabulary is cut; None where none is.
    """

    spec: EncoderSpec
    weights: Mapping[str, Array]
    kept: NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        """What a parity report calls it."""
        return "the spec in NumPy float64" + ("" if self.kept is None else ", vocabulary whole")

    def run(self, texts: Sequence[Ids], token_types: Sequence[Ids] | None = None) -> Outputs:
        """`run` of texts given in the bundle's ids."""
        if self.kept is not None:
            texts = [self.kept[list(text)].tolist() for text in texts]
        return run(self.spec, self.weights, texts, token_types)


def run(
    spec: EncoderSpec, weights: Mapping[str, Array], texts: Sequence[Ids], token_types: Sequence[Ids] | None = None
) -> Outputs:
    """Every text alone, in float64; `ntk_length="batch"` takes the longest of `texts` for the padded length.

    `token_types`, of a classifier's pairs, are as long as the texts; None means zeros.
    """
    ids = np.concatenate([np.asarray(text, np.int64) for text in texts])
    cu_seqlens = np.cumsum([0, *map(len, texts)])
    types = None if token_types is None else np.concatenate([np.asarray(row, np.int64) for row in token_types])
    x = _embed(spec, weights, ids, cu_seqlens, types)
    for index, layer in enumerate(spec.layers):
        x = encoder_layer(x, cu_seqlens, _of_layer(weights, index), **_attributes(spec, layer, max(map(len, texts))))
    if spec.final_norm:
        x = _norm(spec, weights, "final_norm", x)
    return Outputs(
        tuple(x[rows] for rows in ops.texts(cu_seqlens)),
        _sentences(spec, weights, x, cu_seqlens),
        _logits(spec, weights, x, cu_seqlens) if spec.classifier else None,
        *(tuple(rows[part] for part in ops.texts(cu_seqlens)) for rows in token_heads(spec, weights, x, ids)),
    )


def token_heads(
    spec: EncoderSpec, weights: Mapping[str, Array], x: ArrayLike, ids: ArrayLike
) -> Iterator[NDArray[np.float64]]:
    """Term weights [tokens, 1] and vectors of late interaction [tokens, dim] of token embeddings `x`; no columns where the
    spec has none.
    """
    sparse = vectors = np.zeros((np.size(ids), 0))
    if spec.sparse is not None:
        sparse = ops.activate(ops.linear(x, weights["sparse.weight"], weights["sparse.bias"]), "relu")
        sparse = np.where(np.isin(ids, spec.sparse)[:, None], 0, sparse)
    if spec.multi_vector:
        vectors = ops.normalize(ops.linear(x, weights["multi_vector.weight"], weights["multi_vector.bias"]))
    yield from (sparse, vectors)


def _embed(
    spec: EncoderSpec, weights: Mapping[str, Array], ids: Any, cu_seqlens: Any, types: Any
) -> NDArray[np.float64]:
    rows = None
    if "embeddings.position" in weights:
        by_id = spec.positions is Positions.ABSOLUTE_BY_ID
        rows = ops.position_ids(ids, cu_seqlens, pad=spec.pad_token_id if by_id else None)
    x = ops.embeddings(ids, weights["embeddings.word"], weights.get("embeddings.position"), rows)
    if types is not None and "embeddings.token_type" in weights:
        x = x + np.asarray(weights["embeddings.token_type"], np.float64)[types]
    return _norm(spec, weights, "embeddings.norm", x) if spec.embedding_norm else x


def _of_layer(weights: Mapping[str, Array], index: int) -> dict[str, Array]:
    prefix = f"layers.{index}."
    found = {slot.removeprefix(prefix): weights[slot] for slot in weights if slot.startswith(prefix)}
    return found | ({"relative_bias": weights["relative_bias"]} if "relative_bias" in weights else {})


def _attributes(spec: EncoderSpec, layer: Layer, longest: int) -> dict[str, Any]:
    return {
        "head_size": spec.head_size,
        "activation": spec.activation.value,
        "attention_scale": spec.attention_scale,
        "norm_kind": spec.norm.value,
        "norm_eps": spec.norm_eps,
        "pre_norm": spec.pre_norm,
        "rope": dataclasses.asdict(_settled(spec, layer.rope, longest)) if layer.rope else None,
        "window": layer.window,
        "causal": spec.causal,
        "relative_max_distance": spec.relative_max_distance,
    }


def _settled(spec: EncoderSpec, rope: Rope, longest: int) -> Rope:
    """With one length for the whole batch the dynamic formula is a plain rope of another theta."""
    if spec.ntk_length == "text" or rope.scaling is not Scaling.DYNAMIC:
        return rope
    stretch = 1 + rope.factor * max(longest - rope.trained_positions, 0) / rope.trained_positions
    theta = rope.theta * stretch ** (rope.dim / (rope.dim - 2))
    return Rope(theta, rope.dim)


def _norm(spec: EncoderSpec, weights: Mapping[str, Array], slot: str, x: Any) -> NDArray[np.float64]:
    sides = weights[f"{slot}.weight"], weights.get(f"{slot}.bias")
    return ops.norm(x, *sides, kind=spec.norm.value, eps=spec.norm_eps)


def _pool(weights: Mapping[str, Array], x: Any, cu_seqlens: Any, mode: Pooling) -> NDArray[np.float64]:
    vector = ops.pool(x, cu_seqlens, mode.value)
    if mode is Pooling.FIRST_TOKEN_TRANSFORM:
        vector = np.tanh(ops.linear(vector, weights["pooler.weight"], weights["pooler.bias"]))
    return vector


def _sentences(spec: EncoderSpec, weights: Mapping[str, Array], x: Any, cu_seqlens: Any) -> NDArray[np.float64]:
    vector = np.concatenate([_pool(weights, x, cu_seqlens, mode) for mode in spec.pooling], axis=-1)
    for index, dense in enumerate(spec.projections):
        slot = f"projections.{index}"
        vector = ops.linear(vector, weights[f"{slot}.weight"], weights.get(f"{slot}.bias"))
        vector = ops.activate(vector, dense.activation)
    return ops.normalize(vector) if spec.normalize else vector


def _logits(spec: EncoderSpec, weights: Mapping[str, Array], x: Any, cu_seqlens: Any) -> NDArray[np.float64]:
    head = spec.classifier
    assert head is not None

    def hidden(x: Any) -> Any:
        if head.hidden_activation:
            dense = ops.linear(x, weights["classifier.dense.weight"], weights.get("classifier.dense.bias"))
            x = ops.activate(dense, head.hidden_activation)
        return _norm(spec, weights, "classifier.norm", x) if head.hidden_norm else x

    def pool(x: Any) -> NDArray[np.float64]:
        return _pool(weights, x, cu_seqlens, head.pooling)

    vector = pool(hidden(x)) if head.hidden_of_tokens else hidden(pool(x))
    return ops.linear(vector, weights["classifier.out.weight"], weights.get("classifier.out.bias"))
