"""The rule that throws a round away."""

import subprocess
import sys
import time

import pytest

from benchmarks.quiet import MAX_OTHERS, MAX_SLOWDOWN, MAX_STOLEN, Instant, Watch


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def interval(watch: Watch, *, busy: float = 0.0, watched: float = 0.0, stolen: float = 0.0) -> tuple[Instant, Instant]:
    """Ten seconds, with shares of all the processor time that there was."""
    capacity = 10 * watch._cores
    return Instant(0, 5, 3, 1), Instant(10, 5 + busy * capacity, 3 + watched * capacity, 1 + stolen * capacity)


def test_the_measured_engine_may_use_everything(watch: Watch) -> None:
    assert watch.verdict(*interval(watch, busy=1.0, watched=1.0), [watch.best]) == ""


def test_other_processes_and_the_hypervisor_may_not(watch: Watch) -> None:
    above = 3 * MAX_OTHERS
    assert "other processes" in watch.verdict(*interval(watch, busy=0.5 + above, watched=0.5), [watch.best])
    assert "hypervisor" in watch.verdict(*interval(watch, stolen=4 * MAX_STOLEN), [watch.best])


def test_a_loop_that_takes_longer_than_at_its_best_speaks_against_the_round(watch: Watch) -> None:
    assert watch.verdict(*interval(watch), [watch.best, watch.best * (MAX_SLOWDOWN - 0.05)]) == ""
    assert "fixed work" in watch.verdict(*interval(watch), [watch.best, watch.best * (MAX_SLOWDOWN + 0.05)])


def test_only_processes_that_are_watched_are_ours() -> None:
    watch = Watch()
    if watch.instant([]).busy == 0:
        pytest.skip("this system has no /proc")
    loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        used = 0.0
        while used < 0.1:  # however long a busy machine takes to give it that much
            time.sleep(0.05)
            used = watch.instant([loop.pid]).watched - watch.instant([]).watched
    finally:
        loop.kill()
        loop.wait()
    assert watch.instant([loop.pid]).watched == pytest.approx(watch.instant([]).watched, abs=0.05)
