"""A suite that is a contest on each model: what throughput and latency share."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import engines, goals, machine, models, tables
from benchmarks.contest import Contest, hold
from benchmarks.suites import Settings, blank
from benchmarks.summary import Row
from benchmarks.workloads import Case


def run_contests(
    settings: Settings, cases: Sequence[Case], show: Callable[[Sequence[Row]], str] = tables.timings
) -> dict[str, Any]:
    """One contest a model; tables, goals and what is absent follow each other."""
    result = blank(settings) | {"goals": []}
    configurations = engines.find(list(settings.engines))
    blocks = []
    for name in settings.models:
        model = models.find(name)
        contest = hold(model, settings.chosen(cases), configurations, settings, result)
        judged = list(goals.judge(contest.rows, machine.kind(result["machine"])))
        result["models"][model.name] = model.facts() | {"reference": contest.reference}
        result["rows"] += contest.rows
        result["goals"] += [{"model": model.name, **one} for one in judged]
        result["thrown_away"] += [f"{model.name}: {line}" for line in contest.thrown_away]
        result["failures"] += [f"{model.name}: {line}" for line in _failures(contest)]
        blocks += _blocks(model, contest, show(contest.rows), judged)
    return result | {"tables": [tables.heading(result, *tables.ROUNDS), *blocks, *tables.absent(result)]}


def _failures(contest: Contest) -> list[str]:
    wrong = [(row, row["error"] or "; ".join(row["parity"]["misses"])) for row in contest.rows]
    return [f"{row['contender']} on {row['case']}: {why}" for row, why in wrong if why]


def _blocks(model: models.Model, contest: Contest, shown: str, judged: list[dict[str, Any]]) -> list[str]:
    shape = model.facts()["shape"]
    weights = "real weights" if model.real else "random weights"
    title = (
        f"## {model.name}: {shape['num_hidden_layers']} x {shape['hidden_size']}, "
        f"{shape['num_attention_heads']} heads, {weights}; cosine to {contest.reference}"
    )
    blocks = [f"{title}\n\n{shown}"]
    if judged:
        blocks.append(tables.goals(judged))
    return blocks
