"""Semantic textual similarity: pairs with a score, measured by Spearman's rank correlation with the cosine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strizh.export.evaluate.task import Array, Measure, Row, Text


@dataclass(frozen=True, slots=True)
class Similarity:
    """First sides, then second sides; `scores` [n]."""

    name: str
    texts: Sequence[Text]
    scores: Array

    def measure(self, vectors: Array) -> dict[str, Measure]:
        first, second = np.split(vectors, 2)
        return {"spearman": Measure(np.stack([(first * second).sum(-1), self.scores], axis=1), spearman)}


def read(name: str, rows: Sequence[Row], column: str) -> Similarity | None:
    """Rows with `text`, `text2` and `score` (for another column its name and its name with 2)."""
    second = "text2" if column == "text" else f"{column}2"
    if not {column, second, "score"} <= rows[0].keys():
        return None
    texts = [Text(row[key], "symmetric") for key in (column, second) for row in rows]
    return Similarity(name, texts, np.array([row.number("score") for row in rows]))


def spearman(pairs: Array) -> float:
    """Pearson's correlation of the ranks of two columns [n, 2], ties sharing their mean rank."""
    ranks = np.stack([_ranks(column) for column in pairs.T])
    centred = ranks - ranks.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).sum(-1).prod())
    return float((centred[0] * centred[1]).sum() / spread) if spread else 0.0


def _ranks(values: Array) -> Array:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[places])
