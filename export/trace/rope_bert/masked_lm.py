"""`RoPEBertForMaskedLM`: the class that the published checkpoints were saved from."""

from torch import Tensor, nn, zeros
from torch.nn.functional import cross_entropy, linear
from transformers import initialization
from transformers.activations import ACT2FN
from transformers.modeling_outputs import MaskedLMOutput

from strizh.export.trace.rope_bert.config import RoPEBertConfig
from strizh.export.trace.rope_bert.loading import RoPEBertPreTrainedModel
from strizh.export.trace.rope_bert.model import RoPEBertModel


class PredictionTransform(nn.Module):
    """Dense, activation, norm."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.LayerNorm(self.activation(self.dense(hidden)))


class Predictions(nn.Module):
    """Scores over the vocabulary. The decoder is the word embedding itself, so it has no tensor of its own."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.transform = PredictionTransform(config)
        self.bias = nn.Parameter(zeros(config.vocab_size))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        return linear(self.transform(hidden), word_embeddings, self.bias)


class MaskedLMHead(nn.Module):
    """Gives the tensors their published names, `cls.predictions.*`."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.predictions = Predictions(config)


class RoPEBertForMaskedLM(RoPEBertPreTrainedModel):
    """`logits` [batch, sequence, vocab_size]; no pooler."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__(config)
        self.bert = RoPEBertModel(config, add_pooling_layer=False)
        self.cls = MaskedLMHead(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """A parameter that is no layer's own is unknown to transformers, which would leave it to uninitialised memory."""
        super()._init_weights(module)
        if isinstance(module, Predictions):
            initialization.zeros_(module.bias)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool = True,
    ) -> MaskedLMOutput | tuple[Tensor, ...]:
        """Inputs as for `RoPEBertModel`; `labels` int64 [batch, sequence], -100 where nothing is to be predicted."""
        hidden = self.bert(input_ids, attention_mask, token_type_ids, position_ids).last_hidden_state
        logits = self.cls.predictions(hidden, self.bert.embeddings.word_embeddings.weight)
        loss = None if labels is None else cross_entropy(logits.flatten(0, 1), labels.flatten())
        output = MaskedLMOutput(loss=loss, logits=logits)
        return output if return_dict else output.to_tuple()
