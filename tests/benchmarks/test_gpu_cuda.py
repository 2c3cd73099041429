"""The GPU benchmark rehearsed: the same script over emulated threads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed, and it emulates the CUDA kernels")
def test_the_gpu_script_runs_every_step_without_a_gpu() -> None:
    pytest.importorskip("torch", reason="the GPU benchmark is torch's matrix products and our kernels")
    results = set((ROOT / "benchmarks/results").glob("*"))
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [ROOT / "benchmarks/gpu/run.sh", "--rehearse"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MISSED" not in done.stdout
    for contender in ("strizh kernels", "torch fp16 SDPA", "torch, text by text", "tensorrt-fp16"):
        assert sum(f" {contender}" in line for line in done.stdout.splitlines()) >= 2, contender
    assert done.stdout.splitlines()[-1].startswith("rehearsed: every step ran")
    assert set((ROOT / "benchmarks/results").glob("*")) == results
