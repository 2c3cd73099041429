"""ONNX Runtime's CUDA operators and strizh's own, written out in NumPy.

Every one computes in float32 and rounds to the type of its input where the CUDA kernel stores. Their inputs and
attributes are those of ONNX Runtime's documentation (docs/ContribOperators.md) and of kernels/cuda/ort.cu.
"""

import itertools
import math
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from strizh.export.emulation.standard import Tensor, exact, stored
from strizh.kernels import reference
from strizh.kernels.reference_cuda import packed_attention, packed_qkv


def _attribute(operator: OpRun, name: str, default: Any) -> Any:
    return getattr(operator, name, default)


class _Microsoft(OpRun):  # type: ignore[misc]
    op_domain = "com.microsoft"


class RotaryEmbedding(_Microsoft):
    """x [batch, sequence, heads * size], caches [rows, dim / 2], position_ids [batch, sequence], or [1]: the first token's."""

    def _run(
        self, x: Tensor, position_ids: Tensor, cos: Tensor, sin: Tensor, num_heads: int = 0,
        rotary_embedding_dim: int = 0, interleaved: int = 0, is_packed_batching: int = 0, scale: float = 1.0,
    ) -> tuple[Tensor]:  # fmt: skip
        batch, sequence, hidden = x.shape
        dim = _attribute(self, "rotary_embedding_dim", 0)
        size = hidden // _attribute(self, "num_heads", 0) if dim else 2 * cos.shape[1]
        dim = dim or size
        if sequence > len(cos) or 2 * cos.shape[1] != dim:
            raise ValueError(f"caches {cos.shape} do not fit {sequence} tokens with {dim} rotated numbers a head")
        rows = position_ids + np.arange(sequence)[None] if position_ids.size == 1 else position_ids
        y = exact(x).reshape(batch, sequence, -1, size).copy()
        a, b = y[..., : dim // 2].copy(), y[..., dim // 2 : dim].copy()
        c, s = (exact(side)[rows][:, :, None] for side in (cos, sin))
        y[..., : dim // 2], y[..., dim // 2 : dim] = a * c - b * s, b * c + a * s
        return (stored(y.reshape(x.shape), x),)


class PackedMultiHeadAttention(_Microsoft):
    """query, key, value [total_tokens, hidden]; attention among the tokens of each text."""

    def _run(
        self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, token_offset: Tensor, cu_seqlens: Tensor,
        num_heads: int = 0, scale: float = 0.0, mask_filter_value: float = 0.0,
    ) -> tuple[Tensor]:  # fmt: skip
        _check_token_offset(token_offset, cu_seqlens, len(q))
        heads = _attribute(self, "num_heads", 0)
        q, k, v = (side.reshape(len(side), heads, -1) for side in (q, k, v))
        context = np.zeros(q.shape, np.float32)
        for start, end in itertools.pairwise(cu_seqlens):
            rows = slice(start, end)
            context[rows] = reference.attention(q[rows], k[rows], v[rows], scale=_attribute(self, "scale", 0.0))
        return (stored(context.reshape(len(q), -1), q),)


def _check_token_offset(token_offset: Tensor, cu_seqlens: Tensor, tokens: int) -> None:
    """Place of each token in the padded batch [batch, longest], then the places that stay empty."""
    batch, longest = token_offset.shape
    lengths = np.diff(cu_seqlens)
    if batch != len(lengths) or (lengths > longest).any():
        raise ValueError(f"token_offset {token_offset.shape} is no padded batch of lengths {lengths}")
    real = np.flatnonzero(np.arange(longest) < lengths[:, None])
    flat = token_offset.ravel()
    if not (np.array_equal(flat[:tokens], real) and np.array_equal(np.sort(flat), np.arange(flat.size))):
        raise ValueError("token_offset does not list the real tokens in order, then the empty places")


def _skip_norm(
    operator: OpRun, x: Tensor, skip: Tensor, weight: Tensor, shift: Tensor | None, bias: Tensor | None, kind: str
) -> Any:
    """The sum is rounded, as the kernel without strict mode does."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = x + skip if bias is None else x + skip + bias
    eps = _attribute(operator, "epsilon", 1e-5)
    with np.errstate(invalid="ignore"):
        normed = reference.norm(
            exact(total), exact(weight), None if shift is None else exact(shift), kind=kind, eps=eps
        )
    found = (stored(normed, x), np.zeros(0, np.float32), np.zeros(0, np.float32), total)
    return found[: len(operator.output)] if len(operator.output) > 1 else found[:1]


class SkipLayerNormalization(_Microsoft):
    """LayerNorm(input + skip + bias) and, as the fourth output, the sum."""

    def _run(
        self,
        x: Tensor,
        skip: Tensor,
        weight: Tensor,
        shift: Tensor | None = None,
        bias: Tensor | None = None,
        epsilon: float = 0.0,
    ) -> Any:
        return _skip_norm(self, x, skip, weight, shift, bias, "layer_norm")


class SkipSimplifiedLayerNormalization(_Microsoft):
    """RMSNorm(input + skip + bias) and, as the fourth output, the sum."""

    def _run(self, x: Tensor, skip: Tensor, weight: Tensor, bias: Tensor | None = None, epsilon: float = 0.0) -> Any:
        return _skip_norm(self, x, skip, weight, None, bias, "rms_norm")


def _gelu(x: Tensor) -> Tensor:
    x = exact(x)
    erf: Tensor = np.vectorize(math.erf, otypes=[np.float32])(x / np.float32(math.sqrt(2)))
    return np.asarray(x * np.float32(0.5) * (1 + erf))


class BiasGelu(_Microsoft):
    """GELU(A + B)."""

    def _run(self, x: Tensor, bias: Tensor) -> tuple[Tensor]:
        return (stored(_gelu(stored(exact(x) + exact(bias), x)), x),)


class Gelu(_Microsoft):
    """x * Phi(x). `onnx.reference` passes the attributes of ONNX's operator of this name too."""

    def _run(self, x: Tensor, approximate: str = "none") -> tuple[Tensor]:
        return (stored(_gelu(x), x),)


class FastGelu(_Microsoft):
    """GELU's tanh approximation of X + bias."""

    def _run(self, x: Tensor, bias: Tensor | None = None) -> tuple[Tensor]:
        y = x if bias is None else stored(exact(x) + exact(bias), x)
        return (stored(reference.activate(exact(y), "gelu_tanh"), x),)


class QuickGelu(_Microsoft):
    """x * sigmoid(alpha * x)."""

    def _run(self, x: Tensor, alpha: float = 0.0) -> tuple[Tensor]:
        y = exact(x)
        return (stored(y * reference.activate(_attribute(self, "alpha", 1.702) * y, "sigmoid"), x),)


class PackedAttention(OpRun):  # type: ignore[misc]
    """strizh's own: bias, head norms and rotation of queries and keys, then attention within each text."""

    op_domain = "strizh"

    def _run(
        self, qkv: Tensor, cu_seqlens: Tensor, bias: Tensor | None = None, cos: Tensor | None = None,
        sin: Tensor | None = None, q_norm: Tensor | None = None, k_norm: Tensor | None = None,
        relative_bias: Tensor | None = None, num_heads: int = 0, num_kv_heads: int = 0, head_size: int = 0,
        scale: float = 0.0, window: int = 0, causal: int = 0, norm_eps: float = 0.0,
    ) -> tuple[Tensor]:  # fmt: skip
        heads = {"num_heads": self.num_heads, "num_kv_heads": self.num_kv_heads, "head_size": self.head_size}
        sides = packed_qkv(exact(qkv), bias, cos, sin, q_norm, k_norm, norm_eps=self.norm_eps, **heads)
        q, k, v = (exact(stored(side, qkv)) for side in sides)
        limits = {"window": self.window, "causal": bool(self.causal), "relative_bias": relative_bias}
        mixed = packed_attention(q, k, v, cu_seqlens, scale=self.scale, **limits).reshape(len(qkv), -1)
        return (stored(mixed, qkv),)


class Pooling(OpRun):  # type: ignore[misc]
    """strizh's own: one vector a text."""

    op_domain = "strizh"

    def _run(self, hidden: Tensor, cu_seqlens: Tensor, pooling: str = "") -> tuple[Tensor]:
        return (stored(reference.pool(hidden, cu_seqlens, self.pooling), hidden),)


OPERATORS: list[type[OpRun]] = [
    RotaryEmbedding, PackedMultiHeadAttention, SkipLayerNormalization, SkipSimplifiedLayerNormalization,
    BiasGelu, Gelu, FastGelu, QuickGelu, PackedAttention, Pooling,
]  # fmt: skip
