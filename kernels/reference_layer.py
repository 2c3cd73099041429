"""The definition of one encoder layer, made of the operators of `reference.py`: attention, feed-forward, norms and residuals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from strizh.kernels import reference as ops
from strizh.kernels.reference import Array
from strizh.kernels.relative import disentangled_bias, relative_bias


def self_attention(
    x: Array,
    cu_seqlens: ArrayLike,
    weights: Mapping[str, ArrayLike],
    *,
    head_size: int,
    scale: float,
    rope: Mapping[str, Any] | None = None,
    window: int | None = None,
    causal: bool = False,
    relative_max_distance: int = 0,
    norm_eps: float = 0.0,
) -> Array:
    """The attention half of a layer without norm and residual, [total_tokens, hidden]; see `encoder_layer`."""

    def project(name: str, y: Array) -> Array:
        return ops.linear(y, weights[f"attention.{name}.weight"], weights.get(f"attention.{name}.bias"))

    def heads(name: str) -> Array:
        y = project(name, x).reshape(len(x), -1, head_size)
        head_norm = weights.get(f"attention.{name}_norm.weight")
        return y if head_norm is None else ops.rms_norm(y, head_norm, norm_eps)

    q, k, v = heads("q"), heads("k"), heads("v")
    context = np.zeros_like(q)
    for text in ops.texts(cu_seqlens):
        n = text.stop - text.start
        qt, kt = q[text], k[text]
        bias = None
        if "relative_bias" in weights:
            bias = relative_bias(weights["relative_bias"], n, max_distance=relative_max_distance)
        tables = weights.get("attention.position_key"), weights.get("attention.position_query")
        if any(table is not None for table in tables):
            bias = disentangled_bias(qt, kt, *tables, scale=scale, max_distance=relative_max_distance)
        if rope is not None:
            inv_freq = ops.inverse_frequencies(length=n, **rope)
            qt, kt = ops.rotate(qt, inv_freq), ops.rotate(kt, inv_freq)
        seen = ops.visible(n, window=window, causal=causal)
        context[text] = ops.attention(qt, kt, v[text], scale=scale, seen=seen, bias=bias)
    return project("o", context.reshape(len(x), -1))


def encoder_layer(
    hidden: ArrayLike,
    cu_seqlens: ArrayLike,
    weights: Mapping[str, ArrayLike],
    *,
    head_size: int,
    activation: str,
    attention_scale: float,
    norm_kind: str,
    norm_eps: float,
    pre_norm: bool = False,
    rope: Mapping[str, Any] | None = None,
    window: int | None = None,
    causal: bool = False,
    relative_max_distance: int = 0,
) -> Array:
    """One encoder layer, [total_tokens, hidden] to the same.

    `weights` has the slots of one layer without their "layers.N." prefix, and "relative_bias" where there is one; an
    absent bias, gate, head norm, attention norm or position table is a layer without it. `rope`: theta, dim, scaling, factor,
    trained_positions. Post-norm: ops.norm(x + f(x)); pre-norm: x + f(ops.norm(x)).
    """
    x = np.asarray(hidden, np.float64)

    def pair(name: str) -> tuple[ArrayLike, ArrayLike | None]:
        return weights[f"{name}.weight"], weights.get(f"{name}.bias")

    def normed(y: Array, slot: str) -> Array:
        return ops.norm(y, *pair(slot), kind=norm_kind, eps=norm_eps) if f"{slot}.weight" in weights else y

    def attend(y: Array) -> Array:
        return self_attention(
            y, cu_seqlens, weights, head_size=head_size, scale=attention_scale, rope=rope, window=window,
            causal=causal, relative_max_distance=relative_max_distance, norm_eps=norm_eps,
        )  # fmt: skip

    def feed(y: Array) -> Array:
        gate = pair("mlp.gate") if "mlp.gate.weight" in weights else None
        return ops.mlp(y, pair("mlp.up"), pair("mlp.down"), activation=activation, gate=gate)

    if pre_norm:
        x = x + attend(normed(x, "attention.norm"))
        return x + feed(normed(x, "mlp.norm"))
    x = normed(x + attend(x), "attention.norm")
    return normed(x + feed(x), "mlp.norm")
