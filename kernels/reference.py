"""The definition of every operator, in NumPy float64: what the fast kernels are tested against.

All texts of a batch lie one after the other: `cu_seqlens` int [batch + 1] says where each begins, and `hidden` is
[total_tokens, hidden_size]. Linear weights are [out_features, in_features]. Every function takes arrays and numbers
of any float type, computes in float64, and knows nothing of files, specs or engines. `reference_layer.py` makes a whole
encoder layer of them.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strizh.kernels.relative import distances

Array = NDArray[np.float64]


def texts(cu_seqlens: ArrayLike) -> Iterator[slice]:
    """The rows of each text in a packed batch."""
    bounds = np.asarray(cu_seqlens, np.int64)
    return (slice(int(start), int(end)) for start, end in itertools.pairwise(bounds))


def linear(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """x [n, in] times weight [out, in] transposed, plus bias [out]."""
    product: Array = np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T
    return product if bias is None else product + np.asarray(bias, np.float64)


def layer_norm(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, eps: float) -> Array:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axis."""
    x = np.asarray(x, np.float64)
    centred = x - x.mean(-1, keepdims=True)
    y: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps) * np.asarray(weight, np.float64)
    return y if bias is None else y + np.asarray(bias, np.float64)


def rms_norm(x: ArrayLike, weight: ArrayLike, eps: float) -> Array:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis."""
    x = np.asarray(x, np.float64)
    return np.asarray(x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * np.asarray(weight, np.float64))


def norm(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, *, kind: str, eps: float) -> Array:
    """`kind` is "layer_norm" or "rms_norm"; an RMS norm has no bias."""
    return rms_norm(x, weight, eps) if kind == "rms_norm" else layer_norm(x, weight, bias, eps)


def erf(x: ArrayLike) -> Array:
    """The error function, number by number: NumPy has none of its own."""
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x))


def activate(x: ArrayLike, kind: str) -> Array:
    """`kind`: gelu, gelu_tanh, silu, relu, tanh, sigmoid, identity."""
    x = np.asarray(x, np.float64)
    match kind:
        case "gelu":
            return 0.5 * x * (1 + erf(x / np.sqrt(2)))
        case "gelu_tanh":
            return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))
        case "silu":
            return x * activate(x, "sigmoid")
        case "relu":
            return np.asarray(np.maximum(x, 0))
        case "tanh":
            return np.asarray(np.tanh(x))
        case "sigmoid":
            return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))
        case "identity":
            return x
    raise ValueError(f"activation {kind!r}; expected gelu, gelu_tanh, silu, relu, tanh, sigmoid or identity")


def position_ids(
    input_ids: ArrayLike, cu_seqlens: ArrayLike, *, offset: int = 0, pad: int | None = None
) -> NDArray[np.int64]:
    """Row of the position table for every token, int64 [total_tokens].

    0, 1, 2 ... from `offset` in each text; with `pad` given, XLM-R's rule cumsum(id != pad) * (id != pad) + pad.
    """
    ids = np.asarray(input_ids, np.int64)
    positions = np.empty(ids.shape, np.int64)
    for text in texts(cu_seqlens):
        if pad is None:
            positions[text] = offset + np.arange(text.stop - text.start)
        else:
            real = ids[text] != pad
            positions[text] = np.cumsum(real) * real + pad
    return positions


def embeddings(
    input_ids: ArrayLike, word: ArrayLike, position: ArrayLike | None = None, rows: ArrayLike | None = None
) -> Array:
    """word[input_ids] + position[rows], [total_tokens, hidden]; the norm that may follow is `norm`."""
    hidden = np.asarray(word, np.float64)[np.asarray(input_ids, np.int64)]
    return hidden if position is None else hidden + np.asarray(position, np.float64)[np.asarray(rows, np.int64)]


def inverse_frequencies(
    *, theta: float, dim: int, length: int, scaling: str = "none", factor: float = 1.0, trained_positions: int = 0
) -> Array:
    """Angle per position of each rotary pair, [dim / 2], for a text of `length` tokens.

    linear: theta^(-2i/d) / factor. dynamic (the LLaMA formula, branch-free): theta grows by
    (factor * max(S, M) / M - (factor - 1))^(d / (d - 2)). ntk (GTE): (theta * factor)^(-2i/d) / factor^(2/d).
    """
    exponents = np.arange(0, dim, 2) / dim
    match scaling:
        case "none":
            return np.asarray(theta**-exponents)
        case "linear":
            return np.asarray(theta**-exponents / factor)
        case "dynamic":
            ratio = max(length, trained_positions) / trained_positions
            return np.asarray((theta * (factor * ratio - (factor - 1)) ** (dim / (dim - 2))) ** -exponents)
        case "ntk":
            return np.asarray((theta * factor) ** -exponents / factor ** (2 / dim))
    raise ValueError(f"rope scaling {scaling!r}; expected none, linear, dynamic or ntk")


def rotate(x: ArrayLike, inv_freq: ArrayLike) -> Array:
    """Rotary embedding of one text, x [length, heads, head_size]: split halves of the first 2 * len(inv_freq)."""
    y = np.array(x, np.float64)
    half = np.asarray(inv_freq).shape[0]
    angle = np.outer(np.arange(y.shape[0]), np.asarray(inv_freq, np.float64))[:, None, :]
    a, b = y[..., :half].copy(), y[..., half : 2 * half].copy()
    y[..., :half] = a * np.cos(angle) - b * np.sin(angle)
    y[..., half : 2 * half] = b * np.cos(angle) + a * np.sin(angle)
    return y


def visible(length: int, *, window: int | None = None, causal: bool = False) -> NDArray[np.bool_]:
    """Which key each query sees, [query, key]: `window` tokens on each side, none from the future if `causal`."""
    distance = distances(length)
    seen = np.ones((length, length), bool) if window is None else np.abs(distance) <= window
    return np.asarray(seen & (distance <= 0) if causal else seen)


def attention(
    q: ArrayLike, k: ArrayLike, v: ArrayLike, *, scale: float, seen: ArrayLike | None = None,
    bias: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """softmax(q k^T * scale + bias) v of one text.

    q [length, heads, d]; k and v [length, kv_heads, d], each KV head serving heads / kv_heads query heads;
    seen bool [length, length]; bias [heads, length, length]. Gives [length, heads, d].
    """
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    shared = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, shared, axis=1), np.repeat(v, shared, axis=1)
    scores = np.einsum("qhd,khd->hqk", q, k) * scale
    if bias is not None:
        scores = scores + np.asarray(bias, np.float64)
    if seen is not None:
        scores = np.where(np.asarray(seen), scores, -np.inf)
    scores = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf)) if scores.size else scores
    return np.asarray(np.einsum("hqk,khd->qhd", scores / scores.sum(-1, keepdims=True), v))


def mlp(
    x: ArrayLike,
    up: tuple[ArrayLike, ArrayLike | None],
    down: tuple[ArrayLike, ArrayLike | None],
    *,
    activation: str,
    gate: tuple[ArrayLike, ArrayLike | None] | None = None,
) -> Array:
    """down(act(up(x))), or down(act(gate(x)) * up(x)); each linear is (weight, bias or None)."""
    inner = linear(x, *up)
    inner = activate(inner, activation) if gate is None else activate(linear(x, *gate), activation) * inner
    return linear(inner, *down)


def pool(hidden: ArrayLike, cu_seqlens: ArrayLike, kind: str) -> Array:
    """One vector a text, [batch, hidden]; a text without tokens gives zeros.

    `kind`: mean, cls, first_token_transform (the first token; the dense and tanh follow), max, last,
    mean_sqrt_len_tokens (sum / sqrt(n)), weightedmean (weights 1, 2, 3 ...).
    """
    hidden = np.asarray(hidden, np.float64)
    rows = [hidden[text] for text in texts(cu_seqlens)]
    return np.stack([_pool_one(row, kind) if len(row) else np.zeros(hidden.shape[1]) for row in rows])


def _pool_one(rows: Array, kind: str) -> Array:
    match kind:
        case "mean":
            return np.asarray(rows.mean(0))
        case "cls" | "first_token_transform":
            return np.asarray(rows[0])
        case "max":
            return np.asarray(rows.max(0))
        case "last":
            return np.asarray(rows[-1])
        case "mean_sqrt_len_tokens":
            return np.asarray(rows.sum(0) / np.sqrt(len(rows)))
        case "weightedmean":
            weights = np.arange(1, len(rows) + 1)
            return np.asarray(weights @ rows / weights.sum())
    raise ValueError(
        f"pooling {kind!r}; expected mean, cls, first_token_transform, max, last, mean_sqrt_len_tokens or weightedmean"
    )


def normalize(x: ArrayLike) -> Array:
    """Rows scaled to length 1; a row of zeros (shorter than 1e-12) stays."""
    x = np.asarray(x, np.float64)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12))
