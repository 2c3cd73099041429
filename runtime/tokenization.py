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
Text = str | tuple[str, str]  # a text, or a pair of them for a classifier
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
    spans: NDArray[np.int32] | None = None  # [total_tokens, 2]: characters of the text, where they were asked for


class Tokenizer:
    """`tokenizer.json` with the bundle's length limit."""

    def __init__(self, path: Path, max_length: int) -> None:
        self.max_length = max_length
        try:
            self._rust = RustTokenizer.from_file(str(path))
            self._special = self._rust.num_special_tokens_to_add(False)
            self._special_of_pairs = self._rust.num_special_tokens_to_add(True)
            if self._special >= max_length:
                raise ValueError(f"it adds {self._special} special tokens and max_length is {max_length}")
            side = (self._rust.truncation or {}).get("direction", "right")
            self._rust.enable_truncation(max_length, direction=side)
            self._rust.no_padding()
        except Exception as error:  # the Rust side raises bare Exception
            raise BundleError(f"{path.name} cannot be used: {_line(error)}. Export the bundle again") from None

    def tokenize(
        self,
        texts: Sequence[Text],
        prompt: str = "",
        overflow: Overflow = "warn",
        first: int = 0,
        pairs: bool = False,
        spans: bool = False,
    ) -> Tokenized:
        """Token ids of `prompt + text`, special tokens included, no row above `max_length`.

        `overflow`: "warn" keeps the first `max_length` tokens and counts, "split" gives every window of a long text
        as a row of its own, "error" raises. `TextError` for what is no text, counted from `first`. With `pairs` a text
        may be two, which share the limit and are told apart by token types: the longer one is cut first. `spans` asks
        for the characters of every token.
        """
        if overflow not in get_args(Overflow):
            raise UsageError(f"overflow is {overflow!r}, expected 'warn', 'error' or 'split'")
        ids: list[list[int]] = []
        types: list[list[int]] = []
        offsets: list[list[tuple[int, int]]] = []
        owner: list[int] = []
        truncated = dropped = 0
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            for index, encoding in enumerate(self._encode(chunk, first + start, prompt, pairs, spans), start):
                windows = encoding.overflowing
                if windows:
                    beyond = self._beyond(texts[index], prompt, encoding)
                    if overflow == "error":
                        self._refuse_long(first + index, len(encoding) + beyond)
                    if overflow == "split" and not isinstance(texts[index], str):
                        raise TextError(
                            first + index, "is a pair, which has no windows. Use overflow='warn' or 'error'"
                        )
                    truncated += 1
                    dropped += 0 if overflow == "split" else beyond
                rows = [encoding, *windows] if overflow == "split" else [encoding]
                ids.extend(row.ids for row in rows)
                if pairs:
                    types.extend(row.type_ids for row in rows)
                if spans:
                    offsets.extend(row.offsets for row in rows)
                owner.extend([index] * len(rows))
        ends = np.zeros(len(ids) + 1, np.int32)
        np.cumsum([len(row) for row in ids], out=ends[1:])
        packed, packed_types = (np.fromiter(chain.from_iterable(rows), np.int32) for rows in (ids, types))
        batch = PackedBatch(packed, ends, packed_types if pairs else None)
        found = (
            _without_prompt(np.array([pair for row in offsets for pair in row], np.int32), len(prompt))
            if spans
            else None
        )
        return Tokenized(batch, np.array(owner, np.int32), len(texts), truncated, dropped, found)

    def _beyond(self, text: Text, prompt: str, encoding: Any) -> int:
        """How many tokens of a text, or of both texts of a pair, were cut off its first row."""
        if isinstance(text, str):
            return sum(len(window) - self._special for window in encoding.overflowing)
        # The windows of a pair are combinations; each text by itself has every token once.
        sides = self._rust.encode_batch_fast([prompt + text[0], text[1]])
        whole = sum(len(row) - self._special for side in sides for row in (side, *side.overflowing))
        return whole + self._special_of_pairs - len(encoding)

    def _encode(self, texts: Sequence[Text], start: int, prompt: str, pairs: bool, spans: bool) -> list[Any]:
        for index, text in enumerate(texts, start):
            if not (isinstance(text, str) or (pairs and _is_pair(text))):
                kind, expected = type(text).__name__, "a string or a pair (tuple) of them" if pairs else "a string"
                if isinstance(text, tuple):
                    kind += f" ({', '.join(type(side).__name__ for side in text)})"
                raise TextError(index, f"is of type {kind}, expected {expected}. Decode or convert it first")
        try:
            encode = self._rust.encode_batch if spans else self._rust.encode_batch_fast  # which counts no characters
            encodings: list[Any] = encode([_put_before(prompt, text) for text in texts] if prompt else list(texts))
        except TypeError:  # all that is left for the Rust side to refuse in a string
            for index, text in enumerate(texts, start):
                if problem := _surrogates(text if isinstance(text, str) else "".join(text)):
                    raise TextError(index, problem) from None
            raise UsageError(f"the prompt {_surrogates(prompt)}") from None
        return encodings

    def _refuse_long(self, index: int, tokens: int) -> None:
        raise TextError(
            index,
            f"has {tokens} tokens, the bundle's limit is {self.max_length} (overflow='error'). "
            "Shorten it, or use overflow='split' to pool over windows, or overflow='warn' to cut it",
        )


def _without_prompt(offsets: NDArray[np.int32], prompt: int) -> NDArray[np.int32]:
    """Characters of the text [tokens, 2] from those of prompt and text; tokens of the prompt have none."""
    spans: NDArray[np.int32] = np.maximum(offsets.reshape(-1, 2) - np.int32(prompt), 0)
    spans[offsets.reshape(-1, 2)[:, 1] <= offsets.reshape(-1, 2)[:, 0]] = 0
    return spans


def _is_pair(text: object) -> bool:
    return isinstance(text, tuple) and len(text) == 2 and all(isinstance(side, str) for side in text)


def _put_before(prompt: str, text: Text) -> Text:
    return prompt + text if isinstance(text, str) else (prompt + text[0], text[1])


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
