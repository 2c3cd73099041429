"""Paraphrase detection: pairs with a yes or no, measured by the average precision of the cosine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strizh.export.evaluate.task import Array, Measure, Row, Text


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """First sides, then second sides; `labels` [n] are 0 or 1."""

    name: str
    texts: Sequence[Text]
    labels: Array

    def measure(self, vectors: Array) -> dict[str, Measure]:
        first, second = np.split(vectors, 2)
        cosine = (first * second).sum(-1)
        return {"average precision": Measure(np.stack([cosine, self.labels], axis=1), average_precision)}


def read(name: str, rows: Sequence[Row], column: str) -> Paraphrase | None:
    """Rows with `text`, `text2` and a `label` of 0 or 1 (or false and true)."""
    second = "text2" if column == "text" else f"{column}2"
    if not {column, second, "label"} <= rows[0].keys() or not {row["label"] for row in rows} <= {0, 1}:
        return None
    texts = [Text(row[key], "symmetric") for key in (column, second) for row in rows]
    return Paraphrase(name, texts, np.array([row["label"] for row in rows], np.float64))


def average_precision(pairs: Array) -> float:
    """Mean over the positives of the precision at their rank; column 0 ranks, column 1 is the label."""
    hits = pairs[np.argsort(-pairs[:, 0], kind="stable"), 1]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / hits.sum()) if hits.any() else 0.0
