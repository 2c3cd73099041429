"""One encoder layer and the embeddings below the first, with BERT's names and BERT's norm after each residual."""

from torch import Tensor, nn
from transformers.activations import ACT2FN

from strizh.export.trace.rope_bert.attention import RoPEBertSelfAttention
from strizh.export.trace.rope_bert.config import RoPEBertConfig


class RoPEBertEmbeddings(nn.Module):
    """Words and segments, no positions."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
        """int64 [batch, sequence], twice, to [batch, sequence, hidden]; no types means type 0 everywhere."""
        segments = self.token_type_embeddings
        added = segments.weight[0] if token_type_ids is None else segments(token_type_ids)
        return self.dropout(self.LayerNorm(self.word_embeddings(input_ids) + added))


class ResidualOutput(nn.Module):
    """Linear, then the residual, then the norm."""

    def __init__(self, config: RoPEBertConfig, in_features: int) -> None:
        super().__init__()
        self.dense = nn.Linear(in_features, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(states)) + residual)


class RoPEBertAttention(nn.Module):
    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.self = RoPEBertSelfAttention(config)
        self.output = ResidualOutput(config, config.hidden_size)

    def forward(self, hidden: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        return self.output(self.self(hidden, mask, cos, sin), hidden)


class RoPEBertIntermediate(nn.Module):
    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, hidden: Tensor) -> Tensor:
        return self.activation(self.dense(hidden))


class RoPEBertLayer(nn.Module):
    """Attention and feed-forward."""

    def __init__(self, config: RoPEBertConfig) -> None:
        super().__init__()
        self.attention = RoPEBertAttention(config)
        self.intermediate = RoPEBertIntermediate(config)
        self.output = ResidualOutput(config, config.intermediate_size)

    def forward(self, hidden: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        attended = self.attention(hidden, mask, cos, sin)
        return self.output(self.intermediate(attended), attended)
