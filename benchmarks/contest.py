"""Contenders on the cases of one model: open, check parity, choose files and batch sizes, measure."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import engines, parity
from benchmarks.engines import Batch, Configuration
from benchmarks.models import Model
from benchmarks.parity import Reference, Vectors
from benchmarks.rounds import Entry, Method, measure
from benchmarks.summary import QUANTILES, Row, quantile
from benchmarks.texts import tokenize
from benchmarks.workers import EngineError, Worker
from benchmarks.workloads import Case

Say = Callable[[str], None]
_TRIAL = 0.3  # seconds for choosing among files and batch sizes: quick, and only good for that
# Times as slow as the best size so far: the next larger batch pads still more, and is not tried.
_HOPELESS = 1.2


@dataclass(slots=True)
class Contest:
    """What came of it; a row whose engine failed on the case holds its `error`."""

    rows: list[Row] = field(default_factory=list)
    thrown_away: list[str] = field(default_factory=list)
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Contender:
    """A configuration and the process that it runs in."""

    configuration: Configuration
    worker: Worker

    @property
    def name(self) -> str:
        """The label with the file or the options."""
        return f"{self.configuration.label} ({self.configuration.detail})"


def hold(
    model: Model,
    cases: Sequence[Case],
    configurations: Sequence[Configuration],
    threads: int,
    method: Method,
    result: dict[str, Any],
    say: Say,
) -> Contest:
    """Measure every configuration on every case that the model is long enough for.

    Versions and what is absent go into `result`, the rest is given back.
    """
    contest = Contest()
    cases = [case for case in cases if max(case.lengths, default=0) <= model.longest]
    ids = {case.name: _ids(model, case) for case in cases}
    batches = {case.name: Batch([], list(case.strings)) if case.strings else Batch(ids[case.name]) for case in cases}
    expected = _expected(model, ids, threads, contest, say)
    contenders = list(open_all(model, configurations, threads, result, say))
    try:
        entries = [
            (contender, entry)
            for case in cases
            for contender, entry in _select(contenders, case, batches[case.name], expected[case.name], contest, say)
        ]
        contest.thrown_away = measure([entry for _, entry in entries], lambda case: batches[case.name], method, say)
        for contender, entry in entries:
            _finish(_row_of(contest.rows, contender, entry), entry)
    finally:
        for contender in contenders:
            contender.worker.close()
    for row in contest.rows:
        row["model"] = model.name
        row["tokens"] = sum(map(len, ids[row["case"]]))
    return contest


def missing(model: Model, contender: str, why: str) -> dict[str, str]:
    """What stands in a result for an engine that cannot be opened here."""
    return {"model": model.name, "contender": contender, "why": why}


def _expected(
    model: Model, texts: dict[str, list[NDArray[np.int32]]], threads: int, contest: Contest, say: Say
) -> dict[str, Vectors]:
    reference = Reference(model, threads)
    contest.reference = reference.name
    say(f"{model.name}: vectors of {reference.name} to compare with")
    try:
        return {name: reference.vectors(ids) for name, ids in texts.items()}
    finally:
        reference.close()


def _ids(model: Model, case: Case) -> list[NDArray[np.int32]]:
    return tokenize(model, list(case.strings)) if case.strings else case.token_ids(model.vocab_size)


def open_all(
    model: Model, configurations: Iterable[Configuration], threads: int, result: dict[str, Any], say: Say
) -> Iterator[Contender]:
    """Open what can be opened; versions and what is absent go into `result`. Whoever takes a contender closes it."""
    modules = dict(engines.modules())
    for configuration in configurations:
        name = f"{configuration.label} ({configuration.detail})"
        if configuration.only_model not in (None, model.name):
            result["absent"].append(missing(model, name, f"it has the weights of {configuration.only_model} only"))
            continue
        say(f"{model.name}: opening {name}")
        worker = None
        try:
            worker = Worker(modules[configuration.engine].ENVIRONMENT, threads, configuration.variables)
            for file in configuration.files:
                model.ensure(file, threads)
            result["versions"] |= worker.open(configuration, model.describe(), threads)["versions"]
        except EngineError as error:
            result["absent"].append(missing(model, name, str(error)))
            if worker:
                worker.close()
            continue
        yield Contender(configuration, worker)


def _select(
    contenders: Sequence[Contender],
    case: Case,
    batch: Batch,
    expected: Vectors,
    contest: Contest,
    say: Say,
) -> list[tuple[Contender, Entry]]:
    """For each label the configuration and batch size that are quickest on this case and give the right vectors."""
    say(f"{case.name}: parity, then the best file and batch size of each engine")
    best: dict[str, Entry] = {}
    chosen: dict[str, tuple[Contender, dict[str, Any]]] = {}
    unusable: dict[str, Row] = {}
    for contender in contenders:
        label = contender.configuration.label
        if batch.ids and "ids" not in contender.configuration.takes:
            continue
        sizes = _sizes(contender.configuration, case)
        try:
            contender.worker.load(batch)
            vectors = contender.worker.vectors(sizes[0])
            found = parity.check(vectors, expected, contender.configuration)
            if found["misses"]:
                unusable[label] = _row(contender, case, found)
                continue
            quickest = math.inf
            for size in sizes:
                seconds = min(contender.worker.time(size, _TRIAL, 0.0)["seconds"])
                quickest = min(quickest, seconds)
                if label not in best or seconds < best[label].estimate:
                    best[label] = Entry(contender.worker, case, size, seconds)
                    chosen[label] = contender, found
                if seconds > _HOPELESS * quickest:
                    break
            contender.worker.shed()
        except EngineError as error:
            unusable[label] = _row(contender, case, {"cosine_min": None, "misses": []}) | {"error": str(error)}
    contest.rows.extend(row for label, row in unusable.items() if label not in best)
    for label, (contender, found) in chosen.items():
        contest.rows.append(_row(contender, case, found) | {"batch_size": best[label].batch_size})
    return [(chosen[label][0], entry) for label, entry in best.items()]


def _sizes(configuration: Configuration, case: Case) -> list[int | None]:
    """Batch sizes worth trying: those below the number of texts, and the first that takes them all."""
    sizes = configuration.batch_sizes
    if sizes == (None,):
        return [None]
    count = case.count
    known = sorted(size for size in sizes if size is not None)
    return [*(size for size in known if size < count), *([count] if known[-1] >= count else [])]


def _row(contender: Contender, case: Case, found: dict[str, Any]) -> Row:
    configuration = contender.configuration
    return {
        "contender": configuration.label,
        "configuration": configuration.detail,
        "precision": configuration.precision,
        "ours": configuration.ours,
        "case": case.name,
        "metric": case.metric,
        "texts": case.count,
        "batch_size": None,
        "parity": found,
        "rounds": [],
        "error": "",
    }


def _row_of(rows: Sequence[Row], contender: Contender, entry: Entry) -> Row:
    label = contender.configuration.label
    return next(row for row in rows if row["contender"] == label and row["case"] == entry.case.name)


def _finish(row: Row, entry: Entry) -> None:
    row["rounds"] = entry.rounds
    row["error"] = entry.error
    row["quantiles"] = {name: quantile(entry.seconds, share) for name, share in QUANTILES.items() if entry.seconds}
