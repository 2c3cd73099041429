"""Configurations of engines that are open, each in its own process."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import engines, results
from benchmarks.engines import Configuration
from benchmarks.models import Model
from benchmarks.rounds import Say
from benchmarks.workers import EngineError, Worker


@dataclass(frozen=True, slots=True)
class Contender:
    """A configuration and the process that it runs in."""

    configuration: Configuration
    worker: Worker

    @property
    def name(self) -> str:
        """The label with the file or the options."""
        return self.configuration.name


def missing(model: Model, contender: str, why: str) -> dict[str, str]:
    """What stands in a result for an engine that cannot be opened here."""
    return {"model": model.name, "contender": contender, "why": why}


def note_versions(result: dict[str, Any], found: Mapping[str, str]) -> None:
    """Put versions into a result; where environments differ in one, all stand there."""
    result["versions"] = results.together(result["versions"], found)


def open_all(
    model: Model, configurations: Iterable[Configuration], threads: int, result: dict[str, Any], say: Say
) -> Iterator[Contender]:
    """Open what can be opened; versions and what is absent go into `result`. Whoever takes a contender closes it."""
    modules = dict(engines.modules())
    for configuration in configurations:
        name = configuration.name
        if configuration.only_model not in (None, model.name):
            result["absent"].append(missing(model, name, f"it has the weights of {configuration.only_model} only"))
            continue
        say(f"{model.name}: opening {name}")
        worker = None
        try:
            worker = Worker(modules[configuration.engine].ENVIRONMENT, threads, configuration.variables)
            for file in configuration.files:
                model.ensure(file, threads)
            note_versions(result, worker.open(configuration, model.describe(), threads)["versions"])
        except EngineError as error:
            result["absent"].append(missing(model, name, str(error)))
            if worker:
                worker.close()
            continue
        yield Contender(configuration, worker)
