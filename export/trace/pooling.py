"""The pooling modes of the spec, in PyTorch, over a batch padded on the right."""

import torch
from torch import Tensor

from strizh.export.spec import Pooling


def pool(mode: Pooling, hidden: Tensor, attention_mask: Tensor, own: Tensor | None) -> Tensor:
    """[batch, sequence, hidden] and int64 [batch, sequence] to [batch, hidden]; `own` is the model's own pooler output.

    The means of a text without tokens are zeros, whatever the model made of its padding.
    """
    seen = attention_mask[:, :, None] != 0
    match mode:
        case Pooling.CLS:
            return hidden[:, 0]
        case Pooling.FIRST_TOKEN_TRANSFORM:
            assert own is not None  # load.py refuses a model without one
            return own
        case Pooling.MAX:
            return torch.where(seen, hidden, torch.full_like(hidden[:1, :1], -1e9)).amax(dim=1)
        case Pooling.LAST:
            last = (attention_mask.sum(dim=1) - 1).clamp(min=0)
            return hidden.gather(1, last[:, None, None].expand(-1, 1, hidden.shape[2]))[:, 0]
    weights = seen.to(hidden.dtype)
    if mode is Pooling.WEIGHTED_MEAN:
        weights = weights * (torch.arange(hidden.shape[1], device=hidden.device)[None, :, None] + 1)
    total = (torch.where(seen, hidden, torch.zeros_like(hidden[:1, :1])) * weights).sum(dim=1)
    count = weights.sum(dim=1).clamp(min=1e-9)
    return total / (count.sqrt() if mode is Pooling.MEAN_SQRT_LEN else count)
