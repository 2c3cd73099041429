"""What a precision costs, beside what was asked of it: the suites quality and parity in one table, a line for each engine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.summary import Row
from benchmarks.tables import beside_bounds, name

Result = dict[str, Any]

# The most that a variant may lose on labelled texts, of Spearman's correlation and of accuracy, and the least cosine of a
# text alone to itself among others, where 1 asks for the same bits. Cosines to float32 are the recipe's promise.
_LIMITS = {
    "cpu-bf16": (0.0005, 0.0025, 1.0),
    "cpu-int8": (0.002, 0.005, 1.0),
    "portable-int8": (0.004, 0.008, 0.99999),
    "portable-fp16": (0.0005, 0.0025, 0.999999),
}
SCORES = ("STS, Spearman", "XQuAD, accuracy@1")
_HEADS = ("cosine mean", "min", *SCORES, "alone beside batched, cosine min", "")
_BELOW_ONE = 1 - 1e-9  # equal cosines of vectors whose bits differ
_NONE = "-"


@dataclass(frozen=True, slots=True)
class Line:
    """An engine's figures under `_HEADS`; `limits` says whether something is asked of it, `verdict` whether it is kept."""

    name: str
    cells: tuple[str, ...]
    limits: bool
    verdict: str


def markdown(quality: Result, parity: Result) -> str:
    """A table for each model whose labelled texts were read; of strizh's variants every limit stands beside the figure."""
    blocks = []
    for model in quality["models"]:
        heads = (f"{model}, to float32", *_HEADS)
        lines = [(one.name, *one.cells, one.verdict) for one in of_model(quality, parity, model)]
        blocks.append("\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ("---",) * len(heads), *lines)))
    return "\n\n".join(blocks)


def of_model(quality: Result, parity: Result, model: str) -> Iterator[Line]:
    """A line for each engine whose quality on a model is known, strizh's variants first."""
    scores = quality["models"][model]["scores"]
    for row in sorted((row for row in quality["rows"] if row["model"] == model), key=_order):
        yield _line(row, scores, _buckets(row, parity["rows"]))


def _order(row: Row) -> tuple[int, str]:
    known = [f"strizh {variant}" for variant in _LIMITS]
    return (known.index(row["contender"]) if row["contender"] in known else len(known)), row["contender"]


def _buckets(row: Row, rows: Sequence[Row]) -> list[Row]:
    """The same engine's rows of parity, one for each range of lengths."""
    keys = ("model", "contender", "configuration")
    return [one for one in rows if all(one[key] == row[key] for key in keys) and one["cosine_min"] is not None]


def _line(row: Row, scores: dict[str, float], buckets: Sequence[Row]) -> Line:
    figures = (*_cosines(buckets), _gain(row, scores, "spearman"), _gain(row, scores, "accuracy@1"), _company(buckets))
    variant = row["contender"].removeprefix("strizh ")
    if not row["ours"] or variant not in _LIMITS:
        return Line(name(row), _cells(figures, (None,) * len(figures)), False, "")
    from strizh.export.recipes import find_recipe

    promise, (spearman, accuracy, company) = find_recipe(variant).promise, _LIMITS[variant]
    limits = (promise.cosine_mean, promise.cosine_min, -spearman, -accuracy, company)
    short = any(figure is not None and figure < limit for figure, limit in zip(figures, limits, strict=True))
    verdict = "**short**" if short else "open" if None in figures else "PASS"
    return Line(name(row), _cells(figures, limits), True, verdict)


def _cosines(buckets: Sequence[Row]) -> tuple[float | None, float | None]:
    """Mean and least over all texts."""
    if not buckets:
        return None, None
    total = sum(one["texts"] * one["cosine_mean"] for one in buckets)
    return total / sum(one["texts"] for one in buckets), min(one["cosine_min"] for one in buckets)


def _gain(row: Row, scores: dict[str, float], kind: str) -> float | None:
    """Mean difference to float32 over the scores of a kind; below zero is lost."""
    gains = [row["scores"][one] - score for one, score in scores.items() if one.endswith(kind)]
    return sum(gains) / len(gains) if gains else None


def _company(buckets: Sequence[Row]) -> float | None:
    """Least cosine of a text alone to itself among others; 1 where all have the same bits, and nowhere else."""
    if buckets and all(one["company_same_bits"] == one["texts"] for one in buckets):
        return 1.0
    return min((min(one["company_cosine_min"], _BELOW_ONE) for one in buckets), default=None)


def _cells(figures: Sequence[float | None], limits: Sequence[float | None]) -> tuple[str, ...]:
    """Two cosines, two gains, and the cosine among neighbours."""
    kinds = (_cosine, _cosine, _score, _score, _neighbours)
    return tuple(show(*pair) for show, pair in zip(kinds, zip(figures, limits, strict=True), strict=True))


def _cosine(figure: float | None, limit: float | None) -> str:
    return _NONE if figure is None else f"{figure:.7f}" + ("" if limit is None else f" (>= {limit:g})")


def _score(figure: float | None, limit: float | None) -> str:
    if figure is None:
        return _NONE
    text = beside_bounds(figure, limit, digits=4)
    signed = text if text.startswith("-") and float(text) else f"+{text.removeprefix('-')}"
    return signed if limit is None else f"{signed} (>= {limit:g})"


def _neighbours(figure: float | None, limit: float | None) -> str:
    shown = "same bits" if figure == 1 else _cosine(figure, None)
    if limit is None or figure == 1:
        return shown
    return f"{shown} (same bits)" if limit == 1 else f"{shown} (>= {limit:g})"
