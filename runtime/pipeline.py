"""Texts to vectors in constant memory: windows of texts are tokenized ahead, cut into batches, run, put in order."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from strizh.runtime.batching import Budget, PackedBatch
from strizh.runtime.sessions.session import Session
from strizh.runtime.tokenization import Overflow, Tokenized, Tokenizer
from strizh.runtime.vectors import Float32, mean_of_windows

# A window is what is sorted by length together, and what is in memory at a time: 4 full batches. The padded sessions of
# a CPU make 16 of it, so that a batch spans a 16th of the lengths and has little padding. 4 characters a token is a
# usual figure, and a wrong one only makes windows smaller or larger.
_BATCHES_A_WINDOW = 4
_CHARACTERS_A_TOKEN = 4
_LONG = 2  # full batches after which giving memory back does not show in the time


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of consecutive texts, float32 [n, dim], in the caller's order.

    `tokens` went through the model; `truncated` texts were longer than the limit, and `dropped` of their tokens were
    cut off (none with overflow="split").
    """

    embeddings: Float32
    tokens: int
    truncated: int
    dropped: int

    def with_embeddings(self, embeddings: Float32) -> "Encoded":
        """The same counts with other vectors."""
        return replace(self, embeddings=embeddings)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One tokenizer, one session and the budget of a batch."""

    tokenizer: Tokenizer
    session: Session
    max_batch_tokens: int
    width: int

    def stream(self, texts: Iterable[str], prompt: str, overflow: Overflow) -> Iterator[Encoded]:
        """Results of consecutive windows of texts. The next window is tokenized while this one is computed.

        `texts` is read in the caller's thread and only one window ahead, so it may be endless.
        """

        def tokenize(window: tuple[int, list[str]]) -> Tokenized:
            first, members = window
            return self.tokenizer.tokenize(members, prompt, overflow, first)

        windows = self._windows(texts)
        current = next(windows, None)
        upcoming = next(windows, None)
        if current is None:
            return
        if upcoming is None:  # a query should not pay for a thread
            yield self._compute(tokenize(current), last=True)
            return
        with ThreadPoolExecutor(1, "strizh-tokenizer") as worker:
            ready = worker.submit(tokenize, current)
            while upcoming is not None:
                following = worker.submit(tokenize, upcoming)
                yield self._compute(ready.result())
                ready, upcoming = following, next(windows, None)
            yield self._compute(ready.result(), last=True, long=True)

    def _windows(self, texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        """Consecutive texts with the number of those before, cut by their characters: the tokens are not known yet."""
        limit = _BATCHES_A_WINDOW * _CHARACTERS_A_TOKEN * self.max_batch_tokens
        window: list[str] = []
        first = characters = 0
        for text in texts:
            window.append(text)
            characters += 16 + len(text) if isinstance(text, str) else 16  # others are refused by the tokenizer
            if characters >= limit:
                yield first, window
                first, window, characters = first + len(window), [], 0
        if window:
            yield first, window

    def run(self, texts: PackedBatch, *, give_back: bool = False) -> Float32:
        """Vectors of tokenized texts in their order, float32 [n, width], in batches within the budget."""
        lengths = texts.lengths
        vectors = np.zeros((len(lengths), self.width), np.float32)  # a text without a token keeps the zeros
        batches = list(Budget(self.max_batch_tokens, self.session.padded, self.session.enough).cut(lengths))
        for number, rows in enumerate(batches, 1):
            last = number == len(batches)
            vectors[rows] = self.session.run(texts.take(rows), give_back=give_back and last)
        return vectors

    def _compute(self, window: Tokenized, *, last: bool = False, long: bool = False) -> Encoded:
        """Vectors of one window; with the `last` one of a `long` stream, ONNX Runtime gives its memory back.

        It keeps what its largest batch needed. A short stream leaves it that, because asking the system for it again
        costs as much as a small batch.
        """
        tokens = len(window.rows.input_ids)
        long = long or tokens >= _LONG * self.max_batch_tokens
        vectors = self.run(window.rows, give_back=last and long)
        if len(vectors) > window.texts:
            vectors = mean_of_windows(vectors, window.rows.lengths, window.owner)
        return Encoded(vectors, tokens, window.truncated, window.dropped)
