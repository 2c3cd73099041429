"""Token ids on the device, packed and padded."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class PackedIds:
    """int32 [total_tokens], [batch + 1], [total_tokens]."""

    input_ids: torch.Tensor
    cu_seqlens: torch.Tensor
    position_ids: torch.Tensor

    @property
    def all(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.input_ids, self.cu_seqlens, self.position_ids


def draw(lengths: Sequence[int], vocabulary: int) -> list[np.ndarray]:
    """Ids of texts of these lengths, the same for every contender."""
    generator = np.random.default_rng(7)
    return [generator.integers(5, vocabulary, length, dtype=np.int32) for length in lengths]


def pack(texts: Sequence[np.ndarray], device: str) -> PackedIds:
    """All texts in one row."""
    lengths = [len(text) for text in texts]
    positions = np.concatenate([np.arange(length, dtype=np.int32) for length in lengths])
    ends = np.cumsum([0, *lengths]).astype(np.int32)
    return PackedIds(*(torch.from_numpy(array).to(device) for array in (np.concatenate(texts), ends, positions)))


def pad(texts: Sequence[np.ndarray], device: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """[batch, longest] and what is real of it, None if all is."""
    longest = max(len(text) for text in texts)
    ids = np.ones((len(texts), longest), np.int64)
    mask = np.zeros((len(texts), longest), bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, True
    return torch.from_numpy(ids).to(device), None if mask.all() else torch.from_numpy(mask).to(device)


def pad_sorted(texts: Sequence[np.ndarray], size: int, device: str) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Batches of `size` texts that are neighbours in length."""
    ordered = sorted(texts, key=len)
    return [pad(ordered[start : start + size], device) for start in range(0, len(ordered), size)]
