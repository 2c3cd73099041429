"""Engines in processes of their own: stopped while idle, reported when they fail."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.workers import EngineAbsent, EngineError, Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker("main", threads=1)
    yield worker
    worker.close()


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc to see a process's state in")
def test_a_worker_that_is_not_asked_anything_is_stopped(worker: Worker) -> None:
    worker.ask("memory")
    os.waitpid(worker.pid, os.WUNTRACED)  # the signal has arrived
    assert state(worker.pid) == "T"
    assert worker.ask("memory")["resident"] > 0


def test_an_absent_package_is_told_from_a_failure(worker: Worker) -> None:
    with pytest.raises(EngineAbsent, match="is not installed"):
        worker.ask("open", engine="nothing", model={}, threads=1, options={}, tokenizes=True)
    with pytest.raises(EngineError, match="AttributeError"):
        worker.ask("fly")


def test_an_environment_that_is_not_installed_comes_with_the_command() -> None:
    with pytest.raises(EngineAbsent, match=r"install\.py nowhere"):
        Worker("nowhere", threads=1)


def test_a_process_that_dies_is_an_error_and_not_a_hang(worker: Worker) -> None:
    worker.ask("memory")
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match="ended by itself"):
        worker.ask("memory")
    assert worker.pid == 0
