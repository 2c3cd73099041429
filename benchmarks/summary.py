"""Rounds to figures: medians, ranges, and ratios taken round by round."""

from collections.abc import Sequence
from statistics import median
from typing import Any

Row = dict[str, Any]
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def figures(row: Row) -> dict[str, float]:
    """Median and range of a row over its rounds, in the unit of its case (tokens/s or ms)."""
    values = [value(row, one["median"]) for one in row["rounds"]]
    return {"median": median(values), "low": min(values), "high": max(values)}


def value(row: Row, seconds: float) -> float:
    """Seconds of one call in the unit of the row's case."""
    return float(row["tokens"] / seconds if row["metric"] == "tokens/s" else 1000 * seconds)


def speedups(row: Row, other: Row) -> list[float]:
    """How many times as fast as `other` the row was in each round that both have: seconds over seconds, above 1 is faster.

    Where no round is common to both, one figure: the ratio of their medians.
    """
    seconds = {one["number"]: one["median"] for one in other["rounds"]}
    common = [seconds[one["number"]] / one["median"] for one in row["rounds"] if one["number"] in seconds]
    return common or [median(seconds.values()) / median(one["median"] for one in row["rounds"])]


def common_rounds(row: Row, other: Row) -> int:
    """In how many rounds both have a quiet turn."""
    return len({one["number"] for one in row["rounds"]} & {one["number"] for one in other["rounds"]})


def ratios(row: Row, other: Row) -> list[float]:
    """The row's figure over the other's in each round, in the unit of the case: tokens/s over tokens/s, ms over ms."""
    if row["metric"] == "tokens/s":
        per_text = (row["tokens"] / other["tokens"]) if row["case"] != other["case"] else 1.0
        return [per_text * speedup for speedup in speedups(row, other)]
    return [1 / speedup for speedup in speedups(row, other)]


def best_ratio(row: Row, other: Row) -> float:
    """As `ratios`, of the quickest single run of each: what noise, which only adds time, disturbs least."""
    least = [min(one["least"] for one in side["rounds"]) for side in (row, other)]
    ours, theirs = (value(side, seconds) for side, seconds in zip((row, other), least, strict=True))
    return ours / theirs


def fastest(rows: Sequence[Row]) -> Row | None:
    """The row of the least median time; None without any."""
    timed = [row for row in rows if row["rounds"]]
    return min(timed, key=lambda row: median(one["median"] for one in row["rounds"]), default=None)


def cpu_seconds_per_1000_tokens(row: Row) -> float:
    """Processor time of all threads."""
    return 1000 * float(median(one["cpu_seconds"] for one in row["rounds"])) / float(row["tokens"])


def joules_per_1000_tokens(row: Row) -> float | None:
    """Energy of all packages, where the machine has counters."""
    known = [one["joules"] for one in row["rounds"] if "joules" in one]
    return 1000 * median(known) / row["tokens"] if known else None


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]
