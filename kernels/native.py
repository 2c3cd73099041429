"""The operators of the CPU library (kernels/cpu/api.h) through ctypes, one by one: for tests and benchmarks.

The runtime does not come this way: ONNX Runtime registers the same library and calls it without Python.
"""

import ctypes as c
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strizh.kernels import layout
from strizh.kernels import native_api as api

Floats = NDArray[np.float32]

# The four products of a layer, by the slots of their weights.
PRODUCT_SLOTS = {
    "qkv": ("attention.q", "attention.k", "attention.v"), "output": ("attention.o",), "up": ("mlp.gate", "mlp.up"),
    "down": ("mlp.down",),
}  # fmt: skip


def embeddings(
    input_ids: ArrayLike, cu_seqlens: ArrayLike, word: NDArray[Any], position: NDArray[Any] | None = None, *,
    precision: str = "fp32", by_id: bool = False, offset: int = 0, pad: int = 0, max_length: int = 0,
    word_scale: NDArray[np.float32] | None = None,
) -> Floats:  # fmt: skip
    """Float32 [tokens, hidden]; tables float32, or uint16 bits of bf16. With `word_scale` [vocab] the words are int8."""
    ids, (bounds, batch) = np.ascontiguousarray(input_ids, np.int32), api.offsets(cu_seqlens)
    kind = 0 if position is None else 2 if by_id else 1
    spec = api.Embeddings(
        api.PRECISIONS[precision], word.shape[1], len(word), 0 if position is None else len(position), kind, offset, pad,
        max_length, api.address(word), api.address(position), api.address(word_scale),
    )  # fmt: skip
    out = np.empty((len(ids), word.shape[1]), np.float32)
    arguments = (api.address(ids), c.c_int64(len(ids)), api.address(bounds), batch, api.address(out))
    api.call("strizh_embeddings", c.byref(spec), *arguments)
    return out


