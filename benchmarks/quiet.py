"""Whether the machine was quiet while something was timed: a rule, so that no one chooses which rounds count."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Of the processor time that there was, others may have had this share, and the hypervisor this one.
MAX_OTHERS = 0.03
MAX_STOLEN = 0.01
# The loop of fixed work may take this much longer than at its best.
MAX_SLOWDOWN = 1.10
_TICKS = 3  # counters move in ticks of 10 ms; this many may be rounding
_LOOP = 20_000
_PAUSE = 0.02
_CORES = 8  # that are asked, of larger machines


@dataclass(frozen=True, slots=True)
class Instant:
    """Processor seconds since boot: of everything, of the processes that are watched, stolen by the hypervisor."""

    wall: float
    busy: float
    watched: float
    stolen: float


class Watch:
    """Judges intervals. Without /proc only the loop of fixed work speaks."""

    def __init__(self) -> None:
        self._cores = os.cpu_count() or 1
        self._tick = 1 / os.sysconf("SC_CLK_TCK")
        self.best = min(spin() for _ in range(200))

    def instant(self, processes: Iterable[int]) -> Instant:
        """Counters now; `processes` are the ids of those that belong to the measurement, besides this one."""
        busy, stolen = self._system()
        watched = sum(self._of(process) for process in (os.getpid(), *processes))
        return Instant(time.perf_counter(), busy, watched, stolen)

    def verdict(self, before: Instant, after: Instant, loops: Iterable[float]) -> str:
        """Why the interval does not count; empty if the machine was quiet. `loops` are times of `spin` around it."""
        capacity = (after.wall - before.wall) * self._cores
        rounding = _TICKS * self._tick
        others = (after.busy - before.busy) - (after.watched - before.watched)
        if others > MAX_OTHERS * capacity + rounding:
            return f"other processes had {others:.2f} s of processor time in {capacity:.2f} s"
        if (stolen := after.stolen - before.stolen) > MAX_STOLEN * capacity + rounding:
            return f"the hypervisor took {stolen:.2f} s of processor time in {capacity:.2f} s"
        slowest = max(loops, default=self.best)
        self.best = min(self.best, slowest)
        if slowest > MAX_SLOWDOWN * self.best:
            return f"a loop of fixed work took {slowest / self.best:.2f} times as long as at its best"
        return ""

    def settle(self, patience: float) -> float:
        """Wait until the loop of fixed work is near its best, at most `patience` seconds; gives its last time."""
        end = time.perf_counter() + patience
        while (loop := spin()) > MAX_SLOWDOWN * self.best and time.perf_counter() < end:
            time.sleep(_PAUSE)
        self.best = min(self.best, loop)
        return loop

    def _system(self) -> tuple[float, float]:
        """Busy and stolen seconds of all processors."""
        try:
            line = Path("/proc/stat").read_text().partition("\n")[0]
        except OSError:
            return 0.0, 0.0
        user, nice, system, _idle, _wait, interrupts, soft, stolen = (int(field) for field in line.split()[1:9])
        return (user + nice + system + interrupts + soft) * self._tick, stolen * self._tick

    def _of(self, process: int) -> float:
        """Seconds that a process has used, its ended threads included."""
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) * self._tick


def spin() -> float:
    """Seconds for a loop of fixed work on the core that is slowest at it now.

    The least of three, so that a single interruption does not count. A core may be slow on its own: its second hardware
    thread can belong to another virtual machine, which no counter shows.
    """
    if not hasattr(os, "sched_setaffinity"):
        return min(_loop() for _ in range(3))
    usable = os.sched_getaffinity(0)
    found = []
    try:
        for core in sorted(usable)[:_CORES]:
            os.sched_setaffinity(0, {core})
            found.append(min(_loop() for _ in range(3)))
    finally:
        os.sched_setaffinity(0, usable)
    return max(found)


def _loop() -> float:
    started = time.perf_counter()
    total = 0
    for number in range(_LOOP):
        total += number & 7
    return time.perf_counter() - started
