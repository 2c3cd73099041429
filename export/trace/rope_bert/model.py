"""`RoPEBertModel`: token vectors and the pooled vector of a batch of texts."""

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from strizh.export.spec import Pooling
from strizh.export.trace.rope_bert.attention import additive_mask
from strizh.export.trace.rope_bert.config import RoPEBertConfig
from strizh.export.trace.rope_bert.layer import RoPEBertEmbeddings, RoPEBertLayer
from strizh.export.trace.rope_bert.loading import RoPEBertPreTrainedModel
from strizh.export.trace.rope_bert.pooler import FirstTokenPooler, MeanPooler
from strizh.export.trace.rope_bert.rotary import cos_sin


class RoPEBertEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(RoPEBertLayer(config) for _ in range(config.num_hidden_layers))

    def forward(self, hidden: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        for layer in self.layer:
            hidden = layer(hidden, mask, cos, sin)
        return hidden


class RoPEBertModel(RoPEBertPreTrainedModel):
    """BERT with rotary positions and the pooler that `config.pooler_type` names."""

    def __init__(self, config: RoPEBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = RoPEBertEmbeddings(config)
        self.encoder = RoPEBertEncoder(config)
        self.pooler: nn.Module | None = None
        if add_pooling_layer:
            self.pooler = MeanPooler() if config.pooler_type == Pooling.MEAN else FirstTokenPooler(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings.word_embeddings = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_dict: bool = True,
    ) -> BaseModelOutputWithPooling | tuple[Tensor, ...]:
        """int64 [batch, sequence] each; positions count 0, 1, 2 ... in every row unless given.

        Gives `last_hidden_state` [batch, sequence, hidden] and `pooler_output` [batch, hidden].
        """
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        hidden = self.embeddings(input_ids, token_type_ids)
        cos, sin = cos_sin(self.config.rope, position_ids, self._ntk_length(attention_mask), hidden.dtype)
        hidden = self.encoder(hidden, additive_mask(attention_mask, hidden.dtype), cos, sin)
        pooled = None if self.pooler is None else self.pooler(hidden, attention_mask)
        output = BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)
        return output if return_dict else output.to_tuple()

    def _ntk_length(self, attention_mask: Tensor) -> Tensor:
        """S of the dynamic formula: [batch] tokens of each text, or [1] the padded length."""
        if self.config.ntk_length == "text":
            return attention_mask.sum(dim=1)
        return torch.ones_like(attention_mask[:1]).sum(dim=1)
