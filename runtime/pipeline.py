"""Texts to vectors in constant memory: windows of texts are tokenized ahead, cut into batches, run, put in order."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from strizh.runtime.batching import Budget, PackedBatch
from strizh.runtime.precision import Vectors
from strizh.runtime.sessions.session import Output, Session
from strizh.runtime.tokenization import Overflow, Text, Tokenized, Tokenizer
from strizh.runtime.vectors import Float32, mean_of_windows

# A window is what is sorted by length together, and what is in memory at a time: 4 full batches. The padded sessions of
# a CPU make 16 of it, so that a batch spans a 16th of the lengths and has little padding. 4 characters a token is a
# usual figure, and a wrong one only makes windows smaller or larger.
_BATCHES_A_WINDOW = 4
_CHARACTERS_A_TOKEN = 4
_LONG = 2  # full batches after which giving memory back does not show in the time


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of consecutive texts, [n, dim] and float32 unless another precision was asked for, in the caller's order.

    `tokens` went through the model; `truncated` texts were longer than the limit, and `dropped` of their tokens were
    cut off (none with overflow="split").
    """

    embeddings: Vectors
    tokens: int
    truncated: int
    dropped: int

    def with_embeddings(self, embeddings: Vectors) -> "Encoded":
        """The same counts with other vectors."""
        return replace(self, embeddings=embeddings)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One tokenizer, one output of one session, and the budget of a batch."""

    tokenizer: Tokenizer
    session: Session
    output: Output
    max_batch_tokens: int

    def stream(self, texts: Iterable[Text], prompt: str, overflow: Overflow, pairs: bool = False) -> Iterator[Encoded]:
        """One row a text, for consecutive windows of texts; the rows of a long text's windows are averaged."""

        def tokenize(window: tuple[int, list[Text]]) -> Tokenized:
            first, members = window
            return self.tokenizer.tokenize(members, prompt, overflow, first, pairs)

        for tokens, vectors in self.results(texts, tokenize):
            if len(vectors) > tokens.texts:
                vectors = mean_of_windows(vectors, tokens.rows.lengths, tokens.owner)
            yield Encoded(vectors, len(tokens.rows.input_ids), tokens.truncated, tokens.dropped)

    def results(
        self, texts: Iterable[Text], tokenize: Callable[[tuple[int, list[Text]]], Tokenized]
    ) -> Iterator[tuple[Tokenized, Float32]]:
        """Tokens and output of consecutive windows of texts. The next window is tokenized while this one is computed.

        `texts` is read in the caller's thread and only one window ahead, so it may be endless.
        """
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

    def _windows(self, texts: Iterable[Text]) -> Iterator[tuple[int, list[Text]]]:
        """Consecutive texts with the number of those before, cut by their characters: the tokens are not known yet."""
        limit = _BATCHES_A_WINDOW * _CHARACTERS_A_TOKEN * self.max_batch_tokens
        window: list[Text] = []
        first = characters = 0
        for text in texts:
            window.append(text)
            sides = text if isinstance(text, tuple) else (text,)
            characters += 16 + sum(len(side) for side in sides if isinstance(side, str))  # others will be refused
            if characters >= limit:
                yield first, window
                first, window, characters = first + len(window), [], 0
        if window:
            yield first, window

    def run(self, texts: PackedBatch, *, give_back: bool = False) -> Float32:
        """Output for tokenized texts in their order, float32 [n, width] or [total_tokens, width], in batches."""
        lengths, per_token = texts.lengths, self.output.per_token
        rows_out = len(texts.input_ids) if per_token else len(lengths)
        vectors = np.zeros((rows_out, self.output.width), np.float32)  # a text without a token keeps the zeros
        batches = list(Budget(self.max_batch_tokens, self.session.padded, self.session.enough).cut(lengths))
        results = self.session.run_each(texts, batches, self.output, give_back=give_back)
        for rows, found in zip(batches, results, strict=True):
            vectors[texts.places(rows) if per_token else rows] = found
        return vectors

    def _compute(self, window: Tokenized, *, last: bool = False, long: bool = False) -> tuple[Tokenized, Float32]:
        """Output of one window; with the `last` one of a `long` stream, ONNX Runtime gives its memory back.

        It keeps what its largest batch needed. A short stream leaves it that, because asking the system for it again
        costs as much as a small batch.
        """
        tokens = len(window.rows.input_ids)
        long = long or tokens >= _LONG * self.max_batch_tokens
        return window, self.run(window.rows, give_back=last and long)
