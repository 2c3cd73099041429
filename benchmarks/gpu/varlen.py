"""The peer without padding: the same encoder in plain PyTorch, with flash attention's kernels for texts of any length."""

import math
from collections.abc import Callable
from importlib import import_module

import torch
import torch.nn.functional as F

from benchmarks.gpu.padded import PaddedEncoder
from benchmarks.gpu.specs import Weights
from strizh.export.spec import EncoderSpec

# q, k, v [total_tokens, heads, head_size], cu_seqlens int32 [batch + 1], the longest text, the scale of scores -> as q.
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int, float], torch.Tensor]


def attentions(device: str) -> dict[str, Attend]:
    """Those that are installed, by name; in a rehearsal on a CPU one that goes through the texts."""
    if device == "cpu":
        return {"torch, text by text": _text_by_text}
    found = {"torch varlen_attn": _torch, "flash_attn varlen": _flash_attn}
    return {name: attend for name, attend in found.items() if not absent(name)}


def absent(name: str) -> str:
    """Why a kernel has no part here; empty if it has."""
    module, function = {
        "torch varlen_attn": ("torch.nn.attention.varlen", "varlen_attn"),
        "flash_attn varlen": ("flash_attn", "flash_attn_varlen_func"),
    }[name]
    try:
        return "" if hasattr(import_module(module), function) else f"{module} has no {function}"
    except ImportError as error:  # a wheel for another torch among them
        return f"{module} cannot be imported: {' '.join(str(error).split())[:120]}"


def _torch(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_seqlens: torch.Tensor, longest: int, scale: float
) -> torch.Tensor:
    varlen = import_module("torch.nn.attention.varlen")
    # Its first versions take no scale; all have this one of their own.
    own = {} if math.isclose(scale, q.shape[-1] ** -0.5) else {"scale": scale}
    found: torch.Tensor = varlen.varlen_attn(q, k, v, cu_seqlens, cu_seqlens, longest, longest, **own)
    return found


def _flash_attn(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_seqlens: torch.Tensor, longest: int, scale: float
) -> torch.Tensor:
    function = import_module("flash_attn").flash_attn_varlen_func
    found: torch.Tensor = function(q, k, v, cu_seqlens, cu_seqlens, longest, longest, softmax_scale=scale)
    return found


def _text_by_text(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_seqlens: torch.Tensor, longest: int, scale: float
) -> torch.Tensor:
    parts = [side.transpose(0, 1).split(cu_seqlens.diff().tolist(), dim=1) for side in (q, k, v)]
    texts = zip(*parts, strict=True)
    mixed = [F.scaled_dot_product_attention(one_q, one_k, one_v, scale=scale) for one_q, one_k, one_v in texts]
    return torch.cat(mixed, dim=1).transpose(0, 1)


class VarlenEncoder(PaddedEncoder):
    """Packed batches through one of `attentions`."""

    def __init__(self, spec: EncoderSpec, weights: Weights, dtype: torch.dtype, device: str, attend: Attend) -> None:
        super().__init__(spec, weights, dtype, device)
        self._attend = attend

    def forward(  # type: ignore[override]  # another layout of the same texts
        self, input_ids: torch.Tensor, cu_seqlens: torch.Tensor, position_ids: torch.Tensor, longest: int
    ) -> torch.Tensor:
        """float32 [batch, hidden_size] of int32 [total_tokens], [batch + 1], [total_tokens]."""
        spec = self.spec
        x = F.embedding(input_ids, self._of("embeddings.word"))
        if "embeddings__position" in self._buffers:
            x = x + F.embedding(position_ids, self._of("embeddings.position"))
        x = self._norm(x, "embeddings.norm")
        for index, layer in enumerate(spec.layers):
            at = f"layers.{index}"
            q, k, v = (self._heads(x, f"{at}.attention.{side}") for side in "qkv")  # [heads, total_tokens, head_size]
            if layer.rope:
                q, k = self._rotate(layer.rope, position_ids, q, k)
            q, k, v = (side.transpose(0, 1).contiguous() for side in (q, k, v))
            mixed = self._attend(q, k, v, cu_seqlens, longest, spec.attention_scale)
            x = self._norm(x + self._linear(mixed.flatten(1), f"{at}.attention.o"), f"{at}.attention.norm")
            inner = self._linear(F.gelu(self._linear(x, f"{at}.mlp.up")), f"{at}.mlp.down")
            x = self._norm(x + inner, f"{at}.mlp.norm")
        return F.normalize(torch.segment_reduce(x.float(), "mean", offsets=cu_seqlens.long(), axis=0), dim=-1)
