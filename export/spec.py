"""`EncoderSpec`: the architecture of an encoder as data.

A family writes it, every target reads it. It knows nothing of files, engines or tensors' values; the tensors travel
beside it in a `Weights` mapping whose keys are the slots listed in `slots()`.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Activation(StrEnum):
    GELU = "gelu"  # x * Phi(x), with erf
    GELU_TANH = "gelu_tanh"  # its tanh approximation
    SILU = "silu"
    RELU = "relu"


class Norm(StrEnum):
    LAYER = "layer_norm"
    RMS = "rms_norm"


class Positions(StrEnum):
    ABSOLUTE = "absolute"  # a learned table, rows counted 0, 1, 2 ...
    ABSOLUTE_BY_ID = "absolute_by_id"  # XLM-R: cumsum(id != pad) * (id != pad) + pad, so pad ids do not count
    ROTARY = "rotary"
    RELATIVE_BIAS = "relative_bias"  # T5: one bucketed bias table shared by all layers
    DISENTANGLED = "disentangled"  # DeBERTa: queries and keys also meet vectors of their bucketed distance, by layer
    NONE = "none"


class Scaling(StrEnum):
    NONE = "none"
    LINEAR = "linear"  # angle = position / factor * inv_freq
    DYNAMIC = "dynamic"  # theta * (factor * max(S, M) / M - (factor - 1)) ** (d / (d - 2)), S the text's length
    NTK = "ntk"  # GTE's fixed form: (theta * factor) ** (-2i / d) / factor ** (2 / d)


class Pooling(StrEnum):
    MEAN = "mean"
    CLS = "cls"
    FIRST_TOKEN_TRANSFORM = "first_token_transform"  # tanh(dense(first token))
    MAX = "max"
    LAST = "last"
    MEAN_SQRT_LEN = "mean_sqrt_len_tokens"
    WEIGHTED_MEAN = "weightedmean"  # weights 1, 2, 3 ... by position


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary embedding of one layer: rotate_half over the first `dim` of each head (LLaMA's split halves)."""

    theta: float
    dim: int
    scaling: Scaling = Scaling.NONE
    factor: float = 1.0
    trained_positions: int = 0  # M of the dynamic formula


@dataclass(frozen=True, slots=True)
class Layer:
    """What may differ from layer to layer."""

    rope: Rope | None = None
    window: int | None = None  # tokens visible on each side; None sees everything
    attention_norm: bool = True  # ModernBERT's first layer has no norm of its own


@dataclass(frozen=True, slots=True)
class Projection:
    """A sentence-transformers Dense module after pooling."""

    in_features: int
    out_features: int
    bias: bool
    activation: str  # "identity", "tanh", "relu", "gelu" or "sigmoid"


