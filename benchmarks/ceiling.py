"""What the machine can do at most, measured: matrix instructions on resident operands, and reading memory."""

import ctypes
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

# Precision -> (flag of /proc/cpuinfo, function of ceiling.cpp), best first.
_JOBS = {
    "fp32": (("avx512f", "avx512f_fp32"), ("fma", "fma_fp32")),
    "bf16": (("amx_bf16", "amx_bf16_bf16"), ("avx512_bf16", "avx512_bf16_bf16")),
    "int8": (("amx_int8", "amx_int8_int8"), ("avx512_vnni", "avx512_vnni_int8")),
}
_ROUNDS = 100_000
_MEMORY = 1 << 28  # bytes a core reads: more than any last-level cache of today


def measure(flags: list[str], threads: int, seconds: float = 0.5) -> dict[str, float]:
    """Operations per second by precision, and bytes per second as "memory", of `threads` cores together.

    A precision without an instruction here is left out. The best of short turns counts: a ceiling is not an average.
    """
    library = _compiled()
    found = {}
    for precision, jobs in _JOBS.items():
        name = next((name for flag, name in jobs if flag in flags), None)
        if name:
            function = library[name]
            function.restype = ctypes.c_double
            found[precision] = _best(partial(function, ctypes.c_int64(_ROUNDS)), threads, seconds)
    buffers = [np.ones(_MEMORY // 8, np.uint64) for _ in range(threads)]
    library.read_memory.restype = ctypes.c_double
    mine = threading.local()
    turn = iter(buffers)

    def read() -> float:
        if not hasattr(mine, "buffer"):
            mine.buffer = next(turn)
        return float(library.read_memory(ctypes.c_void_p(mine.buffer.ctypes.data), ctypes.c_int64(_MEMORY)))

    return found | {"memory": _best(read, threads, seconds)}


def _best(job: Callable[[], float], threads: int, seconds: float) -> float:
    """Best rate of a core, summed over cores that work at the same time."""
    rates = [0.0] * threads
    together = threading.Barrier(threads)

    def work(index: int) -> None:
        job()
        together.wait()
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            amount = job()
            rates[index] = max(rates[index], amount / (time.perf_counter() - start))

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates)


def _compiled() -> Any:
    """ceiling.cpp as a library, compiled for this run."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise SystemExit("the ceiling is measured by a C++ program, and this machine has no C++ compiler: install g++")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ceiling.so"
        source = Path(__file__).with_suffix(".cpp")
        subprocess.run([compiler, "-O3", "-std=c++17", "-shared", "-fPIC", str(source), "-o", str(path)], check=True)
        return ctypes.CDLL(str(path))
