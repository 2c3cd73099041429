"""Rotary positions without state: the angles of a call depend on that call alone.

The published module keeps a cache that a long batch leaves stretched for the short ones after it. Here there is no
cache, no buffer and no branch, so results do not depend on history, nothing is lost when transformers builds the model
on the meta device, and a traced graph is right on both sides of the trained length.
"""

import torch
from torch import Tensor

from strizh.export.spec import Rope, Scaling


def inverse_frequencies(rope: Rope, length: Tensor) -> Tensor:
    """[batch or 1, dim / 2], in the dtype of `length` [batch or 1], the tokens that dynamic scaling stretches for.

    Dynamic NTK as in LLaMA of transformers, its condition written as a maximum:
    theta * (factor * max(S, M) / M - (factor - 1)) ** (d / (d - 2)).
    """
    exponents = torch.arange(0, rope.dim, 2, device=length.device).to(length.dtype) / rope.dim
    theta = torch.full_like(length, rope.theta)
    if rope.scaling is Scaling.DYNAMIC:
        stretch = (rope.factor * length / rope.trained_positions - (rope.factor - 1)).clamp(min=1.0)
        theta = theta * stretch ** (rope.dim / (rope.dim - 2))
    return 1.0 / theta[:, None] ** exponents


def cos_sin(rope: Rope, positions: Tensor, length: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines [batch or 1, 1, sequence, dim / 2] in `dtype`, of int64 `positions` [batch or 1, sequence].

    The angles are float32 even in a half-precision model (fp16 cannot count past 2048), float64 in a float64 one.
    """
    exact = torch.promote_types(dtype, torch.float32)
    steps = positions.to(exact)
    if rope.scaling is Scaling.LINEAR:
        steps = steps / rope.factor
    angles = (steps[:, :, None] * inverse_frequencies(rope, length.to(exact))[:, None, :])[:, None]
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + dim / 2) of `states` [batch, heads, sequence, dim] by its angle: LLaMA's split halves."""
    first, second = states.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
