"""A suite that is a contest on each model: what throughput and latency share."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import engines, goals, models, tables
from benchmarks.contest import Contest, hold
from benchmarks.suites import Settings, blank
from benchmarks.summary import Row
from benchmarks.workloads import Case


def run_contests(
    settings: Settings, cases: Sequence[Case], more: Callable[[models.Model], Case] | None = None
) -> dict[str, Any]:
    """One contest a model; `more` gives a case of the model's own."""
    result = blank(settings)
    configurations = engines.find(settings.engines)
    for model in models.find_all(settings.models):
        chosen = settings.chosen([*cases, more(model)] if more else cases)
        contest = hold(model, chosen, configurations, settings, result)
        result["models"][model.name] = model.facts() | {"reference": contest.reference}
        result["rows"] += contest.rows
        result["thrown_away"] += [f"{model.name}: {line}" for line in contest.thrown_away]
        result["failures"] += [f"{model.name}: {line}" for line in failures(contest)]
    return result


def show_contests(result: dict[str, Any], show: Callable[[Sequence[Row]], str]) -> list[str]:
    """For each model its figures and its goals."""
    blocks, judged = [], goals.of_result(result)
    for name, facts in result["models"].items():
        shape = facts["shape"]
        title = (
            f"{name}: {shape['num_hidden_layers']} x {shape['hidden_size']}, {shape['num_attention_heads']} heads, "
            f"{'real' if facts['real'] else 'random'} weights; cosine to {facts['reference']}"
        )
        blocks.append(f"## {title}\n\n{show([row for row in result['rows'] if row['model'] == name])}")
        if own := [one for one in judged if one["model"] == name]:
            blocks.append(tables.goals(own))
    return blocks


def failures(contest: Contest) -> list[str]:
    """A line for each row that failed, or misses its promise."""
    wrong = [(row, row["error"] or "; ".join(row["parity"]["misses"])) for row in contest.rows]
    return [f"{row['contender']} on {row['case']}: {why}" for row, why in wrong if why]
