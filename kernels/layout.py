"""The packed layouts of kernels/cpu/layout.h, written from plain arrays.

Export writes them into the bundle, so that loading a model is a memory map and not a conversion.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from strizh.kernels.reference_int8 import quantize

LINE = 64  # bytes of one row that lie together
PANEL = 32  # columns of one panel, and the multiple to which every size is padded
GROUP = {"fp32": 1, "bf16": 2, "int8": 4}  # elements that follow each other in k, four bytes together


def padded(size: int) -> int:
    """`size` rounded up to whole panels."""
    return -(-size // PANEL) * PANEL


def pad_vector(x: ArrayLike) -> NDArray[np.float32]:
    """A bias or norm weight, float32, with zeros up to a whole panel."""
    x = np.asarray(x, np.float32)
    return np.pad(x, (0, padded(len(x)) - len(x)))


def to_bf16(x: ArrayLike) -> NDArray[np.uint16]:
    """Bits of bfloat16, rounded to nearest with ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return np.asarray(((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16))


def pack_linear(weight: ArrayLike, precision: str) -> NDArray[np.generic]:
    """Weight [out, in] as panels [out / 32, in / group, 32, group]: uint16 bits for bf16, float32 for fp32.

    Both sizes are padded with zeros to multiples of 32. "int8": see `pack_int8`.
    """
    weight = np.asarray(weight, np.float32)
    if precision == "int8":
        return pack_int8(weight)
    panels = _panels(weight, GROUP[precision], padded(weight.shape[1]))
    return panels if precision == "fp32" else to_bf16(panels)


def pack_int8(weight: ArrayLike) -> NDArray[np.int8]:
    """Weight [out, in] as int8 [out / 32, bytes]: panels [in / 4, 32, 4], and behind each of them its 32 columns' scales
    as float32 and 128 times the sums of their integers as int32.

    `in` is padded to a multiple of 64 (a line of packed rows), `out` to one of 32. Columns are quantised by
    `reference_int8.quantize`.
    """
    q, scale = quantize(weight)
    integers = np.asarray(q, np.int32)
    panels = _panels(integers, GROUP["int8"], -(-q.shape[1] // LINE) * LINE).astype(np.int8)
    trailer = np.zeros((len(panels), 2, PANEL), np.int32)
    trailer[:, 0] = pad_vector(scale).view(np.int32).reshape(-1, PANEL)
    trailer[:, 1] = np.pad(128 * integers.sum(1), (0, PANEL * len(panels) - len(integers))).reshape(-1, PANEL)
    parts = (panels.reshape(len(panels), -1), trailer.reshape(len(panels), -1).view(np.int8))
    return np.concatenate(parts, axis=1)


def _panels(weight: NDArray[Any], group: int, columns: int) -> NDArray[Any]:
    rows = padded(weight.shape[0])
    full = np.zeros((rows, columns), weight.dtype)
    full[: weight.shape[0], : weight.shape[1]] = weight
    return np.ascontiguousarray(full.reshape(rows // PANEL, PANEL, columns // group, group).transpose(0, 2, 1, 3))


def head_order(head_size: int, rope_dim: int) -> NDArray[np.int64]:
    """Where each element of a head of q or k lies in its padded width.

    The halves that rotary embedding combines begin at 0 and at half the width; elements beyond `rope_dim` fill what
    is free behind each of them.
    """
    half, turned = padded(head_size) // 2, rope_dim // 2
    free = [*range(turned, half), *range(half + turned, 2 * half)]
    return np.array([*range(turned), *range(half, half + turned), *free[: head_size - rope_dim]], np.int64)


def spread_heads(x: ArrayLike, head_size: int, order: ArrayLike | None = None) -> NDArray[np.float32]:
    """Rows [heads * head_size, ...] spread to [heads * padded(head_size), ...], zeros between."""
    x = np.asarray(x, np.float32)
    heads = x.shape[0] // head_size
    out = np.zeros((heads, padded(head_size), *x.shape[1:]), np.float32)
    out[:, np.arange(head_size) if order is None else np.asarray(order)] = x.reshape(heads, head_size, *x.shape[1:])
    return out.reshape(-1, *x.shape[1:])


def interleave(gate: ArrayLike, up: ArrayLike) -> NDArray[np.float32]:
    """Rows of two weights (or biases) in turn, one panel of 32 each, both padded to whole panels."""
    gate, up = np.asarray(gate, np.float32), np.asarray(up, np.float32)
    pad = [(0, padded(len(gate)) - len(gate))] + [(0, 0)] * (gate.ndim - 1)
    pairs = np.stack([np.pad(x, pad).reshape(-1, PANEL, *x.shape[1:]) for x in (gate, up)], axis=1)
    return pairs.reshape(-1, *gate.shape[1:])


def pack_attention(
    q: ArrayLike, k: ArrayLike, v: ArrayLike, *, head_size: int, rope_dim: int, precision: str
) -> NDArray[np.generic]:
    """The three projections [heads * head_size, hidden] as one product whose heads are whole panels."""
    order = head_order(head_size, rope_dim)
    return pack_linear(
        np.concatenate(
            [spread_heads(q, head_size, order), spread_heads(k, head_size, order), spread_heads(v, head_size)]
        ),
        precision,
    )


def pack_attention_bias(
    biases: Sequence[ArrayLike | None],
    sizes: Sequence[int],
    *,
    head_size: int,
    rope_dim: int,
) -> NDArray[np.float32] | None:
    """Biases of q, k and v (None is zeros of that size) in the columns of `pack_attention`; None if there are none."""
    if all(bias is None for bias in biases):
        return None
    order = head_order(head_size, rope_dim)
    full = [np.zeros(size) if bias is None else bias for bias, size in zip(biases, sizes, strict=True)]
    orders = (order, order, None)
    return np.concatenate([spread_heads(x, head_size, o) for x, o in zip(full, orders, strict=True)])


def pack_attention_output(weight: ArrayLike, *, head_size: int, precision: str) -> NDArray[np.generic]:
    """The output projection [hidden, heads * head_size], its columns spread as attention writes its heads."""
    return pack_linear(spread_heads(np.asarray(weight, np.float32).T, head_size).T, precision)
