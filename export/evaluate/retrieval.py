"""Retrieval: questions to passages, accuracy@1 and nDCG@10."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from strizh.export.evaluate.task import Array, Measure, Row, Text
from strizh.runtime.errors import UsageError

_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Queries, then passages; `relevant[i]` are the passages that answer query i."""

    name: str
    texts: Sequence[Text]
    relevant: Sequence[frozenset[int]]

    def measure(self, vectors: Array) -> dict[str, Measure]:
        queries = len(self.relevant)
        best = nearest(vectors[:queries], vectors[queries:], _DEPTH)
        hits = np.array([[passage in right for passage in row] for row, right in zip(best, self.relevant, strict=True)])
        return {
            "accuracy@1": Measure.mean(hits[:, 0]),
            f"nDCG@{_DEPTH}": Measure.mean(_ndcg(hits, np.array([len(right) for right in self.relevant]))),
        }


def nearest(queries: Array, passages: Array, depth: int) -> Array:
    """Numbers of the `depth` passages with the largest cosine, best first, equal ones in the order of their numbers."""
    return np.argsort(-(queries @ passages.T), axis=1, kind="stable")[:, :depth]


def _ndcg(hits: Array, relevant: Array) -> Array:
    """Normalised discounted cumulative gain of 0/1 relevance, a query each (Järvelin and Kekäläinen, 2002)."""
    discount = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.cumsum(discount)[np.minimum(relevant, hits.shape[1]) - 1]
    return np.asarray((hits * discount).sum(-1) / ideal)


def read_questions(name: str, rows: Sequence[Row], passages: Sequence[Row], column: str) -> Retrieval | None:
    """Rows whose `ctx` is the number of the passage, of a file of its own, that answers them."""
    if not {column, "ctx"} <= rows[0].keys() or column not in passages[0]:
        return None
    for row in rows:
        if type(row["ctx"]) is not int or not 0 <= row["ctx"] < len(passages):
            raise UsageError(
                f"{row.place} has ctx {row['ctx']!r:.40}; expected the number of a passage, from 0 to {len(passages) - 1}."
            )
    texts = [Text(row[column], "query") for row in rows] + [Text(row[column], "passage") for row in passages]
    return Retrieval(name, texts, [frozenset({row["ctx"]}) for row in rows])


def read_titles(name: str, rows: Sequence[Row], column: str) -> Retrieval | None:
    """Rows with a title (`query_ru`, or `query_en` for column `en`) and a `text`, which it should find.

    A row without a title is only a passage; a title that several rows share is answered by each of them.
    """
    title = "query_ru" if column == "text" else f"query_{column}"
    if not {title, "text"} <= rows[0].keys():
        return None
    answers = defaultdict(set)
    for number, row in enumerate(rows):
        answers[row[title]].add(number)
    answers.pop("", None)
    asked = [row[title] for row in rows if row[title]]
    texts = [Text(query, "query") for query in asked] + [Text(row["text"], "passage") for row in rows]
    return Retrieval(name, texts, [frozenset(answers[query]) for query in asked])
