"""What a bundle gives for every token: vectors for tagging and late chunking, term weights, vectors of late interaction."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strizh.runtime.errors import UsageError
from strizh.runtime.loaded import LoadedBundle, as_sequence
from strizh.runtime.sessions.session import Output
from strizh.runtime.tokenization import Overflow, Text, Tokenized
from strizh.runtime.vectors import Float32

Int32 = NDArray[np.int32]
Span = tuple[int, int]  # of characters in a text: first, and one after the last


@dataclass(frozen=True, slots=True)
class TokenEmbeddings:
    """Vectors of one text's tokens or words: `vectors` float32 [n, hidden_size], `spans` int32 [n, 2].

    A span holds the characters of the text that a row stands for: first, and one after the last. It is empty for
    special tokens and for those of the prompt.
    """

    vectors: Float32
    spans: Int32


@dataclass(frozen=True, slots=True)
class _Rows:
    """An output's rows for the tokens of one text, of all its windows one after the other."""

    ids: Int32
    rows: Float32
    spans: Int32
    starts: Int32  # where each window begins


class TokenOutputs(LoadedBundle):
    """What can be had of single tokens."""

    def encode_sparse(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        overflow: Overflow = "warn",
    ) -> list[dict[int, float]]:
        """Term weights of bge-m3 and its kin: a dict token id -> weight for each text.

        A token that occurs more than once has its largest weight; special tokens and weights of 0 are left out. Two texts
        match by the sum of products of the weights that they share. `UsageError` for a bundle without this head.
        """
        if not self.manifest.sparse:
            raise UsageError(
                "this bundle has no sparse weights. Export a checkpoint with sparse_linear.pt, as bge-m3 is"
            )
        found = self._of_tokens(Output("sparse_weights", 1, True), texts, prompt, prompt_name, overflow)
        return [strongest(text.ids, text.rows[:, 0]) for text in found]

    def encode_multi_vector(
        self,
        texts: Iterable[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        overflow: Overflow = "warn",
    ) -> list[Float32]:
        """Vectors of late interaction (ColBERT) of bge-m3 and its kin: float32 [tokens - 1, dim] for each text.

        All tokens but the first have one, of length 1. A query matches a passage by the mean over the query's vectors of
        the largest product with one of the passage's: `(q @ p.T).max(1).mean()`.
        `UsageError` for a bundle without this head.
        """
        if not self.manifest.multi_vector:
            raise UsageError(
                "this bundle has no ColBERT vectors. Export a checkpoint with colbert_linear.pt, as bge-m3 is"
            )
        output = Output("colbert_vectors", self.manifest.multi_vector, True)
        found = self._of_tokens(output, texts, prompt, prompt_name, overflow)
        return [np.delete(text.rows, text.starts, axis=0) for text in found]

    def encode_token_embeddings(
        self,
        texts: Iterable[str | Sequence[str]],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        overflow: Overflow = "warn",
    ) -> list[TokenEmbeddings]:
        """Token vectors, for tagging: `TokenEmbeddings` for each text.

        A string has a row for every token, special tokens among them, as `tokenize` gives them. A list of words has a row
        for every word: the mean of its tokens in the words joined by spaces; zeros for a word that was cut off or that
        has no tokens. The last layer's vectors, not scaled. With overflow="split" a text's windows follow each other.
        """
        members = as_sequence(texts)
        joined = [text if isinstance(text, str) else _joined(text) for text in members]
        found = self._of_tokens(self._token_embeddings, joined, prompt, prompt_name, overflow)
        return [_by_word(member, text) for member, text in zip(members, found, strict=True)]

    def _late_chunks(
        self, texts: Sequence[str], chunks: Sequence[Sequence[Span]], text: str, overflow: Overflow
    ) -> Float32:
        """One row a span: the mean of its tokens' vectors in the context of the whole text, float32 [spans, hidden_size]."""
        manifest = self.manifest
        if manifest.pooling != "mean" or manifest.spec.get("projections"):
            raise UsageError(
                f"late_chunking is for mean pooling without Dense modules, this bundle has {manifest.pooling} and "
                f"{len(manifest.spec.get('projections') or ())} of them. Encode the chunks as texts of their own"
            )
        if not isinstance(chunks, Sized) or len(chunks) != len(texts):
            given = f"{len(chunks)} lists of spans" if isinstance(chunks, Sized) else repr(chunks)
            raise UsageError(f"late_chunking has {given} for {len(texts)} texts. Give a list of spans for each")
        for number, (member, spans) in enumerate(zip(texts, chunks, strict=True)):
            for span in spans if isinstance(spans, Iterable) else [spans]:
                if isinstance(member, str) and not _is_span(span, len(member)):
                    raise UsageError(
                        f"text {number} has the span {span!r}, expected first and end within its {len(member)} characters"
                    )
        found = self._of_tokens(self._token_embeddings, texts, text, None, overflow)
        rows = [_means(one.rows, one.spans, spans) for one, spans in zip(found, chunks, strict=True)]
        return np.concatenate([np.empty((0, self._token_embeddings.width), np.float32), *rows])

    @property
    def _token_embeddings(self) -> Output:
        return Output("token_embeddings", int(self.manifest.spec.get("hidden_size", self.dimension)), True)

    def _of_tokens(
        self,
        output: Output,
        texts: Iterable[str],
        prompt: str | None,
        prompt_name: str | None,
        overflow: Overflow,
    ) -> Iterator[_Rows]:
        """Rows of `output` for every text, in order, with the one warning at the end."""
        sequence = as_sequence(texts)
        before, pipeline = self._prompt(prompt, prompt_name), self._pipeline(output)

        def tokenize(window: tuple[int, list[Text]]) -> Tokenized:
            first, members = window
            return self._tokenizer.tokenize(members, before, overflow, first, spans=True)

        truncated = dropped = 0
        for tokens, rows in pipeline.results(sequence, tokenize):
            truncated, dropped = truncated + tokens.truncated, dropped + tokens.dropped
            yield from _by_text(tokens, rows)
        self._warn(overflow, truncated, dropped, len(sequence))


def _by_text(tokens: Tokenized, rows: Float32) -> Iterator[_Rows]:
    windows, ends = np.bincount(tokens.owner, minlength=tokens.texts), tokens.rows.cu_seqlens
    for first, last in pairwise(accumulate(windows.tolist(), initial=0)):
        place = slice(ends[first], ends[last])
        spans = tokens.spans[place] if tokens.spans is not None else np.zeros((0, 2), np.int32)
        yield _Rows(tokens.rows.input_ids[place], rows[place], spans, ends[first:last] - ends[first])


def strongest(ids: Int32, weights: Float32) -> dict[int, float]:
    """The largest weight of each token; none of 0."""
    heard = weights > 0
    unique, place = np.unique(ids[heard], return_inverse=True)
    best = np.zeros(len(unique), np.float32)
    np.maximum.at(best, place, weights[heard])
    return dict(zip(unique.tolist(), best.tolist(), strict=True))


def _is_span(span: Any, characters: int) -> bool:
    try:
        first, end = map(index, span)
    except (TypeError, ValueError):
        return False
    return 0 <= first < end <= characters


def _joined(words: Any) -> str:
    if isinstance(words, bytes) or not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"a text is of type {type(words).__name__}, expected a string or a list of words")
    return " ".join(words)


def _by_word(text: str | Sequence[str], found: _Rows) -> TokenEmbeddings:
    if isinstance(text, str):
        return TokenEmbeddings(found.rows, found.spans)
    starts = accumulate((len(word) + 1 for word in text), initial=0)
    spans = [(start, start + len(word)) for start, word in zip(starts, text, strict=False)]
    return TokenEmbeddings(_means(found.rows, found.spans, spans), np.array(spans, np.int32).reshape(-1, 2))


def _means(rows: Float32, tokens: Int32, spans: Sequence[Span]) -> Float32:
    """Mean row of the tokens in each span; zeros for none.

    A token is where its last character is: the space before a word, which some tokenizers count to its first token, would
    put that token into the span before.
    """
    real, ends = tokens[:, 1] > tokens[:, 0], tokens[:, 1]
    found = np.zeros((len(spans), rows.shape[1]), np.float32)
    for number, (first, end) in enumerate(spans):
        inside = real & (ends > first) & (ends <= end)
        if inside.any():
            found[number] = rows[inside].mean(axis=0)
    return found
