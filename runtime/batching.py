"""Batches without padding, cut by a budget of tokens so that memory has a ceiling."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strizh.runtime.errors import UsageError

Int32 = NDArray[np.int32]
Rows = NDArray[np.intp]

DEFAULT_MAX_BATCH_TOKENS = 8192
# Attention of a padded graph keeps batch x heads x longest^2 scores. With the default budget the ceiling is 2^24 cells:
# one text of 4096 tokens, or 4 of 2048, or 16 of 1024; 64 MiB a head in float32, about what one text of 4096 tokens
# takes anyway. Longer texts need a graph whose attention is not quadratic in memory, which the cpu variants are.
_CELLS_PER_TOKEN = 2048


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Texts in one row: text `i` is `input_ids[cu_seqlens[i]:cu_seqlens[i + 1]]`. No padding, no mask.

    `input_ids` is int32 [total_tokens], `cu_seqlens` (cumulative lengths) is int32 [batch + 1], from 0 to total_tokens.
    `token_type_ids`, int32 [total_tokens] or None for zeros, tells the two texts of a pair apart. Anything else is a
    `UsageError`: operators read memory by these numbers.
    """

    input_ids: Int32
    cu_seqlens: Int32
    token_type_ids: Int32 | None = None

    def __post_init__(self) -> None:
        types = self.input_ids if self.token_type_ids is None else self.token_type_ids
        for name, array in (("input_ids", self.input_ids), ("cu_seqlens", self.cu_seqlens), ("token_type_ids", types)):
            if not (isinstance(array, np.ndarray) and array.dtype == np.int32 and array.ndim == 1):
                raise UsageError(
                    f"{name} is no int32 array of one dimension. Make the batch with PackedBatch.pack(texts)"
                )
        ends, total = self.cu_seqlens, len(self.input_ids)
        if len(types) != total:
            raise UsageError(f"token_type_ids has {len(types)} numbers for {total} tokens. Give one a token, or none")
        if not (len(ends) and ends[0] == 0 and ends[-1] == total and (np.diff(ends) >= 0).all()):
            raise UsageError(
                f"cu_seqlens does not rise from 0 to the {total} tokens. Make the batch with PackedBatch.pack"
            )

    @classmethod
    def pack(cls, texts: Iterable[Sequence[int] | NDArray[Any]]) -> "PackedBatch":
        """Pack lists of token ids; `UsageError` for what is none."""
        try:
            rows = [_row(ids) for ids in texts]
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"texts are no lists of token ids ({error}). Give lists of whole numbers") from None
        ends = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int32)
        return cls(np.concatenate([np.empty(0, np.int32), *rows]), ends)

    def types_or_zeros(self) -> Int32:
        """`token_type_ids`, zeros where there are none: int32 [total_tokens]."""
        return np.zeros(len(self.input_ids), np.int32) if self.token_type_ids is None else self.token_type_ids

    def __len__(self) -> int:
        return len(self.cu_seqlens) - 1

    @property
    def lengths(self) -> Int32:
        """Tokens of each text, int32 [batch]."""
        return np.diff(self.cu_seqlens)

    def take(self, rows: Rows) -> "PackedBatch":
        """These texts, in this order."""
        places = self.places(rows)
        ends = np.zeros(len(rows) + 1, np.int32)
        np.cumsum(self.lengths[rows], out=ends[1:])
        types = self.token_type_ids
        return PackedBatch(self.input_ids[places], ends, None if types is None else types[places])

    def places(self, rows: Rows) -> Rows:
        """Where the tokens of these texts are, in this order."""
        starts = self.cu_seqlens
        return np.concatenate([np.empty(0, np.intp), *(np.arange(starts[row], starts[row + 1]) for row in rows)])


def _row(ids: Sequence[int] | NDArray[Any]) -> Int32:
    """Ids of one text; `ValueError` for what an int32 does not hold."""
    found = np.asarray(ids)
    row = found.astype(np.int32) if found.size else np.empty(0, np.int32)
    if found.ndim != 1 or not (found.dtype.kind in "iu" or not found.size) or (row != found).any():
        raise ValueError(f"{ids!r:.80}")
    return row


@dataclass(frozen=True, slots=True)
class Budget:
    """What one batch may hold: `max_tokens`, padding counted if `padded`, and then batch x longest^2 as well.

    `enough` tokens end a batch before the ceiling: an engine that is no quicker on more of them has less padding and
    takes less memory so. A single text may have more.
    """

    max_tokens: int
    padded: bool
    enough: int | None = None

    @property
    def max_cells(self) -> int:
        """Ceiling of batch x longest^2 for padded graphs: 2^24 with the default budget of 8192 tokens."""
        return _CELLS_PER_TOKEN * self.max_tokens

    def cut(self, lengths: Int32) -> Iterator[Rows]:
        """Row numbers of each batch, longest texts first; rows without a token are in none.

        Texts of a batch are neighbours in length, so a padded batch has little padding. A text that fits no batch is
        a `UsageError`.
        """
        order = np.argsort(-lengths, kind="stable")
        order = order[lengths[order] > 0]
        if len(order):
            self._check_longest(int(lengths[order[0]]))
        start, tokens = 0, 0
        for end, row in enumerate(order):
            tokens += int(lengths[row])
            if end > start and not self._fits(end + 1 - start, int(lengths[order[start]]), tokens):
                yield order[start:end]
                start, tokens = end, int(lengths[row])
        if start < len(order):
            yield order[start:]

    def consecutive(self, lengths: Int32) -> Iterator[slice]:
        """Texts of each batch in their own order, for vectors that stay where they are written; none without a token."""
        if len(lengths):
            self._check_longest(int(lengths.max()))
        start = tokens = longest = 0
        for row, length in enumerate(lengths.tolist()):
            if not length or not self._fits(row + 1 - start, max(longest, length), tokens + length):
                if row > start:
                    yield slice(start, row)
                start, tokens, longest = row + (not length), 0, 0
            tokens, longest = tokens + length, max(longest, length)
        if start < len(lengths):
            yield slice(start, len(lengths))

    def _fits(self, count: int, longest: int, tokens: int) -> bool:
        limit = min(self.max_tokens, self.enough or self.max_tokens)
        if not self.padded:
            return tokens <= limit
        return count * longest <= limit and count * longest * longest <= self.max_cells

    def _check_longest(self, longest: int) -> None:
        if longest > self.max_tokens:
            raise UsageError(
                f"a text has {longest} tokens, one batch may hold {self.max_tokens}. "
                f"Load the bundle with max_batch_tokens={longest} or more"
            )
        if self.padded and longest * longest > self.max_cells:
            raise UsageError(
                f"a text has {longest} tokens, and the attention of this padded variant would need "
                f"{longest * longest * 4 >> 20} MiB a head. Export and load a cpu variant (cpu-bf16, cpu-fp32), whose "
                f"memory is linear in tokens, or raise max_batch_tokens to {-(-longest * longest // _CELLS_PER_TOKEN)}"
            )
