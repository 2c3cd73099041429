"""Engines in fresh processes: what one of them costs from its start to its first vector, with what it imports taken off."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import engines
from benchmarks.contenders import missing, note_versions
from benchmarks.engines import Batch, Configuration
from benchmarks.models import Model
from benchmarks.workers import EngineError, Worker
from benchmarks.workloads import equal

FIRST = equal(1, 16, "ms")


@dataclass(slots=True)
class Probe:
    """One configuration; `rounds` holds a reading for each fresh process."""

    configuration: Configuration
    rounds: list[dict[str, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The label, and the file or the options."""
        return self.configuration.label if self.configuration.ours else self.configuration.name


def start(configuration: Configuration, model: Model, threads: int) -> tuple[Worker, dict[str, float], dict[str, str]]:
    """A fresh process brought to its first vector. Seconds of each step, and resident bytes before and after the model.

    `process`: until the interpreter answers; `imports`: what the engine needs, and the tokenizer; `load`: the model, to
    its first vector of 16 tokens. The caller closes the worker.
    """
    module = dict(engines.modules())[configuration.engine]
    texts = FIRST.token_ids(model.vocab_size)
    worker = Worker(module.ENVIRONMENT, threads, configuration.variables)
    try:
        marks = [time.perf_counter()]

        def mark() -> None:
            marks.append(time.perf_counter())

        worker.ask("memory")
        mark()
        floor = worker.ask("floor", engine=configuration.engine, tokenizer=str(model.checkpoint / "tokenizer.json"))
        mark()
        versions = worker.open(configuration, model.describe(), threads)["versions"]
        worker.load(Batch(texts))
        worker.vectors(None if configuration.batch_sizes == (None,) else 1)
        mark()
        ready = worker.ask("memory")
    except EngineError:
        worker.close()
        raise
    process, imports, load = (after - before for before, after in pairwise(marks))
    reading = {"process": process, "imports": imports, "load": load, "floor_bytes": floor["resident"]}
    return worker, reading | {"bytes": ready["resident"] - floor["resident"]}, versions


def candidates(
    configurations: Iterable[Configuration], model: Model, threads: int, result: dict[str, Any]
) -> Iterator[Probe]:
    """Configurations that open here, of several files of a label only the first; what is absent goes into the result."""
    seen = set()
    for configuration in configurations:
        if configuration.label in seen:
            continue
        try:
            for file in configuration.files:
                model.ensure(file, threads)
            worker, _, versions = start(configuration, model, threads)  # and the page cache is warm
            worker.close()
            note_versions(result, versions)
        except EngineError as error:
            result["absent"].append(missing(model, configuration.label, str(error)))
            continue
        seen.add(configuration.label)
        yield Probe(configuration)


def artefact_bytes(configuration: Configuration, model: Model) -> int:
    """Size of the file or folder that the configuration runs on; of the checkpoint's weights where it has none of its own."""
    paths = [model.folder / name for name in configuration.files[-1:]] or [model.checkpoint / "model.safetensors"]
    for path in list(paths):
        paths += [path.with_suffix(".bin")] if path.suffix == ".xml" else []
    return sum(_size(path) for path in paths)


def _size(path: Path) -> int:
    return (
        sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size
    )


def varied(count: int) -> list[list[int]]:
    """Lengths of `count` batches that hardly ever repeat: one to four texts of 4 to 128 tokens."""
    draw = np.random.default_rng(0)
    return [draw.integers(4, 129, 1 + number % 4).tolist() for number in range(count)]
