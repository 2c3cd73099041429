"""Results as plots: the speed of every engine, and the quality that each gives up for its speed."""

from collections.abc import Iterator, Sequence
from statistics import mean
from typing import Any

from benchmarks import svg
from benchmarks.markdown import cpu
from benchmarks.summary import Row, figures

_CASES = ("ragged", "1x16")  # of throughput: a plot each
_TEXTS = "texts"  # the case whose speed stands beside quality: from strings to vectors
_BASELINE = "torch fp32"


def speed(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and SVG of bars for some cases of a throughput result."""
    timed = [row for row in result["rows"] if row["rounds"] and row["case"] in _CASES]
    for model, case in dict.fromkeys((row["model"], row["case"]) for row in timed):
        rows = [row for row in timed if (row["model"], row["case"]) == (model, case)]
        yield f"{model}-{case}", svg.bars(f"{model}, {case}: {cpu(result)}", rows[0]["metric"], _bars(rows))


def trade(quality: dict[str, Any], throughput: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and SVG of quality lost against speed gained, for each model that both results have.

    Across: times as fast as PyTorch in float32 on texts, tokenization counted. Upward: points of score gained or lost,
    the mean over the tasks.
    """
    for model, facts in quality["models"].items():
        speeds = {
            row["contender"]: figures(row)["median"]
            for row in throughput["rows"]
            if row["rounds"] and (row["model"], row["case"]) == (model, _TEXTS)
        }
        points = [
            (row["contender"], speeds[row["contender"]] / speeds[_BASELINE], _points(row, facts["scores"]), row["ours"])
            for row in quality["rows"]
            if row["model"] == model and {row["contender"], _BASELINE} <= speeds.keys()
        ]
        if points:
            title = f"{model}: {cpu(throughput)}"
            across = "times as fast as PyTorch float32, texts to vectors"
            yield f"{model}-trade", svg.scatter(title, across, "points of score against float32, mean of tasks", points)


def _points(row: dict[str, Any], scores: dict[str, float]) -> float:
    return float(100 * mean(row["scores"][name] - score for name, score in scores.items()))


def _name(row: Row) -> str:
    return str(row["contender"]) + (", parity FAIL" if row["parity"]["misses"] else "")


def _bars(rows: Sequence[Row]) -> list[tuple[str, float, float, float, bool]]:
    """Best first."""
    found = [(_name(row), *(figures(row)[part] for part in ("median", "low", "high")), row["ours"]) for row in rows]
    return sorted(found, key=lambda bar: bar[1], reverse=rows[0]["metric"] == "tokens/s")
