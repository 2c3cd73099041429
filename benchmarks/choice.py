"""For each engine and case the file and batch size that are quickest there, among those that give the right vectors."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import parity
from benchmarks.contenders import Contender
from benchmarks.engines import Batch, Configuration
from benchmarks.parity import Vectors
from benchmarks.rounds import Entry
from benchmarks.summary import Row
from benchmarks.workers import EngineError
from benchmarks.workloads import Case

_TRIAL = 0.3  # seconds for choosing among files and batch sizes: quick, and only good for that
_LONG = 1.0  # seconds of a run that was made for its vectors and is trial enough
_WORSE = 2  # sizes in a row that are no better than the best so far: larger ones are not tried


@dataclass(frozen=True, slots=True)
class Leader:
    """The quickest of a label on a case so far."""

    contender: Contender
    entry: Entry
    row: Row


class Choice:
    """Takes contenders one after the other, and ends the process of each that leads nowhere: few are open at a time."""

    def __init__(self, settled: Sequence[Row] = ()) -> None:
        """`settled`: rows of an earlier result, whose files and batch sizes are taken where they are known."""
        self._settled = {(row["case"], row["contender"]): row for row in settled}
        self._leaders: dict[tuple[str, str], Leader] = {}
        self._unusable: dict[tuple[str, str], Row] = {}
        self._open: list[Contender] = []

    def wants(self, configuration: Configuration, cases: Sequence[Case]) -> bool:
        """Whether it is worth opening: not if it takes none of the cases, or another file is settled on for every one."""
        taken = [case for case in cases if case.strings or "ids" in configuration.takes]
        known = [self._settled.get((case.name, configuration.label)) for case in taken]
        return any(row is None or row["configuration"] == configuration.detail for row in known)

    def consider(
        self, contender: Contender, cases: Sequence[Case], batches: dict[str, Batch], expected: dict[str, Vectors]
    ) -> None:
        """Try it on every case that it takes."""
        self._open.append(contender)
        takes = contender.configuration.takes
        for case in cases:
            if case.strings or "ids" in takes:
                self._try(contender, case, batches[case.name], expected[case.name])
        leading = [leader.contender for leader in self._leaders.values()]
        for one in self._open:
            if not any(one is other for other in leading):
                one.worker.close()
        self._open = [one for one in self._open if any(one is other for other in leading)]

    def leaders(self, case: Case) -> list[Leader]:
        """Those who are to be measured on a case."""
        return [leader for (name, _), leader in self._leaders.items() if name == case.name]

    def unusable(self, case: Case) -> Iterator[Row]:
        """Rows of the labels that have no right vectors for a case, or failed on it."""
        return (row for at, row in self._unusable.items() if at[0] == case.name and at not in self._leaders)

    def close(self) -> None:
        """End every process."""
        for contender in self._open:
            contender.worker.close()

    def _try(self, contender: Contender, case: Case, batch: Batch, expected: Vectors) -> None:
        at = case.name, contender.configuration.label
        worker, sizes = contender.worker, _sizes(contender.configuration, case)
        if settled := self._settled.get(at):
            if settled["configuration"] != contender.configuration.detail:
                return
            sizes = [settled["batch_size"]]
        elif at in self._leaders:  # another file of the engine: at the size that was best for the first
            sizes = [self._leaders[at].entry.batch_size]
        try:
            worker.load(batch)
            found = parity.check(worker.vectors(sizes[0]), expected, contender.configuration)
            row = _row(contender, case, found)
            if found["misses"] and not contender.configuration.ours:  # wired wrongly: its speed means nothing
                self._unusable[at] = row
                return
            quickest, worse = math.inf, 0
            for size in sizes:
                long = size == sizes[0] and worker.vectors_took > _LONG
                seconds = worker.vectors_took if long else min(worker.time(size, _TRIAL)["seconds"])
                if at not in self._leaders or seconds < self._leaders[at].entry.estimate:
                    entry = Entry(worker, case, size, seconds)
                    self._leaders[at] = Leader(contender, entry, row | {"batch_size": size})
                worse = worse + 1 if seconds >= quickest else 0
                quickest = min(quickest, seconds)
                if worse == _WORSE:
                    break
            worker.shed()
        except EngineError as error:
            self._unusable[at] = _row(contender, case, {"cosine_min": None, "misses": []}) | {"error": str(error)}


def _sizes(configuration: Configuration, case: Case) -> list[int | None]:
    """Batch sizes worth trying: those below the number of texts, and the first that takes them all."""
    sizes = configuration.batch_sizes
    if sizes == (None,):
        return [None]
    known = sorted(size for size in sizes if size is not None)
    return [*(size for size in known if size < case.count), *([case.count] if known[-1] >= case.count else [])]


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
