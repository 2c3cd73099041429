"""The peer: the same BERT or RoPEBert in plain PyTorch, padded, with scaled_dot_product_attention."""

import torch
import torch.nn.functional as F

from benchmarks.gpu.specs import Weights
from strizh.export.spec import EncoderSpec, Rope


class PaddedEncoder(torch.nn.Module):
    """Post-norm layers with GELU, absolute or rotary positions, mean pooling, unit vectors."""

    def __init__(self, spec: EncoderSpec, weights: Weights, dtype: torch.dtype, device: str) -> None:
        super().__init__()
        self.spec = spec
        for slot, array in weights.items():
            self.register_buffer(slot.replace(".", "__"), torch.from_numpy(array).to(device, dtype))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """float32 [batch, hidden_size] of int64 [batch, sequence], and bool of that shape or, without padding, None."""
        spec, length = self.spec, input_ids.shape[1]
        x = F.embedding(input_ids, self._of("embeddings.word"))
        if "embeddings__position" in self._buffers:
            x = x + self._of("embeddings.position")[:length]
        x = self._norm(x, "embeddings.norm")
        seen = None if attention_mask is None else attention_mask[:, None, None]
        for index, layer in enumerate(spec.layers):
            at = f"layers.{index}"
            q, k, v = (self._heads(x, f"{at}.attention.{side}") for side in "qkv")
            if layer.rope:
                q, k = self._rotate(layer.rope, torch.arange(length, device=x.device), q, k)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=spec.attention_scale)
            x = self._norm(
                x + self._linear(mixed.transpose(1, 2).flatten(2), f"{at}.attention.o"), f"{at}.attention.norm"
            )
            inner = self._linear(F.gelu(self._linear(x, f"{at}.mlp.up")), f"{at}.mlp.down")
            x = self._norm(x + inner, f"{at}.mlp.norm")
        if attention_mask is None:
            return F.normalize(x.float().mean(1), dim=-1)
        mask = attention_mask[:, :, None]
        return F.normalize((x.float() * mask).sum(1) / mask.sum(1), dim=-1)

    def _of(self, slot: str) -> torch.Tensor:
        return self.get_buffer(slot.replace(".", "__"))

    def _linear(self, x: torch.Tensor, slot: str) -> torch.Tensor:
        return F.linear(x, self._of(f"{slot}.weight"), self._of(f"{slot}.bias"))

    def _norm(self, x: torch.Tensor, slot: str) -> torch.Tensor:
        shape = (self.spec.hidden_size,)
        return F.layer_norm(x, shape, self._of(f"{slot}.weight"), self._of(f"{slot}.bias"), self.spec.norm_eps)

    def _heads(self, x: torch.Tensor, slot: str) -> torch.Tensor:
        return self._linear(x, slot).unflatten(-1, (self.spec.num_heads, self.spec.head_size)).transpose(-3, -2)

    def _rotate(self, rope: Rope, positions: torch.Tensor, *sides: torch.Tensor) -> list[torch.Tensor]:
        """`sides` are [..., tokens, head_size], `positions` [tokens]."""
        inverse = rope.theta ** -(torch.arange(0, rope.dim, 2, device=positions.device, dtype=torch.float32) / rope.dim)
        angle = torch.outer(positions.float(), inverse).repeat(1, 2)
        cos, sin = angle.cos().to(sides[0].dtype), angle.sin().to(sides[0].dtype)
        turned = []
        for side in sides:
            first, second = side.chunk(2, -1)
            turned.append(side * cos + torch.cat([-second, first], -1) * sin)
        return turned
