"""How cost grows with length, with the number of texts, and falls with threads; exponents fitted on a log-log scale."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from benchmarks import engines, models, tables
from benchmarks.contest import Contest, hold
from benchmarks.suites import Settings, blank
from benchmarks.suites._contests import failures
from benchmarks.workloads import Case, equal

HELP = "cost against length, number of texts and threads, with fitted exponents"
NOTES = tables.ROUNDS
MODELS = ("e5-small",)
HEEDS = ("engines", "cases", "settled")
ENGINES = ("strizh*", "onnxruntime fp32", "openvino bf16", "torch bf16")
LENGTHS = tuple(equal(1, length) for length in (16, 64, 256, 1024, 2048, 4096, 8192))
COUNTS = tuple(equal(count, 64) for count in (1, 2, 4, 8, 16, 32, 64, 128))
THREAD_CASES = (equal(16, 128), equal(1, 16))


def run(settings: Settings) -> dict[str, Any]:
    """Lengths and counts with all threads, then two cases with 1, 2, 4 ... threads."""
    result = blank(settings)
    asked = {case.name for case in settings.chosen([*LENGTHS, *COUNTS, *THREAD_CASES])}
    configurations = engines.find(settings.engines or ENGINES)
    for model in models.find_all(settings.models):
        result["models"][model.name] = model.facts()
        for title, every in (("length", LENGTHS), ("texts", COUNTS)):
            contest = hold(model, _of(every, asked), configurations, settings, result)
            _collect(result, model.name, contest, settings.threads, title)
        threads = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= settings.threads]
        for count in threads:
            alone = replace(settings, threads=count)
            contest = hold(model, _of(THREAD_CASES, asked), configurations, alone, result)
            _collect(result, model.name, contest, count, "threads")
    result["absent"] = [one for at, one in enumerate(result["absent"]) if one not in result["absent"][:at]]
    return result


def show(result: dict[str, Any]) -> list[str]:
    """Three tables a model."""
    blocks = []
    for name in result["models"]:
        rows = [row for row in result["rows"] if row["model"] == name]
        for axis, cases in (("length", LENGTHS), ("texts", COUNTS)):
            own = [row for row in rows if row["axis"] == axis]
            blocks.append(f"## {name}: time against {axis}\n\n{_grown(own, cases, axis)}")
        blocks.append(f"## {name}: speed with threads\n\n{_threads([row for row in rows if row['axis'] == 'threads'])}")
    return blocks


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """p of seconds ~ size^p: least squares over the logarithms. 1 is linear."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _of(cases: Sequence[Case], asked: Collection[str]) -> list[Case]:
    return [case for case in cases if case.name in asked]


def _collect(result: dict[str, Any], name: str, contest: Contest, threads: int, axis: str) -> None:
    result["rows"] += [row | {"threads": threads, "axis": axis} for row in contest.rows]
    result["thrown_away"] += [f"{name}: {line}" for line in contest.thrown_away]
    result["failures"] += [f"{name}: {line}" for line in failures(contest)]


def _grown(rows: list[dict[str, Any]], cases: Sequence[Case], axis: str) -> str:
    sizes = {case.name: sum(case.lengths) if axis == "length" else len(case.lengths) for case in cases}
    lines = []
    for contender in dict.fromkeys(row["contender"] for row in rows):
        found = {sizes[row["case"]]: _seconds(row) for row in rows if row["contender"] == contender and row["rounds"]}
        half = sorted(found)[len(found) // 2 :]
        cells = [tables.number(1000 * found[size]) if size in found else "-" for size in sizes.values()]
        fits = [f"{exponent(at, [found[n] for n in at]):.2f}" if len(at) > 1 else "-" for at in (sorted(found), half)]
        lines.append((contender, *cells, *fits))
    return tables.table((f"ms, by {axis}", *map(str, sizes.values()), "exponent", "upper half"), lines)


def _threads(rows: list[dict[str, Any]]) -> str:
    own = [row for row in rows if row["rounds"]]
    threads = sorted({row["threads"] for row in own})
    lines = []
    for contender, case in dict.fromkeys((row["contender"], row["case"]) for row in own):
        found = {row["threads"]: _seconds(row) for row in own if (row["contender"], row["case"]) == (contender, case)}
        if 1 in found:
            cells = [f"{found[1] / found[count]:.2f}" if count in found else "-" for count in threads]
            lines.append((f"{contender}, {case}", tables.number(1000 * found[1]), *cells))
    return tables.table(("times as fast as with one thread", "ms with 1", *map(str, threads)), lines)


def _seconds(row: dict[str, Any]) -> float:
    return float(median(one["median"] for one in row["rounds"]))
