"""From the start of a process to its first vector, and the part of it that is the model's."""

from statistics import median
from typing import Any

from benchmarks import engines, models, tables
from benchmarks.probes import Probe, candidates, start
from benchmarks.quiet import Watch, spin
from benchmarks.suites import Settings, blank

HELP = "process start to first vector; load to first vector alone, page cache warm"
MODELS = ("base",)
HEEDS = ("engines",)
NOTES = ("a fresh process for every reading; the page cache is warm",)
LOAD_SECONDS = 0.3  # load to first vector of cpu-bf16 on the base geometry, page cache warm


def run(settings: Settings) -> dict[str, Any]:
    """Interleaved rounds of fresh processes."""
    result = blank(settings)
    watch = Watch()
    configurations = engines.of_ids(settings.engines)
    for model in models.find_all(settings.models):
        result["models"][model.name] = model.facts()
        settings.say(f"{model.name}: opening every engine once")
        probes = list(candidates(configurations, model, settings.threads, result))
        for number in range(settings.method.rounds):
            for probe in probes:
                _round(probe, model, settings, watch, result["thrown_away"])
            settings.say(f"round {number + 1} of {settings.method.rounds}")
        result["rows"] += [_row(probe, model) for probe in probes]
    return result


def show(result: dict[str, Any]) -> list[str]:
    """A table for each model."""
    return tables.by_model(result, _table)


def _round(probe: Probe, model: models.Model, settings: Settings, watch: Watch, thrown_away: list[str]) -> None:
    for _ in range(settings.method.attempts):
        loop, before = spin(), watch.instant([])
        worker, reading, _ = start(probe.configuration, model, settings.threads)
        after = watch.instant([worker.pid])
        worker.close()
        problem = watch.verdict(before, after, (loop, spin()))
        if problem:
            thrown_away.append(f"{model.name}, {probe.name}: {problem}")
        if not problem or settings.method.allow_noise:
            probe.rounds.append(reading)
            return


def _row(probe: Probe, model: models.Model) -> dict[str, Any]:
    return {
        "model": model.name,
        "contender": probe.configuration.label,
        "configuration": probe.configuration.detail,
        "ours": probe.configuration.ours,
        "rounds": probe.rounds,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    heads = ("seconds, medians", "process", "imports, tokenizer", "load to first vector", "all", "required", "")
    return tables.table(heads, [_line(row) for row in rows if row["rounds"]])


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    steps = [median(one[step] for one in row["rounds"]) for step in ("process", "imports", "load")]
    required = (row["model"], row["contender"]) == ("base", "strizh cpu-bf16")
    verdict = ("PASS" if steps[2] <= LOAD_SECONDS else "short") if required else ""
    bound = LOAD_SECONDS if required else None
    cells = [tables.beside_bounds(step, bound, digits=3) for step in (*steps, sum(steps))]
    return (row["contender"], *cells, f"<= {LOAD_SECONDS}" if required else "-", verdict)
