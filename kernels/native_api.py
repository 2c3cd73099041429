"""cpu/api.h in ctypes: its structures, its numbers of things, and how a function of it is called."""

import ctypes as c
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strizh.kernels import library

ACTIVATIONS = {"identity": 0, "gelu": 1, "gelu_tanh": 2, "silu": 3, "relu": 4, "tanh": 5, "sigmoid": 6}
NORMS = {"layer_norm": 1, "rms_norm": 2}
SCALINGS = {"none": 0, "linear": 1, "dynamic": 2, "ntk": 3}
POOLINGS = {
    "mean": 0,
    "cls": 1,
    "first_token_transform": 1,
    "max": 2,
    "last": 3,
    "mean_sqrt_len_tokens": 4,
    "weightedmean": 5,
}
PRECISIONS = {"fp32": 0, "bf16": 1, "int8": 1}  # int8 products are among bf16 ones


class KernelError(Exception):
    """An operator refused its input; the message is the library's."""


class Linear(c.Structure):
    _fields_ = (("panels", c.c_void_p), ("bias", c.c_void_p), ("int8", c.c_int32), ("smoothing", c.c_void_p))


class Norm(c.Structure):
    _fields_ = (("kind", c.c_int32), ("eps", c.c_float), ("weight", c.c_void_p), ("bias", c.c_void_p))


class Embeddings(c.Structure):
    _fields_ = (
        *((name, c.c_int32) for name in (
            "precision", "hidden_size", "vocab_size", "position_rows", "positions", "position_offset", "pad_token_id",
            "max_length",
        )),
        *((name, c.c_void_p) for name in ("word", "position", "word_scale")),
    )  # fmt: skip


class EncoderLayer(c.Structure):
    _fields_ = (
        *((name, c.c_int32) for name in (
            "precision", "hidden_size", "num_heads", "num_kv_heads", "head_size", "intermediate_size", "activation",
            "gated_mlp", "pre_norm", "causal", "window", "rope_dim", "rope_scaling", "trained_positions",
            "relative_buckets", "relative_max_distance", "sum_order",
        )),
        *((name, c.c_double) for name in ("rope_theta", "rope_factor", "attention_scale")),
        *((name, Linear) for name in ("qkv", "output", "up", "down")),
        *((name, Norm) for name in ("attention_norm", "mlp_norm")),
        ("head_norm_eps", c.c_float),
        *((name, c.c_void_p) for name in ("q_norm", "k_norm", "relative_bias")),
    )  # fmt: skip


class Dense(c.Structure):
    _fields_ = (
        *((name, c.c_int32) for name in ("precision", "in_features", "out_features", "activation")),
        ("weights", Linear),
    )


@cache
def _library() -> c.CDLL:
    return library.load()


def call(name: str, *args: Any) -> None:
    """Calls a function of the library; an int is a pointer, as `address` gives it. Raises `KernelError`."""
    error = c.create_string_buffer(1024)
    passed = (c.c_void_p(x) if isinstance(x, int) else x for x in args)
    if _library()[name](*passed, error, c.c_int64(len(error))):
        raise KernelError(error.value.decode())


def address(x: NDArray[Any] | None) -> int | None:
    """Where an array begins; the caller keeps it alive."""
    return None if x is None else x.ctypes.data


def offsets(cu_seqlens: ArrayLike) -> tuple[NDArray[np.int32], c.c_int64]:
    """Where each text begins, int32 [batch + 1], and how many texts there are."""
    bounds = np.ascontiguousarray(cu_seqlens, np.int32)
    return bounds, c.c_int64(len(bounds) - 1)


def aligned(x: NDArray[Any]) -> NDArray[Any]:
    """A copy that begins on a page, as a memory-mapped weight does."""
    raw = np.empty(x.nbytes + 4096, np.uint8)
    start = -raw.ctypes.data % 4096
    copy = raw[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy
