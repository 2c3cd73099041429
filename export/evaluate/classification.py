"""Classification by a probe: a linear classifier on frozen vectors, accuracy on the rows it was not fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strizh.export.evaluate.task import Array, Measure, Row, Text
from strizh.runtime.errors import UsageError

_FOLDS = 5
_RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Classification:
    """`labels` are the numbers of classes [n]; `folds` [n] says in which fold a row is tested, -1 in none."""

    name: str
    texts: Sequence[Text]
    labels: Array
    folds: Array

    def measure(self, vectors: Array) -> dict[str, Measure]:
        right = np.empty(len(self.labels))
        for fold in range(self.folds.max() + 1):
            test = self.folds == fold
            right[test] = _probe(vectors[~test], self.labels[~test], vectors[test]) == self.labels[test]
        return {"probe accuracy": Measure.mean(right[self.folds >= 0])}


def _probe(vectors: Array, labels: Array, test: Array) -> Array:
    """Ridge regression of one-hot labels on centred vectors; closed form, so that it adds no noise of its own."""
    centre = vectors.mean(0)
    x, y = vectors - centre, np.eye(labels.max() + 1)[labels]
    weights = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ (y - y.mean(0)))
    return np.asarray(((test - centre) @ weights + y.mean(0)).argmax(-1))


def read(name: str, rows: Sequence[Row], column: str) -> Classification | None:
    """Rows with `text` and `label`; a key `split` with the value "test" marks what is tested, else five folds are."""
    if not {column, "label"} <= rows[0].keys():
        return None
    classes = sorted({str(row["label"]) for row in rows})
    labels = np.array([classes.index(str(row["label"])) for row in rows])
    if "split" in rows[0]:
        folds = np.where([row["split"] == "test" for row in rows], 0, -1)
    else:
        folds = np.arange(len(rows)) % _FOLDS
    if len(np.unique(folds)) < 2:
        raise UsageError(f"{name} has rows to test or rows to learn from, but not both; expected some of each.")
    return Classification(name, [Text(row[column], "symmetric") for row in rows], labels, folds)
