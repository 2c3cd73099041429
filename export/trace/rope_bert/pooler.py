"""From token vectors to the vector of the text: `pooler_output`, never normalised."""

import torch
from torch import Tensor, nn

from strizh.export.trace.rope_bert.config import RoPEBertConfig


class MeanPooler(nn.Module):
    """Mean of the attended tokens, special ones included; a text without tokens gives zeros."""

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """[batch, sequence, hidden] and [batch, sequence] to [batch, hidden], float32 even from half precision."""
        weights = attention_mask[:, :, None].to(torch.promote_types(hidden.dtype, torch.float32))
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


class FirstTokenPooler(nn.Module):
    """BERT's own: tanh(dense(first token))."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """[batch, sequence, hidden] to [batch, hidden]; the mask is not needed."""
        return self.dense(hidden[:, 0]).tanh()
