"""A checkpoint in PyTorch: encoder, mean pooling, and length 1. The model that all vectors are compared with."""

import torch
from torch import Tensor, nn
from transformers import AutoModel


class SentenceModule(nn.Module):
    """int64 `input_ids` and `attention_mask` [batch, sequence] -> vectors [batch, hidden_size] of length 1.

    Mean pooling stands for every model here: what an engine is timed on is the encoder below it.
    """

    def __init__(self, checkpoint: str) -> None:
        super().__init__()
        from strizh.export.trace import register

        register()
        self.encoder = AutoModel.from_pretrained(
            checkpoint, attn_implementation="sdpa", add_pooling_layer=False, dtype=torch.float32
        )

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask)[0].float()
        mask = attention_mask[:, :, None].to(hidden.dtype)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
        return nn.functional.normalize(mean, dim=-1)
