"""An encoder with everything behind it that a sentence vector needs: what is traced."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from strizh.export.spec import Pooling, Projection
from strizh.export.trace.pooling import pool
from strizh.export.weights import Array

ACTIVATIONS = {"identity": nn.Identity, "tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "sigmoid": nn.Sigmoid}


class SentenceEncoder(nn.Module):
    """`input_ids`, `attention_mask` to `token_embeddings`, `sentence_embedding`, as the portable graphs have them.

    `dense` holds the projections' tensors by slot (`projections.0.weight` ...). Token types are the model's default.
    """

    def __init__(
        self,
        encoder: nn.Module,
        pooling: Sequence[Pooling],
        projections: Sequence[Projection] = (),
        dense: Mapping[str, Array] | None = None,
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = tuple(pooling)
        self.projections = nn.Sequential(
            *(
                nn.Sequential(_linear(size, f"projections.{index}", dense or {}), ACTIVATIONS[size.activation]())
                for index, size in enumerate(projections)
            )
        )
        self.normalize = normalize

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """int64 [batch, sequence], twice, to [batch, sequence, hidden] and [batch, dim]."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        hidden, own = output.last_hidden_state, getattr(output, "pooler_output", None)
        pooled = [pool(mode, hidden, attention_mask, own) for mode in self.pooling]
        vector = self.projections(torch.cat(pooled, dim=-1))
        return hidden, normalize(vector, eps=1e-12) if self.normalize else vector


def _linear(size: Projection, slot: str, dense: Mapping[str, Array]) -> nn.Linear:
    layer = nn.Linear(size.in_features, size.out_features, bias=size.bias)
    layer.load_state_dict({name: torch.tensor(dense[f"{slot}.{name}"]) for name in layer.state_dict()})
    return layer
