"""Bytes on disk: the artefact, and everything that has to be installed to run it."""

from typing import Any

from benchmarks import engines, models, tables
from benchmarks.contenders import missing
from benchmarks.probes import artefact_bytes
from benchmarks.suites import Settings, blank
from benchmarks.workers import EngineError, Worker

HELP = "bytes of the artefact and of the installed environment"
MODELS = ("base", "e5-small", "mini")
HEEDS = ("engines",)


def run(settings: Settings) -> dict[str, Any]:
    """Nothing is timed."""
    result = blank(settings)
    modules = dict(engines.modules())
    weights: dict[str, dict[str, int]] = {}
    for model in models.find_all(settings.models):
        result["models"][model.name] = model.facts()
        for configuration in engines.find(settings.engines):
            module = modules[configuration.engine]
            settings.say(f"{model.name}: {configuration.name}")
            try:
                for file in configuration.files:
                    model.ensure(file, settings.threads)
                if configuration.engine not in weights:
                    weights[configuration.engine] = _installed(module.ENVIRONMENT, module.RUNS_WITH)
            except EngineError as error:
                result["absent"].append(missing(model, configuration.name, str(error)))
                continue
            result["rows"].append(
                {
                    "model": model.name,
                    "contender": configuration.label,
                    "configuration": configuration.detail,
                    "ours": configuration.ours,
                    "artefact_bytes": artefact_bytes(configuration, model),
                    "installed_bytes": sum(weights[configuration.engine].values()),
                }
            )
    result["installed"] = weights
    return result


def show(result: dict[str, Any]) -> list[str]:
    """One table."""
    heads = ("MiB", "artefact", "installed, Python apart")
    lines = [
        (
            f"{row['model']}: {tables.name(row)}",
            f"{row['artefact_bytes'] / 2**20:,.0f}",
            f"{row['installed_bytes'] / 2**20:,.0f}",
        )
        for row in result["rows"]
    ]
    return [tables.table(heads, lines)]


def _installed(environment: str, packages: tuple[str, ...]) -> dict[str, int]:
    worker = Worker(environment, 1)
    try:
        found: dict[str, int] = worker.ask("installed", packages=list(packages))["bytes"]
        return found
    finally:
        worker.close()
