"""The definition of the CUDA operators that the CPU has no twin of, in terms of `reference`, in NumPy float64."""

import numpy as np
from numpy.typing import ArrayLike

from strizh.kernels.reference import Array, attention, rms_norm, texts, visible


def rotate_rows(x: ArrayLike, cos: ArrayLike, sin: ArrayLike) -> Array:
    """Rotary embedding of x [tokens, heads, head_size] by a row of angles a token, cos and sin [tokens, dim / 2]."""
    y = np.array(x, np.float64)
    c, s = (np.asarray(side, np.float64)[:, None] for side in (cos, sin))
    half = c.shape[-1]
    a, b = y[..., :half].copy(), y[..., half : 2 * half].copy()
    y[..., :half], y[..., half : 2 * half] = a * c - b * s, b * c + a * s
    return y


def packed_qkv(
    qkv: ArrayLike,
    bias: ArrayLike | None = None,
    cos: ArrayLike | None = None,
    sin: ArrayLike | None = None,
    q_norm: ArrayLike | None = None,
    k_norm: ArrayLike | None = None,
    *,
    num_heads: int,
    num_kv_heads: int,
    head_size: int,
    norm_eps: float = 0.0,
) -> tuple[Array, Array, Array]:
    """q [tokens, num_heads, head_size], k and v [tokens, num_kv_heads, head_size] of qkv [tokens, all heads * head_size].

    bias [all heads * head_size] is added, then queries and keys are RMS-normed (weights [head_size]) and rotated.
    """
    y = np.asarray(qkv, np.float64) + (0.0 if bias is None else np.asarray(bias, np.float64))
    heads = y.reshape(len(y), -1, head_size)
    q, k, v = np.split(heads, [num_heads, num_heads + num_kv_heads], axis=1)
    q = q if q_norm is None else rms_norm(q, q_norm, norm_eps)
    k = k if k_norm is None else rms_norm(k, k_norm, norm_eps)
    return (q, k, v) if cos is None or sin is None else (rotate_rows(q, cos, sin), rotate_rows(k, cos, sin), v)


def packed_attention(
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    cu_seqlens: ArrayLike,
    *,
    scale: float,
    window: int = -1,
    causal: bool = False,
    relative_bias: ArrayLike | None = None,
) -> Array:
    """Attention among the tokens of each text, [tokens, num_heads, head_size].

    `window` tokens are seen on each side, -1 sees all. relative_bias [2 * reach + 1, num_heads] is added to the scaled
    score of a key `distance` tokens after the query, row clip(distance, -reach, reach) + reach.
    """
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    mixed = np.zeros_like(q)
    for text in texts(cu_seqlens):
        length = text.stop - text.start
        bias = None
        if relative_bias is not None:
            table = np.asarray(relative_bias, np.float64)
            reach = len(table) // 2
            distance = np.arange(length)[None, :] - np.arange(length)[:, None]
            bias = table[np.clip(distance, -reach, reach) + reach].transpose(2, 0, 1)
        seen = visible(length, window=None if window < 0 else window, causal=causal)
        mixed[text] = attention(q[text], k[text], v[text], scale=scale, seen=seen, bias=bias)
    return mixed
