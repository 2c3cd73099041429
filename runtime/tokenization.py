"""Texts to token ids with the Rust tokenizer of `tokenizer.json`. Padding is never enabled: batches are packed."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as RustTokenizer

from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import BundleError, TextError, UsageError

Overflow = Literal["warn", "error", "split"]
_CHUNK = 256  # texts tokenized at a time: the Rust objects of a token are 30 times larger than its id


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Token rows of some texts, in order.

    `owner` is int32 [rows]: the text that a row belongs to (with overflow="split" a long text has several rows).
    `truncated` counts the texts that were longer than the limit, `dropped` the tokens that were cut off them.
    """

    rows: PackedBatch
    owner: NDArray[np.int32]
    texts: int
    truncated: int
    dropped: int


class Tokenizer:
    """`tokenizer.json` with the bundle's length limit."""

    def __init__(self, path: Path, max_length: int) -> None:
        self.max_length = max_length
        try:
            self._rust = RustTokenizer.from_file(str(path))
            self._special = self._rust.num_special_tokens_to_add(False)
            if self._special >= max_length:
                raise ValueError(f"it adds {self._special} special tokens and max_length is {max_length}")
            side = (self._rust.truncation or {}).get("direction", "right")
            self._rust.enable_truncation(max_length, direction=side)
            self._rust.no_padding()
        except Exception as error:  # the Rust side raises bare Exception
            raise BundleError(f"{path.name} cannot be used: {_line(error)}. Export the bundle again") from None

    def tokenize(
        self, texts: Sequence[str], prompt: str = "", overflow: Overflow = "warn", first: int = 0
    ) -> Tokenized:
        """Token ids of `prompt + text`, special tokens included, no row above `max_length`.

        `overflow`: "warn" keeps the first `max_length` tokens and counts, "split" gives every window of a long text
        as a row of its own, "error" raises. `TextError` for what is no text, counted from `first`.
        """
        if overflow not in get_args(Overflow):
            raise UsageError(f"overflow is {overflow!r}, expected 'warn', 'error' or 'split'")
        ids: list[list[int]] = []
        owner: list[int] = []
        truncated = dropped = 0
        for start in range(0, len(texts), _CHUNK):
            for index, encoding in enumerate(self._encode(texts[start : start + _CHUNK], first + start, prompt), start):
                windows = encoding.overflowing
                if windows:
                    beyond = sum(len(window) - self._special for window in windows)
                    if overflow == "error":
                        self._refuse_long(first + index, len(encoding) + beyond)
                    truncated += 1
                    dropped += 0 if overflow == "split" else beyond
                rows = [encoding, *windows] if overflow == "split" else [encoding]
                ids.extend(row.ids for row in rows)
                owner.extend([index] * len(rows))
        ends = np.zeros(len(ids) + 1, np.int32)
        np.cumsum([len(row) for row in ids], out=ends[1:])
        packed = np.fromiter(chain.from_iterable(ids), np.int32, count=int(ends[-1]))
        return Tokenized(PackedBatch(packed, ends), np.array(owner, np.int32), len(texts), truncated, dropped)

    def _encode(self, texts: Sequence[str], start: int, prompt: str) -> list[Any]:
        for index, text in enumerate(texts, start):
            if not isinstance(text, str):
                kind = type(text).__name__
                raise TextError(index, f"is of type {kind}, expected a string. Decode or convert it first")
        try:
            encodings: list[Any] = self._rust.encode_batch_fast(
                [prompt + text for text in texts] if prompt else list(texts)
            )
        except TypeError:  # all that is left for the Rust side to refuse in a string
            for index, text in enumerate(texts, start):
                if problem := _surrogates(text):
                    raise TextError(index, problem) from None
            raise UsageError(f"the prompt {_surrogates(prompt)}") from None
        return encodings

    def _refuse_long(self, index: int, tokens: int) -> None:
        raise TextError(
            index,
            f"has {tokens} tokens, the bundle's limit is {self.max_length} (overflow='error'). "
            "Shorten it, or use overflow='split' to pool over windows, or overflow='warn' to cut it",
        )


def _surrogates(text: str) -> str:
    """What is wrong with a string that is no Unicode text; empty if nothing is."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"holds the lone surrogate U+{ord(text[error.start]):04X} at character {error.start}, which is no "
            "Unicode text. Replace it: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        )
    return ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
