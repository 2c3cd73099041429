"""A model's weights as its int8 products have them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from strizh.export.quantize.site import Site
from strizh.export.weights import Array


class Dequantized(Mapping[str, Array]):
    """The model's weights by slot; those of the sites' products are what their codes say, without the smoothing.

    They are made when they are asked for, so that no more than one is held in memory beside its codes.
    """

    def __init__(self, weights: Mapping[str, Array], sites: Sequence[Site]) -> None:
        self._weights = weights
        self._places: dict[str, tuple[Site, str, slice]] = {}  # slot -> site, matrix, columns of it
        for site in sites:
            for matrix in site.rounded:
                slots = _slots(matrix)
                ends = np.cumsum([0, *(len(weights[slot]) for slot in slots)])
                for slot, start, end in zip(slots, ends, ends[1:], strict=False):
                    self._places[slot] = site, matrix, slice(start, end)

    def __getitem__(self, slot: str) -> Array:
        if slot not in self._places:
            return self._weights[slot]
        site, matrix, columns = self._places[slot]
        codes, scale = site.rounded[matrix]
        smoothing = np.float32(1) if site.smoothing is None else site.smoothing[:, None]
        return np.asarray((codes[:, columns] * scale[columns] / smoothing).T)

    def __contains__(self, slot: object) -> bool:
        return slot in self._weights

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


def _slots(matrix: str) -> list[str]:
    """The slots whose weights a matrix of the padded graph joins."""
    place, _, last = matrix.removesuffix(".weight").rpartition(".")
    return [f"{place}.{part}.weight" for part in {"qkv": "qkv", "gate_up": ("gate", "up")}.get(last, (last,))]
