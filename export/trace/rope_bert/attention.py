"""Self-attention with rotary positions, eager and sdpa."""

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, scaled_dot_product_attention

from strizh.export.trace.rope_bert.config import RoPEBertConfig
from strizh.export.trace.rope_bert.rotary import rotate


def additive_mask(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """[batch, 1, 1, sequence]: 0 where a key may be seen, the lowest finite number where not.

    Finite, so that a row with nothing to see still has a softmax.
    """
    return (1 - attention_mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min


class RoPEBertSelfAttention(nn.Module):
    """Scaled dot-product attention over all positions; queries and keys are rotated, values are not."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.config = config  # attn_implementation may be changed after construction
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[batch, sequence, hidden] -> the same; `mask` is additive, `cos` and `sin` are those of rotary.py."""
        query = rotate(self._heads(self.query(hidden)), cos, sin)
        key = rotate(self._heads(self.key(hidden)), cos, sin)
        value = self._heads(self.value(hidden))
        p = self.config.attention_probs_dropout_prob if self.training else 0.0
        if self.config._attn_implementation == "sdpa":
            context = scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p)
        else:
            scores = query @ key.transpose(-1, -2) * self.config.head_dim**-0.5 + mask
            context = dropout(scores.softmax(dim=-1), p, self.training) @ value
        return context.transpose(1, 2).flatten(2)

    def _heads(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (-1, self.config.head_dim)).transpose(1, 2)
