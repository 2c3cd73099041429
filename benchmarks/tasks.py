"""Tasks that show what vectors are worth, over the jsonl formats of `--texts`: similarity, retrieval, bitext."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.metrics import Floats, hits_at_1, pair_cosines, spearman
from benchmarks.texts import Rows, read

Encode = Callable[[list[str], str], Any]  # texts and which prompt, "query" or "passage" -> vectors


@dataclass(frozen=True, slots=True)
class Task:
    """`score(rows, encode)` is a share or a correlation: more is better."""

    name: str
    file: str
    score: Callable[[Path, Encode], float]


def sts(folder: Path, encode: Encode) -> float:
    """Spearman correlation of cosines with people's scores; both sides are queries, as E5's authors do it."""
    rows = read(folder, "stsb_ru_dev")
    cosines = pair_cosines(encode(_field(rows, "text"), "query"), encode(_field(rows, "text2"), "query"))
    return spearman(cosines, np.array([row["score"] for row in rows]))


def questions(folder: Path, encode: Encode) -> float:
    """Share of questions whose paragraph is the nearest of all."""
    rows = read(folder, "xquad_questions_enru")
    paragraphs = _field(read(folder, "xquad_paragraphs_enru"), "text")
    right = [{int(row["ctx"])} for row in rows]
    return _share(hits_at_1(encode(_field(rows, "text"), "query"), encode(paragraphs, "passage"), right))


def bitext(folder: Path, encode: Encode) -> float:
    """Share of sentences whose translation is the nearest of all, the mean of both directions."""
    rows = read(folder, "pairs_enru_tatoeba")
    russian, english = (encode(_field(rows, side), "query") for side in ("text", "en"))
    pairs = [{row} for row in range(len(rows))]
    return (_share(hits_at_1(russian, english, pairs)) + _share(hits_at_1(english, russian, pairs))) / 2


def documents(folder: Path, encode: Encode) -> float:
    """Share of titles whose text is the nearest of all; all texts under a repeated title are right."""
    rows = read(folder, "docs_ru_title_body")
    titled = [row for row in rows if row["query_ru"]]
    right = [{at for at, row in enumerate(rows) if row["query_ru"] == one["query_ru"]} for one in titled]
    return _share(
        hits_at_1(encode(_field(titled, "query_ru"), "query"), encode(_field(rows, "text"), "passage"), right)
    )


TASKS = (
    Task("STS-ru, Spearman", "stsb_ru_dev", sts),
    Task("question -> paragraph @1", "xquad_questions_enru", questions),
    Task("ru <-> en @1", "pairs_enru_tatoeba", bitext),
    Task("title -> text @1", "docs_ru_title_body", documents),
)


def _field(rows: Rows, name: str) -> list[str]:
    return [str(row[name]) for row in rows]


def _share(hits: Floats) -> float:
    return float(hits.mean())
