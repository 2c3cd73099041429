"""Which tokens texts use."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from strizh.runtime.errors import UsageError
from strizh.runtime.files.readers import open_texts

CORPUS_ENDINGS = (".txt", ".jsonl")
_HELD_OUT = 10  # every tenth text is held against the rest
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Usage:
    """How often each token occurs, int64 [vocabulary]: in every tenth text, in the rest, and in all behind prompts."""

    held_out: NDArray[np.int64]
    rest: NDArray[np.int64]
    prompted: NDArray[np.int64]
    texts: int


def read_corpus(path: Path) -> Iterator[str]:
    """The texts of a .txt (one a line) or .jsonl (strings, or objects with `text`) that are not blank; `UsageError`."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; --keep-languages takes languages and files of texts.")
    found = False
    for row in open_texts(str(path), flag=None).rows:
        if row.text.strip():
            found = True
            yield row.text
    if not found:
        raise UsageError(f"{path} holds no text, so no token would stay. Give a file of texts such as will be encoded.")


def count(tokenizer: Tokenizer, texts: Iterable[str], prompts: Sequence[str]) -> Usage:
    """Count the tokens of the texts, special tokens left out, without a prompt and with each of the prompts."""
    size = 1 + max(tokenizer.get_vocab().values())
    held_out, rest, prompted = (np.zeros(size, np.int64) for _ in range(3))
    total, ahead = 0, iter(texts)
    while chunk := list(islice(ahead, _HELD_OUT * _CHUNK)):
        rows = tokenizer.encode_batch_fast(chunk, add_special_tokens=False)
        held_out += _occurrences(rows[::_HELD_OUT], size)
        rest += _occurrences((row for index, row in enumerate(rows) if index % _HELD_OUT), size)
        for prompt in prompts:
            rows = tokenizer.encode_batch_fast([prompt + text for text in chunk], add_special_tokens=False)
            prompted += _occurrences(rows, size)
        total += len(chunk)
    return Usage(held_out, rest, prompted, total)


def _occurrences(rows: Iterable[Any], size: int) -> NDArray[np.int64]:
    ids = np.fromiter(chain.from_iterable(row.ids for row in rows), np.int64)
    return np.bincount(ids, minlength=size).astype(np.int64, copy=False)
