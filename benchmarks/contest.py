"""Contenders on the cases of one model: open, check parity, choose files and batch sizes, measure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.choice import Choice
from benchmarks.contenders import missing, open_all
from benchmarks.engines import Batch, Configuration
from benchmarks.errors import UnknownName
from benchmarks.models import Model
from benchmarks.parity import Reference, Vectors
from benchmarks.rounds import Say, measure
from benchmarks.suites import Settings
from benchmarks.summary import QUANTILES, Row, quantile
from benchmarks.texts import tokenize
from benchmarks.workloads import Case


@dataclass(slots=True)
class Contest:
    """What came of it; a row whose engine failed on the case holds its `error`."""

    rows: list[Row] = field(default_factory=list)
    thrown_away: list[str] = field(default_factory=list)
    reference: str = ""


def hold(
    model: Model,
    cases: Sequence[Case],
    configurations: Sequence[Configuration],
    settings: Settings,
    result: dict[str, Any],
) -> Contest:
    """Measure every configuration on every case that the model is long enough for.

    Versions and what is absent go into `result`, the rest is given back.
    """
    contest = Contest()
    for case in cases:
        if max(case.lengths, default=0) > model.longest:
            result["absent"].append(missing(model, case.name, f"longer than the model's {model.longest} tokens"))
    cases = [case for case in cases if max(case.lengths, default=0) <= model.longest]
    if not cases:
        return contest
    if not any(case.strings or "ids" in one.takes for case in cases for one in configurations):
        labels = " and ".join(dict.fromkeys(one.label for one in configurations))
        raise UnknownName(f"{labels}: texts only; the cases are of token ids, ask for other engines or cases")
    ids = {case.name: _ids(model, case) for case in cases}
    batches = {case.name: Batch([], list(case.strings)) if case.strings else Batch(ids[case.name]) for case in cases}
    expected = _expected(model, ids, settings.threads, contest, settings.say)
    choice = Choice([row for row in settings.settled if _stands(row, model, settings.threads)])
    wanted = [one for one in configurations if choice.wants(one, cases)]
    try:
        for contender in open_all(model, wanted, settings.threads, result, settings.say):
            choice.consider(contender, cases, batches, expected)
        leaders = [leader for case in cases for leader in choice.leaders(case)]
        contest.thrown_away = measure(
            [leader.entry for leader in leaders], lambda case: batches[case.name], settings.method, settings.say
        )
    finally:
        choice.close()
    for leader in leaders:
        entry = leader.entry
        quantiles = {name: quantile(entry.seconds, share) for name, share in QUANTILES.items() if entry.seconds}
        contest.rows.append(leader.row | {"rounds": entry.rounds, "quantiles": quantiles, "error": entry.error})
    contest.rows += [row for case in cases for row in choice.unusable(case)]
    for row in contest.rows:
        row["model"] = model.name
        row["tokens"] = sum(map(len, ids[row["case"]]))
    return contest


def _expected(
    model: Model, texts: dict[str, list[NDArray[np.int32]]], threads: int, contest: Contest, say: Say
) -> dict[str, Vectors]:
    say(f"{model.name}: vectors to compare with")
    reference, expected = Reference(model, threads), {}
    try:
        for name, ids in texts.items():
            reference.load(Batch(ids))
            expected[name] = reference.vectors()
    finally:
        reference.close()
    contest.reference = reference.name
    return expected


def _stands(row: Row, model: Model, threads: int) -> bool:
    """Whether a settled choice was made for this model and, in a suite that varies them, this number of threads."""
    return (row["model"], row.get("threads", threads)) == (model.name, threads)


def _ids(model: Model, case: Case) -> list[NDArray[np.int32]]:
    return tokenize(model, list(case.strings)) if case.strings else case.token_ids(model.vocab_size)
