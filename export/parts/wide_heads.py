"""Heads with zeros behind them, for engines whose attention wants other sizes: the same numbers come out."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from strizh.export.spec import EncoderSpec
from strizh.export.weights import Array


def with_wide_heads(
    spec: EncoderSpec, weights: Mapping[str, Array], width: int
) -> tuple[EncoderSpec, Mapping[str, Array]]:
    """The same encoder with `width` numbers a head. Zeros add nothing to scores, and values' zeros meet zeros in `o`."""
    if width == spec.head_size:
        return spec, weights
    return dataclasses.replace(spec, head_size=width), _Widened(weights, spec.head_size, width)


def widened(array: Array, head_size: int, width: int) -> Array:
    """[heads * head_size, ...] with zeros between heads: [heads * width, ...]."""
    heads = array.reshape(-1, head_size, *array.shape[1:])
    spare = [(0, 0), (0, width - head_size), *((0, 0) for _ in array.shape[1:])]
    return np.pad(heads, spare).reshape(-1, *array.shape[1:])


class _Widened(Mapping[str, Array]):
    """Widens a tensor when it is asked for, so that no second copy of the weights exists."""

    def __init__(self, weights: Mapping[str, Array], head_size: int, width: int) -> None:
        self._weights, self._head_size, self._width = weights, head_size, width

    def __getitem__(self, slot: str) -> Array:
        array, (*at, side, kind) = self._weights[slot], ["", "", *slot.split(".")]
        if at[-1] == "attention" and side in ("q", "k", "v"):
            return widened(array, self._head_size, self._width)
        if at[-1] == "attention" and (side, kind) == ("o", "weight"):
            return np.ascontiguousarray(widened(array.T, self._head_size, self._width).T)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)
