"""Interleaved rounds: A B C, A B C ... over every case, with rounds on a machine that was not quiet measured anew."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.engines import Batch
from benchmarks.quiet import Watch, spin
from benchmarks.workers import EngineError, Worker
from benchmarks.workloads import Case

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Method:
    """How long and how often. A turn is one engine on one case in one round."""

    rounds: int = 5
    seconds: float = 1.0  # a turn measures at least so long
    warm_up: float = 0.3  # before it, not measured
    long_run: float = 2.0  # of runs that take so long one is enough, and needs no warm-up in a process that ran before
    attempts: int = 3  # rounds tried for each that is wanted
    allow_noise: bool = False  # count rounds on a machine that was not quiet: for trying the harness only


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
    """Fill the entries; gives a line for each round that was thrown away."""
    watch = Watch()
    groups = _by_case(entries)
    thrown: list[str] = []
    left = {case.name: method.attempts * method.rounds for case, _ in groups}
    for number in range(method.rounds):
        for case, group in groups:
            while left[case.name]:
                left[case.name] -= 1
                turns, problem = _round(group, texts(case), method, watch)
                if problem:
                    thrown.append(f"{case.name}, round {number + 1}: {problem}")
                if not problem or method.allow_noise:
                    _keep(turns)
                    break
        say(f"round {number + 1} of {method.rounds}, {len(thrown)} thrown away so far")
    return thrown


def _round(
    group: Sequence[Entry], texts: Batch, method: Method, watch: Watch
) -> tuple[list[tuple[Entry, dict[str, Any]]], str]:
    """One turn of each entry of a case, and what spoke against the round."""
    turns = []
    for entry in group:
        if entry.error:
            continue
        try:
            entry.worker.load(texts)
            warm_up = method.warm_up if entry.worker.fresh or entry.estimate < method.long_run else 0.0
            loop, energy = spin(), machine.joules()
            before = watch.instant([entry.worker.pid])
            answer = entry.worker.time(entry.batch_size, method.seconds, warm_up)
            after, used = watch.instant([entry.worker.pid]), machine.joules()
            entry.worker.shed()
        except EngineError as error:
            entry.error = str(error)
            continue
        if used is not None and energy is not None:
            answer["joules"] = (used - energy) / len(answer["seconds"])  # the warm-up's included
        turns.append((entry, answer))
        if (problem := watch.verdict(before, after, (loop, spin()))) and not method.allow_noise:
            return turns, problem
    return turns, ""


def _keep(turns: Sequence[tuple[Entry, dict[str, Any]]]) -> None:
    for entry, answer in turns:
        seconds = answer.pop("seconds")
        entry.seconds.extend(seconds)
        entry.rounds.append(
            {"median": float(np.median(seconds)), "least": min(seconds), "repeats": len(seconds), **answer}
        )


def _by_case(entries: Sequence[Entry]) -> list[tuple[Case, list[Entry]]]:
    def groups() -> Iterator[tuple[Case, list[Entry]]]:
        for case in dict.fromkeys(entry.case for entry in entries):
            yield case, [entry for entry in entries if entry.case == case]

    return list(groups())
