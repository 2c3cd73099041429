"""Bitext retrieval: each text should find its translation, both ways."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strizh.export.evaluate.retrieval import nearest
from strizh.export.evaluate.task import Array, Measure, Row, Text


@dataclass(frozen=True, slots=True)
class Bitext:
    """All first sides, then all second sides."""

    name: str
    texts: Sequence[Text]

    def measure(self, vectors: Array) -> dict[str, Measure]:
        first, second = np.split(vectors, 2)
        own = np.arange(len(first))
        return {
            "text to en @1": Measure.mean(nearest(first, second, 1)[:, 0] == own),
            "en to text @1": Measure.mean(nearest(second, first, 1)[:, 0] == own),
        }


def read(name: str, rows: Sequence[Row]) -> Bitext | None:
    """Rows with `text` and its English side `en`."""
    if not {"text", "en"} <= rows[0].keys():
        return None
    return Bitext(name, [Text(row[side], "symmetric") for side in ("text", "en") for row in rows])
