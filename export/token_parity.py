"""How close a variant's term weights and vectors of late interaction (bge-m3's other heads) are to the model's."""

import itertools
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import strizh
from strizh.export.emulation.run import emulated
from strizh.export.reference import Outputs
from strizh.kernels.reference import normalize
from strizh.runtime.batching import PackedBatch
from strizh.runtime.errors import TruncationWarning
from strizh.runtime.token_outputs import strongest


@dataclass(frozen=True, slots=True)
class TokenHeads:
    """Of each text: its term weights, token id -> weight, and its vectors of late interaction [tokens - 1, dim]."""

    weights: Sequence[dict[int, float]]
    vectors: Sequence[NDArray[Any]]

    @classmethod
    def of_reference(cls, rows: PackedBatch, outputs: Sequence[Outputs]) -> "TokenHeads":
        """Those of the spec in NumPy over these texts."""
        weights = itertools.chain.from_iterable(part.sparse_weights for part in outputs)
        return cls.of_rows(rows, weights, itertools.chain.from_iterable(part.colbert_vectors for part in outputs))

    @classmethod
    def of_rows(cls, rows: PackedBatch, weights: Iterable[Any], vectors: Iterable[Any]) -> "TokenHeads":
        """From what the graph has for each token, [tokens, 1] and [tokens, dim] a text; no columns without the head."""
        ids = np.split(rows.input_ids, rows.cu_seqlens[1:-1])
        heard = [strongest(text, row[:, 0]) if row.size else {} for text, row in zip(ids, weights, strict=True)]
        return cls(heard, [row[1:] for row in vectors])

    @classmethod
    def of_variant(cls, bundle: Path, variant: str, texts: Sequence[str]) -> "TokenHeads":
        """Those of a variant that this machine runs, each text alone, without a prompt."""
        with strizh.load(bundle, variant=variant) as encoder, warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            sparse, late = encoder.manifest.sparse, encoder.manifest.multi_vector
            return cls(
                [encoder.encode_sparse([text], prompt="")[0] if sparse else {} for text in texts],
                [encoder.encode_multi_vector([text], prompt="")[0] if late else np.zeros((0, 0)) for text in texts],
            )

    @classmethod
    def of_emulation(cls, graph: Path, rows: PackedBatch, like: "TokenHeads") -> "TokenHeads":
        """Those of a graph that is run in NumPy, with the heads that `like` has."""

        def each(name: str, there: bool) -> list[Any]:
            if not there:
                return [np.zeros((length, 0)) for length in rows.lengths]
            return np.split(emulated(graph, name, rows), rows.cu_seqlens[1:-1])

        late = any(vectors.size for vectors in like.vectors)
        return cls.of_rows(rows, each("sparse_weights", any(like.weights)), each("colbert_vectors", late))

    def take(self, rows: Sequence[int]) -> "TokenHeads":
        """Those of these texts."""
        return TokenHeads([self.weights[row] for row in rows], [self.vectors[row] for row in rows])

    def against(self, expected: "TokenHeads") -> dict[str, float]:
        """`sparse_error` and `colbert_cosine_min` of `parity.Figures`, where the model has these heads."""
        found = {}
        if largest := max((weight for text in expected.weights for weight in text.values()), default=0.0):
            pairs = zip(self.weights, expected.weights, strict=True)
            errors = (abs(a.get(token, 0.0) - b.get(token, 0.0)) for a, b in pairs for token in a.keys() | b.keys())
            found["sparse_error"] = float(max(errors) / largest)
        if any(vectors.size for vectors in expected.vectors):
            sides = zip(self.vectors, expected.vectors, strict=True)
            # Unit rows laid end to end: the cosine is the mean of theirs. 1 - |a - b|^2 / 2 keeps the digits near 1.
            squares = [((normalize(a) - normalize(b)) ** 2).sum(-1).mean() for a, b in sides if b.size]
            found["colbert_cosine_min"] = float(1 - np.max(squares) / 2)  # not max(), which passes over NaN
        return found