@dataclass(frozen=True, slots=True)
class Classifier:
    """A head that gives `logits` from a pooled vector, which need not be the sentence vector's pooling."""

    labels: tuple[str, ...]
    pooling: Pooling
    hidden_activation: str | None = None  # XLM-R's head: dense -> tanh -> out_proj; None is one linear layer
    hidden_bias: bool = True  # of that dense
    hidden_norm: bool = False  # ModernBERT's head: dense -> gelu -> norm -> classifier
    hidden_of_tokens: bool = False  # EuroBERT's head: dense -> gelu of every token before they are pooled
    out_bias: bool = True  # of the last layer; Qwen3's has none
    activation: str = "identity"  # what turns its logits into scores: "sigmoid", "softmax" or "identity"
    token_types: int = 1  # rows of the token type table, with which it tells the two texts of a pair apart


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSpec:
    """One encoder. Sizes are counts of elements, lengths are tokens."""

    family: str
    vocab_size: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_size: int
    intermediate_size: int
    layers: tuple[Layer, ...]
    positions: Positions
    max_positions: int  # longest text in tokens that the position scheme was made for
    position_offset: int  # first row of the position table that a text uses: 2 for XLM-R, else 0
    pad_token_id: int
    activation: Activation
    gated_mlp: bool = False
    norm: Norm = Norm.LAYER
    norm_eps: float
    norm_bias: bool = True
    pre_norm: bool = False
    embedding_norm: bool = True
    final_norm: bool = False
    attention_scale: float
    attention_bias: tuple[bool, bool, bool, bool] = (True, True, True, True)  # q, k, v, output
    mlp_bias: tuple[bool, bool] = (True, True)  # up and gate, down
    head_norm: bool = False  # Qwen3: RMSNorm over each head of q and k
    causal: bool = False
    relative_buckets: int = 0  # rows of T5's table, or of each of DeBERTa's
    relative_max_distance: int = 0  # where logarithmic buckets end; 0, of DeBERTa-v1: every distance has its own
    position_terms: tuple[str, ...] = ()  # DeBERTa: "c2p", queries meet positions; "p2c", keys do
    ntk_length: str = "text"  # "batch" reproduces the published RoPEBert module: S is the padded batch length
    pooling: tuple[Pooling, ...] = (Pooling.MEAN,)  # several are concatenated, as sentence-transformers does
    projections: tuple[Projection, ...] = ()
    normalize: bool = False
    classifier: Classifier | None = None
    sparse: tuple[int, ...] | None = None  # bge-m3's term weights: the ids of the tokens that have none
    multi_vector: int = 0  # width of bge-m3's vectors of late interaction, one a token; 0 without them

    @property
    def embedding_dimension(self) -> int:
        """Length of a sentence vector."""
        return self.projections[-1].out_features if self.projections else self.hidden_size * len(self.pooling)

    @property
    def ropes(self) -> tuple[Rope, ...]:
        """The rotary embeddings of the layers, each once, in the order of their first layer."""
        return tuple(dict.fromkeys(layer.rope for layer in self.layers if layer.rope))

    def slots(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor that this spec needs, as (slot, shape); linear weights are [out_features, in_features]."""
        hidden, query, key = self.hidden_size, self.num_heads * self.head_size, self.num_kv_heads * self.head_size
        yield "embeddings.word", (self.vocab_size, hidden)
        if self.classifier and self.classifier.token_types > 1:
            yield "embeddings.token_type", (self.classifier.token_types, hidden)
        if self.positions in (Positions.ABSOLUTE, Positions.ABSOLUTE_BY_ID):
            yield "embeddings.position", (self.position_offset + self.max_positions, hidden)
        if self.positions is Positions.RELATIVE_BIAS:
            yield "relative_bias", (self.relative_buckets, self.num_heads)
        if self.embedding_norm:
            yield from self._norm("embeddings.norm")
        for index, layer in enumerate(self.layers):
            at = f"layers.{index}"
            sizes = ((query, hidden), (key, hidden), (key, hidden), (hidden, query))
            for name, shape, bias in zip("qkvo", sizes, self.attention_bias, strict=True):
                yield from _linear(f"{at}.attention.{name}", shape, bias)
            if self.head_norm:
                yield f"{at}.attention.q_norm.weight", (self.head_size,)
                yield f"{at}.attention.k_norm.weight", (self.head_size,)
            for term, table in (("c2p", "position_key"), ("p2c", "position_query")):
                if term in self.position_terms:
                    yield f"{at}.attention.{table}", (self.relative_buckets, query)
            if layer.attention_norm:
                yield from self._norm(f"{at}.attention.norm")
            for name in ("gate", "up") if self.gated_mlp else ("up",):
                yield from _linear(f"{at}.mlp.{name}", (self.intermediate_size, hidden), self.mlp_bias[0])
            yield from _linear(f"{at}.mlp.down", (hidden, self.intermediate_size), self.mlp_bias[1])
            yield from self._norm(f"{at}.mlp.norm")
        if self.final_norm:
            yield from self._norm("final_norm")
        if Pooling.FIRST_TOKEN_TRANSFORM in (*self.pooling, self.classifier and self.classifier.pooling):
            yield from _linear("pooler", (hidden, hidden), True)
        for index, dense in enumerate(self.projections):
            yield from _linear(f"projections.{index}", (dense.out_features, dense.in_features), dense.bias)
        if self.sparse is not None:
            yield from _linear("sparse", (1, hidden), True)
        if self.multi_vector:
            yield from _linear("multi_vector", (self.multi_vector, hidden), True)
        if self.classifier:
            if self.classifier.hidden_activation:
                yield from _linear("classifier.dense", (hidden, hidden), self.classifier.hidden_bias)
            if self.classifier.hidden_norm:
                yield from self._norm("classifier.norm")
            yield from _linear("classifier.out", (len(self.classifier.labels), hidden), self.classifier.out_bias)

    def _norm(self, slot: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{slot}.weight", (self.hidden_size,)
        if self.norm is Norm.LAYER and self.norm_bias:
            yield f"{slot}.bias", (self.hidden_size,)

    def to_json(self) -> dict[str, Any]:
        """Plain data for the manifest: enums as strings, tuples as lists."""
        return dataclasses.asdict(self)


def _linear(slot: str, shape: tuple[int, int], bias: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{slot}.weight", shape
    if bias:
        yield f"{slot}.bias", shape[:1]
