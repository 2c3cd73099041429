"""The GPU benchmark without a GPU: the same script over emulated threads, and steps that go wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu import main as benchmark
from benchmarks.gpu.plan import Step

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


def test_the_gpu_script_says_what_is_missing_where_nothing_can_run() -> None:
    torch = pytest.importorskip("torch", reason="without torch that is what the script misses first")
    if torch.cuda.is_available():
        pytest.skip("here is a GPU, so nothing is missing")
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [ROOT / "benchmarks/gpu/run.sh"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 2 and "MISSING: a GPU that torch sees: torch" in done.stdout
    nobody = environment | {"PYTHON": "/nowhere/python"}
    done = subprocess.run([ROOT / "benchmarks/gpu/run.sh"], capture_output=True, text=True, env=nobody, check=False)
    assert done.returncode == 2 and "MISSING: Python 3.11 or later; /nowhere/python is none" in done.stdout


# In the place of Python: a step of each kind of ending, each of which has measured something before.
STEP = """#!/bin/bash
while (($#)); do case $1 in *.step) name=$2;; --records) records=$2;; esac; shift; done
row() { echo "[\\"rows\\", {\\"model\\": \\"$1\\", \\"case\\": \\"1 x 16\\", \\"contender\\": \\"it\\", \\"ms\\": 1.0, \\
\\"tokens_per_second\\": 16000.0, \\"operations_per_second\\": 2.0}]" >> "$records"; }
case $name in
  machine) echo '["machine", {"gpu": "NVIDIA H200", "ceiling_fp16": 8.0}]' >> "$records"
    echo '["absent", {"tensorrt": "it is not installed"}]' >> "$records";;
  parity) echo '["parity", {"family": "bert", "kept": true}]' >> "$records";;
  hangs) row hangs; sleep 60 & wait;;
  crashes) row crashes; echo -n '["rows", {"mod' >> "$records"; kill -SEGV $$;;
  raises) row raises; echo '["failed", "RuntimeError: no kernel image"]' >> "$records"; exit 1;;
  *) row "$name";;
esac
"""


def test_a_step_of_the_cuda_benchmark_that_goes_wrong_takes_no_results_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = tmp_path / "python"
    fake.write_text(STEP)
    fake.chmod(0o755)
    names = ("machine", "parity", "hangs", "crashes", "raises", "last")
    steps = [Step(name, 1 if name == "hangs" else 30) for name in names]
    steps[-1:-1] = [Step("engines", 30, needs="tensorrt"), Step("kernels", 30, operators=True)]
    monkeypatch.setattr(benchmark, "plan", lambda *, rehearse: steps)
    monkeypatch.setattr(sys, "executable", str(fake))
    monkeypatch.setattr(sys, "argv", ["main", "--library", str(tmp_path / "none.so"), "--results", str(tmp_path)])
    assert benchmark.main() == 1
    (path,) = tmp_path.glob("gpu-nvidia-h200-*.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [row["model"] for row in found["rows"]] == ["hangs", "crashes", "raises", "last"]
    assert {row["share_of_ceiling"] for row in found["rows"]} == {0.25}
    assert found["parity"] == [{"family": "bert", "kept": True}]
    outcomes = {step["step"]: step["outcome"] for step in found["steps"]}
    assert outcomes == {
        "machine": "done", "parity": "done", "hangs": "FAILED: stopped after 1 s", "crashes": "FAILED: ended by signal 11",
        "raises": "FAILED: RuntimeError: no kernel image", "engines": "skipped: it is not installed",
        "kernels": "skipped: strizh's CUDA operators are not built", "last": "done",
    }  # fmt: skip
    shown = capsys.readouterr().out
    assert "not measured: tensorrt: it is not installed" in shown
    assert "not done: hangs: FAILED: stopped after 1 s" in shown
    assert shown.count("wrote ") == len(steps), "after every step"


def test_steps_of_the_cuda_benchmark_are_left_out_when_the_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["main", "--library", "none.so", "--results", str(tmp_path), "--seconds", "4"])
    assert benchmark.main() == 1
    assert "not done: parity/kernels: skipped: the time is over" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
