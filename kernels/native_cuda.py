"""The CUDA library's C interface: operators on device pointers, for torch's buffers or anybody else's.

Pointers are integers (`tensor.data_ptr()`); 0 is an input that is left out. Work is queued on `stream` and nothing waits.
"""

import ctypes
from ctypes import c_double, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from os import PathLike

ELEMENTS = {"float16": 0, "bfloat16": 1, "float32": 2}
NORMS = {"layer_norm": 1, "rms_norm": 2}
SCALINGS = {"none": 0, "linear": 1, "dynamic": 2, "ntk": 3}
POOLINGS = {"mean": 0, "cls": 1, "max": 2, "last": 3, "mean_sqrt_len_tokens": 4, "weightedmean": 5}


class _PackedAttention(ctypes.Structure):
    _fields_ = (
        ("element", c_int32), ("num_heads", c_int32), ("num_kv_heads", c_int32), ("head_size", c_int32),
        ("rope_dim", c_int32), ("window", c_int32), ("causal", c_int32), ("reach", c_int32),
        ("scale", c_float), ("norm_eps", c_float),
    )  # fmt: skip


class _AttentionInputs(ctypes.Structure):
    _fields_ = tuple((name, c_void_p) for name in ("qkv", "bias", "cos", "sin", "q_norm", "k_norm", "relative_bias"))


class _Rotary(ctypes.Structure):
    _fields_ = (
        ("dim", c_int32), ("scaling", c_int32), ("trained_positions", c_int32), ("theta", c_double), ("factor", c_double),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Settings of packed attention; `reach` is the distances that `relative_bias` [2 * reach + 1, num_heads] tells apart."""

    num_heads: int
    num_kv_heads: int
    head_size: int
    scale: float
    element: str = "float16"
    rope_dim: int = 0
    window: int = -1
    causal: bool = False
    reach: int = 0
    norm_eps: float = 0.0


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed batch on the device: where its cu_seqlens int32 [batch + 1] lie, and its counts."""

    cu_seqlens: int
    tokens: int
    batch: int
    stream: int = 0


class CudaKernels:
    """The library at a path. Every method raises ValueError with the library's sentence for what it refuses."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.strizh_cuda_attention_columns.restype = c_int64

    def attention_columns(self, settings: Attention) -> int:
        """Numbers of `element` that one token takes in the workspace of `attention`."""
        return int(self._library.strizh_cuda_attention_columns(ctypes.byref(_settings(settings))))

    def attention(
        self, settings: Attention, batch: Packed, qkv: int, workspace: int, out: int, *, bias: int = 0, cos: int = 0,
        sin: int = 0, q_norm: int = 0, k_norm: int = 0, relative_bias: int = 0,
    ) -> None:  # fmt: skip
        """`reference_cuda.packed_qkv`, then `packed_attention`: out [tokens, num_heads * head_size].

        qkv [tokens, (num_heads + 2 num_kv_heads) * head_size], bias, workspace [tokens, attention_columns] and out are of
        `element`; cos and sin [tokens, rope_dim / 2], q_norm and k_norm [head_size] and relative_bias are float32.
        """
        inputs = _AttentionInputs(
            qkv, bias or None, cos or None, sin or None, q_norm or None, k_norm or None, relative_bias or None
        )
        self._call(
            "attention", ctypes.byref(_settings(settings)), ctypes.byref(inputs), *_of(batch), c_void_p(workspace),
            c_void_p(out), c_void_p(batch.stream),
        )  # fmt: skip

    def rotary(
        self, batch: Packed, cos: int, sin: int, *, theta: float, dim: int, scaling: str = "none", factor: float = 1.0,
        trained_positions: int = 0,
    ) -> None:  # fmt: skip
        """cos and sin of every token's angles, float32 [tokens, dim / 2]; see `reference.inverse_frequencies`."""
        settings = _Rotary(dim, SCALINGS[scaling], trained_positions, theta, factor)
        self._call("rotary", ctypes.byref(settings), *_of(batch), c_void_p(cos), c_void_p(sin), c_void_p(batch.stream))

    def skip_norm(
        self, rows: int, size: int, x: int, weight: int, out: int, *, kind: str, eps: float, element: str = "float16",
        skip: int = 0, bias: int = 0, shift: int = 0, stream: int = 0,
    ) -> None:  # fmt: skip
        """out = norm(x + skip + bias), all of `element`, [rows, size]; statistics are float32."""
        self._call(
            "skip_norm", c_int32(ELEMENTS[element]), c_int32(NORMS[kind]), c_float(eps), c_int64(size), c_void_p(x),
            c_void_p(skip), c_void_p(bias), c_void_p(weight), c_void_p(shift), c_int64(rows), c_void_p(out), c_void_p(stream),
        )  # fmt: skip

    def pooling(self, batch: Packed, size: int, hidden: int, out: int, *, kind: str, element: str = "float16") -> None:
        """`reference.pool`: float32 [batch, size] of hidden [tokens, size] of `element`."""
        self._call(
            "pooling", c_int32(POOLINGS[kind]), c_int32(ELEMENTS[element]), c_int64(size), c_void_p(hidden),
            c_void_p(batch.cu_seqlens), c_int64(batch.batch), c_void_p(out), c_void_p(batch.stream),
        )  # fmt: skip

    def _call(self, name: str, *arguments: object) -> None:
        error = ctypes.create_string_buffer(1024)
        if getattr(self._library, f"strizh_cuda_{name}")(*arguments, error, c_int64(len(error))):
            raise ValueError(f"{name}: {error.value.decode()}")


def _settings(s: Attention) -> _PackedAttention:
    return _PackedAttention(
        ELEMENTS[s.element],
        s.num_heads,
        s.num_kv_heads,
        s.head_size,
        s.rope_dim,
        s.window,
        s.causal,
        s.reach,
        s.scale,
        s.norm_eps,
    )


def _of(batch: Packed) -> tuple[c_void_p, c_int64, c_int64]:
    return c_void_p(batch.cu_seqlens), c_int64(batch.tokens), c_int64(batch.batch)
