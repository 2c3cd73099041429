"""Interleaved rounds: A B C, A B C ... over every case; turns on a machine that was not quiet are taken again."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import energy
from benchmarks.engines import Batch
from benchmarks.quiet import Watch, spin
from benchmarks.workers import EngineError, Worker
from benchmarks.workloads import Case

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Method:
    """How long and how often. A turn is one engine on one case in one round."""

    rounds: int = 7
    # A case whose contenders share fewer quiet rounds than this gets more, up to `most` times `rounds` in all.
    common: int = 3
    most: int = 3
    seconds: float = 0.3  # a turn measures at least so long, and at least one run
    warm_up: float = 0.3  # before a turn of shorter runs, and in a process that has not run yet
    patience: float = 2.0  # seconds that a turn waits for a quiet moment to begin in
    attempts: int = 4  # turns tried for each that is wanted
    # Where even the quickest run takes so long, no moment of quiet covers it: turns see the machine's average then.
    long_run: float = 0.3
    deadline: float = math.inf  # reading of time.perf_counter() after which no turn begins
    allow_noise: bool = False  # count turns on a machine that was not quiet: for trying the harness only


@dataclass(slots=True)
class Entry:
    """One contender on one case: how it runs there, and what was measured."""

    worker: Worker
    case: Case
    batch_size: int | None
    estimate: float = 0.0  # seconds of one run
    rounds: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # every single measurement
    error: str = ""


def measure(entries: Sequence[Entry], texts: Callable[[Case], Batch], method: Method, say: Say) -> list[str]:
    """Fill the entries; gives a line for each turn that was thrown away."""
    watch = Watch()
    thrown: list[str] = []
    for number in range(1, method.most * method.rounds + 1):
        due = [(case, group) for case, group in _by_case(entries) if _due(group, number, method)]
        if not due:
            break
        for case, group in due:
            strict = min(entry.estimate for entry in group) < method.long_run
            for entry in group:
                if entry.error or time.perf_counter() > method.deadline:
                    continue
                try:
                    turn, problems = _turn(entry, texts(case), method, watch, strict)
                except EngineError as error:
                    entry.error = str(error)
                    continue
                thrown += [f"{case.name}, round {number}: {problem}" for problem in problems]
                if turn:
                    _keep(entry, number, turn)
        say(f"round {number} of {method.rounds}, {len(thrown)} turns thrown away so far")
    return thrown


def _due(group: Sequence[Entry], number: int, method: Method) -> bool:
    """Whether a case is given this round: one that was asked for, or one more because ratios of rounds lack rounds."""
    if number <= method.rounds:
        return True
    shared = [{one["number"] for one in entry.rounds} for entry in group if not entry.error]
    wanted = min(method.common, method.rounds)
    return time.perf_counter() <= method.deadline and bool(shared) and len(set.intersection(*shared)) < wanted


def _turn(
    entry: Entry, texts: Batch, method: Method, watch: Watch, strict: bool
) -> tuple[dict[str, Any] | None, list[str]]:
    """The first turn that nothing speaks against, if one comes, and what spoke against the others.

    `strict`: the loop of fixed work is asked before and after, besides the counters of the system.
    """
    worker = entry.worker
    worker.load(texts)
    if worker.fresh or entry.estimate < method.warm_up:
        worker.time(entry.batch_size, method.warm_up)
    problems = []
    for _ in range(method.attempts):
        loops = [watch.settle(0 if method.allow_noise else method.patience)] if strict else []
        counters, before = energy.read(), watch.instant([worker.pid])
        answer = worker.time(entry.batch_size, method.seconds)
        after, used = watch.instant([worker.pid]), energy.joules(counters, energy.read())
        problem = watch.verdict(before, after, [*loops, spin()] if strict else [])
        if problem and not method.allow_noise:
            problems.append(problem)
            continue
        if used is not None:
            answer["joules"] = used / len(answer["seconds"])
        worker.shed()
        return answer, problems
    return None, problems


def _keep(entry: Entry, number: int, turn: dict[str, Any]) -> None:
    seconds = turn.pop("seconds")
    entry.seconds.extend(seconds)
    figures = {"number": number, "median": float(np.median(seconds)), "least": min(seconds), "repeats": len(seconds)}
    entry.rounds.append(figures | turn)


def _by_case(entries: Sequence[Entry]) -> list[tuple[Case, list[Entry]]]:
    def groups() -> Iterator[tuple[Case, list[Entry]]]:
        for case in dict.fromkeys(entry.case for entry in entries):
            yield case, [entry for entry in entries if entry.case == case]

    return list(groups())
