"""Resident memory: of an open model, at its highest on mixed lengths, and its growth over thousands of varied batches."""

from typing import Any

from benchmarks import engines, models, tables
from benchmarks.engines import Batch
from benchmarks.probes import Probe, artefact_bytes, candidates, start, varied
from benchmarks.suites import Settings, blank
from benchmarks.workers import EngineError
from benchmarks.workloads import ragged

HELP = "resident memory of a model above its imports, its peak, and growth over varied batches"
MODELS = ("e5-small",)
HEEDS = ("engines", "batches")
NOTES = (
    "resident bytes of a fresh process; those of its imports are taken off the model's",
    "batches of one to four texts of 4 to 128 tokens; growth is counted from the end of their first tenth",
    "allowed: of the model with its first vector",
)
ALLOWANCE = 120 << 20  # bytes above the bundle's file that a cpu variant may take
_SAMPLES = 10


def run(settings: Settings) -> dict[str, Any]:
    """One fresh process for each engine."""
    result = blank(settings)
    configurations = engines.of_ids(settings.engines)
    for model in models.find_all(settings.models):
        result["models"][model.name] = model.facts()
        for probe in candidates(configurations, model, settings.threads, result):
            settings.say(f"{model.name}: {probe.name}, {settings.batches} batches")
            try:
                result["rows"].append(_measure(probe, model, settings))
            except EngineError as error:
                result["failures"].append(f"{model.name}: {probe.name}: {error}")
    return result


def show(result: dict[str, Any]) -> list[str]:
    """A table for each model."""
    return tables.by_model(result, _table)


def _measure(probe: Probe, model: models.Model, settings: Settings) -> dict[str, Any]:
    worker, reading, _ = start(probe.configuration, model, settings.threads)
    try:
        worker.load(Batch(ragged().token_ids(model.vocab_size)))
        worker.vectors(None if probe.configuration.batch_sizes == (None,) else 8)
        peak = worker.ask("memory")["peak"] - reading["floor_bytes"]
        resident = worker.ask("churn", lengths=varied(settings.batches), samples=_SAMPLES)["resident"]
    finally:
        worker.close()
    return {
        "model": model.name,
        "contender": probe.configuration.label,
        "configuration": probe.configuration.detail,
        "ours": probe.configuration.ours,
        "packed": probe.configuration.label.startswith("strizh cpu-"),
        "file_bytes": artefact_bytes(probe.configuration, model),
        "floor_bytes": reading["floor_bytes"],
        "bytes": reading["bytes"],
        "peak_bytes": peak,
        "batches": settings.batches,
        "resident": resident,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    heads = (
        "MiB",
        "files",
        "imports",
        "model, first vector",
        "peak, ragged",
        "growth",
        "in batches",
        "allowed",
        "",
    )
    return tables.table(heads, [_line(row) for row in rows])


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    allowed = row["file_bytes"] + ALLOWANCE
    # The first part warms caches up; growth is what comes after it.
    growth = row["resident"][-1] - row["resident"][0]
    figures = (row["file_bytes"], row["floor_bytes"], row["bytes"], row["peak_bytes"], growth)
    verdict = ("PASS" if row["bytes"] <= allowed else "short") if row["packed"] else ""
    return (
        row["contender"],
        *map(_mib, figures),
        f"{row['batches']:,}",
        _mib(allowed) if row["packed"] else "-",
        verdict,
    )


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f}"
