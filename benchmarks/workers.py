"""Starts engines in processes of their own and lets one of them run at a time."""

import base64
import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import environments
from benchmarks.engines import Batch, Configuration
from benchmarks.errors import BenchmarkError

_TIMEOUT = 900  # seconds for one answer: compiling and calibrating take minutes
_KEPT_MEMORY = 3 << 30  # bytes that a process may keep of its batches
# Each library's own name for its number of threads, so that all have the same.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")

_PR_SET_PDEATHSIG = 1
_C = ctypes.CDLL(None) if sys.platform == "linux" else None


class EngineError(BenchmarkError):
    """An engine could not be opened, or failed on a batch; the message says why in one line."""


class EngineAbsent(EngineError):
    """What an engine needs is not installed here."""


class Worker:
    """A child process with one engine. It is stopped (SIGSTOP) whenever it has nothing to do.

    A stopped process cannot spin: threads that wait for work by polling would otherwise take time from the engine that
    is measured next. One that has kept much memory of a long text is ended, and started anew when it is needed again.
    """

    def __init__(self, environment: str, threads: int, variables: Mapping[str, str] | None = None) -> None:
        command = environments.worker(environment)
        if command is None:
            raise EngineAbsent(
                f"environment {environment} is not installed: python benchmarks/install.py {environment}"
            )
        given = {name: str(threads) for name in _THREAD_VARIABLES} | {"TOKENIZERS_PARALLELISM": "true"}
        self._command, self._variables = command, os.environ | given | dict(variables or {})
        self._log = environments.HOME / "workers.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._opening: dict[str, Any] = {}
        self._usual_memory = 0
        self.vectors_took = 0.0  # seconds of the last `vectors`
        self.takes_ids = True  # its engine; one that does not tokenizes by itself
        self.fresh = True  # nothing was timed since it was started

    @property
    def pid(self) -> int:
        """Process id; 0 while there is no process."""
        return self._process.pid if self._process else 0

    def open(self, configuration: Configuration, model: Mapping[str, Any], threads: int) -> dict[str, Any]:
        """Open the engine; gives its versions and the seconds it took."""
        options = dict(configuration.options)
        self._opening = {
            "engine": configuration.engine,
            "model": dict(model),
            "threads": threads,
            "options": options,
            "tokenizes": "strings" in configuration.takes,
        }
        self.takes_ids = "ids" in configuration.takes
        answer = self.ask("open", **self._opening)
        self._usual_memory = self._resident()
        return answer

    def load(self, batch: Batch) -> None:
        """Send the texts of the following requests."""
        if self._opening and self._process is None:
            self.ask("open", **self._opening)
        self.ask("load", ids=[row.tolist() for row in batch.ids], strings=batch.strings)

    def vectors(self, batch_size: int | None) -> NDArray[np.float32]:
        """Vectors of the loaded texts, float32 [n, dim]."""
        answer = self.ask("vectors", batch_size=batch_size)
        self.vectors_took = answer["seconds"]
        return np.frombuffer(base64.b64decode(answer["float32"]), np.float32).reshape(answer["shape"])

    def time(self, batch_size: int | None, seconds: float) -> dict[str, Any]:
        """Times of encoding the loaded texts: `seconds`, one a run, and `cpu_seconds` of a run."""
        answer = self.ask("time", batch_size=batch_size, seconds=seconds)
        self.fresh = False
        return answer

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Wake the process, or start it; let it do one thing; stop it again. Raises `EngineError`."""
        process = self._process = self._process or self._start()
        process.send_signal(signal.SIGCONT)
        assert process.stdin and process.stdout
        why = f"gave no answer in {_TIMEOUT} s"
        line = b""
        try:
            process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            process.stdin.flush()
            if select.select([process.stdout], [], [], _TIMEOUT)[0]:
                line = process.stdout.readline()
                why = "ended by itself"
        except BrokenPipeError:
            why = "ended by itself"
        if not line.endswith(b"\n"):  # nothing, or half an answer
            self.close()
            raise EngineError(
                f"the process {why} (status {process.returncode}); its last words are in {self._log.name}"
            )
        process.send_signal(signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        if "absent" in answer:
            raise EngineAbsent(f"package {answer['absent']} is not installed")
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer

    def shed(self) -> None:
        """End the process if it has kept much more memory than it had when it was opened."""
        if self._opening and self._resident() > self._usual_memory + _KEPT_MEMORY:
            self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process, self.fresh = self._process, None, True
        if process is None:
            return
        process.kill()  # also a stopped one
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._variables,
                preexec_fn=_die_with_the_parent if sys.platform == "linux" else None,
            )

    def _resident(self) -> int:
        """Bytes of memory that the process has; 0 where the system does not say."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0


def _die_with_the_parent() -> None:
    """Runs in the child, between fork and exec. A stopped process reads no end of its input: it would outlive a harness
    that is killed, and hold its memory.
    """
    assert _C
    _C.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
