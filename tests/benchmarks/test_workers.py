"""Engines in processes of their own: stopped while idle, reported when they fail."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import environments
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


HARNESS = """
import sys
sys.path[:0] = [{root!r}]
from benchmarks import environments
from benchmarks.workers import Worker
environments.worker = lambda name: {command!r}
worker = Worker("any", threads=1)
worker._process = worker._start()
print(worker.ask("memory")["resident"] > 0, worker.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("script", ["worker.py", "worker.cjs"])
def test_a_stopped_worker_ends_with_a_harness_that_is_killed(script: str, tmp_path: Path) -> None:
    interpreter = sys.executable if script.endswith(".py") else shutil.which("node")
    if interpreter is None:
        pytest.skip("node is not installed, and worker.cjs runs in it")
    root = Path(environments.__file__).parents[1]
    command = [interpreter, str(root / "benchmarks" / script), str(tmp_path)]
    code = HARNESS.format(root=str(root), command=command)
    harness = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert harness.stdin
    assert harness.stdout
    answered, pid = harness.stdout.readline().split()
    assert answered == "True"
    assert Path(f"/proc/{pid}").exists()
    harness.kill()  # it can close nothing any more
    harness.wait()
    for stream in (harness.stdin, harness.stdout):
        stream.close()
    end = time.monotonic() + 30
    while _runs(int(pid)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _runs(int(pid))


def _runs(pid: int) -> bool:
    """Neither gone nor waiting for whoever adopted it."""
    try:
        return state(pid) != "Z"
    except FileNotFoundError:
        return False