class EncoderLayer:
    """One packed layer; arguments are those of `reference_layer.encoder_layer`, and `precision`.

    "int8" means the products "qkv", "output", "up" and "down" but for those in `keep_bf16`; `smoothing` has a vector for
    some of them, as in `reference_int8.linear_int8`, where gate and up are one product.
    """

    def __init__(
        self, weights: Mapping[str, ArrayLike], *, head_size: int, activation: str, attention_scale: float,
        norm_kind: str, norm_eps: float, pre_norm: bool = False, rope: Mapping[str, Any] | None = None,
        window: int | None = None, causal: bool = False, relative_max_distance: int = 0, precision: str = "fp32",
        keep_bf16: Collection[str] = (), smoothing: Mapping[str, ArrayLike] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self._kept: list[NDArray[Any]] = []
        w = {name: np.asarray(x, np.float32) for name, x in weights.items()}
        smooth = {product: np.asarray(s, np.float32) for product, s in smoothing.items() if product not in keep_bf16}
        w |= {
            f"{slot}.weight": w[f"{slot}.weight"] * s
            for product, s in smooth.items()
            for slot in PRODUCT_SLOTS[product]
            if f"{slot}.weight" in w
        }
        q, k, v = (w[f"attention.{name}.weight"] for name in "qkv")
        self.hidden_size, rope_dim = q.shape[1], int(rope["dim"]) if rope else 0
        heads, kv_heads = len(q) // head_size, len(k) // head_size
        order = layout.head_order(head_size, rope_dim)
        gated = "mlp.gate.weight" in w

        def linear(product: str, packed: NDArray[Any], bias: NDArray[Any] | None) -> api.Linear:
            factors = None
            if product in smooth:
                inverse = 1 / smooth[product]
                factors = layout.spread_heads(inverse, head_size) if product == "output" else layout.pad_vector(inverse)
            return api.Linear(self._keep(packed), self._keep(bias), packed.dtype == np.int8, self._keep(factors))

        def of(product: str) -> str:
            return "bf16" if product in keep_bf16 else precision

        def bias(name: str) -> NDArray[Any] | None:
            return layout.pad_vector(w[f"{name}.bias"]) if f"{name}.bias" in w else None

        def norm(name: str) -> api.Norm:
            weight = layout.pad_vector(w[f"{name}.weight"]) if f"{name}.weight" in w else None
            kind = 0 if weight is None else api.NORMS[norm_kind]
            return api.Norm(kind, norm_eps, self._keep(weight), self._keep(bias(name)))

        up, up_bias = w["mlp.up.weight"], bias("mlp.up")
        if gated:
            up = layout.interleave(w["mlp.gate.weight"], up)
            if up_bias is not None:
                up_bias = layout.interleave(w["mlp.gate.bias"], w["mlp.up.bias"])
        biases = tuple(w.get(f"attention.{name}.bias") for name in "qkv")
        r = dict(rope or {})
        self._spec = api.EncoderLayer(
            api.PRECISIONS[precision], self.hidden_size, heads, kv_heads, head_size, w["mlp.up.weight"].shape[0],
            api.ACTIVATIONS[activation], gated, pre_norm, causal, -1 if window is None else window, rope_dim,
            api.SCALINGS[r.get("scaling", "none")], r.get("trained_positions", 0),
            len(w["relative_bias"]) if "relative_bias" in w else 0, relative_max_distance, int(precision == "int8"),
            r.get("theta", 0.0), r.get("factor", 1.0), attention_scale,
            linear(
                "qkv", layout.pack_attention(q, k, v, head_size=head_size, rope_dim=rope_dim, precision=of("qkv")),
                layout.pack_attention_bias(biases, (len(q), len(k), len(v)), head_size=head_size, rope_dim=rope_dim),
            ),
            linear(
                "output", layout.pack_attention_output(w["attention.o.weight"], head_size=head_size, precision=of("output")),
                bias("attention.o"),
            ),
            linear("up", layout.pack_linear(up, of("up")), up_bias),
            linear("down", layout.pack_linear(w["mlp.down.weight"], of("down")), bias("mlp.down")),
            norm("attention.norm"), norm("mlp.norm"), norm_eps,
            *(
                self._keep(layout.spread_heads(w[f"attention.{name}.weight"], head_size, order))
                if f"attention.{name}.weight" in w else None
                for name in ("q_norm", "k_norm")
            ),
            self._keep(w.get("relative_bias")),
        )  # fmt: skip

    def _keep(self, x: NDArray[Any] | None) -> int | None:
        if x is None:
            return None
        self._kept.append(api.aligned(x))
        return api.address(self._kept[-1])

    def __call__(self, hidden: ArrayLike, cu_seqlens: ArrayLike) -> Floats:
        """Float32 [tokens, hidden] to the same."""
        x, (bounds, batch) = np.ascontiguousarray(hidden, np.float32), api.offsets(cu_seqlens)
        out = np.empty_like(x)
        arguments = (api.address(x), c.c_int64(len(x)), api.address(bounds), batch, api.address(out))
        api.call("strizh_encoder_layer", c.byref(self._spec), *arguments)
        return out

    def pooled(self, hidden: ArrayLike, cu_seqlens: ArrayLike, kind: str) -> Floats:
        """`pool` of what the layer gives, float32 [batch, hidden], computed of the pooled tokens alone; `kind`: cls, last."""
        x, (bounds, batch) = np.ascontiguousarray(hidden, np.float32), api.offsets(cu_seqlens)
        out = np.empty((len(bounds) - 1, x.shape[1]), np.float32)
        arguments = (api.address(x), c.c_int64(len(x)), api.address(bounds), batch, api.address(out))
        api.call("strizh_pooled_encoder_layer", c.byref(self._spec), c.c_int32(api.POOLINGS[kind]), *arguments)
        return out


def norm(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, *, kind: str, eps: float) -> Floats:
    """Float32 [rows, size] to the same."""
    rows = np.ascontiguousarray(x, np.float32)
    w, b = layout.pad_vector(weight), None if bias is None else layout.pad_vector(bias)
    spec, out = api.Norm(api.NORMS[kind], eps, api.address(w), api.address(b)), np.empty_like(rows)
    arguments = (c.c_int64(rows.shape[1]), api.address(rows), c.c_int64(len(rows)), api.address(out))
    api.call("strizh_norm", c.byref(spec), *arguments)
    return out


def pool(hidden: ArrayLike, cu_seqlens: ArrayLike, kind: str) -> Floats:
    """Float32 [tokens, hidden] to [batch, hidden]."""
    x, (bounds, batch) = np.ascontiguousarray(hidden, np.float32), api.offsets(cu_seqlens)
    out = np.empty((len(bounds) - 1, x.shape[1]), np.float32)
    arguments = (c.c_int64(x.shape[1]), api.address(x), c.c_int64(len(x)), api.address(bounds), batch, api.address(out))
    api.call("strizh_pooling", c.c_int32(api.POOLINGS[kind]), *arguments)
    return out


def dense(
    x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, *, activation: str, precision: str = "fp32",
    smoothing: ArrayLike | None = None,
) -> Floats:  # fmt: skip
    """Float32 [rows, in] to [rows, out]; weight is [out, in], `smoothing` [in] as in `reference_int8.linear_int8`."""
    rows, plain = np.ascontiguousarray(x, np.float32), np.asarray(weight, np.float32)
    s = None if smoothing is None else np.asarray(smoothing, np.float32)
    packed = api.aligned(layout.pack_linear(plain if s is None else plain * s, precision))
    b = None if bias is None else layout.pad_vector(bias)
    factors = None if s is None else layout.pad_vector(1 / s)
    spec = api.Dense(
        api.PRECISIONS[precision],
        plain.shape[1],
        plain.shape[0],
        api.ACTIVATIONS[activation],
        api.Linear(api.address(packed), api.address(b), packed.dtype == np.int8, api.address(factors)),
    )
    out = np.empty((len(rows), plain.shape[0]), np.float32)
    api.call("strizh_dense", c.byref(spec), api.address(rows), c.c_int64(len(rows)), api.address(out))
    return out


def normalize(x: ArrayLike) -> Floats:
    """Rows scaled to length 1."""
    rows = np.ascontiguousarray(x, np.float32)
    out = np.empty_like(rows)
    arguments = (c.c_int64(rows.shape[1]), api.address(rows), c.c_int64(len(rows)), api.address(out))
    api.call("strizh_normalize", *arguments)
    return out


def use_isa(name: str) -> None:
    """Forces an instruction set for the calls that follow; an empty name goes back to the best. Raises KernelError."""
    api.call("strizh_use_isa", name.encode())
