"""A bundle's classifier: scores of texts and of pairs, and the ranking of texts for a query."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from strizh.runtime.errors import UsageError
from strizh.runtime.loaded import LoadedBundle, as_sequence, is_count
from strizh.runtime.manifest import SCORE_ACTIVATIONS
from strizh.runtime.pipeline import Encoded
from strizh.runtime.sessions.session import Output
from strizh.runtime.tokenization import Overflow, Text
from strizh.runtime.vectors import Float32, scores


class Ranked(NamedTuple):
    """One text of a ranking: its number in the caller's list, and its score."""

    corpus_id: int
    score: float


class Classifying(LoadedBundle):
    """What a bundle with a classifier can do besides."""

    def classify(
        self,
        texts: str | Iterable[Text],
        *,
        activation: str | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        overflow: Overflow = "warn",
        show_progress_bar: bool | None = None,
    ) -> Float32:
        """Scores of the bundle's classifier: float32 [n, len(labels)]; of a single string [len(labels)].

        `encoder.labels[i]` names column i. A text may be a pair, which is a tuple of two strings: cross-encoders score
        how the second answers to the first. `activation` turns logits into scores: "sigmoid", "softmax" or "identity",
        None is the checkpoint's own. Prompts and `overflow` are those of `encode`; a prompt comes before the first text
        of a pair, and a pair cannot be split. `UsageError` if the bundle has no classifier.
        """
        alone = isinstance(texts, str)
        sequence = [texts] if isinstance(texts, str) else as_sequence(texts)
        logits = self._pipeline(Output("logits", len(self.labels)))
        wanted = self.manifest.activation if activation is None else activation
        if wanted not in SCORE_ACTIVATIONS:
            raise UsageError(f"activation is {wanted!r}, expected {', '.join(SCORE_ACTIVATIONS)} or None")
        text = self._prompt(prompt, prompt_name)

        def scored() -> Iterator[Encoded]:
            for piece in logits.stream(sequence, text, overflow, pairs=True):
                yield piece.with_embeddings(scores(piece.embeddings, wanted))

        bar = False if alone else show_progress_bar
        found = self._collect(scored(), sequence, len(self.labels), bar, overflow)
        return found[0] if alone else found

    def rank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        top_k: int | None = None,
        activation: str | None = None,
        overflow: Overflow = "warn",
        show_progress_bar: bool | None = None,
    ) -> list[Ranked]:
        """The texts by how well they answer the query, best first, as a cross-encoder scores each (query, text).

        Gives `(corpus_id, score)` of the `top_k` best, or of all; equal scores keep their order. The bundle's classifier
        must have one label; `UsageError` otherwise.
        """
        if len(self.labels) > 1:
            raise UsageError(
                f"rank needs a classifier with one label, this bundle has {', '.join(self.labels)}. "
                "Use classify([(query, text), ...]) and choose a column"
            )
        if top_k is not None and not is_count(top_k):
            raise UsageError(f"top_k is {top_k!r}, expected a whole number of at least 1, or None for all")
        pairs = [(query, text) for text in as_sequence(texts)]
        found = self.classify(pairs, activation=activation, overflow=overflow, show_progress_bar=show_progress_bar)
        order = np.argsort(-found[:, 0], kind="stable")[:top_k]
        return [Ranked(int(number), float(found[number, 0])) for number in order]
