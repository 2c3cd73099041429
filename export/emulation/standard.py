"""Standard operators in half precision as a GPU computes them: in float32, rounded once where the result is stored."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference.op_run import OpRun

from strizh.kernels import reference

Tensor = NDArray[Any]


def stored(x: Tensor, like: Tensor) -> Tensor:
    """A result in the type of what it was computed from; infinite where that has no such number."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(x).astype(like.dtype)


def exact(x: Tensor) -> NDArray[np.float32]:
    """What is computed with."""
    return np.asarray(x, np.float32)


class MatMul(OpRun):  # type: ignore[misc]
    """The product as tensor cores make it: summed in float32, rounded once."""

    def _run(self, a: Tensor, b: Tensor) -> tuple[Tensor]:
        with np.errstate(over="ignore", invalid="ignore"):
            return (stored(exact(a) @ exact(b), a),)


class Gelu(OpRun):  # type: ignore[misc]
    """x * Phi(x), or its tanh approximation."""

    def _run(self, x: Tensor, approximate: str = "none") -> tuple[Tensor]:
        return (stored(reference.activate(exact(x), "gelu_tanh" if self.approximate == "tanh" else "gelu"), x),)


class Sigmoid(OpRun):  # type: ignore[misc]
    """1 / (1 + exp(-x))."""

    def _run(self, x: Tensor) -> tuple[Tensor]:
        return (stored(reference.activate(exact(x), "sigmoid"), x),)


class RotaryEmbedding(OpRun):  # type: ignore[misc]
    """x [batch, heads, sequence, size], cos and sin [batch, sequence, dim / 2]: halves of the first `dim` rotated."""

    def _run(
        self, x: Tensor, cos: Tensor, sin: Tensor, position_ids: Tensor | None = None, interleaved: int = 0,
        num_heads: int = 0, rotary_embedding_dim: int = 0,
    ) -> tuple[Tensor]:  # fmt: skip
        half = cos.shape[-1]
        if cos.shape != (x.shape[0], x.shape[2], half) or (self.rotary_embedding_dim or x.shape[3]) != 2 * half:
            raise ValueError(f"cos {cos.shape} does not fit {x.shape} with {self.rotary_embedding_dim} rotated numbers")
        y = exact(x).copy()
        a, b, c, s = y[..., :half].copy(), y[..., half : 2 * half].copy(), exact(cos)[:, None], exact(sin)[:, None]
        y[..., :half], y[..., half : 2 * half] = a * c - b * s, b * c + a * s
        return (stored(y, x),)


class Attention(OpRun):  # type: ignore[misc]
    """q, k, v [batch, heads, sequence, size] with a mask that is added, and the number of each text's real keys."""

    def _run(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, past_key: None, past_value: None, lengths: Tensor,
        **attributes: Any,
    ) -> tuple[Tensor]:  # fmt: skip
        k, v = (np.repeat(exact(side), q.shape[1] // side.shape[1], axis=1) for side in (k, v))
        scores = exact(q) @ k.swapaxes(2, 3) * np.float32(self.scale) + (0 if mask is None else exact(mask))
        real = np.arange(k.shape[2]) < lengths[:, None, None, None]
        scores = np.where(real, scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        return (stored(shares @ v / shares.sum(-1, keepdims=True), q),)


OPERATORS: list[type[OpRun]] = [MatMul, Gelu, Sigmoid, RotaryEmbedding, Attention]
