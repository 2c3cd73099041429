"""Results as plots: the speed of every engine, how it grows with a text's length, the quality given up for it, and roofs."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, median
from typing import Any

from benchmarks import charts
from benchmarks.markdown import cpu
from benchmarks.summary import Row, figures

_CASES = ("ragged", "1x16")  # of throughput: a plot each
_TEXTS = "texts"  # the case whose speed stands beside quality: from strings to vectors
_BASELINE = "torch fp32"
_NOTHING = 0.01  # points of score: losses below it, and gains, stand here
_BEYOND = 10  # times as fast: what is quicker stands here, a table of words without attention
_LENGTH = "tokens of one text"

Result = dict[str, Any]
Plots = Iterator[tuple[str, str]]  # name and SVG


def draw(results: Mapping[str, Result]) -> Plots:
    """Every plot that the results of one machine, by suite, have figures for."""
    if {"quality", "throughput"} <= results.keys():
        yield from trade(results["quality"], results["throughput"])
    if "throughput" in results:
        yield from speed(results["throughput"])
    if "latency" in results:
        yield from latency(results["latency"])
    if "scaling" in results:
        yield from scaling(results["scaling"])
    if "kernels" in results:
        yield from roofs(results["kernels"])


def trade(quality: Result, throughput: Result) -> Plots:
    """Quality lost against speed gained, for each model that both results have.

    Across: times as fast as PyTorch in float32 on texts, tokenization counted. Downward: points of score lost, the mean
    over all scores.
    """
    for model, facts in quality["models"].items():
        timed = [row for row in throughput["rows"] if row["rounds"] and (row["model"], row["case"]) == (model, _TEXTS)]
        speeds = {row["contender"]: figures(row)["median"] for row in timed}
        if _BASELINE not in speeds:
            continue
        files = {row["contender"]: row["configuration"] for row in timed}
        # What the others are compared with loses nothing to itself, whether it was measured again as an engine or not.
        losses = {facts["reference"]: (0.0, False)} if facts["reference"] in speeds else {}
        for row in quality["rows"]:
            name = row["contender"]
            # Of several files of an engine, the one that was the quickest; another one where its quality is not known.
            settled = name in losses and files.get(name) != row["configuration"]
            if row["model"] == model and name in speeds and not settled:
                losses[name] = _loss(row, facts["scores"]), row["ours"]
        points = [(name, speeds[name] / speeds[_BASELINE], *found) for name, found in losses.items()]
        if len(points) > 1:
            across = f"times as fast as {_BASELINE}, from texts to vectors ({_BEYOND}: that or more)"
            above = f"points of score lost to float32, mean of all scores ({_NOTHING}: no more than that, or a gain)"
            title = f"{model}, quality beside speed, best at the upper right: {cpu(throughput)}"
            titles = title, across, above, "times as fast, points of score"
            yield f"{model}-trade", charts.scatter(titles, points, _NOTHING, _BEYOND)


def speed(result: Result) -> Plots:
    """Bars for some cases of throughput."""
    timed = [row for row in result["rows"] if row["rounds"] and row["case"] in _CASES]
    for model, case in dict.fromkeys((row["model"], row["case"]) for row in timed):
        rows = [row for row in timed if (row["model"], row["case"]) == (model, case)]
        yield f"{model}-{case}", charts.bars(f"{model}, {case}: {cpu(result)}", rows[0]["metric"], _bars(rows))


def latency(result: Result) -> Plots:
    """Median time of one text against its length."""
    for model in result["models"]:
        rows = [row for row in result["rows"] if row["model"] == model and row["rounds"]]
        series = _series(rows, lambda row: 1000 * row["quantiles"]["p50"])
        if series:
            title = f"{model}, one text: {cpu(result)}"
            yield f"{model}-latency", charts.lines((title, _LENGTH, "ms, median"), series)


def scaling(result: Result) -> Plots:
    """Time for each token of one text against the text's length: level where cost grows in proportion."""
    for model in result["models"]:
        rows = [row for row in result["rows"] if (row["model"], row["axis"]) == (model, "length") and row["rounds"]]
        series = _series(rows, lambda row: 1e6 * median(one["median"] for one in row["rounds"]) / row["tokens"])
        if series:
            title = f"{model}, cost of a token: {cpu(result)}"
            yield f"{model}-scaling", charts.lines((title, _LENGTH, "microseconds a token"), series)


def roofs(result: Result) -> Plots:
    """The layers of each model under their roofs: operations a second against operations for each byte that is moved."""
    limits = result["ceiling"]
    timed = [row for row in result["rows"] if row["seconds"] and row["flops"]]
    for model in dict.fromkeys(row["model"].split()[0] for row in timed):
        series = []
        for precision in [name for name in limits if name != "memory"]:
            own = [row for row in timed if row["model"] == f"{model} {precision}"]
            points = sorted((row["flops"] / row["bytes"], row["flops"] / row["seconds"] / 1e9) for row in own)
            roof = [(at, min(limits[precision], at * limits["memory"]) / 1e9) for at, _ in points]
            series += [(f"{precision}, roof", roof, False), (f"strizh {precision}", points, True)] if points else []
        if series:
            title = f"{model}, its layers under the measured roofs: {cpu(result)}"
            yield f"{model}-roof", charts.lines((title, "operations for each byte moved", "GOP/s"), series)


def _series(rows: Sequence[Row], figure: Any) -> list[tuple[str, list[tuple[float, float]], bool]]:
    """A line for each contender that was timed at two lengths or more."""
    found: dict[tuple[str, bool], dict[float, float]] = {}
    for row in rows:
        found.setdefault((row["contender"], row["ours"]), {})[float(row["tokens"])] = figure(row)
    return [(name, sorted(points.items()), ours) for (name, ours), points in found.items() if len(points) > 1]


def _loss(row: Row, scores: Mapping[str, float]) -> float:
    return float(100 * mean(score - row["scores"][name] for name, score in scores.items()))


def _name(row: Row) -> str:
    return str(row["contender"]) + (", parity FAIL" if row["parity"]["misses"] else "")


def _bars(rows: Sequence[Row]) -> list[tuple[str, float, float, float, bool]]:
    """Best first."""
    found = [(_name(row), *(figures(row)[part] for part in ("median", "low", "high")), row["ours"]) for row in rows]
    return sorted(found, key=lambda bar: bar[1], reverse=rows[0]["metric"] == "tokens/s")
