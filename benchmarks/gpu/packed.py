"""strizh's CUDA kernels without ONNX Runtime: an encoder of them and of torch's matrix products, on torch's buffers."""

from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.gpu.specs import Weights
from strizh.export.parts.visibility import bias_by_distance
from strizh.export.spec import EncoderSpec, Layer, Norm, Pooling, Positions, Rope
from strizh.kernels.native_cuda import Attention, CudaKernels, Packed

_ACTIVATIONS: dict[str, Any] = {
    "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu, "relu": F.relu,
}  # fmt: skip
_NAMES = {torch.float16: "float16", torch.bfloat16: "bfloat16"}


class PackedEncoder:
    """One encoder in half precision. A call waits for nothing on the host, so that CUDA can capture it.

    The residual stream of a pre-norm model is float32. Absolute positions count from 0; XLM-R's are not measured here.
    """

    def __init__(
        self, spec: EncoderSpec, weights: Weights, kernels: CudaKernels, dtype: torch.dtype, device: str
    ) -> None:
        self.spec, self._kernels, self._dtype = spec, kernels, dtype
        exact = ("norm", "relative_bias") if spec.pre_norm else ("q_norm", "k_norm", "relative_bias")
        if spec.positions is Positions.RELATIVE_BIAS:
            weights = weights | {"relative_bias": bias_by_distance(spec)(weights["relative_bias"])}
        self._weights = {
            slot: torch.from_numpy(array).to(device, torch.float32 if any(part in slot for part in exact) else dtype)
            for slot, array in weights.items()
        }
        for index in range(len(spec.layers)):
            at = f"layers.{index}.attention"
            for part in ("weight", "bias"):
                if f"{at}.q.{part}" in self._weights:
                    sides = [self._weights.pop(f"{at}.{side}.{part}") for side in "qkv"]
                    self._weights[f"{at}.qkv.{part}"] = torch.cat(sides)

    def __call__(self, input_ids: torch.Tensor, cu_seqlens: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        """float32 [batch, dim] of int32 [total_tokens], [batch + 1], [total_tokens]."""
        stream = torch.cuda.current_stream().cuda_stream if input_ids.is_cuda else 0
        batch = Packed(cu_seqlens.data_ptr(), len(input_ids), len(cu_seqlens) - 1, stream)
        angles = {rope: self._angles(rope, batch, input_ids.device) for rope in self.spec.ropes}
        stream_type = torch.float32 if self.spec.pre_norm else self._dtype
        x = F.embedding(input_ids, self._weights["embeddings.word"]).to(stream_type)
        if "embeddings.position" in self._weights:
            x = x + F.embedding(position_ids, self._weights["embeddings.position"]).to(stream_type)
        if self.spec.embedding_norm:
            x = self._norm(x, "embeddings.norm")
        for index, layer in enumerate(self.spec.layers):
            x = self._layer(x, layer, f"layers.{index}", batch, angles)
        if self.spec.final_norm:
            x = self._norm(x, "final_norm")
        return self._pool(x.to(self._dtype), batch)

    def _layer(self, x: torch.Tensor, layer: Layer, at: str, batch: Packed, angles: dict[Rope, Any]) -> torch.Tensor:
        spec = self.spec
        if not spec.pre_norm:
            x = self._add_norm(self._attend(x, layer, at, batch, angles), x, f"{at}.attention", "o", batch)
            return self._add_norm(self._inner(x, f"{at}.mlp"), x, f"{at}.mlp", "down", batch)
        y = self._norm(x, f"{at}.attention.norm") if layer.attention_norm else x
        x = x + self._linear(self._attend(y.to(self._dtype), layer, at, batch, angles), f"{at}.attention.o").float()
        y = self._norm(x, f"{at}.mlp.norm").to(self._dtype)
        return x + self._linear(self._inner(y, f"{at}.mlp"), f"{at}.mlp.down").float()

    def _attend(self, x: torch.Tensor, layer: Layer, at: str, batch: Packed, angles: dict[Rope, Any]) -> torch.Tensor:
        spec, weights = self.spec, self._weights
        settings = Attention(
            num_heads=spec.num_heads, num_kv_heads=spec.num_kv_heads, head_size=spec.head_size, scale=spec.attention_scale,
            element=_NAMES[self._dtype], rope_dim=layer.rope.dim if layer.rope else 0, causal=spec.causal,
            window=-1 if layer.window is None else layer.window, reach=spec.relative_max_distance, norm_eps=spec.norm_eps,
        )  # fmt: skip
        cos, sin = angles[layer.rope] if layer.rope else (None, None)
        pointers = {
            "bias": weights.get(f"{at}.attention.qkv.bias"), "cos": cos, "sin": sin,
            "q_norm": weights.get(f"{at}.attention.q_norm.weight"), "k_norm": weights.get(f"{at}.attention.k_norm.weight"),
            "relative_bias": weights.get("relative_bias"),
        }  # fmt: skip
        qkv = x @ weights[f"{at}.attention.qkv.weight"].T
        workspace = x.new_empty(batch.tokens, self._kernels.attention_columns(settings))
        out = x.new_empty(batch.tokens, spec.num_heads * spec.head_size)
        given = {name: 0 if tensor is None else tensor.data_ptr() for name, tensor in pointers.items()}
        self._kernels.attention(settings, batch, qkv.data_ptr(), workspace.data_ptr(), out.data_ptr(), **given)
        return out

    def _inner(self, x: torch.Tensor, at: str) -> torch.Tensor:
        activate = _ACTIVATIONS[self.spec.activation]
        if self.spec.gated_mlp:
            return torch.Tensor(activate(self._linear(x, f"{at}.gate")) * self._linear(x, f"{at}.up"))
        return torch.Tensor(activate(self._linear(x, f"{at}.up")))

    def _linear(self, x: torch.Tensor, slot: str) -> torch.Tensor:
        return F.linear(x, self._weights[f"{slot}.weight"], self._weights.get(f"{slot}.bias"))

    def _add_norm(self, x: torch.Tensor, skip: torch.Tensor, at: str, product: str, batch: Packed) -> torch.Tensor:
        """norm(x @ weight + bias + skip): the product by torch, the rest in one kernel."""
        weights, out = self._weights, torch.empty_like(skip)
        made = x @ weights[f"{at}.{product}.weight"].T
        sides = {"bias": weights.get(f"{at}.{product}.bias"), "shift": weights.get(f"{at}.norm.bias")}
        self._kernels.skip_norm(
            batch.tokens, self.spec.hidden_size, made.data_ptr(), weights[f"{at}.norm.weight"].data_ptr(), out.data_ptr(),
            kind=str(self.spec.norm), eps=self.spec.norm_eps, element=_NAMES[self._dtype], skip=skip.data_ptr(),
            stream=batch.stream, **{name: 0 if side is None else side.data_ptr() for name, side in sides.items()},
        )  # fmt: skip
        return out

    def _norm(self, x: torch.Tensor, slot: str) -> torch.Tensor:
        shape, weight = (self.spec.hidden_size,), self._weights[f"{slot}.weight"]
        if self.spec.norm is Norm.RMS:
            return F.rms_norm(x, shape, weight, self.spec.norm_eps)
        return F.layer_norm(x, shape, weight, self._weights.get(f"{slot}.bias"), self.spec.norm_eps)

    def _angles(self, rope: Rope, batch: Packed, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        cos, sin = (torch.empty(batch.tokens, rope.dim // 2, device=device) for _ in range(2))
        self._kernels.rotary(
            batch, cos.data_ptr(), sin.data_ptr(), theta=rope.theta, dim=rope.dim, scaling=str(rope.scaling),
            factor=rope.factor, trained_positions=rope.trained_positions,
        )  # fmt: skip
        return cos, sin

    def _pool(self, x: torch.Tensor, batch: Packed) -> torch.Tensor:
        (kind,) = self.spec.pooling
        assert kind is not Pooling.FIRST_TOKEN_TRANSFORM
        out = torch.empty(batch.batch, self.spec.hidden_size, device=x.device)
        self._kernels.pooling(
            batch, self.spec.hidden_size, x.data_ptr(), out.data_ptr(), kind=str(kind), element=_NAMES[self._dtype]
        )
        return F.normalize(out, dim=-1) if self.spec.normalize else out
