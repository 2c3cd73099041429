"""The GPU benchmark without a GPU: the same script over emulated threads, and steps that go wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import report
from benchmarks.gpu import main as benchmark
from benchmarks.gpu.plan import Step
from benchmarks.gpu.report import markdown
from strizh.runtime.cuda import Gpu

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


def test_results_of_a_cuda_benchmark_stand_in_the_readme(tmp_path: Path) -> None:
    """A file as a run leaves it: a promise missed, a contender left out, a step that failed."""
    kernels = {"model": "base", "contender": "strizh kernels", "operations_per_second": 1.0}
    machine = {
        "gpu": "NVIDIA H200", "ceiling_fp16": 7.5e14, "commit": "abc1234", "date": "2026-11-23",
        "driver": "580.95.05 for CUDA 13.0", "versions": {"torch": "2.11.0", "nvcc": "13.0.88"},
    }  # fmt: skip
    result = {
        "format": 1, "suite": "gpu", "machine": machine, "absent": {"tensorrt": "no builder of engines is installed"},
        "parity": [
            {"family": "bert", "engine": "kernels", "precision": "fp16", "cosine_min": 0.9999999, "promised": 0.9999,
             "kept": True},
            {"family": "t5", "engine": "ONNX Runtime, replayed", "precision": "bf16", "cosine_min": -1.0, "promised": 0.999,
             "kept": False, "error": "no CUDA graph was captured"},
        ],
        "rows": [
            kernels | {"case": "1 x 16", "ms": 0.412, "tokens_per_second": 38834.9},
            kernels | {"case": "128 x 512", "ms": 40.0, "tokens_per_second": 1638400.0, "share_of_ceiling": 0.52},
            kernels | {"case": "1 x 16", "contender": "torch fp16 SDPA", "ms": 2.5, "tokens_per_second": 6400.0},
        ],
        "steps": [{"step": "machine", "outcome": "done"}, {"step": "base/peers", "outcome": "FAILED: stopped after 120 s"}],
    }  # fmt: skip
    (tmp_path / "results").mkdir()
    (tmp_path / "results/gpu-nvidia-h200-2026-11-23.json").write_text(json.dumps(result), encoding="utf-8")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.GPU_BEGIN}\nNone yet.\n{report.GPU_END}\nafter\n", encoding="utf-8")
    assert report.main([str(tmp_path / "results"), "--readme", str(readme)]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "None yet" not in text
    for line in (
        "**NVIDIA H200** (`results/gpu-nvidia-h200-2026-11-23.json`)",
        "commit abc1234, 2026-11-23, driver 580.95.05 for CUDA 13.0, torch 2.11.0, nvcc 13.0.88  ",
        "parity: 1 of 2 promises kept",
        "- MISSED: t5, ONNX Runtime, replayed, bf16: no CUDA graph was captured",
        "| base | 1 x 16 | 128 x 512 |",
        "| strizh kernels | 0.412 ms | 1,638,400 tokens/s, 52% of the ceiling |",
        "| torch fp16 SDPA | 2.500 ms | - |",
        "- not measured: tensorrt: no builder of engines is installed",
        "- base/peers: FAILED: stopped after 120 s",
    ):
        assert f"\n{line}\n" in text, line
    (own,) = (tmp_path / "results").iterdir()
    assert own.suffix == ".json", "the page of a machine is the other suites'"
    assert report.GPU_BEGIN in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_cuda_benchmark_whose_ceiling_was_not_measured_has_a_page() -> None:
    machine = {"gpu": "NVIDIA H200", "commit": "abc1234", "date": "2026-11-23"}
    steps = [{"step": "machine", "outcome": "FAILED: stopped after 120 s"}]
    result = {"machine": machine, "absent": {}, "parity": [], "rows": [], "steps": steps}
    page = markdown({"gpu.json": result})
    assert "NVIDIA H200" in page and "- machine: FAILED: stopped after 120 s" in page and "TFLOP/s" not in page


def test_a_cuda_result_that_is_no_number_or_does_not_come_is_a_promise_not_kept() -> None:
    parity = pytest.importorskip(
        "benchmarks.gpu.parity", reason="the GPU benchmark is torch's matrix products and our kernels"
    )
    case = parity.Case("bert", None, {}, [], np.eye(2))

    def fails() -> np.ndarray:
        raise RuntimeError("no kernel image is available")

    nothing, broken = np.full((2, 2), np.nan), case.row("kernels", "fp16", fails)
    assert case.row("kernels", "fp16", lambda: np.eye(2))["kept"]
    assert case.row("kernels", "fp16", lambda: nothing)["cosine_min"] == -1.0
    assert not broken["kept"] and broken["error"] == "no kernel image is available"
    json.dumps([broken, case.row("kernels", "bf16", lambda: nothing)], allow_nan=False)


def test_the_cuda_benchmark_says_what_its_figures_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = pytest.importorskip("benchmarks.gpu.versions")
    pytest.importorskip("torch", reason="whose version is one of them")
    said = {"nvidia-smi": "580.95.05\n", "nvcc": "Cuda compilation tools, release 13.0, V13.0.88\n"}
    monkeypatch.setattr(versions, "_said", lambda program, *_: said[Path(program).name])
    monkeypatch.setattr(versions, "find_gpu", lambda: Gpu("NVIDIA H200", "9.0", 13000))
    assert versions.driver() == "580.95.05 for CUDA 13.0"
    assert versions.versions()["nvcc"] == "13.0.88" and {"torch", "numpy", "onnx"} <= versions.versions().keys()
    monkeypatch.setattr(versions, "find_gpu", lambda: None)
    assert versions.driver() is None
