"""`RoPEBertForSequenceClassification`: one linear layer over the pooled vector."""

from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from strizh.export.trace.rope_bert.config import RoPEBertConfig
from strizh.export.trace.rope_bert.loading import RoPEBertPreTrainedModel
from strizh.export.trace.rope_bert.model import RoPEBertModel


class RoPEBertForSequenceClassification(RoPEBertPreTrainedModel):
    """`logits` [batch, num_labels] from the pooler, so from the mean by default."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__(config)
        self.bert = RoPEBertModel(config)
        p = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = nn.Dropout(p)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        return_dict: bool = True,
    ) -> SequenceClassifierOutput | tuple[Tensor, ...]:
        """Inputs as for `RoPEBertModel`; `labels` add the `loss` that transformers derives from the problem type."""
        pooled = self.bert(input_ids, attention_mask, token_type_ids, position_ids).pooler_output
        logits = self.classifier(self.dropout(pooled).to(self.classifier.weight.dtype))
        loss = None if labels is None else self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        output = SequenceClassifierOutput(loss=loss, logits=logits)
        return output if return_dict else output.to_tuple()
